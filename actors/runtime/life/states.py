"""The life of an actor as a table: (state, event) -> state. Everything that moves an actor goes through `step`.

A pair that is not in the table cannot happen; if it does, that is a bug of the runtime and says so. The table is also
what the documentation's diagram is made from, and a test walks every pair of it.
"""

from __future__ import annotations

import enum

from actors.runtime.errors import RuntimeStateError

__all__ = ["TRANSITIONS", "Event", "State", "step"]


class State(enum.Enum):
    """Where an actor is in its life."""

    STARTING = "starting"
    """There is an instance; `on_start` has not returned. The mailbox collects."""
    RUNNING = "running"
    """It handles messages: idle, queued, or in an `async` handler."""
    BACKING_OFF = "backing off"
    """It failed and will be started again; children stop meanwhile. The mailbox collects and is kept."""
    STOPPING = "stopping"
    """It handles nothing more and waits for its children to stop. The mailbox collects and will be refused."""
    CLOSING = "closing"
    """Children are gone; `on_stop` runs. It is dead to others."""
    STOPPED = "stopped"
    """It is gone; its name is free."""


class Event(enum.Enum):
    """What can happen to it."""

    STARTED = "on_start returned"
    STOP = "asked to stop"
    FAILED_TO_RESTART = "failed, to be started again"
    FAILED_FOR_GOOD = "failed for good"
    RESTART = "backoff over, children gone"
    CHILDREN_GONE = "children gone"
    CLOSED = "on_stop returned"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.STARTING, Event.STARTED): State.RUNNING,
    (State.STARTING, Event.STOP): State.STOPPING,
    (State.STARTING, Event.FAILED_TO_RESTART): State.BACKING_OFF,
    (State.STARTING, Event.FAILED_FOR_GOOD): State.STOPPING,
    (State.RUNNING, Event.STOP): State.STOPPING,
    (State.RUNNING, Event.FAILED_TO_RESTART): State.BACKING_OFF,
    (State.RUNNING, Event.FAILED_FOR_GOOD): State.STOPPING,
    (State.BACKING_OFF, Event.STOP): State.STOPPING,
    (State.BACKING_OFF, Event.RESTART): State.STARTING,
    (State.STOPPING, Event.CHILDREN_GONE): State.CLOSING,
    (State.CLOSING, Event.CLOSED): State.STOPPED,
}


def step(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        RuntimeStateError: the table has no such pair.
    """
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise RuntimeStateError(f"an actor that is {state.value} cannot be {event.value}")
    return after
