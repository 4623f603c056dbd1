"""One attempt to subscribe, beside the actor: the stream is opened and read, and what happens is posted to the actor.

Everything is marked with the attempt's number, so that nothing that an old stream still says can be taken for news. Nothing
of the actor is touched from here but its mailbox; cancelling the reading closes the stream.
"""

from __future__ import annotations

from typing import Any, Protocol

from actors import messages as m
from actors.framework_settings import FrameworkSettings
from actors.runtime import ActorRef, carrier, message
from mesos_http import Endpoint, Peer, StreamBroken, Subscription, TransportError
from mesos_v1.errors import ApiError

API_PATH = "/api/v1/scheduler"
NOT_HTTP = "not an HTTP response"


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


class Transport(Protocol):
    """How a stream is opened, and how the peer is identified."""

    async def open_stream(self, endpoint: Endpoint, body: bytes) -> Subscription:
        """Open the subscription's stream."""

    async def identify(self, endpoint: Endpoint) -> Peer | None:
        """Find out who answers there."""


async def read_stream(
    me: ActorRef[Any],
    attempt: int,
    endpoint: Endpoint,
    body: bytes,
    *,
    transport: Transport,
    framework: FrameworkSettings,
) -> None:
    """Open the stream and post everything that it says, to its end."""

    async def explained(asked: Endpoint, error: str, *, fatal: bool) -> StreamEnded:
        """Say what is wrong with the address, where that is what is wrong; another one of a list may be right."""
        peer = await transport.identify(asked)
        if peer is None or peer is Peer.MASTER:
            return StreamEnded(attempt, f"{asked}: {error}", fatal)
        masters = framework.masters()
        only_one = len(masters) == 1 and not masters[0].startswith("zk://")
        mend = "give the address of the master (its port is 5050, unless set otherwise)"
        said = f"{asked.authority} is {peer.value}: {mend}. It said: {error}"
        return StreamEnded(attempt, said, fatal=only_one and (fatal or peer is Peer.AGENT))

    try:
        stream = await transport.open_stream(endpoint, body)
    except ApiError as error:
        never = not (error.retryable or error.not_leader or error.status == 404)
        if error.retryable or error.not_leader or error.unauthorized:
            me.tell(StreamEnded(attempt, f"{endpoint}: {error}", fatal=never))
        else:
            me.tell(await explained(endpoint, str(error), fatal=never))
        return
    except TransportError as error:
        said = f"{endpoint}: {error}"
        if NOT_HTTP in said:
            said = f"{endpoint.authority} does not speak HTTP, as a Mesos master does ({error}): is it the right port?"
        me.tell(StreamEnded(attempt, said))
        return
    try:
        if not stream.stream_id:
            said = "it answered SUBSCRIBE without a Mesos-Stream-Id"
            me.tell(await explained(stream.endpoint, said, fatal=True))
            return
        me.tell(StreamOpened(attempt, str(stream.endpoint), stream.stream_id))
        async for records in stream.batches():
            me.tell(RecordsArrived(attempt, records))
        me.tell(StreamEnded(attempt, "the stream was closed"))
    except StreamBroken as broken:
        me.tell(StreamEnded(attempt, broken.reason))
    finally:
        stream.close()


def endpoint_of(master: str) -> Endpoint:
    """Return the scheduler API's address on a master given as `host:port` or as a URL, with or without a path.

    Raises:
        ValueError: It is not such an address; one sentence.
    """
    endpoint = Endpoint.parse(master if "://" in master else f"http://{master}")
    return endpoint.with_path(API_PATH) if endpoint.path in {"", "/"} else endpoint
