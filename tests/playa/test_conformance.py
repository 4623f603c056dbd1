"""Conformance: each recorded scenario, played against the embedded cluster, gives what a real Mesos gave."""

import asyncio
import json
import re
import sys
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from playa import AgentSettings, Cluster, ClusterSettings
from tests.playa.differences import DIFFERENCES
from tests.support import replay
from tests.support.comparing import differences

AGENT = AgentSettings(
    resources="cpus:4;mem:4096;disk:10000;ports:[31000-32000]",
    attributes="rack:r1;zone:eu",
    status_update_retry_interval_min=10.0,
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


def rewriting(log: Path, texts: dict[str, str]) -> Any:
    """Translate the paths of the recorder's machine into those of this one, and other texts."""
    places = {
        **texts,
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


async def play(
    scenario: str,
    settings: ClusterSettings,
    tmp_path: Path,
    *,
    executor_steps: AbstractSet[tuple[str, ...]] = frozenset(),
    **options: Any,
) -> Played:
    log = tmp_path / "executor.jsonl"
    async with Cluster(replace(settings, work_dir=str(tmp_path / "cluster"))) as cluster:
        notes = options.pop("notes", None)
        rewrite = rewriting(log, options.pop("texts", {}))
        playing = replay.Replay(cluster.url, _agent_of(cluster), rewrite=rewrite, **options)
        if notes is not None:
            playing.on_note = notes(cluster)
        await playing.play(replay.read(scenario))
        async with asyncio.timeout(
            10
        ):  # the cluster's end would cut an executor short that has not written all
            while not executor_steps <= _seen_by_executor(log).keys():
                await asyncio.sleep(0.02)
        return Played(playing, cluster, log)


def _agent_of(cluster: Cluster) -> Any:
    async def base() -> str:
        import aiohttp

        async with aiohttp.ClientSession() as session, session.get(f"{cluster.url}/slaves") as response:
            agents = await response.json()
        pid: str = agents["slaves"][0]["pid"]
        return "http://" + pid.partition("@")[2]

    return base


# Scenarios that need nothing but being played: with how the cluster is set so that they take seconds, not minutes.
RETRY = "status_update_retry_interval_min"
SCENARIOS: dict[str, dict[str, Any]] = {
    "subscribe_and_heartbeat": {"heartbeat_interval": 1.0},
    "protobuf_stream": {"heartbeat_interval": 1.0},
    "bad_requests": {},
    "command_task_lifecycle": {},
    "decline_and_filters": {},
    "failover_of_the_scheduler": {},
    "kill_task": {},
    "reconcile": {},
    "reservations_and_volumes": {RETRY: 5.0},
    "maintenance_inverse_offers": {},
    "operator_api": {},
    "health_checks": {},
    "task_group_on_the_default_executor": {},
    "teardown_shuts_executors_down": {},
    "unacknowledged_update_is_resent": {RETRY: 7.0},
    "custom_executor": {RETRY: 4.0},
    "offer_constraints": {},
    "amounts_in_thousandths": {},
    "operations_with_feedback": {RETRY: 4.0},
    "operator_reservations": {},
    "drain_agent": {},
    "quota": {},
    "drain_a_task_group": {},
    "drain_and_mark_gone": {},
    "deactivate_and_drain": {},
    "quota_checks": {},
    "quota_of_two_roles": {},
    "operations_refused": {},
    "operations_without_resources": {},
}


def settings_for(scenario: str) -> ClusterSettings:
    changes = dict(SCENARIOS[scenario])
    agent = replace(AGENT, **{RETRY: changes.pop(RETRY, AGENT.status_update_retry_interval_min)})
    return replace(CLUSTER, agents=(agent,), **changes)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_cluster_answers_as_a_real_mesos_did(scenario: str, tmp_path: Path) -> None:
    heartbeats = "heartbeat_interval" in SCENARIOS[scenario]
    timeout = 3.0 if scenario == "protobuf_stream" else 15.0  # its last record never comes: see DIFFERENCES
    options: dict[str, Any] = {"heartbeats": heartbeats, "event_timeout": timeout}
    played = await play(scenario, settings_for(scenario), tmp_path, **options)
    assert played.unexpected(scenario) == []


async def test_credentials_are_asked_for_as_a_real_mesos_does(tmp_path: Path) -> None:
    settings = replace(CLUSTER, credentials=(("alice", "secret"),), authenticate_http_frameworks=True)
    async with Cluster(replace(settings, work_dir=str(tmp_path))) as cluster:
        await cluster.faults.set(answer_status=503)  # the recorded master had just started
        playing = replay.Replay(cluster.url, _agent_of(cluster))
        await playing.play(replay.read("authentication"))
    assert playing.problems == []


async def test_an_agent_restarts_is_lost_and_comes_back_as_with_a_real_mesos(tmp_path: Path) -> None:
    def notes(cluster: Cluster) -> dict[str, replay.Action]:
        async def restart() -> None:
            assert await cluster.faults.kill_agent()
            assert await cluster.faults.start_agent()

        async def kill() -> None:
            assert await cluster.faults.kill_agent()

        async def start() -> None:
            assert await cluster.faults.start_agent()

        return {
            "agent killed and started again: the task survives": restart,
            "agent killed for good": kill,
            "agent comes back": start,
        }

    settings = replace(CLUSTER, agent_ping_timeout=0.4)
    played = await play("agent_restart_and_loss", settings, tmp_path, notes=notes)
    assert played.unexpected("agent_restart_and_loss") == []


async def test_a_master_fails_over_as_a_real_mesos_does(tmp_path: Path) -> None:
    def notes(cluster: Cluster) -> dict[str, replay.Action]:
        async def kill() -> None:
            assert await cluster.faults.kill_master()

        async def start() -> None:
            assert await cluster.faults.start_master()

        return {"master killed": kill, "master back: subscribing with the framework id": start}

    agent = replace(AGENT, status_update_retry_interval_min=1.0)
    settings = replace(CLUSTER, agents=(agent,), agent_ping_timeout=0.6)
    played = await play("master_restart", settings, tmp_path, notes=notes, texts={"sleep 12": "sleep 1"})
    assert played.unexpected("master_restart") == []


def _steps(records: list[replay.Record]) -> dict[tuple[str, ...], list[replay.Record]]:
    """What an executor sent and got, by kind of step; order counts within each."""
    steps: dict[tuple[str, ...], list[replay.Record]] = {}
    for record in records:
        key: tuple[str, ...] = (record["kind"], record.get("conn", ""))
        if record["kind"] == "event":
            event = record["event"]
            key += (event["type"], str(event.get(event["type"].lower(), {}).get("task_id", "")))
        steps.setdefault(key, []).append(record)
    return steps


def _seen_by_executor(log: Path) -> dict[tuple[str, ...], list[replay.Record]]:
    """The steps in the log of the recording executor so far."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return _steps([json.loads(line) for line in lines if line.endswith("\n")])


@pytest.mark.parametrize("scenario", ["custom_executor", "teardown_shuts_executors_down"])
async def test_executors_see_what_they_see_on_a_real_mesos(scenario: str, tmp_path: Path) -> None:
    recorded = _steps([r for r in replay.read(scenario) if r.get("side") == "executor"])
    played = await play(scenario, settings_for(scenario), tmp_path, executor_steps=recorded.keys())
    actual = _seen_by_executor(played.log)
    assert actual.keys() == recorded.keys()
    problems: list[str] = []
    for key, records in recorded.items():
        wanted = [{k: v for k, v in r.items() if k not in {"t", "side"}} for r in records]
        came = [{k: v for k, v in r.items() if k not in {"executor", "side"}} for r in actual[key]]
        problems += differences(wanted, came, played.replay.ids, "/".join(key))
    assert problems == []
