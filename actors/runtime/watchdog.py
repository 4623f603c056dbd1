"""Names handlers that hold everything up: a plain one that blocks the event loop, an async one that does not come back.

One thread for the process looks at each system's event loop a few times a second. A loop that is busy gets a mark to answer;
if it has not after a second, and still does what it did, the actor, its message and the Python stack are logged. Messages pay
nothing for it: what is looked at is what the dispatcher keeps anyway. A loop in virtual time is not watched.
"""

import asyncio
import logging
import sys
import time
import traceback
from types import FrameType
from typing import Any

from actors.runtime.dispatcher import Dispatcher
from actors.runtime.threads import begin

logger = logging.getLogger("actors")

LOOK_SECONDS = 0.25
STUCK_SECONDS = 1.0
"""A plain handler that blocks longer is named; again after ten, a hundred, … times that."""
HANGING_SECONDS = 60.0
"""An async handler that runs longer is named, once: its actor takes no message meanwhile."""
SCAN_SECONDS = 5.0
FRAMES_SHOWN = 6

_watched: dict[int, "_Watch"] = {}
_looking = False


def watch(dispatcher: Dispatcher) -> None:
    """Look after this dispatcher's loop, until `forget` or the loop's end."""
    global _looking
    _watched[id(dispatcher)] = _Watch(dispatcher)
    if not _looking:
        _looking = True
        begin(_look_around, name="watchdog")


def forget(dispatcher: Dispatcher) -> None:
    """Its system has ended."""
    _watched.pop(id(dispatcher), None)


def _look_around() -> None:
    while True:  # to the end of the process: an idle thread costs less than to know when it is not needed
        time.sleep(LOOK_SECONDS)
        for key, one in list(_watched.items()):
            try:
                if not one.look(time.monotonic()):
                    _watched.pop(key, None)
            except Exception:  # whatever it was: it must not end the thread
                logger.debug("the watchdog could not look at a loop", exc_info=True)


class _Watch:
    """What is known of one loop. All but `_answer` and `_tell_of` run in the watchdog's thread."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._marked_at: float | None = None
        self._answered = False
        self._doing: tuple[Any, Any] = (None, None)
        self._next_report = STUCK_SECONDS
        self._busy = ""
        self._next_scan = 0.0
        self._handlers: dict[asyncio.Task[Any], float] = {}

    def look(self, now: float) -> bool:
        """Look once; False when there is nothing left to look at."""
        loop = self._dispatcher.loop
        if loop.is_closed():
            return False
        if self._marked_at is None:
            frame = sys._current_frames().get(self._dispatcher.thread_id)
            if frame is not None and not _is_idle(frame):
                self._doing, self._answered, self._marked_at = self._what(), False, now
                try:
                    loop.call_soon_threadsafe(self._answer)
                except RuntimeError:
                    return False
        elif self._answered:
            if self._busy:
                logger.warning("%s has finished, after %.1f s", self._busy, now - self._marked_at)
            self._marked_at, self._busy, self._next_report = None, "", STUCK_SECONDS
        elif now - self._marked_at >= self._next_report:
            self._report(now - self._marked_at)
        if now >= self._next_scan and self._marked_at is None:
            self._next_scan = now + SCAN_SECONDS
            self._scan(now)
        return True

    def _answer(self) -> None:
        self._answered = True

    def _what(self) -> tuple[Any, Any]:
        """What the loop does now: the envelope of a plain handler, or a task."""
        return self._dispatcher.envelope, asyncio.current_task(self._dispatcher.loop)

    def _report(self, seconds: float) -> None:
        envelope, task = doing = self._what()
        if envelope is not self._doing[0] or task is not self._doing[1]:
            self._doing, self._marked_at = doing, time.monotonic()  # slow, but it moves
            return
        frame = sys._current_frames().get(self._dispatcher.thread_id)
        if frame is None or self._answered:
            return
        self._next_report *= 10
        self._busy = _named(self._dispatcher.current, envelope, task)
        logger.warning(
            "%s has been running for %.0f s, and everything else in this process waits: let it await what takes long, or"
            " run it in a thread (an actor's self.in_thread(…); a plain function in an executor). It is here:\n%s",
            self._busy,
            seconds,
            _shown(traceback.extract_stack(frame)),
        )

    def _scan(self, now: float) -> None:
        """Look for async handlers that have run since long ago."""
        running: dict[asyncio.Task[Any], float] = {}
        for ref in list(self._dispatcher.system._actors.values()):
            handler = None if ref._belongings is None else ref._belongings.handler
            if handler is not None:
                since = self._handlers.get(handler[0], now)
                if now - since >= HANGING_SECONDS:
                    self._dispatcher.loop.call_soon_threadsafe(self._tell_of, ref, handler, now - since)
                    since = float("inf")  # told
                running[handler[0]] = since
        self._handlers = running

    def _tell_of(self, ref: Any, handler: tuple[asyncio.Task[Any], Any], seconds: float) -> None:
        """On the loop: only there a task's stack stands still."""
        task, envelope = handler
        if not task.done():
            frames = [(frame, frame.f_lineno) for frame in task.get_stack(limit=FRAMES_SHOWN)]
            says = "%s has been running for %.0f s, and its actor handles no other message meanwhile. It waits here:\n%s"
            logger.warning(
                says, _named(ref, envelope, None), seconds, _shown(traceback.StackSummary.extract(frames))
            )


def _named(ref: Any, envelope: Any, task: asyncio.Task[Any] | None) -> str:
    if ref is not None and envelope is not None and envelope[0] is not None:
        return f"the handler of {ref} for {type(envelope[0]).__qualname__}"
    if ref is not None:
        return f"a hook of {ref}"
    return "something on the event loop" if task is None else f"task {task.get_name()!r}"


def _is_idle(frame: FrameType) -> bool:
    return frame.f_code.co_name == "select" and frame.f_globals.get("__name__") == "selectors"


def _shown(frames: list[traceback.FrameSummary]) -> str:
    """The innermost frames, without our own and asyncio's around them."""
    around = ("/asyncio/", "/actors/runtime/")
    own = [n for n, one in enumerate(frames) if any(folder in one.filename for folder in around)]
    inner = frames[own[-1] + 1 :] if own else frames
    return "".join(traceback.format_list((inner or frames)[-FRAMES_SHOWN:])).rstrip("\n")
