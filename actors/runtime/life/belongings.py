"""What only some actors have: children, watchers, timers, tasks. Made when first needed, to keep idle actors small."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.runtime.ref import ActorRef, Envelope
    from actors.runtime.reply import Reply
    from actors.runtime.timers import Timer

__all__ = ["Belongings", "belongings"]


class Belongings:
    """The rarer parts of an actor's state.

    Attributes:
        cause: the message that made it fail, or stop: what follows from that is caused by it.
        children: in order of birth.
        watchers: who gets `Terminated`.
        timers: those that have not fired.
        tasks: those of `run_in_background`.
        handler: the task of the async handler or hook that runs, with the message it handles.
        restarts: when it was restarted, within the supervision's window.
        backoff: the handle of the restart that is due.
        backoff_over: the pause is over, but children are still stopping.
        stop_replies: who waits for it to have stopped.
        stop_deadline: when a running handler is cancelled because a stop was asked for.
        stop_timer: the loop's handle for it.
        failure: what it failed for good with.
        failure_text: its traceback.
        leftovers: what was in its mailbox when it died.
        winding_down: waits for cancelled background tasks to end.
    """

    __slots__ = (
        "backoff",
        "backoff_over",
        "cause",
        "children",
        "failure",
        "failure_text",
        "handler",
        "leftovers",
        "restarts",
        "stop_deadline",
        "stop_replies",
        "stop_timer",
        "tasks",
        "timers",
        "watchers",
        "winding_down",
    )

    def __init__(self) -> None:
        self.cause: Envelope | None = None
        self.children: dict[ActorRef[Any], None] = {}
        self.watchers: dict[ActorRef[Any], None] = {}
        self.timers: set[Timer] = set()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.handler: tuple[asyncio.Task[Any], Envelope | None] | None = None
        self.restarts: deque[float] = deque()
        self.backoff: asyncio.TimerHandle | None = None
        self.backoff_over = False
        self.stop_replies: list[Reply[bool]] = []
        self.stop_deadline: float | None = None
        self.stop_timer: asyncio.TimerHandle | None = None
        self.failure: BaseException | None = None
        self.failure_text = ""
        self.leftovers: Any = ()
        self.winding_down: asyncio.Task[None] | None = None


def belongings(ref: ActorRef[Any]) -> Belongings:
    """The belongings of an actor, made now if it had none."""
    found = ref._belongings
    if found is None:
        found = ref._belongings = Belongings()
    return found
