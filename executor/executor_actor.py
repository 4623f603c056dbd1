"""The executor: the root of its process. Starts the author's class, gives each task an actor, and ends in order.

What it decides stands in the table `executor.states`. It never runs the author's code itself.
"""

import logging
from collections.abc import Callable
from typing import Any

from actors.runtime import (
    Actor,
    ActorDeadError,
    ActorRef,
    ChildFailed,
    DecodeError,
    Supervision,
    TraceWriter,
    message,
    receive,
    unpack_message,
)
from actors.runtime.state_machine import Machine
from executor import messages as m
from executor.author import BadExecutor, Registration
from executor.author_actor import AuthorActor
from executor.connection_actor import AgentConnectionActor, AgentLink
from executor.environment import AgentEnvironment
from executor.framework_server import FrameworkServer
from executor.loading import LoadedExecutor, assign, load
from executor.message_actor import MessageActor, Room
from executor.messages import AUTHOR, CONNECTION, MESSAGES, TASK, TRACE
from executor.states import ENDING, EXECUTOR, SHARES, STARTED, ExecutorAction, ExecutorEvent, ExecutorState
from executor.task_actor import RunningTaskActor, Threads
from executor.trace_actor import TraceActor
from mesos_v1 import pb
from mesos_v1.executor_events import Kill, Launch, LaunchGroup, Message, Shutdown, Subscribed
from mesos_v1.states import TaskState
from mesos_v1.values import TaskId
from wire.author_code import call, one_line, text_of, traceback_below
from wire.reliable import Numbered, Taken, WhoIsThere
from wire.start_letter import BootSecret, ExecutorBoot

MAX_SEEN = 100_000

SUPERVISION = Supervision(restart=False, escalate=True)
"""Of the root: without it, nobody would end the process, and so the agent would never report its tasks."""

SLOW_START = 30.0
TRACE_FILE = "mesostic.trace"
BUG = 70
"""Exit code (EX_SOFTWARE) for what is our own fault."""

logger = logging.getLogger(__name__)


@message
class StillStarting:
    """It is time to look whether `on_start` is done."""


@message
class PhaseOver:
    """The time for a phase of the ending is over."""

    phase: str


