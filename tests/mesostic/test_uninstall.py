"""`mesostic uninstall`: what a framework has on its cluster is gone, whether its store is there or lost, and what cannot go is named."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from mesos_http import Endpoint, exchange
from mesostic.testing import AgentSettings, ClusterSettings
from playa import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

KEEPER = '''
from mesostic import SchedulerActor, Volume


class Keeper(SchedulerActor):
    """Reserves, makes a volume, runs a task on one of its own for ever; and is left."""

    def on_registered(self, event):
        self.reserve(cpus=0.5, mem=10)
        self.create_volume(size=10, path="data")
        self.launch(command="echo here > mine/file; sleep 1000", cpus=0.1, mem=10, volume=Volume(size=20, path="mine"))

    def on_task_update(self, update):
        self.leave_if_all_is_there()

    def on_operation_finished(self, done):
        self.leave_if_all_is_there()

    def leave_if_all_is_there(self):
        if self.active_tasks == {"running": 1} and not self.active_operations:
            self.leave()
'''
CONFIG = """
[framework]
name = "keeper"
roles = ["keeper"]
principal = "ops"

[scheduler]
class = "keeper:Keeper"

[store]
path = "keeper.db"
"""
AGENT = AgentSettings(resources="cpus:1;mem:100;disk:1000")


async def mesostic(folder, *arguments):
    """What a command ended with, and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesostic", *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(100):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


async def reserved_on(running):
    answer = await exchange("GET", Endpoint.parse(f"{running.url}/slaves"))
    return [each["reserved_resources_full"] for each in json.loads(answer.body)["slaves"]]


async def frameworks_on(running):
    answer = await exchange("GET", Endpoint.parse(f"{running.url}/frameworks"))
    return [each["name"] for each in json.loads(answer.body)["frameworks"]]


def written_under(folder):
    return [path for path in Path(folder).rglob("file") if path.read_text() == "here\n"]


def lose_store(folder):
    for path in folder.glob("keeper.db*"):
        if path.is_file():
            path.unlink()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "keeper.py").write_text(KEEPER)
    (tmp_path / "keeper.toml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize("lost", [False, True])
async def test_nothing_of_a_framework_stays(folder, lost):
    settings = ClusterSettings(
        port=0, work_dir=str(folder / "cluster"), agents=(AGENT, AGENT), allocation_interval=0.1
    )
    async with Cluster(settings) as running:
        to = ("--set", f"framework.master={running.url}")
        code, said = await mesostic(folder, "run", "keeper.toml", *to)
        assert code == 0, said
        volumes = written_under(settings.work_dir)
        assert volumes
        if lost:  # and its framework has been ended by an operator
            lose_store(folder)
            assert await running.faults.remove_framework()
        code, said = await mesostic(folder, "uninstall", "keeper.toml", *to, "--timeout", "30s")
        assert code == 0, said
        assert "freed " in said
        assert said.count("volume-") == 2
        assert "reservation-" in said
        assert await reserved_on(running) == [{}, {}]
        assert await frameworks_on(running) == []
        assert written_under(settings.work_dir) == []
        code, said = await mesostic(folder, "uninstall", "keeper.toml", *to)
        assert (code, said) == (0, "mesostic: nothing was reserved\n")


async def test_what_an_agent_that_is_away_has_is_named_and_freed_when_it_is_back(folder):
    settings = ClusterSettings(
        port=0, work_dir=str(folder / "cluster"), agents=(AGENT,), allocation_interval=0.1
    )
    async with Cluster(settings) as running:
        to = ("--set", f"framework.master={running.url}", "--timeout", "3s")
        code, said = await mesostic(folder, "run", "keeper.toml", *to[:2])
        assert code == 0, said
        await running.faults.kill_agent()
        code, said = await mesostic(folder, "uninstall", "keeper.toml", *to)
        assert code == 1
        assert "nothing was reserved; could not free " in said
        assert "did not offer it" in said
        await running.faults.start_agent()
        code, said = await mesostic(folder, "uninstall", "keeper.toml", *to)
        assert code == 0, said
        assert await reserved_on(running) == [{}]


async def test_an_embedded_cluster_has_nothing_to_free(folder):
    code, said = await mesostic(folder, "uninstall", "keeper.toml", "--set", "framework.master=embedded")
    assert code == 2
    assert said.startswith('mesostic: framework.master is "embedded": that cluster ends with each run')
