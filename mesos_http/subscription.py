"""A subscription: one POST whose answer is an endless RecordIO stream (scheduler, executor and operator API).

It knows nothing of what is in the records, of heartbeats or of coming back: that is the business of the actors that own it.
Reading is held back (TCP backpressure) while more than `HIGH_WATER` bytes of records wait to be taken.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from ipaddress import ip_address

from mesos_http.connecting import BearerToken, Credentials, Timeouts, TlsSettings, connect
from mesos_http.endpoint import Endpoint
from mesos_http.errors import NotSent, RedirectFailed, StreamBroken
from mesos_http.http1 import END, Head, RequestWriter, ResponseParser
from mesos_v1.errors import ApiError
from mesos_v1.recordio import Decoder, RecordIOError

MAX_REDIRECTS = 5
MAX_RECORD = 64 * 1024 * 1024
HIGH_WATER = 8 * 1024 * 1024
_MAX_ERROR_BODY = 16 * 1024
_REDIRECTS = frozenset({301, 302, 307, 308})


class Subscription:
    """An open subscription, made by `open`; `stream_id` goes with every call of a scheduler."""

    def __init__(self, endpoint: Endpoint, stream: "_Stream", head: Head) -> None:
        self.endpoint = endpoint  # where it was opened in the end: calls go there as well
        self.stream_id = head.header("mesos-stream-id")
        self._stream = stream

    def __repr__(self) -> str:
        return f"Subscription({self.endpoint.url!r}, stream_id={self.stream_id!r})"

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        body: bytes,
        *,
        content_type: str = "application/x-protobuf",
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
        tls: TlsSettings | None = None,
        credentials: Credentials | BearerToken | None = None,
        follow_redirects: int = MAX_REDIRECTS,
        trusted: Collection[str] = (),
        max_record_bytes: int = MAX_RECORD,
        may_write: Callable[[], bool] = lambda: True,
    ) -> "Subscription":
        """Subscribe.

        Args:
            follow_redirects: How many redirects to follow; from https to http nothing is followed.
            trusted: Hosts that may be told the credentials, as the endpoint's own. With credentials, a redirect to any
                other host is not followed.
            may_write: Asked when there is a connection, before anything is written.

        Raises:
            ConnectFailed: No connection (`RedirectFailed` when redirects lead nowhere, `NotSent` when it was not to be used).
            ApiError: The answer is not 200.
            StreamBroken: The connection broke, or fell silent, before there was an answer.
        """
        seen = {endpoint}
        first = endpoint.host
        while True:
            writer = RequestWriter(endpoint, headers=(("Accept", content_type),), credentials=credentials)
            transport, stream = await connect(
                lambda: _Stream(max_record_bytes), endpoint, tls=tls, seconds=timeouts.connect
            )
            try:
                if not may_write():
                    raise NotSent("it may be sent no more")
                transport.write(writer.post(body, content_type))
                head = await stream.answer(timeouts.response)
            except BaseException:
                stream.close()
                raise
            if head.status == 200:
                return cls(endpoint, stream, head)
            stream.close()
            if head.status not in _REDIRECTS or not follow_redirects:
                raise ApiError(head.status, stream.error_body, location=head.header("location") or None)
            target = _next_hop(endpoint, head, seen, follow_redirects)
            if credentials is not None and not await _is_one_of(target.host, {first, *trusted}):
                raise RedirectFailed(
                    f"{endpoint} redirects to {target.authority}, which is not one of the addresses that were given, and "
                    "would be told the credentials: if it is a master of yours, name it too"
                )
            endpoint = target

    async def batches(self) -> AsyncIterator[tuple[bytes, ...]]:
        """Give the records in the groups in which they come, until `close`. For one reader. StreamBroken comes after the last."""
        stream = self._stream
        while True:
            if records := stream.take():
                yield records
            elif stream.closed:
                return
            elif stream.broken is not None:
                raise stream.broken
            else:
                await stream.wait()

    def close(self) -> None:
        """Close the connection at once. May be called more than once."""
        self._stream.close()


def _next_hop(endpoint: Endpoint, head: Head, seen: set[Endpoint], limit: int) -> Endpoint:
    if not (location := head.header("location")):
        raise RedirectFailed(f"{endpoint} redirects ({head.status}), but does not say where to")
    target = endpoint.redirected(location)
    if target in seen:
        raise RedirectFailed(f"{endpoint} redirects in a circle: to {target}, which was asked before")
    if len(seen) > limit:
        raise RedirectFailed(f"more than {limit} redirects; the last one from {endpoint} to {target}")
    seen.add(target)
    return target


async def _is_one_of(host: str, hosts: Collection[str]) -> bool:
    """Whether these are its names, or it is an address of one of them. What a name in a redirect leads to proves nothing."""
    if host in hosts:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    loop = asyncio.get_running_loop()
    for name in hosts:
        try:
            found = await loop.getaddrinfo(name, None)
        except (OSError, UnicodeError):
            continue
        if any(ip_address(sockaddr[0]) == address for *_, sockaddr in found):
            return True
    return False


class _Stream(asyncio.Protocol):
    """The connection of a subscription: HTTP and RecordIO decoded as bytes arrive, records kept until taken."""

    def __init__(self, max_record_bytes: int) -> None:
        self.broken: StreamBroken | None = None
        self.closed = False
        self.error_body = ""
        self._parser = ResponseParser()
        self._decoder = Decoder(max_record_bytes)
        self._transport: asyncio.Transport | None = None
        self._head: Head | None = None
        self._answered = False
        self._records: list[bytes] = []
        self._waiting = 0  # bytes of them
        self._paused = False
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.broken is not None or self.closed:
            return
        try:
            for part in self._parser.feed(data):
                self._take_part(part)
        except RecordIOError as error:
            self._break(str(error))
        if self._parser.error is not None:
            self._break(str(self._parser.error))
        self._changed.set()

    def eof_received(self) -> None:
        for part in self._parser.eof():
            self._take_part(part)
        if self._parser.error is not None:
            self._end("the connection was closed by the other side")
        self._end("the other side closed the connection without an answer")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection broke: {exc}" if exc else "the connection was closed")

    async def answer(self, seconds: float) -> Head:
        """Wait for the head, and for the whole body when it is an error's."""
        try:
            async with asyncio.timeout(seconds):
                while not self._answered:
                    if self.broken is not None:
                        if self._head is not None and self._head.status != 200:
                            break  # an error whose body broke off is still that error
                        raise self.broken
                    await self.wait()
        except TimeoutError:
            if self._head is None or self._head.status == 200:
                raise StreamBroken(f"no answer within {seconds:g} s") from None
        assert self._head is not None
        return self._head

    async def wait(self) -> None:
        """Wait until something has changed."""
        self._changed.clear()
        await self._changed.wait()

    def take(self) -> tuple[bytes, ...]:
        """Take all records, and resume reading."""
        records = tuple(self._records)
        self._records.clear()
        self._waiting = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return records

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        self._changed.set()

    def _take_part(self, part: object) -> None:
        if isinstance(part, Head):
            self._head = part
            self._answered = part.status == 200
        elif self._head is None or self._head.status != 200:
            if part is END:
                self._answered = True
            elif isinstance(part, bytes) and len(self.error_body) < _MAX_ERROR_BODY:
                self.error_body += part[:_MAX_ERROR_BODY].decode("utf-8", "replace")
        elif part is END:
            self._end("the other side ended the stream")
        elif isinstance(part, bytes):
            records = self._decoder.feed(part)
            self._records += records
            self._waiting += sum(map(len, records))
            if self._waiting > HIGH_WATER and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
            if self._decoder.failed:  # known already: do not wait for the next bytes
                self._decoder.feed(b"")

    def _end(self, reason: str) -> None:
        try:
            self._decoder.finish()
        except RecordIOError as error:
            reason = f"{reason} in the middle of a record ({error})"
        self._break(reason)
        self._changed.set()

    def _break(self, reason: str) -> None:
        if self.broken is None:
            self.broken = StreamBroken(reason)
            if self._transport is not None:
                self._transport.abort()
