"""A framework whose store is on servers, which go away while it works: it launches and acknowledges nothing, and then goes on."""

import uuid

import pytest

from tests.support.servers import Etcd, ZooKeeper, missing

pytestmark = pytest.mark.slow
SCHEMES = {Etcd: "etcd", ZooKeeper: "zk"}


@pytest.fixture(params=[Etcd, ZooKeeper], ids=lambda kind: kind.name)
def server(request, tmp_path):
    if reason := missing(request.param):
        pytest.skip(reason)
    with request.param(tmp_path / "server") as made:
        yield made


def on(server, tmp_path):
    return {
        "store__path": "",
        "store__url": f"{SCHEMES[type(server)]}://{server.address}/{uuid.uuid4().hex}/ledger",
        "server__upload_dir": str(tmp_path / "uploads"),
    }


def said(ledger, words):
    return ledger.terminal.read_text().count(words)


async def test_servers_that_are_away_for_a_while_cost_nothing_and_are_spoken_of_twice(
    ledger_on, server, tmp_path
):
    async with ledger_on(**on(server, tmp_path)) as (ledger, _):
        await ledger.until_told(10)
        server.kill()
        await ledger.until(lambda: said(ledger, "nothing is launched or acknowledged"), "a word of the store")
        told = len(ledger.told())
        server.restart()
        await ledger.until(lambda: said(ledger, "the store works again after"), "another word of the store")
        assert len(ledger.told()) >= told
        await ledger.end()
        ledger.audit(once=False)
        assert said(ledger, "nothing is launched or acknowledged") == 1, ledger.story()
        assert said(ledger, "the store works again after") == 1, ledger.story()


async def test_a_scheduler_that_is_killed_while_the_servers_are_away_goes_on_when_both_are_back(
    ledger_on, server, tmp_path
):
    async with ledger_on(**on(server, tmp_path)) as (ledger, _):
        await ledger.until_told(10)
        server.kill()
        await ledger.until(lambda: said(ledger, "nothing is launched or acknowledged"), "a word of the store")
        await ledger.kill()
        server.restart()
        await ledger.start()
        await ledger.end()
        ledger.audit(once=False)
