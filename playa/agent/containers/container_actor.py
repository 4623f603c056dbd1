"""One executor's container: its sandbox is filled, its process started, followed, and destroyed when asked.

The process runs in a session of its own. When the agent dies the process dies too, unless its framework checkpoints:
then the container actor of the next agent follows it again.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from actors.runtime import Actor, ActorRef, receive
from mesos_v1 import pb
from playa.agent import messages as m
from playa.agent.containers.fetcher import Blocking, FetchFailed, fetch
from playa.agent.containers.processes import PROCESSES, Child, Command, start_time
from playa.agent.containers.sandbox import make_sandbox, open_output


class PrepareFailed(Exception):  # noqa: N818 - an outcome, told to a framework
    """A sandbox could not be made ready; the text says why."""


async def prepare(spec: m.ContainerSpec, in_thread: Blocking) -> None:
    """Make an executor's sandbox with its volumes, and fetch what its command needs.

    Raises:
        PrepareFailed: Something of it could not be done.
    """
    try:
        make_sandbox(Path(spec.sandbox), spec.user, spec.volumes)
    except (OSError, ValueError) as error:
        raise PrepareFailed(f"Failed to prepare sandbox '{spec.sandbox}': {error}") from error
    info = pb.mesos.CommandInfo.FromString(spec.command)
    await fetch_uris(info, Path(spec.sandbox), spec.run.container_id, in_thread)


async def fetch_uris(
    info: pb.mesos.CommandInfo, sandbox: Path, container_id: str, in_thread: Blocking
) -> None:
    """Fetch what a command needs. Why that failed is in the sandbox's stderr, as with Mesos's fetcher.

    Raises:
        PrepareFailed: Something could not be fetched.
    """
    try:
        await fetch(info.uris, sandbox, in_thread)
    except FetchFailed as error:
        with suppress(OSError), open_output(sandbox, "stderr") as out:
            out.write(f"{error}\n".encode())
        text = f"Failed to fetch all URIs for container '{container_id}': exited with status 1"
        raise PrepareFailed(text) from error


class ContainerActor(Actor):
    """Starts and follows the process of one custom executor."""

    def __init__(self, spec: m.ContainerSpec, agent: ActorRef[Any]) -> None:
        self._spec = spec
        self._agent = agent
        self._child: Child | None = None
        self._over = False

    def on_start(self) -> None:
        """Start the process in the background."""
        self._work = self.run_in_background(self._run(), name="run")

    def on_stop(self) -> None:
        """The agent died: a process that does not checkpoint dies with it."""
        if not self._spec.checkpoint:
            self._kill()

    def on_failure(self, *_: object) -> None:
        """A bug here: the agent hears of it, and no process is left."""
        self._kill()

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    @receive
    def handle_destroy_container(self, message: m.DestroyContainer) -> None:
        self._kill()  # the agent is told of its end when it is there
        if self._child is None and not self._over:
            self._work.cancel()
            self._end(m.ContainerExited(self._spec.run, None))

    async def _run(self) -> None:
        spec = self._spec
        try:
            if spec.pid:
                self._child = PROCESSES.adopt(spec.pid, spec.started, owner=spec.owner, status_file=None)
            else:
                self._child = await self._start()
        except (PrepareFailed, OSError) as error:
            self._end(m.ContainerLaunchFailed(spec.run, str(error)))
            return
        if self._child is not None and not spec.pid:
            self._agent.tell(m.ContainerStarted(spec.run, "", self._child.pid, start_time(self._child.pid)))
        self._end(m.ContainerExited(spec.run, await self._child.wait() if self._child is not None else None))

    async def _start(self) -> Child:
        spec = self._spec
        await prepare(spec, self.in_thread)
        info = pb.mesos.CommandInfo.FromString(spec.command)
        command = Command.of(info, dict(spec.environment), Path(spec.sandbox), spec.user)
        return PROCESSES.spawn(command, owner=spec.owner, survives=spec.outlives, remember=spec.checkpoint)

    def _end(self, how: m.ContainerExited | m.ContainerLaunchFailed) -> None:
        self._over = True
        self._agent.tell(how)
        self.actor_ref.stop(block=False)
