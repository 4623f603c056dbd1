"""Time and chance, as actors get them: never from the operating system directly.

An actor asks `self.clock` and `self.ids`; what answers is given to its system. That is what lets a whole framework run
on virtual time, and a run be repeated.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Where an actor's time comes from."""

    def now(self) -> float:
        """Monotonic seconds, on the scale of the event loop's timers."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""


class LoopClock:
    """The clock of an event loop: its monotonic time, and the wall clock.

    A loop that has a `wall_time()` of its own (the virtual loop of `actors.runtime.testing`) is asked for both.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time
        self.time = getattr(loop, "wall_time", time.time)


class Ids:
    """Where an actor's ids and random numbers come from; the operating system seeds it unless `seed` is given."""

    def __init__(self, seed: int | str | None = None) -> None:
        self._random = random.Random(seed)

    def uuid_bytes(self) -> bytes:
        """A random UUID (version 4) as 16 bytes, as Mesos carries them."""
        return uuid.UUID(int=self._random.getrandbits(128), version=4).bytes

    def uuid(self) -> str:
        """A random UUID (version 4) as text."""
        return str(uuid.UUID(bytes=self.uuid_bytes()))

    def uniform(self, low: float, high: float) -> float:
        """A float between `low` and `high`, for jitter."""
        return self._random.uniform(low, high)

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`, which must not be empty."""
        return self._random.choice(options)
