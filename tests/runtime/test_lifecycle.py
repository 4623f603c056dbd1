"""The life of an actor, as it can be seen from outside."""

# mypy: disable-error-code="var-annotated"
from __future__ import annotations

import asyncio
import time

import pytest

from actors.runtime import (
    Actor,
    ActorDeadError,
    ActorSystem,
    NameTakenError,
    NoSystemError,
    Terminated,
    Timeout,
    message,
    receive,
)
from actors.runtime.states import State
from actors.runtime.testing import run_virtual
from tests.support.virtual import virtual


@message
class Wait:
    seconds: float


@message
class Watch:
    name: str


class Tree(Actor):
    """Notes its hooks, and grows children."""

    def __init__(self, log, depth: int = 0, width: int = 1) -> None:
        self.log = log
        self.depth = depth
        self.width = width

    def on_start(self) -> None:
        self.log.append(f"start {self.name}")
        for n in range(self.width if self.depth else 0):
            self.spawn(Tree, self.log, self.depth - 1, self.width, name=f"{self.name}.{n}")

    def on_stop(self) -> None:
        self.log.append(f"stop {self.name}")


class TestStopping:
    @virtual
    async def test_children_stop_before_their_parent(self, system):
        log = []
        system.spawn(Tree, log, 2, 2, name="a")
        await asyncio.sleep(0.1)
        log.clear()
        await system.stop()
        stopped = [entry.removeprefix("stop ") for entry in log]
        assert len(stopped) == 7
        for name in stopped:
            parent = name.rpartition(".")[0]
            assert not parent or stopped.index(name) < stopped.index(parent)

    @virtual
    async def test_siblings_stop_youngest_first(self, system):
        log = []
        system.spawn(Tree, log, 1, 3, name="a")
        await asyncio.sleep(0.1)
        log.clear()
        await system.stop()
        assert log == ["stop a.2", "stop a.1", "stop a.0", "stop a"]

    @virtual
    async def test_a_very_deep_family_stops_without_recursion(self, system):
        log = []
        system.spawn(Tree, log, 3000, name="t")
        await asyncio.sleep(1)
        assert len(log) == 3001
        await system.stop()
        assert log[-1] == "stop t"
        assert len(log) == 6002

    @virtual
    async def test_stopping_a_parent_stops_its_family_and_nobody_else(self, system):
        log = []
        system.spawn(Tree, log, 1, 2, name="a")
        other = system.spawn(Tree, log, name="b")
        await asyncio.sleep(0.1)
        assert await system.get("a").stop(block=False)
        assert system.actors() == (other,)

    @virtual
    async def test_an_async_handler_is_given_its_grace_and_then_cancelled(self, system, caplog):
        class Stubborn(Actor):
            stop_grace = 2.0

            @receive
            async def wait(self, m: Wait) -> str:
                await asyncio.sleep(m.seconds)
                return "done"

        quick, slow = system.spawn(Stubborn), system.spawn(Stubborn)
        in_time, too_late = quick.ask(Wait(1), block=False), slow.ask(Wait(100), block=False)
        left = slow.ask(Wait(0), block=False)
        await asyncio.sleep(0)
        stops = [quick.stop(block=False), slow.stop(block=False)]
        assert await in_time == "done"
        assert [await stop for stop in stops] == [True, True]
        assert system.clock.now() == 2.0
        with pytest.raises(ActorDeadError, match="while handling"):
            await too_late
        with pytest.raises(ActorDeadError, match="before handling"):
            await left

    @virtual
    async def test_an_async_on_stop_is_waited_for_but_not_for_ever(self, system):
        log = []

        class Tidy(Actor):
            stop_grace = 3.0

            def __init__(self, seconds: float) -> None:
                self.seconds = seconds

            async def on_stop(self) -> None:
                await asyncio.sleep(self.seconds)
                log.append(self.seconds)

        stops = [system.spawn(Tidy, seconds).stop(block=False) for seconds in (1, 100)]
        assert [await stop for stop in stops] == [True, True]
        assert log == [1]
        assert system.clock.now() == 3.0

    @virtual
    async def test_an_async_on_start_comes_before_the_first_message(self, system):
        class Slow(Actor):
            async def on_start(self) -> None:
                await asyncio.sleep(2)
                self.ready = True

            @receive
            def wait(self, m: Wait) -> bool:
                return self.ready

        assert await system.spawn(Slow).ask(Wait(0), block=False) is True
        assert system.clock.now() == 2

    @virtual
    async def test_an_actor_can_be_stopped_while_it_starts(self, system):
        class Endless(Actor):
            stop_grace = 1.0

            async def on_start(self) -> None:
                await asyncio.sleep(1e6)

        ref = system.spawn(Endless)
        await asyncio.sleep(0.5)
        assert await ref.stop(block=False)
        assert system.clock.now() == 1.5

    @virtual
    async def test_a_system_with_no_actors_stops_at_once_and_twice(self, system):
        await system.stop()
        await system.stop()
        await system.join()
        assert system.stopping
        with pytest.raises(ActorDeadError, match="stopping"):
            system.spawn(Tree, [])

    @virtual
    async def test_join_waits_until_somebody_stops_the_system(self, system):
        class Ender(Actor):
            @receive
            async def wait(self, m: Wait) -> None:
                await asyncio.sleep(m.seconds)
                self.system.stop()

        system.spawn(Ender).tell(Wait(7))
        await system.join()
        assert system.clock.now() == 7
        assert system.failure is None


