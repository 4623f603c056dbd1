"""Mesos's reconciliation algorithm in virtual time."""

from actors import messages as m
from actors.framework_settings import Composition, FrameworkSettings
from actors.reconciler_actor import ReconcilerActor, ReconcilerSettings
from mesos_v1.states import TaskState
from mesos_v1.values import AgentId, TaskId, TaskStatus
from tests.support.actor_bench import ActorBench, system, virtually

A = AgentId("a")


class Reconciliation(ActorBench):
    def __init__(self, running, tasks=("t1", "t2"), **settings) -> None:
        super().__init__(running, "scheduler", "connection")
        self.tasks = list(tasks)
        self.answers["scheduler"][m.ListTasks] = lambda _: m.TasksOnCluster(
            tuple((TaskId(name), A) for name in self.tasks)
        )
        self.actor = running.spawn(
            ReconcilerActor,
            Composition(FrameworkSettings()),
            ReconcilerSettings(**settings),
            name="reconciler",
        )

    @property
    def asked(self):
        return [[task for task, _ in call.tasks] for call in self.of("connection", m.Reconcile)]

    async def start(self):
        self.actor.tell(m.StartReconciliation())
        await self.settle()

    async def answer(self, name):
        self.actor.tell(m.TaskAnswered(TaskId(name)))
        await self.settle()


def scenario(*arguments, **keywords):
    def decorate(test):
        def run():
            async def work():
                async with system() as running:
                    await test(Reconciliation(running, *arguments, **keywords))

            virtually(work())

        run.__name__ = test.__name__
        return run

    return decorate


@scenario()
async def test_a_round_asks_about_every_task_on_the_cluster(bench):
    await bench.start()
    assert bench.asked == [["t1", "t2"]]


@scenario()
async def test_those_that_do_not_answer_are_asked_about_again_with_growing_waits(bench):
    await bench.start()
    await bench.answer("t1")
    await bench.settle(4.9)
    assert len(bench.asked) == 1
    await bench.settle(0.2)
    assert bench.asked[1:] == [["t2"]]
    await bench.settle(9.8)
    assert len(bench.asked) == 2
    await bench.settle(0.3)
    assert bench.asked[2:] == [["t2"]]
    await bench.answer("t2")
    await bench.settle(800)
    assert len(bench.asked) == 3


@scenario(longest_wait=20.0, period=1e9)
async def test_the_waits_are_truncated(bench):
    await bench.start()
    await bench.settle(1000)
    assert 45 < len(bench.asked) < 55


@scenario()
async def test_a_task_that_ended_meanwhile_is_no_longer_asked_about(bench):
    await bench.start()
    bench.tasks.remove("t2")
    await bench.settle(5.1)
    assert bench.asked[1:] == [["t1"]]


@scenario()
async def test_there_is_one_round_at_a_time(bench):
    await bench.start()
    await bench.start()
    await bench.start()
    await bench.settle(5.1)
    assert bench.asked == [["t1", "t2"]] * 4  # three starts, one repetition


@scenario(period=900.0)
async def test_rounds_come_periodically(bench):
    await bench.start()
    await bench.answer("t1")
    await bench.answer("t2")
    await bench.settle(901)
    assert len(bench.asked) == 2


@scenario(period=100.0, implicit_every=0, first_wait=11.0)
async def test_there_is_one_periodical_round_however_often_the_framework_subscribed(bench):
    for _ in range(3):
        await bench.start()
        await bench.settle(10)
    asked = len(bench.asked)
    for _ in range(21):  # 210 s: two rounds, at 100 s and 200 s after the last subscription
        for name in ("t1", "t2"):
            await bench.answer(name)
        await bench.settle(10)
    assert len(bench.asked) == asked + 2


@scenario(period=100.0, implicit_every=2)
async def test_now_and_then_the_question_is_implicit_too(bench):
    await bench.start()
    for name in ("t1", "t2"):
        await bench.answer(name)
    await bench.settle(101)
    assert bench.asked == [["t1", "t2"], [], ["t1", "t2"]]


