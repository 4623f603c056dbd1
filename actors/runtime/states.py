"""The life of an actor as a table, and what its supervision may say of a failure. The dispatcher's `Life` carries both out.

What the table calls impossible is a bug of the runtime when it happens, and says so.
"""

import enum
from dataclasses import dataclass

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


ENDED = frozenset({State.CLOSING, State.STOPPED})
ENDING = ENDED | {State.STOPPING}

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


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause before the n-th restart in a row: `base * factor ** (n - 1)` seconds, at most `cap`."""

    base: float = 0.1
    factor: float = 2.0
    cap: float = 30.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait before restart number `attempt` (from 1)."""
        if self.base <= 0 or attempt < 1:
            return 0.0
        try:
            return float(min(self.cap, self.base * self.factor ** (attempt - 1)))
        except OverflowError:
            return self.cap


@dataclass(frozen=True, slots=True)
class Supervision:
    """What to do when an actor fails.

    Attributes:
        restart: a new instance from the same arguments takes over name, refs and mailbox. Otherwise the actor stops.
        max_restarts: so many restarts within `window` are fine; one more failure is final.
        window: seconds.
        backoff: the pause before each restart; counted from zero again once `window` has passed without a failure.
        escalate: whether a final failure also fails a parent that has no handler for `ChildFailed`. By default, it
            does when `restart` is set: who asked for restarts cannot do without the actor.
    """

    restart: bool
    max_restarts: int = 5
    window: float = 60.0
    backoff: Backoff = Backoff()
    escalate: bool | None = None

    @property
    def escalates(self) -> bool:
        """Whether a final failure is passed on to the parent."""
        return self.restart if self.escalate is None else self.escalate


STOP = Supervision(restart=False)
"""As in pykka: the actor stops, what is in its mailbox is answered with `ActorDeadError`."""

RESTART = Supervision(restart=True)
"""Up to five restarts a minute with backoff; then the failure goes to the parent."""
