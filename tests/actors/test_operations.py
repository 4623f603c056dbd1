"""Offer operations: every pair of the table, reconciliation and retries in virtual time, what is stored when, and real ones."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from actors import messages as m
from actors import states
from actors.composition import ActorSpec, Composition, run
from actors.framework_settings import FrameworkSettings, RetryPolicy, Volume
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.operation_actor import OperationActor
from actors.records import (
    ENDED_PHASES,
    OPERATION,
    OPERATION_INTENT,
    PHASE_OF_STATE,
    OperationHistory,
    OperationPhase,
    OperationRecord,
    OperationSpec,
)
from actors.runtime import Actor, ActorSystem, receive
from actors.scheduler_actor import SchedulerActor
from actors.states import OperationAction
from actors.store_actor import StoreActor, StoreSettings
from mesos_http import Endpoint, exchange
from mesos_v1 import events, offer_operations, pb
from mesos_v1.resources import Reservation, Resources
from mesos_v1.states import OperationState
from mesos_v1.values import AgentId, FrameworkId, OfferId, OperationId, OperationStatus, TaskId
from mesostic.why_waiting import explain
from playa import AgentSettings, Cluster, ClusterSettings
from tests.actors.test_offer_actor import Broker, offer
from tests.actors.test_scheduler_actor import composition, play
from tests.support.actor_bench import ActorBench, Speaker, system, virtually
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
        self.actor = running.spawn(OperationActor, OperationHistory(OP), name="operation:op")

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


# --- operations without an offer in hand ------------------------------------------------------------------------------


SPEC = OperationSpec(
    OperationId("volume-1"),
    1,
    "ads",
    m.Change(m.ChangeKind.CREATE_VOLUME, "volume-1", path="data"),
    Resources.of(disk=100),
)
VOLUME = m.Holding("volume-1", "ads", Resources.of(disk=100), AgentId("a"), "host-a", "data")


def launched(attempt=1, holding=VOLUME):
    return m.Launched(TaskId(f"volume-1.{attempt}"), AgentId("a"), None, "host-a", holding)


class Wish(ActorBench):
    """The actor of an operation that waits with the broker, or of one that an earlier run has left."""

    def __init__(self, running, spec=SPEC, **history):
        super().__init__(running, "scheduler", "connection", "offers")
        told = OperationHistory(spec.operation_id, spec, **history)
        self.actor = running.spawn(OperationActor, told, name="operation:volume-1")

    async def news(self, *news):
        for each in news:
            self.actor.tell(each)
        await self.settle()

    async def update(self, state, attempt=1, message=""):
        status = OperationStatus(OperationId(f"volume-1.{attempt}"), OperationState(state), message)
        await self.news(events.UpdateOperationStatus(status))

    @property
    def demanded(self):
        return [demand.attempt_id for demand in self.of("offers", m.Demand)]

    @property
    def done(self):
        return [(done.phase, done.message) for done in self.of("scheduler", m.OperationDone)]


def wish(spec=SPEC, **history):
    def made(test):
        def check():
            async def work():
                async with system() as running:
                    await test(Wish(running, spec, **history))

            virtually(work())

        check.__name__ = test.__name__
        return check

    return made


@wish()
async def test_an_operation_waits_with_the_broker_and_its_outcome_says_what_there_is_now(bench):
    await bench.settle(1000)
    assert bench.demanded == ["volume-1.1"]
    assert bench.of("connection", m.ReconcileOperations) == []
    await bench.news(launched())
    await bench.update("OPERATION_FINISHED")
    (done,) = bench.of("scheduler", m.OperationDone)
    assert (done.phase, done.holding, done.hostname, done.attempts) == ("finished", VOLUME, "host-a", 1)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("OPERATION_DROPPED", ""),
        ("OPERATION_UNKNOWN", "Reconciliation: Operation is unknown"),
        ("OPERATION_ERROR", "Operation attempted with invalid offers: Offer o is no longer valid"),
        ("OPERATION_GONE_BY_OPERATOR", "Agent marked gone by operator"),
    ],
)
def test_an_operation_that_was_never_applied_is_sent_again_under_another_id(state, message):
    @wish()
    async def check(bench):
        await bench.news(launched())
        await bench.update(state, message=message)
        assert (bench.done, bench.demanded) == ([], ["volume-1.1"])
        await bench.settle(1.1)
        assert bench.demanded == ["volume-1.1", "volume-1.2"]
        await bench.update("OPERATION_FINISHED")  # late, of the attempt that was given up
        assert bench.done == []
        await bench.news(launched(2))
        await bench.update("OPERATION_FINISHED", 2)
        assert bench.done == [("finished", "")]

    check()


@pytest.mark.parametrize(
    ("news", "again"),
    [
        (m.NotLaunched(TaskId("volume-1.1"), "x"), ["volume-1.2"]),
        (m.LaunchUncertain(TaskId("volume-1.1"), "x"), []),
    ],
)
def test_an_accept_that_came_to_nothing_is_sent_again_and_an_uncertain_one_is_asked_about(news, again):
    @wish()
    async def check(bench):
        await bench.news(launched(), news)
        await bench.settle(1.1)
        assert bench.demanded[1:] == again
        asked = [] if again else [m.ReconcileOperations(((OperationId("volume-1.1"), AgentId("a")),))]
        assert bench.of("connection", m.ReconcileOperations) == asked

    check()


@wish()
async def test_what_mesos_refuses_has_failed_with_its_words(bench):
    await bench.news(launched())
    await bench.update("OPERATION_ERROR", message="Persistence ID 'v1' is not unique")
    assert bench.done == [("failed", "Persistence ID 'v1' is not unique")]
    assert bench.of("scheduler", m.OperationDone)[0].holding is None


@wish()
async def test_a_call_that_the_master_refuses_for_good_has_failed(bench):
    await bench.news(launched(), m.LaunchRefused(TaskId("volume-1.1"), "no such thing"))
    assert bench.done == [("failed", "the master refuses it: no such thing")]


@wish(replace(SPEC, change=m.Change(m.ChangeKind.DESTROY_VOLUME, "volume-1")))
async def test_what_was_to_be_freed_is_free_when_its_agent_is_gone_for_good(bench):
    await bench.news(launched(holding=None))
    await bench.update("OPERATION_GONE_BY_OPERATOR")
    assert bench.done == [("finished", "")]


@wish()
async def test_an_operation_that_waits_is_cancelled_once_the_broker_has_dropped_it(bench):
    await bench.news(m.CancelOperation(), m.CancelOperation())
    assert (bench.of("offers", m.Withdraw), bench.done) == ([m.Withdraw(TaskId("volume-1.1"))], [])
    await bench.news(m.Withdrawn(TaskId("volume-1.1")))
    assert bench.done == [("lost", "cancelled")]


@wish()
async def test_an_operation_that_has_left_is_not_cancelled(bench):
    await bench.news(m.CancelOperation(), launched(), m.CancelOperation())
    await bench.update("OPERATION_FINISHED")
    assert bench.done == [("finished", "")]


@wish()
async def test_an_operation_between_two_attempts_is_cancelled_at_once(bench):
    await bench.news(launched(), m.NotLaunched(TaskId("volume-1.1"), "x"), m.CancelOperation())
    assert bench.done == [("lost", "cancelled")]


@wish()
async def test_a_broker_that_starts_again_is_told_once_more_and_one_that_was_cancelled_has_ended(bench):
    await bench.news(m.BrokerRestarted())
    assert bench.demanded == ["volume-1.1"] * 2
    await bench.news(m.CancelOperation(), m.BrokerRestarted())
    assert bench.done == [("lost", "cancelled")]


@wish(agent_id=AgentId("a"), intent=launched(3))
async def test_one_that_an_earlier_run_may_have_sent_is_asked_about_and_sent_again_if_the_master_knows_nothing(
    bench,
):
    assert bench.demanded == []
    await bench.news(m.Subscribed(FrameworkId("f"), 15.0, None, True))
    assert bench.of("connection", m.ReconcileOperations) == [
        m.ReconcileOperations(((OperationId("volume-1.3"), AgentId("a")),))
    ]
    await bench.update("OPERATION_UNKNOWN", 3)
    await bench.settle(1.1)
    assert bench.demanded == ["volume-1.4"]


@pytest.mark.parametrize(
    ("state", "outcome", "demanded"),
    [
        ("OPERATION_FINISHED", ["finished"], []),
        ("OPERATION_FAILED", ["failed"], []),
        ("OPERATION_PENDING", [], []),
        ("OPERATION_DROPPED", [], ["volume-1.3"]),
    ],
)
def test_what_an_earlier_run_had_stored_and_not_told_is_told_without_asking(state, outcome, demanded):
    status = OperationStatus(OperationId("volume-1.2"), OperationState(state), agent_id=AgentId("a"))

    @wish(agent_id=AgentId("a"), intent=launched(2), status=status)
    async def check(bench):
        await bench.settle(1.1)
        assert [phase for phase, _ in bench.done] == outcome
        assert bench.demanded == demanded
        assert bench.of("connection", m.ReconcileOperations) == []

    check()


class Operator(SchedulerActor):
    """Reserves and gives back; makes a volume, changes its size twice and destroys it."""

    def on_registered(self, event):
        self.reserve(cpus=0.5, mem=32)
        self.create_volume(size=100, path="data")

    def on_operation_finished(self, done):
        self.told = [
            *getattr(self, "told", []),
            f"{done.kind} {done.holding.resources.disk if done.holding else ''}",
        ]
        kind, held = done.kind, done.holding_id
        if kind == "reserve":
            self.unreserve(held)
        elif kind == "create_volume":
            self.grow_volume(held, by=50)
        elif kind == "grow_volume":
            self.shrink_volume(held, by=120)
        elif kind == "shrink_volume":
            self.destroy_volume(held)
        if not self.active_operations:
            assert self.holdings == ()
            self.finish(0, ", ".join(sorted(self.told)))

    def on_operation_failed(self, failed):
        self.finish(1, f"{failed.kind}: {failed.message}")


def composition_on(url, cls, tmp_path=None, **framework):
    store = StoreSettings(str(tmp_path / "store.db") if tmp_path is not None else "")
    settings = FrameworkSettings(
        **{"name": "t", "user": "root", "master": url, "roles": ("ads",), **framework}
    )
    return Composition(settings, (ActorSpec("scheduler", cls, None), ActorSpec("store", StoreActor, store)))


ONE_AGENT = (AgentSettings(resources="cpus:1;mem:100;disk:1000"),)


@pytest.mark.parametrize("principal", ["", "ops"])
async def test_what_is_reserved_and_created_is_changed_and_given_back_in_one_life(tmp_path, principal):
    async with Cluster(ClusterSettings(port=0, work_dir=str(tmp_path), agents=ONE_AGENT)) as cluster:
        outcome = await asyncio.wait_for(run(composition_on(cluster.url, Operator, principal=principal)), 30)
    assert outcome == m.Outcome(
        0,
        "create_volume 100.0, destroy_volume , grow_volume 150.0, reserve 0.0, shrink_volume 30.0, unreserve , unreserve ",
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (lambda s: s.reserve(), "there is nothing to reserve: cpus, mem, disk and gpus are all 0"),
        (lambda s: s.reserve(cpus=-1), "cpus must not be negative: -1"),
        (lambda s: s.reserve(cpus=1, role="x"), "the framework has no role 'x' (it has ads, *)"),
        (
            lambda s: s.reserve(cpus=1, role="*"),
            (
                "nothing can be reserved for the role '*': give the framework one of its own, as roles = "
                '["t"] in [framework]'
            ),
        ),
        (
            lambda s: s.reserve(resources=Resources.of(cpus=1, role="ads")),
            "what is to be reserved must not be reserved yet: cpus(reservations: [(STATIC,ads)]):1",
        ),
        (
            lambda s: s.create_volume(size=1, path="a/b"),
            "path must be one name in the task's sandbox, as 'data': 'a/b'",
        ),
        (lambda s: s.create_volume(size=0, path="a"), "size must be more than 0 MB"),
        (lambda s: s.unreserve("v"), "there is no reservation 'v' (there are: none)"),
        (lambda s: s.destroy_volume("x"), "there is no volume 'x' (there are: volume-1)"),
        (
            lambda s: s.shrink_volume("volume-1", by=100),
            "by must be less than the volume has, 100 MB: 100",
        ),
        (lambda s: s.grow_volume("volume-1", by=0), "by must be more than 0 MB"),
    ],
)
def test_a_mistake_in_what_is_asked_for_is_one_sentence(command, said):
    async def work():
        async with system() as running:
            made = Composition(FrameworkSettings(name="t", roles=("ads", "*")))
            scheduler = running.spawn(SchedulerActor, made, None, name="scheduler")._actor
            assert scheduler is not None
            scheduler._holdings = {"volume-1": VOLUME}
            with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
                command(scheduler)

    virtually(work())


# --- the broker -------------------------------------------------------------------------------------------------------


class Requests(Broker):
    """A broker that operations wait with."""

    def wants(self, kind, holding=None, *, more=Resources(), **change):  # noqa: B008 - immutable
        if "operation:op" not in self.heard:
            self.heard["operation:op"], self.answers["operation:op"] = [], {}
            self.system.spawn(
                Speaker, self.heard["operation:op"], self.answers["operation:op"], name="operation:op"
            )
        holding_id = holding.holding_id if holding is not None else "op"
        self.broker.tell(m.KnowHolding(holding_id, holding, changing=True))
        wish = m.Change(kind, holding_id, "ops", (("mesostic_framework", "t"),), **change)
        what = 1, "ads", more, 0, "", b""
        agent_id = holding.agent_id if holding is not None else None
        demand = m.Demand(TaskId("op"), TaskId("op.1"), *what, agent_id=agent_id, change=wish)
        self.say("operation:op", "offers", demand)

    def sent(self):
        """The operations of the ACCEPTs so far."""
        packed = [each for accept in self.of("connection", m.Accept) for each in accept.operations]
        return [pb.mesos.Offer.Operation.FromString(each) for each in packed]


def held(resources, path=""):
    labels = (("mesostic_framework", "t"), ("mesostic_holding", "h"))
    reserved = resources.push_reservation(Reservation("ads", principal="ops", labels=labels))
    return m.Holding("h", "ads", reserved, AgentId("a1"), "host-a1", path)


def broker_scenario(test):
    async def work():
        async with system() as running:
            await test(Requests(running, roles=("ads",)))

    def check():
        virtually(work())

    check.__name__ = test.__name__
    return check


@broker_scenario
async def test_the_intent_of_an_operation_is_stored_before_its_accept_leaves(broker):
    broker.answers["store"].clear()
    broker.wants(m.ChangeKind.RESERVE, more=Resources.of(cpus=1))
    broker.offer(offer(1, role="ads"))
    await broker.settle()
    (write,) = [write for write in broker.of("store", m.Write) if write.records]
    (intent,) = OPERATION_INTENT.read(write.records).values()
    assert intent.holding is not None
    assert (intent.attempt_id, intent.agent_id, intent.holding.holding_id) == ("op.1", "a1", "op")
    assert broker.sent() == []
    broker.say("store", "offers", m.Stored(write.reference))
    await broker.settle()
    (reserve,) = broker.sent()
    assert (reserve.id.value, reserve.reserve.resources[0].reservations[0].principal) == ("op.1", "ops")
    assert broker.of("operation:op", m.Launched) == [intent]


@broker_scenario
async def test_tasks_and_operations_share_an_accept_and_take_nothing_from_each_other(broker):
    broker.demand("t", 1, Resources.of(cpus=3), role="ads")
    broker.wants(m.ChangeKind.RESERVE, more=Resources.of(cpus=1))
    broker.offer(offer(1, role="ads"))
    await broker.settle()
    reserve, launch = broker.sent()
    assert reserve.reserve.resources[0].scalar.value == 1
    assert [info.name for info in launch.launch.task_infos] == ["t"]


@broker_scenario
async def test_only_what_nobody_has_reserved_is_reserved(broker):
    broker.wants(m.ChangeKind.RESERVE, more=Resources.of(cpus=3))
    reserved = Resources.of(cpus=2, role="ads")
    broker.offer(offer(1, reserved + Resources.of(cpus=2), role="ads"))
    await broker.settle()
    assert broker.sent() == []
    report = await broker.broker.ask(m.WhyPending(), block=False)
    (group,) = report.groups
    (shortfall,) = group.verdicts[0].shortfalls
    assert (group.operation, shortfall.resource, shortfall.wanted, shortfall.available) == (
        "reserve",
        "cpus",
        "3",
        "2",
    )
    assert explain(group).startswith("operation op (reserve) waits for cpus:3; the only agent did not")


@broker_scenario
async def test_a_reservation_that_tasks_use_is_given_back_when_all_of_it_is_offered(broker):
    mine = held(Resources.of(cpus=2))
    broker.wants(m.ChangeKind.UNRESERVE, mine)
    broker.offer(offer(1, held(Resources.of(cpus=1)).resources, role="ads"))
    await broker.settle()
    assert broker.sent() == []
    report = await broker.broker.ask(m.WhyPending(), block=False)
    assert "h all of it wanted, in use, or not offered there" in explain(report.groups[0])
    broker.offer(offer(2, mine.resources, role="ads"))
    await broker.settle()
    (unreserve,) = broker.sent()
    assert unreserve.unreserve.resources[0].scalar.value == 2


@broker_scenario
async def test_what_is_on_an_agent_that_offers_nothing_says_where_it_is(broker):
    broker.wants(m.ChangeKind.UNRESERVE, held(Resources.of(cpus=2)))
    broker.offer(offer(1, agent="a2", role="ads"))
    await broker.settle()
    report = await broker.broker.ask(m.WhyPending(), block=False)
    assert "h is on host-a1 (agent a1), which has offered nothing since it waits" in explain(report.groups[0])


# --- volumes of tasks -------------------------------------------------------------------------------------------------


class Keeping(SchedulerActor):
    """A task that fails until its third attempt, and writes each attempt down on its volume."""

    script = "echo attempt >> data/log; test $(wc -l < data/log) -eq 3"
    volume: Any = Volume(size=50, path="data")

    def on_registered(self, event):
        self.seen = []
        retry = RetryPolicy(attempts=5, backoff=0.01)
        self.launch(command=self.script, task_id="t", cpus=0.1, mem=10, volume=self.volume, retry=retry)
        self.finish_when_done()

    def on_task_update(self, update):
        if update.agent_id is not None:
            self.seen.append(update.agent_id)

    def on_task_finished(self, done):
        assert (done.attempts, len(set(self.seen))) == (3, 1)


def two_agents(tmp_path):
    agent = AgentSettings(resources="cpus:1;mem:100;disk:1000")
    return ClusterSettings(
        port=0, work_dir=str(tmp_path / "cluster"), agents=(agent, agent), allocation_interval=0.1
    )


async def reserved_on(cluster):
    answer = await exchange("GET", Endpoint.parse(f"{cluster.url}/slaves"))
    return [each["reserved_resources_full"] for each in json.loads(answer.body)["slaves"]]


async def test_the_attempts_of_a_task_find_what_earlier_ones_left_on_its_volume_which_ends_with_it(tmp_path):
    async with Cluster(two_agents(tmp_path)) as cluster:
        outcome = await asyncio.wait_for(run(composition_on(cluster.url, Keeping)), 30)
        assert outcome == m.Outcome(0, "all tasks have ended: 1 finished")
        assert await reserved_on(cluster) == [{}, {}]


async def test_a_volume_that_is_kept_is_there_for_the_next_task(tmp_path):
    class Kept(Keeping):
        volume = Volume(size=50, path="data", keep=True)

        def on_task_finished(self, done):
            (volume,) = self.holdings
            if done.task_id == "t":
                self.launch(
                    command="test $(wc -l < data/log) -eq 3", cpus=0.1, mem=10, volume=volume.holding_id
                )
            else:
                self.destroy_volume(volume.holding_id)

    async with Cluster(two_agents(tmp_path)) as cluster:
        outcome = await asyncio.wait_for(run(composition_on(cluster.url, Kept)), 30)
        assert outcome == m.Outcome(0, "all tasks have ended: 2 finished")
        assert await reserved_on(cluster) == [{}, {}]


class Hasty(Keeping):
    """Ends the framework while its tasks have volumes: one runs, another waits for an agent that is large enough."""

    script = "touch data/here; sleep 1000"

    def on_task_update(self, update):
        if update.phase == "running" and update.task_id == "t" and self.holdings and not self.seen:
            self.seen.append("t")
            mine = self.holdings[0].holding_id
            with pytest.raises(ValueError, match=f"{mine} ends with its task t"):
                self.launch(command="true", cpus=0.1, mem=10, volume=mine)
            with pytest.raises(ValueError, match=f"{mine} is the volume of task t, which has not ended"):
                self.destroy_volume(mine)
            self.launch(command="true", cpus=0.1, mem=10, volume=Volume(size=10_000_000, path="never"))
            self.finish(0, "hasty")


async def test_a_framework_that_ends_takes_the_volumes_of_its_tasks_with_it(tmp_path):
    async with Cluster(two_agents(tmp_path)) as cluster:
        outcome = await asyncio.wait_for(run(composition_on(cluster.url, Hasty)), 30)
        assert outcome == m.Outcome(0, "hasty")
        assert await reserved_on(cluster) == [{}, {}]


async def test_what_the_author_has_reserved_stays_when_the_framework_ends_and_is_named(tmp_path, caplog):
    class Leaves(SchedulerActor):
        def on_registered(self, event):
            self.reserve(cpus=0.5)

        def on_operation_finished(self, done):
            self.finish()

    async with Cluster(two_agents(tmp_path)) as cluster:
        assert (await asyncio.wait_for(run(composition_on(cluster.url, Leaves)), 30)).exit_code == 0
        assert sorted(map(len, await reserved_on(cluster))) == [0, 1]
    assert "this stays reserved: reservation-1-" in caplog.text


async def test_a_task_whose_volume_cannot_be_made_has_failed_with_mesos_words(tmp_path):
    class Never(SchedulerActor):
        def on_registered(self, event):
            self.framework = replace(self.framework, principal="somebody else")
            self.launch(command="true", cpus=0.1, mem=10, volume=Volume(size=10, path="data"))

        def on_task_failed(self, failed):
            self.finish(0, failed.message)

    async with Cluster(two_agents(tmp_path)) as cluster:
        made = composition_on(cluster.url, Never, principal="ops")
        outcome = await asyncio.wait_for(run(made), 30)
    assert outcome.reason.startswith("its volume cannot be made: ")
    assert "principal" in outcome.reason


class Waits(Requests):
    """A broker with a task that waits for its volume."""

    async def task_on(self, volume, replace_after):
        volume = replace(volume, replace_after=replace_after)
        self.broker.tell(m.KnowHolding("h", volume))
        self.system.spawn(Speaker, [], {}, name="task:t")
        wanted = pb.mesos.TaskInfo(name="t")
        wanted.task_id.value, wanted.agent_id.value = "t.1", ""
        info = wanted.SerializeToString()
        demand = m.Demand(
            TaskId("t"), TaskId("t.1"), 1, "ads", Resources.of(cpus=1), 0, "", info, holding="h"
        )
        self.say("task:t", "offers", demand)
        await self.settle()

    async def why(self):
        report = await self.broker.ask(m.WhyPending(), block=False)
        return explain(report.groups[0])

    @property
    def missing(self):
        return [each.holding_id for each in self.of("scheduler", m.HoldingMissing)]


def volume_scenario(test):
    async def work():
        async with system() as running:
            await test(Waits(running, roles=("ads",)))

    def check():
        virtually(work())

    check.__name__ = test.__name__
    return check


MADE = held(Resources.of(disk=10), "data")


@volume_scenario
async def test_a_task_goes_to_the_agent_of_its_volume_and_nowhere_else(broker):
    await broker.task_on(MADE, None)
    broker.offer(offer(1, agent="a2", role="ads"))
    await broker.settle()
    assert broker.sent() == []
    assert "h is on host-a1 (agent a1), which has offered nothing since it waits; it waits for ever" in (
        await broker.why()
    )
    broker.offer(offer(2, Resources.of(cpus=1) + MADE.resources, role="ads"))
    await broker.settle()
    (launch,) = broker.sent()
    assert [each.name for each in launch.launch.task_infos[0].resources] == ["cpus", "disk"]


@volume_scenario
async def test_a_volume_whose_agent_offers_nothing_for_its_time_is_missing(broker):
    await broker.task_on(MADE, 60.0)
    broker.offer(offer(1, agent="a2", role="ads"))
    await broker.settle(59)
    assert broker.missing == []
    assert "after 60 s without it there is a new one" in await broker.why()
    await broker.settle(2)
    assert broker.missing == ["h"]


@volume_scenario
async def test_a_volume_is_not_missing_while_its_agent_offers_or_no_master_could(broker):
    await broker.task_on(MADE, 60.0)
    await broker.settle(40)
    broker.offer(offer(1, MADE.resources, role="ads"))  # no cpus: it waits on
    await broker.settle(50)
    broker.broker.tell(m.Disconnected("x"))
    await broker.settle(1000)
    broker.broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
    await broker.settle(50)
    assert broker.missing == []
    await broker.settle(70)
    assert broker.missing == ["h"]


@volume_scenario
async def test_a_volume_without_a_time_is_waited_for_for_ever(broker):
    await broker.task_on(MADE, None)
    await broker.settle(1_000_000)
    assert broker.missing == []


async def test_a_task_whose_agent_is_gone_for_too_long_gets_a_new_volume_elsewhere(tmp_path):
    class Moves(SchedulerActor):
        def on_registered(self, event):
            volume = Volume(size=50, path="data", replace_after=1.0)
            command = "test -e data/here && sleep 1000; touch data/here; sleep 1000"
            self.launch(command=command, cpus=0.1, mem=10, volume=volume, unreachable_timeout=0.1)
            self.agents = []

        def on_task_update(self, update):
            if update.phase == "running" and update.agent_id not in self.agents:
                self.agents.append(update.agent_id)
                self.tell("test", update)

    settings = replace(two_agents(tmp_path), agent_ping_timeout=0.2, max_agent_ping_timeouts=2)
    async with Cluster(settings) as cluster:
        async with ActorSystem("t") as running:
            ran: asyncio.Queue[Any] = asyncio.Queue()

            class Test(Actor):
                def on_receive(self, message):
                    ran.put_nowait(message)

            running.spawn(Test, name="test")
            outcome = asyncio.ensure_future(run(composition_on(cluster.url, Moves), system=running))
            first = await asyncio.wait_for(ran.get(), 20)
            index = int(first.agent_id.rpartition("-S")[2]) + 1
            await cluster.faults.kill_agent(index)
            second = await asyncio.wait_for(ran.get(), 30)
            assert second.agent_id != first.agent_id
            running.tell("scheduler", m.ShutdownRequested("the test is over"))
            assert (await asyncio.wait_for(outcome, 30)).exit_code == 0
        assert await reserved_on(cluster) == [{}]


# --- what was leaked --------------------------------------------------------------------------------------------------


def leaks_in(broker):
    return [told.holding.holding_id for told in broker.of("scheduler", m.Leaked)]


@broker_scenario
async def test_what_bears_our_label_and_is_known_to_nobody_is_told_once(broker):
    mine, volume = held(Resources.of(cpus=2)), held(Resources.of(disk=10))
    made = Resources((offer_operations.volume(volume.resources.entries[0], "v.1", "data"),))
    foreign = Resources.of(cpus=1).push_reservation(Reservation("ads", principal="ops"))
    for number in range(2):
        broker.offer(offer(number, mine.resources + made + foreign, role="ads"))
        await broker.settle(1)
    assert leaks_in(broker) == ["leaked volume h on a1", "leaked reservation h on a1"]
    (volume_told, _) = broker.of("scheduler", m.Leaked)
    assert (volume_told.holding.path, volume_told.holding.resources) == ("data", made)


@broker_scenario
async def test_only_what_is_more_than_we_hold_was_leaked(broker):
    mine = held(Resources.of(cpus=2))
    broker.broker.tell(m.KnowHolding("h", mine))
    broker.offer(offer(1, held(Resources.of(cpus=1)).resources, role="ads"))  # the rest is in use
    await broker.settle()
    assert leaks_in(broker) == []
    broker.offer(offer(2, held(Resources.of(cpus=3)).resources, role="ads"))
    broker.offer(offer(3, mine.resources, agent="a2", role="ads"))
    await broker.settle()
    assert [told.holding.resources.cpus for told in broker.of("scheduler", m.Leaked)] == [1, 2]


@broker_scenario
async def test_what_an_operation_is_about_to_make_was_not_leaked(broker):
    broker.broker.tell(m.KnowHolding("h", None, changing=True))
    broker.offer(offer(1, held(Resources.of(cpus=1)).resources, role="ads"))
    await broker.settle()
    assert leaks_in(broker) == []


@pytest.mark.parametrize("leaked", ["report", "free"])
async def test_a_framework_that_has_lost_its_store_finds_what_it_had_and_frees_it_if_told_to(
    tmp_path, caplog, leaked
):
    class First(SchedulerActor):
        def on_registered(self, event):
            self.reserve(cpus=0.5, mem=10)
            self.create_volume(size=10, path="data")

        def on_operation_finished(self, done):
            if not self.active_operations:
                self.leave()

    class Second(SchedulerActor):
        def on_registered(self, event):
            self.timers.after(0.2, m.AskHealth())

        @receive
        def handle_ask_health(self, _due: m.AskHealth) -> m.Health:
            self.timers.after(0.2, m.AskHealth())
            if len(self.leaked()) == 2 and self.framework.leaked == "report":
                assert len(self.free_leaked()) == 2
                assert self.leaked() == ()
            return m.Health(True)

        def on_operation_finished(self, done):
            if not self.active_operations and not self.leaked() and not self.holdings:
                self.finish()

    async with Cluster(two_agents(tmp_path)) as cluster:
        assert (await asyncio.wait_for(run(composition_on(cluster.url, First)), 30)).exit_code == 0
        assert any(await reserved_on(cluster))
        made = composition_on(cluster.url, Second, leaked=leaked)
        assert (await asyncio.wait_for(run(made), 30)).exit_code == 0
        assert await reserved_on(cluster) == [{}, {}]
    assert ("and is freed" if leaked == "free" else "`mesostic uninstall` frees it") in caplog.text
