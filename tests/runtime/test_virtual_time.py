"""The loop whose time is virtual, and the ids that repeat: what tests of actors stand on."""

import asyncio
import socket
import threading

import pytest

from actors.runtime.testing import EPOCH, ManualIds, StuckError, VirtualTimeLoop, run_virtual


def test_time_jumps_from_timer_to_timer_and_the_wall_clock_goes_along():
    async def work():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        begun = loop.time()
        await asyncio.sleep(600.0)
        return begun, loop.time(), loop.wall_time()

    assert run_virtual(work()) == (0.0, 600.0, EPOCH + 600.0)


def test_what_is_ready_is_handled_before_time_passes():
    async def work():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            heard = loop.create_future()
            loop.add_reader(ours, lambda: heard.set_result(loop.time()) if ours.recv(1) else None)
            waiting = asyncio.ensure_future(asyncio.sleep(60.0))
            loop.call_soon(lambda: loop.call_soon(theirs.send, b"x"))  # when nothing else is left to run
            at = await heard
            loop.remove_reader(ours)
            waiting.cancel()
            return at

    assert run_virtual(work()) == 0.0


def test_time_stands_still_while_a_function_runs_in_a_thread():
    async def work():
        loop = asyncio.get_running_loop()
        let_go = threading.Event()
        soon = loop.call_later(0.0, let_go.set)
        late = loop.call_later(60.0, lambda: None)
        assert await loop.run_in_executor(None, let_go.wait, 10.0)
        soon.cancel()
        late.cancel()
        after_the_thread = loop.time()
        await asyncio.sleep(1.0)
        return after_the_thread, loop.time()

    assert run_virtual(work()) == (0.0, 1.0)


def test_a_call_from_another_thread_is_waited_for():
    async def work():
        loop = asyncio.get_running_loop()
        called = loop.create_future()
        other = threading.Thread(target=lambda: loop.call_soon_threadsafe(called.set_result, "called"))
        other.start()
        try:
            return await called
        finally:
            other.join()

    assert run_virtual(work()) == "called"


def test_waiting_for_what_never_comes_is_said_instead_of_waited_for(monkeypatch):
    monkeypatch.setattr("actors.runtime.testing.REAL_PATIENCE", 0.01)

    async def work():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StuckError, match="no timer is set"):
        run_virtual(work())


@pytest.mark.parametrize("seed", [0, 2, "text"])
def test_ids_of_one_seed_repeat_and_others_differ(seed):
    def some(ids):
        return ids.uuid(), ids.uuid_bytes(), ids.uniform(2.0, 3.0), ids.choice(range(1000))

    first, again = some(ManualIds(seed)), some(ManualIds(seed))
    assert first == again
    assert (some(ManualIds()) == first) is (seed == 0)
    assert 2.0 <= first[2] <= 3.0
