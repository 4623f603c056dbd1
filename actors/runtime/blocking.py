"""Actors that must block (a driver, a database): pykka's own threads, with refs that fit in with ours."""

from __future__ import annotations

from typing import Any

from actors.runtime.pykka_seam import ThreadingActor
from actors.runtime.reply import Reply

__all__ = ["BlockingActor"]


class BlockingActor(ThreadingActor):
    """A pykka `ThreadingActor` whose answers can be awaited on an event loop.

    Start and stop it as pykka's (`BlockingActor.start(…)`, `ref.stop()`); it is in no system, nobody supervises it, and no
    trace sees it. An actor on the loop tells it, and awaits `ref.ask(message, block=False)`; it tells and asks actors on the
    loop, and may block while it waits. For a blocking call now and then, `await self.in_thread(…)` is simpler.
    """

    use_daemon_thread = True

    @staticmethod
    def _create_future() -> Reply[Any]:
        return Reply()
