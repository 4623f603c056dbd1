"""The life of a task as a table: (phase, event) → next phase and what to do.

Rules of this file: the table is the documentation; `task_actor` holds no rule of its own about what follows what, it
only classifies what arrives as a `TaskEvent` and carries out the `Action`s. Every pair that is not listed means "stay,
do nothing" only where `IGNORED` says so; a test walks all pairs and finds each one in exactly one of the two.

Where the rules come from: Mesos documentation, "Designing Highly Available Mesos Frameworks" and "Reconciliation"
(an attempt is known only by what the master says about it), and "Task State Reasons" for partition-aware states.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import NamedTuple

from actors.messages import TaskPhase
from mesos_v1.states import TaskState


class TaskEvent(StrEnum):
    """What can happen to a task."""

    __hash__ = str.__hash__

    LAUNCHED = "launched"  # the intent is stored and the ACCEPT has left
    NOT_LAUNCHED = "not launched"  # the ACCEPT expired or was refused as a whole
    WITHDRAWN = "withdrawn"  # the broker has dropped the demand
    BROKER_RESTARTED = "broker restarted"
    STAGING = "update: staging"
    RUNNING = "update: running"
    KILLING = "update: killing"
    UNREACHABLE = "update: unreachable"
    FINISHED = "update: finished"
    FAILED_RETRY = "update: failed, attempts left"
    FAILED_LAST = "update: failed, no attempt left"
    LOST_RETRY = "update: lost by the cluster or killed, losses left"
    LOST_LAST = "update: lost by the cluster or killed, no loss left"
    KILL_ASKED = "kill asked"
    KILL_DUE = "kill due again"
    LAUNCH_TIMED_OUT = "launch timed out"
    RUN_TIMED_OUT = "run timed out"
    MOVE_ASKED = "move asked"  # its agent is about to go down
    RETRY_DUE = "retry due"


class Action(Enum):
    """What the task actor does on a transition, in the order listed."""

    DEMAND = "tell the broker what this attempt needs"
    WITHDRAW = "tell the broker that nothing is needed any more"
    KILL = "send KILL and set the timer for sending it again"
    RECONCILE = "ask the reconciler for the truth about this attempt, and set the launch timer again"
    AWAIT_NEWS = "set the launch timer"
    WATCH_RUN = "set the run timer once per attempt"
    WATCH_PARTITION = "set the timer for giving an unreachable attempt up"
    NEXT_ATTEMPT = "give the next attempt its id"
    BACK_OFF = "set the retry timer"
    DONE = "tell the scheduler the outcome, once it is stored"


class Transition(NamedTuple):
    """The phase that follows, and the actions on the way there."""

    phase: TaskPhase
    actions: tuple[Action, ...] = ()


P, E, A = TaskPhase, TaskEvent, Action

_NEWS: dict[TaskEvent, Transition] = {  # an update of an attempt that may exist, no kill asked
    E.STAGING: Transition(P.STAGING, (A.AWAIT_NEWS,)),
    E.RUNNING: Transition(P.RUNNING, (A.WATCH_RUN,)),
    E.KILLING: Transition(P.RUNNING),  # somebody else kills it; the terminal update will tell
    E.UNREACHABLE: Transition(P.UNREACHABLE, (A.WATCH_PARTITION,)),
    E.FINISHED: Transition(P.FINISHED, (A.DONE,)),
    E.FAILED_RETRY: Transition(P.BACKING_OFF, (A.BACK_OFF,)),
    E.FAILED_LAST: Transition(P.FAILED, (A.DONE,)),
    # Also killed by somebody who is not the author (an operator, a drained agent): it runs again elsewhere.
    E.LOST_RETRY: Transition(P.BACKING_OFF, (A.BACK_OFF,)),
    E.LOST_LAST: Transition(P.FAILED, (A.DONE,)),
}
_TERMINAL_WHILE_KILLING: dict[TaskEvent, Transition] = {
    E.FINISHED: Transition(P.FINISHED, (A.DONE,)),  # it was faster than the kill
    E.FAILED_RETRY: Transition(P.KILLED, (A.DONE,)),
    E.FAILED_LAST: Transition(P.KILLED, (A.DONE,)),
    E.LOST_RETRY: Transition(P.KILLED, (A.DONE,)),  # killed as asked, or gone before
    E.LOST_LAST: Transition(P.KILLED, (A.DONE,)),
}


def _rows() -> dict[tuple[TaskPhase, TaskEvent], Transition]:
    rows: dict[tuple[TaskPhase, TaskEvent], Transition] = {
        (P.WAITING, E.LAUNCHED): Transition(P.LAUNCHING, (A.AWAIT_NEWS,)),
        (P.WAITING, E.BROKER_RESTARTED): Transition(P.WAITING, (A.DEMAND,)),
        (P.WAITING, E.KILL_ASKED): Transition(P.WITHDRAWING, (A.WITHDRAW,)),
        (P.WITHDRAWING, E.WITHDRAWN): Transition(P.KILLED, (A.DONE,)),
        (P.WITHDRAWING, E.LAUNCHED): Transition(P.KILLING, (A.KILL,)),
        # Had its ACCEPT left, LAUNCHED would have come before the news of the restart.
        (P.WITHDRAWING, E.BROKER_RESTARTED): Transition(P.KILLED, (A.DONE,)),
        (P.LAUNCHING, E.NOT_LAUNCHED): Transition(P.WAITING, (A.DEMAND,)),
        (P.LAUNCHING, E.KILL_ASKED): Transition(P.KILLING, (A.KILL,)),
        (P.LAUNCHING, E.LAUNCH_TIMED_OUT): Transition(P.LAUNCHING, (A.RECONCILE,)),
        (P.STAGING, E.KILL_ASKED): Transition(P.KILLING, (A.KILL,)),
        (P.STAGING, E.LAUNCH_TIMED_OUT): Transition(P.STAGING, (A.RECONCILE,)),
        (P.RUNNING, E.KILL_ASKED): Transition(P.KILLING, (A.KILL,)),
        (P.RUNNING, E.RUN_TIMED_OUT): Transition(P.RUNNING, (A.KILL,)),
        (P.RUNNING, E.MOVE_ASKED): Transition(P.RUNNING, (A.KILL,)),
        (P.STAGING, E.MOVE_ASKED): Transition(P.STAGING, (A.KILL,)),
        (P.STAGING, E.KILL_DUE): Transition(P.STAGING, (A.KILL,)),
        (P.LAUNCHING, E.MOVE_ASKED): Transition(P.LAUNCHING, (A.KILL,)),
        (P.LAUNCHING, E.KILL_DUE): Transition(P.LAUNCHING, (A.KILL,)),
        (P.RUNNING, E.KILL_DUE): Transition(P.RUNNING, (A.KILL,)),
        (P.UNREACHABLE, E.KILL_ASKED): Transition(P.KILLING, (A.KILL,)),
        (P.KILLING, E.NOT_LAUNCHED): Transition(P.KILLED, (A.DONE,)),
        (P.KILLING, E.KILL_ASKED): Transition(P.KILLING, (A.KILL,)),
        (P.KILLING, E.KILL_DUE): Transition(P.KILLING, (A.KILL,)),
        (P.BACKING_OFF, E.RETRY_DUE): Transition(P.WAITING, (A.NEXT_ATTEMPT, A.DEMAND)),
        (P.BACKING_OFF, E.KILL_ASKED): Transition(P.KILLED, (A.DONE,)),
    }
    for phase in (P.LAUNCHING, P.STAGING, P.RUNNING, P.UNREACHABLE):
        rows |= {(phase, event): transition for event, transition in _NEWS.items()}
    # An update of an attempt that was thought never to have left (its ACCEPT was reported lost, or the broker was
    # restarted in between): the news is right, the demand is not.
    for event, (following, actions) in _NEWS.items():
        rows[P.WAITING, event] = Transition(following, (A.WITHDRAW, *actions))
    for event, transition in _TERMINAL_WHILE_KILLING.items():
        rows[P.KILLING, event] = transition
        rows[P.WITHDRAWING, event] = Transition(transition.phase, (A.WITHDRAW, *transition.actions))
    for event in (E.STAGING, E.RUNNING, E.KILLING, E.UNREACHABLE):
        rows[P.KILLING, event] = Transition(P.KILLING)
        rows[P.WITHDRAWING, event] = Transition(P.KILLING, (A.WITHDRAW, A.KILL))
    # TASK_RUNNING comes back as often as reconciliation asks; the launch timer matters only before it.
    rows[P.RUNNING, E.STAGING] = Transition(P.RUNNING)
    return rows


TABLE: Mapping[tuple[TaskPhase, TaskEvent], Transition] = _rows()

_BROKERS = {E.LAUNCHED, E.NOT_LAUNCHED, E.WITHDRAWN, E.BROKER_RESTARTED}
_TIMERS = {E.KILL_DUE, E.LAUNCH_TIMED_OUT, E.RUN_TIMED_OUT, E.RETRY_DUE}

# What means nothing in a phase, with the reason.
IGNORED: Mapping[TaskPhase, frozenset[TaskEvent]] = {
    # No ACCEPT has left, so none can fail, and no attempt has timers; nothing was withdrawn.
    P.WAITING: frozenset({E.NOT_LAUNCHED, E.WITHDRAWN, E.MOVE_ASKED} | _TIMERS),
    # The broker has let go of the demand: its restart changes nothing. A launch cannot be told twice.
    P.LAUNCHING: frozenset({E.LAUNCHED, E.WITHDRAWN, E.BROKER_RESTARTED, E.RUN_TIMED_OUT, E.RETRY_DUE}),
    # News of the attempt proves that its ACCEPT arrived, whatever the broker hears of the call later.
    P.STAGING: frozenset(_BROKERS | {E.RUN_TIMED_OUT, E.RETRY_DUE}),
    P.RUNNING: frozenset(_BROKERS | {E.LAUNCH_TIMED_OUT, E.RETRY_DUE}),
    # A timer that ran while the agent was there has nothing to say while it is away.
    P.UNREACHABLE: frozenset(_BROKERS | _TIMERS | {E.MOVE_ASKED}),
    # A kill is under way already; an ACCEPT that came to nothing was LAUNCHED first.
    P.WITHDRAWING: frozenset({E.NOT_LAUNCHED, E.KILL_ASKED, E.MOVE_ASKED} | _TIMERS),
    # Only the end of the attempt, or KILL again, matters now.
    P.KILLING: frozenset(
        {E.LAUNCHED, E.WITHDRAWN, E.BROKER_RESTARTED, E.LAUNCH_TIMED_OUT, E.RUN_TIMED_OUT, E.RETRY_DUE}
        | {E.MOVE_ASKED}
    ),
    # The attempt is over; what still comes of it is acknowledged and changes nothing.
    P.BACKING_OFF: frozenset(
        _BROKERS | set(_NEWS) | {E.KILL_DUE, E.LAUNCH_TIMED_OUT, E.RUN_TIMED_OUT, E.MOVE_ASKED}
    ),
    # The outcome is known.
    P.FINISHED: frozenset(E),
    P.FAILED: frozenset(E),
    P.KILLED: frozenset(E),
}

EVENT_OF_STATE: Mapping[TaskState, TaskEvent] = {
    TaskState.TASK_STAGING: E.STAGING,
    TaskState.TASK_STARTING: E.RUNNING,
    TaskState.TASK_RUNNING: E.RUNNING,
    TaskState.TASK_KILLING: E.KILLING,
    TaskState.TASK_UNREACHABLE: E.UNREACHABLE,
    TaskState.TASK_FINISHED: E.FINISHED,
    TaskState.TASK_FAILED: E.FAILED_RETRY,
    TaskState.TASK_ERROR: E.FAILED_RETRY,
    TaskState.TASK_KILLED: E.LOST_RETRY,
    TaskState.TASK_LOST: E.LOST_RETRY,
    TaskState.TASK_DROPPED: E.LOST_RETRY,
    TaskState.TASK_GONE: E.LOST_RETRY,
    TaskState.TASK_GONE_BY_OPERATOR: E.LOST_RETRY,
    TaskState.TASK_UNKNOWN: E.LOST_RETRY,  # "TASK_UNKNOWN: the master has no knowledge of the task": give it up
}
"""How a Mesos state is read before attempts and losses are counted."""


def follow(phase: TaskPhase, event: TaskEvent) -> Transition | None:
    """Return what follows, or None when the event means nothing in that phase."""
    return TABLE.get((phase, event))
