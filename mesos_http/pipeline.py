"""Calls on one kept-alive connection, sent without waiting for the answers of the ones before.

Mesos answers pipelined requests in order (libprocess; tried on Mesos 1.12 with 2,000 in flight). The connection is opened when
there is something to send, and again after it broke. What was written when it broke fails with `ConnectionLost`: whether it
took effect is not known, and the caller decides what to do then. What was not yet written goes over the next connection,
once: if that cannot be opened, it fails with `ConnectFailed`. Redirects are answers like any other.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from mesos_http.connecting import BearerToken, Credentials, Timeouts, TlsSettings, connect, start_task
from mesos_http.endpoint import Endpoint
from mesos_http.errors import ConnectFailed, ConnectionLost, NotSent, TransportError
from mesos_http.http1 import Headers, RequestWriter, Response, ResponseReader

Answer = asyncio.Future[Response]


class CallPipeline:
    """Sends calls to one endpoint, in order.

    Args:
        headers: Sent with every call (a scheduler's Mesos-Stream-Id).
        max_in_flight: Calls written and not yet answered; the rest waits here.
        timeouts: ``response`` is the longest silence of the other side while an answer is due.
        may_write: Asked each time before anything is written; if it says no, what waits fails with `NotSent`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        headers: Headers = (),
        tls: TlsSettings | None = None,
        credentials: Credentials | BearerToken | None = None,
        max_in_flight: int = 1024,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self.endpoint = endpoint
        self._writer = RequestWriter(endpoint, headers=headers, credentials=credentials)
        self._tls = tls
        self._max_in_flight = max_in_flight
        self.timeouts = timeouts
        self._may_write = may_write
        self._queue: deque[tuple[bytes, Answer]] = deque()
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pump_due = False
        self._closed = False

    def __repr__(self) -> str:
        return f"CallPipeline({self.endpoint.url!r}, in_flight={self.in_flight}, queued={self.queued})"

    @property
    def in_flight(self) -> int:
        """Calls written and not yet answered."""
        return len(self._connection.answers) if self._connection else 0

    @property
    def queued(self) -> int:
        """Calls not yet written."""
        return len(self._queue)

    def send(self, body: bytes, content_type: str = "application/x-protobuf") -> Answer:
        """Send a call, on the loop; gives a `Response` of whatever status, `ConnectionLost` or `ConnectFailed`.

        Cancelling the answer does not unsend it.
        """
        request = self._writer.post(body, content_type)
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if self._closed:
            _fail(answer, ConnectionLost("the pipeline is closed"))
            return answer
        self._queue.append((request, answer))
        if not self._pump_due:
            self._pump_due = True
            loop.call_soon(self.pump)
        return answer

    def close(self, reason: str = "closed by us") -> None:
        """Close the connection at once; what has no answer fails with `ConnectionLost`."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.end(ConnectionLost(reason))
        self._fail_queued(ConnectionLost(reason))

    def pump(self) -> None:
        """Write what may be written now (called by the connection when there is room again)."""
        self._pump_due = False
        if self._closed or not self._queue:
            return
        if not self._may_write():
            self._fail_queued(NotSent("it may be sent no more"))
            return
        connection = self._connection
        if connection is None:
            if self._connecting is None:
                name = f"call pipeline to {self.endpoint.authority}"
                self._connecting = start_task(self._connect(), name=name)
            return
        batch: list[bytes] = []
        while self._queue and not connection.full and len(connection.answers) < self._max_in_flight:
            request, answer = self._queue.popleft()
            if answer.cancelled():
                continue
            batch.append(request)
            connection.answers.append(answer)
        if batch:
            connection.write(batch)

    async def _connect(self) -> None:
        try:
            _, connection = await connect(
                lambda: _Connection(self), self.endpoint, tls=self._tls, seconds=self.timeouts.connect
            )
        except TransportError as error:
            self._fail_queued(error)
            return
        finally:
            self._connecting = None
        if connection.ended:
            self._fail_queued(ConnectFailed(f"{self.endpoint.authority} closed the connection at once"))
        else:
            self._connection = connection
            self.pump()

    def lost(self, connection: "_Connection") -> None:
        """The connection has ended: open another one if something waits."""
        if self._connection is connection:
            self._connection = None
            self.pump()

    def _fail_queued(self, error: TransportError) -> None:
        while self._queue:
            _, answer = self._queue.popleft()
            _fail(answer, type(error)(*error.args))


class _Connection(asyncio.Protocol):
    """One connection of a pipeline: requests out, answers matched in order, silence noticed."""

    def __init__(self, pipeline: CallPipeline) -> None:
        self.answers: deque[Answer] = deque()
        self.full = False
        self.ended = False
        self._pipeline = pipeline
        self._patience = pipeline.timeouts.response
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def write(self, batch: list[bytes]) -> None:
        assert self._transport is not None
        if self._watch is None:
            self._heard = self._loop.time()
            self._watch = self._loop.call_later(self._patience, self._check_silence)
        self._transport.write(b"".join(batch))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        self._heard = self._loop.time()
        self._answer(self._reader.feed(data))
        if self._reader.error is not None:
            self.end(ConnectionLost(f"the answer cannot be read: {self._reader.error}"))

    def eof_received(self) -> None:
        self._answer(self._reader.eof())
        self.end(ConnectionLost(str(self._reader.error or "the other side closed the connection")))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(ConnectionLost(f"the connection broke: {exc}" if exc else "the connection was closed"))

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._pipeline.pump()

    def end(self, error: ConnectionLost) -> None:
        """Close, and fail what has no answer."""
        if self.ended:
            return
        self.ended = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
        while self.answers:
            _fail(self.answers.popleft(), ConnectionLost(*error.args))
        self._pipeline.lost(self)

    def _answer(self, responses: list[Response]) -> None:
        for response in responses:
            if not self.answers:  # such as a 408 before the other side closes an idle connection
                self.end(ConnectionLost("an answer came to no call"))
                return
            answer = self.answers.popleft()
            if not answer.done():
                answer.set_result(response)
            if response.close:
                self.end(ConnectionLost("the other side closed the connection after an earlier answer"))
                return
        self._pipeline.pump()

    def _check_silence(self) -> None:
        self._watch = None
        if not self.answers:
            return
        left = self._heard + self._patience - self._loop.time()
        if left <= 0:
            self.end(ConnectionLost(f"no answer within {self._patience:g} s"))
        else:
            self._watch = self._loop.call_later(left, self._check_silence)


def _fail(answer: Answer, error: TransportError) -> None:
    """Fail an answer that its caller may not wait for any more: asyncio is not to complain of that in the log."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()
