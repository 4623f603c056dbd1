"""The I/O of both client sides: how the scheduler reaches a master and the executor its agent.

Here belongs what turns calls as bytes into HTTP and HTTP back into records and answers: the streaming subscription, pipelined
calls, redirects, credentials, TLS, domain sockets; not what calls and events mean, when to come back, nor any server. It is
our own small client and not aiohttp's: an executor must be subscribed quickly, and calls must be pipelined.
"""

from mesos_http.connecting import BearerToken as BearerToken
from mesos_http.connecting import Credentials as Credentials
from mesos_http.connecting import Timeouts as Timeouts
from mesos_http.connecting import TlsSettings as TlsSettings
from mesos_http.endpoint import Endpoint as Endpoint
from mesos_http.errors import BadTlsSettings as BadTlsSettings
from mesos_http.errors import ConnectFailed as ConnectFailed
from mesos_http.errors import ConnectionLost as ConnectionLost
from mesos_http.errors import NotSent as NotSent
from mesos_http.errors import ProtocolError as ProtocolError
from mesos_http.errors import RedirectFailed as RedirectFailed
from mesos_http.errors import StreamBroken as StreamBroken
from mesos_http.errors import TransportError as TransportError
from mesos_http.exchange import Peer as Peer
from mesos_http.exchange import exchange as exchange
from mesos_http.exchange import who_answers as who_answers
from mesos_http.http1 import Response as Response
from mesos_http.pipeline import CallPipeline as CallPipeline
from mesos_http.subscription import Subscription as Subscription
from mesos_v1.errors import ApiError as ApiError
