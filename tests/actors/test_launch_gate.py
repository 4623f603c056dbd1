"""A run that takes tasks over launches nothing before it knows what became of them, or has waited for long enough."""

import asyncio
import logging
from collections import deque
from typing import Any, cast

import pytest

from actors import messages as m
from actors.composition import ActorSpec, run
from actors.framework_settings import RetryPolicy
from actors.messages import TaskPhase
from actors.reconciler_actor import ReconcilerActor, ReconcilerSettings
from actors.records import TaskProgress
from actors.runtime import ActorSystem, pack
from actors.runtime.testing import ListTrace
from actors.scheduler_actor import SchedulerActor
from mesos_v1 import events
from mesos_v1.values import AgentId
from tests.actors import test_reconciler_actor as reconciler_bench
from tests.actors.test_registering import history, store_of_an_earlier_run
from tests.actors.test_scheduler_actor import Page, composition, play, seen
from tests.support.simulated_master import simulated_master

RUNNING = TaskProgress(1, TaskPhase.RUNNING, agent_id=AgentId("a"))


# --- how long: the reconciler ---------------------------------------------------------------------------------


async def begin(bench):
    bench.actor.tell(m.StartReconciliation(gated=True))
    await bench.settle()


def opened(bench):
    return len(bench.of("scheduler", m.OpenGate))


@reconciler_bench.scenario()
async def test_the_gate_opens_when_each_task_has_been_answered_for(bench):
    await begin(bench)
    assert not opened(bench)
    await bench.answer("t1")
    await bench.settle(59)
    assert not opened(bench)
    await bench.answer("t2")
    assert opened(bench) == 1
    await bench.settle(5000)
    assert opened(bench) == 1


@reconciler_bench.scenario(tasks=())
async def test_the_gate_opens_at_once_where_there_is_nothing_to_ask_about(bench):
    await begin(bench)
    assert opened(bench) == 1


@reconciler_bench.scenario(launch_gate=False)
async def test_the_gate_opens_at_once_where_the_settings_want_none(bench):
    await begin(bench)
    assert opened(bench) == 1


@reconciler_bench.scenario(launch_gate_timeout=30.0)
async def test_the_gate_opens_after_its_time_whatever_was_answered(bench):
    await begin(bench)
    await bench.answer("t1")
    await bench.settle(29.9)
    assert not opened(bench)
    await bench.settle(0.2)
    assert opened(bench) == 1
    await bench.answer("t2")
    assert opened(bench) == 1


@reconciler_bench.scenario()
async def test_a_disconnection_opens_nothing_and_does_not_begin_the_time_again(bench):
    await begin(bench)
    bench.actor.tell(m.StopReconciliation())
    await bench.settle(40)
    assert not opened(bench)
    await begin(bench)
    assert not opened(bench)
    await bench.settle(20.1)
    assert opened(bench) == 1


@reconciler_bench.scenario()
async def test_what_has_ended_meanwhile_is_no_longer_waited_for(bench):
    await begin(bench)
    await bench.answer("t1")
    bench.tasks.clear()
    await bench.settle(5.1)
    assert opened(bench) == 1


@reconciler_bench.scenario()
async def test_rounds_of_a_run_that_goes_on_open_no_gate(bench):
    await bench.start()
    await bench.answer("t1")
    await bench.answer("t2")
    await bench.settle(2000)
    assert not opened(bench)


def test_one_line_says_that_launches_wait_and_one_that_they_go_on(caplog):
    caplog.set_level(logging.INFO, "actors.reconciler")

    @reconciler_bench.scenario()
    async def answered(bench):
        await begin(bench)
        await bench.settle(12)
        await bench.answer("t1")
        await bench.answer("t2")

    @reconciler_bench.scenario()
    async def unanswered(bench):
        await begin(bench)
        await bench.answer("t1")
        await bench.settle(61)

    answered()
    assert caplog.messages == [
        "launches wait until the master has answered for 2 tasks of an earlier run",
        "launches go on: the master has answered for 2 tasks",
    ]
    caplog.clear()
    unanswered()
    assert caplog.messages[1:] == [
        "launches go on after 60 s, although the master has not answered for 1 task"
    ]


# --- whole frameworks -----------------------------------------------------------------------------------------


class TakesOver(SchedulerActor):
    """Has one task running and one to be retried, and launches a third when it is back."""

    def on_reregistered(self, event):
        self.launch(Page(3), task_id="new", cpus=1.0)

    def on_task_finished(self, done):
        if not self.active_tasks:
            self.finish(0)


