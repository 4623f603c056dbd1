"""Timers: messages that an actor sends later. They belong to it, and end with it or with its restart.

A system has one heap of timers and one handle of the event loop, for the earliest of them: an actor per task with a timer or two
each would otherwise keep the loop's own heap, whose entries are compared in Python, busy. A cancelled timer stays in the heap
until its time comes, or until such entries are the majority.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextvars import Context
from typing import Any

from actors.runtime.errors import ActorDeadError
from actors.runtime.life.states import State
from actors.runtime.ref import ActorRef, Envelope, acting_here, belongings

SWEEP_FROM = 1000


class TimerHeap:
    """The timers of one system."""

    __slots__ = ("_armed", "_armed_for", "_cancelled", "_context", "_heap", "_loop", "_order")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context = Context()
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def add(self, timer: Timer) -> None:
        """Fire `timer` when it is due. Those due at the same time fire in the order in which they were set."""
        heapq.heappush(self._heap, (timer.due, next(self._order), timer))
        self._arm_by(timer.due)

    def forget(self) -> None:
        """A timer was cancelled; sweep when most of the heap is such."""
        self._cancelled += 1
        if self._cancelled > SWEEP_FROM and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].active]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _arm_by(self, due: float) -> None:
        """See that the loop calls at `due` at the latest."""
        if self._armed is not None:
            if due >= self._armed_for:
                return
            self._armed.cancel()
        self._armed_for = due
        self._armed = self._loop.call_at(due, self._fire_due, context=self._context)

    def _fire_due(self) -> None:
        self._armed = None
        heap = self._heap
        now = max(self._loop.time(), self._armed_for)
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if timer.active:
                timer.fire()
            else:
                self._cancelled -= 1
            heap = self._heap  # a sweep makes a new one
        if heap:
            self._arm_by(heap[0][0])


class Timer:
    """A message that is due later. `cancel()` it, or let it fire.

    Attributes:
        due: when it fires next, on the scale of `clock.now()`.
        active: whether it will still fire.
    """

    __slots__ = ("_cause", "_message", "_owner", "_period", "_to", "active", "due")

    def __init__(
        self, owner: ActorRef[Any], to: ActorRef[Any], message: Any, delay: float, period: float | None
    ) -> None:
        acting = acting_here()
        self._cause: Envelope | None = None if acting is None else acting[1]
        self._owner = owner
        self._to = to
        self._message = message
        self._period = period
        self.active = True
        self.due = owner._dispatcher.loop.time() + delay
        owner._dispatcher.timers.add(self)
        belongings(owner).timers.add(self)

    def cancel(self) -> None:
        """Do not fire. Does nothing to a timer that has fired."""
        if self.active:
            self.active = False
            self._owner._dispatcher.timers.forget()
            if self._owner._belongings is not None:
                self._owner._belongings.timers.discard(self)

    def fire(self) -> None:
        """Send the message; the system's heap calls this."""
        owner = self._owner
        dispatcher = owner._dispatcher
        if self._period is None:
            self.active = False
            belongings(owner).timers.discard(self)
        else:
            now = dispatcher.loop.time()
            self.due += self._period
            if self.due <= now:  # a late loop skips beats instead of firing them in a burst
                self.due += (now - self.due) // self._period * self._period + self._period
            dispatcher.timers.add(self)
        envelope = dispatcher.wrap_from(owner, self._cause, self._message, "timer")
        target = self._to
        try:
            if getattr(target, "_dispatcher", None) is dispatcher:
                dispatcher.put(target, envelope)
            else:
                target.tell(self._message)
        except ActorDeadError:
            owner.system.dead_letters.add(target, envelope, "the actor is dead")


class Timers:
    """An actor's way to time: `self.timers.after(…)`, `self.timers.every(…)`. On the system's loop only."""

    __slots__ = ("_owner",)

    def __init__(self, owner: ActorRef[Any]) -> None:
        self._owner = owner

    def after(self, seconds: float, message: Any, to: ActorRef[Any] | None = None) -> Timer:
        """Send `message` in `seconds`, to this actor or `to`. Its cause is the message being handled now."""
        return self._make(max(0.0, seconds), message, to, None)

    def every(self, seconds: float, message: Any, to: ActorRef[Any] | None = None) -> Timer:
        """Send `message` each `seconds`, first in `seconds`. A late loop skips beats.

        Raises:
            ValueError: `seconds` is not positive.
        """
        if seconds <= 0:
            raise ValueError(f"a timer cannot fire every {seconds} seconds")
        return self._make(seconds, message, to, seconds)

    def _make(self, seconds: float, message: Any, to: ActorRef[Any] | None, period: float | None) -> Timer:
        owner = self._owner
        if owner.state in {State.STOPPING, State.CLOSING, State.STOPPED}:
            raise ActorDeadError(f"{owner} is stopping and can set no timer")
        return Timer(owner, owner if to is None else to, message, seconds, period)
