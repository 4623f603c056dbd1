"""Threads, where the runtime cannot do without: the only module under `actors/` that imports `threading`.

Its uses: knowing whether a caller is on the loop's own thread; letting a foreign thread wait for a reply; running a whole
actor system on a loop in a thread of its own, for callers that block; and looking at a loop from outside, in case it is blocked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

Latch = threading.Event
get_ident = threading.get_ident

registration_lock = threading.Lock()
"""Held for the instant in which a waiter is added to a reply, from whatever thread."""

schema_lock = threading.RLock()
"""Held while it is found out how the instances of a class travel."""


def begin(function: Callable[..., None], *args: Any, name: str) -> None:
    """Run a function in a thread that does not keep the process from ending."""
    threading.Thread(target=function, args=args, name=name, daemon=True).start()


class LoopThread:
    """An asyncio event loop in a daemon thread.

    `start` returns once the loop runs; `stop` cancels what is left on it, ends it and joins the thread.
    """

    def __init__(self, name: str, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._ready = threading.Event()
        self._loop_factory = loop_factory
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> asyncio.AbstractEventLoop:
        """Start the thread; returns its running loop."""
        self._thread.start()
        self._ready.wait()
        assert self.loop is not None
        return self.loop

    def stop(self, timeout: float | None = None) -> None:
        """End the loop and wait up to `timeout` seconds for its thread. From any thread but its own."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            loop = runner.get_loop()
            self.loop = loop
            loop.call_soon(self._ready.set)
            loop.run_forever()
