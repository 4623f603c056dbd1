"""Offer operations with an id: every pair of the table, reconciliation in virtual time, and a real RESERVE and CREATE."""

import asyncio

import pytest

from actors import messages as m
from actors import states
from actors.composition import ActorSpec, Composition, run
from actors.framework_settings import FrameworkSettings
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.operation_actor import OperationActor
from actors.records import (
    ENDED_PHASES,
    OPERATION,
    PHASE_OF_STATE,
    OperationPhase,
    OperationRecord,
)
from actors.scheduler_actor import SchedulerActor
from actors.states import OperationAction
from actors.store_actor import StoreActor, StoreSettings
from mesos_v1 import events, offer_operations
from mesos_v1.resources import Reservation, Resources
from mesos_v1.states import OperationState
from mesos_v1.values import AgentId, FrameworkId, OfferId, OperationId, OperationStatus
from playa import AgentSettings, Cluster, ClusterSettings
from tests.actors.test_scheduler_actor import composition, play
from tests.support.actor_bench import ActorBench, system, virtually
from tests.support.simulated_master import simulated_master

OP = OperationId("op")


@pytest.mark.parametrize(("key", "transition"), states.OPERATION.items())
def test_the_outcome_is_told_exactly_when_it_is_known(key, transition):
    told = transition.state in ENDED_PHASES and not transition.ignored
    assert (OperationAction.DONE in transition.actions) == told


def test_every_state_of_an_operation_is_classified():
    assert set(PHASE_OF_STATE) == set(OperationState)


class Bench(ActorBench):
    def __init__(self, running):
        super().__init__(running, "scheduler", "connection")
        self.actor = running.spawn(OperationActor, OP, None, name="operation:op")

    async def update(self, state):
        self.actor.tell(
            events.UpdateOperationStatus(OperationStatus(OP, OperationState(state), agent_id=AgentId("a")))
        )
        await self.settle()

    @property
    def asked(self):
        return self.of("connection", m.ReconcileOperations)

    @property
    def done(self):
        return [done.phase for done in self.of("scheduler", m.OperationDone)]


def scenario(test):
    def check():
        async def work():
            async with system() as running:
                await test(Bench(running))

        virtually(work())

    check.__name__ = test.__name__
    return check


@scenario
async def test_an_operation_that_nothing_is_heard_of_is_asked_about_with_growing_waits(bench):
    await bench.settle(9.9)
    assert bench.asked == []
    await bench.settle(0.2)
    assert bench.asked == [m.ReconcileOperations(((OP, None),))]
    await bench.settle(20)
    assert len(bench.asked) == 2
    await bench.update("OPERATION_UNKNOWN")
    assert bench.done == ["lost"]
    await bench.settle(10_000)
    assert len(bench.asked) == 2


@scenario
async def test_an_operation_on_an_agent_that_is_away_is_waited_for(bench):
    await bench.update("OPERATION_UNREACHABLE")
    await bench.update("OPERATION_RECOVERING")
    assert bench.done == []
    await bench.update("OPERATION_FINISHED")
    assert bench.done == ["finished"]


@scenario
async def test_a_new_subscription_asks_about_it_with_its_agent(bench):
    await bench.update("OPERATION_PENDING")
    bench.actor.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
    await bench.settle()
    assert bench.asked == [m.ReconcileOperations(((OP, AgentId("a")),))]


@scenario
async def test_news_that_name_no_agent_leave_the_known_one(bench):
    await bench.update("OPERATION_PENDING")
    bench.actor.tell(events.UpdateOperationStatus(OperationStatus(OP, OperationState("OPERATION_PENDING"))))
    bench.actor.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
    await bench.settle()
    assert bench.asked == [m.ReconcileOperations(((OP, AgentId("a")),))]


@pytest.mark.parametrize(("uncertain", "done", "asked"), [(False, ["lost"], 0), (True, [], 1)])
def test_an_accept_that_came_to_nothing_takes_its_operation_with_it(uncertain, done, asked):
    async def work():
        async with system() as running:
            bench = Bench(running)
            await bench.settle()
            bench.actor.tell(m.CallFailed(m.Accept((OfferId("o"),), (), 5.0), "x", 0, uncertain))
            await bench.settle()
            assert bench.done == done
            assert len(bench.asked) == asked

    virtually(work())