class TestNames:
    @virtual
    async def test_an_actor_is_found_by_its_name_while_it_lives(self, system):
        ref = system.spawn(Tree, [], name="oak")
        assert system.get("oak") is ref
        assert system.find("oak") is ref
        assert ref.name == "oak"
        await ref.stop(block=False)
        assert system.find("oak") is None
        with pytest.raises(ActorDeadError, match="oak"):
            system.get("oak")

    @virtual
    async def test_a_name_is_taken_once_and_free_again_after(self, system):
        ref = system.spawn(Tree, [], name="oak")
        with pytest.raises(NameTakenError, match="oak"):
            system.spawn(Tree, [], name="oak")
        await ref.stop(block=False)
        assert system.spawn(Tree, [], name="oak") is not ref

    @virtual
    async def test_an_actor_without_a_name_gets_one_of_its_class_and_number(self, system):
        system.spawn(Tree, [], name="Tree-2")
        assert [system.spawn(Tree, []).name for _ in range(3)] == ["Tree-1", "Tree-3", "Tree-4"]

    @virtual
    async def test_a_handle_by_name_finds_whoever_has_the_name_now(self, system):
        handle = system.ref("oak")
        assert not handle.is_alive()
        with pytest.raises(ActorDeadError, match="oak"):
            handle.tell("x")
        with pytest.raises(ActorDeadError, match="oak"):
            await handle.ask("x", block=False)
        with pytest.raises(ActorDeadError, match="oak"):
            handle.ask("x")
        assert await handle.stop(block=False) is False
        first = system.spawn(Tree, [], name="oak")
        assert handle.is_alive()
        assert handle.resolve() is first
        assert await handle.proxy().depth == 0
        assert await handle.stop(block=False) is True
        second = system.spawn(Tree, [1], name="oak")
        assert handle.resolve() is second
        assert (handle.name, handle.system, handle.state) == ("oak", system, State.STARTING)

    @virtual
    async def test_handles_are_equal_by_name(self, system):
        assert system.ref("oak") == system.ref("oak")
        assert len({system.ref("oak"), system.ref("oak"), system.ref("elm")}) == 2
        assert system.ref("oak") != "oak"

    @virtual
    async def test_a_constructor_that_fails_leaves_nothing_behind(self, system):
        class Broken(Actor):
            def __init__(self, stage: int) -> None:
                if stage:
                    self.actor_ref.tell("to myself")
                    self.spawn(Tree, [], name="orphan")
                raise ValueError("broken")

        for stage in (0, 1):
            with pytest.raises(ValueError, match="broken"):
                system.spawn(Broken, stage, name="broken")
            await asyncio.sleep(1)
            assert system.find("broken") is None
            assert system.actors() == ()
        assert system.spawn(Tree, [], name="broken").is_alive()


