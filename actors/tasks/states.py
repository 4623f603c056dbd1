"""The life of a task as a table: (phase, event) → next phase and what to do.

The table is the documentation: `task_actor` holds no rule of its own about what follows what, it only classifies what
arrives as a `TaskEvent` and carries out the `Action`s.

Where the rules come from: Mesos documentation, "Designing Highly Available Mesos Frameworks" and "Reconciliation"
(an attempt is known only by what the master says about it), and "Task State Reasons" for partition-aware states.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum

from actors.messages import TERMINAL_PHASES, TaskPhase
from actors.runtime.state_machine import Table
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
    RESULT_REFUSED = "the store refuses the result"


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


P, E, A = TaskPhase, TaskEvent, Action

_NOT_RUNNING = (P.LAUNCHING, P.STAGING, P.UNREACHABLE)
_ATTEMPT = (*_NOT_RUNNING, P.RUNNING)
_RETRY = (E.FAILED_RETRY, E.LOST_RETRY)
_LAST = (E.FAILED_LAST, E.LOST_LAST)
_ALIVE = (E.STAGING, E.RUNNING, E.KILLING, E.UNREACHABLE)
_BROKERS = (E.LAUNCHED, E.NOT_LAUNCHED, E.WITHDRAWN, E.BROKER_RESTARTED)
_TIMERS = (E.KILL_DUE, E.LAUNCH_TIMED_OUT, E.RUN_TIMED_OUT, E.RETRY_DUE)

TABLE = Table[TaskPhase, TaskEvent, Action](
    "a task",
    P.WAITING,
    E,
    [
        (P.WAITING, E.LAUNCHED, P.LAUNCHING, A.AWAIT_NEWS),
        (P.WAITING, E.BROKER_RESTARTED, None, A.DEMAND),
        (P.WAITING, E.KILL_ASKED, P.WITHDRAWING, A.WITHDRAW),
        # Had its ACCEPT left, LAUNCHED would have come before the news of the broker's restart.
        (P.WITHDRAWING, (E.WITHDRAWN, E.BROKER_RESTARTED), P.KILLED, A.DONE),
        (P.WITHDRAWING, E.LAUNCHED, P.KILLING, A.KILL),
        (P.LAUNCHING, E.NOT_LAUNCHED, P.WAITING, A.DEMAND),
        ((P.LAUNCHING, P.STAGING), E.LAUNCH_TIMED_OUT, None, A.RECONCILE),
        ((P.LAUNCHING, P.STAGING, P.RUNNING), (E.MOVE_ASKED, E.KILL_DUE), None, A.KILL),
        (P.RUNNING, E.RUN_TIMED_OUT, None, A.KILL),
        (_ATTEMPT, E.KILL_ASKED, P.KILLING, A.KILL),
        (P.KILLING, (E.KILL_ASKED, E.KILL_DUE), None, A.KILL),
        (P.KILLING, E.NOT_LAUNCHED, P.KILLED, A.DONE),
        (P.BACKING_OFF, E.RETRY_DUE, P.WAITING, A.NEXT_ATTEMPT, A.DEMAND),
        (P.BACKING_OFF, E.KILL_ASKED, P.KILLED, A.DONE),
        # An update of an attempt that may exist, no kill asked.
        (_NOT_RUNNING, E.STAGING, P.STAGING, A.AWAIT_NEWS),
        (P.RUNNING, E.STAGING, None),  # the launch timer matters only before TASK_RUNNING
        (_ATTEMPT, E.RUNNING, P.RUNNING, A.WATCH_RUN),
        (_ATTEMPT, E.KILLING, P.RUNNING),  # somebody else kills it; the terminal update will tell
        (_ATTEMPT, E.UNREACHABLE, P.UNREACHABLE, A.WATCH_PARTITION),
        (_ATTEMPT, E.FINISHED, P.FINISHED, A.DONE),
        # Also killed by somebody who is not the author (an operator, a drained agent): it runs again elsewhere.
        (_ATTEMPT, _RETRY, P.BACKING_OFF, A.BACK_OFF),
        (_ATTEMPT, _LAST, P.FAILED, A.DONE),
        # An update of an attempt that was thought never to have left (its ACCEPT was reported lost, or the broker was
        # restarted in between): the news is right, the demand is not.
        (P.WAITING, E.STAGING, P.STAGING, A.WITHDRAW, A.AWAIT_NEWS),
        (P.WAITING, E.RUNNING, P.RUNNING, A.WITHDRAW, A.WATCH_RUN),
        (P.WAITING, E.KILLING, P.RUNNING, A.WITHDRAW),
        (P.WAITING, E.UNREACHABLE, P.UNREACHABLE, A.WITHDRAW, A.WATCH_PARTITION),
        (P.WAITING, E.FINISHED, P.FINISHED, A.WITHDRAW, A.DONE),
        (P.WAITING, _RETRY, P.BACKING_OFF, A.WITHDRAW, A.BACK_OFF),
        (P.WAITING, _LAST, P.FAILED, A.WITHDRAW, A.DONE),
        # An update while a kill is under way.
        (P.KILLING, _ALIVE, None),
        (P.KILLING, E.FINISHED, P.FINISHED, A.DONE),  # it was faster than the kill
        (P.KILLING, (*_RETRY, *_LAST), P.KILLED, A.DONE),  # killed as asked, or gone before
        (P.WITHDRAWING, _ALIVE, P.KILLING, A.WITHDRAW, A.KILL),
        (P.WITHDRAWING, E.FINISHED, P.FINISHED, A.WITHDRAW, A.DONE),
        (P.WITHDRAWING, (*_RETRY, *_LAST), P.KILLED, A.WITHDRAW, A.DONE),
        (TERMINAL_PHASES, E.RESULT_REFUSED, P.FAILED, A.DONE),
    ],
    ignored=[
        (P.WAITING, (E.NOT_LAUNCHED, E.WITHDRAWN), "no ACCEPT has left, and nothing was withdrawn"),
        (P.WAITING, (*_TIMERS, E.MOVE_ASKED), "there is no attempt"),
        (P.LAUNCHING, (E.WITHDRAWN, E.BROKER_RESTARTED), "the broker has let go of the demand"),
        (P.LAUNCHING, E.LAUNCHED, "a launch cannot be told twice"),
        (
            (P.STAGING, P.RUNNING, P.UNREACHABLE),
            _BROKERS,
            "news of the attempt proves that its ACCEPT arrived",
        ),
        ((P.LAUNCHING, P.STAGING), E.RUN_TIMED_OUT, "it does not run yet"),
        (P.RUNNING, E.LAUNCH_TIMED_OUT, "it runs"),
        (_ATTEMPT, E.RETRY_DUE, "the attempt is under way"),
        (
            P.UNREACHABLE,
            set(_TIMERS) - {E.RETRY_DUE},
            "what ran out while the agent was there says nothing now",
        ),
        (P.UNREACHABLE, E.MOVE_ASKED, "its agent is away"),
        (P.WITHDRAWING, E.NOT_LAUNCHED, "an ACCEPT that came to nothing was LAUNCHED first"),
        (P.WITHDRAWING, (*_TIMERS, E.KILL_ASKED, E.MOVE_ASKED), "a kill is under way"),
        (P.KILLING, (E.LAUNCHED, E.WITHDRAWN, E.BROKER_RESTARTED), "only the end of the attempt matters now"),
        (P.KILLING, {*_TIMERS, E.MOVE_ASKED} - {E.KILL_DUE}, "only the end of the attempt matters now"),
        (
            P.BACKING_OFF,
            {*E} - {E.RETRY_DUE, E.KILL_ASKED, E.RESULT_REFUSED},
            "the attempt is over; what still comes of it is acknowledged and changes nothing",
        ),
        (TERMINAL_PHASES, {*E} - {E.RESULT_REFUSED}, "the outcome is known"),
        ({*P} - TERMINAL_PHASES, E.RESULT_REFUSED, "there is no result"),
    ],
    ends=TERMINAL_PHASES,
)

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
