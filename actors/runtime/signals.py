"""Signals that end a process, in two steps, and also when a handler blocks the event loop.

The first signal asks, the second ends at once. What a signal does is normally done on the loop; when the loop does not take it,
because a handler blocks it, `last_resort` ends the process from the signal handler itself (which Python runs in the main
thread, between two instructions of whatever blocks) or from a thread.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from actors.runtime.threads import begin

PATIENCE = 3.0
"""Seconds that the loop has, unless said otherwise, to end the process after a second signal that it took."""

IMPATIENCE = 1.0
"""Seconds after which a loop that has not taken a signal counts as blocked."""


class Signals:
    """Listens from its creation until `close`, on the running loop, in the main thread."""

    def __init__(
        self,
        numbers: Iterable[signal.Signals],
        *,
        on_first: Callable[[signal.Signals], object],
        on_second: Callable[[], object],
        last_resort: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        """Begin to listen. Signals that are ignored stay so (nohup).

        The first signal does `on_first`, the second `on_second`, on the loop. When that is blocked, or has not ended the process
        `patience` seconds after the second, `last_resort` (anywhere) must end it.
        """
        self._on_first = on_first
        self._on_second = on_second
        self._last_resort = last_resort
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._first_at = 0.0
        self._pending = 0
        self._before: dict[signal.Signals, Any] = {}
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._arrived)
        self._pipe: tuple[int, ...] = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        begin(self._read_pipe, self._pipe[0], name="signals")

    def close(self) -> None:
        """Give the signals back to whom they were taken from."""
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._arrived:
                signal.signal(number, handler)
        self._before.clear()
        if self._pipe:
            ours = signal.set_wakeup_fd(self._wakeup_before)
            if ours != self._pipe[1]:  # somebody else has it meanwhile
                signal.set_wakeup_fd(ours)
            os.close(self._pipe[1])  # which ends the thread
            self._pipe = ()

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        now = time.monotonic()
        if self._count == 1:
            self._first_at = now
            if not self._do(self._on_first, signal.Signals(number)):
                self._last_resort()
        elif self._count > 2 or (self._pending and now - self._first_at >= IMPATIENCE):
            self._last_resort()
        else:
            blocked = bool(self._pending)
            if not self._do(self._on_second):
                self._last_resort()
            begin(self._insist, IMPATIENCE if blocked else self._patience, name="insist")

    def _do(self, step: Callable[..., object], *args: Any) -> bool:
        """Do a step on the loop; False if there is no loop any more."""

        def taken() -> None:
            self._pending -= 1
            step(*args)

        self._pending += 1
        try:
            self._loop.call_soon_threadsafe(taken)
        except RuntimeError:
            return False
        return True

    def _read_pipe(self, pipe: int) -> None:
        """In a thread: what if Python's own handlers do not run, because the main thread is deep in a library?"""
        arrived = 0
        while data := os.read(pipe, 1):
            if signal.Signals(data[0]) in self._before:
                arrived += 1
                if arrived >= 2:
                    time.sleep(IMPATIENCE)
                    if self._count < arrived:
                        self._last_resort()
        os.close(pipe)

    def _insist(self, seconds: float) -> None:
        time.sleep(seconds)
        self._last_resort()
