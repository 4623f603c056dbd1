"""A scheduler dies before and after each write and each call of a whole framework, in turn, and the next one loses nothing.

The framework launches, is told of updates, retries, fails, kills, reserves, takes an upload, keeps a state and ends. On the servers'
stores each start waits for the lease of the one that died, so that every eighth point is tried here; all of them:
`python tools/chaos.py --crash-points --store etcd`.
"""

from collections import Counter

import pytest

from tests.chaos.crashes import CLEARED, crashes, stores_on

CALLS = ("SUBSCRIBE", "ACCEPT", "ACKNOWLEDGE", "ACKNOWLEDGE_OPERATION_STATUS", "KILL", "SHUTDOWN", "TEARDOWN")
STORES = {"memory": lambda _folder: {}, "sqlite": stores_on(None)}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("store", STORES)
async def test_a_scheduler_that_dies_at_any_write_or_call_loses_nothing_and_doubles_nothing(store, tmp_path):
    async with crashes(tmp_path / store, STORES[store]) as schedulers:
        assert await schedulers.sweep() == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["etcd", "zookeeper"])
async def test_a_scheduler_that_dies_is_followed_by_another_on_servers(store, tmp_path, request):
    async with crashes(tmp_path / store, stores_on(request.getfixturevalue(store))) as schedulers:
        assert await schedulers.sweep(every=8) == {}


async def test_the_framework_that_crashes_makes_every_kind_of_call_and_many_writes(tmp_path):
    async with crashes(tmp_path / "counted", stores_on(None)) as schedulers:
        points = Counter(await schedulers.points())
    assert all(points[f"before {call}"] and points[f"after {call}"] for call in CALLS), points
    assert points["before a write"] > 20
    assert points[CLEARED] == 1
