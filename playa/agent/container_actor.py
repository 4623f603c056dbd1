"""One executor's container: its sandbox is filled, its process started, followed, and destroyed when asked.

The process runs in a session of its own. When the agent dies the process dies too, unless its framework checkpoints:
then the container actor of the next agent follows it again.
"""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from actors.runtime import Actor, ActorRef, receive
from mesos_v1 import pb
from playa.agent.containers.fetcher import Blocking, FetchFailed, fetch, wanted
from playa.agent.containers.proc import start_time
from playa.agent.containers.processes import PROCESSES, Child, command_of, user_to_switch_to
from playa.agent.containers.sandbox import link_volume, make_sandbox, open_output
from playa.agent.messages import (
    ContainerExited,
    ContainerLaunchFailed,
    ContainerSpec,
    ContainerStarted,
    DestroyContainer,
)


class PrepareFailed(Exception):  # noqa: N818 - an outcome, told to a framework
    """A sandbox could not be made ready; the text says why."""


def furnish(spec: ContainerSpec) -> None:
    """Make the sandbox and link the volumes.

    Raises:
        PrepareFailed: It cannot be made.
    """
    sandbox = Path(spec.sandbox)
    try:
        make_sandbox(sandbox)
        user = user_to_switch_to(spec.user)
        if user is not None:
            os.chown(sandbox, user.pw_uid, user.pw_gid)
        for volume, path in spec.volumes:
            link_volume(Path(volume), sandbox, path)
    except (OSError, ValueError) as error:
        raise PrepareFailed(f"Failed to prepare sandbox '{spec.sandbox}': {error}") from error


async def fetch_uris(
    info: pb.mesos.CommandInfo, sandbox: Path, container_id: str, in_thread: Blocking
) -> None:
    """Fetch what a command needs. Why that failed is in the sandbox's stderr, as with Mesos's fetcher.

    Raises:
        PrepareFailed: Something could not be fetched.
    """
    try:
        await fetch(wanted(info.uris), sandbox, in_thread)
    except FetchFailed as error:
        with suppress(OSError), open_output(sandbox, "stderr") as out:
            out.write(f"{error}\n".encode())
        text = f"Failed to fetch all URIs for container '{container_id}': exited with status 1"
        raise PrepareFailed(text) from error


class ContainerActor(Actor):
    """Starts and follows the process of one custom executor."""

    def __init__(self, spec: ContainerSpec, agent: ActorRef[Any]) -> None:
        super().__init__()
        self._spec = spec
        self._agent = agent
        self._child: Child | None = None
        self._over = False

    def on_start(self) -> None:
        """Start the process in the background."""
        self._work = self.run_in_background(self._run(), name="run")

    def on_stop(self) -> None:
        """The agent died: a process that does not checkpoint dies with it."""
        if self._child is not None and not self._spec.checkpoint:
            self._child.kill()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """A bug here: the agent hears of it, and no process is left."""
        if self._child is not None:
            self._child.kill()

    @receive
    def handle_destroy_container(self, message: DestroyContainer) -> None:
        """Kill all of it; its end is told as soon as it is there."""
        if self._child is not None:
            self._child.kill()
        elif not self._over:
            self._work.cancel()
            self._exited(None)

    async def _run(self) -> None:
        spec = self._spec
        try:
            self._child = self._adopt() if spec.pid else await self._start()
        except (PrepareFailed, OSError) as error:
            self._over = True
            self._agent.tell(
                ContainerLaunchFailed(spec.framework_id, spec.executor_id, spec.container_id, str(error))
            )
            self.actor_ref.stop(block=False)
            return
        if self._child is None:
            self._exited(None)
            return
        if not spec.pid:
            started = start_time(self._child.pid)
            self._agent.tell(
                ContainerStarted(
                    spec.framework_id, spec.executor_id, spec.container_id, "", self._child.pid, started
                )
            )
        self._exited(await self._child.wait())

    def _adopt(self) -> Child | None:
        spec = self._spec
        return PROCESSES.adopt(spec.pid, spec.started, owner=spec.owner, status_file=None)

    async def _start(self) -> Child:
        spec = self._spec
        info = pb.mesos.CommandInfo.FromString(spec.command)
        furnish(spec)
        if info.uris:
            await fetch_uris(info, Path(spec.sandbox), spec.container_id, self.in_thread)
        command = command_of(info, dict(spec.environment), Path(spec.sandbox), spec.user)
        return PROCESSES.spawn(command, owner=spec.owner, survives=spec.outlives, remember=spec.checkpoint)

    def _exited(self, status: int | None) -> None:
        self._over = True
        spec = self._spec
        self._agent.tell(ContainerExited(spec.framework_id, spec.executor_id, spec.container_id, status))
        self.actor_ref.stop(block=False)
