"""The broker, in virtual time: what it does with offers and demands, and what it tells the master."""

import pytest

from actors import messages as m
from actors.framework_settings import Composition, FrameworkSettings
from actors.offer_actor import MatchDue, OfferActor, OfferSettings
from actors.runtime import receive
from mesos_v1 import events, pb
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, Offer, OfferId, TaskId, Unavailability
from tests.support.actor_bench import ActorBench, system, virtually

EXECUTOR = m.ExecutorTemplate("crawl", Resources.of(cpus=0.5, mem=64), b"\n\x03\n\x01x")
ONE = Resources.of(cpus=1, mem=100)


class Broker(ActorBench):
    def __init__(self, running, *, store_answers=True, roles=("*",), cls=OfferActor, **settings) -> None:
        super().__init__(running, "scheduler", "connection", "store")
        if store_answers:
            self.answers["store"][m.Write] = lambda write: m.Stored(write.reference)
        composition = Composition(FrameworkSettings(name="t", roles=roles))
        self.broker = running.spawn(cls, composition, OfferSettings(jitter=0.0, **settings), name="offers")
        self.broker.tell(m.UseExecutors((EXECUTOR,)))
        self.broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, False))
        self.task_names: set[str] = set()

    def demand(self, name, order=1, resources=ONE, executor="", role="*", ports=0, payload=b""):  # noqa: PLR0917
        if f"task:{name}" not in self.heard:
            self.heard[f"task:{name}"], self.answers[f"task:{name}"] = [], {}
            from tests.support.actor_bench import Speaker

            self.system.spawn(
                Speaker, self.heard[f"task:{name}"], self.answers[f"task:{name}"], name=f"task:{name}"
            )
        info = pb.mesos.TaskInfo(name=name, data=payload or None)
        info.task_id.value, info.agent_id.value = f"{name}.1", ""
        demand = m.Demand(
            TaskId(name),
            TaskId(f"{name}.1"),
            order,
            role,
            resources,
            ports,
            executor,
            info.SerializeToString(),
        )
        self.say(f"task:{name}", "offers", demand)

    def offer(self, *offers):
        self.broker.tell(events.Offers(offers))

    def launches(self):
        """What the ACCEPTs so far launch: (offers, task infos) each."""
        found = []
        for accept in self.of("connection", m.Accept):
            infos: list[pb.mesos.TaskInfo] = []
            for operation in accept.operations:
                infos += pb.mesos.Offer.Operation.FromString(operation).launch.task_infos
            found.append((accept.offer_ids, infos))
        return found


def offer(number, resources=None, agent="a1", role="*", executors=(), unavailability=None):  # noqa: PLR0917
    resources = resources or Resources.of(cpus=4, mem=4000, ports=[(31000, 31009)])
    return Offer(
        OfferId(f"o{number}"),
        FrameworkId("f"),
        AgentId(agent),
        f"host-{agent}",
        resources.allocate(role),
        role,
        (),
        tuple(ExecutorId(e) for e in executors),
        unavailability,
    )


def scenario(test):
    """Run a coroutine test under virtual time with a broker."""

    def run():
        async def work():
            async with system() as running:
                await test(running)

        virtually(work())

    run.__name__ = test.__name__
    return run


@scenario
async def test_many_tasks_leave_with_one_accept_after_their_intents_are_stored(running):
    broker = Broker(running, store_answers=False)
    for number in range(3):
        broker.demand(f"t{number}", number)
    broker.offer(offer(1))
    await broker.settle()
    (write,) = broker.of("store", m.Write)
    assert [record.key for record in write.records] == ["t0", "t1", "t2"]
    assert broker.of("connection", m.Accept) == []
    assert not any(broker.of(f"task:t{n}", m.Launched) for n in range(3))
    broker.say("store", "offers", m.Stored(write.reference))
    await broker.settle()
    ((offers, infos),) = broker.launches()
    assert offers == ("o1",)
    assert [info.task_id.value for info in infos] == ["t0.1", "t1.1", "t2.1"]
    assert {info.agent_id.value for info in infos} == {"a1"}
    assert broker.of("task:t0", m.Launched)[0].agent_id == "a1"


