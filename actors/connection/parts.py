"""What the connection is told by configuration, and what it tells itself: settings, own messages, the API's address."""

from __future__ import annotations

from dataclasses import dataclass

from actors import messages as m
from actors.runtime import carrier, message, setting
from mesos_http import Endpoint

API_PATH = "/api/v1/scheduler"


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How patient the connection is."""

    missed_heartbeats: float = setting(
        5.0, help="How many announced heartbeat intervals of silence mean that the master is gone."
    )
    subscribe_timeout: float = setting(15.0, help="Longest wait for an answer to SUBSCRIBE.", unit="seconds")
    connect_timeout: float = setting(5.0, help="Longest wait for a connection.", unit="seconds")
    backoff: float = setting(0.5, help="Upper bound of the first wait before a new attempt.", unit="seconds")
    backoff_cap: float = setting(30.0, help="Upper bound of every wait before a new attempt.", unit="seconds")
    stable_after: float = setting(
        10.0,
        help="How long a subscription must have lasted for the waits to start small again.",
        unit="seconds",
    )
    teardown_timeout: float = setting(
        30.0,
        help="How long TEARDOWN is repeated until a master answers it; after that the framework ends with a failure.",
        unit="seconds",
    )
    max_in_flight: int = setting(1024, help="Calls that may be on their way at once.")


@message
class StreamOpened:
    """The attempt was answered with 200."""

    attempt: int
    endpoint: str
    stream_id: str


@message
class RecordsArrived:
    """Records of an attempt's stream, in order."""

    attempt: int
    records: tuple[bytes, ...] = carrier(lambda records: [m.size_only(record) for record in records])


@message
class StreamEnded:
    """The attempt's stream is over, or never came to be."""

    attempt: int
    reason: str
    fatal: bool = False


@message
class CallEnded:
    """A call was not taken: a status other than 2xx; or none (0), then `sent` says whether it may have arrived."""

    attempt: int
    call: m.Call
    sender: str
    status: int
    reason: str
    sent: bool = True


@message
class UpdateTaken:
    """The master has taken an UPDATE_FRAMEWORK: later subscriptions say the same."""

    call: m.UpdateFramework


@message
class TeardownEnded:
    """TEARDOWN was answered, or (status 0) was not."""

    attempt: int
    status: int
    reason: str


@message
class RetryDue:
    """Time for the next attempt."""

    attempt: int


@message
class WatchdogDue:
    """Time to see whether the stream still lives."""

    attempt: int


@message
class TeardownOverdue:
    """Nobody will answer TEARDOWN any more."""

    number: int


def endpoint_of(master: str) -> Endpoint:
    """Return the scheduler API's address on a master given as `host:port` or as a URL, with or without a path.

    Raises:
        ValueError: It is not such an address; one sentence.
    """
    endpoint = Endpoint.parse(master if "://" in master else f"http://{master}")
    return endpoint.with_path(API_PATH) if endpoint.path in {"", "/"} else endpoint
