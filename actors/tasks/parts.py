"""What a task actor tells itself (its timers), and where it goes on after a restart."""

from __future__ import annotations

from dataclasses import replace

from actors.records.tasks import TaskHistory, TaskProgress, split_attempt_id
from actors.runtime import message
from actors.tasks.states import TaskPhase

P = TaskPhase


@message
class LaunchOverdue:
    """Nothing was heard of an attempt for too long."""

    attempt: int


@message
class RunOverdue:
    """An attempt has run for longer than it may."""

    attempt: int


@message
class PartitionOverdue:
    """An attempt has been unreachable for longer than is waited for it."""

    attempt: int


@message
class KillAgain:
    """A KILL has had no effect yet."""

    attempt: int


@message
class RetryTime:
    """The next attempt is due."""

    attempt: int


def latest(history: TaskHistory) -> TaskProgress:
    """Return how far the task has come: what it stored itself, or an intent to launch a later attempt.

    An intent for an attempt that was being withdrawn says that its ACCEPT may have left: it has to be killed.
    """
    progress = history.progress or TaskProgress(history.spec.first_attempt, P.WAITING)
    intent = history.intent
    split = split_attempt_id(intent.attempt_id) if intent is not None else None
    if intent is None or split is None:
        return progress
    attempt = split[1]
    same = attempt == progress.attempt
    withdrawing = same and progress.phase is P.WITHDRAWING
    if attempt > progress.attempt or withdrawing or (same and progress.phase is P.WAITING):
        return replace(
            progress,
            attempt=attempt,
            phase=P.KILLING if withdrawing else P.LAUNCHING,
            uuid=b"",
            agent_id=intent.agent_id,
            executor_id=intent.executor_id,
        )
    return progress
