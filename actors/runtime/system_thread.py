"""A system in a thread of its own, for callers that have no event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from actors.runtime.reply import Reply
from actors.runtime.threads import LoopThread

__all__ = ["SystemThread"]


class Stoppable(Protocol):
    """A system, as far as its thread cares."""

    def stop(self) -> Reply[None]:
        """Stop; answered when that is done."""


S = TypeVar("S", bound=Stoppable)


class SystemThread(Generic[S]):
    """Starts a system on a new thread's loop, and stops both; a context manager that gives the system."""

    def __init__(self, make: Callable[[], S], name: str) -> None:
        self._make = make
        self._thread = LoopThread(f"actors-{name}", asyncio.new_event_loop)
        self._system: S | None = None

    def start(self) -> S:
        """Start; returns the system once it takes actors."""
        made: Reply[S] = Reply()

        async def make() -> None:
            try:
                made.set(self._make())
            except Exception as error:
                made.set_exception(error)

        loop = self._thread.start()
        asyncio.run_coroutine_threadsafe(make(), loop)
        try:
            self._system = made.get()
        except BaseException:
            self._thread.stop()
            raise
        return self._system

    def stop(self, timeout: float | None = None) -> None:
        """Stop the system's actors, then its loop and thread."""
        if self._system is not None:
            try:
                self._system.stop().get(timeout=timeout)
            finally:
                self._thread.stop(timeout)

    def __enter__(self) -> S:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
