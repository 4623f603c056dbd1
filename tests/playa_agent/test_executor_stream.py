"""An executor's events on their stream, as the test reads them in the executor's place."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mesos_http import Endpoint, StreamBroken, Subscription, exchange
from mesos_v1 import executor_calls, pb
from mesos_v1.content import from_json
from mesos_v1.values import ExecutorId, FrameworkId
from playa.messages import (
    ExitedExecutor,
    FrameworkMessage,
    KillTask,
    RegisterAgent,
    RunTaskGroup,
    ShutdownExecutor,
    ShutdownFramework,
)
from tests.playa_agent.conftest import FRAMEWORK_ID as F
from tests.support.raw_server import records_of

Event, Call = pb.executor.Event, pb.executor.Call
KINDS = Event.Type
SCALAR = pb.mesos.Value.SCALAR


class Played:
    """The executor `e`, whose process does nothing: its calls and events are the test's."""

    def __init__(self, bench: Any) -> None:
        port = int(bench.of(RegisterAgent)[0].pid.rpartition(":")[2])
        self.endpoint = Endpoint("http", "127.0.0.1", port, "/slave(1)/api/v1/executor")
        self.events: list[pb.executor.Event] = []
        self.over = False

    @asynccontextmanager
    async def subscribed(self, tasks: Any = (), updates: Any = ()):
        """Read events into `events`, from now until they end."""
        call = executor_calls.subscribe(tasks, updates)
        executor_calls.with_ids(call, FrameworkId(F), ExecutorId("e"))
        subscription = await Subscription.open(self.endpoint, call.SerializeToString())
        self.over = False

        async def read() -> None:
            try:
                async for record in records_of(subscription):
                    self.events.append(Event.FromString(record))
            except StreamBroken:
                pass
            self.over = True

        reading = asyncio.ensure_future(read())
        try:
            yield
        finally:
            subscription.close()
            reading.cancel()

    async def update(self, task_id: str, state: str) -> None:
        status = pb.mesos.TaskStatus(state=pb.mesos.TaskState.Value(state), uuid=task_id.encode().rjust(16))
        status.task_id.value, status.source = task_id, pb.mesos.TaskStatus.SOURCE_EXECUTOR
        call = executor_calls.with_ids(executor_calls.update(status), FrameworkId(F), ExecutorId("e"))
        answer = await exchange(
            "POST",
            self.endpoint,
            call.SerializeToString(),
            headers=(("Content-Type", "application/x-protobuf"),),
        )
        assert answer.status == 202

    @property
    def kinds(self) -> list[str]:
        return [KINDS.Name(event.type) for event in self.events]

    def launched(self) -> list[list[str]]:
        """Which tasks came with which event."""
        return [
            [event.launch.task.task_id.value]
            if event.type == Event.LAUNCH
            else [task.task_id.value for task in event.launch_group.task_group.tasks]
            for event in self.events
            if event.type in {Event.LAUNCH, Event.LAUNCH_GROUP}
        ]


def task(bench: Any, task_id: str) -> dict[str, Any]:
    body: dict[str, Any] = bench.custom("x", task_id=task_id)
    body["executor"]["command"] = {"value": "exec sleep 1000"}
    return body


def run_group(bench: Any, *task_ids: str) -> None:
    body = task(bench, "")["executor"]
    executor = from_json(pb.mesos.ExecutorInfo, body)
    group = pb.mesos.TaskGroupInfo(tasks=[bench.task({"task_id": each}) for each in task_ids])
    bench.agent.tell(
        RunTaskGroup(
            framework_info=bench.framework().SerializeToString(),
            executor=executor.SerializeToString(),
            task_group=group.SerializeToString(),
        )
    )


@pytest.fixture
async def played(bench):
    """An agent with the executor, which has the task `t` and has not subscribed."""
    await bench.start(executor_heartbeat_interval=0.2, executor_shutdown_grace_period=0.3)
    bench.run(task(bench, "t"))
    await bench.until(lambda: list(bench.directory.glob("agents/0/slaves/**/latest/stdout")))
    return Played(bench)


async def test_a_subscribed_executor_hears_who_it_is_and_gets_what_has_waited_in_its_order(bench, played):
    run_group(bench, "a", "b")
    bench.run(task(bench, "u"))
    async with played.subscribed():
        await bench.until(lambda: len(played.launched()) == 3)
        assert played.kinds[0] == "SUBSCRIBED"
        told = played.events[0].subscribed
        assert (told.executor_info.executor_id.value, told.framework_info.id.value) == ("e", F)
        assert (told.agent_info.id.value, bool(told.container_id.value)) == ("M-S0", True)
        assert played.launched() == [["t"], ["u"], ["a", "b"]]  # single tasks first
        bench.run(task(bench, "v"))
        run_group(bench, "c")
        await bench.until(lambda: len(played.launched()) == 5)
        assert played.launched()[3:] == [["v"], ["c"]]


