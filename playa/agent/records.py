"""What an agent knows, and its parts share: frameworks, their executors, their tasks, and the context that holds them all.

The agent actor and its parts are the only writers, inside that actor's handlers.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from actors.runtime import Actor, ActorRef, Timer
from actors.runtime.state_machine import Machine
from mesos_v1 import pb
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS
from playa.agent.checkpoint import Entry, Ledger
from playa.agent.executors.states import EXECUTOR, TASK, ExecutorEvent, ExecutorState, TaskEvent, TaskPhase
from playa.agent.messages import ExecutorRun
from playa.agent.statuses import State, Why
from playa.agent.update_streams import UpdateStreams
from playa.settings import AgentSettings
from playa.web import RecordStream

MAX_COMPLETED_TASKS = 200


class Kind(Enum):
    """What runs an executor's tasks."""

    CUSTOM = "CUSTOM"
    COMMAND = "COMMAND"
    DEFAULT = "DEFAULT"
    SIMULATED = "SIMULATED"


@dataclass(slots=True, eq=False)
class TaskRecord:
    """One task. `statuses` keeps one status per state, as Mesos does."""

    info: pb.mesos.TaskInfo
    life: Machine[TaskPhase, TaskEvent, None] = field(default_factory=lambda: Machine(TASK))
    statuses: list[pb.mesos.TaskStatus] = field(default_factory=list)

    @property
    def task_id(self) -> str:
        return self.info.task_id.value

    @property
    def phase(self) -> TaskPhase:
        return self.life.state

    @property
    def state(self) -> State:
        return self.statuses[-1].state if self.statuses else pb.mesos.TASK_STAGING

    def note(self, status: pb.mesos.TaskStatus) -> None:
        """Remember a status as the newest."""
        if self.statuses and self.statuses[-1].state == status.state:
            self.statuses.pop()
        self.statuses.append(status)


@dataclass(slots=True, eq=False)
class ExecutorRecord:
    """One executor."""

    info: pb.mesos.ExecutorInfo  # with framework id
    framework: "FrameworkRecord"
    run: ExecutorRun
    kind: Kind
    for_command_task: bool  # the agent made it up, and the master does not know of it
    sandbox: str  # empty for a simulated one
    checkpoint: bool  # whether it survives its agent
    token: str  # what its calls must present, if anything
    life: Machine[ExecutorState, ExecutorEvent, None] = field(default_factory=lambda: Machine(EXECUTOR))
    tasks: dict[str, TaskRecord] = field(default_factory=dict)  # but for the completed ones
    arrived: list[TaskRecord] = field(
        default_factory=list
    )  # since the last time that it was given what is queued
    groups: list[tuple[str, ...]] = field(default_factory=list)  # that wait for it, as task ids
    completed: deque[TaskRecord] = field(default_factory=lambda: deque(maxlen=MAX_COMPLETED_TASKS))
    stream: RecordStream | None = None  # of a custom executor, while it is subscribed
    runner: ActorRef[Any] | None = None  # its container, or the built-in executor itself
    pid: int = 0  # of its process; 0 if there is none (yet)
    ending: tuple[State, Why] | None = None  # of its tasks, where the agent ends it for a reason of its own
    ever_sent: bool = False  # whether it was ever sent a task

    @property
    def executor_id(self) -> str:
        return self.run.executor_id

    @property
    def state(self) -> ExecutorState:
        return self.life.state

    def send(self, kind: pb.executor.Event.Type.ValueType, **part: Any) -> bool:
        """Send an event, if the executor is subscribed over HTTP; whether it is."""
        if self.stream is not None:
            self.stream.send_message(pb.executor.Event(type=kind, **part))
        return self.stream is not None

    def shutdown_grace_period(self, default: float) -> float:
        """How long it may take to end when told to: what its framework says, else the agent's setting."""
        asked = self.info.shutdown_grace_period.nanoseconds / NANOS
        return asked if self.info.HasField("shutdown_grace_period") else default

    def add(self, task: TaskRecord) -> None:
        """Take a task in."""
        self.tasks[task.task_id] = task
        self.arrived.append(task)
        self.framework.executor_of_task[task.task_id] = self

    def in_phase(self, phase: TaskPhase) -> list[TaskRecord]:
        """Its tasks in one phase, oldest first."""
        return [task for task in self.tasks.values() if task.phase is phase]

    def all_tasks(self) -> Iterator[TaskRecord]:
        """Those that are not completed, then the last ones that are."""
        yield from self.tasks.values()
        yield from self.completed

    def allocated(self) -> Resources:
        """What the executor and its tasks that are not over have."""
        resources = Resources.from_proto(self.info.resources)
        for task in self.tasks.values():
            if task.phase in {TaskPhase.QUEUED, TaskPhase.LAUNCHED}:
                resources += Resources.from_proto(task.info.resources)
        return resources


