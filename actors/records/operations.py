"""What is stored of an offer operation with an id: before its ACCEPT leaves, and before news of it is acknowledged.

So a scheduler that starts again asks about the operations that it does not know the end of, and tells of those that it
knows the end of but has not told. The record goes when the author has been told the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from actors.messages import Record
from actors.runtime import message, pack_value, unpack_value
from mesos_v1.states import OperationState
from mesos_v1.values import AgentId, OperationId, OperationStatus

OPERATION = "operation"


class OperationPhase(StrEnum):
    """Where an operation is, as the scheduler sees it."""

    SENT = "sent"  # the ACCEPT has left; nothing heard yet
    PENDING = "pending"  # known to the master or the agent
    UNREACHABLE = "unreachable"  # its agent is away, or has just come back
    FINISHED = "finished"
    FAILED = "failed"  # tried and failed, or refused
    LOST = "lost"  # never applied, or nobody will ever know


ENDED_PHASES = frozenset({OperationPhase.FINISHED, OperationPhase.FAILED, OperationPhase.LOST})
PHASE_OF_STATE: Mapping[OperationState, OperationPhase] = {
    OperationState.OPERATION_UNSUPPORTED: OperationPhase.FAILED,
    OperationState.OPERATION_PENDING: OperationPhase.PENDING,
    OperationState.OPERATION_FINISHED: OperationPhase.FINISHED,
    OperationState.OPERATION_FAILED: OperationPhase.FAILED,
    OperationState.OPERATION_ERROR: OperationPhase.FAILED,
    OperationState.OPERATION_DROPPED: OperationPhase.LOST,
    OperationState.OPERATION_UNREACHABLE: OperationPhase.UNREACHABLE,
    OperationState.OPERATION_GONE_BY_OPERATOR: OperationPhase.LOST,
    OperationState.OPERATION_RECOVERING: OperationPhase.UNREACHABLE,
    OperationState.OPERATION_UNKNOWN: OperationPhase.LOST,
}
"""Where an operation is of which this is the latest news."""


@message
class OperationRecord:
    """An operation, where it was asked for, and how far it is known to have come.

    Attributes:
        status: the latest news of it.
    """

    operation_id: OperationId
    agent_id: AgentId | None
    phase: OperationPhase
    status: OperationStatus | None = None


def operation_record(record: OperationRecord) -> Record:
    """Return the durable form."""
    return Record(OPERATION, record.operation_id, pack_value(record))


def operation_key(operation_id: OperationId) -> tuple[str, str]:
    """Return the key of an operation's record, to delete it."""
    return (OPERATION, operation_id)


def operations_in(records: tuple[Record, ...]) -> tuple[OperationRecord, ...]:
    """Return the operations that the store has."""
    return tuple(unpack_value(OperationRecord, each.value) for each in records if each.kind == OPERATION)
