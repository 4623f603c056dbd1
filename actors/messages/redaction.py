"""What traces show of the Mesos messages that our own messages carry as bytes: everything but what is secret."""

from __future__ import annotations

from actors.runtime import redacted
from mesos_v1 import pb
from mesos_v1.hiding import hidden


def without_secrets_in_task(info: bytes) -> bytes:
    """A serialized `TaskInfo`."""
    return hidden(pb.mesos.TaskInfo, info, redacted)


def without_secrets_in_executor(info: bytes) -> bytes:
    """A serialized `ExecutorInfo`."""
    return hidden(pb.mesos.ExecutorInfo, info, redacted)


def without_secrets_in_operations(operations: tuple[bytes, ...]) -> list[bytes]:
    """Serialized `Offer.Operation`s."""
    return [hidden(pb.mesos.Offer.Operation, operation, redacted) for operation in operations]


def without_contents(values: tuple[bytes, ...]) -> list[bytes]:
    """What is traced once it has been read."""
    return [without_content(value) for value in values]


def without_content(value: bytes) -> bytes:
    """A durable record: it holds what was traced when it was told."""
    return b"(%d bytes)" % len(value)