@scenario
async def test_several_offers_of_one_agent_go_into_one_accept(running):
    broker = Broker(running)
    broker.demand("t", resources=Resources.of(cpus=6, mem=100))
    broker.offer(offer(1), offer(2, Resources.of(cpus=3)), offer(3, agent="a2"))
    await broker.settle()
    ((offers, _),) = broker.launches()
    assert offers == ("o1", "o2")


@scenario
async def test_offers_are_declined_at_once_when_what_waits_does_not_fit(running):
    """Fenzo hoards offers for 120 s; mesos-compose forgets some and declines others three times."""
    broker = Broker(running)
    broker.demand("big", resources=Resources.of(cpus=99, mem=1))
    broker.offer(offer(1), offer(2, agent="a2"))
    await broker.settle()
    (decline,) = broker.of("connection", m.Decline)
    assert decline.offer_ids == ("o1", "o2")
    assert decline.refuse_seconds == 5.0


@scenario
async def test_offers_are_held_a_moment_when_nothing_waits_then_declined_for_long_in_one_call(running):
    broker = Broker(running)
    broker.offer(offer(1), offer(2, agent="a2"))
    await broker.settle()
    assert broker.of("connection", m.Decline) == []
    await broker.settle(0.11)
    (decline,) = broker.of("connection", m.Decline)
    assert decline.offer_ids == ("o1", "o2")
    assert decline.refuse_seconds == 120.0


@scenario
async def test_a_demand_that_comes_while_offers_linger_takes_them(running):
    broker = Broker(running)
    broker.offer(offer(1))
    await broker.settle(0.05)
    broker.demand("t")
    await broker.settle()
    assert len(broker.launches()) == 1
    await broker.settle(1)
    assert broker.of("connection", m.Decline) == []


@scenario
async def test_refusals_are_jittered(running):
    broker = ActorBench(running, "scheduler", "connection", "store")
    composition = Composition(FrameworkSettings(name="t"))
    actor = running.spawn(OfferActor, composition, OfferSettings(jitter=0.5, linger=0.0), name="offers")
    actor.tell(m.Subscribed(FrameworkId("f"), 15.0, None, False))
    for number in range(20):
        actor.tell(events.Offers((offer(number),)))
        await broker.settle(0.01)
    seconds = {decline.refuse_seconds for decline in broker.of("connection", m.Decline)}
    assert len(seconds) > 10
    assert all(60 <= each <= 120 for each in seconds)


@scenario
async def test_nothing_waiting_suppresses_and_a_demand_revives(running):
    broker = Broker(running)
    await broker.settle(1.1)
    assert broker.of("connection", m.Suppress) == [m.Suppress(("*",))]
    broker.demand("t")
    await broker.settle()
    assert broker.of("connection", m.Revive) == [m.Revive(("*",))]


@scenario
async def test_only_the_roles_that_are_wanted_are_revived(running):
    broker = Broker(running, roles=("ads", "web"))
    await broker.settle(1.1)
    assert broker.of("connection", m.Suppress) == [m.Suppress(("ads", "web"))]
    broker.demand("t", role="web")
    await broker.settle()
    assert broker.of("connection", m.Revive) == [m.Revive(("web",))]


@scenario
async def test_a_new_kind_of_demand_revives_although_nothing_is_suppressed(running):
    """Verizon's manager can never clear the filters of its declines."""
    broker = Broker(running)
    broker.demand("big", resources=Resources.of(cpus=99, mem=1))
    broker.offer(offer(1))
    await broker.settle()
    broker.demand("small")
    await broker.settle(0.2)
    assert broker.of("connection", m.Revive) == [m.Revive(("*",))]


@scenario
async def test_revives_are_limited_in_number(running):
    broker = Broker(running, revive_interval=10.0)
    broker.demand("x", resources=Resources.of(cpus=99, mem=1))
    for number in range(50):
        broker.offer(offer(number))
        broker.demand(f"y{number}", resources=Resources.of(cpus=100 + number, mem=1))
        await broker.settle(0.1)
    assert len(broker.of("connection", m.Revive)) == 1
    await broker.settle(10)
    assert len(broker.of("connection", m.Revive)) == 2


