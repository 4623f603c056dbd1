"""What the parts of one agent share: its settings, records, streams of updates, checkpoint, and the ways out.

The agent actor makes one and gives it to its parts; they run only inside that actor's handlers.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from actors.runtime import Actor, Timer
from mesos_v1 import pb
from playa.agent.checkpoint import Ledger
from playa.agent.messages import ExecutorRun
from playa.agent.records import ExecutorRecord, FrameworkRecord, TaskRecord, task_proto
from playa.agent.update_streams import UpdateStreams
from playa.settings import AgentSettings


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
        """Tell the master, unless a fault keeps the agent silent."""
        if not self.silent:
            self._master.tell(message)

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
        head = self.streams.head(executor.run.framework_id, task.task_id)
        return task_proto(executor, task, head and pb.mesos.TaskStatus.FromString(head.status))
