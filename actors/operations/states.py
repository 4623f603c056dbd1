"""The life of an offer operation with an id as a table: (phase, event) → next phase and what to do.

Rules as in `task_states`: what is in neither the table nor `IGNORED` does not exist, and a test walks all pairs. Sources:
Mesos documentation, "Operation Feedback", and the comments on `OperationState` in mesos.proto: UNREACHABLE, RECOVERING and
PENDING may still become anything; DROPPED, GONE_BY_OPERATOR and (asked about in time) UNKNOWN will not.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import NamedTuple

from actors.records.operations import OperationPhase


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


class Transition(NamedTuple):
    """The phase that follows, and the actions on the way there."""

    phase: OperationPhase
    actions: tuple[Action, ...] = ()


P, E, A = OperationPhase, OperationEvent, Action


def _rows() -> dict[tuple[OperationPhase, OperationEvent], Transition]:
    rows: dict[tuple[OperationPhase, OperationEvent], Transition] = {
        (P.SENT, E.NOT_SENT): Transition(P.LOST, (A.DONE,)),
        (P.SENT, E.UNCERTAIN): Transition(P.SENT, (A.RECONCILE, A.WAIT)),
    }
    for phase in (P.SENT, P.PENDING, P.UNREACHABLE):
        rows |= {
            (phase, E.PENDING): Transition(P.PENDING, (A.WAIT,)),
            (phase, E.UNREACHABLE): Transition(P.UNREACHABLE, (A.WAIT,)),
            (phase, E.FINISHED): Transition(P.FINISHED, (A.DONE,)),
            (phase, E.FAILED): Transition(P.FAILED, (A.DONE,)),
            (phase, E.LOST): Transition(P.LOST, (A.DONE,)),
            (phase, E.OVERDUE): Transition(phase, (A.RECONCILE, A.WAIT)),
            (phase, E.RESUBSCRIBED): Transition(phase, (A.RECONCILE, A.WAIT)),
        }
    return rows


TABLE: Mapping[tuple[OperationPhase, OperationEvent], Transition] = _rows()

# What means nothing in a phase, with the reason.
IGNORED: Mapping[OperationPhase, frozenset[OperationEvent]] = {
    P.SENT: frozenset(),
    # News of it proves that its ACCEPT arrived, whatever is heard of the call later.
    P.PENDING: frozenset({E.NOT_SENT, E.UNCERTAIN}),
    P.UNREACHABLE: frozenset({E.NOT_SENT, E.UNCERTAIN}),
    # The outcome is known.
    P.FINISHED: frozenset(E),
    P.FAILED: frozenset(E),
    P.LOST: frozenset(E),
}


def follow(phase: OperationPhase, event: OperationEvent) -> Transition | None:
    """Return what follows, or None when the event means nothing in that phase."""
    return TABLE.get((phase, event))