@scenario
async def test_after_a_new_subscription_the_suppression_is_said_again(running):
    """Verizon's flag is stale after a re-subscription, and SUPPRESS is skipped."""
    broker = Broker(running)
    await broker.settle(1.1)
    broker.broker.tell(m.Disconnected("x"))
    broker.broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
    await broker.settle(1.1)
    assert len(broker.of("connection", m.Suppress)) == 2


@scenario
async def test_a_rescind_before_its_offer_is_remembered(running):
    broker = Broker(running)
    broker.demand("t")
    broker.broker.tell(events.Rescind(OfferId("o1")))
    broker.offer(offer(1))
    await broker.settle(1)
    assert broker.launches() == []
    assert broker.of("connection", m.Decline) == []
    broker.offer(offer(2))
    await broker.settle()
    assert broker.launches()[0][0] == ("o2",)


@scenario
async def test_a_rescind_while_the_intent_is_being_stored_puts_the_task_back(running):
    broker = Broker(running, store_answers=False)
    broker.demand("t")
    broker.offer(offer(1))
    await broker.settle()
    (write,) = broker.of("store", m.Write)
    broker.broker.tell(events.Rescind(OfferId("o1")))
    broker.say("store", "offers", m.Stored(write.reference))
    await broker.settle()
    assert broker.of("connection", m.Accept) == []
    broker.offer(offer(2))
    await broker.settle()
    broker.say("store", "offers", m.Stored(write.reference + 1))
    await broker.settle()
    assert broker.launches()[0][0] == ("o2",)


@scenario
async def test_what_the_store_confirms_to_a_broker_that_failed_is_no_word_to_its_successor(running):
    broker = Broker(running, store_answers=False)
    broker.demand("t")
    broker.offer(offer(1))
    await broker.settle()
    (write,) = broker.of("store", m.Write)
    assert write.reference > 1_000  # the first one of another instance is another number
    broker.say("store", "offers", m.Stored(1))
    await broker.settle()
    assert broker.of("connection", m.Accept) == []


@scenario
async def test_a_rescind_of_one_of_two_offers_keeps_the_other(running):
    broker = Broker(running, store_answers=False)
    broker.demand("t")
    broker.offer(offer(1), offer(2, ONE))
    await broker.settle()
    (write,) = broker.of("store", m.Write)
    broker.broker.tell(events.Rescind(OfferId("o1")))
    broker.say("store", "offers", m.Stored(write.reference))
    await broker.settle()
    (decline,) = broker.of("connection", m.Decline)
    assert decline.offer_ids == ("o2",)


@scenario
async def test_a_disconnection_voids_offers_and_what_was_placed_waits_again(running):
    broker = Broker(running, store_answers=False)
    broker.demand("t")
    broker.offer(offer(1))
    await broker.settle()
    (write,) = broker.of("store", m.Write)
    broker.broker.tell(m.Disconnected("gone"))
    broker.say("store", "offers", m.Stored(write.reference))
    await broker.settle()
    assert broker.of("connection", m.Accept) == []
    broker.broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
    broker.offer(offer(2))
    await broker.settle()
    assert broker.of("store", m.Write)[1].records[0].key == "t"


@scenario
async def test_a_withdrawn_demand_is_confirmed_unless_its_accept_has_left(running):
    broker = Broker(running)
    broker.demand("waiting", resources=Resources.of(cpus=99, mem=1))
    broker.demand("launched")
    broker.offer(offer(1))
    await broker.settle()
    for name in ("waiting", "launched"):
        broker.say(f"task:{name}", "offers", m.Withdraw(TaskId(f"{name}.1")))
    await broker.settle()
    assert broker.of("task:waiting", m.Withdrawn)
    assert not broker.of("task:launched", m.Withdrawn)


@scenario
async def test_a_demand_withdrawn_while_its_intent_is_stored_is_not_launched(running):
    broker = Broker(running, store_answers=False)
    broker.demand("a", 1)
    broker.demand("b", 2)
    broker.offer(offer(1))
    await broker.settle()
    broker.say("task:a", "offers", m.Withdraw(TaskId("a.1")))
    await broker.settle()
    broker.say("store", "offers", m.Stored(broker.of("store", m.Write)[-1].reference))
    await broker.settle()
    assert broker.of("task:a", m.Withdrawn)
    assert [info.task_id.value for _, infos in broker.launches() for info in infos] == ["b.1"]


