"""From the records of a checkpoint to what an agent knew when it was killed. Pure.

`read` folds the records; `records` gives the shortest list of records that says the same, for the file's rewriting.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from playa.agent.recovery import checkpoint as ck
from playa.agent.recovery.checkpoint import Record


@dataclass(slots=True)
class RecoveredTask:
    """A task that was not completed.

    Attributes:
        info: `mesos.v1.TaskInfo`.
        group: The ids of its group's tasks, empty for a single one.
        pid: Its process, if a built-in executor ran it.
        started: That process's start time.
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
    """An executor; `exited` if it was over already but for acknowledgements."""

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
    """A framework that checkpoints, with its executors by id."""

    info: bytes
    executors: dict[str, RecoveredExecutor] = field(default_factory=dict)

    def task(self, task_id: str) -> RecoveredTask | None:
        """One of its tasks."""
        return next((e.tasks[task_id] for e in self.executors.values() if task_id in e.tasks), None)


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


def read(records: Iterable[Record]) -> Recovered:
    """Fold records into what they say; what does not fit together (a cut-off file) is left out."""
    out = Recovered()
    for kind, *rest in records:
        try:
            _take_in(out, kind, rest)
        except (KeyError, ValueError, TypeError, AttributeError):
            continue
    return out


def _take_in(out: Recovered, kind: str, rest: list[object]) -> None:
    match kind, rest:
        case ck.AGENT, [bytes() as info]:
            out.agent_info = info
        case ck.RESOURCES, [tuple() as resources]:
            out.resources = resources
        case ck.FRAMEWORK, [str() as framework_id, bytes() as info]:
            known = out.frameworks.setdefault(framework_id, RecoveredFramework(info))
            known.info = info
        case ck.FRAMEWORK_GONE, [str() as framework_id]:
            out.frameworks.pop(framework_id, None)
        case ck.OPERATION, [bytes() as uuid, bytes() as operation]:
            out.operations[uuid] = operation
        case ck.DRAIN, [bytes() as config]:
            out.drain = config
        case ck.OPERATION_ACKNOWLEDGED, [bytes() as uuid]:
            out.operations.pop(uuid, None)
        case _, [str() as framework_id, *more]:
            _take_in_executor(out.frameworks[framework_id], kind, more)


def _take_in_executor(framework: RecoveredFramework, kind: str, rest: list[object]) -> None:
    match kind, rest:
        case ck.EXECUTOR, [
            str() as executor_id,
            bytes() as info,
            str() as run,
            str() as what,
            str() as box,
            str() as token,
        ]:
            framework.executors[executor_id] = RecoveredExecutor(info, run, what, box, token)
        case ck.STARTED, [
            str() as executor_id,
            str() as run,
            str() as task_id,
            int() as pid,
            int() as started,
        ]:
            executor = framework.executors[executor_id]
            if executor.container_id == run:
                process = executor.tasks[task_id] if task_id else executor
                process.pid, process.started = pid, started
        case ck.TASK, [str() as executor_id, str() as task_id, bytes() as info, tuple() as group]:
            framework.executors[executor_id].tasks[task_id] = RecoveredTask(info, group)
        case ck.EXITED, [str() as executor_id, str() as run]:
            executor = framework.executors[executor_id]
            if executor.container_id == run:
                executor.exited = True
        case ck.UPDATE, [str() as task_id, bytes() as status]:
            task = framework.task(task_id)
            if task is not None:
                task.updates.append(status)
        case ck.ACKNOWLEDGED, [str() as task_id, bytes() as uuid]:
            task = framework.task(task_id)
            if task is not None:
                task.acknowledged.add(uuid)


def records(state: Recovered) -> Iterator[Record]:
    """The shortest list of records that `read` makes the same of."""
    if state.agent_info is not None:
        yield ck.AGENT, state.agent_info
    if state.resources is not None:
        yield ck.RESOURCES, state.resources
    if state.drain:
        yield ck.DRAIN, state.drain
    for uuid, operation in state.operations.items():
        yield ck.OPERATION, uuid, operation
    for framework_id, framework in state.frameworks.items():
        yield ck.FRAMEWORK, framework_id, framework.info
        for executor_id, executor in framework.executors.items():
            yield (
                ck.EXECUTOR,
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
                yield ck.STARTED, framework_id, executor_id, run, "", executor.pid, executor.started
            for task_id, task in executor.tasks.items():
                yield ck.TASK, framework_id, executor_id, task_id, task.info, task.group
                if task.pid:
                    yield ck.STARTED, framework_id, executor_id, run, task_id, task.pid, task.started
                for status in task.updates:
                    yield ck.UPDATE, framework_id, task_id, status
                for uuid in sorted(task.acknowledged):
                    yield ck.ACKNOWLEDGED, framework_id, task_id, uuid
            if executor.exited:
                yield ck.EXITED, framework_id, executor_id, run
