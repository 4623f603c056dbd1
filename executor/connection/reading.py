"""From a record of the agent's stream to an event that may be logged and traced. Pure.

`ExecutorInfo.data` holds the scheduler's start-up letter, and that a token. It comes with SUBSCRIBED and, in the
`TaskInfo`, with each LAUNCH. Messages between actors are logged as dead letters and written to traces, so the letter is taken out
here and handed over in a `SealedLetter`, which is no message.
"""

from __future__ import annotations

import logging

from actors.runtime import DecodeError, unpack
from mesos_v1 import executor_events, pb
from mesos_v1.content import ContentType, parse
from wire.start_letter import ExecutorBoot

logger = logging.getLogger(__name__)


class SealedLetter:
    """The scheduler's start-up letter, on its way past the mailboxes.

    Attributes:
        data: As it came in ExecutorInfo.data; empty until there was a SUBSCRIBED.
    """

    def __init__(self) -> None:
        self.data = b""

    def __repr__(self) -> str:
        return f"SealedLetter({len(self.data)} bytes)"


def read_record(
    record: bytes, content_type: ContentType, letter: SealedLetter
) -> executor_events.ExecutorEvent:
    """Read one record; what is secret goes into ``letter``.

    Raises:
        ContentError: It is not an event.
        BadEvent: It lacks what its type promises.
    """
    event = parse(pb.executor.Event, record, content_type)
    if event.HasField("subscribed"):
        letter.data = event.subscribed.executor_info.data
        event.subscribed.executor_info.ClearField("data")
        event.subscribed.executor_info.command.ClearField("environment")
    if event.HasField("launch"):
        _strip(event.launch.task)
    if event.HasField("launch_group"):
        for task in event.launch_group.task_group.tasks:
            _strip(task)
    return executor_events.read(event)


def read_letter(data: bytes) -> ExecutorBoot | None:
    """Open the start-up letter; None when there is none, so that the scheduler is not one of ours."""
    if not data:
        return None
    try:
        found = unpack(data).message
    except DecodeError as error:
        logger.warning("ExecutorInfo.data was not written by a Mesostic scheduler: %s", error)
        return None
    return found if isinstance(found, ExecutorBoot) else None


def _strip(task: pb.mesos.TaskInfo) -> None:
    """Mesos knows a task that is told again by its id: it needs no ExecutorInfo for that (slave.cpp, subscribe)."""
    if task.HasField("executor"):
        task.executor.ClearField("data")
        task.executor.command.ClearField("environment")