class TestWatching:
    class Watcher(Actor):
        def __init__(self, log) -> None:
            self.log = log

        @receive
        def watch_it(self, m: Watch) -> None:
            self.watch(self.ref(m.name))

        @receive
        def gone(self, m: Terminated) -> None:
            self.log.append((m.name, m.reason))

    class Failing(Actor):
        def on_receive(self, message):
            raise ValueError("of its own fault")

    @virtual
    async def test_a_watcher_hears_of_the_end_and_why(self, system):
        log = []
        watcher = system.spawn(self.Watcher, log)
        for name in ("stopping", "failing"):
            system.spawn(self.Failing, name=name)
            watcher.tell(Watch(name))
            watcher.tell(Watch(name))
        await asyncio.sleep(1)
        await system.get("stopping").stop(block=False)
        system.get("failing").tell("go")
        await asyncio.sleep(1)
        assert log == [("stopping", "stopped"), ("failing", "ValueError: of its own fault")]

    @virtual
    async def test_a_watcher_of_the_dead_hears_at_once(self, system):
        log = []
        system.spawn(self.Watcher, log).tell(Watch("nobody"))
        await asyncio.sleep(1)
        assert log == [("nobody", "no actor has this name")]

    @virtual
    async def test_a_watcher_that_died_first_does_no_harm(self, system):
        watcher = system.spawn(self.Watcher, [])
        watched = system.spawn(self.Failing, name="w")
        await watcher.ask(Watch("w"), block=False)
        await watcher.stop(block=False)
        await watched.stop(block=False)
        assert system.dead_letters.count == 0


def test_a_system_needs_a_loop_and_says_so():
    with pytest.raises(NoSystemError, match="async with"):
        ActorSystem().spawn(Tree, [])


def test_a_system_that_is_made_before_its_loop_runs_in_the_block_that_enters_it():
    log: list[str] = []
    system = ActorSystem("early")

    async def work():
        async with system:
            ref = system.spawn(Tree, log, name="oak")
            assert await ref.proxy().depth == 0

    run_virtual(work())
    assert log == ["start oak", "stop oak"]


def test_a_system_in_a_thread_stops_in_the_time_that_it_is_given():
    class Stays(Actor):
        async def on_stop(self):
            await asyncio.sleep(1.0)

    threaded = ActorSystem.in_thread("slow")
    threaded.start().spawn(Stays)
    begun = time.monotonic()
    with pytest.raises(Timeout):
        threaded.stop(timeout=0.05)
    assert time.monotonic() - begun < 0.9


def test_a_system_in_a_thread_takes_actors_from_any_thread_and_stops_with_its_block():
    log: list[str] = []
    with ActorSystem.in_thread("threaded") as system:
        ref = system.spawn(Tree, log, name="oak")
        with pytest.raises(NameTakenError):
            system.spawn(Tree, log, name="oak")
        assert ref.proxy().depth.get() == 0
    assert log == ["start oak", "stop oak"]
    with pytest.raises(ActorDeadError):
        system.spawn(Tree, log)


def test_start_makes_an_actor_in_the_system_of_its_caller(threaded):
    class Parent(Actor):
        def on_receive(self, message):
            return Tree.start([])

    child = threaded.spawn(Parent).ask("make one")
    assert child in threaded.actors()


class Shape(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []

    def on_receive(self, message: object) -> object:
        self.told.append(message)
        return tuple(self.told)


class Square(Shape):
    pass


@virtual
async def test_actors_are_found_by_class_class_name_and_urn_and_told_together(system):
    shape, square = system.spawn(Shape), system.spawn(Square)
    assert system.find_by_class(Shape) == (shape, square)
    assert system.find_by_class(Square) == (square,)
    assert system.find_by_class_name("Shape") == (shape,)
    assert system.find_by_class_name("Nobody") == ()
    assert system.find_by_urn(square.actor_urn) is square
    assert system.find_by_urn("urn:actor:elsewhere:Square-1") is None
    assert system.find_by_urn("urn:uuid:7") is None
    system.broadcast("all")
    system.broadcast("squares", to=Square)
    system.broadcast("shapes", to="Shape")
    assert await shape.ask("?", block=False) == ("all", "shapes", "?")
    assert await square.ask("?", block=False) == ("all", "squares", "?")
    await square.stop(block=False)
    assert system.find_by_class(Square) == ()
    assert system.find_by_urn(square.actor_urn) is None


@virtual
async def test_proxies_of_one_actor_and_path_are_equal_and_name_its_urn(system):
    shape = system.spawn(Shape)
    assert shape.proxy() == shape.proxy()
    assert hash(shape.proxy()) == hash(shape.proxy())
    assert shape.proxy() != system.spawn(Shape).proxy()
    assert shape.actor_urn in repr(shape.proxy())
