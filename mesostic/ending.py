"""The end of the process: a thread that does not end is waited for a few seconds, named, and left behind.

Python itself waits for every thread, for ever: one function of an author's that never returns (`self.in_thread`,
`asyncio.to_thread`, a pool of the author's own) would keep a process whose framework has long ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

PATIENCE = 3.0
"""Seconds that threads have to end, when everything else has."""


def leave(code: int) -> NoReturn:
    """End the process with this exit code, at the latest after `PATIENCE`."""
    if _left():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the waiting
        threading.Thread(target=_end_anyway, args=(code,), name="the end", daemon=True).start()
    sys.exit(code)


def _left() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]


def _end_anyway(code: int) -> None:
    """Runs beside the interpreter's own end, which joins the threads."""
    time.sleep(PATIENCE)
    try:
        frames = sys._current_frames()
        where = "; ".join(_doing(each, frames.get(each.ident or 0)) for each in _left())
        told = f"mesostic: ended without waiting for {where or 'what runs at exit'}: it had {PATIENCE:g} s to return\n"
        os.write(2, told.encode(errors="replace"))
    finally:
        os._exit(code)


def _doing(thread: threading.Thread, frame: FrameType | None) -> str:
    from actors.runtime import function_in_thread

    function = function_in_thread(thread.ident or 0) or f"the thread {thread.name!r}"
    if frame is None:
        return function
    return f"{function} (now in {frame.f_code.co_name}, {frame.f_code.co_filename}:{frame.f_lineno})"
