"""Operations of a framework whose process dies, wherever it dies; agents that restart in between: nothing is lost, nothing is left behind."""

import asyncio
import itertools
import json
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from playa import AgentSettings, Cluster, ClusterSettings
from tests.system.operations_program import DIED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
STEP = 3  # how far apart the points are at which it dies; with 1 all of them (about 90) take four minutes
AGENT = AgentSettings(resources="cpus:1;mem:100;disk:1000", registration_backoff_factor=0.1)


def settings(folder):
    return ClusterSettings(port=0, work_dir=str(folder), agents=(AGENT,), allocation_interval=0.1)


async def run_program(url, store, die_at):
    """Its exit code, how many points it passed, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.operations_program", url, str(store), str(die_at),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
        raise AssertionError(f"it hangs: {said.decode()}") from None
    return process.returncode, said.decode()


async def left_on(cluster):
    """What is reserved on the agents, once there are some."""

    def ask():
        with urllib.request.urlopen(f"{cluster.url}/slaves", timeout=10) as answer:
            return [each["reserved_resources_full"] for each in json.load(answer)["slaves"]]

    async with asyncio.timeout(30):
        while not (left := await asyncio.to_thread(ask)):
            await asyncio.sleep(0.05)
    return left


async def test_a_scheduler_that_dies_at_any_point_loses_no_operation_and_leaves_nothing_behind(tmp_path):
    points, died = itertools.count(1, STEP), []

    async def die_and_go_on(folder):
        """Take one point after the other, on a cluster of its own; several do, as it is mostly waiting."""
        async with Cluster(settings(folder / "cluster")) as cluster:
            for die_at in points:
                store = folder / f"store-{die_at}.db"
                code, said = await run_program(cluster.url, store, die_at)
                if code == 0:  # it has fewer points
                    return
                assert code == DIED, said
                died.append(die_at)
                code, said = await run_program(cluster.url, store, 0)
                assert code == 0, f"after it died at point {die_at}: {said}"
                assert await left_on(cluster) == [{}], f"after it died at point {die_at}"

    async with asyncio.TaskGroup() as together:
        for number in range(4):
            together.create_task(die_and_go_on(tmp_path / str(number)))
    assert len(died) > 25


@pytest.mark.parametrize("what", ["agent", "master"])
async def test_an_agent_or_a_master_that_dies_again_and_again_loses_no_operation(tmp_path, what):
    impatient = replace(settings(tmp_path / "cluster"), agent_ping_timeout=0.2, max_agent_ping_timeouts=3)
    async with Cluster(impatient) as cluster:
        running = asyncio.ensure_future(run_program(cluster.url, tmp_path / "store.db", 0))
        deaths = 0
        while not running.done() and deaths < 6:
            if what == "agent":
                await cluster.faults.kill_agent(restart_after=0.05)
            else:
                await cluster.faults.restart_master()
            deaths += 1
            await asyncio.wait([running], timeout=0.4)
        code, said = await running
        assert code == 0, said
        assert deaths > 1
        assert await left_on(cluster) == [{}]
