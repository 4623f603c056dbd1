"""The life of an actor as a table. What it calls impossible is a bug of the runtime when it happens, and says so."""

from __future__ import annotations

import enum

from actors.runtime.state_machine import Table


class State(enum.Enum):
    """Where an actor is in its life."""

    __hash__ = object.__hash__  # members are one of a kind; Enum's own is written in Python

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

    __hash__ = object.__hash__

    NEVER_WAS = "__init__ raised"
    STARTED = "on_start returned"
    STOP = "asked to stop"
    FAILED_TO_RESTART = "failed, to be started again"
    FAILED_FOR_GOOD = "failed for good"
    RESTART = "backoff over, children gone"
    CHILDREN_GONE = "children gone"
    CLOSED = "on_stop returned"


_FAILURES = (Event.FAILED_TO_RESTART, Event.FAILED_FOR_GOOD)

TABLE = Table[State, Event, None](
    "an actor",
    State.STARTING,
    Event,
    [
        (State.STARTING, Event.NEVER_WAS, State.STOPPED),
        (State.STARTING, Event.STARTED, State.RUNNING),
        ((State.STARTING, State.RUNNING, State.BACKING_OFF), Event.STOP, State.STOPPING),
        ((State.STARTING, State.RUNNING), Event.FAILED_TO_RESTART, State.BACKING_OFF),
        ((State.STARTING, State.RUNNING), Event.FAILED_FOR_GOOD, State.STOPPING),
        (State.BACKING_OFF, Event.RESTART, State.STARTING),
        (State.STOPPING, Event.CHILDREN_GONE, State.CLOSING),
        (State.CLOSING, Event.CLOSED, State.STOPPED),
    ],
    impossible=[
        (set(State) - {State.STARTING}, (Event.NEVER_WAS, Event.STARTED), "it has started"),
        ((State.STOPPING, State.CLOSING, State.STOPPED), Event.STOP, "its end has begun"),
        (set(State) - {State.STARTING, State.RUNNING}, _FAILURES, "none of its code is waited for"),
        (set(State) - {State.BACKING_OFF}, Event.RESTART, "it does not wait for that"),
        (set(State) - {State.STOPPING}, Event.CHILDREN_GONE, "it does not wait for them"),
        (set(State) - {State.CLOSING}, Event.CLOSED, "on_stop does not run"),
    ],
    ends={State.STOPPED},
)
