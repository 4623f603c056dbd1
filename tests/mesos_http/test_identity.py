"""Who answers at an address, told by the health checks that masters and agents serve under their own names."""

import pytest

from mesos_http import Endpoint, Peer, who_answers
from tests.support.raw_server import raw_server


@pytest.mark.parametrize(
    ("served", "body", "expected"),
    [
        ({"/master/health"}, "", Peer.MASTER),
        ({"/slave(1)/health"}, "", Peer.AGENT),
        (set(), "", Peer.OTHER),
        ({"/master/health", "/slave(1)/health"}, "<html>a page for every path</html>", Peer.OTHER),
    ],
)
async def test_masters_and_agents_are_told_from_each_other_and_from_others(served, body, expected):
    async def answer(request, writer):
        status = 200 if request.path in served else 404
        assert (request.method, request.body) == ("GET", b"")
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()

    async with raw_server(answer) as server:
        assert await who_answers(server.endpoint.with_path("/api/v1/scheduler")) is expected


async def test_where_nobody_answers_nothing_is_said():
    async def silent(_request, _writer):
        return

    async with raw_server(silent) as server:
        assert await who_answers(server.endpoint, seconds=0.1) is None
        port = server.endpoint.port
    assert await who_answers(Endpoint("http", "127.0.0.1", port), seconds=1.0) is None
