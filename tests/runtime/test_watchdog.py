"""What holds an event loop up is named: which actor, which message, where."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from actors.runtime import Actor, ActorSystem, message, receive, watchdog


@message
class Block:
    """Block the loop for so many seconds."""

    seconds: float


@message
class Await:
    """Wait without blocking."""


class Slow(Actor):
    def __init__(self, release: threading.Event) -> None:
        super().__init__()
        self.release = release

    @receive
    def on_block(self, block: Block) -> None:
        self.release.wait(block.seconds)

    @receive
    async def on_await(self, wait: Await) -> None:
        await asyncio.Event().wait()


class Told:
    """Collects what is logged, and lets the loop go when something was."""

    def __init__(self, caplog, release):
        self.caplog, self.release = caplog, release

    def until(self, text, patience=20.0):
        deadline = time.monotonic() + patience
        while text not in self.caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)  # in a thread of its own: the loop is what is tested
        self.release.set()


@pytest.fixture
def release():
    return threading.Event()


@pytest.fixture
def fast(monkeypatch):
    for name, seconds in (("LOOK", 0.02), ("STUCK", 0.1), ("HANGING", 0.2), ("SCAN", 0.02)):
        monkeypatch.setattr(watchdog, f"{name}_SECONDS", seconds)


@pytest.mark.usefixtures("fast")
async def test_a_handler_that_blocks_is_named_with_message_and_stack_and_so_is_its_end(caplog, release):
    async with ActorSystem("t") as system:
        slow = system.spawn(Slow, release, name="slow")
        slow.tell(Block(30.0))
        await asyncio.to_thread(Told(caplog, release).until, "has been running")
        await asyncio.to_thread(Told(caplog, release).until, "has finished, after")
    assert "the handler of Slow (slow) for Block has been running for 0 s" in caplog.text
    assert "in on_block" in caplog.text
    assert "self.release.wait(block.seconds)" in caplog.text
    assert "dispatcher.py" not in caplog.text
    assert "the handler of Slow (slow) for Block has finished, after" in caplog.text


@pytest.mark.usefixtures("fast")
async def test_an_async_handler_that_does_not_come_back_is_named_once(caplog, release):
    async with ActorSystem("t") as system:
        slow = system.spawn(Slow, release, name="slow")
        slow.tell(Await())
        await asyncio.to_thread(Told(caplog, release).until, "handles no other message")
        await asyncio.sleep(0.2)
        assert caplog.text.count("handles no other message") == 1
        assert "the handler of Slow (slow) for Await" in caplog.text
        assert "in on_await" in caplog.text


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "who",
    ["task 'grinder'", "something on the event loop", "a hook of Grinding (grinding)"],
    ids=["task", "callback", "hook"],
)
async def test_whatever_else_blocks_is_named_as_what_it_is(caplog, release, who):
    class Grinding(Actor):
        def on_stop(self) -> None:
            release.wait(30.0)

    async def grind() -> None:
        release.wait(30.0)

    loop = asyncio.get_running_loop()
    async with ActorSystem("t") as system:
        grinding = system.spawn(Grinding, name="grinding")
        told = loop.run_in_executor(None, Told(caplog, release).until, "has been running")
        if who.startswith("task"):
            await loop.create_task(grind(), name="grinder")
        elif who.startswith("something"):
            loop.call_soon(release.wait, 30.0)
        else:
            grinding.stop(block=False)
        await told
    assert f"{who} has been running for 0 s" in caplog.text


@pytest.mark.usefixtures("fast")
async def test_many_handlers_that_are_quick_are_not_named(caplog, release):
    async with ActorSystem("t") as system:
        slow = system.spawn(Slow, release)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            for _ in range(100):
                slow.tell(Block(0.0))
            await slow.ask(Block(0.0), block=False)
    assert "has been running" not in caplog.text


async def test_a_system_that_has_ended_is_not_looked_at():
    async with ActorSystem("t") as system:
        watched = id(system._dispatcher)
        assert watched in watchdog._watched
    assert watched not in watchdog._watched
