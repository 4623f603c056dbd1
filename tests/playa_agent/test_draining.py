"""An agent that drains: what it kills and how, what it says of it, what it refuses, and after a restart."""

import asyncio
import json
import time

import pytest

from mesos_v1 import pb
from playa.agent.agent_actor import drain_policy
from playa.agent.messages import OperatorCalled
from playa.agent.statuses import say_draining
from playa.messages import DrainAgent

STUBBORN = {"command": {"value": "trap '' TERM; echo up; while true; do sleep 0.05; done"}}
SLEEP = {"command": {"value": "sleep 1000"}}
KILLING = [{"type": "PARTITION_AWARE"}, {"type": "TASK_KILLING_STATE"}]


def draining(grace=None, *, mark_gone=False):
    config = pb.mesos.DrainConfig(mark_gone=mark_gone)
    if grace is not None:
        config.max_grace_period.nanoseconds = int(grace * 1e9)
    return DrainAgent(config.SerializeToString())


async def drain_config(bench):
    shown = await shown_agent(bench)
    return shown.drain_config if shown.HasField("drain_config") else None


async def shown_agent(bench):
    """What operators see by GET_AGENT."""
    answer = await bench.agent.ask(OperatorCalled(pb.agent.Call.GET_AGENT), block=False)
    return pb.agent.Response.FromString(answer).get_agent


async def test_tasks_are_killed_and_the_reason_is_that_the_agent_drains(bench):
    await bench.start()
    bench.run(SLEEP, capabilities=KILLING)
    await bench.running()
    bench.agent.tell(draining())
    status = await bench.ended()
    killing, killed = bench.statuses()[2:]
    assert bench.states()[2:] == ["TASK_KILLING", "TASK_KILLED"]
    assert killing.reason == killed.reason == pb.mesos.TaskStatus.REASON_AGENT_DRAINING
    assert status.message == "Command terminated with signal Terminated"


async def test_with_mark_gone_they_are_gone_by_the_operator(bench):
    await bench.start()
    bench.run(SLEEP)
    bench.run({**SLEEP, "task_id": "old"}, id={"value": "M-0001"}, capabilities=[])
    await bench.running()
    await bench.running("old")
    bench.agent.tell(draining(mark_gone=True))
    await bench.ended("old")
    await bench.until(lambda: bench.states()[-1] == "TASK_GONE_BY_OPERATOR")
    assert bench.states("old")[-1] == "TASK_KILLED"
    for status in (bench.statuses()[-1], bench.statuses("old")[-1]):
        assert status.reason == pb.mesos.TaskStatus.REASON_AGENT_DRAINING


@pytest.mark.parametrize("state", ["TASK_RUNNING", "TASK_FAILED", "TASK_FINISHED", "TASK_LOST", "TASK_ERROR"])
def test_a_task_that_ends_by_itself_says_how_it_ended(state):
    status = pb.mesos.TaskStatus(state=pb.mesos.TaskState.Value(state))
    framework = pb.mesos.FrameworkInfo()
    framework.capabilities.add(type=pb.mesos.FrameworkInfo.Capability.PARTITION_AWARE)
    say_draining(status, pb.mesos.DrainConfig(mark_gone=True), framework)
    assert status == pb.mesos.TaskStatus(state=pb.mesos.TaskState.Value(state))


