"""Timers: messages that an actor sends later. They belong to it, and end with it or with its restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors.runtime.belongings import belongings
from actors.runtime.dispatcher import acting_here
from actors.runtime.errors import ActorDeadError
from actors.runtime.lifecycle import State

if TYPE_CHECKING:
    from actors.runtime.ref import ActorRef, Envelope

__all__ = ["Timer", "Timers"]


class Timer:
    """A message that is due later. `cancel()` it, or let it fire."""

    __slots__ = ("_cause", "_handle", "_message", "_owner", "_period", "_to", "due")

    def __init__(
        self, owner: ActorRef[Any], to: ActorRef[Any], message: Any, delay: float, period: float | None
    ) -> None:
        acting = acting_here()
        self._cause: Envelope | None = None if acting is None else acting[1]
        self._owner = owner
        self._to = to
        self._message = message
        self._period = period
        loop = owner._dispatcher.loop
        self.due = loop.time() + delay
        self._handle: asyncio.TimerHandle | None = loop.call_at(
            self.due, self._fire, context=owner._dispatcher.context
        )
        belongings(owner).timers.add(self)

    @property
    def active(self) -> bool:
        """Whether it will still fire."""
        return self._handle is not None

    def cancel(self) -> None:
        """Do not fire. Does nothing to a timer that has fired."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            if self._owner._belongings is not None:
                self._owner._belongings.timers.discard(self)

    def _fire(self) -> None:
        owner = self._owner
        dispatcher = owner._dispatcher
        if self._period is None:
            self._handle = None
            belongings(owner).timers.discard(self)
        else:
            now = dispatcher.loop.time()
            while self.due <= now:  # a late loop skips beats instead of firing them in a burst
                self.due += self._period
            self._handle = dispatcher.loop.call_at(self.due, self._fire, context=dispatcher.context)
        envelope = dispatcher.wrap_from(owner, self._cause, self._message, "timer")
        target = self._to
        try:
            if target._dispatcher is dispatcher:
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
        return self._make(seconds, message, to, None)

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
        return Timer(owner, owner if to is None else to, message, max(0.0, seconds), period)