@scenario
async def test_the_executor_is_launched_with_the_first_task_and_shared_by_the_next(running):
    broker = Broker(running)
    broker.demand("a", executor="crawl", order=1)
    broker.demand("b", executor="crawl", order=2)
    broker.offer(offer(1))
    await broker.settle()
    ((_, infos),) = broker.launches()
    assert infos[0].executor == infos[1].executor
    assert infos[0].executor.executor_id.value.startswith("crawl-")
    assert [(r.name, r.scalar.value) for r in infos[0].executor.resources] == [("cpus", 0.5), ("mem", 64.0)]


@scenario
async def test_one_agents_executor_can_be_launched_on_another_agent_too(running):
    broker = Broker(running)
    for number in range(4):
        broker.demand(f"t{number}", number, Resources.of(cpus=1.5, mem=10), "crawl")
    broker.offer(offer(1), offer(2, agent="a2"))
    await broker.settle()
    launches = broker.launches()
    assert [(ids, len(infos)) for ids, infos in launches] == [(("o1",), 2), (("o2",), 2)]


@scenario
async def test_ports_are_told_to_commands(running):
    broker = Broker(running)
    broker.demand("t", ports=2)
    broker.offer(offer(1))
    await broker.settle()
    ((_, (info,)),) = broker.launches()
    variables = {v.name: v.value for v in info.command.environment.variables}
    assert variables == {"PORT0": "31000", "PORT1": "31001", "PORTS": "31000,31001"}


@scenario
async def test_an_accept_that_came_to_nothing_is_told_to_its_tasks(running):
    broker = Broker(running)
    broker.demand("t")
    broker.offer(offer(1))
    await broker.settle()
    (accept,) = broker.of("connection", m.Accept)
    broker.say("connection", "offers", m.CallFailed(accept, "no", 503))
    broker.say("connection", "offers", m.CallFailed(accept, "who knows", 0, uncertain=True))
    await broker.settle()
    assert broker.of("task:t", m.NotLaunched)[0].reason == "no"
    assert broker.of("task:t", m.LaunchUncertain)


@scenario
async def test_an_agent_under_maintenance_gets_no_tasks(running):
    broker = Broker(running, maintenance_margin=600.0)
    broker.demand("t")
    await broker.settle()
    now = running.clock.time()
    broker.offer(
        offer(1, unavailability=Unavailability(now + 300.0)),
        offer(2, agent="a2", unavailability=Unavailability(now - 500.0, 100.0)),
    )
    await broker.settle()
    assert broker.launches()[0][0] == ("o2",)
    (decline,) = broker.of("connection", m.Decline)
    assert decline == m.Decline((OfferId("o1"),), 5.0)  # not for long: the window may be called off


@scenario
async def test_tasks_that_would_be_moved_at_once_are_not_placed(running):
    broker = Broker(running)  # moves tasks a minute before, unless told otherwise
    broker.demand("t")
    await broker.settle()
    now = running.clock.time()
    broker.offer(
        offer(1, unavailability=Unavailability(now + 59.0)),
        offer(2, agent="a2", unavailability=Unavailability(now + 61.0)),
    )
    await broker.settle()
    assert broker.launches()[0][0] == ("o2",)


@scenario
async def test_why_a_task_waits_is_said_with_numbers_for_every_agent(running):
    broker = Broker(running)
    broker.demand("t", resources=Resources.of(cpus=99, mem=5000), executor="crawl")
    broker.offer(offer(1), offer(2, Resources.of(cpus=200, mem=10), agent="a2"))
    await broker.settle()
    report = await broker.broker.ask(m.WhyPending(TaskId("t")), block=False)
    (group,) = report.groups
    assert (report.waiting, group.tasks, group.first_task, group.agents_looked_at) == (1, 1, "t", 2)
    verdicts = {
        v.hostname: {(s.resource, s.wanted, s.available) for s in v.shortfalls} for v in group.verdicts
    }
    assert verdicts["host-a1"] == {("cpus", "99.5", "4"), ("mem", "5064", "4000")}
    assert verdicts["host-a2"] == {("mem", "5064", "10")}


