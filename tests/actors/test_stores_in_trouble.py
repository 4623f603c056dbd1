"""The store over servers that die, stop answering and fill up, for real: what it says is stored is, and it goes on by itself."""

import asyncio
import itertools
import os
import resource
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from actors import messages as m
from actors.framework_settings import Composition, FrameworkSettings
from actors.runtime import ActorSystem
from actors.store.log import LogBackend
from actors.store_actor import StoreActor, StoreSettings
from tests.support import servers as real
from tests.support.actor_bench import ActorBench


@dataclass
class Trouble:
    """Where a store is, and what happens to it."""

    settings: StoreSettings
    begin: Callable[[], object]
    end: Callable[[], object]


def settings_at(server: real.Server, **more: Any) -> StoreSettings:
    scheme = "etcd" if isinstance(server, real.Etcd) else "zk"
    url = f"{scheme}://{server.address}/trouble/{uuid.uuid4().hex}"
    return StoreSettings(url=url, lease=3.0, retry_after=0.1, **more)


def killed(server: real.Server) -> Trouble:
    return Trouble(settings_at(server), server.kill, server.restart)


def frozen(server: real.Server) -> Trouble:
    return Trouble(settings_at(server), server.freeze, server.thaw)


def out_of_disk(server: real.Server) -> Trouble:
    """It dies of it, as ZooKeeper does."""

    def fill() -> None:
        assert server.process is not None
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, 1))

    return Trouble(settings_at(server), fill, server.restart)


TROUBLES = {
    "etcd killed": ("etcd", killed),
    "etcd frozen": ("etcd", frozen),
    "ZooKeeper killed": ("zookeeper", killed),
    "ZooKeeper frozen": ("zookeeper", frozen),
    "ZooKeeper out of disk": ("zookeeper", out_of_disk),
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_what_is_said_to_be_stored_is_stored_and_the_rest_waits_until_the_servers_are_back(
    name, request
):
    server, make = TROUBLES[name]
    await _goes_on(make(request.getfixturevalue(server)))


async def test_a_store_in_etcd_goes_on_when_a_full_etcd_has_room_again(tmp_path):
    if reason := real.missing(real.Etcd):
        pytest.skip(reason)
    with real.Etcd(tmp_path, quota=4 << 20) as server:
        await _goes_on(Trouble(settings_at(server), server.fill, server.make_room))


async def _goes_on(trouble: Trouble) -> None:
    settings = trouble.settings
    numbers = itertools.count(1)
    model: dict[str, bytes] = {}
    async with ActorSystem() as running:
        bench = ActorBench(running, "scheduler", "writer", "election")
        composition = Composition(FrameworkSettings(), coordinate=settings.coordinate)
        running.spawn(StoreActor, composition, settings, name="store")

        def write(count: int) -> int:
            for number in itertools.islice(numbers, count):
                key, gone = f"t-{number % 7}", f"t-{(number + 3) % 7}"
                model[key] = os.urandom(10)
                model.pop(gone, None)
                bench.say(
                    "writer", "store", m.Write((m.Record("k", key, model[key]),), (("k", gone),), number)
                )
            return number

        async def stored(number: int) -> None:
            async with asyncio.timeout(30):
                while bench.of("writer", m.Stored)[-1:] != [m.Stored(number)]:
                    await asyncio.sleep(0.01)

        await stored(write(20))
        for _ in range(2):
            before = bench.of("writer", m.Stored)
            told = len(bench.of("scheduler", m.StorageTrouble))
            await asyncio.to_thread(trouble.begin)
            write(20)
            async with asyncio.timeout(20):
                while len(bench.of("scheduler", m.StorageTrouble)) == told:
                    await asyncio.sleep(0.01)
            last = write(5)
            assert bench.of("writer", m.Stored) == before
            assert bench.of("scheduler", m.StoreAway)[-1] != m.StoreAway()
            await asyncio.to_thread(trouble.end)
            await stored(last)
            assert bench.of("scheduler", m.StoreAway)[-1] == m.StoreAway()
            assert len(bench.of("scheduler", m.StorageTrouble)) == told + 1
        assert [each.reference for each in bench.of("writer", m.Stored)] == list(range(1, last + 1))
    assert settings.coordinate is not None
    again = LogBackend(settings.coordinate(), settings.url)
    again.open()
    assert {record.key: record.value for record in again.load()} == model
    again.close()
