"""Executors as processes under an agent of the embedded cluster: real sockets, real processes, real restarts.

The scheduler is a few lines over `mesos_http`, so that what is seen here is the executor's doing alone.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.runtime import pack, unpack
from mesos_http import CallPipeline, Endpoint, StreamBroken, Subscription
from mesos_v1 import calls, events, pb, task_infos
from mesos_v1.offer_operations import launch
from mesos_v1.resources import Resources
from mesos_v1.states import TaskState
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, Offer, OfferId, TaskId, TaskStatus
from playa import AgentSettings, Cluster, ClusterSettings
from tests.executor.authors import Add, Block, Sum, Talk, Wait
from tests.support.raw_server import records_of
from wire.start_letter import ExecutorBoot

ROOT = Path(__file__).parents[2]
CLASS = "tests.executor.authors:Everything"
EXECUTOR = ExecutorId("exec")


class SmallScheduler:
    """Launches on the first offer, acknowledges what it is to, remembers what it heard."""

    def __init__(self, subscription: Subscription, pipeline: CallPipeline) -> None:
        self.acknowledged = {state.value for state in TaskState}
        self.unacknowledged: list[TaskStatus] = []
        self.updates: list[TaskStatus] = []
        self.messages: list[Any] = []
        self.failures: list[events.Failure] = []
        self.offer: Offer | None = None
        self.framework_id = FrameworkId("")
        self._subscription = subscription
        self._pipeline = pipeline
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        async for record in records_of(self._subscription):
            event = events.read(pb.scheduler.Event.FromString(record))
            match event:
                case events.Subscribed():
                    self.framework_id = event.framework_id
                case events.Offers():
                    self.offer = event.offers[0]
                case events.Update(status):
                    self.updates.append(status)
                    if status.state.value in self.acknowledged:
                        await self.acknowledge(status)
                    else:
                        self.unacknowledged.append(status)
                case events.Message():
                    self.messages.append(unpack(event.data).message)
                case events.Failure():
                    self.failures.append(event)
                case _:
                    pass
            self._changed.set()

    async def acknowledge(self, status: TaskStatus) -> None:
        if status.uuid and status.agent_id:
            await self.call(calls.acknowledge(status.agent_id, status.task_id, status.uuid))

    async def acknowledge_all(self) -> None:
        """From now on, and what was not."""
        self.acknowledged = {state.value for state in TaskState}
        for status in self.unacknowledged:
            await self.acknowledge(status)

    async def call(self, call: pb.scheduler.Call) -> None:
        complete = calls.with_framework_id(call, self.framework_id)
        answer = await self._pipeline.send(complete.SerializeToString())
        assert answer.status == 202, answer.text

    async def until(self, condition) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def launch(
        self, cls: str = CLASS, environment: Mapping[str, str] | None = None, **payloads: object
    ) -> None:
        """Launch tasks, by name, on one executor."""
        await self.until(lambda: self.offer)
        offer, self.offer = self.offer, None
        assert offer is not None
        command = task_infos.command_info(
            f"exec {sys.executable} -m executor {cls}",
            environment={"PYTHONPATH": str(ROOT), **(environment or {})},
        )
        info = task_infos.executor_info(
            EXECUTOR,
            command,
            resources=Resources.of(cpus=0.1, mem=32),
            data=pack(ExecutorBoot(None, "", b"", cls)),
        )
        tasks = [
            task_infos.task_info(
                TaskId(name),
                offer.agent_id,
                Resources.of(cpus=0.1, mem=32),
                executor=info,
                data=pack(payload),
            )
            for name, payload in payloads.items()
        ]
        await self.call(calls.accept([OfferId(offer.id)], [launch(tasks)], refuse_seconds=0))

    async def until_state(self, task: str, state: str) -> TaskStatus:
        await self.until(lambda: state in self.states(task))
        return next(s for s in self.updates if s.task_id == task and s.state == state)

    def states(self, task: str) -> list[str]:
        return [str(status.state.value) for status in self.updates if status.task_id == task]

    @property
    def agent_id(self) -> AgentId:
        return AgentId(self.updates[-1].agent_id or "")


@asynccontextmanager
async def world(
    tmp_path: Path, *, checkpoint: bool = False, **agent: Any
) -> AsyncIterator[tuple[SmallScheduler, Cluster]]:
    settings = ClusterSettings(
        agents=(AgentSettings(**agent),), work_dir=str(tmp_path), allocation_interval=0.1
    )
    async with Cluster(settings) as cluster, subscribed(cluster.url, checkpoint=checkpoint) as scheduler:
        yield scheduler, cluster


@asynccontextmanager
async def subscribed(url: str, *, checkpoint: bool = False) -> AsyncIterator[SmallScheduler]:
    endpoint = Endpoint.parse(url).with_path("/api/v1/scheduler")
    info = task_infos.framework_info("test", "", checkpoint=checkpoint, failover_timeout=60.0)
    subscription = await Subscription.open(endpoint, calls.subscribe(info).SerializeToString())
    pipeline = CallPipeline(endpoint, headers=(("Mesos-Stream-Id", subscription.stream_id),))
    scheduler = SmallScheduler(subscription, pipeline)
    listening = asyncio.ensure_future(scheduler.listen())
    try:
        yield scheduler
    finally:
        with contextlib.suppress(Exception):
            await scheduler.call(calls.teardown())
        subscription.close()
        pipeline.close()
        with contextlib.suppress(StreamBroken):  # TEARDOWN ends the stream
            await listening


@pytest.mark.parametrize("authenticate", [False, True])
async def test_tasks_results_and_messages_go_the_whole_way(tmp_path, authenticate):
    async with world(tmp_path, authenticate_http_executors=authenticate) as (scheduler, _):
        await scheduler.launch(add=Add(2, 3), talk=Talk("hi"), block=Block(0.1))
        status = await scheduler.until_state("add", "TASK_FINISHED")
        assert unpack(status.data).message == Sum(5)
        await scheduler.until_state("block", "TASK_FINISHED")
        await scheduler.call(calls.message(scheduler.agent_id, EXECUTOR, pack(Talk("from afar"))))
        await scheduler.until(lambda: len(scheduler.messages) == 3)
        assert {message.text.partition(":")[0].partition(" ")[0] for message in scheduler.messages} == {
            "talk", "main", "heard",
        }  # fmt: skip


async def test_a_kill_and_a_shutdown_end_tasks_in_order(tmp_path):
    async with world(tmp_path) as (scheduler, _):
        await scheduler.launch(first=Wait(600), second=Wait(600))
        await scheduler.until_state("second", "TASK_RUNNING")
        await scheduler.call(calls.kill(TaskId("first")))
        assert (await scheduler.until_state("first", "TASK_KILLED")).message == "killed"
        await scheduler.call(calls.shutdown(EXECUTOR, scheduler.agent_id))
        await scheduler.until_state("second", "TASK_KILLED")
        await scheduler.until(lambda: scheduler.failures)
        assert scheduler.failures[0].status == 0  # it ended by itself, within its grace period


async def test_checkpointed_tasks_survive_a_restart_of_the_agent(tmp_path):
    async with world(tmp_path, checkpoint=True) as (scheduler, cluster):
        await scheduler.launch(long=Wait(4), short=Wait(0.5), quick=Add(1, 1))
        await scheduler.until_state("quick", "TASK_FINISHED")
        await scheduler.until_state("long", "TASK_RUNNING")
        await cluster.faults.kill_agent()
        await asyncio.sleep(1.0)  # short ends while nobody listens
        await cluster.faults.start_agent()
        await scheduler.until_state("short", "TASK_FINISHED")
        await scheduler.until_state("long", "TASK_FINISHED")
        assert set(scheduler.states("long")) == {"TASK_RUNNING", "TASK_FINISHED"}
        assert not scheduler.failures


async def test_without_checkpointing_an_executor_ends_with_its_agent(tmp_path):
    async with world(tmp_path) as (scheduler, cluster):
        await scheduler.launch(stays=Wait(600))
        status = await scheduler.until_state("stays", "TASK_RUNNING")
        pid = pb.mesos.TaskStatus.FromString(status.raw).container_status.executor_pid or _pid_of_executor()
        await cluster.faults.kill_agent()
        async with asyncio.timeout(10):
            while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.05)


def _pid_of_executor() -> int:
    for process in psutil.Process().children(recursive=True):
        if "executor" in process.cmdline() and CLASS in process.cmdline():
            return process.pid
    raise AssertionError("no executor runs")


async def test_an_executor_that_cannot_be_imported_is_explained_to_the_scheduler(tmp_path):
    async with world(tmp_path, executor_shutdown_grace_period=1.0) as (scheduler, _):
        await scheduler.launch("nowhere.to_be_found:Class", one=Add(1, 1))
        status = await scheduler.until_state("one", "TASK_FAILED")
        assert "nowhere.to_be_found:Class cannot be imported: there is no module 'nowhere'" in status.message
        await scheduler.until(lambda: scheduler.failures)
        assert scheduler.failures[0].status == 256  # exit code 1, as wait(2) has it
