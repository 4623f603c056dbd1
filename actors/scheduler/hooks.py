"""What an author may override: the hooks of a scheduler, each with a harmless default.

A hook is a plain method or an `async` one, called in the scheduler actor's turn; until it is done, the scheduler handles
nothing else. One that raises is logged, counted and traced, and ends nothing: no task, not the framework. What a hook launches is stored together with the fact that the hook was
called, so that a scheduler which dies in between neither loses nor doubles work.
"""

from __future__ import annotations

from typing import Any

from actors import messages as m
from actors.scheduler.author_events import MessageSource, Registered, TaskFailure, TaskFinished
from mesos_v1.values import InverseOffer, OperationStatus, TaskStatus


class SchedulerHooks:
    """The hooks that have to do with tasks; `BaseScheduler` has `on_error` and `on_shutdown_requested`."""

    def on_registered(self, event: Registered) -> Any:
        """The framework is subscribed for the first time in its life: launch the first tasks here.

        Once with one store, however often the scheduler is started: that it was called is stored together with what
        it launched. Only a process that died before that, or a hook that raised before it launched anything, has it called
        again.
        """

    def on_reregistered(self, event: Registered) -> Any:
        """The framework is subscribed again, after a disconnection or an earlier run of the scheduler.

        After an earlier run `event.resumed` says how many tasks were taken over; they go on by themselves.
        """

    def on_disconnected(self, event: m.Disconnected) -> Any:
        """The subscription is gone; it comes back by itself."""

    def on_task_update(self, update: m.TaskChanged) -> Any:
        """A task has changed, or has reported progress; the outcome comes by the next three hooks."""

    def on_task_finished(self, done: TaskFinished) -> Any:
        """A task has finished; `done.result` is what its executor returned."""

    def on_task_failed(self, failed: TaskFailure) -> Any:
        """A task has failed after its last attempt."""

    def on_task_killed(self, killed: TaskFailure) -> Any:
        """A task was killed because `kill` asked for it."""

    def on_message(self, message: Any, source: MessageSource) -> Any:
        """An executor has sent a message; messages are best effort, results are not."""

    def on_uploaded(self, upload: m.Uploaded) -> Any:
        """An executor has uploaded a file to the framework's server; it lies at `upload.path`."""

    def on_executor_lost(self, lost: m.ExecutorLost) -> Any:
        """An executor has gone; its tasks report for themselves."""

    def on_agent_lost(self, lost: m.AgentLost) -> Any:
        """An agent has gone; its tasks report for themselves."""

    def on_unknown_task(self, status: TaskStatus) -> Any:
        """The master knows a task of this framework that this scheduler does not know; its status was acknowledged."""

    def on_operation_update(self, status: OperationStatus) -> Any:
        """News of an operation that carries an id; stored and acknowledged; told again should the scheduler die in this hook."""

    def on_inverse_offer(self, offer: InverseOffer) -> Any:
        """The operator wants an agent back: return whether you will be gone in time.

        By default `on_maintenance` of the framework's settings decides: tasks are moved away in time, or stay.
        """
