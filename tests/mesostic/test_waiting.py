"""Masters that are there or not, and the first of several things to happen."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from mesos_http import TlsSettings
from mesostic.errors import ClusterError
from mesostic.waiting import first_of
from mesostic.why_waiting import addresses_of, wait_for_master
from tests.support.raw_server import raw_server


@pytest.mark.parametrize(
    ("master", "addresses"),
    [
        ("http://a:5050", [("a", 5050)]),
        ("https://a", [("a", 443)]),
        ("zk://user:secret@a:1,b/mesos", [("a", 1), ("b", 2181)]),
        ("http://[::1]:5050/", [("::1", 5050)]),
    ],
)
def test_an_address_names_its_servers(master, addresses):
    assert addresses_of(master) == addresses


async def test_a_master_that_listens_is_reachable():
    told: list[str] = []
    async with answering({"/master/health": 200}) as url:
        await wait_for_master([url], 5, told.append)
    async with answering({"/master/health": 401}) as url:
        await wait_for_master([url], 5, told.append)
    assert told == []


@asynccontextmanager
async def answering(statuses: dict[str, int]):
    async def handle(request, writer):
        writer.write(f"HTTP/1.1 {statuses.get(request.path, 404)} X\r\nContent-Length: 0\r\n\r\n".encode())

    async with raw_server(handle) as server:
        yield f"http://127.0.0.1:{server.endpoint.port}"


async def test_an_agent_is_no_master():
    async with answering({"/slave(1)/health": 200}) as url:
        with pytest.raises(ClusterError, match=f"{url} is an agent, not a master"):
            await wait_for_master([url], 5, print)


async def test_a_server_that_is_no_mesos_is_told_and_tried():
    told: list[str] = []
    async with answering({}) as url:
        await wait_for_master([url], 5, told.append)
    assert told == [
        f"{url} answers, but does not look like a Mesos master (it has no /master/health). Trying it anyway."
    ]


async def test_a_server_that_speaks_no_http_is_told_with_what_to_try():
    async def garbage(_request, writer):
        writer.write(b"220 mail ready\r\n\r\n")

    async with raw_server(garbage) as server:
        with pytest.raises(ClusterError, match=r"does not answer HTTP: .*; if it speaks TLS, write https://"):
            await wait_for_master([f"http://127.0.0.1:{server.endpoint.port}"], 0.1, print)
        with pytest.raises(ClusterError, match=r"; if it does not speak TLS, write http://"):
            await wait_for_master([f"https://127.0.0.1:{server.endpoint.port}"], 0.1, print)


async def test_a_certificate_that_is_not_trusted_is_told_with_what_to_try(certificates):
    async def handle(_request, writer):
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(handle, tls=certificates.server_context(certificates.server)) as server:
        url = f"https://127.0.0.1:{server.endpoint.port}"
        with pytest.raises(ClusterError, match=r"certificate .* is not accepted.*framework\.ca"):
            await wait_for_master([url], 0.1, print)
        await wait_for_master([url], 5, print, tls=TlsSettings(ca=certificates.ca))


async def test_a_master_that_nobody_is_is_told_at_once_and_given_up_in_time(unused_port):
    told: list[str] = []
    with pytest.raises(
        ClusterError, match=rf"127\.0\.0\.1:{unused_port} \(connection refused\).*Tried for 0\.1 s"
    ):
        await wait_for_master([f"http://127.0.0.1:{unused_port}"], 0.1, told.append)
    assert len(told) == 1


async def test_the_first_to_end_cancels_the_others():
    ended = asyncio.Event()

    async def other():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def wanted():
        return 7

    assert await first_of(wanted(), other()) == 7
    assert ended.is_set()


async def test_when_another_ends_first_there_is_no_result():
    async def other():
        return 3

    assert await first_of(asyncio.Event().wait(), other()) is None


async def test_what_another_raises_comes_out():
    async def other():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await first_of(asyncio.Event().wait(), other())
