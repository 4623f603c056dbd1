"""One executor's container: its sandbox is filled, its process started, followed, and destroyed when asked, or with its agent.

If its framework checkpoints, the container actor of the next agent follows the process again.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.runtime import Actor, ActorRef, receive
from mesos_v1 import pb
from playa.agent import messages as m
from playa.agent.checkpoint import RecoveredTask
from playa.agent.containers.fetcher import Blocking, FetchFailed, fetch
from playa.agent.containers.processes import PROCESSES, Child, Command, start_time
from playa.agent.containers.sandbox import make_sandbox, open_output
from playa.settings import AgentSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What an executor's container is made from, or a built-in executor."""

    run: m.ExecutorRun
    executor: pb.mesos.ExecutorInfo
    framework: pb.mesos.FrameworkInfo
    settings: AgentSettings
    sandbox: Path
    environment: Mapping[str, str]
    volumes: tuple[tuple[str, str], ...]  # where the data of each is, and its path in the sandbox
    owner: str  # the agent's work directory
    checkpoint: bool  # whether it lives on when its agent is killed
    pid: int  # of a process that runs already, and is only to be followed; else 0
    started: int  # the start time of that
    recovered: tuple[RecoveredTask, ...]  # what a built-in executor ran before its agent was started again

    @property
    def user(self) -> str:
        return self.executor.command.user or self.framework.user  # empty: whoever the agent runs as

    @property
    def outlives(self) -> bool:
        """Whether it may even outlive the cluster's process."""
        return self.checkpoint and bool(self.settings.work_dir)


class PrepareFailed(Exception):  # noqa: N818 - an outcome, told to a framework
    """A sandbox could not be made ready; the text says why."""


async def prepare(container: Container, in_thread: Blocking) -> None:
    """Make an executor's sandbox with its volumes, and fetch what its command needs, or raise PrepareFailed."""
    sandbox = container.sandbox
    try:
        make_sandbox(sandbox, container.user, container.volumes)
    except (OSError, ValueError) as error:
        raise PrepareFailed(f"Failed to prepare sandbox '{sandbox}': {error}") from error
    await fetch_uris(container.executor.command, sandbox, container.run.container_id, in_thread)


async def fetch_uris(
    info: pb.mesos.CommandInfo, sandbox: Path, container_id: str, in_thread: Blocking
) -> None:
    """Fetch what a command needs, or raise PrepareFailed: why is in the sandbox's stderr, as with Mesos's fetcher."""
    try:
        await fetch(info.uris, sandbox, in_thread)
    except FetchFailed as error:
        with suppress(OSError), open_output(sandbox, "stderr") as out:
            out.write(f"{error}\n".encode())
        text = f"Failed to fetch all URIs for container '{container_id}': exited with status 1"
        raise PrepareFailed(text) from error


class ContainerActor(Actor):
    """Starts and follows the process of one custom executor."""

    def __init__(self, container: Container, agent: ActorRef[Any]) -> None:
        self._container = container
        self._agent = agent
        self._child: Child | None = None

    def on_start(self) -> None:
        """Start the process in the background."""
        self._work = self.run_in_background(self._run(), name="run")

    def on_stop(self) -> None:
        """The agent died: a process that does not checkpoint dies with it."""
        if not self._container.checkpoint:
            self._kill()

    def on_failure(self, *_: object) -> None:
        """A bug here: no process is left."""
        self._kill()

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    @receive
    def handle_destroy_container(self, message: m.DestroyContainer) -> None:
        self._kill()  # the agent is told of its end when it is there
        if self._child is None and not self._work.done():
            self._work.cancel()
            self._end(m.ContainerExited(self._container.run, None))

    async def _run(self) -> None:
        c = self._container
        try:
            if c.pid:
                self._child = PROCESSES.adopt(c.pid, c.started, owner=c.owner, status_file=None)
            else:
                await prepare(c, self.in_thread)
                command = Command.of(c.executor.command, c.environment, c.sandbox, c.user)
                self._child = child = PROCESSES.spawn(
                    command, owner=c.owner, survives=c.outlives, remember=c.checkpoint
                )
                self._agent.tell(m.ContainerStarted(c.run, "", child.pid, start_time(child.pid)))
        except (PrepareFailed, OSError) as error:
            self._end(m.ContainerLaunchFailed(c.run, str(error)))
        else:
            status = None if self._child is None else await self._child.wait()
            self._end(m.ContainerExited(c.run, status))

    def _end(self, how: m.ContainerExited | m.ContainerLaunchFailed) -> None:
        self._agent.tell(how)
        self.actor_ref.stop(block=False)
