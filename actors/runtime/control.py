"""The runtime's own messages to an actor. Classes told apart by type; no actor class ever sees them."""

from __future__ import annotations

from typing import Final

__all__ = ["START", "STOP", "Control", "Start", "Stop"]


class Control:
    """Base of the messages that the dispatcher hands to `life.py` instead of a handler."""

    __slots__ = ()

    def __repr__(self) -> str:
        return type(self).__name__


class Start(Control):
    """First in the mailbox of a new instance: run `on_start`."""

    __slots__ = ()


class Stop(Control):
    """Stop; what is in the mailbox before it is handled first."""

    __slots__ = ()


START: Final = Start()
STOP: Final = Stop()
