"""The I/O of both client sides: how the scheduler reaches a master and the executor its agent.

Here belongs what turns calls as bytes into HTTP and HTTP back into records and answers: the streaming subscription, pipelined
calls, redirects, credentials, TLS, domain sockets; not what calls and events mean, when to come back, nor any server. It is
our own small client and not aiohttp's: an executor must be subscribed quickly, and calls must be pipelined.
"""

from mesos_http.connecting import BearerToken, Credentials, Timeouts, TlsSettings
from mesos_http.endpoint import Endpoint
from mesos_http.errors import (
    BadTlsSettings,
    ConnectFailed,
    ConnectionLost,
    ProtocolError,
    RedirectFailed,
    StreamBroken,
    TransportError,
)
from mesos_http.exchange import Peer, exchange, who_answers
from mesos_http.http1 import Response
from mesos_http.pipeline import CallPipeline
from mesos_http.subscription import Subscription
from mesos_v1.errors import ApiError

__all__ = [
    "ApiError",
    "BadTlsSettings",
    "BearerToken",
    "CallPipeline",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "Endpoint",
    "Peer",
    "ProtocolError",
    "RedirectFailed",
    "Response",
    "StreamBroken",
    "Subscription",
    "Timeouts",
    "TlsSettings",
    "TransportError",
    "exchange",
    "who_answers",
]
