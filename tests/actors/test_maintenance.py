"""Maintenance: what is promised to the operator is kept, and what cannot be kept is not promised."""

import asyncio
import json
import time
import urllib.request

import pytest

from actors import messages as m
from actors.composition import ActorSpec, Composition, run
from actors.framework_settings import FrameworkSettings
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.messages import TaskPhase
from actors.scheduler_actor import SchedulerActor
from mesos_v1 import events
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, InverseOffer, OfferId, TaskId, Unavailability
from playa import AgentSettings, Cluster, ClusterSettings
from tests.actors.test_task_actor import scenario as task_scenario
from tests.support.actor_bench import ActorBench, system, virtually

A, B = AgentId("a"), AgentId("b")


class Policy(ActorBench):
    """A scheduler with tasks on agents, and everybody it talks to."""

    def __init__(self, running, cls=SchedulerActor, **settings):
        super().__init__(running, "framework", "connection", "store", "offers", "reconciler")
        composition = Composition(FrameworkSettings(name="t", **settings))
        self.scheduler = running.spawn(cls, composition, None, name="scheduler")
        self.numbers = iter(range(100))

    @property
    def now(self):
        return self.system.clock.time()

    def task(self, name, agent, phase=TaskPhase.RUNNING, executor="e-1"):
        self.heard[name], self.answers[name] = [], {}
        from tests.support.actor_bench import Speaker

        ref = self.system.spawn(Speaker, self.heard[name], self.answers[name], name=f"task:{name}")
        self.scheduler._actor._tasks.add(TaskId(name), ref)
        changed = m.TaskChanged(
            TaskId(name),
            TaskId(f"{name}.1"),
            1,
            phase,
            "TASK_RUNNING",
            agent_id=agent,
            executor_id=ExecutorId(executor),
        )
        self.scheduler.tell(changed)

    async def ask(self, agent, start, duration=100.0):
        """The master asks for an agent; what is answered."""
        number = OfferId(f"inverse-{next(self.numbers)}")
        offer = InverseOffer(number, FrameworkId("f"), agent, Unavailability(start, duration))
        self.take("connection")
        self.scheduler.tell(events.InverseOffers((offer,)))
        await self.settle()
        return [type(call) for call in self.heard["connection"]]

    def moved(self, name):
        return [asked.agent_id for asked in self.heard[name] if isinstance(asked, m.MoveTask)]


def scenario(*arguments, **keywords):
    def decorate(test):
        def check():
            async def work():
                async with system() as running:
                    await test(Policy(running, *arguments, **keywords))

            virtually(work())

        check.__name__ = test.__name__
        return check

    return decorate


YES, NO = [m.AcceptInverseOffers], [m.DeclineInverseOffers]


@scenario(maintenance_lead=60.0)
async def test_tasks_are_moved_before_the_window_and_executors_after_them(bench):
    bench.task("here", A)
    bench.task("there", B)
    start = bench.now + 600
    for _ in range(10):
        assert await bench.ask(A, start) == YES
        await bench.settle(50)
    assert bench.moved("here") == []
    await bench.settle(45)
    assert bench.moved("here") == [A]
    assert bench.moved("there") == []
    await bench.settle(11)
    assert bench.of("connection", m.ShutdownExecutor) == [m.ShutdownExecutor(ExecutorId("e-1"), A)]
    assert await bench.ask(A, start) == YES
    await bench.settle(60)
    assert bench.moved("here") == [A]  # once


@scenario()
async def test_a_window_that_has_begun_is_declined_while_tasks_run_and_they_are_moved_at_once(bench):
    bench.task("here", A)
    assert await bench.ask(A, bench.now - 1) == NO
    await bench.settle(0.1)
    assert bench.moved("here") == [A]


@scenario()
async def test_a_window_that_is_over_and_still_scheduled_moves_nothing(bench):
    assert await bench.ask(A, bench.now - 101) == YES
    bench.task("here", A)
    assert await bench.ask(A, bench.now - 102) == NO
    await bench.settle(30)
    assert bench.moved("here") == []
    assert bench.of("connection", m.ShutdownExecutor) == []


@scenario()
async def test_what_begins_on_an_agent_after_a_short_window_keeps_its_executor(bench):
    bench.task("here", A)
    assert await bench.ask(A, bench.now + 1, duration=5.0) == YES
    await bench.settle(8)
    assert bench.moved("here") == [A]
    bench.task("new", A)
    await bench.settle(30)
    assert bench.moved("new") == []
    assert bench.of("connection", m.ShutdownExecutor) == []


@scenario()
async def test_a_task_that_gets_there_while_the_window_is_open_is_moved_too(bench):
    start = bench.now - 1
    assert await bench.ask(A, start) == YES
    bench.task("late", A)
    assert await bench.ask(A, start) == NO
    await bench.settle(0.1)
    assert bench.moved("late") == [A]


@scenario()
async def test_a_window_that_is_called_off_moves_nothing(bench):
    bench.task("here", A)
    assert await bench.ask(A, bench.now + 1000) == YES
    await bench.settle(2000)
    assert bench.moved("here") == []


@scenario()
async def test_a_window_that_is_put_off_moves_tasks_before_the_new_one(bench):
    bench.task("here", A)
    start = bench.now + 100
    assert await bench.ask(A, start) == YES
    assert await bench.ask(A, start + 100) == YES
    await bench.settle(100)
    assert await bench.ask(A, start + 100) == YES
    await bench.settle(39)
    assert bench.moved("here") == []
    await bench.settle(2)
    assert bench.moved("here") == [A]


