"""The life of an offer operation with an id as a table: (phase, event) → next phase and what to do.

Sources: Mesos documentation, "Operation Feedback", and the comments on `OperationState` in mesos.proto: UNREACHABLE, RECOVERING
and PENDING may still become anything; DROPPED, GONE_BY_OPERATOR and (asked about in time) UNKNOWN will not.
"""

from enum import Enum, StrEnum

from actors.records import ENDED_PHASES, OperationPhase
from actors.runtime.state_machine import Table


class OperationEvent(StrEnum):
    """What can happen to an operation."""

    PENDING = "update: pending"
    UNREACHABLE = "update: unreachable or recovering"
    FINISHED = "update: finished"
    FAILED = "update: failed"
    LOST = "update: lost"
    NOT_SENT = "the ACCEPT came to nothing"
    UNCERTAIN = "whether the ACCEPT arrived is not known"
    OVERDUE = "nothing heard for long"
    RESUBSCRIBED = "the subscription is new"


class Action(Enum):
    """What the operation's actor does on a transition, in the order listed."""

    RECONCILE = "ask the master about it"
    WAIT = "set the timer after which it is asked about"
    DONE = "tell the scheduler the outcome"


P, E, A = OperationPhase, OperationEvent, Action

_OPEN = (P.SENT, P.PENDING, P.UNREACHABLE)

TABLE = Table[OperationPhase, OperationEvent, Action](
    "an operation",
    P.SENT,
    E,
    [
        (P.SENT, E.NOT_SENT, P.LOST, A.DONE),
        (P.SENT, E.UNCERTAIN, None, A.RECONCILE, A.WAIT),
        (_OPEN, E.PENDING, P.PENDING, A.WAIT),
        (_OPEN, E.UNREACHABLE, P.UNREACHABLE, A.WAIT),
        (_OPEN, E.FINISHED, P.FINISHED, A.DONE),
        (_OPEN, E.FAILED, P.FAILED, A.DONE),
        (_OPEN, E.LOST, P.LOST, A.DONE),
        (_OPEN, (E.OVERDUE, E.RESUBSCRIBED), None, A.RECONCILE, A.WAIT),
    ],
    ignored=[
        ((P.PENDING, P.UNREACHABLE), (E.NOT_SENT, E.UNCERTAIN), "news of it proves that its ACCEPT arrived"),
        (ENDED_PHASES, E, "the outcome is known"),
    ],
    ends=ENDED_PHASES,
)
