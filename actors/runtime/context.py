"""On whose behalf code runs: which actor, handling which message. How a message knows its sender and its cause."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from actors.runtime.threads import get_ident

if TYPE_CHECKING:
    from actors.runtime.dispatcher import Dispatcher
    from actors.runtime.ref import ActorRef, Envelope

__all__ = ["acting_here", "current_message_id", "handling", "running_in"]

running_in: dict[int, Dispatcher] = {}
"""The dispatcher whose turn it is, by thread. Plain handlers run in its turn, so it knows whose."""

handling: ContextVar[tuple[ActorRef[Any], Envelope] | None] = ContextVar("handling", default=None)
"""Actor and message of a task: async handlers, background tasks, and whatever tasks they start."""


def acting_here() -> tuple[ActorRef[Any], Envelope] | None:
    """The actor and message on whose behalf this thread or task runs at the moment."""
    running = running_in.get(get_ident())
    if running is not None and running.current is not None and running.envelope is not None:
        return running.current, running.envelope
    return handling.get()


def current_message_id() -> str:
    """The id of the message being handled, unique over processes; empty outside of handlers or without trace."""
    acting = acting_here()
    if acting is None or acting[1][3] is None:
        return ""
    return f"{acting[0].system.name}#{acting[1][3]}"
