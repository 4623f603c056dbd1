"""An HTTP server on a real loopback socket that says exactly the bytes a test wants said, when it wants them said."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mesos_http import Endpoint, Subscription


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int  # number of the connection, from 0


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    def __init__(self, handler: Handler) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.endpoint = Endpoint("http", "127.0.0.1", 0)
        self._handler = handler
        self._serving: list[asyncio.Task[None]] = []

    async def end(self) -> None:
        """Nothing is served any more when this returns, and every socket is closed."""
        self.drop_connections()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        self.writers.append(writer)
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.append(serving)
        try:
            while not writer.is_closing():
                request = await _read(reader, number)
                if request is None:
                    break
                self.requests.append(request)
                await self._handler(request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def drop_connections(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, number: int) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body, number)


@asynccontextmanager
async def raw_server(
    handler: Handler, *, tls: ssl.SSLContext | None = None, socket_path: str = "", host: str = "127.0.0.1"
):
    server = RawServer(handler)
    if socket_path:
        listener = await asyncio.start_unix_server(server.serve, socket_path)
        server.endpoint = Endpoint.unix(socket_path, "/api/v1/executor")
    else:
        listener = await asyncio.start_server(server.serve, host, 0, ssl=tls)
        port = listener.sockets[0].getsockname()[1]
        server.endpoint = Endpoint("https" if tls else "http", "127.0.0.1", port, "/api/v1/scheduler")
    try:
        yield server
    finally:
        listener.close()
        await server.end()


def response(status: int, body: bytes = b"", headers: str = "", reason: str = "Some Reason") -> bytes:
    return b"HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n%s" % (
        status,
        reason.encode(),
        headers.encode(),
        len(body),
        body,
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: stream-1\r\n"
    b"Content-Type: application/x-protobuf\r\n\r\n"
)


async def in_pieces(writer: asyncio.StreamWriter, data: bytes, size: int) -> None:
    """Write so that the other side sees the pieces (nearly) one by one."""
    for at in range(0, len(data), size):
        writer.write(data[at : at + size])
        await writer.drain()
        await asyncio.sleep(0)


async def records_of(subscription: Subscription) -> AsyncIterator[bytes]:
    """The records of a subscription, one by one."""
    async for batch in subscription.batches():
        for record in batch:
            yield record
