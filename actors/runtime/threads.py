"""Threads, where the runtime cannot do without: the only module under `actors/` that imports `threading`.

Its uses: knowing whether a caller is on the loop's own thread; letting a foreign thread wait for a reply; a whole system in a thread
of its own, for callers that block; the watchdog, which looks at a loop from outside; signals; schemas, which any thread may make.
"""

import threading
from collections.abc import Callable
from typing import Any

Latch = threading.Event
get_ident = threading.get_ident

registration_lock = threading.Lock()
"""Held for the instant in which a waiter is added to a reply, from whatever thread."""

schema_lock = threading.RLock()
"""Held while it is found out how the instances of a class travel."""


def begin(function: Callable[..., None], *args: Any, name: str) -> threading.Thread:
    """Run a function in a thread that does not keep the process from ending."""
    thread = threading.Thread(target=function, args=args, name=name, daemon=True)
    thread.start()
    return thread
