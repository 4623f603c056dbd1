"""What the tests of the agent share: recordings, an agent with a master that only notes, small executors."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.runtime import Actor, ActorRef, ActorSystem
from mesos_v1 import pb
from mesos_v1.content import from_json
from playa.agent.agent_actor import AgentActor
from playa.agent.containers.processes import PROCESSES
from playa.messages import (
    AgentRegistered,
    AgentReregistered,
    AgentUpdate,
    RegisterAgent,
    ReregisterAgent,
    RunTask,
    RunTaskGroup,
    UpdateAcknowledged,
)
from playa.settings import AgentSettings

RECORDED = Path(__file__).parent.parent / "recorded"
MINI_EXECUTOR = Path(__file__).parent / "mini_executor.py"
AGENT_ID = "M-S0"
FRAMEWORK_ID = "M-0000"


@pytest.fixture
def recorded():
    """A recording's lines by name."""

    def read(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]

    return read


class NotingMaster(Actor):
    """Stands where the master stands: registers the agent, notes everything, acknowledges if told to."""

    def __init__(self, notes: list[Any], acknowledge: Callable[[AgentUpdate], bool]) -> None:
        super().__init__()
        self._notes = notes
        self._acknowledge = acknowledge

    def on_receive(self, message: Any) -> Any:
        self._notes.append(message)
        if isinstance(message, RegisterAgent):
            self.tell(message.agent, AgentRegistered(agent_id=AGENT_ID, total_ping_timeout=1000.0))
        elif isinstance(message, ReregisterAgent):
            answer = AgentReregistered(agent_id=AGENT_ID, total_ping_timeout=1000.0, reconcile=())
            self.tell(message.agent, answer)
        elif isinstance(message, AgentUpdate) and self._acknowledge(message):
            status = pb.mesos.TaskStatus.FromString(message.status)
            done = UpdateAcknowledged(
                framework_id=message.framework_id, task_id=status.task_id.value, uuid=status.uuid
            )
            self.tell("agent:0", done)


class Bench:
    """An agent in a system of its own, and what it said to its master."""

    def __init__(self, system: ActorSystem, directory: Path) -> None:
        self.system = system
        self.directory = directory
        self.notes: list[Any] = []
        self.acknowledging = True
        self.settings = AgentSettings()
        self.agent: ActorRef[AgentActor]

    async def start(self, **settings: Any) -> None:
        """Start (or start again) the agent, and wait until it is registered."""
        self.settings = AgentSettings(**settings)
        if self.system.find("master") is None:
            self.system.spawn(NotingMaster, self.notes, lambda _: self.acknowledging, name="master")
        before = len(self.of(RegisterAgent)) + len(self.of(ReregisterAgent))
        self.agent = self.system.spawn(AgentActor, self.settings, 0, str(self.directory), name="agent:0")
        await self.until(lambda: len(self.of(RegisterAgent)) + len(self.of(ReregisterAgent)) > before)

    async def die(self) -> None:
        """The agent's sudden death."""
        await self.agent.stop(block=False)

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Wait for something to become true."""
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                await asyncio.sleep(0.005)
        return found

    def of(self, cls: type) -> list[Any]:
        """What the master heard, of one kind."""
        return [note for note in self.notes if isinstance(note, cls)]

    def statuses(self, task_id: str = "t") -> list[pb.mesos.TaskStatus]:
        """A task's updates as the master heard them."""
        found = [pb.mesos.TaskStatus.FromString(note.status) for note in self.of(AgentUpdate)]
        return [status for status in found if status.task_id.value == task_id]

    def states(self, task_id: str = "t") -> list[str]:
        """The states of them."""
        return [pb.mesos.TaskState.Name(status.state) for status in self.statuses(task_id)]

    async def ended(self, task_id: str = "t", seconds: float = 10.0) -> pb.mesos.TaskStatus:
        """Wait for a task's terminal status."""
        terminal = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_DROPPED", "TASK_GONE"}
        await self.until(lambda: set(self.states(task_id)) & terminal, seconds)
        return self.statuses(task_id)[-1]

    async def running(self, task_id: str = "t") -> pb.mesos.TaskStatus:
        """Wait for a task to run."""
        await self.until(lambda: "TASK_RUNNING" in self.states(task_id))
        return self.statuses(task_id)[-1]

    def framework(self, **more: Any) -> pb.mesos.FrameworkInfo:
        """A framework's info."""
        capabilities = [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}]
        body = {
            "user": "",
            "name": "f",
            "id": {"value": FRAMEWORK_ID},
            "roles": ["*"],
            "capabilities": capabilities,
        }
        return from_json(pb.mesos.FrameworkInfo, {**body, **more})

    def run(self, task: dict[str, Any], **framework: Any) -> None:
        """Have the agent run a task."""
        info = self.framework(**framework).SerializeToString()
        self.agent.tell(RunTask(framework_info=info, task=self.task(task).SerializeToString()))

    def run_group(self, *tasks: dict[str, Any], executor_id: str = "pod", **framework: Any) -> None:
        """Have the agent run a task group on the default executor."""
        executor = pb.mesos.ExecutorInfo(type=pb.mesos.ExecutorInfo.DEFAULT)
        executor.executor_id.value = executor_id
        executor.framework_id.value = FRAMEWORK_ID
        group = pb.mesos.TaskGroupInfo(tasks=[self.task(task) for task in tasks])
        self.agent.tell(
            RunTaskGroup(
                framework_info=self.framework(**framework).SerializeToString(),
                executor=executor.SerializeToString(),
                task_group=group.SerializeToString(),
            )
        )

    def task(self, body: dict[str, Any]) -> pb.mesos.TaskInfo:
        """A task's info, with what every task needs."""
        task_id = body.get("task_id", "t")
        task = from_json(
            pb.mesos.TaskInfo,
            {"name": "t", "agent_id": {"value": AGENT_ID}, **body, "task_id": {"value": task_id}},
        )
        resource = task.resources.add(name="cpus", type=pb.mesos.Value.SCALAR)
        resource.scalar.value = 0.1
        resource.allocation_info.role = "*"
        return task

    def custom(self, data: str, *, task_id: str = "t", executor_id: str = "e", **more: Any) -> dict[str, Any]:
        """A task for the small executor of these tests; `data` says what it is to do."""
        import base64

        command = {
            "value": f"exec {sys.executable} mini_executor.py",
            "uris": [{"value": str(MINI_EXECUTOR)}],
        }
        return {
            "task_id": task_id,
            "data": base64.b64encode(data.encode()).decode(),
            "executor": {
                "type": "CUSTOM",
                "executor_id": {"value": executor_id},
                "framework_id": {"value": FRAMEWORK_ID},
                "command": command,
                **more,
            },
        }


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An agent to be started, with a master that notes; no process outlives it."""
    async with ActorSystem("bench") as system:
        yield Bench(system, tmp_path)
    await PROCESSES.end_all(str(tmp_path))