@pytest.mark.parametrize(
    ("agents", "later", "remark"),
    [
        (1, 0.0, "the only agent did not offer enough at the last look"),
        (2, 0.0, "none of the 2 agents offered enough at the last look"),
        (2, 5.0, "none of the 2 agents offered enough at the last look"),
        (1, 12.0, "the only agent did not offer enough at the last look, 12 s ago"),
    ],
)
def test_why_a_task_waits_says_of_how_many_agents_and_when_they_were_looked_at(agents, later, remark):
    async def work():
        async with system() as running:
            broker = Broker(running)
            broker.demand("t", resources=Resources.of(cpus=99, mem=1), ports=13)
            broker.offer(*(offer(number, agent=f"a{number}") for number in range(agents)))
            await broker.settle()
            await broker.settle(later)
            (group,) = (await broker.broker.ask(m.WhyPending(TaskId("t")), block=False)).groups
            assert (group.remark, group.wanted) == (remark, "cpus:99; mem:1; 13 ports")
            shortfalls = [(s.resource, s.wanted, s.available) for s in group.verdicts[0].shortfalls]
            assert shortfalls == [("cpus", "99", "4"), ("ports", "13", "10")]

    virtually(work())


@pytest.mark.parametrize("unknown", [True, False])
def test_why_nothing_waits_or_why_there_is_no_offer(unknown):
    async def work():
        async with system() as running:
            broker = Broker(running)
            broker.demand("t", executor="nobody" if unknown else "")
            await broker.settle()
            report = await broker.broker.ask(m.WhyPending(), block=False)
            expected = "no executor called nobody" if unknown else "no offer for role *"
            assert expected in report.groups[0].remark
            none = await broker.broker.ask(m.WhyPending(TaskId("zz")), block=False)
            assert none.groups == ()

    virtually(work())


@scenario
async def test_freed_resources_are_asked_for_while_something_waits(running):
    broker = Broker(running)
    broker.broker.tell(m.ResourcesFreed())
    await broker.settle(0.5)
    assert broker.of("connection", m.Revive) == []
    broker.demand("t")
    await broker.settle(0.5)
    broker.broker.tell(m.ResourcesFreed())
    await broker.settle(0.5)
    assert broker.of("connection", m.Revive) == [m.Revive(("*",))]


@scenario
async def test_thousands_of_demands_are_placed_in_turns_that_leave_others_alone(running):
    broker = Broker(running)
    info = pb.mesos.TaskInfo(name="n")
    info.task_id.value = info.agent_id.value = "t"
    for number in range(3000):
        task = TaskId(f"t{number}")
        broker.broker.tell(
            m.Demand(task, TaskId(f"{task}.1"), number, "*", ONE, 0, "", info.SerializeToString())
        )
    broker.offer(offer(1, Resources.of(cpus=5000, mem=900_000)))
    await broker.settle(0.2)
    sizes = [len(accept.attempts) for accept in broker.of("connection", m.Accept)]
    assert sum(sizes) == 2000  # the rest with the agent's next offer: one ACCEPT an offer
    assert max(sizes) <= 2000


@scenario
async def test_a_subscription_that_begins_suppressed_is_revived_for_what_waits_and_only_for_that(running):
    broker = Broker(running, roles=("ads", "web"))
    broker.broker.tell(m.Disconnected("x"))
    broker.demand("t", role="web")
    await broker.settle(1.1)
    broker.take("connection")
    broker.broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True, ("ads", "web")))
    await broker.settle(1.1)
    assert broker.take("connection") == [m.Revive(("web",))]


@scenario
async def test_gpus_without_the_capability_for_them_are_named_as_the_reason(running):
    broker = Broker(running)
    broker.demand("t", resources=Resources.of(cpus=1, gpus=1))
    await broker.settle()
    report = await broker.broker.ask(m.WhyPending(TaskId("t")), block=False)
    assert report.groups[0].remark.startswith(
        "it wants gpus, and [framework] capabilities has no GPU_RESOURCES; "
    )


async def _remark(broker):
    report = await broker.broker.ask(m.WhyPending(TaskId("big")), block=False)
    (group,) = report.groups
    return group.remark, [verdict.hostname for verdict in group.verdicts]


