"""Simulated tasks: the same messages, no processes; on virtual time."""

import asyncio
import json
from typing import Any

from mesos_v1 import pb
from playa.agent.messages import QueryState
from playa.messages import ExitedExecutor, KillTask, RegisterAgent, ShutdownExecutor, ShutdownFramework


def labels(**pairs: str) -> dict[str, Any]:
    return {"labels": [{"key": f"simulate.{key}", "value": value} for key, value in pairs.items()]}


async def test_a_simulated_command_task_looks_like_a_real_one_and_ends_in_time(bench):
    await bench.start(simulate=True)
    bench.run({"command": {"value": "x"}, "labels": labels(duration="0.05", data="result")})
    status = await bench.ended()
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
    assert status.data == b"result"
    assert status.executor_id.value == "t"
    assert not bench.of(ExitedExecutor)


async def test_how_a_simulated_task_ends_is_in_its_labels(bench):
    await bench.start(simulate=True)
    bench.run(
        {"command": {"value": "x"}, "labels": labels(duration="0", state="TASK_FAILED", message="as told")}
    )
    status = await bench.ended()
    assert (status.state, status.message) == (pb.mesos.TASK_FAILED, "as told")


async def test_a_simulated_task_can_give_its_own_data_back(bench):
    await bench.start(simulate=True)
    bench.run({**bench.custom("payload"), "labels": labels(duration="0", echo="true")})
    assert (await bench.ended()).data == b"payload"
    assert bench.states() == ["TASK_RUNNING", "TASK_FINISHED"]


async def test_without_a_duration_it_runs_until_it_is_killed(bench):
    await bench.start(simulate=True)
    bench.run({"command": {"value": "x"}})
    await bench.running()
    await asyncio.sleep(0.05)
    bench.agent.tell(KillTask(framework_id="M-0000", task_id="t", kill_policy=None))
    assert (await bench.ended()).state == pb.mesos.TASK_KILLED


async def test_an_executor_that_is_told_to_end_ends_well(bench):
    await bench.start(simulate=True)
    bench.run(bench.custom("x"))
    await bench.running()
    bench.agent.tell(ShutdownExecutor(framework_id="M-0000", executor_id="e"))
    (exited,) = await bench.until(lambda: bench.of(ExitedExecutor))
    assert (exited.executor_id, exited.status) == ("e", 0)
    assert (await bench.ended()).message == "Executor terminated"


async def test_a_simulated_agent_listens_nowhere(bench):
    await bench.start(simulate=True)
    assert bench.of(RegisterAgent)[0].pid.endswith(":0")
    assert not (bench.directory / "agents" / "0" / "slaves").exists()


async def test_many_simulated_tasks_leave_nothing_behind(bench):
    await bench.start(simulate=True, simulated_task_duration=0.01)
    for n in range(500):
        bench.run({"task_id": f"t{n}", "command": {"value": "x"}})
    await bench.until(lambda: sum(s == "TASK_FINISHED" for n in (0, 499) for s in bench.states(f"t{n}")) == 2)
    await bench.until(lambda: len(bench.notes) >= 1501)


async def test_of_frameworks_that_are_over_only_so_many_are_remembered(bench, monkeypatch):
    monkeypatch.setattr("playa.agent.executors.life.MOST_COMPLETED_FRAMEWORKS", 2)
    await bench.start(simulate=True, simulated_task_duration=0.01)
    for n in range(4):
        bench.run({"task_id": f"t{n}", "command": {"value": "x"}}, id={"value": f"F-{n}"})
        await bench.ended(f"t{n}")
        bench.agent.tell(ShutdownFramework(framework_id=f"F-{n}"))
    state = json.loads(await bench.agent.ask(QueryState(), block=False))
    assert [framework["id"] for framework in state["completed_frameworks"]] == ["F-2", "F-3"]