@scenario(on_maintenance="stay")
async def test_tasks_that_stay_are_not_promised_away(bench):
    bench.task("here", A)
    assert await bench.ask(A, bench.now + 600) == NO
    assert await bench.ask(B, bench.now + 600) == YES
    await bench.settle(1000)
    assert bench.moved("here") == []


@scenario()
async def test_what_names_no_agent_is_not_promised(bench):
    assert await bench.ask(None, bench.now + 600) == NO


class Says(SchedulerActor):
    answer: object = None

    def on_inverse_offer(self, offer):
        if self.answer == "raise":
            raise ValueError("as the test has it")
        return self.answer


@pytest.mark.parametrize(("answer", "expected"), [(True, YES), (False, NO), ("raise", NO), (None, YES)])
def test_an_author_may_know_better_and_a_hook_that_raises_promises_nothing(answer, expected):
    async def work():
        async with system() as running:
            bench = Policy(running, Says)
            bench.scheduler._actor.answer = answer
            assert await bench.ask(A, bench.now + 600) == expected

    virtually(work())


@scenario(LowLevelScheduler)
async def test_with_offers_in_hand_nothing_is_promised_unless_the_author_does(bench):
    assert await bench.ask(A, bench.now + 600) == NO


def test_a_policy_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match='"move" or "stay"'):
        FrameworkSettings(on_maintenance="run")


# --- the task's part --------------------------------------------------------------------------------------------------


@task_scenario()
async def test_a_moved_task_is_killed_and_runs_again_without_losing_an_attempt(task):
    for attempt in range(1, 8):  # more often than it may fail or be lost
        await task.launch(attempt)
        await task.update("TASK_RUNNING", attempt)
        task.take("connection")
        task.task.tell(m.MoveTask(A, "its agent goes down"))
        await task.settle()
        assert [kill.task_id for kill in task.of("connection", m.Kill)] == [f"t.{attempt}"]
        await task.update(["TASK_KILLED", "TASK_FAILED"][attempt % 2], attempt)
        assert task.phase == TaskPhase.BACKING_OFF
        await task.settle(11)
        assert task.of("offers", m.Demand)[-1].attempt_id == f"t.{attempt + 1}"
    news = task.of("scheduler", m.TaskChanged)[-2]
    assert (news.reason, news.message) == ("moved", "moved: its agent goes down")


@task_scenario()
async def test_a_task_on_another_agent_stays(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    task.task.tell(m.MoveTask(B, "its agent goes down"))
    await task.settle(100)
    assert task.of("connection", m.Kill) == []


@task_scenario()
async def test_a_task_that_is_moved_while_it_starts_is_killed_again_when_it_runs(task):
    await task.launch()
    task.task.tell(m.MoveTask(A, "its agent goes down"))
    await task.settle()
    assert len(task.of("connection", m.Kill)) == 1
    await task.update("TASK_RUNNING")
    assert len(task.of("connection", m.Kill)) == 2


@task_scenario()
async def test_a_moved_task_that_finishes_first_has_finished(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    task.task.tell(m.MoveTask(A, "its agent goes down"))
    await task.update("TASK_FINISHED")
    assert task.done[0].phase == TaskPhase.FINISHED


# --- the whole --------------------------------------------------------------------------------------------------------


class Long(SchedulerActor):
    """One long task; ends when it has run on two agents."""

    def on_registered(self, event):
        self.agents: list[AgentId] = []
        self.launch(command="sleep 1000", cpus=0.5, mem=32)

    def on_task_update(self, update):
        if update.state == "TASK_RUNNING" and update.agent_id not in self.agents:
            self.agents.append(update.agent_id)
            if len(self.agents) == 2:
                self.finish(0, "moved")


async def test_a_task_moves_to_another_agent_of_the_embedded_cluster_before_maintenance(tmp_path):
    agents = tuple(AgentSettings(resources="cpus:1;mem:100;disk:100", hostname=f"h{n}") for n in (1, 2))
    settings = ClusterSettings(port=0, work_dir=str(tmp_path), agents=agents)
    async with Cluster(settings) as cluster:

        def announce(agent_id):
            with urllib.request.urlopen(f"{cluster.url}/slaves", timeout=10) as answer:
                (agent,) = (each for each in json.load(answer)["slaves"] if each["id"] == agent_id)
            machine = {"hostname": agent["hostname"], "ip": agent["pid"].partition("@")[2].partition(":")[0]}
            start = {"nanoseconds": int((time.time() + 3) * 1e9)}
            window = {"machine_ids": [machine], "unavailability": {"start": start}}
            body = json.dumps({"windows": [window]}).encode()
            request = urllib.request.Request(
                f"{cluster.url}/maintenance/schedule", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200

        class Announcing(Long):
            def on_task_update(self, update):
                super().on_task_update(update)
                if len(self.agents) == 1 and not hasattr(self, "announced"):
                    self.announced = asyncio.get_running_loop().run_in_executor(
                        None, announce, update.agent_id
                    )

        framework = FrameworkSettings(name="t", user="root", master=cluster.url, maintenance_lead=3600.0)
        made = Composition(framework, (ActorSpec("scheduler", Announcing, None),))
        assert await asyncio.wait_for(run(made), 40) == m.Outcome(0, "moved")