class Silent:
    """Has the simulated master keep what it is asked by RECONCILE to itself."""

    def __init__(self, master) -> None:
        self.asked: list[str] = []
        self.answer, master._reconcile = master._reconcile, self.note

    async def note(self, task):
        self.asked.append(task)


@pytest.fixture
async def master():
    async with simulated_master() as running:
        running.plan = seen
        running.known["was-running.1"] = deque()
        running.states["was-running.1"] = "TASK_RUNNING"
        yield running


def taking_over(master, tmp_path, **settings):
    retried = TaskProgress(1, TaskPhase.BACKING_OFF, failures=1, due=1.0)
    store_of_an_earlier_run(
        tmp_path / "s.db", history("was-running", 1, RUNNING), history("failed-before", 2, retried)
    )
    reconciler = ActorSpec(
        "reconciler", ReconcilerActor, ReconcilerSettings(**{"first_wait": 0.05, **settings})
    )
    return composition(master, TakesOver, store=str(tmp_path / "s.db"), extra=(reconciler,))


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_new_tasks_and_retries_wait_until_the_tasks_of_the_earlier_run_are_answered_for(
    master, tmp_path
):
    silent = Silent(master)
    async with ActorSystem("t") as system:
        task = asyncio.ensure_future(run(taking_over(master, tmp_path), system=system))
        await until(lambda: len(silent.asked) >= 3)
        await until(lambda: "DECLINE" in master.types)
        assert master.launched == []
        report: m.PendingReport = await system.get("offers").ask(m.WhyPending(), block=False)
        assert report.waiting == 2
        assert (
            "until the master has said what became of the tasks of an earlier run" in report.groups[0].remark
        )
        master._reconcile = silent.answer
        await until(lambda: len(master.launched) == 2)
        master.known["was-running.1"].append(("TASK_FINISHED", pack(Page(1)), b"u" * 16))
        await master._say_next("was-running.1")
        assert (await asyncio.wait_for(task, 10)).exit_code == 0
    assert [info.task_id.value for info in master.launched] == ["failed-before.2", "new.1"]


async def test_an_update_of_its_agent_answers_for_a_task_as_well(master, tmp_path):
    """A master that has just been restarted answers no question about a task whose agent has not come back yet."""
    silent = Silent(master)
    async with ActorSystem("t") as system:
        task = asyncio.ensure_future(
            run(taking_over(master, tmp_path, launch_gate_timeout=600.0, first_wait=600.0), system=system)
        )
        await until(lambda: silent.asked)
        assert master.launched == []
        master.known["was-running.1"].append(("TASK_FINISHED", pack(Page(1)), b"u" * 16))
        await master._say_next("was-running.1")
        assert (await asyncio.wait_for(task, 10)).exit_code == 0
    assert len(master.launched) == 2


async def test_the_setting_lets_them_go_at_once(master, tmp_path):
    silent = Silent(master)
    async with ActorSystem("t") as system:
        task = asyncio.ensure_future(run(taking_over(master, tmp_path, launch_gate=False), system=system))
        await until(lambda: len(master.launched) == 2)
        assert silent.asked
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("name", ["offers", "reconciler"])
async def test_an_actor_that_fails_at_the_closed_gate_comes_back_to_a_closed_gate(master, tmp_path, name):
    silent = Silent(master)
    trace = ListTrace("t")

    def closed():
        kind = {"offers": "HoldLaunches", "reconciler": "StartReconciliation"}[name]
        return sum(each.type == f"actors.messages:{kind}" for each in trace.records)

    async with ActorSystem("t", trace=trace) as system:
        task = asyncio.ensure_future(
            run(taking_over(master, tmp_path, launch_gate_timeout=600.0), system=system)
        )
        await until(lambda: len(silent.asked) >= 2)
        before = closed()
        unhashable = cast("Any", [])
        bad = {"offers": events.Rescind(unhashable), "reconciler": m.TaskAnswered(unhashable)}
        system.get(name).tell(bad[name])
        await until(lambda: closed() > before)
        await until(lambda: len(silent.asked) >= 4)
        assert master.launched == []
        master._reconcile = silent.answer
        await until(lambda: len(master.launched) == 2)
        task.cancel()
        await asyncio.wait([task])


async def test_a_first_run_has_no_gate(master):
    class First(SchedulerActor):
        def on_registered(self, event):
            self.launch(Page(1), cpus=1.0, retry=RetryPolicy(attempts=1))

        def on_task_finished(self, done):
            self.finish(0)

    trace = ListTrace("t")
    async with ActorSystem("t", trace=trace) as system:
        assert (await play(composition(master, First), system=system)).exit_code == 0
    assert not [each for each in trace.records if each.type.endswith(("Gate", "HoldLaunches"))]
