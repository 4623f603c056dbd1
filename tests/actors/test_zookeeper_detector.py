"""Leader detection with a real ZooKeeper (Debian's package zookeeper), and its parts without one."""

import asyncio
import json

import pytest

from actors import messages as m
from actors.connection.detector import address_in, leader_of, zookeeper_address
from actors.framework_settings import FrameworkSettings
from actors.runtime import ActorSystem
from tests.actors.test_connection_over_http import QUICK, Bench
from tests.support.scripted_master import scripted_master


@pytest.mark.parametrize(
    ("url", "hosts", "path", "auth"),
    [
        ("zk://a:2181,b:2181/mesos", "a:2181,b:2181", "/mesos", ""),
        ("zk://user:word@a:2181/deep/path/", "a:2181", "/deep/path", "user:word"),
    ],
)
def test_a_zookeeper_address_is_taken_apart(url, hosts, path, auth):
    assert zookeeper_address(url) == (hosts, path, auth)


@pytest.mark.parametrize(
    "url", ["zk://a:2181", "zk://a:2181/", "zk:///mesos", "http://a/mesos", "zk://u:secret@/x"]
)
def test_an_address_without_hosts_or_path_is_refused_without_showing_credentials(url):
    with pytest.raises(ValueError, match="zk://host:port") as raised:
        zookeeper_address(url)
    assert "secret" not in str(raised.value)


def test_the_lowest_number_leads():
    assert leader_of(["log_replicas", "json.info_0000000012", "json.info_0000000003", "info_0000000001"]) == (
        "json.info_0000000003"
    )
    assert leader_of(["log_replicas"]) is None


@pytest.mark.parametrize(
    ("info", "address"),
    [
        ({"address": {"hostname": "m1", "ip": "10.0.0.1", "port": 5050}}, "m1:5050"),
        ({"address": {"ip": "10.0.0.1", "port": 5050}}, "10.0.0.1:5050"),
        ({"hostname": "m2", "port": 5051}, "m2:5051"),
        ({"address": {"ip": "::1", "port": 5050}}, "[::1]:5050"),
    ],
)
def test_a_masters_address_is_read(info, address):
    assert address_in(json.dumps(info).encode()) == address


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"address": {"ip": "x"}}', b"\xff"])
def test_what_is_no_master_info_is_refused(data):
    with pytest.raises(ValueError):
        address_in(data)


async def test_that_nobody_leads_is_said_with_the_path_that_was_looked_at(zookeeper, caplog):
    async with scripted_master() as master, ActorSystem() as system:
        settings = FrameworkSettings(name="t", user="u", master=f"zk://{zookeeper.address}/mistyped")
        Bench(system, master, settings, QUICK).connection.tell(m.Connect())
        async with asyncio.timeout(20):
            while (
                f"ZooKeeper {zookeeper.address} knows of no leading master at /mistyped: " not in caplog.text
            ):
                await asyncio.sleep(0.05)


async def test_the_leader_is_found_and_followed_to_the_next_one(zookeeper):
    from kazoo.client import KazooClient

    def info(master):
        port = master.server.endpoint.port
        return json.dumps(
            {"id": "x", "address": {"hostname": "127.0.0.1", "ip": "127.0.0.1", "port": port}}
        ).encode()

    client = KazooClient(zookeeper.address)
    await asyncio.to_thread(client.start)
    async with scripted_master() as one, scripted_master() as two, ActorSystem() as system:
        settings = FrameworkSettings(name="t", user="u", master=f"zk://{zookeeper.address}/mesos")
        bench = Bench(system, one, settings, QUICK)
        bench.connection.tell(m.Connect())
        await asyncio.sleep(0.5)
        assert bench.heard(m.Subscribed) == []  # nobody leads yet
        first = await asyncio.to_thread(
            client.create, "/mesos/json.info_", info(one), None, True, True, makepath=True
        )
        await one.until(lambda: len(one.subscribes) == 1, 15)
        await asyncio.to_thread(client.create, "/mesos/json.info_", info(two), None, True, True)
        await asyncio.sleep(0.3)
        assert len(two.subscribes) == 0
        await asyncio.to_thread(client.delete, first)
        await two.until(lambda: len(two.subscribes) == 1, 15)
        await two.until(lambda: len([x for x in bench.scheduler if isinstance(x, m.Subscribed)]) == 2)
        assert b"f-1" in two.subscribes[0].body
    await asyncio.to_thread(client.stop)
    await asyncio.to_thread(client.close)
