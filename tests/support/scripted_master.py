"""A master on a real loopback socket that does what a test tells it, well-behaved or not."""

import asyncio
import itertools
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import asynccontextmanager

from mesos_v1 import pb
from mesos_v1.content import ContentType, parse, serialize
from mesos_v1.recordio import encode
from tests.support.raw_server import RawServer, Request, raw_server

TAKE = (200, "", "")
UNAVAILABLE = (503, "", "no leader yet")


def subscribed(framework_id: str = "f-1", heartbeat: float = 15.0) -> pb.scheduler.Event:
    event = pb.scheduler.Event(type=pb.scheduler.Event.SUBSCRIBED)
    event.subscribed.framework_id.value = framework_id
    event.subscribed.heartbeat_interval_seconds = heartbeat
    return event


class ScriptedMaster:
    """Takes subscriptions and calls, and writes down everything it was told.

    Attributes:
        answers: what the next SUBSCRIBEs are answered with, as (status, Location, body); `TAKE` when there is none.
        answer_call: what a call is answered with, as (status, body); None keeps the caller waiting.
    """

    def __init__(self) -> None:
        self.answers: deque[tuple[int, str, str]] = deque()
        self.answer_call: Callable[[pb.scheduler.Call], tuple[int, str] | None] = lambda _call: (202, "")
        self.greets = True
        self.gives_stream_ids = True
        self.healthy = {"/master/health"}
        self.subscribes: list[Request] = []
        self.calls: list[tuple[pb.scheduler.Call, Request]] = []
        self.framework_id = "f-1"
        self.heartbeat = 15.0
        self.stream_ids: list[str] = []
        self.server: RawServer | None = None
        self._ids = itertools.count(1)
        self._streams: list[tuple[asyncio.StreamWriter, ContentType]] = []
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"{self.server.endpoint.scheme}://127.0.0.1:{self.server.endpoint.port}"

    @property
    def types(self) -> list[str]:
        return [pb.scheduler.Call.Type.Name(call.type) for call, _ in self.calls]

    def is_alone(self) -> bool:
        """Whether every connection has ended: nothing can come that has not been written down."""
        assert self.server is not None
        return all(writer.is_closing() for writer in self.server.writers)

    async def handle(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.method == "GET":
            await self.respond(writer, 200 if request.path in self.healthy else 404, "")
            return
        content = ContentType(request.headers["content-type"])
        call = parse(pb.scheduler.Call, request.body, content)
        if call.type == pb.scheduler.Call.SUBSCRIBE:
            self.subscribes.append(request)
            await self._subscribe(request, writer)
        else:
            self.calls.append((call, request))
            answer = self.answer_call(call)
            if answer is not None:
                await self.respond(writer, *answer)
        self._news.set()

    async def _subscribe(self, request: Request, writer: asyncio.StreamWriter) -> None:
        status, location, body = self.answers.popleft() if self.answers else TAKE
        if status != 200:
            await self.respond(writer, status, body, f"Location: {location}\r\n" if location else "")
            return
        content = ContentType(request.headers["accept"])
        stream_id = f"stream-{next(self._ids)}"
        self.stream_ids.append(stream_id)
        self._streams.append((writer, content))
        head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: {content.value}\r\n" + (
            f"Mesos-Stream-Id: {stream_id}\r\n\r\n" if self.gives_stream_ids else "\r\n"
        )
        writer.write(head.encode())
        await writer.drain()
        if self.greets:
            await self.send(subscribed(self.framework_id, self.heartbeat))

    async def respond(self, writer: asyncio.StreamWriter, status: int, body: str, extra: str = "") -> None:
        data = body.encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n{extra}\r\n".encode() + data)
        await writer.drain()

    async def send(self, *events: pb.scheduler.Event, stream: int = -1) -> None:
        _, content = self._streams[stream]
        await self.send_bytes(b"".join(encode(serialize(event, content)) for event in events), stream=stream)

    async def send_bytes(self, data: bytes, *, stream: int = -1, cut: int = 0) -> None:
        writer, _ = self._streams[stream]
        size = cut or len(data) or 1
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            if cut:
                await asyncio.sleep(0)

    async def end_stream(self, stream: int = -1) -> None:
        writer, _ = self._streams[stream]
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def abort_stream(self, stream: int = -1) -> None:
        self._streams[stream][0].transport.abort()

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), 0.02)
                except TimeoutError:
                    continue


@asynccontextmanager
async def scripted_master(tls: ssl.SSLContext | None = None):
    master = ScriptedMaster()
    async with raw_server(master.handle, tls=tls) as server:
        master.server = server
        yield master
