"""Task groups on the default executor."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from mesos_v1 import pb
from playa.messages import ExitedExecutor, KillTask, ShutdownExecutor, UpdateAcknowledged

F = "M-0000"
STUBBORN = {"command": {"value": "trap '' TERM; echo up; while true; do sleep 0.1; done"}}


def command(task_id: str, value: str, **more) -> dict[str, Any]:
    return {"task_id": task_id, "command": {"value": value}, **more}


async def first(bench, task_id: str) -> pb.mesos.TaskStatus:
    await bench.until(lambda: bench.statuses(task_id))
    status: pb.mesos.TaskStatus = bench.statuses(task_id)[0]
    return status


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


async def test_a_group_that_is_killed_before_it_is_delivered_ends_and_only_the_next_one_runs(bench):
    bench.acknowledging = False
    await bench.start()
    bench.run_group(command("a", "sleep 1000"), command("b", "sleep 1000"))
    bench.run_group(command("c", "true"))
    bench.agent.tell(KillTask(framework_id=F, task_id="a", kill_policy=None))
    for task_id in "ab":
        status = await bench.ended(task_id)
        assert (bench.states(task_id), status.message) == (
            ["TASK_KILLED"],
            "A task within the task group was killed before delivery to the executor",
        )
    bench.acknowledging = True
    bench.agent.tell(UpdateAcknowledged(framework_id=F, task_id="c", uuid=(await first(bench, "c")).uuid))
    assert (await bench.ended("c")).state == pb.mesos.TASK_FINISHED
    (sandbox,) = bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/pod/runs/latest")
    assert len(list((sandbox / "containers").iterdir())) == 1


async def test_a_task_that_is_killed_while_it_is_fetched_for_ends_as_killed_whenever_that_is(bench):
    asked, over = asyncio.Event(), asyncio.Event()

    async def serve(_reader, writer):
        asked.set()
        await over.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await bench.start()
        port = server.sockets[0].getsockname()[1]
        uris = [{"value": f"http://127.0.0.1:{port}/x"}]
        policy = {"grace_period": {"nanoseconds": 1_000_000}}
        bench.run_group({"task_id": "t", "command": {"value": "true", "uris": uris}, "kill_policy": policy})
        await asyncio.wait_for(asked.wait(), 10)
        bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=None))
        await asyncio.sleep(0.2)  # its grace period is over, and there is nothing yet to kill
        over.set()
        assert (await bench.ended()).state == pb.mesos.TASK_KILLED
        assert bench.states() == ["TASK_STARTING", "TASK_KILLED"]


@pytest.mark.parametrize(
    ("container", "why"),
    [
        ({"type": "DOCKER"}, "Only containers of type MESOS can be nested"),
        (
            {"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "x"}}}},
            "Unsupported container image type: DOCKER",
        ),
    ],
)
async def test_a_container_that_cannot_be_made_fails_its_task(bench, container, why):
    await bench.start()
    bench.run_group({"task_id": "t", "command": {"value": "true"}, "container": container})
    status = await bench.ended()
    assert (status.state, status.message) == (pb.mesos.TASK_FAILED, why)


async def test_a_group_that_does_not_end_in_the_time_of_its_agent_is_killed_with_its_executor(bench):
    await bench.start(executor_shutdown_grace_period=0.3)
    bench.run_group({**STUBBORN, "kill_policy": {"grace_period": {"nanoseconds": 10**12}}})
    await bench.running()
    await bench.until(
        lambda: any(out.read_text() == "up\n" for out in bench.directory.glob("agents/0/slaves/**/stdout"))
    )
    pid = bench.statuses()[-1].container_status.executor_pid
    bench.agent.tell(ShutdownExecutor(framework_id=F, executor_id="pod"))
    (exited,) = await bench.until(lambda: bench.of(ExitedExecutor))
    assert exited.status == 9
    await bench.until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


async def test_only_a_command_task_shares_the_environment_of_its_executor(bench):
    await bench.start()
    variables = [{"name": "WORD", "value": "hello"}]
    env = {"value": "env", "environment": {"variables": variables}}
    bench.run({"task_id": "alone", "command": env})
    bench.run_group({"task_id": "grouped", "command": env})
    seen = {}
    for name in ("alone", "grouped"):
        await bench.ended(name)
        outs = [path for path in bench.directory.glob("agents/0/slaves/**/stdout") if path.stat().st_size]
        (out,) = [path for path in outs if ("containers" in path.parts) is (name == "grouped")]
        seen[name] = dict(line.split("=", 1) for line in out.read_text().splitlines())
        assert (seen[name]["WORD"], seen[name]["MESOS_ALLOCATION_ROLE"]) == ("hello", "*")
        assert seen[name]["MESOS_SANDBOX"] == str(out.parent.resolve())
    mesos = {name: {key for key in found if key.startswith("MESOS_")} for name, found in seen.items()}
    assert mesos["grouped"] == {"MESOS_ALLOCATION_ROLE", "MESOS_CONTAINER_IP", "MESOS_SANDBOX"}
    assert seen["alone"]["MESOS_EXECUTOR_ID"] == "alone"
    assert {"MESOS_FRAMEWORK_ID", "MESOS_SLAVE_ID", "MESOS_AGENT_ENDPOINT"} < mesos["alone"]


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
