"""One running task: decides by the table in `executor.states`, runs the author's function, reports.

The function runs beside the mailbox (a coroutine as a background task, a plain function in a thread), so that a KILL is
always heard. Everything that it asks for or ends with comes back as a message; that is also what gives a
result its place in the trace: the task's payload caused the start, the start caused the result.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from actors.runtime import (
    Actor,
    ActorDeadError,
    Immutable,
    check_size,
    current_message_id,
    message,
    pack,
    pack_message,
    receive,
)
from actors.runtime.state_machine import Machine
from executor import messages as m
from executor.author import TaskContext, TaskFailed, Upload
from executor.environment import AgentEnvironment
from executor.framework_server import FrameworkServer
from executor.loading import Assignment
from executor.message_actor import Room
from executor.messages import CONNECTION, EXECUTOR, MESSAGES
from executor.states import TASK, TaskAction, TaskEvent, TaskPhase
from mesos_v1.states import TaskState
from mesos_v1.values import TaskId
from wire.author_code import Outcome, call, finish, one_line, text_of, traceback_below
from wire.results import MAX_RESULT

MAX_THREADS = 256
"""Plain functions that can run at once; a thread is made when it is needed. Mesos limits tasks by their resources."""

PROGRESS_INTERVAL = 1.0
logger = logging.getLogger(__name__)


@message
class Returned:
    """Its function returned."""

    result: Immutable


@message
class Raised:
    """Its function raised."""

    reason: str
    retry: bool = True


@message
class Cancelled:
    """Its coroutine ended by cancellation."""


@message
class GraceOver:
    """It did not end in time."""


@message
class SendToFramework:
    """Its function sends a message to the scheduler."""

    message: Immutable
    reliable: bool = False


@message
class Progress:
    """Its function reports how far it is."""

    message: Immutable


@message
class ProgressDue:
    """The newest report may be sent now."""


class Threads:
    """The tasks whose plain functions run in threads now, and whether each was abandoned: nobody waits for it any more."""

    def __init__(self) -> None:
        self._running: dict[TaskId, bool] = {}

    def run(self, task_id: TaskId, function: Callable[[], Any]) -> Outcome:
        """Call it; in its thread."""
        self._running[task_id] = False
        try:
            return call(function)
        finally:
            del self._running[task_id]

    def abandon(self, task_id: TaskId) -> None:
        """Its function may run for ever."""
        if task_id in self._running:
            self._running[task_id] = True

    def check(self, task_id: TaskId) -> None:
        """See whether there will be a thread for one more; TaskFailed if all are held by functions that do not end."""
        running, abandoned = len(self._running), sum(self._running.values())
        if abandoned >= MAX_THREADS:
            raise TaskFailed(
                f"its executor has no thread left: all {abandoned} are held by functions of tasks that were killed, which "
                "do not return (a plain function must look at context.killed)"
            )
        if running >= MAX_THREADS:
            logger.warning(
                "task %s waits for a thread: %d plain functions run, %d of them of tasks that were killed",
                task_id,
                running,
                abandoned,
            )


class RunningTaskActor(Actor):
    """The life of one task; without a framework's server it cannot upload."""

    stop_grace: ClassVar[float] = 0.2  # for what ignores its cancellation: it has had its own grace period

    def __init__(
        self,
        assignment: Assignment,
        environment: AgentEnvironment,
        server: FrameworkServer | None,
        threads: Threads,
        room: Room,
    ) -> None:
        self._assignment, self._task_id = assignment, assignment.task_id
        self._in_thread = assignment.method is not None and assignment.method.in_thread
        self._environment = environment
        self._server = server
        self._threads = threads
        self._room = room
        self._life = Machine(TASK)
        self._running: asyncio.Task[None] | None = None
        self._grace = assignment.kill_grace
        self._progress: object = None  # the newest that was not reported
        self._progress_waits = False

    @receive
    def handle_start_task(self, start: m.StartTask) -> None:
        self._apply(TaskEvent.START)

    @receive
    def handle_refuse_task(self, refused: m.RefuseTask) -> None:
        self._apply(TaskEvent.REFUSED, refused.reason, retry=refused.retry)

    @receive
    def handle_kill_task(self, kill: m.KillTask) -> None:
        self._grace = self._assignment.kill_grace if kill.grace is None else kill.grace
        self._apply(TaskEvent.KILL, "killed")

    @receive
    def handle_returned(self, returned: Returned) -> None:
        """The function returned: pack what it returned, if it can be packed and is not too large."""
        try:
            data = self._pack(returned.result)
        except Exception as error:
            self._apply(TaskEvent.RAISED, f"the result cannot be sent: {text_of(error)}", retry=False)
            return
        try:
            check_size("the result", data, MAX_RESULT)
        except ValueError as error:
            self._apply(TaskEvent.RAISED, str(error), retry=False)
        else:
            self._apply(TaskEvent.RETURNED, data=data)

    @receive
    def handle_raised(self, raised: Raised) -> None:
        self._apply(TaskEvent.RAISED, raised.reason, retry=raised.retry)

    @receive
    def handle_cancelled(self, cancelled: Cancelled) -> None:
        self._apply(TaskEvent.CANCELLED, "its coroutine was cancelled")

    @receive
    def handle_grace_over(self, over: GraceOver) -> None:
        self._apply(TaskEvent.GRACE_OVER, "killed; it did not end within its grace period")

    @receive
    def handle_send_to_framework(self, send: SendToFramework) -> None:
        data = self._pack(send.message)
        if send.reliable:
            self.tell(MESSAGES, m.SendReliably(data))
        else:
            self.tell(CONNECTION, m.SendMessage(data))

    @receive
    def handle_progress(self, progress: Progress) -> None:
        """Report progress, now or when a second has passed since the last report."""
        self._progress = progress.message
        if not self._progress_waits:
            self._report_progress()

    @receive
    def handle_progress_due(self, due: ProgressDue) -> None:
        self._progress_waits = False
        if self._progress is not None:
            self._report_progress()

    def _apply(self, event: TaskEvent, message: str = "", *, data: bytes = b"", retry: bool = True) -> None:
        state, actions, ignored = self._life.on(event)
        if ignored:
            logger.debug("task %s: ignored in %s: %s (%s)", self._task_id, state.value, event.value, ignored)
        for action in actions:
            match action:
                case TaskAction.RUN:
                    self._run()
                case TaskAction.REPORT_RUNNING:
                    self._report(TaskState.TASK_RUNNING)
                case TaskAction.INTERRUPT:
                    self.timers.after(max(0.0, self._grace), GraceOver())
                    if not self._in_thread and self._running is not None:
                        self._running.cancel()
                case TaskAction.ABANDON:
                    self._threads.abandon(self._task_id)
                    logger.warning(
                        "task %s does not end when killed; what it still does is ignored", self._task_id
                    )
                case TaskAction.REPORT:
                    killed = state is TaskPhase.KILLED and event is not TaskEvent.GRACE_OVER
                    message, data = ("killed", b"") if killed else (message, data)
                    self._report(TaskState[f"TASK_{state.name}"], message, data, retry=retry)
                    self.tell(EXECUTOR, m.TaskEnded(self._task_id, state.value))
                    self.stop()

    def _run(self) -> None:
        info = self._assignment.info
        context = _RunningContext(
            task_id=self._task_id,
            name=info.name,
            labels=tuple((label.key, label.value) for label in info.labels.labels),
            sandbox=self._environment.sandbox,
            ports=self._assignment.ports,
            actor=self,
        )
        self._running = self.run_in_background(self._work(context), name=f"task {self._task_id}")

    async def _work(self, context: TaskContext) -> None:
        """Run the author's function; whatever it does, exactly one message says how it ended.

        What is told from here, and from the author's function, has the start of the task as its cause.
        """
        loaded, method = self._assignment.loaded, self._assignment.method
        assert loaded is not None
        assert method is not None
        outcome = call(method.bind, loaded.instance, self._assignment.payload, context)
        if outcome.error is None:
            try:
                outcome = await self._call(outcome.result)
            except asyncio.CancelledError as error:
                outcome = Outcome(None, error)
        if self._life.state in {TaskPhase.RUNNING, TaskPhase.KILLING}:  # else nobody waits for it any more
            self.tell(self.actor_ref, self._how_it_ended(outcome))

    async def _call(self, function: Callable[[], Any]) -> Outcome:
        outcome = call(self._threads.check, self._task_id) if self._in_thread else call(function)
        if self._in_thread and outcome.error is None:
            outcome = await self.in_thread(self._threads.run, self._task_id, function)
        return await finish(outcome)

    def _how_it_ended(self, outcome: Outcome) -> object:
        """The message that says so. Whatever of it is the author's may raise when it is looked at."""
        match outcome.error:
            case None:
                said = call(Returned, outcome.result)  # a result that can change is refused here
                if said.error is None:
                    return said.result
                return Raised(f"the result cannot be sent: {text_of(said.error)}", retry=False)
            case asyncio.CancelledError():
                return Cancelled()
            case TaskFailed() as error:
                message, retry = getattr(error, "message", ""), getattr(error, "retry", True)
                return Raised(text_of(message or "TaskFailed"), retry=bool(retry))
            case SystemExit() as error:
                return Raised(f"the task called sys.exit({text_of(error.code)})")
            case error:
                reason = one_line(error)
                logger.error("task %s failed: %s%s", self._task_id, reason, traceback_below(error))
                return Raised(reason)

    def _pack(self, message: object) -> bytes:
        if message is None:
            return b""
        if self._assignment.raw and isinstance(message, bytes):
            return message
        return pack(message, id=current_message_id(), cause=self._assignment.cause)

    def _report(self, state: TaskState, message: str = "", data: bytes = b"", *, retry: bool = True) -> None:
        ids = self._environment.executor_id, self._task_id
        self.tell(CONNECTION, m.SendUpdate.of(self, *ids, state, message, data=data, retry=retry))

    def _report_progress(self) -> None:
        newest, self._progress = self._progress, None
        if self._life.state is not TaskPhase.RUNNING:
            return
        self._progress_waits = True
        self.timers.after(PROGRESS_INTERVAL, ProgressDue())
        if isinstance(newest, str):
            self._report(TaskState.TASK_RUNNING, newest)
        else:
            self._report(TaskState.TASK_RUNNING, data=self._pack(newest))


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class _RunningContext(TaskContext):
    """May be called from the task's thread."""

    actor: RunningTaskActor

    @property
    def killed(self) -> bool:
        return self.actor._life.state is not TaskPhase.RUNNING

    def send(self, message: object, *, reliable: bool = False) -> None:
        raw = self.actor._assignment.raw and isinstance(message, bytes)
        data: Any = message if raw else pack_message(message)
        if reliable:
            self.actor._room.take(data)
        if not self._tell(SendToFramework(message, reliable)) and reliable:
            self.actor._room.give(1)
            raise ValueError(f"task {self.task_id} has ended, and what it still does is ignored")

    def progress(self, message: object) -> None:
        if not isinstance(message, str):
            data = message if isinstance(message, bytes) else pack(message)
            check_size("the progress", data, MAX_RESULT)
        self._tell(Progress(message))

    async def _upload(self, name: str, source: bytes | Path, content_type: str) -> Upload:
        if self.actor._server is None:
            raise TaskFailed(f"{name} cannot be uploaded: the framework has no server", retry=False)
        return await self.actor._server.upload(name, source, content_type, self.task_id)

    def _tell(self, message: object) -> bool:
        try:
            self.actor.actor_ref.tell(message)
        except ActorDeadError:
            return False  # the task has ended; what an abandoned function says is not heard
        return True
