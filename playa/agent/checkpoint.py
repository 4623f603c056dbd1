"""The checkpoint: what an agent must remember to take its executors and updates up again after it was killed.

One append-only file of msgpack records under `meta/`, written as things happen and read once at the start; a record
that was cut off by a crash ends the reading. It is written again, without what is over, when the agent recovers. What
survives is an agent killed at any moment; a machine that loses power may lose the last records (nothing is fsynced), as
everything that could be recovered is gone with it.

Only frameworks with `checkpoint: true` have records here, and the agent's own id, resources and operations. `read` folds the
records to what the agent knew when it was killed; `records` gives the shortest list that says the same.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import Any

import msgpack


class Entry(StrEnum):
    """What a record is, by its first element."""

    AGENT = "agent"
    RESOURCES = "resources"
    FRAMEWORK = "framework"
    EXECUTOR = "executor"
    STARTED = "started"
    TASK = "task"
    UPDATE = "update"
    ACKNOWLEDGED = "acknowledged"
    EXITED = "exited"
    FRAMEWORK_GONE = "framework gone"
    OPERATION = "operation"
    OPERATION_ACKNOWLEDGED = "operation acknowledged"
    DRAIN = "drain"


Record = tuple[Any, ...]


class Ledger:
    """The file, open for appending from the first record on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger"
        self._file: FileIO | None = None

    def read(self) -> Iterator[Record]:
        """The records of an agent before this one; none if there was none."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=len(data) or 1)
        unpacker.feed(data)
        try:
            for record in unpacker:
                if not isinstance(record, tuple) or not record or not isinstance(record[0], str):
                    return
                yield record
        except (msgpack.UnpackException, ValueError):
            return

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace the file by these records, all at once."""
        self.close()
        fresh = self._path.with_suffix(".new")
        with self._open(fresh, "wb") as out:
            for record in records:
                out.write(msgpack.packb(record))
        fresh.replace(self._path)

    def write(self, *record: Any) -> None:
        """Append one record; it is with the operating system when this returns."""
        if self._file is None:
            self._file = self._open(self._path, "ab")
        self._file.write(msgpack.packb(record))

    def _open(self, path: Path, mode: str) -> FileIO:
        """Open a file for its owner alone: it holds commands, environments and tokens."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))
        os.fchmod(file.fileno(), 0o600)
        return file

    def forget(self) -> None:
        """The agent does not come back: nothing is to be recovered."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class RecoveredTask:
    """A task (`mesos.v1.TaskInfo`) that was not completed.

    Attributes:
        group: The ids of its group's tasks, empty for a single one.
        pid: Its process, if a built-in executor ran it.
        updates: `mesos.v1.TaskStatus` each, in order, acknowledged ones too.
        acknowledged: The uuids of those that are.
    """

    info: bytes
    group: tuple[str, ...]
    pid: int = 0
    started: int = 0
    updates: list[bytes] = field(default_factory=list)
    acknowledged: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class RecoveredExecutor:
    """An executor (`mesos.v1.ExecutorInfo`); `exited` if it was over already but for acknowledgements."""

    info: bytes
    container_id: str
    kind: str
    sandbox: str
    token: str
    pid: int = 0
    started: int = 0
    exited: bool = False
    tasks: dict[str, RecoveredTask] = field(default_factory=dict)


@dataclass(slots=True)
class RecoveredFramework:
    """A framework (`mesos.v1.FrameworkInfo`) that checkpoints, with its executors by id."""

    info: bytes
    executors: dict[str, RecoveredExecutor] = field(default_factory=dict)

    def task(self, task_id: str) -> RecoveredTask:
        """One of its tasks."""
        return next(e.tasks[task_id] for e in self.executors.values() if task_id in e.tasks)


@dataclass(slots=True)
class Recovered:
    """All that was checkpointed.

    Attributes:
        agent_info: `mesos.v1.AgentInfo` with its id; None for an agent that never was registered.
        resources: `mesos.v1.Resource` each, after the operations; None if there were none.
        frameworks: By id.
        operations: `mesos.v1.Operation` by uuid, not acknowledged.
        drain: `mesos.v1.DrainConfig`, empty for an agent that did not drain.
    """

    agent_info: bytes | None = None
    resources: tuple[bytes, ...] | None = None
    frameworks: dict[str, RecoveredFramework] = field(default_factory=dict)
    operations: dict[bytes, bytes] = field(default_factory=dict)
    drain: bytes = b""