class Reserving(LowLevelScheduler):
    """Reserves disk and makes a volume of it in one ACCEPT, each step with feedback."""

    def registered(self, event):
        self.sent = False
        self.outcomes: dict[str, str] = {}
        self.states: list[str] = []

    def resource_offers(self, offers):
        (offer,) = offers
        if self.sent:
            self.decline([offer.id])
            return
        self.sent = True
        taken = offer.resources.take(Resources.of(disk=100))
        reserved = taken.push_reservation(Reservation("ads", principal=None, dynamic=True))
        (disk,) = reserved
        volume = Resources((offer_operations.volume(disk, "v1", "data"),))
        reserve = offer_operations.reserve(reserved, operation_id=OperationId("reserve-1"))
        create = offer_operations.create(volume, operation_id=OperationId("create-1"))
        assert volume in offer.resources.apply(reserve).apply(create)
        self.accept([offer.id], [reserve, create])

    def operation_update(self, status):
        self.states.append(f"{status.operation_id} {status.state}")

    def operation_done(self, operation_id, phase):
        self.outcomes[operation_id] = phase
        if len(self.outcomes) == 2:
            self.finish(0, f"{sorted(self.outcomes.items())}")

    def error(self, message):
        self.finish(1, message)


async def test_chained_operations_with_feedback_on_the_embedded_cluster(tmp_path):
    settings = ClusterSettings(
        port=0, work_dir=str(tmp_path), agents=(AgentSettings(resources="cpus:1;mem:100;disk:1000"),)
    )
    async with Cluster(settings) as cluster:
        made = Composition(
            FrameworkSettings(
                name="t",
                user="root",
                master=cluster.url,
                roles=("ads",),
                capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT"),
            ),
            (ActorSpec("scheduler", Reserving, None),),
        )
        outcome = await asyncio.wait_for(run(made), 20)
    assert outcome == m.Outcome(0, "[('create-1', 'finished'), ('reserve-1', 'finished')]")


async def test_an_operation_whose_actor_fails_is_told_as_lost():
    class Follows(LowLevelScheduler):
        def registered(self, event):
            operation = offer_operations.reserve(Resources.of(cpus=1))
            operation.id.value = "op"
            self.accept([OfferId("gone")], [operation])
            broken = OperationStatus(OP, None)  # type: ignore[arg-type]
            self.tell("operation:op", events.UpdateOperationStatus(broken))

        def operation_done(self, operation_id, phase):
            self.finish(0, f"{operation_id} {phase}")

    async with simulated_master() as master:
        outcome = await play(composition(master, Follows))
    assert outcome.reason == "op lost"


# --- what is stored, and in which order -------------------------------------------------------------------------------


class Books(LowLevelScheduler):
    def operation_update(self, status):
        self.tell("author", f"update {status.state}")
        if getattr(self, "clumsy", False):
            raise ValueError("as the test has it")

    def operation_done(self, operation_id, phase):
        self.tell("author", f"done {operation_id} {phase}")


class Hooks(SchedulerActor):
    def on_operation_update(self, status):
        self.tell("author", f"update {status.state}")


class Stored(ActorBench):
    """A scheduler whose store answers when the test says so."""

    def __init__(self, running, cls):
        super().__init__(running, "framework", "connection", "store", "author")
        composition = Composition(FrameworkSettings(name="t"))
        self.scheduler = running.spawn(cls, composition, None, name="scheduler")

    def stored(self):
        for write in self.take("store", m.Write):
            if write.reference:
                self.say("store", "scheduler", m.Stored(write.reference))


NEWS = events.UpdateOperationStatus(
    OperationStatus(OP, OperationState.OPERATION_FINISHED, agent_id=AgentId("a"), uuid=b"u" * 16)
)
ACKNOWLEDGED = m.AcknowledgeOperation(OP, b"u" * 16, AgentId("a"))


@pytest.mark.parametrize("cls", [Books, Hooks])
def test_news_of_an_operation_are_stored_before_they_are_acknowledged_and_forgotten_when_told(cls):
    async def work():
        async with system() as running:
            bench = Stored(running, cls)
            bench.scheduler.tell(NEWS)
            await bench.settle()
            assert bench.of("connection", m.AcknowledgeOperation) == []
            assert bench.heard["author"] == []
            (write,) = bench.of("store", m.Write)
            assert OPERATION.read(write.records)[OP].phase is OperationPhase.FINISHED
            bench.stored()
            await bench.settle()
            assert bench.of("connection", m.AcknowledgeOperation) == [ACKNOWLEDGED]
            assert bench.heard["author"] == ["update OPERATION_FINISHED"]
            assert bench.of("store", m.Write) == [m.Write((), (("operation", "op"),))]

    virtually(work())


