"""Timers: exact seconds, whose they are, and what they are caused by."""

# mypy: disable-error-code="var-annotated"
from __future__ import annotations

import asyncio

import pytest

from actors.runtime import RESTART, Actor, ActorDeadError, Timer, message, receive
from actors.runtime.ref import SWEEP_FROM
from actors.runtime.testing import VirtualTimeLoop
from tests.support.virtual import virtual


@message
class After:
    seconds: float
    text: str


@message
class Every:
    seconds: float
    times: int


@message
class Due:
    text: str


@message
class Fail:
    pass


class Clockwork(Actor):
    def __init__(self, log) -> None:
        self.log = log
        self.timer: Timer | None = None
        self.left = 0

    @receive
    def after(self, m: After) -> None:
        self.timer = self.timers.after(m.seconds, Due(m.text))

    @receive
    def every(self, m: Every) -> None:
        self.left = m.times
        self.timer = self.timers.every(m.seconds, Due("beat"))

    @receive
    def due(self, m: Due) -> None:
        self.log.append((round(self.clock.now(), 6), m.text))
        self.left -= 1
        if self.left == 0 and self.timer is not None:
            self.timer.cancel()

    @receive
    def fail(self, m: Fail) -> None:
        raise ValueError("failed")


@virtual
async def test_a_timer_sends_its_message_at_the_exact_second(system):
    log = []
    ref = system.spawn(Clockwork, log)
    for seconds in (3.5, 1.25, 2, 0):
        ref.tell(After(seconds, f"after {seconds}"))
    await asyncio.sleep(10)
    assert log == [(0, "after 0"), (1.25, "after 1.25"), (2, "after 2"), (3.5, "after 3.5")]


@virtual
async def test_timers_due_at_the_same_time_fire_in_the_order_they_were_set(system):
    log = []
    ref = system.spawn(Clockwork, log)
    for n in range(20):
        ref.tell(After(1, str(n)))
    await asyncio.sleep(2)
    assert log == [(1, str(n)) for n in range(20)]


@virtual
async def test_a_periodic_timer_fires_until_it_is_cancelled(system):
    log = []
    system.spawn(Clockwork, log).tell(Every(0.5, 3))
    await asyncio.sleep(100)
    assert log == [(0.5, "beat"), (1.0, "beat"), (1.5, "beat")]


@virtual
async def test_a_late_loop_skips_beats_instead_of_firing_them_in_a_burst(system):
    log = []
    ref = system.spawn(Clockwork, log)
    ref.tell(Every(1, 3))
    await asyncio.sleep(0.5)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.advance(5)  # the loop was held up
    await asyncio.sleep(3)
    assert [when for when, _ in log] == [5.5, 6.0, 7.0]


@virtual
async def test_a_cancelled_timer_never_fires(system):
    log = []
    ref = system.spawn(Clockwork, log)
    ref.tell(After(1, "never"))
    await asyncio.sleep(0.5)
    timer = ref._actor.timer
    assert timer.active
    timer.cancel()
    timer.cancel()
    await asyncio.sleep(2)
    assert log == []
    assert not timer.active


@virtual
async def test_many_cancelled_timers_are_swept_away(system):
    log = []
    ref = system.spawn(Clockwork, log)
    heap = system._dispatcher.timers
    for n in range(4 * SWEEP_FROM):
        ref.tell(After(1000 + n, "never"))
        await ref.proxy().log
        if n % 8:
            ref._actor.timer.cancel()
    assert len(heap._heap) - heap._cancelled == SWEEP_FROM / 2
    assert len(heap._heap) < 3 * SWEEP_FROM
    await asyncio.sleep(5000 + 4 * SWEEP_FROM)
    assert len(log) == SWEEP_FROM / 2
    assert not heap._heap


@virtual
async def test_timers_end_with_their_actor(system):
    log = []
    ref = system.spawn(Clockwork, log)
    ref.tell(After(5, "too late"))
    await asyncio.sleep(1)
    await ref.stop(block=False)
    await asyncio.sleep(10)
    assert log == []
    assert system.dead_letters.count == 0


@virtual
async def test_timers_end_with_the_instance_that_set_them(system):
    log = []
    ref = system.spawn(Clockwork, log, supervision=RESTART)
    ref.tell(After(5, "of the first instance"))
    ref.tell(Fail())
    await asyncio.sleep(10)
    assert log == []
    assert ref.is_alive()


@virtual
async def test_a_timer_can_send_to_another_actor_by_ref_or_name(system):
    log = []
    system.spawn(Clockwork, log, name="receiver")

    class Setter(Actor):
        def on_start(self) -> None:
            self.timers.after(1, Due("by ref"), to=self.system.get("receiver"))
            self.timers.after(2, Due("by name"), to=self.ref("receiver"))
            self.timers.after(3, Due("to nobody"), to=self.ref("nobody"))

    system.spawn(Setter)
    await asyncio.sleep(5)
    assert log == [(1, "by ref"), (2, "by name")]
    assert [letter.message for letter in system.dead_letters.last] == [Due("to nobody")]


@virtual
async def test_an_actor_that_stops_can_set_no_timer(system):
    refused = []

    class Late(Actor):
        def on_stop(self) -> None:
            try:
                self.timers.after(1, Due("late"))
            except ActorDeadError:
                refused.append(True)

    await system.spawn(Late).stop(block=False)
    assert refused == [True]


@virtual
async def test_a_period_must_be_positive(system):
    class Hasty(Actor):
        def on_receive(self, message):
            self.timers.every(0, Due("now"))

    with pytest.raises(ValueError, match="every 0 seconds"):
        await system.spawn(Hasty).ask("go", block=False)


@virtual
async def test_what_a_timer_sends_is_caused_by_the_message_that_set_it(traced, records):
    ref = traced.spawn(Clockwork, [], name="c")
    ref.tell(After(1, "x"))
    await asyncio.sleep(2)
    asked = next(r for r in records.records if r.type.endswith(":After"))
    fired = next(r for r in records.records if r.kind == "timer")
    assert (fired.cause, fired.sender, fired.receiver) == (asked.id, "c", "c")
    assert fired.content() == {"text": "x"}
