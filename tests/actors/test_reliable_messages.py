"""Reliable messages, both sides as they are, with a hostile network between them: each once and in order, or its sender is told.

The two actors run in virtual time; what they say to each other lies in this test's hands, which loses, doubles and reorders it,
and ends and restarts either side. What the scheduler and the store do around them is played: a hook is called and stored at once.
"""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors import records as r
from actors.composition import ActorSpec, run
from actors.framework_settings import Composition, FrameworkSettings
from actors.message_actor import MessageActor, MessageSettings
from actors.runtime import ActorSystem, message, pack, receive, unpack
from actors.runtime.testing import ManualIds
from actors.scheduler_actor import SchedulerActor
from executor import messages as em
from executor.message_actor import MessageActor as ExecutorMessageActor
from executor.message_actor import Room
from mesos_v1 import pb
from mesos_v1.values import AgentId, ExecutorId, FrameworkId
from tests.actors.test_scheduler_actor import composition
from tests.support.actor_bench import ActorBench, system, virtually
from tests.support.simulated_master import simulated_master
from wire.reliable import MAX_WAITING, WINDOW, Numbered, Taken, WhoIsThere

AGENT, EXECUTOR = AgentId("a"), ExecutorId("crawl-12ab")
SOURCE = m.MessageSource(AGENT, EXECUTOR, "crawl")
PATIENCE = 60.0
SUBSCRIBED = m.Subscribed(FrameworkId("f"), 15.0, None, reregistered=True)


