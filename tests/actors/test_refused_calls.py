"""Each call that the master does not take has an answer by its sender: nothing leaks, nothing waits for ever, nobody is left out.

`SENDERS` is read off the code: who tells the connection what. Each pair has a test here (`@answers`), and each sender hears
`CallFailed`. TEARDOWN is the connection's own: see test_teardown.py.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import actors
from actors import messages as m
from actors.connection.calls import RULES
from actors.framework_settings import Composition, FrameworkSettings
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.message_actor import MessageActor
from actors.messages import TaskPhase
from actors.offer_actor import OfferActor, OfferSettings
from actors.operation_actor import OperationActor
from actors.reconciler_actor import ReconcilerActor
from actors.runtime import RESTART, receive
from actors.runtime.handlers import understood_types
from actors.scheduler_actor import SchedulerActor
from actors.task_actor import TaskActor
from mesos_v1 import events
from mesos_v1.resources import Resources
from mesos_v1.states import TaskState
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, OfferId, OperationId, TaskId, TaskStatus
from tests.actors.test_offer_actor import Broker, offer, scenario
from tests.actors.test_operations import scenario as operation_scenario
from tests.actors.test_reconciler_actor import scenario as reconciler_scenario
from tests.actors.test_reliable_messages import world as messages_world
from tests.actors.test_task_actor import scenario as task_scenario
from tests.support.actor_bench import ActorBench, system, virtually

FATES: dict[m.CallFate, dict[str, Any]] = {
    m.CallFate.REFUSED: {"status": 413},
    m.CallFate.BUSY: {"status": 503},
    m.CallFate.UNCERTAIN: {"uncertain": True},
    m.CallFate.EXPIRED: {},
}


def failed(call, fate):
    return m.CallFailed(call, f"as a test has it: {fate.name}", **FATES[fate])


@pytest.mark.parametrize("fate", FATES)
def test_a_failed_call_says_which_of_the_four_fates_it_met(fate):
    assert failed(m.Teardown(), fate).fate is fate


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (400, m.CallFate.REFUSED),
        (413, m.CallFate.REFUSED),
        (401, m.CallFate.BUSY),
        (403, m.CallFate.BUSY),
        (429, m.CallFate.BUSY),
        (500, m.CallFate.BUSY),
        (503, m.CallFate.BUSY),
    ],
)
def test_only_what_is_wrong_with_the_call_itself_is_refused_for_good(status, fate):
    assert m.CallFailed(m.Suppress(), "no", status).fate is fate


# --- who sends what ---------------------------------------------------------------------------------------------------


def _sent() -> Iterator[tuple[str, type]]:
    """Each class of `actors/` with each call that its body tells the connection."""
    names = {call.__name__: call for call in RULES if call is not m.Teardown}
    for path in sorted(Path(actors.__file__).parent.rglob("*.py")):
        for cls in ast.parse(path.read_text()).body:
            if not isinstance(cls, ast.ClassDef):
                continue
            for method in cls.body:
                if any(_tells_the_connection(node) for node in ast.walk(method)):
                    for node in ast.walk(method):
                        made = node.func if isinstance(node, ast.Call) else None
                        if isinstance(made, ast.Attribute) and made.attr in names:
                            yield cls.name, names[made.attr]


def _tells_the_connection(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    if node.func.attr == "_send_call":  # the one way of a scheduler with offers in hand
        return True
    to = node.args[0] if node.func.attr == "tell" else None
    return isinstance(to, ast.Constant) and to.value == "connection"


CLASSES = {
    "BaseScheduler": SchedulerActor,
    "LowLevelScheduler": LowLevelScheduler,
    "MessageActor": MessageActor,
    "OfferActor": OfferActor,
    "OperationActor": OperationActor,
    "ReconcilerActor": ReconcilerActor,
    "SchedulerActor": SchedulerActor,
    "TaskActor": TaskActor,
}
SENDERS = set(_sent())
ANSWERED: set[tuple[str, type]] = set()


def answers(sender: str, *calls: type) -> Callable[[Any], Any]:
    """Note which pairs a test is about."""
    ANSWERED.update((sender, call) for call in calls)
    return lambda test: test


def test_each_call_of_the_table_has_a_sender_and_each_sender_hears_of_its_failure():
    assert {call for _, call in SENDERS} | {m.Teardown} == set(RULES)
    for sender, _ in SENDERS:
        assert m.CallFailed in understood_types(CLASSES[sender]), sender


def test_each_sender_of_a_call_has_a_test_here_that_shows_its_answer():
    assert ANSWERED == SENDERS


# --- reliable messages ------------------------------------------------------------------------------------------------


@answers("MessageActor", m.SendMessage)
@pytest.mark.parametrize("fate", FATES)
def test_a_reliable_message_that_did_not_leave_is_repeated_and_told_only_if_it_never_will_be_taken(fate):
    async def work():
        async with messages_world() as made:
            made.send()
            await made.flow(2)
            made.send()
            await made.settle()
            made.down.clear()
            call = made.above.of("connection", m.SendMessage)[-1]
            made.above.say("connection", "messages", failed(call, fate))
            await made.flow(5)
            refused = fate is m.CallFate.REFUSED
            assert [number for number, _ in made.undelivered] == ([2] if refused else [])
            assert [number for _, number in made.heard_below] == ([1] if refused else [1, 2])

    virtually(work())


# --- the broker -------------------------------------------------------------------------------------------------------


def fail(broker, call, fate):
    broker.say("connection", "offers", failed(call, fate))


@answers("OfferActor", m.Accept)
@pytest.mark.parametrize("fate", FATES)
def test_the_offers_of_an_accept_that_came_to_nothing_are_given_back(fate):
    async def work():
        async with system() as running:
            broker = Broker(running)
            broker.demand("t")
            broker.offer(offer(1))
            await broker.settle()
            (accept,) = broker.of("connection", m.Accept)
            fail(broker, accept, fate)
            await broker.settle()
            given_back = [each.offer_ids for each in broker.of("connection", m.Decline)]
            assert given_back == ([] if fate is m.CallFate.EXPIRED else [("o1",)])

    virtually(work())


@scenario
async def test_a_refused_accept_goes_on_in_halves_until_the_culprit_is_alone_and_fails_with_the_reason(
    running,
):
    broker = Broker(running)
    for number in range(8):
        broker.demand(f"t{number}", number)
    launched: set[str] = set()
    for number in range(40):
        broker.offer(offer(number, Resources.of(cpus=100, mem=100_000)))
        await broker.settle(1)
        for accept in broker.take("connection", m.Accept):
            if "task:t5" in accept.askers:
                fail(broker, accept, m.CallFate.REFUSED)
                await broker.settle()
                for name in accept.askers:
                    if len(accept.askers) > 1:
                        (news,) = broker.take(name)[-1:]
                        assert isinstance(news, m.NotLaunched)
                        broker.demand(name.removeprefix("task:"), int(name[6:]))
            else:
                launched |= set(accept.askers)
    assert launched == {f"task:t{n}" for n in range(8)} - {"task:t5"}
    (refused,) = broker.of("task:t5", m.LaunchRefused)
    assert (refused.attempt_id, refused.reason) == ("t5.1", "as a test has it: REFUSED")


@scenario
async def test_a_busy_master_is_not_asked_at_once_again(running):
    broker = Broker(running)
    broker.demand("t")
    broker.offer(offer(1))
    await broker.settle()
    fail(broker, broker.of("connection", m.Accept)[0], m.CallFate.BUSY)
    await broker.settle()
    broker.demand("t")
    await broker.settle(4)
    assert broker.of("connection", m.Revive) == []
    assert broker.of("connection", m.Decline)[0].refuse_seconds == 5.0


@answers("OfferActor", m.Decline)
@pytest.mark.parametrize(
    ("fate", "again"),
    [
        (m.CallFate.BUSY, True),
        (m.CallFate.UNCERTAIN, True),
        (m.CallFate.REFUSED, False),
        (m.CallFate.EXPIRED, False),
    ],
)
def test_offers_that_could_not_be_declined_are_declined_again(fate, again):
    async def work():
        async with system() as running:
            broker = Broker(running)
            broker.demand("big", resources=Resources.of(cpus=99))
            broker.offer(offer(1))
            await broker.settle()
            (decline,) = broker.take("connection", m.Decline)
            fail(broker, decline, fate)
            await broker.settle(1.1)
            assert broker.take("connection", m.Decline) == ([decline] if again else [])
            fail(broker, decline, fate)
            await broker.settle()
            broker.broker.tell(m.Disconnected("x"))
            broker.broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
            await broker.settle(60)
            assert broker.of("connection", m.Decline) == []  # offers of another subscription

    virtually(work())


@answers("OfferActor", m.Suppress)
@pytest.mark.parametrize("fate", [m.CallFate.BUSY, m.CallFate.UNCERTAIN, m.CallFate.REFUSED])
def test_a_suppress_that_was_not_taken_is_said_again_or_a_revive_if_something_waits_by_then(fate):
    async def work():
        async with system() as running:
            broker = Broker(running)
            await broker.settle(1.1)
            (suppress,) = broker.take("connection", m.Suppress)
            fail(broker, suppress, fate)
            await broker.settle(2.1)
            assert broker.take("connection", m.Suppress) == [suppress]
            fail(broker, suppress, fate)
            broker.demand("t")
            await broker.settle(5)
            assert broker.of("connection", m.Revive) == [m.Revive(("*",))]
            assert broker.of("connection", m.Suppress) == []

    virtually(work())


@answers("OfferActor", m.Revive)
@pytest.mark.parametrize("fate", [m.CallFate.BUSY, m.CallFate.UNCERTAIN, m.CallFate.REFUSED])
def test_a_revive_that_was_not_taken_is_said_again_or_a_suppress_if_nothing_waits_by_then(fate):
    async def work():
        async with system() as running:
            broker = Broker(running)
            await broker.settle(1.1)
            broker.demand("t")
            await broker.settle()
            (revive,) = broker.take("connection", m.Revive)
            fail(broker, revive, fate)
            await broker.settle(1.1)
            assert broker.take("connection", m.Revive) == [revive]
            fail(broker, revive, fate)
            broker.say("task:t", "offers", m.Withdraw(TaskId("t.1")))
            await broker.settle(5)
            assert broker.of("connection", m.Suppress) == [m.Suppress(("*",))]

    virtually(work())


@scenario
async def test_a_master_that_refuses_for_long_is_asked_less_and_less_often(running):
    broker = Broker(running)
    await broker.settle(1.1)
    for _ in range(200):
        for suppress in broker.take("connection", m.Suppress):
            fail(broker, suppress, m.CallFate.BUSY)
        await broker.settle(1)
    broker.take("connection")
    said = 0
    for _ in range(600):
        for suppress in broker.take("connection", m.Suppress):
            said += 1
            fail(broker, suppress, m.CallFate.BUSY)
        await broker.settle(1)
    assert 5 <= said <= 15


class Fragile(OfferActor):
    """Fails when its executors are told a second time."""

    @receive
    def handle_use_executors(self, told: m.UseExecutors) -> None:
        if not told.executors:
            raise ValueError("as the test has it")


def test_a_broker_that_fails_gives_back_what_it_holds_and_the_next_one_says_again_what_it_wants():
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "connection", "store")
            composition = Composition(FrameworkSettings(name="t"))
            broker = running.spawn(
                Fragile, composition, OfferSettings(jitter=0.0), name="offers", supervision=RESTART
            )
            broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, False))
            broker.tell(events.Offers((offer(1), offer(2, agent="a2"))))
            broker.tell(m.UseExecutors(()))
            await bench.settle(0.05)
            assert [call.offer_ids for call in bench.take("connection")] == [("o1", "o2")]
            await bench.settle(1)
            assert len(bench.of("scheduler", m.ActorStarted)) == 2
            broker.tell(m.StillSubscribed())
            await bench.settle(1.1)
            assert bench.of("connection", m.Suppress) == [m.Suppress(("*",))]

    virtually(work())


# --- limits that make a refusal unlikely ------------------------------------------------------------------------------


@scenario
async def test_an_accept_is_bounded_by_bytes_and_the_rest_goes_with_the_next_offer_at_once(running):
    broker = Broker(running, max_accept_bytes=10_000)
    broker.demand("small", 0)
    for number in range(1, 13):
        broker.demand(f"t{number}", number, payload=b"x" * 3000)
    sizes = []
    for number in range(10):
        broker.offer(offer(number, Resources.of(cpus=100, mem=100_000)))
        await broker.settle(0.2)
        left_over = broker.of("connection", m.Revive)
        for accept in broker.take("connection", m.Accept):
            sizes.append(len(accept.attempts))
            assert sum(map(len, accept.operations)) <= 10_000
            left = 13 - sum(sizes)
            assert (accept.refuse_seconds == 0.0) is bool(left)
        if sum(sizes) < 13:
            assert left_over  # asks for more at once
    assert sizes == [3, 2, 2, 2, 2, 2]


@scenario
async def test_a_task_beyond_the_bound_goes_alone_and_stops_no_other(running):
    broker = Broker(running, max_accept_bytes=10_000)
    broker.demand("huge", 1, payload=b"x" * 50_000)
    broker.demand("small", 2)
    broker.offer(offer(1), offer(2, agent="a2"))
    await broker.settle()
    assert [tuple(i.name for i in infos) for _, infos in broker.launches()] == [("huge",), ("small",)]


@scenario
async def test_what_had_no_room_in_an_accept_says_so_when_asked(running):
    broker = Broker(running, max_accept_bytes=10_000)
    broker.demand("a", 1, payload=b"x" * 6000)
    broker.demand("b", 2, payload=b"x" * 6000)
    broker.offer(offer(1))
    await broker.settle()
    report = await broker.broker.ask(m.WhyPending(TaskId("b")), block=False)
    (shortfall,) = report.groups[0].verdicts[0].shortfalls
    assert (shortfall.resource, shortfall.available) == ("bytes of one ACCEPT", "10000")


# --- tasks, reconciliation, operations --------------------------------------------------------------------------------


@answers("TaskActor", m.Kill)
@task_scenario()
async def test_a_kill_that_was_not_taken_is_sent_again(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    task.task.tell(m.KillTask())
    await task.settle()
    (kill,) = task.take("connection", m.Kill)
    task.task.tell(failed(kill, m.CallFate.BUSY))
    await task.settle(20)
    assert task.of("connection", m.Kill)


@answers("TaskActor", m.Acknowledge)
@task_scenario()
async def test_an_update_whose_acknowledgement_was_not_taken_is_acknowledged_when_it_comes_again(task):
    await task.launch()
    status = await task.update("TASK_RUNNING")
    (acknowledge,) = task.of("connection", m.Acknowledge)
    task.task.tell(failed(acknowledge, m.CallFate.REFUSED))
    task.task.tell(events.Update(status))
    await task.settle()
    assert task.acknowledged == [status.uuid, status.uuid]


@task_scenario()
async def test_a_task_that_the_master_refuses_to_launch_fails_with_the_masters_words(task):
    await task.launch()
    task.task.tell(m.LaunchRefused(TaskId("t.1"), "no such resource"))
    await task.settle()
    (done,) = task.done
    assert (done.phase, done.message) == (
        TaskPhase.FAILED,
        "the master refuses its launch: no such resource",
    )


@answers("ReconcilerActor", m.Reconcile)
@reconciler_scenario()
async def test_a_question_that_was_not_taken_is_put_again(bench):
    await bench.start()
    (question,) = bench.of("connection", m.Reconcile)
    bench.actor.tell(failed(question, m.CallFate.BUSY))
    await bench.settle(5.1)
    assert bench.asked == [["t1", "t2"], ["t1", "t2"]]


@answers("ReconcilerActor", m.Kill)
@reconciler_scenario(unknown_tasks="kill")
async def test_an_unknown_task_whose_kill_was_not_taken_is_killed_when_it_is_heard_of_again(bench):
    status = TaskStatus(TaskId("x.1"), TaskState.TASK_RUNNING, agent_id=AgentId("a"))
    bench.actor.tell(m.UnknownTask(status))
    await bench.settle()
    (kill,) = bench.of("connection", m.Kill)
    bench.actor.tell(failed(kill, m.CallFate.REFUSED))
    bench.actor.tell(m.UnknownTask(status))
    await bench.settle()
    assert bench.of("connection", m.Kill) == [kill, kill]


@answers("OperationActor", m.ReconcileOperations)
@operation_scenario
async def test_a_question_about_an_operation_that_was_not_taken_is_put_again(bench):
    await bench.settle(10.1)
    (question,) = bench.asked
    bench.actor.tell(failed(question, m.CallFate.REFUSED))
    await bench.settle(20.1)
    assert bench.asked == [question, question]


# --- authors ----------------------------------------------------------------------------------------------------------


class Broad(SchedulerActor):
    def on_error(self, message):
        self.tell("listener", message)


class Narrow(LowLevelScheduler):
    def call_failed(self, failed):
        self.tell("listener", failed)


def calls() -> list[Any]:
    """One of each call."""
    offers, task, agent = (OfferId("o"),), TaskId("t.1"), AgentId("a")
    return [
        m.Accept(offers, (), 5.0),
        m.Decline(offers, 5.0),
        m.AcceptInverseOffers(offers),
        m.DeclineInverseOffers(offers, 5.0),
        m.Revive(),
        m.Suppress(),
        m.Reconcile(),
        m.ReconcileOperations(),
        m.RequestResources(()),
        m.Kill(task),
        m.ShutdownExecutor(ExecutorId("e"), agent),
        m.Acknowledge(agent, task, b"u"),
        m.AcknowledgeOperation(OperationId("op"), b"u"),
        m.UpdateFramework(b""),
        m.SendMessage(agent, ExecutorId("e"), b""),
    ]


def test_there_is_one_of_each_call():
    assert {type(call) for call in calls()} | {m.Teardown} == set(RULES)


OWN = [
    call
    for call in calls()
    if ("SchedulerActor", type(call))
    in SENDERS | {("SchedulerActor", m.SendMessage), ("SchedulerActor", m.AcknowledgeOperation)}
]


@answers("SchedulerActor", *(call for sender, call in SENDERS if sender == "SchedulerActor"))
@answers("BaseScheduler", m.AcknowledgeOperation)
@answers("LowLevelScheduler", *(call for sender, call in SENDERS if sender == "LowLevelScheduler"))
@pytest.mark.parametrize("fate", FATES)
def test_an_author_is_told_of_each_call_that_came_to_nothing(fate):
    async def work():
        async with system() as running:
            bench = ActorBench(running, "framework", "connection", "store", "listener")
            composition = Composition(FrameworkSettings(name="t"))
            low = running.spawn(Narrow, composition, None, name="low")
            high = running.spawn(Broad, composition, None, name="high")
            for call in calls():
                low.tell(failed(call, fate))
                await bench.settle()
                (told,) = bench.take("listener")
                assert told == failed(call, fate)
            for call in OWN:
                high.tell(failed(call, fate))
                await bench.settle()
                (said,) = bench.take("listener")
                assert fate.name in said
                assert type(call).__name__ in said

    virtually(work())