@scenario()
async def test_without_a_master_nobody_is_asked(bench):
    await bench.start()
    bench.actor.tell(m.StopReconciliation())
    await bench.settle(10_000)
    assert len(bench.asked) == 1
    await bench.start()
    assert len(bench.asked) == 2


@scenario()
async def test_a_suspect_is_asked_about_at_once_and_again_until_it_has_answered(bench):
    bench.tasks[:] = []
    await bench.start()
    bench.tasks[:] = ["t9"]
    bench.actor.tell(m.Suspect(TaskId("t9"), A))
    await bench.settle()
    assert bench.asked == [["t9"]]
    await bench.settle(5.1)
    assert bench.asked == [["t9"], ["t9"]]
    await bench.answer("t9")
    await bench.settle(500)
    assert len(bench.asked) == 2


@scenario([f"t{n}" for n in range(25)], batch=10)
async def test_many_tasks_are_asked_about_in_several_calls(bench):
    await bench.start()
    assert [len(each) for each in bench.asked] == [10, 10, 5]


@scenario()
async def test_a_reconciler_says_that_it_is_there(bench):
    await bench.settle()
    assert bench.of("scheduler", m.ActorStarted) == [m.ActorStarted("reconciler")]


@scenario()
async def test_a_suspect_joins_the_round_that_runs(bench):
    await bench.start()
    bench.actor.tell(m.Suspect(TaskId("t1"), A))
    await bench.settle(5.1)
    assert bench.asked == [["t1", "t2"], ["t1"], ["t1", "t2"]]


@scenario()
async def test_a_list_that_was_not_asked_for_begins_no_round(bench):
    await bench.start()
    bench.actor.tell(m.TasksOnCluster(((TaskId("t7"), A),)))
    await bench.settle()
    assert bench.asked == [["t1", "t2"]]
    await bench.settle(5.1)
    assert bench.asked[1:] == [["t1", "t2"]]  # and ends none


@scenario()
async def test_a_list_that_comes_after_its_round_begins_no_other(bench):
    await bench.start()
    await bench.answer("t1")
    await bench.answer("t2")
    bench.actor.tell(m.TasksOnCluster(((TaskId("t7"), A),)))
    await bench.settle(500)
    assert bench.asked == [["t1", "t2"]]


@scenario()
async def test_a_suspect_after_a_round_is_asked_about_until_it_has_answered(bench):
    await bench.start()
    await bench.answer("t1")
    await bench.answer("t2")
    bench.actor.tell(m.Suspect(TaskId("t2"), A))
    await bench.settle(5.1)
    assert bench.asked == [["t1", "t2"], ["t2"], ["t2"]]
    await bench.answer("t2")
    await bench.settle(500)
    assert len(bench.asked) == 3


@scenario()
async def test_an_answer_before_the_round_has_its_list_does_not_end_the_round(bench):
    bench.answers["scheduler"].clear()
    await bench.start()
    await bench.answer("t1")
    bench.actor.tell(m.TasksOnCluster(((TaskId("t2"), A),)))
    await bench.settle()
    assert bench.asked == [["t2"]]


UNKNOWN = TaskStatus(TaskId("who"), TaskState.TASK_RUNNING, agent_id=A)


@scenario()
async def test_unknown_tasks_are_not_killed_by_default(bench):
    """dcos-commons kills them at once; with a restored old backup that is mass murder."""
    bench.actor.tell(m.UnknownTask(UNKNOWN))
    await bench.settle(100)
    assert bench.of("connection", m.Kill) == []


@scenario(unknown_tasks="kill")
async def test_unknown_tasks_are_killed_if_the_author_says_so(bench):
    bench.actor.tell(m.UnknownTask(UNKNOWN))
    await bench.settle()
    assert bench.of("connection", m.Kill) == [m.Kill(TaskId("who"), A)]
