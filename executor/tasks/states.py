"""The life of one task inside its executor, as a table. Pure: no clock, no actor.

A task that is being killed is reported as killed, whatever its function still returns: the scheduler has asked for an
end, and gets one answer for it. A function that does not end within the grace period (a thread cannot be
interrupted, a coroutine can refuse) is then reported as killed, and what it does afterwards is ignored.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a task is."""

    LAUNCHED = "launched"  # it waits: for its executor's start, or for its own turn
    RUNNING = "running"
    KILLING = "killing"  # asked to end
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


class Event(Enum):
    """What can happen to a task."""

    START = "start"
    REFUSED = "refused"  # it cannot be started: garbage for a payload, no function for it, executor broken
    RETURNED = "returned"
    RAISED = "raised"
    CANCELLED = "cancelled"  # its coroutine ended by cancellation
    KILL = "kill"
    GRACE_OVER = "grace over"


class Action(Enum):
    """What to do about it, in the order given."""

    RUN = "run"
    REPORT_RUNNING = "report running"
    INTERRUPT = "interrupt"  # cancel the coroutine, or tell the thread; start the grace period
    REPORT = "report"  # the terminal update of the new state
    ABANDON = "abandon"  # leave the function to itself
    IGNORE = "ignore"


Transition = tuple[State, tuple[Action, ...]]

TERMINAL = frozenset({State.FINISHED, State.FAILED, State.KILLED})

TABLE: dict[tuple[State, Event], Transition] = {
    (State.LAUNCHED, Event.START): (State.RUNNING, (Action.REPORT_RUNNING, Action.RUN)),
    (State.LAUNCHED, Event.REFUSED): (State.FAILED, (Action.REPORT,)),
    (State.LAUNCHED, Event.KILL): (State.KILLED, (Action.REPORT,)),
    (State.RUNNING, Event.RETURNED): (State.FINISHED, (Action.REPORT,)),
    (State.RUNNING, Event.RAISED): (State.FAILED, (Action.REPORT,)),
    (State.RUNNING, Event.CANCELLED): (State.FAILED, (Action.REPORT,)),  # it cancelled itself
    (State.RUNNING, Event.KILL): (State.KILLING, (Action.INTERRUPT,)),
    (State.KILLING, Event.RETURNED): (State.KILLED, (Action.REPORT,)),
    (State.KILLING, Event.RAISED): (State.KILLED, (Action.REPORT,)),
    (State.KILLING, Event.CANCELLED): (State.KILLED, (Action.REPORT,)),
    (State.KILLING, Event.GRACE_OVER): (State.KILLED, (Action.ABANDON, Action.REPORT)),
}
"""What is not in the table changes nothing (see `IGNORED`)."""

_ENDS = frozenset({Event.RETURNED, Event.RAISED, Event.CANCELLED})

IGNORED: tuple[tuple[State, frozenset[Event], str], ...] = (
    (State.LAUNCHED, _ENDS | {Event.GRACE_OVER}, "its function does not run"),
    (State.RUNNING, frozenset({Event.START, Event.REFUSED}), "it runs already"),
    (State.RUNNING, frozenset({Event.GRACE_OVER}), "it was not killed"),
    (State.KILLING, frozenset({Event.START, Event.REFUSED}), "it is about to end"),
    (State.KILLING, frozenset({Event.KILL}), "a second KILL does not change the first one's grace period"),
    (State.FINISHED, frozenset(Event), "it has reported its end"),
    (State.FAILED, frozenset(Event), "it has reported its end"),
    (
        State.KILLED,
        frozenset(Event),
        "it has reported its end; an abandoned function may still do what it likes",
    ),
)
"""What changes nothing, by state, and why."""


def transition(state: State, event: Event) -> Transition:
    """What follows from ``event`` in ``state``."""
    return TABLE.get((state, event), (state, (Action.IGNORE,)))
