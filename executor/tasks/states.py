"""The life of one task inside its executor, as a table.

A task that is being killed is reported as killed, whatever its function still returns: the scheduler has asked for an
end, and gets one answer for it. A function that does not end within the grace period (a thread cannot be
interrupted, a coroutine can refuse) is then reported as killed, and what it does afterwards is ignored.
"""

from enum import Enum

from actors.runtime.state_machine import Table


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


S, E, A = State, Event, Action

TERMINAL = frozenset({S.FINISHED, S.FAILED, S.KILLED})
_ENDS = (E.RETURNED, E.RAISED, E.CANCELLED)

TABLE = Table[State, Event, Action](
    "a task in its executor",
    S.LAUNCHED,
    E,
    [
        (S.LAUNCHED, E.START, S.RUNNING, A.REPORT_RUNNING, A.RUN),
        (S.LAUNCHED, E.REFUSED, S.FAILED, A.REPORT),
        (S.LAUNCHED, E.KILL, S.KILLED, A.REPORT),
        (S.RUNNING, E.RETURNED, S.FINISHED, A.REPORT),
        (S.RUNNING, (E.RAISED, E.CANCELLED), S.FAILED, A.REPORT),  # it cancelled itself
        (S.RUNNING, E.KILL, S.KILLING, A.INTERRUPT),
        (S.KILLING, _ENDS, S.KILLED, A.REPORT),
        (S.KILLING, E.GRACE_OVER, S.KILLED, A.ABANDON, A.REPORT),
    ],
    ignored=[
        (S.LAUNCHED, (*_ENDS, E.GRACE_OVER), "its function does not run"),
        (S.RUNNING, (E.START, E.REFUSED), "it runs already"),
        (S.RUNNING, E.GRACE_OVER, "it was not killed"),
        (S.KILLING, (E.START, E.REFUSED), "it is about to end"),
        (S.KILLING, E.KILL, "a second KILL does not change the first one's grace period"),
        (TERMINAL, E, "it has reported its end"),  # an abandoned function may still do what it likes
    ],
    ends=TERMINAL,
)
