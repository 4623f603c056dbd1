"""For tests of actors: an event loop whose time is virtual, ids that repeat, and a trace that is a list. Public.

Under virtual time nothing waits: when all that could run has run, time jumps to the next timer. A test of a backoff of ten
minutes takes no time, and sees exact seconds. Real sockets do not fit in: time would jump while a peer still thinks.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from actors.runtime.clock import Ids
from actors.runtime.trace import KINDS, Note, TraceRecord, record

__all__ = ["ListTrace", "ManualIds", "StuckError", "VirtualTimeLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_000_000_000.0
REAL_PATIENCE = 10.0


class StuckError(AssertionError):
    """Under virtual time, everything waits and no timer is set: nothing will ever happen again."""


class _VirtualSelector(selectors.DefaultSelector):
    """Lets time pass at once where a real selector would sleep."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.threads_at_work:  # a pool thread works in real time: wait for it, not past it
            return super().select(0.01)
        if timeout is not None:
            self.loop.advance(timeout)
            return ready
        ready = super().select(REAL_PATIENCE)  # perhaps another thread will call
        if not ready:
            raise StuckError("everything waits, and no timer is set: nothing will ever happen again")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 0 seconds and jumps from timer to timer.

    Attributes:
        threads_at_work: functions that run in pool threads now; time stands still meanwhile.
    """

    def __init__(self) -> None:
        selector = _VirtualSelector()
        selector.loop = self
        self.threads_at_work = 0
        self._virtual_now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Virtual monotonic seconds."""
        return self._virtual_now

    def wall_time(self) -> float:
        """Virtual seconds since 1970: the loop began on 2001-09-09 01:46:40 UTC."""
        return EPOCH + self._virtual_now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual_now += max(0.0, seconds)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As ever; but time stands still until the function returns."""
        future = super().run_in_executor(executor, func, *args)
        self.threads_at_work += 1

        def done(_: object) -> None:
            self.threads_at_work -= 1

        future.add_done_callback(done)
        return future


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine under virtual time, as `asyncio.run` would under real time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


class ManualIds(Ids):
    """Ids and random numbers that come out the same in each run with the same seed."""

    def __init__(self, seed: int | str = 0) -> None:
        super().__init__(seed)


class ListTrace:
    """A trace kept in memory, to assert on: `ActorSystem(trace=ListTrace())`."""

    def __init__(self, system_name: str = "main", payloads: bool = True) -> None:
        self.system_name = system_name
        self.payloads = payloads
        self.records: list[TraceRecord] = []

    def write(self, *note: *Note) -> None:
        """Keep a record."""
        assert note[1] in KINDS
        self.records.append(record(len(self.records) + 1, self.system_name, *note))

    def flush(self) -> None:
        """Nothing to do."""

    close = flush
