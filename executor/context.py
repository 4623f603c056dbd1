"""`TaskContext`: what a running task can do besides returning a result."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mesos_v1.values import TaskId


@dataclass(frozen=True, slots=True)
class Upload:
    """Where an upload ended up.

    Attributes:
        name: Its name on the framework's server.
        url: Where it can be fetched.
        size: Bytes.
    """

    name: str
    url: str
    size: int


class TaskOffice(Protocol):
    """What a context hands its requests to; implemented by the task's actor."""

    def send(self, message: object) -> None:
        """See `TaskContext.send`. From any thread."""

    def progress(self, message: object) -> None:
        """See `TaskContext.progress`. From any thread."""

    async def upload(self, name: str, source: bytes | Path, content_type: str) -> Upload:
        """See `TaskContext.upload`. On the loop."""

    @property
    def killed(self) -> bool:
        """See `TaskContext.killed`."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that everything runs on."""


class TaskContext:
    """The context of one running task.

    Attributes:
        task_id: Its id.
        name: Its name, as the scheduler gave it.
        labels: Its labels; a label without a value has "".
        sandbox: The executor's working directory (shared with the executor's other tasks).
        ports: The ports that it was launched with (`launch(ports=…)`), lowest first; nobody else on the agent has them.
    """

    __slots__ = ("_office", "labels", "name", "ports", "sandbox", "task_id")

    def __init__(
        self,
        office: TaskOffice,
        *,
        task_id: TaskId,
        name: str,
        labels: tuple[tuple[str, str], ...],
        sandbox: Path,
        ports: tuple[int, ...] = (),
    ) -> None:
        self._office = office
        self.task_id = task_id
        self.name = name
        self.labels = labels
        self.sandbox = sandbox
        self.ports = ports

    def __repr__(self) -> str:
        return f"TaskContext({self.task_id!r})"

    @property
    def killed(self) -> bool:
        """Whether the task is to end.

        A coroutine is cancelled anyway; a plain function, which cannot be interrupted, looks here from time to time and
        returns.
        """
        return self._office.killed

    def send(self, message: object) -> None:
        """Send a message to the framework's scheduler, best effort: Mesos may lose it. From any thread.

        Raises:
            ValueError: It is nothing that can be packed (a `@message` class), or larger than the scheduler reads.
        """
        self._office.send(message)

    def progress(self, message: object) -> None:
        """Report how far the task is: a TASK_RUNNING update, acknowledged like any other. From any thread.

        Text becomes the update's message; a `@message` instance its data. At most one update a second is sent, with
        the newest of what was reported.
        """
        self._office.progress(message)

    async def upload(
        self, name: str, source: bytes | Path, content_type: str = "application/octet-stream"
    ) -> Upload:
        """Upload bytes, or a file (streamed), to the framework's server; tried again when the network fails.

        Args:
            name: What it is called there: letters, digits, ``.``, ``_``, ``-`` and ``/``.

        Raises:
            TaskFailed: The server refuses it (too large, a bad name), or could not be reached for long.
            TypeError: The source is neither bytes nor a path.
        """
        _check_source(source)
        return await self._office.upload(name, source, content_type)

    def upload_blocking(
        self, name: str, source: bytes | Path, content_type: str = "application/octet-stream"
    ) -> Upload:
        """`upload` for plain functions, which run in a thread.

        Raises:
            RuntimeError: It was called from a coroutine, where it would wait for ever.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "upload_blocking waits for the loop that calls it: in a coroutine, use await context.upload(…)"
            )
        _check_source(source)
        request = self._office.upload(name, source, content_type)
        return asyncio.run_coroutine_threadsafe(request, self._office.loop).result()


def _check_source(source: object) -> None:
    if not isinstance(source, bytes | Path):
        raise TypeError(
            f"upload(name, source): the source is bytes, or a pathlib.Path for a file, and not {type(source).__name__}"
        )