@scenario
async def test_why_a_task_waits_says_how_old_the_look_is_and_nothing_of_agents_that_are_gone(running):
    broker = Broker(running)
    broker.demand("big", resources=Resources.of(cpus=99, mem=1))
    broker.offer(offer(1), offer(2, agent="a2"))
    await broker.settle(1)
    everywhere = ["host-a1", "host-a2"]
    assert await _remark(broker) == ("none of the 2 agents offered enough at the last look", everywhere)
    await broker.settle(29)
    assert await _remark(broker) == (
        "none of the 2 agents offered enough at the last look, 30 s ago",
        everywhere,
    )
    broker.broker.tell(m.AgentLost(AgentId("a2")))
    remark, hosts = await _remark(broker)
    assert remark.startswith("the only agent did not offer enough")
    assert hosts == ["host-a1"]
    broker.broker.tell(m.Disconnected("x"))
    broker.broker.tell(m.Subscribed(FrameworkId("f"), 15.0, None, True))
    assert await _remark(broker) == ("no offer for role * has come since it waits", [])


class Counted(OfferActor):
    rounds = 0

    @receive
    def handle_match_due(self, due: MatchDue) -> None:
        type(self).rounds += 1
        super().handle_match_due(due)


@scenario
async def test_offers_that_come_together_are_looked_at_once(running):
    Counted.rounds = 0
    broker = Broker(running, cls=Counted)
    for together in ((1,), (2, 3, 4)):
        for number in together:
            broker.offer(offer(number, agent=f"a{number}"))
        await broker.settle()
    assert Counted.rounds == 2


@pytest.mark.parametrize(
    "news",
    [
        (events.Rescind(OfferId("o1")),),
        (m.Disconnected("gone"), m.Subscribed(FrameworkId("f"), 15.0, None, True)),
    ],
    ids=["rescinded", "disconnected"],
)
def test_what_has_been_launched_does_not_wait_again_whatever_happens_to_its_offer(news):
    @scenario
    async def test_it(running):
        broker = Broker(running)
        broker.demand("t")
        broker.offer(offer(1))
        await broker.settle()
        for one in news:
            broker.broker.tell(one)
        broker.offer(offer(2))
        await broker.settle()
        assert [offers for offers, _ in broker.launches()] == [("o1",)]

    test_it()


@scenario
async def test_nothing_is_launched_and_nothing_held_while_the_store_is_away(running):
    broker = Broker(running, store_answers=False)
    broker.demand("big", 1)
    broker.demand("small", 2)
    broker.offer(offer(1))
    await broker.settle()
    broker.broker.tell(m.HoldLaunches("store", "the store cannot write: the disk is full"))
    await broker.settle()
    (declined,) = broker.of("connection", m.Decline)
    assert declined.offer_ids == (OfferId("o1"),)
    broker.offer(offer(2), offer(3, agent="a2"))
    await broker.settle()
    assert {each for call in broker.of("connection", m.Decline) for each in call.offer_ids} == {
        OfferId("o1"),
        OfferId("o2"),
        OfferId("o3"),
    }
    assert (await _remark(broker))[0] == "the store cannot write: the disk is full"
    (write,) = broker.take("store", m.Write)
    broker.say("store", "offers", m.Stored(write.reference))  # of what was given back meanwhile
    await broker.settle()
    assert broker.launches() == []

    broker.answers["store"][m.Write] = lambda write: m.Stored(write.reference)
    broker.take("connection")
    broker.broker.tell(m.HoldLaunches("store"))
    await broker.settle(0.2)
    assert broker.of("connection", m.Revive)
    broker.offer(offer(4))
    await broker.settle()
    ((offer_ids, infos),) = broker.launches()
    assert offer_ids == (OfferId("o4"),)
    assert [info.name for info in infos] == ["big", "small"]


@scenario
async def test_each_who_holds_launches_lets_go_for_himself(running):
    broker = Broker(running)
    broker.demand("t1")
    broker.broker.tell(m.HoldLaunches("one", "because"))
    broker.broker.tell(m.HoldLaunches("other", "because, too"))
    broker.broker.tell(m.HoldLaunches("one"))
    broker.offer(offer(1))
    await broker.settle()
    assert broker.launches() == []
    broker.broker.tell(m.HoldLaunches("other"))
    broker.offer(offer(2))
    await broker.settle()
    assert len(broker.launches()) == 1