class World:
    """Both sides, and what is on its way between them."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], m.Record] = {}
        self.down: list[bytes] = []  # on its way to the executor
        self.up: list[tuple[int, bytes]] = []  # and from it, with which process said it
        self.sent = 0
        self.told_by_executor = 0
        self.process = 0
        self.heard_below: list[tuple[int, int]] = []  # (process, message)
        self.heard_above: list[tuple[int, int]] = []
        self.undelivered: list[tuple[int, str]] = []
        self.subscribed = self.connected = True
        self.stores = self.tells = True
        self.above: ActorBench
        self.below: ActorBench

    # --- the scheduler's side

    async def start_scheduler(self) -> None:
        self.above = ActorBench(system(), "scheduler", "connection", "store")
        await self.above.system.__aenter__()
        self.above.answers["store"][m.Write] = self._write
        self.above.answers["connection"][m.SendMessage] = self._send_down
        hears = self.above.answers["scheduler"]
        hears[m.ReliableMessage] = self._hear_above
        hears[m.Undelivered] = self._hear_undelivered
        composition = Composition(FrameworkSettings(name="t", master="m"))
        self.above.system.spawn(MessageActor, composition, MessageSettings(PATIENCE), name="messages")
        await self.above.settle()
        known = r.of_messages(self.records.values())
        self.above.say("scheduler", "messages", m.ResumeMessages(known, self.subscribed))
        await self.settle()

    def _write(self, write: m.Write) -> m.Stored | None:
        for record in write.records:
            self.records[record.kind, record.key] = record
        for key in write.deletes:
            self.records.pop(key, None)
        return m.Stored(write.reference) if write.reference and self.stores else None

    def _send_down(self, call: m.SendMessage) -> None:
        assert self.subscribed
        assert (call.agent_id, call.executor_id) == (AGENT, EXECUTOR)
        self.down.append(call.data)

    def _hear_above(self, message: m.ReliableMessage) -> m.MessageTold:
        process, number = unpack(message.data).message
        self.heard_above.append((process, number))
        told = m.MessageTold(message.source, message.instance, message.number)
        record = r.HEARD.record(r.pair_key(AGENT, EXECUTOR), told)
        self.records[record.kind, record.key] = record
        return told

    def _hear_undelivered(self, failed: m.Undelivered) -> None:
        if not self.tells:
            return
        self.undelivered.append((unpack(failed.data).message, failed.reason))
        self.records.pop(r.MESSAGE.key(str(failed.number)), None)

    async def kill_scheduler(self) -> None:
        await self.above.system.__aexit__(None, None, None)

    def send(self) -> None:
        self.sent += 1
        asked = m.SendReliably(self.sent, AGENT, EXECUTOR, pack(self.sent))
        record = r.MESSAGE.record(str(self.sent), asked)
        self.records[record.kind, record.key] = record
        self.above.say("scheduler", "messages", asked)

    def tell_messages(self, news: object) -> None:
        self.above.say("scheduler", "messages", news)

    # --- the executor's side

    async def start_executor(self) -> None:
        self.process += 1
        self.room = Room()
        self.told_by_executor = 0
        self.below = ActorBench(ActorSystem(ids=ManualIds(self.process)), "author", "agent", "executor")
        await self.below.system.__aenter__()
        process = self.process
        self.below.answers["agent"][em.SendMessage] = lambda call: self.up.append((process, call.data))
        self.below.answers["author"][em.ForAuthor] = self._hear_below
        self.below.system.spawn(ExecutorMessageActor, self.room, name="messages")
        await self.settle()

    def _hear_below(self, arrived: em.ForAuthor) -> em.Heard:
        self.heard_below.append((self.process, arrived.message))
        return em.Heard(arrived.number)

    async def kill_executor(self) -> None:
        await self.below.system.__aexit__(None, None, None)
        self.down.clear()

    def reply(self) -> None:
        self.told_by_executor += 1
        said = em.SendReliably(pack((self.process, self.told_by_executor)))
        self.below.say("executor", "messages", said)

    # --- between them

    def deliver_down(self, index: int, *, keep: bool = False) -> None:
        data = self.down[index] if keep else self.down.pop(index)
        said = unpack(data).message
        assert isinstance(said, Numbered | Taken | WhoIsThere)
        self.below.say("executor", "messages", said)

    def deliver_up(self, index: int, *, keep: bool = False) -> None:
        data = (self.up[index] if keep else self.up.pop(index))[1]
        if self.subscribed:
            self.tell_messages(m.FromExecutor(SOURCE, unpack(data).message))

    async def settle(self, seconds: float = 0.0) -> None:
        await self.above.settle(seconds)

    async def flow(self, rounds: int = 60) -> None:
        """From now on all is well."""
        for _ in range(rounds):
            while self.up or self.down:
                while self.down:
                    self.deliver_down(0)
                while self.up:
                    self.deliver_up(0)
                await self.settle()
            await self.settle(1.0)


@asynccontextmanager
async def world() -> Any:
    made = World()
    await made.start_scheduler()
    await made.start_executor()
    try:
        yield made
    finally:
        await made.kill_scheduler()
        await made.kill_executor()


def check(made: World) -> None:
    """Each was heard once, in order, by one process; or its sender was told."""
    heard = [number for _, number in made.heard_below]
    assert len(heard) == len(set(heard)), "a message was handed to the author twice"
    assert heard == sorted(heard), "out of order"
    told = [number for number, _ in made.undelivered]
    assert len(told) == len(set(told)), "told twice"
    assert set(heard) | set(told) == set(range(1, made.sent + 1)), "neither heard nor told"
    assert len(made.heard_above) == len(set(made.heard_above)), "the scheduler's author heard one twice"
    assert made.heard_above == sorted(made.heard_above), "out of order"
    living = [number for process, number in made.heard_above if process == made.process]
    assert living == list(range(1, made.told_by_executor + 1)), "an executor that lives was not heard"
    for process in range(1, made.process):
        before = [number for which, number in made.heard_above if which == process]
        assert all(two == one + 1 for one, two in pairwise([0, *before])), "one was left out"
    kinds = {kind for kind, _ in made.records}
    assert "message" not in kinds, "a message is stored for good"


STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 6)),
    st.tuples(st.just("reply"), st.integers(1, 6)),
    st.tuples(st.sampled_from(["down", "up", "double down", "double up"]), st.integers(0, 50)),
    st.tuples(st.sampled_from(["lose down", "lose up", "flow"]), st.integers(0, 50)),
    st.tuples(st.just("wait"), st.floats(0.1, 15.0)),
    st.tuples(
        st.sampled_from(
            [
                "scheduler dies", "scheduler dies deaf", "both die", "executor dies", "executor dies unnoticed", "agent is lost",
                "disconnected", "subscribed", "agent away", "agent back",
            ]
        ),
        st.just(0),
    ),
)  # fmt: skip


async def take(made: World, step: str, amount: Any) -> None:
    match step:
        case "send" | "reply":
            for _ in range(amount):
                (made.send if step == "send" else made.reply)()
        case "down" | "double down" if made.down:
            made.deliver_down(amount % len(made.down), keep=step != "down")
        case "up" | "double up" if made.up:
            made.deliver_up(amount % len(made.up), keep=step != "up")
        case "lose down" if made.down:
            del made.down[amount % len(made.down)]
        case "lose up" if made.up:
            del made.up[amount % len(made.up)]
        case "flow":
            await made.flow(1)
        case "wait":
            await made.settle(amount)
        case "scheduler dies" | "scheduler dies deaf":
            if step.endswith("deaf"):  # what it stored last, it never heard of
                made.stores = False
                await made.flow(1)
                made.stores = True
            await made.kill_scheduler()
            await made.start_scheduler()
        case "executor dies" | "executor dies unnoticed":
            await made.kill_executor()
            if step == "executor dies" and made.subscribed:  # the news comes after all that it has said
                made.up.clear()
                made.tell_messages(m.ExecutorLost(AGENT, EXECUTOR, 9))
            await made.start_executor()
        case "both die" if made.subscribed:
            await made.kill_executor()
            made.up.clear()
            made.tells = False  # it comes to decide what is undelivered, and not to tell it
            made.tell_messages(m.ExecutorLost(AGENT, EXECUTOR, 9))
            await made.settle()
            made.tells = True
            await made.kill_scheduler()
            await made.start_executor()
            await made.start_scheduler()
        case "agent is lost" if made.subscribed:
            made.tell_messages(m.AgentLost(AGENT))
        case "disconnected" if made.subscribed:
            made.subscribed = False
            made.tell_messages(m.Disconnected("by the test"))
        case "subscribed" if not made.subscribed:
            made.subscribed = True
            made.tell_messages(SUBSCRIBED)
        case "agent away" if made.connected:
            made.connected = False
            made.below.say("executor", "messages", em.AgentLost("by the test"))
        case "agent back" if not made.connected:
            made.connected = True
            made.below.say("executor", "messages", em.AgentBack())
    if step.startswith("executor dies") or step == "both die":
        made.connected = True
    await made.settle()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=40))
def test_each_message_arrives_once_and_in_order_or_its_sender_is_told(steps):
    async def work():
        async with world() as made:
            for step, amount in steps:
                await take(made, step, amount)
            for step in ("subscribed", "agent back"):
                await take(made, step, 0)
            await made.flow(int(PATIENCE) + 30)
            check(made)

    virtually(work())


def scenario(test):
    """Run it in virtual time, in a world of its own."""

    def run():
        async def work():
            async with world() as made:
                await test(made)

        virtually(work())

    run.__name__ = test.__name__
    return run


@scenario
async def test_an_executor_is_asked_who_it_is_and_its_answer_stored_before_the_first_message(made):
    made.send()
    made.send()
    await made.settle()
    assert [unpack(data).message for data in made.down] == [WhoIsThere()]
    made.stores = False
    made.deliver_down(0)
    await made.settle()
    made.deliver_up(0)
    await made.settle(0.5)
    assert made.down == [], "sent before it was stored to whom"
    assert ("message-peer", f"{AGENT}/{EXECUTOR}") in made.records
    (write,) = made.above.of("store", m.Write)
    made.above.say("store", "messages", m.Stored(write.reference))
    await made.settle()
    assert [(it.number, it.previous) for it in (unpack(data).message for data in made.down)] == [
        (1, 0),
        (2, 1),
    ]


@scenario
async def test_what_a_process_said_before_it_was_replaced_is_heard_no_second_time(made):
    made.reply()
    await made.settle()
    late = made.up[0]
    await made.flow(1)
    await take(made, "executor dies unnoticed", 0)
    made.reply()
    await made.settle()
    await made.flow(1)
    made.up.append(late)
    await made.flow(2)
    assert made.heard_above == [(1, 1), (2, 1)]


@scenario
async def test_a_message_that_was_given_up_goes_to_no_other_process_though_the_scheduler_dies(made):
    made.send()
    await made.settle()
    await take(made, "both die", 0)
    await made.flow(5)
    assert made.heard_below == []
    assert made.undelivered == [(1, "its executor has ended")]


@scenario
async def test_an_executor_that_took_the_place_of_another_gets_only_what_was_said_to_it(made):
    made.send()
    await made.flow(2)
    made.send()
    await made.settle()
    await take(made, "executor dies unnoticed", 0)
    await made.flow(5)
    assert made.undelivered == [(2, "another process of its executor has taken its place")]
    made.send()
    await made.flow(5)
    assert made.heard_below == [(1, 1), (2, 3)]


@scenario
async def test_messages_to_an_executor_that_says_nothing_are_given_up_after_a_time_and_told(made):
    made.send()
    await made.settle(PATIENCE / 2)
    assert made.undelivered == []
    await take(made, "disconnected", 0)
    await made.settle(3 * PATIENCE)  # which is no fault of the executor's
    assert made.undelivered == []
    await take(made, "subscribed", 0)
    await made.settle(PATIENCE + 11)
    ((number, reason),) = made.undelivered
    assert number == 1
    assert reason.startswith("nothing was heard of its executor for 6")


@scenario
async def test_an_executor_whose_author_takes_long_over_a_message_is_not_given_up(made):
    made.below.answers["author"].clear()
    made.send()
    made.send()
    for _ in range(int(PATIENCE) * 2):
        await made.flow(1)
    assert made.undelivered == []
    assert len(made.below.of("author", em.ForAuthor)) == 2


@scenario
async def test_an_agent_that_is_lost_and_comes_back_with_its_executor_goes_on_talking_with_it(made):
    made.send()
    made.reply()
    await made.flow(2)
    made.send()
    await made.settle()
    made.down.clear()
    await take(made, "agent is lost", 0)
    assert made.undelivered == [(2, "its agent is lost")]
    made.send()
    made.reply()
    await made.flow(5)
    assert (made.heard_below, made.heard_above) == ([(1, 1), (1, 3)], [(1, 1), (1, 2)])


@scenario
async def test_more_messages_than_may_wait_are_refused_each_with_a_sentence(made):
    for _ in range(MAX_WAITING + 2):
        made.send()
    await made.settle()
    why = "1,000 messages to it wait already for their acknowledgement"
    assert made.undelivered == [(MAX_WAITING + 1, why), (MAX_WAITING + 2, why)]
    await made.flow(MAX_WAITING // WINDOW + 5)
    check(made)


@scenario
async def test_only_so_many_messages_are_on_their_way_and_to_a_silent_executor_the_oldest_only(made):
    made.send()
    await made.flow(2)
    for _ in range(3 * WINDOW):
        made.send()
    await made.settle()
    assert len(made.down) == WINDOW
    await made.settle(1.5)
    assert len(made.down) == 2 * WINDOW
    await made.settle(30.0)
    assert len(made.down) < 2 * WINDOW + 10
    await made.flow(5)
    check(made)


@scenario
async def test_a_message_that_the_executor_cannot_read_is_told_to_its_sender_and_the_next_arrives(made):
    made.below.answers["author"][em.Heard] = lambda refused: refused
    for kind in ("nowhere:Unknown", ""):
        made.sent += 1
        data = pack(made.sent) if not kind else pack(made.sent).replace(b"\xa0", b"\xa7nowhere", 1)
        asked = m.SendReliably(made.sent, AGENT, EXECUTOR, data)
        made.records[r.MESSAGE.key(str(made.sent))] = r.MESSAGE.record(str(made.sent), asked)
        made.above.say("scheduler", "messages", asked)
    made._hear_undelivered = None
    told = []
    made.above.answers["scheduler"][m.Undelivered] = lambda it: told.append((it.number, it.reason))
    await made.flow(5)
    assert made.heard_below == [(1, 2)]
    ((number, reason),) = told
    assert number == 1
    assert reason.startswith("the executor cannot read it: ")


@scenario
async def test_what_the_master_refuses_for_good_is_told_and_the_next_arrives(made):
    made.send()
    await made.flow(2)
    made.send()
    made.send()
    await made.settle()
    call = next(it for it in made.above.of("connection", m.SendMessage) if it.data == made.down[0])
    made.down.clear()
    made.above.say("connection", "messages", m.CallFailed(call, "too long", 413))
    await made.flow(5)
    assert made.undelivered == [(2, "the master refuses it: too long")]
    assert made.heard_below == [(1, 1), (1, 3)]


@scenario
async def test_a_framework_that_is_another_one_has_none_of_its_executors(made):
    made.send()
    made.reply()
    await made.flow(2)
    made.send()
    made.tell_messages(m.ExecutorsGone("gone with its framework"))
    await made.settle()
    assert made.undelivered == [(2, "gone with its framework")]
    assert "message-heard" not in {kind for kind, _ in made.records}


@scenario
async def test_an_executor_waits_with_its_end_for_the_acknowledgements(made):
    for _ in range(3):
        made.reply()
    await made.settle()
    made.below.say("executor", "messages", em.Leave())
    await made.settle()
    assert made.below.of("executor", em.Left) == [], "it leaves before all is acknowledged"
    await made.flow(2)
    assert len(made.below.of("executor", em.Left)) == 1
    made.reply()
    await made.settle()


def test_the_room_of_an_executor_says_why_there_is_none():
    room = Room()
    with pytest.raises(ValueError, match="acknowledges no messages.*without reliable=True"):
        room.take(b"")
    room.offered = True
    with pytest.raises(ValueError, match=r"a reliable message has 1,048,577 bytes, and at most 1,048,576"):
        room.take(b"x" * (1024 * 1024 + 1))
    for _ in range(MAX_WAITING):
        room.take(b"")
    with pytest.raises(ValueError, match="1,000 messages wait already"):
        room.take(b"")
    room.give(1)
    room.take(b"")


# --- with a scheduler, a store and a master ---------------------------------------------------------------------------


@message
class Poke:
    text: str


@message
class Fail:
    """Makes the actor of messages fail."""


class Failing(MessageActor):
    @receive
    def handle_fail(self, _asked: Fail) -> None:
        raise RuntimeError("as a test has it")


class Talks(SchedulerActor):
    """Says one thing when it is registered, and another one whenever it hears something; raises when it has."""

    def on_registered(self, event):
        self.send_message(AGENT, EXECUTOR, Poke("first"), reliable=True)

    def on_message(self, said, source):
        self.send_message(AGENT, EXECUTOR, Poke(f"you said {said.text}"), reliable=True)
        if said.text == "fail":
            self.tell("messages", Fail())
        if said.text == "end":
            self.finish(0, f"{self.hook_failures} hooks failed")
        raise RuntimeError("when all is said")

    def on_message_undelivered(self, said, target, reason):
        self.finish(0, f"{said} {target.executor} {reason}")


class Peer:
    """An executor, as a test plays it at the master's end."""

    def __init__(self, master):
        self.master = master
        self.read = 0

    async def say(self, said):
        event = pb.scheduler.Event(type=pb.scheduler.Event.MESSAGE)
        event.message.agent_id.value, event.message.executor_id.value = AGENT, EXECUTOR
        event.message.data = pack(said)
        await self.master.send(event)

    async def next(self, kind):
        """The next that the scheduler says of that kind."""
        while True:
            calls = [call for call, _ in self.master.calls if call.HasField("message")]
            for call in calls[self.read :]:
                self.read += 1
                said = unpack(call.message.data).message
                if isinstance(said, kind):
                    return said
            await self.master.until(lambda: len(self._calls()) > self.read)

    def _calls(self):
        return [call for call, _ in self.master.calls if call.HasField("message")]