def test_news_whose_callback_raises_stay_stored_and_are_not_acknowledged():
    async def work():
        async with system() as running:
            bench = Stored(running, Books)
            bench.scheduler._actor.clumsy = True
            bench.scheduler.tell(NEWS)
            await bench.settle()
            bench.stored()
            await bench.settle()
            assert bench.heard["author"] == ["update OPERATION_FINISHED"]
            assert bench.of("connection", m.AcknowledgeOperation) == []
            assert bench.of("store", m.Write) == []

    virtually(work())


def test_an_accept_with_an_operation_leaves_after_the_operation_is_stored():
    async def work():
        async with system() as running:
            bench = Stored(running, Books)
            operation = offer_operations.reserve(
                Resources.of(cpus=1).push_reservation(Reservation("ads", principal=None, dynamic=True)),
                operation_id=OP,
            )
            bench.scheduler._actor.accept([OfferId("o")], [operation])
            await bench.settle()
            (write,) = bench.of("store", m.Write)
            assert OPERATION.read(write.records) == {OP: OperationRecord(OP, None, OperationPhase.SENT)}
            assert bench.of("connection", m.Accept) == []
            bench.stored()
            await bench.settle()
            assert [call.offer_ids for call in bench.of("connection", m.Accept)] == [("o",)]
            bench.scheduler.tell(NEWS)
            await bench.settle()
            bench.stored()
            await bench.settle()
            assert bench.heard["author"] == ["update OPERATION_FINISHED", "done op finished"]
            assert bench.of("store", m.Write) == [m.Write((), (("operation", "op"),))]

    virtually(work())


@pytest.mark.parametrize(
    ("phase", "told"),
    [(OperationPhase.FINISHED, ["done op finished"]), (OperationPhase.PENDING, [])],
)
def test_a_later_run_tells_the_outcomes_that_were_not_told_and_asks_about_the_others(phase, told):
    async def work():
        async with system() as running:
            bench = Stored(running, Books)
            stored = OPERATION.record(OP, OperationRecord(OP, AgentId("a"), phase))
            await bench.scheduler._actor._take_over({}, (stored,))
            bench.scheduler.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
            await bench.settle()
            assert bench.heard["author"] == told
            asked = [m.ReconcileOperations(((OP, AgentId("a")),))]
            assert bench.of("connection", m.ReconcileOperations) == ([] if told else asked)

    virtually(work())


class FirstRun(Reserving):
    """Has it done, and is gone before it has taken the outcome in."""

    def operation_done(self, operation_id, phase):
        self.outcomes[operation_id] = phase
        if len(self.outcomes) == 2:
            self.leave(0, "left before it was told")
        raise ValueError("as the test has it")


class SecondRun(LowLevelScheduler):
    def resource_offers(self, offers):
        self.decline([offer.id for offer in offers], 100.0)

    def reregistered(self, event):
        self.outcomes: dict[str, str] = {}

    def operation_done(self, operation_id, phase):
        self.outcomes[operation_id] = phase
        if len(self.outcomes) == 2:
            self.finish(0, f"{sorted(self.outcomes.items())}")


async def test_the_outcomes_of_operations_are_told_by_the_next_run_of_the_scheduler(tmp_path):
    settings = ClusterSettings(
        port=0, work_dir=str(tmp_path), agents=(AgentSettings(resources="cpus:1;mem:100;disk:1000"),)
    )
    async with Cluster(settings) as cluster:
        for cls, expected in (
            (FirstRun, m.Outcome(0, "left before it was told")),
            (SecondRun, m.Outcome(0, "[('create-1', 'finished'), ('reserve-1', 'finished')]")),
        ):
            framework = FrameworkSettings(
                name="t",
                user="root",
                master=cluster.url,
                roles=("ads",),
                capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT"),
            )
            store = ActorSpec("store", StoreActor, StoreSettings(str(tmp_path / "store.db")))
            made = Composition(framework, (ActorSpec("scheduler", cls, None), store))
            assert await asyncio.wait_for(run(made), 20) == expected
