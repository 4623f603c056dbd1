"""The traps of pykka on an event loop that were run and seen, each shown not to be in this runtime."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from actors.runtime import (
    Actor,
    ActorDeadError,
    ActorSystem,
    BlockingActor,
    NoSystemError,
    Reply,
    Timeout,
    WouldBlockError,
    get_all,
    message,
    receive,
    set_attribute,
)
from tests.support.virtual import virtual


@message
class Slow:
    seconds: float


@message
class Ask:
    pass


class Sleeper(Actor):
    value = 1

    @receive
    async def slow(self, m: Slow) -> float:
        await asyncio.sleep(m.seconds)
        return self.clock.now()

    @receive
    def quick(self, m: Ask) -> str:
        return "quick"


class TestAwaitingAReply:
    @virtual
    async def test_lets_the_loop_run_while_the_answer_is_not_there(self, system):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        await system.spawn(Sleeper).ask(Slow(0.5), block=False)
        ticking.cancel()
        assert ticks >= 49

    @virtual
    async def test_can_be_cancelled_without_harm_to_the_actor(self, system):
        ref = system.spawn(Sleeper)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ref.ask(Slow(1), block=False)
        assert await ref.ask(Ask(), block=False) == "quick"

    @virtual
    async def test_works_for_several_who_wait_for_the_same_reply(self, system):
        reply = system.spawn(Sleeper).ask(Slow(1), block=False)

        async def wait():
            return await reply

        assert set(await asyncio.gather(wait(), wait(), wait())) == {1.0}
        assert await reply == 1.0

    @virtual
    async def test_works_for_combined_replies(self, system):
        one, other = system.spawn(Sleeper), system.spawn(Sleeper)
        joined = one.ask(Slow(1), block=False).join(other.ask(Slow(2), block=False)).map(list)
        assert list(await joined) == [1.0, 2.0]
        assert await joined.filter(lambda t: t > 1) == [2.0]
        assert await joined.reduce(lambda a, b: a + b) == 3.0

    @virtual
    async def test_works_for_a_reply_with_a_get_hook(self):
        reply: Reply[int] = Reply()
        reply.set_get_hook(lambda timeout: 42)
        assert await reply == 42

    @virtual
    async def test_gives_up_after_the_timeout_of_the_ask(self, system):
        with pytest.raises(Timeout):
            await system.spawn(Sleeper).ask(Slow(5), block=False, timeout=2)
        assert system.clock.now() == 2

    @virtual
    async def test_works_from_another_loop(self, threaded):
        with pytest.raises(WouldBlockError, match="to_thread"):
            threaded.spawn(Sleeper)
        ref = await asyncio.to_thread(threaded.spawn, Sleeper)
        assert await ref.ask(Ask(), block=False) == "quick"
        assert await ref.ask(Slow(0.01), block=False) > 0

    @virtual
    async def test_works_for_an_actor_in_a_thread_of_its_own(self):
        class Driver(BlockingActor):
            def on_receive(self, message):
                time.sleep(0.01)
                return message + 1

        driver = Driver.start()
        assert await driver.ask(1, block=False) == 2
        with pytest.raises(WouldBlockError):
            driver.ask(1)
        assert await driver.stop(block=False)


class TestBlockingOnTheLoop:
    @virtual
    async def test_an_ask_that_would_deadlock_is_an_error_at_once_and_sends_nothing(self, system):
        ref = system.spawn(Sleeper)
        with pytest.raises(WouldBlockError, match="block=False"):
            ref.ask(Ask())
        assert ref.mailbox_size == 0

    @virtual
    async def test_so_is_one_from_a_handler(self, system):
        class Blocker(Actor):
            @receive
            def ask_other(self, m: Ask) -> str:
                try:
                    system.spawn(Sleeper).ask(Ask())
                except WouldBlockError:
                    return "refused"
                return "deadlock"

        assert await system.spawn(Blocker).ask(Ask(), block=False) == "refused"

    @virtual
    async def test_so_is_getting_a_reply_that_is_not_there(self, system):
        reply = system.spawn(Sleeper).ask(Ask(), block=False)
        with pytest.raises(WouldBlockError, match="await"):
            reply.get()
        await reply
        assert reply.get() == "quick"

    @virtual
    async def test_so_is_a_blocking_stop(self, system):
        ref = system.spawn(Sleeper)
        with pytest.raises(WouldBlockError):
            ref.stop()
        assert ref.is_alive()

    @virtual
    async def test_so_is_setting_an_attribute_through_a_proxy(self, system):
        proxy = system.spawn(Sleeper).proxy()
        with pytest.raises(WouldBlockError):
            proxy.value = 2
        await set_attribute(proxy, "value", 3)
        assert await proxy.value == 3

    @virtual
    async def test_so_is_an_actor_that_waits_for_its_own_answer(self, system):
        class Narcissus(Actor):
            @receive
            async def gaze(self, m: Slow) -> str:
                try:
                    await self.actor_ref.ask(Ask(), block=False)
                except WouldBlockError as error:
                    return str(error)
                return "never"

            @receive
            def answer(self, m: Ask) -> str:
                return "me"

        assert "itself" in await system.spawn(Narcissus).ask(Slow(0), block=False)


class TestCheckAndPut:
    def test_no_asker_waits_for_ever_while_actors_stop_under_it(self, threaded):
        class Quick(Actor):
            def on_receive(self, message):
                return message

        outcomes = []

        def ask_until_dead(ref):
            while True:
                try:
                    ref.ask("x", timeout=10)
                except ActorDeadError:
                    outcomes.append("dead")
                    return
                except Timeout:
                    outcomes.append("timeout")
                    return

        for _ in range(30):
            ref = threaded.spawn(Quick)
            askers = [threading.Thread(target=ask_until_dead, args=(ref,)) for _ in range(3)]
            for asker in askers:
                asker.start()
            ref.stop()
            for asker in askers:
                asker.join()
        assert outcomes == ["dead"] * 90

    def test_an_asker_whose_system_has_ended_learns_it(self):
        with ActorSystem.in_thread("ended") as system:
            ref = system.spawn(Sleeper)
        with pytest.raises(ActorDeadError):
            ref.ask(Ask())
        with pytest.raises(ActorDeadError):
            ref.tell(Ask())
        assert ref.stop() is False


class TestRegistry:
    @virtual
    async def test_is_one_per_system(self, system):
        async with ActorSystem("other") as other:
            mine, theirs = system.spawn(Sleeper, name="same"), other.spawn(Sleeper, name="same")
            assert system.actors() == (mine,)
            assert other.actors() == (theirs,)
            await other.stop()
            assert mine.is_alive()

    @virtual
    async def test_does_not_know_pykkas(self, system):
        import pykka

        system.spawn(Sleeper)
        assert pykka.ActorRegistry.get_all() == []

    @virtual
    async def test_stopping_takes_time_linear_in_the_number_of_actors(self):
        async def seconds_to_stop(number: int) -> float:
            async with ActorSystem("many") as system:
                for _ in range(number):
                    system.spawn(Sleeper)
                begin = time.perf_counter()
                await system.stop()
                return time.perf_counter() - begin

        few = min([await seconds_to_stop(1_000) for _ in range(3)])
        many = min([await seconds_to_stop(20_000) for _ in range(2)])
        assert many < few * 100  # linear is 20 times as long (and garbage collection), quadratic 400 times


class TestCostOfAnActor:
    @virtual
    async def test_an_idle_actor_has_no_event_uuid_or_queue(self, system):
        ref = system.spawn(Sleeper)
        await ref.ask(Ask(), block=False)
        await asyncio.sleep(1)
        assert ref._inbox is None
        assert ref._belongings is None
        held = [type(o) for o in gc.get_referents(ref)]
        assert not [t for t in held if "Event" in t.__name__ or "deque" in t.__name__]
        assert sys.getsizeof(ref) < 250

    @virtual
    async def test_an_actor_that_has_stopped_is_garbage(self, system):
        ref = system.spawn(Sleeper)
        actor = weakref.ref(ref._actor)
        await ref.stop(block=False)
        gc.collect()
        assert actor() is None


class TestFailures:
    @virtual
    async def test_a_base_exception_ends_its_actor_alone(self, system, caplog):
        class Odd(BaseException):
            pass

        class Exploding(Actor):
            def on_receive(self, message):
                raise Odd

        bystander, ref = system.spawn(Sleeper), system.spawn(Exploding)
        ref.tell("boom")
        await asyncio.sleep(1)
        assert not ref.is_alive()
        assert bystander.is_alive()
        other = system.spawn(Exploding)
        with pytest.raises(Odd):
            await other.ask("boom", block=False)
        assert not other.is_alive()

    @virtual
    async def test_a_system_exit_in_a_handler_ends_the_system_in_good_order(self, system, caplog):
        stopped = []

        class Exiting(Actor):
            def on_receive(self, message):
                raise SystemExit(3)

        class Bystander(Actor):
            def on_stop(self):
                stopped.append(self.name)

        system.spawn(Bystander, name="bystander")
        system.spawn(Exiting).tell("go")
        await system.join()
        assert isinstance(system.failure, SystemExit)
        assert stopped == ["bystander"]

    @virtual
    async def test_forgetting_super_init_does_no_harm(self, system):
        class Forgetful(Actor):
            def __init__(self) -> None:
                self.value = 7

            @receive
            def get(self, m: Ask) -> int:
                return self.value

        assert await system.spawn(Forgetful).ask(Ask(), block=False) == 7

    def test_an_actor_made_by_hand_says_how_it_should_be_made(self):
        by_hand = Sleeper()
        with pytest.raises(NoSystemError, match=r"system\.spawn\(Sleeper"):
            _ = by_hand.system
        with pytest.raises(NoSystemError):
            by_hand.stop()
        with pytest.raises(NoSystemError, match=r"system\.spawn"):
            Sleeper.start()


class TestControlMessages:
    @virtual
    async def test_an_empty_tuple_is_a_message_like_any_other(self, system):
        class Echo(Actor):
            def on_receive(self, message):
                return ("got", message)

        ref = system.spawn(Echo)
        assert await ref.ask((), block=False) == ("got", ())
        assert ref.is_alive()

    @virtual
    async def test_pykkas_own_stop_message_is_understood(self, system):
        from pykka.messages import _ActorStop

        ref = system.spawn(Sleeper)
        ref.tell(_ActorStop())
        await asyncio.sleep(1)
        assert not ref.is_alive()


def test_a_timeout_over_several_replies_is_for_all_of_them_together():
    replies: list[Reply[Any]] = [Reply() for _ in range(5)]
    begin = time.monotonic()
    with pytest.raises(Timeout):
        get_all(replies, timeout=0.05)
    with pytest.raises(Timeout):
        replies[0].join(*replies[1:]).get(timeout=0.05)
    assert time.monotonic() - begin < 0.2


def test_get_all_returns_answers_in_order():
    replies: list[Reply[Any]] = [Reply() for _ in range(3)]
    for n, reply in enumerate(replies):
        reply.set(n)
    assert get_all(replies) == [0, 1, 2]
    assert get_all(replies, timeout=1) == [0, 1, 2]