class ExecutorActor(Actor):
    """The root; without a `class_name` the start-up letter says it, and `on_exit` is told code and reason, once."""

    def __init__(
        self,
        environment: AgentEnvironment,
        class_name: str,
        on_exit: Callable[[int, str], None],
        new_link: Callable[[AgentEnvironment], AgentLink] = AgentLink,
    ) -> None:
        self._environment = environment
        self._class_name = class_name
        self._on_exit = on_exit
        self._life = Machine(EXECUTOR)
        self._new_link = new_link
        self._letter = BootSecret()
        self._boot: ExecutorBoot | None = None
        self._subscribed: Subscribed | None = None
        self._loaded: LoadedExecutor | None = None
        self._server: FrameworkServer | None = None
        self._threads = Threads()
        self._room = Room()
        # With the id of the message that launched each.
        self._tasks: dict[TaskId, tuple[ActorRef[Any], str]] = {}
        self._seen: dict[TaskId, None] = {}  # the newest, so that a second LAUNCH is known as one
        self._broken: str | None = None
        self._reason = ""
        self._exit_code = 0
        self._shipping: ActorRef[Any] | None = None
        self._left = 0  # what is still to be waited for in LEAVING

    def on_start(self) -> None:
        """Reach for the agent."""
        self.spawn(MessageActor, self._room, name=MESSAGES)
        self.spawn(AgentConnectionActor, self._environment, self._new_link, self._letter, name=CONNECTION)

    @receive
    def handle_subscribed(self, event: Subscribed) -> None:
        first, self._subscribed = self._subscribed is None, event
        self._apply(ExecutorEvent.SUBSCRIBED)
        self.tell(MESSAGES, m.AgentBack())
        self._call_hook("on_registered" if first else "on_reregistered", _registration(event))

    @receive
    def handle_launch(self, event: Launch) -> None:
        self._launch(event.task_id, event.task)

    @receive
    def handle_launch_group(self, event: LaunchGroup) -> None:
        """One that fails does not end the others: that is the default executor's rule, not the API's."""
        for task_id, task in zip(event.task_ids, event.tasks, strict=True):
            self._launch(task_id, task)

    @receive
    def handle_kill(self, event: Kill) -> None:
        found = self._tasks.get(event.task_id)
        if found is None:
            known = "has ended already" if event.task_id in self._seen else "is not known here"
            logger.warning("asked to kill task %s, which %s", event.task_id, known)
        else:
            self.tell(found[0], m.KillTask(event.grace_period))

    @receive
    def handle_message(self, event: Message) -> None:
        opened = call(unpack_message, event.data)
        said = None if opened.error is not None else opened.result.message
        if isinstance(said, Taken):
            self.tell(MESSAGES, said)
        elif self._loaded is None or self._life.state not in STARTED:
            logger.warning("dropped a message of the scheduler: the executor is %s", self._life.state.value)
        elif isinstance(said, Numbered | WhoIsThere):
            self.tell(MESSAGES, said)
        elif opened.error is None:
            envelope = opened.result
            self._tell_caused(self.ref(AUTHOR), m.ForAuthor(envelope.message), envelope.id)
        elif self._boot is None and isinstance(opened.error, DecodeError):
            self.tell(AUTHOR, m.ForAuthor(event.data))
        else:
            reason = f"the scheduler sent a message that cannot be read: {text_of(opened.error)}"
            logger.error("%s", reason)
            self._call_hook("on_error", reason)

    @receive
    def handle_shutdown(self, event: Shutdown) -> None:
        self._end("the agent said SHUTDOWN")

    @receive
    def handle_agent_lost(self, lost: m.AgentLost) -> None:
        self.tell(MESSAGES, lost)
        logger.warning("lost the agent; trying to reconnect: %s", lost.reason)
        self._call_hook("on_disconnected", lost.reason)

    @receive
    def handle_agent_gone(self, gone: m.AgentGone) -> None:
        if self._life.state not in ENDING:
            logger.error("the agent is gone: %s", gone.reason)
            self._exit_code = self._exit_code or 1
            self._end(gone.reason)

    @receive
    def handle_trouble(self, trouble: m.Trouble) -> None:
        self._call_hook("on_error", trouble.reason)

    @receive
    def handle_child_failed(self, failed: ChildFailed) -> None:
        """A part of this executor broke: what it owed to anybody is owed by the executor now."""
        if failed.name.startswith(TASK):
            task_id = TaskId(failed.name.removeprefix(TASK))
            if task_id in self._tasks:
                self._report_failed(task_id, f"the executor failed at the task: {failed.error}")
                self._forget_task(task_id)
        elif failed.name == AUTHOR and self._life.state is ExecutorState.STARTING:
            self._fail(f"the executor could not be started: {failed.error}")
        elif failed.name == AUTHOR:
            self._apply(ExecutorEvent.AUTHOR_STOPPED)
        elif failed.name in {CONNECTION, MESSAGES}:  # tasks, and what their authors were promised, are lost
            what = "the connection to the agent" if failed.name == CONNECTION else "the actor of messages"
            self._exit_code = BUG
            self._reason = f"{what} failed: {failed.error}"
            self._apply(ExecutorEvent.CUT_OFF)
        else:
            self._shipping = None

    def _report_failed(self, task_id: TaskId, reason: str) -> None:
        """TASK_FAILED in the name of a task's actor that cannot say so itself."""
        executor_id = self._environment.executor_id
        self.tell(CONNECTION, m.SendUpdate.of(self, executor_id, task_id, TaskState.TASK_FAILED, reason))

    @receive
    def handle_end_requested(self, request: m.EndRequested) -> None:
        self._end(request.reason)

    @receive
    def handle_author_started(self, started: m.AuthorStarted) -> None:
        self._apply(ExecutorEvent.STARTED)

    @receive
    def handle_author_failed(self, failed: m.AuthorFailed) -> None:
        self._fail(failed.reason)

    @receive
    def handle_author_stopped(self, stopped: m.AuthorStopped) -> None:
        self._apply(ExecutorEvent.AUTHOR_STOPPED)

    @receive
    def handle_task_ended(self, ended: m.TaskEnded) -> None:
        self._forget_task(ended.task_id)

    def _forget_task(self, task_id: TaskId) -> None:
        self._tasks.pop(task_id, None)
        if self._shipping is not None:
            self.tell(self._shipping, m.ShipSoon())
        if not self._tasks:
            self._apply(ExecutorEvent.NO_TASKS)

    @receive
    def handle_still_starting(self, due: StillStarting) -> None:
        """Tasks wait for `on_start`: nobody else would say so."""
        if self._life.state is ExecutorState.STARTING and self._loaded is not None:
            name, count = type(self._loaded.instance).__name__, len(self._tasks)
            logger.warning("%s.on_start has not ended; %d tasks wait for it", name, count)
            self.timers.after(SLOW_START, StillStarting())

    @receive
    def handle_left(self, left: m.Left) -> None:
        self._left -= 1
        if self._left <= 0:
            self._apply(ExecutorEvent.LEFT)

    @receive
    def handle_phase_over(self, over: PhaseOver) -> None:
        if over.phase == self._life.state.value:
            self._apply(ExecutorEvent.PHASE_OVER)

    def _apply(self, event: ExecutorEvent) -> None:
        before = self._life.state
        state, actions, ignored = self._life.on(event)
        if ignored:
            logger.debug("ignored in state %s: %s (%s)", state.value, event.value, ignored)
        if before is not state:
            logger.info("executor: %s -> %s", before.value, state.value)
            if state is ExecutorState.KILLING:
                self._call_hook("on_shutdown", self._reason)
            if state in SHARES:
                seconds = SHARES[state] * self._environment.shutdown_grace_period
                self.timers.after(seconds, PhaseOver(state.value))
        for action in actions:
            match action:
                case ExecutorAction.LOAD:
                    self._load()
                case ExecutorAction.START_TASKS:
                    for ref, cause in self._tasks.values():
                        self._tell_caused(ref, m.StartTask(), cause)
                case ExecutorAction.REFUSE_TASKS:
                    for ref, cause in self._tasks.values():
                        self._tell_caused(ref, m.RefuseTask(self._reason), cause)
                case ExecutorAction.KILL_TASKS:
                    self._kill_all()
                case ExecutorAction.STOP_AUTHOR:
                    self._stop_author()
                case ExecutorAction.LEAVE:
                    self._leave()
                case ExecutorAction.EXIT:
                    self._on_exit(self._exit_code, self._reason)

    def _call_hook(self, name: str, argument: object) -> None:
        if self.system.find(AUTHOR) is not None:
            self.tell(AUTHOR, m.CallHook(name, argument))

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._apply(ExecutorEvent.END)

    def _fail(self, reason: str) -> None:
        self._broken = self._reason = reason
        self._exit_code = 1
        self._apply(ExecutorEvent.START_FAILED)

    def _load(self) -> None:
        """Read the start-up letter and make the author's executor; what is wrong is told by every task."""
        event, environment = self._subscribed, self._environment
        assert event is not None
        boot = self._boot = self._letter.open()
        known = boot or ExecutorBoot(None, "", b"", "")
        self._room.offered = known.reliable
        if known.server_url:
            self._server = FrameworkServer(known.server_url, known.token)
        if known.trace:
            self._start_trace()
        try:
            name = self._class_name or known.executor_class
            loaded = load(name, settings=known.settings, modules=known.modules)
        except BadExecutor as error:
            if error.__cause__ is not None and (shown := traceback_below(error.__cause__)):
                logger.error("%s%s", error, shown)
            self._fail(str(error))
            return
        instance = loaded.instance
        instance.sandbox = environment.sandbox
        instance.framework_id = environment.framework_id
        instance.executor_id = environment.executor_id
        instance.agent_id = event.agent_id
        self._loaded = loaded
        self.spawn(AuthorActor, instance, self._room, raw=boot is None, name=AUTHOR)
        self.tell(AUTHOR, m.StartAuthor())
        self.timers.after(SLOW_START, StillStarting())

    def _start_trace(self) -> None:
        """Trace from here on, and ship the trace to the scheduler's server."""
        path = self._environment.sandbox / TRACE_FILE
        try:
            writer = TraceWriter(path, self.system.name)
        except OSError as error:
            logger.error("no trace is written: %s", error)
            return
        self.system.trace_to(writer)
        if self._server is not None:
            parts = path, self._server, self.system.name, writer.flush
            self._shipping = self.spawn(TraceActor, *parts, name=TRACE)

    def _launch(self, task_id: TaskId, data: bytes) -> None:
        if task_id in self._seen:
            logger.warning("task %s was launched before; ignored", task_id)
            return
        self._seen[task_id] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        made = call(self._make_task, data)
        if made.error is not None:  # a payload's own code, such as its __post_init__, may do anything
            self._report_failed(task_id, f"the task cannot be read: {one_line(made.error)}")
            return
        ref, cause, refusal = made.result
        self._tasks[task_id] = ref, cause
        if self._life.state not in STARTED:
            refused = m.RefuseTask(self._broken or f"the executor ends: {self._reason}")
            self._tell_caused(ref, refused, cause)
        elif refusal:
            self._tell_caused(ref, m.RefuseTask(refusal, retry=False), cause)
        elif self._life.state is ExecutorState.READY:
            self._tell_caused(ref, m.StartTask(), cause)
        # else START_TASKS will

    def _make_task(self, data: bytes) -> tuple[ActorRef[Any], str, str]:
        made = assign(pb.mesos.TaskInfo.FromString(data), self._loaded, foreign=self._boot is None)
        name = f"{TASK}{made.task_id}"
        shared = self._environment, self._server, self._threads, self._room
        ref = self.spawn(RunningTaskActor, made, *shared, name=name)
        return ref, made.cause, made.refusal

    @staticmethod
    def _tell_caused(ref: ActorRef[Any], message: object, cause: str) -> None:
        """Tell an actor that may have failed a moment ago: `ChildFailed` is on its way then, and answers for it."""
        try:
            ref.tell_caused(message, cause)
        except ActorDeadError:
            pass

    def _kill_all(self) -> None:
        if not self._tasks:
            self._apply(ExecutorEvent.NO_TASKS)
        share = SHARES[ExecutorState.KILLING] * self._environment.shutdown_grace_period
        for ref, _ in self._tasks.values():
            self.tell(ref, m.KillTask(share * 0.9))

    def _stop_author(self) -> None:
        if self.system.find(AUTHOR) is None:
            self._apply(ExecutorEvent.AUTHOR_STOPPED)
        else:
            self.tell(AUTHOR, m.StopAuthor())

    def _leave(self) -> None:
        self._left = 2
        for each in (CONNECTION, MESSAGES):
            self.tell(each, m.Leave())
        if self._shipping is not None:
            self._left += 1
            self.run_in_background(self._ship_rest(self._shipping), name="ship the rest of the trace")

    async def _ship_rest(self, shipping: ActorRef[Any]) -> None:
        try:
            await shipping.ask(m.FinishShipping(), block=False)
        except Exception as error:
            logger.warning("the end of the trace was not shipped: %s", one_line(error))
        self.actor_ref.tell(m.Left())


def _registration(event: Subscribed) -> Registration:
    agent = pb.mesos.AgentInfo.FromString(event.agent_info)
    framework = pb.mesos.FrameworkInfo.FromString(event.framework_info)
    ids = event.framework_id, framework.name, event.executor_id
    return Registration(event.agent_id, agent.hostname, *ids, event.container_id or "")
