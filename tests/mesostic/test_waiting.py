"""Masters that are there or not, and the first of several things to happen."""

import asyncio

import pytest

from mesostic.errors import ClusterError
from mesostic.reachability import addresses_of, wait_for_master
from mesostic.waiting import first_of


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
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    told: list[str] = []
    await wait_for_master([f"http://127.0.0.1:{port}"], 5, told.append)
    assert told == []
    server.close()
    await server.wait_closed()


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