async def test_an_executor_hears_a_heartbeat_now_and_then_messages_kills_and_acknowledgements(bench, played):
    async with played.subscribed():
        await bench.until(lambda: played.kinds.count("HEARTBEAT") == 2)
        bench.agent.tell(FrameworkMessage(framework_id=F, executor_id="e", data=b"hello"))
        await bench.until(lambda: "MESSAGE" in played.kinds)
        assert next(e for e in played.events if e.type == Event.MESSAGE).message.data == b"hello"
        await played.update("t", "TASK_RUNNING")
        await bench.until(lambda: "ACKNOWLEDGED" in played.kinds)
        told = next(e for e in played.events if e.type == Event.ACKNOWLEDGED).acknowledged
        assert (told.task_id.value, told.uuid) == ("t", b"t".rjust(16))
        assert bench.states() == ["TASK_RUNNING"]
        policy = pb.mesos.KillPolicy(grace_period=pb.mesos.DurationInfo(nanoseconds=7))
        bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=policy.SerializeToString()))
        await bench.until(lambda: "KILL" in played.kinds)
        kill = next(e for e in played.events if e.type == Event.KILL).kill
        assert (kill.task_id.value, kill.kill_policy.grace_period.nanoseconds) == ("t", 7)


async def test_an_executor_that_subscribes_again_is_spoken_to_on_the_new_stream_only(bench, played):
    async with played.subscribed():
        await bench.until(lambda: "LAUNCH" in played.kinds)
        again = Played(bench)
        async with again.subscribed(tasks=[played.events[1].launch.task]):
            await bench.until(lambda: played.over)
            heard = len(played.events)
            bench.run(task(bench, "u"))
            await bench.until(lambda: "LAUNCH" in again.kinds)
            assert again.kinds[0] == "SUBSCRIBED"
            assert again.launched() == [["u"]]
            assert len(played.events) == heard


async def test_what_a_returning_executor_never_got_is_dropped_and_what_it_tells_is_told(bench, played):
    async with played.subscribed():
        await bench.until(lambda: "LAUNCH" in played.kinds)
        bench.run(task(bench, "u"))
        await bench.until(lambda: len(played.launched()) == 2)
    known = [event.launch.task for event in played.events if event.type == Event.LAUNCH]
    status = pb.mesos.TaskStatus(state=pb.mesos.TASK_RUNNING, uuid=b"r" * 16)
    status.task_id.value, status.source = "u", pb.mesos.TaskStatus.SOURCE_EXECUTOR
    async with played.subscribed(tasks=known[1:], updates=[status]):
        lost = await bench.ended("t")
        assert lost.state == pb.mesos.TASK_DROPPED
        await bench.running("u")
        assert bench.statuses("u")[0].uuid == b"r" * 16


async def test_an_executor_is_asked_to_end_and_has_its_time_to_do_so(bench, played):
    async with played.subscribed():
        await bench.until(lambda: "LAUNCH" in played.kinds)
        bench.agent.tell(ShutdownExecutor(framework_id=F, executor_id="e"))
        await bench.until(lambda: played.over)
        assert [kind for kind in played.kinds if kind != "HEARTBEAT"] == ["SUBSCRIBED", "LAUNCH", "SHUTDOWN"]
        (exited,) = await bench.until(lambda: bench.of(ExitedExecutor))
        assert exited.status == 9


@pytest.mark.parametrize("ended", ["framework", "executor"])
async def test_an_executor_that_subscribes_when_it_is_to_end_is_told_just_that(bench, played, ended):
    bench.agent.tell(
        ShutdownFramework(framework_id=F)
        if ended == "framework"
        else ShutdownExecutor(framework_id=F, executor_id="e")
    )
    async with played.subscribed():
        await bench.until(lambda: played.over)
        assert played.kinds == ["SHUTDOWN"]


async def test_an_executor_with_nothing_left_to_do_is_asked_to_end(bench, played):
    bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=None))
    assert (await bench.ended()).message == "Killed before delivery to the executor"
    async with played.subscribed():
        await bench.until(lambda: played.over)
        assert [kind for kind in played.kinds if kind != "HEARTBEAT"] == ["SHUTDOWN"]