@dataclass(slots=True, eq=False)
class FrameworkRecord:
    """One framework that has something here. `executor_of_task` is of the tasks that are not completed."""

    info: pb.mesos.FrameworkInfo
    completed: deque[ExecutorRecord]
    terminating: bool = False
    executors: dict[str, ExecutorRecord] = field(default_factory=dict)
    executor_of_task: dict[str, ExecutorRecord] = field(default_factory=dict)

    @property
    def framework_id(self) -> str:
        return self.info.id.value


class AgentContext:
    """One agent's state and its ways out."""

    streams: UpdateStreams  # made by `status_updates`
    less_is_here: Callable[[], None]  # called when a framework or an operation has gone

    def __init__(
        self, actor: Actor, settings: AgentSettings, work_dir: Path, info: pb.mesos.AgentInfo
    ) -> None:
        self.actor = actor
        self.settings = settings
        self.work_dir = work_dir
        self.info = info  # has an id once the master gave one
        self.port = 0  # of its site; 0 for a simulated agent
        self.domain_socket = ""  # where its site can be reached besides; empty if nowhere
        self.key = b""  # what executors' tokens are signed with; empty if they need none
        self.frameworks: dict[str, FrameworkRecord] = {}
        self.completed_frameworks: list[FrameworkRecord] = []  # the last ones that are gone
        self.ledger = Ledger(work_dir / "meta")
        self.silent = False  # a fault: nothing goes to the master
        self.connected = False  # the master knows the agent
        self.recovering = False  # executors from before a restart still have time to come back
        self.terminating = False
        self.drain: pb.mesos.DrainConfig | None = None
        self.drain_started: float | None = None  # in seconds since 1970
        self.time: Callable[[], float] = actor.clock.time
        self.uuid: Callable[[], bytes] = actor.ids.uuid_bytes
        self.after: Callable[[float, Any], Timer] = actor.timers.after
        self.start_time = actor.clock.time()
        self._master = actor.ref("master")

    @property
    def agent_id(self) -> str:
        return self.info.id.value  # empty before the master gave one

    @property
    def pid(self) -> str:
        return f"slave(1)@{self.settings.ip}:{self.port}"  # as Mesos writes it

    def to_master(self, message: Any) -> None:
        """Tell the master, if there is one, unless a fault keeps the agent silent."""
        if not self.silent and self._master.is_alive():
            self._master.tell(message)

    def checkpoint(self, executor: ExecutorRecord, entry: Entry, *more: object) -> None:
        """Write a record about an executor that survives its agent."""
        if executor.checkpoint:
            self.ledger.write(entry, executor.run.framework_id, executor.run.executor_id, *more)

    def executors(self) -> Iterator[ExecutorRecord]:
        """Those of all frameworks, as they are now."""
        for framework in list(self.frameworks.values()):
            yield from list(framework.executors.values())

    def executor(self, run: ExecutorRun) -> ExecutorRecord | None:
        """An executor, if it is still in this run."""
        found = self.find_executor(run.framework_id, run.executor_id)
        return found if found is not None and found.run == run else None

    def find_executor(self, framework_id: str, executor_id: str) -> ExecutorRecord | None:
        """An executor by its ids."""
        framework = self.frameworks.get(framework_id)
        return framework.executors.get(executor_id) if framework is not None else None

    def executor_of(self, framework_id: str, task_id: str) -> ExecutorRecord | None:
        """The executor of a task that is not completed."""
        framework = self.frameworks.get(framework_id)
        return framework.executor_of_task.get(task_id) if framework is not None else None

    def task_proto(self, executor: ExecutorRecord, task: TaskRecord) -> pb.mesos.Task:
        """A task as the master and operators are told of it, with the update that is on its way to the scheduler."""
        info, head = task.info, self.streams.head(executor.run.framework_id, task.task_id)
        last = task.statuses[-1] if task.statuses else None
        if head is not None:
            last = pb.mesos.TaskStatus.FromString(head.status)
        user = info.command.user if info.HasField("command") else info.executor.command.user
        more = ("labels", "discovery", "container", "health_check", "kill_policy")
        return pb.mesos.Task(
            name=info.name,
            task_id=info.task_id,
            agent_id=info.agent_id,
            framework_id=executor.framework.info.id,
            executor_id=None if executor.for_command_task else executor.info.executor_id,
            state=task.state,
            resources=info.resources,
            statuses=task.statuses,
            status_update_state=None if last is None else last.state,
            status_update_uuid=None if last is None else last.uuid,
            user=user or None,
            **{name: getattr(info, name) for name in more if info.HasField(name)},  # type: ignore[arg-type]
        )
