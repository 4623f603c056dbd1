"""Shipping the trace: what the server already has is not sent again, and what goes wrong is said once and holds nobody up."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from actors.runtime import ActorSystem
from executor.framework_server import FrameworkServer
from executor.messages import FinishShipping, ShipSoon
from executor.trace_actor import TraceActor
from tests.support.raw_server import raw_server, response
from wire.framework_server import MAX_TRACE_PIECE


class Server:
    """Keeps what it is sent; answers with what a test has put in front."""

    def __init__(self) -> None:
        self.has = b""
        self.offsets: list[int] = []
        self.answers: list[bytes] = []

    async def handle(self, request, writer):
        assert request.method == "PUT"
        assert request.path.startswith("/traces/exec%201?offset=")
        if request.headers.get("authorization") != "Bearer token":
            writer.write(response(401))
            return
        offset = int(request.path.partition("?offset=")[2])
        self.offsets.append(offset)
        if self.answers:
            writer.write(self.answers.pop(0))
        elif offset > len(self.has):
            writer.write(response(409, b'{"offset": %d}' % len(self.has)))
        else:
            self.has = self.has[:offset] + request.body
            writer.write(response(204))


@asynccontextmanager
async def shipping(path, *, port=None):
    server = Server()
    async with raw_server(server.handle) as running, ActorSystem("executor") as system:
        endpoint = running.endpoint.with_path("")
        url = endpoint.url if port is None else f"http://127.0.0.1:{port}"
        ref = system.spawn(TraceActor, path, FrameworkServer(url, "token"), "exec 1", lambda: None)
        yield server, ref
        assert system.failure is None
        assert ref.is_alive()


def complaints(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "executor.trace_actor"]


async def test_all_of_a_trace_is_shipped_in_pieces_at_the_end(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(bytes(range(256)) * (2 * MAX_TRACE_PIECE // 256) + b"the end")
    async with shipping(path) as (server, ref):
        await ref.ask(FinishShipping(), block=False)
        assert server.has == path.read_bytes()
        assert server.offsets == [0, MAX_TRACE_PIECE, 2 * MAX_TRACE_PIECE]
        await ref.ask(FinishShipping(), block=False)
        assert len(server.offsets) == 3, "there is nothing new"


async def test_a_server_that_has_forgotten_gets_the_rest_from_where_it_is(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"abc")
    async with shipping(path) as (server, ref):
        await ref.ask(FinishShipping(), block=False)
        server.has = b"a"
        path.write_bytes(b"abcdef")
        await ref.ask(FinishShipping(), block=False)
        assert server.has == b"abcdef"
        assert server.offsets == [0, 3, 1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (response(409, b'{"offset": 9}'), "the server has 9 bytes, and 0 were sent"),
        (response(409, b'{"offset": -1}'), "the server has -1 bytes, and 0 were sent"),
        (response(409, b"{}"), "an answer 409 without an offset"),
        (response(409, b"nonsense"), "an answer 409 without an offset"),
        (response(500, b"full"), "HTTP 500 full"),
        (response(300, b"elsewhere"), "HTTP 300 elsewhere"),
    ],
)
async def test_what_is_refused_is_said_once_and_tried_again(tmp_path, caplog, answer, says):
    caplog.set_level(logging.WARNING)
    path = tmp_path / "t"
    path.write_bytes(b"abc")
    async with shipping(path) as (server, ref):
        server.answers = [answer, answer]
        await ref.ask(FinishShipping(), block=False)
        await ref.ask(FinishShipping(), block=False)
        assert complaints(caplog) == [f"the trace cannot be shipped: {says}"]
        await ref.ask(FinishShipping(), block=False)
        assert server.has == b"abc"
        server.answers = [answer]
        path.write_bytes(b"abcd")
        await ref.ask(FinishShipping(), block=False)
        assert len(complaints(caplog)) == 2, "it had gone well in between"


async def test_a_trace_that_cannot_be_read_or_a_server_that_is_not_there_fails_nothing(
    tmp_path, caplog, unused_tcp_port
):
    caplog.set_level(logging.WARNING)
    async with shipping(tmp_path / "none") as (server, ref):
        await ref.ask(FinishShipping(), block=False)
        assert "No such file" in complaints(caplog)[0]
        (tmp_path / "none").write_bytes(b"abc")
        await ref.ask(FinishShipping(), block=False)
        assert server.has == b"abc"
    async with shipping(tmp_path / "none", port=unused_tcp_port) as (_, ref):
        await ref.ask(FinishShipping(), block=False)
        assert "no connection" in complaints(caplog)[-1]


async def test_the_end_of_a_task_brings_the_next_piece_forward(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"abc")
    async with shipping(path) as (server, ref):
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            ref.tell(ShipSoon())
        while not server.has:
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - began >= 0.1, "together with what comes in that moment"
        assert server.offsets == [0]