async def test_what_is_not_delivered_yet_is_killed_too(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    bench.agent.tell(draining())
    status = await bench.ended()
    assert (bench.states(), status.message) == (["TASK_KILLED"], "Killed before delivery to the executor")
    assert status.reason == pb.mesos.TaskStatus.REASON_AGENT_DRAINING


async def test_a_group_gets_no_more_time_than_the_operator_allows(bench):
    await bench.start()
    policy = {"grace_period": {"nanoseconds": 10**12}}
    bench.run_group({**STUBBORN, "kill_policy": policy})
    await bench.running()
    (out,) = bench.directory.rglob("containers/*/stdout")
    await bench.until(out.read_text)
    begun = time.monotonic()
    bench.agent.tell(draining(0.1))
    status = await bench.ended()
    assert status.message == "Command terminated with signal Killed"
    assert time.monotonic() - begun < 60


async def test_a_custom_executor_is_told_how_long_at_most(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    await bench.running()
    bench.agent.tell(draining(5e-9))
    status = await bench.ended()
    assert json.loads(status.message) == {"grace_period": {"nanoseconds": 5}}


@pytest.mark.parametrize(
    ("own", "most", "told"),
    [(None, None, None), (5, None, None), (None, 3, 3), (5, 3, 3), (3, 3, None), (2, 3, None), (5, 0, 0)],
)
def test_the_shorter_grace_period_counts(own, most, told):
    config, policy = pb.mesos.DrainConfig(), pb.mesos.KillPolicy()
    if most is not None:
        config.max_grace_period.nanoseconds = most
    if own is not None:
        policy.grace_period.nanoseconds = own
    found = drain_policy(config, policy)
    nanoseconds = None if found is None else pb.mesos.KillPolicy.FromString(found).grace_period.nanoseconds
    assert nanoseconds == told


async def test_new_tasks_are_dropped_until_it_has_drained(bench):
    bench.acknowledging = False
    await bench.start()
    bench.run(SLEEP)
    await bench.until(bench.statuses)
    bench.agent.tell(draining())
    bench.run({**SLEEP, "task_id": "late"})
    await bench.until(lambda: bench.statuses("late"))
    (late,) = bench.statuses("late")
    assert (late.state, late.reason, late.message) == (
        pb.mesos.TASK_DROPPED,
        pb.mesos.TaskStatus.REASON_AGENT_DRAINING,
        "Task was received while agent was already draining",
    )
    assert late.source == pb.mesos.TaskStatus.SOURCE_AGENT


async def test_an_agent_with_nothing_on_it_does_not_drain(bench):
    await bench.start()
    bench.agent.tell(draining())
    bench.run(SLEEP)
    await bench.running()
    assert await drain_config(bench) is None


async def test_once_it_has_drained_it_takes_tasks_again(bench):
    await bench.start()
    bench.run(SLEEP)
    await bench.running()
    bench.agent.tell(draining())
    await bench.ended()
    async with asyncio.timeout(10):
        while await drain_config(bench) is not None:
            await asyncio.sleep(0.005)
    bench.run({**SLEEP, "task_id": "next"})
    await bench.running("next")


async def test_after_a_restart_it_goes_on_draining(bench):
    bench.acknowledging = False
    await bench.start()
    bench.run({**STUBBORN, "kill_policy": {"grace_period": {"nanoseconds": 10**12}}}, checkpoint=True)
    bench.acknowledging = True
    await bench.until(lambda: list(bench.directory.rglob("stdout")))
    (out,) = bench.directory.rglob("runs/latest/stdout")
    await bench.until(out.read_text)
    bench.agent.tell(draining())
    await bench.until(lambda: b"drain" in b"".join(p.read_bytes() for p in bench.directory.rglob("ledger")))
    await bench.die()
    await bench.start()
    assert await drain_config(bench) is not None
    bench.run({**SLEEP, "task_id": "late"})
    assert (await bench.ended("late")).reason == pb.mesos.TaskStatus.REASON_AGENT_DRAINING


async def test_operators_see_that_it_drains(bench):
    bench.acknowledging = False
    await bench.start()
    bench.run(SLEEP)
    await bench.until(bench.statuses)
    bench.agent.tell(draining(3))
    shown = await shown_agent(bench)
    assert shown.drain_config.max_grace_period.nanoseconds == 3 * 10**9
    assert shown.estimated_drain_start_time.nanoseconds % 10**9 == 0
    assert shown.estimated_drain_start_time.nanoseconds > 0
