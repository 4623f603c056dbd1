import asyncio
import contextlib

import pytest

from mesos_http import BearerToken, ConnectFailed, ConnectionLost, Endpoint, Timeouts, exchange
from tests.support.raw_server import raw_server, response


async def echo_size(request, writer):
    writer.write(response(201, b"%d" % len(request.body)))


async def test_a_body_in_memory_is_sent():
    async with raw_server(echo_size) as server:
        answer = await exchange(
            "PUT", server.endpoint.with_path("/uploads/a.png"), b"x" * 700_000, credentials=BearerToken("hush"),
            headers=(("Content-Type", "image/png"),),
        )  # fmt: skip
        assert (answer.status, answer.body) == (201, b"700000")
    (request,) = server.requests
    assert (request.method, request.path) == ("PUT", "/uploads/a.png")
    assert request.headers["authorization"] == "Bearer hush"
    assert request.headers["content-type"] == "image/png"


async def test_a_file_is_streamed(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"abc" * 1_000_000)
    async with raw_server(echo_size) as server:
        assert (await exchange("PUT", server.endpoint, path)).body == b"3000000"


@pytest.mark.parametrize(("size", "fits"), [(1, True), (107, True), (108, False)])
async def test_a_domain_socket_is_found_if_at_least_its_relative_path_fits(tmp_path, monkeypatch, size, fits):
    """An address has room for a path of 107 bytes."""
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.chdir(deep)
    name = "s" * size
    async with raw_server(echo_size, socket_path=name if fits else "s"):
        asked = exchange("PUT", Endpoint.unix(str(deep / name), "/"), b"12345")
        if fits:
            assert (await asked).body == b"5"
        else:
            with pytest.raises(ConnectFailed, match="is longer than 107 bytes"):
                await asked


async def test_a_missing_file_is_an_os_error(tmp_path):
    async with raw_server(echo_size) as server:
        with pytest.raises(FileNotFoundError):
            await exchange("PUT", server.endpoint, tmp_path / "none")


async def test_a_refusal_before_the_whole_body_was_sent_is_the_answer(tmp_path):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(413, b"at most 1 MB", headers="Connection: close\r\n"))
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)  # until the other side has enough
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    over = asyncio.Event()
    path = tmp_path / "big"
    path.write_bytes(bytes(50_000_000))
    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with raw_server(echo_size) as server:
        endpoint = type(server.endpoint)("http", "127.0.0.1", listener.sockets[0].getsockname()[1])
        answer = await asyncio.wait_for(exchange("PUT", endpoint, path), 10)
        assert (answer.status, answer.text) == (413, "at most 1 MB")
    await over.wait()
    listener.close()


@pytest.mark.parametrize(
    ("says", "answer"),
    [("without an answer", b""), ("cannot be read", b"nonsense\r\n\r\n"), ("cannot be read", b"HTTP/1.1 20")],
)
async def test_no_answer_or_nonsense_is_a_lost_connection(says, answer):
    async def handler(request, writer):
        writer.write(answer)
        writer.close()

    async with raw_server(handler) as server:
        with pytest.raises(ConnectionLost, match=says):
            await exchange("PUT", server.endpoint, b"x")


async def test_silence_is_given_up():
    async def handler(request, writer):
        await asyncio.sleep(30)

    async with raw_server(handler) as server:
        with pytest.raises(ConnectionLost, match=r"no answer within 0.05 s"):
            await exchange("PUT", server.endpoint, b"x", timeouts=Timeouts(connect=5, response=0.05))


async def test_nobody_listening_is_a_failed_connect():
    async with raw_server(echo_size) as server:
        endpoint = server.endpoint
    with pytest.raises(ConnectFailed):
        await exchange("GET", endpoint)
