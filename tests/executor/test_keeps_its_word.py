"""Executors keep their word: everything that happens, at each moment of a task, on the embedded cluster with real processes.

Whatever happens, the task runs at most once and has one outcome: its result if its executor lives, or had told it to the agent before it
died; else a failure. An update that was not acknowledged comes again, and is the same.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.runtime import unpack
from mesos_v1.states import is_terminal
from mesos_v1.values import TaskStatus
from playa.faults import Faults
from tests.executor.authors import Add, Sum
from tests.executor.test_on_playa import SmallScheduler, subscribed, world

GATED = "tests.executor.authors:Gated"
ALL = {"TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED", "TASK_FAILED"}


class Story:
    """One task that is held where a test wants it."""

    def __init__(self, scheduler: SmallScheduler, faults: Faults | None, folder: Path) -> None:
        self.scheduler, self.folder = scheduler, folder
        self._faults = faults

    @property
    def faults(self) -> Faults:
        assert self._faults is not None
        return self._faults

    async def outcome(self) -> TaskStatus:
        """Let all be well from now on, and give the one outcome that the task has."""
        self.open("start", "end")
        await self.scheduler.acknowledge_all()
        await self.until(self._outcomes, "an outcome")
        await asyncio.sleep(1.0)  # in which another outcome, or another run, would show
        (outcome,) = self._outcomes().values()
        return outcome

    def _outcomes(self) -> dict[bytes, TaskStatus]:
        """The updates that say so, by their ids: one that comes again is the same."""
        told = (status for status in self.scheduler.updates if status.task_id == "t")
        return {status.uuid or b"": status for status in told if is_terminal(status.state)}

    def open(self, *gates: str) -> None:
        for gate in gates:
            (self.folder / gate).touch()

    def pids(self, book: str) -> list[int]:
        path = self.folder / book
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    async def until(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, f"{what} did not come about; heard: {self.scheduler.states('t')}"
            await asyncio.sleep(0.02)

    async def until_gone(self) -> None:
        (pid,) = self.pids("starting")
        await self.until(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), "the executor's end")

    def heard(self, state: str) -> bool:
        return state in self.scheduler.states("t")


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- the moments -----------------------------------------------------------------------------------------------------


async def before_its_start(story: Story) -> None:
    await story.until(lambda: story.pids("starting"), "the executor's start")


async def running(story: Story) -> None:
    story.open("start")
    await story.until(lambda: story.heard("TASK_RUNNING") and story.pids("begun"), "TASK_RUNNING")


async def running_unacknowledged(story: Story) -> None:
    story.scheduler.acknowledged = set()
    await running(story)


async def result_unacknowledged(story: Story) -> None:
    story.scheduler.acknowledged = ALL - {"TASK_FINISHED"}
    story.open("start", "end")
    await story.until(lambda: story.heard("TASK_FINISHED"), "TASK_FINISHED")


async def result_behind_another_update(story: Story) -> None:
    """The agent tells one update after another: the result waits there until the first one is acknowledged."""
    story.scheduler.acknowledged = set()
    story.open("start", "end")
    await story.until(lambda: story.heard("TASK_RUNNING") and story.pids("done"), "the task's end")
    await asyncio.sleep(0.5)  # until the agent has the result, too


# --- what happens ----------------------------------------------------------------------------------------------------


async def the_agent_restarts(story: Story) -> None:
    await story.faults.kill_agent()
    await story.faults.start_agent()


async def the_task_ends_while_the_agent_is_away(story: Story) -> None:
    await story.faults.kill_agent()
    story.open("start", "end")
    await story.until(lambda: story.pids("done"), "the task's end")
    await story.faults.start_agent()


async def the_agent_is_cut_off(story: Story) -> None:
    await story.faults.silence_agent(seconds=1.0)
    await asyncio.sleep(1.0)


async def the_executor_is_frozen(story: Story) -> None:
    (pid,) = story.pids("starting")
    os.kill(pid, signal.SIGSTOP)
    story.open("start", "end")
    await asyncio.sleep(1.0)
    os.kill(pid, signal.SIGCONT)


async def it_is_frozen_while_the_agent_restarts(story: Story) -> None:
    (pid,) = story.pids("starting")
    os.kill(pid, signal.SIGSTOP)
    await the_agent_restarts(story)
    await asyncio.sleep(0.5)
    os.kill(pid, signal.SIGCONT)


async def the_executor_is_killed(story: Story) -> None:
    (pid,) = story.pids("starting")
    os.kill(pid, signal.SIGKILL)
    await story.until_gone()


async def it_is_killed_while_the_agent_is_away(story: Story) -> None:
    await story.faults.kill_agent()
    await the_executor_is_killed(story)
    await story.faults.start_agent()


async def the_recovery_timeout_is_over(story: Story) -> None:
    await story.faults.kill_agent()
    await story.until_gone()
    await story.faults.start_agent()


MOMENTS = [
    before_its_start, running, running_unacknowledged, result_unacknowledged, result_behind_another_update
]  # fmt: skip
SURVIVED = [
    the_agent_restarts,
    the_task_ends_while_the_agent_is_away,
    the_agent_is_cut_off,
    the_executor_is_frozen,
    it_is_frozen_while_the_agent_restarts,
]
DEADLY = [the_executor_is_killed, it_is_killed_while_the_agent_is_away, the_recovery_timeout_is_over]
TOLD = [result_unacknowledged, result_behind_another_update]
"""The moments at which the agent has the result, and has written it down."""


async def at_each_moment(folder: Path, tell: Callable[[Path, Any], Awaitable[None]]) -> None:
    """Have it happen at each of them, all at a time, each on a cluster of its own: they are mostly waiting."""

    async def told(moment: Any) -> None:
        own = folder / moment.__name__
        own.mkdir()
        try:
            await tell(own, moment)
        except BaseException as error:
            error.add_note(f"this was {moment.__name__}")
            raise

    async with asyncio.TaskGroup() as together:
        for moment in MOMENTS:
            together.create_task(told(moment))


@pytest.mark.slow
@pytest.mark.parametrize("event", [*SURVIVED, *DEADLY], ids=lambda each: each.__name__)
async def test_a_task_has_one_outcome_and_runs_at_most_once(tmp_path: Path, event: Any) -> None:
    agent = {
        "recovery_timeout": 1.0 if event is the_recovery_timeout_is_over else 900.0,
        "status_update_retry_interval_min": 0.3,
        "executor_reregistration_timeout": 3.0,
    }

    async def tell(folder: Path, moment: Any) -> None:
        async with world(folder, checkpoint=True, **agent) as (scheduler, cluster):
            story = Story(scheduler, cluster.faults, folder)
            await scheduler.launch(GATED, {"GATES": str(folder)}, t=Add(2, 3))
            await moment(story)
            await event(story)
            if moment is result_unacknowledged:
                told = scheduler.states("t").count("TASK_FINISHED")
                again = lambda: scheduler.states("t").count("TASK_FINISHED") > told  # noqa: E731
                await story.until(again, "the result again")
            outcome = await story.outcome()
            if event in SURVIVED or moment in TOLD:
                assert outcome.state.value == "TASK_FINISHED", outcome.message
                assert unpack(outcome.data).message == Sum(5)
                assert len(story.pids("begun")) == len(story.pids("done")) == 1
            else:
                assert outcome.state.value in {"TASK_FAILED", "TASK_LOST", "TASK_DROPPED", "TASK_GONE"}
                assert len(story.pids("begun")) <= 1
                assert not story.pids("done")

    await at_each_moment(tmp_path, tell)


@pytest.mark.slow
async def test_a_frozen_agent_loses_nothing_and_runs_nothing_twice(tmp_path: Path) -> None:
    """The cluster is a process of its own here, which can be stopped: calls and updates wait in its sockets."""

    async def tell(folder: Path, moment: Any) -> None:
        cluster = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "playa", "--exit_with_parent", f"--work_dir={folder}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert cluster.stdout is not None
        url = json.loads(await cluster.stdout.readline())["url"]
        try:
            async with subscribed(url, checkpoint=True) as scheduler:
                story = Story(scheduler, None, folder)
                await scheduler.launch(GATED, {"GATES": str(folder)}, t=Add(2, 3))
                await moment(story)
                cluster.send_signal(signal.SIGSTOP)
                story.open("start", "end")
                await story.until(lambda: story.pids("done"), "the task's end")
                await asyncio.sleep(2.0)
                cluster.send_signal(signal.SIGCONT)
                outcome = await story.outcome()
                assert unpack(outcome.data).message == Sum(5)
                assert len(story.pids("begun")) == len(story.pids("done")) == 1
        finally:
            cluster.send_signal(signal.SIGCONT)
            cluster.terminate()
            await cluster.wait()

    await at_each_moment(tmp_path, tell)
