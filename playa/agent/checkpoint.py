"""The checkpoint: what an agent must remember to take its executors and updates up again after it was killed.

One append-only file of msgpack records under `meta/`, written as things happen and read once at the start; a record
that was cut off by a crash ends the reading. It is written again, without what is over, when the agent recovers. What
survives is an agent killed at any moment; a machine that loses power may lose the last records (nothing is fsynced), as
everything that could be recovered is gone with it. Only frameworks with `checkpoint: true` have records here, and the agent's
own id, resources and operations.
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
    """The file, for its owner alone: it holds commands, environments and tokens. Open for appending from the first record on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger"
        self._file: FileIO | None = None

    def read(self) -> Iterator[Record]:
        """The records of an agent before this one; none if there was none."""
        with suppress(FileNotFoundError, msgpack.UnpackException, ValueError), self._path.open("rb") as file:
            for record in msgpack.Unpacker(file, use_list=False):
                if not isinstance(record, tuple) or not record or not isinstance(record[0], str):
                    return
                yield record

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace the file by these records, all at once."""
        self.close()
        fresh = self._path.with_suffix(".new")
        with self._open(fresh, "wb") as out:
            out.writelines(map(msgpack.packb, records))
        fresh.replace(self._path)

    def write(self, *record: Any) -> None:
        """Append one record; it is with the operating system when this returns."""
        if self._file is None:
            self._file = self._open(self._path, "ab")
        self._file.write(msgpack.packb(record))

    def _open(self, path: Path, mode: str) -> FileIO:
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
    """A task (`mesos.v1.TaskInfo`) that was not completed."""

    info: bytes
    group: tuple[str, ...]  # the ids of its group's tasks, empty for a single one
    pid: int = 0  # its process, if a built-in executor ran it
    started: int = 0
    updates: list[bytes] = field(default_factory=list)  # `mesos.v1.TaskStatus`, acknowledged ones too
    acknowledged: set[bytes] = field(default_factory=set)  # the uuids of those


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
    said: list[Record] = field(default_factory=list)

    def take_in(self, record: Record) -> None:
        """Keep a record about it and what it says, unless that is of another run of the executor."""
        match record:
            case (Entry.STARTED, _, _, self.container_id, str(task_id), int(pid), int(started)):
                process = self.tasks[task_id] if task_id else self
                process.pid, process.started = pid, started
            case (Entry.EXITED, _, _, self.container_id):
                self.exited = True
            case (Entry.TASK, _, _, str(task_id), bytes(info), tuple(group)):
                self.tasks[task_id] = RecoveredTask(info, group)
            case (Entry.UPDATE, _, str(task_id), bytes(status)):
                self.tasks[task_id].updates.append(status)
            case (Entry.ACKNOWLEDGED, _, str(task_id), bytes(uuid)):
                self.tasks[task_id].acknowledged.add(uuid)
            case _:
                return
        self.said.append(record)


@dataclass(slots=True)
class RecoveredFramework:
    """A framework (`mesos.v1.FrameworkInfo`) that checkpoints."""

    info: bytes
    executors: dict[str, RecoveredExecutor] = field(default_factory=dict)


@dataclass(slots=True)
class Recovered:
    """All that was checkpointed."""

    agent_info: bytes | None = None  # `mesos.v1.AgentInfo` with its id, if it was ever registered
    resources: tuple[bytes, ...] | None = (
        None  # `mesos.v1.Resource` each, after the operations, if there were any
    )
    frameworks: dict[str, RecoveredFramework] = field(default_factory=dict)
    operations: dict[bytes, bytes] = field(
        default_factory=dict
    )  # `mesos.v1.Operation` by uuid, not acknowledged
    drain: bytes = b""  # `mesos.v1.DrainConfig`, empty for an agent that did not drain


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
        case (Entry.EXECUTOR, str(framework), str(name), bytes(), str(), str(), str(), str()):
            executor = out.frameworks[framework].executors[name] = RecoveredExecutor(*record[3:])
            executor.said.append(record)
        case (Entry.STARTED | Entry.EXITED | Entry.TASK, str(framework), str(name), *_):
            out.frameworks[framework].executors[name].take_in(record)
        case (Entry.UPDATE | Entry.ACKNOWLEDGED, str(framework), str(task_id), *_):
            executors = out.frameworks[framework].executors.values()
            next(e for e in executors if task_id in e.tasks).take_in(record)


def records(state: Recovered) -> Iterator[Record]:
    """A shorter list of records that `read` makes the same of."""
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
        for executor in framework.executors.values():
            yield from executor.said
