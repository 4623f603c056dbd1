"""Calls a second over loopback, pipelined and one at a time, in one run: `python -m benchmarks.http_calls`.

The server is a bare asyncio protocol in a process of its own that answers 202 as Mesos does, so that what is measured is
mostly the client.
"""

import asyncio
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection

from mesos_http import CallPipeline, Endpoint

ANSWER = b"HTTP/1.1 202 Accepted\r\nDate: Fri, 20 Nov 2026 19:23:59 GMT\r\nContent-Length: 0\r\n\r\n"
BODY = b"x" * 200


class Accepting(asyncio.Protocol):
    """Answers 202 for each request of a known size."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        size = end + 4 + len(BODY)  # every request is the same
        count = len(self.buffer) // size
        self.buffer = self.buffer[count * size :]
        self.transport.write(ANSWER * count)


def serve(pipe: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Accepting, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def measure(port: int) -> tuple[float, float]:
    pipeline = CallPipeline(Endpoint("http", "127.0.0.1", port, "/api/v1/scheduler"))
    await pipeline.send(BODY)
    start = time.perf_counter()
    singles = 3000
    for _ in range(singles):
        await pipeline.send(BODY)
    one_at_a_time = singles / (time.perf_counter() - start)
    many = 50_000
    start = time.perf_counter()
    await asyncio.gather(*(pipeline.send(BODY) for _ in range(many)))
    pipelined = many / (time.perf_counter() - start)
    pipeline.close()
    return one_at_a_time, pipelined


def main() -> int:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    one_at_a_time, pipelined = asyncio.run(measure(ours.recv()))
    server.terminate()
    print(f"one at a time: {one_at_a_time:,.0f} calls/s")
    print(f"pipelined:     {pipelined:,.0f} calls/s ({pipelined / one_at_a_time:.0f} times)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