@asynccontextmanager
async def talking(master, cls=Talks):
    failing = ActorSpec("messages", Failing, MessageSettings())
    running = asyncio.ensure_future(run(composition(master, cls, extra=(failing,))))
    try:
        yield Peer(master), running
    finally:
        running.cancel()


@pytest.fixture
async def master():
    async with simulated_master() as running:
        yield running


def said(text, number, previous=0):
    return Numbered("one", number, previous, pack(Poke(text)))


async def test_a_scheduler_talks_with_an_executor_and_what_its_hook_raises_changes_nothing(master):
    async with asyncio.timeout(20), talking(master) as (peer, running):
        await peer.next(WhoIsThere)
        await peer.say(Taken("one", 0))
        first = await peer.next(Numbered)
        assert unpack(first.data).message == Poke("first")
        await peer.say(Taken("one", first.number))
        for _ in range(2):  # it comes twice, and is heard once
            await peer.say(said("hello", 1))
        while (await peer.next(Taken)).number != 1:
            pass  # not stored yet
        answer = await peer.next(Numbered)
        assert unpack(answer.data).message == Poke("you said hello")
        assert answer.number > first.number
        assert answer.previous == 0, "the first one is acknowledged"
        await peer.say(said("end", 2, previous=1))
        assert (await running).reason == "1 hooks failed"