def read(said: Iterable[Record]) -> Recovered:
    """Fold records into what they say; what does not fit together (a cut-off file) is left out."""
    out = Recovered()
    for record in said:
        with suppress(KeyError, ValueError, TypeError, AttributeError, StopIteration):
            _take_in(out, record)
    return out


def _take_in(out: Recovered, record: Record) -> None:
    match record:
        case (Entry.AGENT, bytes(info)):
            out.agent_info = info
        case (Entry.RESOURCES, tuple(resources)):
            out.resources = resources
        case (Entry.DRAIN, bytes(config)):
            out.drain = config
        case (Entry.OPERATION, bytes(uuid), bytes(operation)):
            out.operations[uuid] = operation
        case (Entry.OPERATION_ACKNOWLEDGED, bytes(uuid)):
            out.operations.pop(uuid, None)
        case (Entry.FRAMEWORK, str(framework), bytes(info)):
            out.frameworks.setdefault(framework, RecoveredFramework(info)).info = info
        case (Entry.FRAMEWORK_GONE, str(framework)):
            out.frameworks.pop(framework, None)
        case (
            Entry.EXECUTOR,
            str(framework),
            str(name),
            bytes(info),
            str(run),
            str(kind),
            str(box),
            str(token),
        ):
            out.frameworks[framework].executors[name] = RecoveredExecutor(info, run, kind, box, token)
        case (Entry.STARTED, str(framework), str(name), str(run), str(task_id), int(pid), int(started)):
            executor = out.frameworks[framework].executors[name]
            if executor.container_id == run:
                process = executor.tasks[task_id] if task_id else executor
                process.pid, process.started = pid, started
        case (Entry.TASK, str(framework), str(name), str(task_id), bytes(info), tuple(group)):
            out.frameworks[framework].executors[name].tasks[task_id] = RecoveredTask(info, group)
        case (Entry.EXITED, str(framework), str(name), str(run)):
            executor = out.frameworks[framework].executors[name]
            executor.exited |= executor.container_id == run
        case (Entry.UPDATE, str(framework), str(task_id), bytes(status)):
            out.frameworks[framework].task(task_id).updates.append(status)
        case (Entry.ACKNOWLEDGED, str(framework), str(task_id), bytes(uuid)):
            out.frameworks[framework].task(task_id).acknowledged.add(uuid)


def records(state: Recovered) -> Iterator[Record]:
    """The shortest list of records that `read` makes the same of."""
    if state.agent_info is not None:
        yield Entry.AGENT, state.agent_info
    if state.resources is not None:
        yield Entry.RESOURCES, state.resources
    if state.drain:
        yield Entry.DRAIN, state.drain
    for uuid, operation in state.operations.items():
        yield Entry.OPERATION, uuid, operation
    for framework_id, framework in state.frameworks.items():
        yield Entry.FRAMEWORK, framework_id, framework.info
        for executor_id, executor in framework.executors.items():
            yield (
                Entry.EXECUTOR,
                framework_id,
                executor_id,
                executor.info,
                executor.container_id,
                executor.kind,
                executor.sandbox,
                executor.token,
            )
            run = executor.container_id
            if executor.pid:
                yield Entry.STARTED, framework_id, executor_id, run, "", executor.pid, executor.started
            for task_id, task in executor.tasks.items():
                yield Entry.TASK, framework_id, executor_id, task_id, task.info, task.group
                if task.pid:
                    yield Entry.STARTED, framework_id, executor_id, run, task_id, task.pid, task.started
                for status in task.updates:
                    yield Entry.UPDATE, framework_id, task_id, status
                for uuid in sorted(task.acknowledged):
                    yield Entry.ACKNOWLEDGED, framework_id, task_id, uuid
            if executor.exited:
                yield Entry.EXITED, framework_id, executor_id, run
