"""The dispatcher: order, fairness, and that nobody starves."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from typing import Any

import pytest

from actors.runtime import (
    Actor,
    ActorRef,
    ActorSystem,
    Terminated,
    Timeout,
    UnhandledMessageError,
    message,
    receive,
    understood_types,
)
from actors.runtime.dispatcher import BATCH
from tests.support.virtual import virtual


@message
class Item:
    n: int


@message
class Flood:
    to: ActorRef[Any]
    count: int


@message
class Slow:
    seconds: float


@message
class Forward:
    to: ActorRef[Any]
    item: Item


class Collector(Actor):
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @receive
    def item(self, m: Item) -> None:
        self.log.append((self.name, m.n))

    @receive
    async def slow(self, m: Slow) -> str:
        await asyncio.sleep(m.seconds)
        self.log.append((self.name, "slow"))
        return "slow"

    @receive
    def flood(self, m: Flood) -> None:
        for n in range(m.count):
            m.to.tell(Item(n))

    @receive
    def forward(self, m: Forward) -> None:
        m.to.tell(m.item)


class Letter:
    """A message that a test can watch vanish."""


class TestWhatIsKept:
    @virtual
    async def test_a_message_is_let_go_once_it_is_handled(self, system):
        class Reader(Actor):
            async def on_receive(self, message: Any) -> None:
                await asyncio.sleep(1.0)

        class Skimmer(Actor):
            def on_receive(self, message: Any) -> None:
                pass

        for cls in (Reader, Skimmer):
            ref = system.spawn(cls)
            letter = Letter()
            seen = weakref.ref(letter)
            ref.tell(letter)
            del letter
            await asyncio.sleep(2.0)
            gc.collect()
            assert seen() is None, cls
            await ref.stop(block=False)


class TestOrder:
    @virtual
    async def test_messages_of_one_sender_arrive_in_order_however_many(self, system):
        log: list[Any] = []
        ref = system.spawn(Collector, log, name="c")
        system.spawn(Collector, []).tell(Flood(ref, 10 * BATCH))
        await asyncio.sleep(1)
        assert log == [("c", n) for n in range(10 * BATCH)]

    @virtual
    async def test_an_actor_in_an_async_handler_handles_nothing_else_and_others_go_on(self, system):
        log: list[Any] = []
        busy, other = system.spawn(Collector, log, name="busy"), system.spawn(Collector, log, name="other")
        for m in (Item(1), Slow(1), Item(2), Slow(1), Item(3)):
            busy.tell(m)
        other.tell(Item(1))
        await asyncio.sleep(0.5)
        busy.tell(Item(4))
        other.tell(Item(2))
        await asyncio.sleep(5)
        of_busy = [what for name, what in log if name == "busy"]
        assert of_busy == [1, "slow", 2, "slow", 3, 4]
        assert log.index(("other", 2)) < log.index(("busy", "slow"))

    @virtual
    async def test_messages_told_from_a_thread_arrive_in_order(self, system):
        log: list[Any] = []
        ref = system.spawn(Collector, log, name="c")

        def tell_all() -> None:
            for n in range(1000):
                ref.tell(Item(n))

        await asyncio.to_thread(tell_all)
        await asyncio.sleep(1)
        assert log == [("c", n) for n in range(1000)]


class TestFairness:
    @virtual
    async def test_a_flooded_actor_does_not_hold_up_the_others(self, system):
        log: list[Any] = []
        flooded, other = (
            system.spawn(Collector, log, name="flooded"),
            system.spawn(Collector, log, name="other"),
        )
        for n in range(1000):
            flooded.tell(Item(n))
        other.tell(Item(0))
        await asyncio.sleep(1)
        assert log.index(("other", 0)) == BATCH

    @virtual
    async def test_an_actor_that_keeps_telling_itself_starves_neither_actors_nor_timers(self, system):
        class Restless(Actor):
            turns = 0

            @receive
            def item(self, m: Item) -> None:
                type(self).turns += 1
                self.actor_ref.tell(m)

        log: list[Any] = []
        system.spawn(Restless).tell(Item(0))
        system.spawn(Collector, log, name="other").tell(Item(1))
        for _ in range(20):
            await asyncio.sleep(0)
        assert log == [("other", 1)]
        assert Restless.turns > 1000

    async def test_io_is_served_while_actors_compute_without_pause(self):
        class Computing(Actor):
            @receive
            def item(self, m: Item) -> None:
                time.sleep(0.0002)
                self.actor_ref.tell(m)

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(line)
            writer.close()
            await writer.wait_closed()
            over.set()

        over = asyncio.Event()
        async with ActorSystem("busy") as system:
            for _ in range(4):
                system.spawn(Computing).tell(Item(0))
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            begin = time.perf_counter()
            for _ in range(5):
                writer.write(b"ping\n")
                assert await asyncio.wait_for(reader.readline(), 5) == b"ping\n"
            elapsed = time.perf_counter() - begin
            writer.close()
            await over.wait()
            server.close()
        assert elapsed < 2


class TestThreads:
    def test_a_tell_from_a_thread_wakes_a_sleeping_loop_at_once(self, threaded):
        arrived = threading.Event()

        class Waiting(Actor):
            def on_receive(self, m: Any) -> None:
                arrived.set()

        ref = threaded.spawn(Waiting)
        threading.Event().wait(0.02)  # the loop sleeps
        begin = time.perf_counter()
        ref.tell("wake up")
        assert arrived.wait(5)
        assert time.perf_counter() - begin < 1

    def test_many_threads_tell_and_nothing_is_lost(self, threaded):
        class Counting(Actor):
            def __init__(self) -> None:
                self.seen = 0

            def on_receive(self, m: Any) -> int:
                self.seen += 1
                return self.seen

        ref = threaded.spawn(Counting)
        threads = [threading.Thread(target=lambda: [ref.tell(n) for n in range(2000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ref.ask("count") == 8001


class TestSender:
    @virtual
    async def test_is_the_actor_that_told_and_nobody_for_the_outside(self, system):
        senders: list[Any] = []

        class Curious(Actor):
            @receive
            def item(self, m: Item) -> None:
                senders.append(self.sender)

            @receive
            async def slow(self, m: Slow) -> None:
                await asyncio.sleep(m.seconds)
                senders.append(self.sender)

        curious = system.spawn(Curious)
        other = system.spawn(Collector, [])
        curious.tell(Item(1))
        other.tell(Forward(curious, Item(1)))
        await asyncio.sleep(1)
        assert senders == [None, other]
        curious.tell(Slow(1))
        await asyncio.sleep(2)
        assert senders[2] is None

    @virtual
    async def test_two_async_handlers_at_once_know_their_own_senders(self, system):
        seen: dict[str, Any] = {}

        class Patient(Actor):
            @receive
            async def wait(self, m: Slow) -> None:
                await asyncio.sleep(m.seconds)
                seen[self.name] = self.sender

        class Asker(Actor):
            def __init__(self, to: ActorRef[Any]) -> None:
                self.to = to

            def on_start(self) -> None:
                self.to.tell(Slow(1))

        pairs = [
            (system.spawn(Asker, patient), patient)
            for patient in (system.spawn(Patient), system.spawn(Patient))
        ]
        await asyncio.sleep(2)
        assert seen == {patient.name: asker for asker, patient in pairs}


class TestDeadLetters:
    @virtual
    async def test_a_message_without_handler_is_logged_counted_and_kept(self, system, caplog):
        ref = system.spawn(Collector, [], name="c")
        ref.tell("unknown")
        await asyncio.sleep(1)
        (letter,) = system.dead_letters.last
        assert (letter.message, letter.receiver, letter.reason) == (
            "unknown",
            "c",
            "Collector has no handler for it",
        )
        assert system.dead_letters.count == len(system.dead_letters) == 1
        assert "dead letter 1: 'unknown' from outside to c" in caplog.text
        assert ref.is_alive()

    @virtual
    async def test_an_asker_of_an_unknown_message_gets_an_error(self, system):
        with pytest.raises(UnhandledMessageError, match="no handler for str"):
            await system.spawn(Collector, []).ask("unknown", block=False)

    @virtual
    async def test_telling_a_dead_actor_by_self_tell_is_a_dead_letter_and_no_error(self, system):
        ref = system.spawn(Collector, [], name="gone")
        await ref.stop(block=False)

        class Teller(Actor):
            def on_receive(self, m: Any) -> str:
                self.tell(ref, Item(1))
                self.tell("nobody", Item(2))
                return "fine"

        assert await system.spawn(Teller, name="teller").ask("go", block=False) == "fine"
        assert [(x.message.n, x.sender, x.receiver) for x in system.dead_letters.last] == [
            (1, "teller", "gone"),
            (2, "teller", "nobody"),
        ]

    @virtual
    async def test_what_is_left_in_the_mailbox_of_an_actor_that_stops_is_a_dead_letter(self, system):
        ref = system.spawn(Collector, [], name="c")
        ref.tell(Slow(1))
        stopped = ref.stop(block=False)
        ref.tell(Item(7))
        await stopped
        assert [x.message for x in system.dead_letters.last] == [Item(7)]

    @virtual
    async def test_a_flood_of_them_is_logged_in_thousands(self, system, caplog):
        for n in range(3000):
            system.tell("nobody", Item(n))
        assert system.dead_letters.count == 3000
        assert len(system.dead_letters.last) == 100
        assert len([r for r in caplog.records if "dead letter" in r.message]) == 103


class TestHandlers:
    def test_a_class_tells_what_it_understands(self):
        assert set(understood_types(Collector)) == {Item, Slow, Flood, Forward}

    @virtual
    async def test_unions_and_base_classes_are_understood(self, system):
        class Animal:
            pass

        class Dog(Animal):
            pass

        class Zoo(Actor):
            @receive
            def animal(self, m: Animal) -> str:
                return "animal"

            @receive
            def either(self, m: Item | Slow | None) -> str:
                return "either"

        ref = system.spawn(Zoo)
        answers = [await ref.ask(m, block=False) for m in (Dog(), Dog(), Item(1), Slow(1), None)]
        assert answers == ["animal", "animal", "either", "either", "either"]

    @virtual
    async def test_a_subclass_replaces_handlers_by_method_or_by_type(self, system):
        class Base(Actor):
            @receive
            def item(self, m: Item) -> str:
                return "base"

            @receive
            def slow(self, m: Slow) -> str:
                return "base"

        class ByMethod(Base):
            def item(self, m: Item) -> str:
                return "by method, " + super().item(m)

        class ByType(Base):
            @receive
            def other_name(self, m: Item) -> str:
                return "by type"

        assert await system.spawn(ByMethod).ask(Item(1), block=False) == "by method, base"
        assert await system.spawn(ByType).ask(Item(1), block=False) == "by type"
        assert await system.spawn(ByType).ask(Slow(1), block=False) == "base"

    @virtual
    async def test_a_handler_of_a_subclass_for_another_type_hides_none_of_the_same_name(self, system):
        class Base(Actor):
            @receive
            def handle_text(self, text: str) -> str:
                return f"text {text}"

        class Author(Base):
            @receive
            def handle_text(self, number: int) -> str:  # type: ignore[override]
                return f"number {number}"

        ref = system.spawn(Author)
        assert await ref.ask("a", block=False) == "text a"
        assert await ref.ask(1, block=False) == "number 1"

    @virtual
    async def test_types_declared_further_down_are_found(self, system):
        assert await system.spawn(Early).ask(DeclaredLater(3), block=False) == 3

    def test_wrong_handlers_are_told_when_they_are_declared(self):
        with pytest.raises(TypeError, match="takes no message"):

            class NoArgument(Actor):
                @receive
                def handler(self) -> None: ...

        with pytest.raises(TypeError, match="no annotation"):

            class NoAnnotation(Actor):
                @receive
                def handler(self, m) -> None: ...

        with pytest.raises(TypeError, match="is not a class"):

            class NoClass(Actor):
                @receive
                def handler(self, m: Any) -> None: ...

    def test_two_handlers_of_one_type_are_an_error(self):
        class Twice(Actor):
            @receive
            def one(self, m: Item) -> None: ...

            @receive
            def two(self, m: Item) -> None: ...

        with pytest.raises(TypeError, match="handles Item twice: one and two"):
            understood_types(Twice)

    def test_an_unknown_type_in_an_annotation_is_told(self):
        class Dangling(Actor):
            @receive
            def one(self, m: Nonesuch) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(TypeError, match="Nonesuch"):
            understood_types(Dangling)


class Early(Actor):
    @receive
    def handle(self, m: DeclaredLater) -> int:
        return m.n


@message
class DeclaredLater:
    n: int


class TestBackground:
    class Worker(Actor):
        stop_grace = 1.0

        def __init__(self, log: list[Any]) -> None:
            self.log = log

        @receive
        def work(self, m: Slow) -> None:
            self.run_in_background(self.task(m.seconds), name="work")

        async def task(self, seconds: float) -> None:
            if seconds < 0:
                raise ValueError("failed in the background")
            try:
                await asyncio.sleep(seconds)
                self.log.append("done")
            except asyncio.CancelledError:
                self.log.append("cancelled")
                raise

        @receive
        async def blocking(self, m: Item) -> int:
            return await self.in_thread(lambda: threading.get_ident() if m.n else 1 // 0)

    @virtual
    async def test_a_background_task_runs_beside_the_mailbox(self, system):
        log: list[Any] = []
        ref = system.spawn(self.Worker, log)
        ref.tell(Slow(5))
        assert await ref.ask(Item(1), block=False) != threading.get_ident()
        assert log == []
        await asyncio.sleep(6)
        assert log == ["done"]

    @virtual
    async def test_it_is_cancelled_when_its_actor_stops(self, system):
        log: list[Any] = []
        ref = system.spawn(self.Worker, log)
        ref.tell(Slow(5))
        await asyncio.sleep(1)
        assert await ref.stop(block=False)
        assert log == ["cancelled"]
        assert system.clock.now() == 1

    @virtual
    async def test_its_failure_fails_its_actor(self, system, caplog):
        ref = system.spawn(self.Worker, [])
        ref.tell(Slow(-1))
        await asyncio.sleep(1)
        assert not ref.is_alive()
        assert "failed in the background" in caplog.text

    @virtual
    async def test_one_that_ignores_its_cancellation_is_named_and_left(self, system, caplog):
        class Stubborn(self.Worker):  # type: ignore[name-defined,misc]
            async def task(self, seconds: float) -> None:
                for _ in range(3):
                    try:
                        await asyncio.sleep(seconds)
                    except asyncio.CancelledError:
                        pass

        ref = system.spawn(Stubborn, [], name="stubborn")
        ref.tell(Slow(5))
        await asyncio.sleep(1)
        assert await ref.stop(block=False)
        assert system.clock.now() == 2
        assert "stubborn: work' ignores its cancellation" in caplog.text
        await asyncio.sleep(20)

    @virtual
    async def test_an_exception_in_a_thread_reaches_the_handler(self, system):
        with pytest.raises(ZeroDivisionError):
            await system.spawn(self.Worker, []).ask(Item(0), block=False)

    @virtual
    async def test_a_watcher_of_a_failed_worker_hears_why(self, system):
        heard: list[str] = []

        class Parent(Actor):
            def __init__(self, work: type[Actor]) -> None:
                self.work = work

            def on_start(self) -> None:
                child = self.spawn(self.work, [], name="child")
                self.watch(child)
                child.tell(Slow(-1))

            @receive
            def gone(self, m: Terminated) -> None:
                heard.append(m.reason)

        system.spawn(Parent, self.Worker)
        await asyncio.sleep(1)
        assert heard == ["ValueError: failed in the background"]


SENDER: contextvars.ContextVar[str] = contextvars.ContextVar("SENDER", default="nobody")


class Reader(Actor):
    def __init__(self, read: list[str]) -> None:
        self.read = read

    @receive
    def item(self, m: Item) -> None:
        self.read.append(SENDER.get())
        if m.n:
            self.run_in_background(self.later(m.n), name="later")

    async def later(self, seconds: int) -> None:
        SENDER.set("itself, in the background")
        self.timers.after(seconds, Item(0))


@virtual
async def test_what_senders_and_timers_are_set_in_is_not_the_context_of_who_handles_the_message(system):
    read: list[str] = []
    reader = system.spawn(Reader, read, name="reader")
    await asyncio.sleep(0)

    async def send() -> None:
        SENDER.set("somebody")
        reader.tell(Item(1))
        await asyncio.sleep(2)
        reader.tell(Item(0))
        await asyncio.sleep(0)

    await asyncio.create_task(send())
    await asyncio.sleep(1)
    assert read == ["nobody"] * 3


@virtual
async def test_the_time_for_an_answer_that_came_is_over_without_a_word(system):
    wrong: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: wrong.append(context))
    ref = system.spawn(Collector, [])
    assert await ref.ask(Slow(0.5), block=False, timeout=1.0) == "slow"
    with pytest.raises(Timeout):
        await ref.ask(Slow(0.5), block=False, timeout=0.1)
    await asyncio.sleep(5)
    assert wrong == []
