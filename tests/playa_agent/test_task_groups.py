"""Task groups on the default executor."""

from pathlib import Path
from typing import Any

import pytest

from mesos_v1 import pb
from playa.messages import ExitedExecutor, KillTask, ShutdownExecutor

F = "M-0000"
STUBBORN = {"command": {"value": "trap '' TERM; echo up; while true; do sleep 0.1; done"}}


def command(task_id: str, value: str, **more) -> dict[str, Any]:
    return {"task_id": task_id, "command": {"value": value}, **more}


async def test_a_group_runs_and_its_executor_ends_when_all_is_acknowledged(bench, recorded):
    await bench.start()
    bench.run_group(command("web", "true"), command("side", "true"))
    await bench.ended("web")
    await bench.ended("side")
    exited = (await bench.until(lambda: bench.of(ExitedExecutor)))[0]
    assert (exited.executor_id, exited.status) == ("pod", 0)
    theirs = [
        line["event"]["update"]["status"]
        for line in recorded("task_group_on_the_default_executor")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE"
    ]
    theirs = [status for status in theirs if status["task_id"]["value"] == "web"]
    for ours, their in zip(bench.statuses("web"), theirs, strict=True):
        assert {field.name for field, _ in ours.ListFields()} == set(their)
        assert {f.name for f, _ in ours.container_status.ListFields()} == set(their["container_status"])
        assert ours.container_status.container_id.HasField("parent")
        assert ours.message == their.get("message", "")


async def test_when_one_task_of_a_group_fails_the_rest_is_killed(bench):
    await bench.start()
    bench.run_group(command("dies", "sleep 0.2; exit 1"), command("long", "sleep 1000"))
    dies, long = await bench.ended("dies"), await bench.ended("long")
    assert (bench.states("dies")[-1], dies.message) == ("TASK_FAILED", "Command exited with status 1")
    assert bench.states("long")[-1] == "TASK_KILLED"
    assert long.message == "Command terminated with signal Terminated"
    await bench.until(lambda: bench.of(ExitedExecutor))


async def test_killing_one_task_kills_its_group_but_not_another_group(bench):
    await bench.start()
    bench.run_group(command("a", "sleep 1000"), command("b", "sleep 1000"))
    bench.run_group(command("c", "sleep 1000"))
    for task_id in "abc":
        await bench.running(task_id)
    bench.agent.tell(KillTask(framework_id=F, task_id="a", kill_policy=None))
    await bench.ended("a")
    await bench.ended("b")
    assert bench.states("c")[-1] == "TASK_RUNNING"
    bench.agent.tell(ShutdownExecutor(framework_id=F, executor_id="pod"))
    assert (await bench.ended("c")).state == pb.mesos.TASK_KILLED


async def test_each_task_has_a_sandbox_of_its_own_under_tasks(bench):
    await bench.start()
    bench.run_group(command("x", "echo $MESOS_SANDBOX; pwd"), command("y", "touch mine"))
    await bench.ended("x")
    await bench.ended("y")
    sandbox = next(bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/pod/runs/latest"))
    out = (sandbox / "tasks" / "x" / "stdout").read_text().splitlines()
    assert len(set(out)) == 1
    assert Path(out[0]).parent == sandbox.resolve() / "containers"
    assert (sandbox / "tasks" / "y" / "mine").exists()
    assert not (sandbox / "tasks" / "x" / "mine").exists()


async def test_a_group_with_a_uri_that_cannot_be_fetched_fails(bench):
    await bench.start()
    bad = {"task_id": "bad", "command": {"value": "true", "uris": [{"value": "/no/such/file"}]}}
    bench.run_group(bad, command("good", "sleep 1000"))
    status = await bench.ended("bad")
    assert status.state == pb.mesos.TASK_FAILED
    nested = status.container_status.container_id.value
    (errors,) = bench.directory.rglob(f"{nested}/stderr")
    assert "/no/such/file" in errors.read_text()
    assert (await bench.ended("good")).state == pb.mesos.TASK_KILLED


@pytest.mark.parametrize("graces", [(1000, 0.2), (1000, 0), (0.3, 1000), (1000, 0.3, 500)])
async def test_of_several_kills_the_one_with_the_earliest_end_counts(bench, graces):
    await bench.start()
    bench.run_group(STUBBORN)
    await bench.running()
    await bench.until(
        lambda: any(out.read_text() == "up\n" for out in bench.directory.glob("agents/0/slaves/**/stdout"))
    )
    for seconds in graces:
        policy = pb.mesos.KillPolicy()
        policy.grace_period.nanoseconds = int(seconds * 1e9)
        bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=policy.SerializeToString()))
    status = await bench.ended(seconds=20.0)
    assert bench.states()[-1] == "TASK_KILLED"
    assert status.message == "Command terminated with signal Killed"


@pytest.mark.parametrize("group", [True, False])
async def test_what_is_shut_down_has_its_own_grace_period_in_a_group_and_else_what_its_agent_can_wait_for(
    bench, group
):
    """Two seconds before the agent's patience is over, so that the end can still be told."""
    await bench.start(executor_shutdown_grace_period=1000.0 if group else 2.3)
    if group:
        bench.run_group({**STUBBORN, "kill_policy": {"grace_period": {"nanoseconds": 200_000_000}}})
    else:
        bench.run(STUBBORN)
    await bench.running()
    await bench.until(
        lambda: any(out.read_text() == "up\n" for out in bench.directory.glob("agents/0/slaves/**/stdout"))
    )
    bench.agent.tell(ShutdownExecutor(framework_id=F, executor_id="pod" if group else "t"))
    status = await bench.ended(seconds=20.0)
    assert (bench.states()[-1], status.message) == ("TASK_KILLED", "Command terminated with signal Killed")