async def test_an_actor_of_messages_that_fails_goes_on_with_what_is_stored(master):
    async with asyncio.timeout(20), talking(master) as (peer, running):
        await peer.next(WhoIsThere)
        await peer.say(Taken("one", 0))
        first = await peer.next(Numbered)
        await peer.say(said("fail", 1))
        again = await peer.next(Numbered)
        while again.number == first.number:
            again = await peer.next(Numbered)
        assert unpack(again.data).message == Poke("you said fail")
        await peer.say(said("fail", 1))  # which it has heard
        await peer.say(Taken("one", again.number))
        await peer.say(said("end", 2, previous=1))
        assert (await running).reason == "1 hooks failed"


async def test_the_end_of_an_executor_is_told_with_the_message_that_it_did_not_acknowledge(master):
    async with asyncio.timeout(20), talking(master) as (peer, running):
        await peer.next(WhoIsThere)
        event = pb.scheduler.Event(type=pb.scheduler.Event.FAILURE)
        event.failure.agent_id.value, event.failure.executor_id.value, event.failure.status = (
            AGENT,
            EXECUTOR,
            9,
        )
        await master.send(event)
        assert (await running).reason == "Poke(text='first') crawl its executor has ended"


async def test_before_the_framework_is_registered_nothing_is_sent_reliably(master):
    class Hasty(Talks):
        def on_start(self):
            self.send_message(AGENT, EXECUTOR, Poke("too early"), reliable=True)

    outcome = await run(composition(master, Hasty))
    assert outcome.exit_code == 1
    assert (
        "a reliable message can be sent from on_registered or on_reregistered on, not before"
        in outcome.reason
    )
