"""Conformance: each recorded scenario, played against the embedded cluster, gives what a real Mesos gave."""

import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from playa import AgentSettings, Cluster, ClusterSettings
from tests.playa.differences import DIFFERENCES
from tests.support import replay

AGENT = AgentSettings(
    resources="cpus:4;mem:4096;disk:10000;ports:[31000-32000]",
    attributes="rack:r1;zone:eu",
    status_update_retry_interval_min=1.0,
    executor_reregistration_timeout=1.0,
    registration_backoff_factor=0.1,
)
CLUSTER = ClusterSettings(agents=(AGENT,))
EXECUTOR = Path(__file__).parents[1] / "support" / "recorder_executor.py"


@dataclass
class Played:
    replay: replay.Replay
    cluster: Cluster
    log: Path

    def unexpected(self, scenario: str) -> list[str]:
        """What is different and not listed as deliberate."""
        rules = [re.compile(rule) for name, rule, _ in DIFFERENCES if name in {"*", scenario}]
        return [p for p in self.replay.problems if not any(rule.search(p) for rule in rules)]


def rewriting(log: Path) -> Any:
    """Translate the paths of the recorder's machine into those of this one."""
    places = {
        "/opt/recorder_executor.py": str(EXECUTOR),
        "/usr/bin/python3 recorder_executor.py": f"{sys.executable} recorder_executor.py",
        "/var/log/recorder_exec.log": str(log),
    }

    def rewrite(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: rewrite(v) for k, v in value.items()}
        if isinstance(value, list):
            return [rewrite(v) for v in value]
        return places.get(value, value) if isinstance(value, str) else value

    return rewrite


async def play(scenario: str, settings: ClusterSettings, tmp_path: Path, **options: Any) -> Played:
    log = tmp_path / "executor.jsonl"
    async with Cluster(replace(settings, work_dir=str(tmp_path / "cluster"))) as cluster:
        notes = options.pop("notes", None)
        playing = replay.Replay(cluster.url, _agent_of(cluster), rewrite=rewriting(log), **options)
        if notes is not None:
            playing.on_note = notes(cluster)
        await playing.play(replay.read(scenario))
        return Played(playing, cluster, log)


def _agent_of(cluster: Cluster) -> Any:
    async def base() -> str:
        import aiohttp

        async with aiohttp.ClientSession() as session, session.get(f"{cluster.url}/slaves") as response:
            agents = await response.json()
        return "http://" + agents["slaves"][0]["pid"].partition("@")[2]

    return base


SIMPLE = (
    "subscribe_and_heartbeat",
    "protobuf_stream",
    "bad_requests",
    "command_task_lifecycle",
    "decline_and_filters",
    "failover_of_the_scheduler",
    "kill_task",
    "reconcile",
    "reservations_and_volumes",
    "maintenance_inverse_offers",
    "operator_api",
    "health_checks",
    "task_group_on_the_default_executor",
    "teardown_shuts_executors_down",
    "unacknowledged_update_is_resent",
    "custom_executor",
)


@pytest.mark.parametrize("scenario", SIMPLE)
async def test_the_cluster_answers_as_a_real_mesos_did(scenario: str, tmp_path: Path) -> None:
    settings = CLUSTER
    if scenario in {"subscribe_and_heartbeat", "protobuf_stream"}:
        settings = replace(CLUSTER, heartbeat_interval=1.0)
    played = await play(scenario, settings, tmp_path)
    assert played.unexpected(scenario) == []
