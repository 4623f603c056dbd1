"""What is stored: the durable values of tasks, operations and uploads, which a restart reads back.

Three records per task, each written by the one who knows: the scheduler writes the specification when the author launches the
task, the broker the intent before an ACCEPT leaves, the task actor its progress before an update is acknowledged. A task is
tried under a Mesos task id of its own each time, `<task id>.<attempt>`: Mesos forbids using the id of a task again that may
still be alive, and news of an old attempt must not be taken for news of the present one. The numbers continue when a task is
launched under the id of one that has ended, so that no attempt's id is ever used twice.

An operation with an id is stored before its ACCEPT leaves, and before news of it is acknowledged; the records go when the
author has been told the outcome. One that the broker sends has specification and intent as tasks have, and leaves a holding
behind: a reservation or a volume, which is stored until it is freed. An upload is answered only when its bytes and its record are durable; the record goes when
`on_uploaded` has been called. A reliable message is stored before it is sent, until it is acknowledged or its author was told that it was not.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar, cast

from actors import messages as m
from actors.framework_settings import RetryPolicy
from actors.runtime import Actor, DecodeError, message, pack_value, secret, unpack_value
from mesos_v1 import task_infos
from mesos_v1.resources import Resources
from mesos_v1.states import OperationState
from mesos_v1.values import AgentId, ExecutorId, OperationId, OperationStatus, TaskId

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of record: how its values are stored, named and read back."""

    name: str
    cls: type[T]

    def record(self, key: str, value: T) -> m.Record:
        """Return the durable form of a value."""
        return m.Record(self.name, key, pack_value(value))

    def key(self, key: str) -> tuple[str, str]:
        """Return what deletes a record."""
        return (self.name, key)

    def read(self, records: Iterable[m.Record]) -> dict[str, T]:
        """Return the values among these records, oldest first (DecodeError: one is not what it should be; names it)."""
        return {each.key: self.value(each) for each in records if each.kind == self.name}

    def value(self, record: m.Record) -> T:
        """Return the value of a record of this kind (DecodeError as for `read`)."""
        try:
            return unpack_value(self.cls, record.value)
        except DecodeError as error:
            raise DecodeError(
                f"the {record.kind} of {record.key} in the store cannot be read: {error}. Run the version that wrote "
                "it, or give this framework another [store] path"
            ) from None


class Writes(Generic[T]):
    """An actor's own writes, and what it does when each is durable: acknowledge, tell, send."""

    __slots__ = ("_reference", "_system", "waiting")

    def __init__(self, owner: Actor) -> None:
        self._system = owner.system  # not the owner itself: a circle would wait for the garbage collector
        # Not from 0: what the store still has to say to an instance that failed is not meant for this one.
        self._reference = int(owner.ids.uniform(0, 2.0**52))
        self.waiting: dict[int, T] = {}  # what is to be done, by the write's reference

    def store(self, *records: m.Record, then: T | None, gone: tuple[tuple[str, str], ...] = ()) -> None:
        """Have records stored, and others deleted with them; `then` waits until that is done."""
        self._reference += 1
        if then is not None:
            self.waiting[self._reference] = then
        self._system.tell("store", m.Write(records, gone, self._reference))

    def answered(self, answer: m.Stored | m.WriteRefused) -> T | None:
        """Return what waited for that answer."""
        then = self.waiting.pop(answer.reference, None)
        if not self.waiting:
            self.waiting = {}  # one that was never used is smaller
        return then


# --- tasks ------------------------------------------------------------------------------------------------------------

MAX_TASK_BYTES = 16 * 1024 * 1024
"""Largest task, as the bytes of its `TaskInfo`: what is larger travels as a file (an upload, a URI), not in a call."""


@message
class TaskSpec:
    """What the author asked for."""

    task_id: TaskId
    name: str
    order: int  # the place in the queue; first come, first served
    payload: bytes  # the packed payload, or b""
    executor: str  # name of the executor, or "" for a command task
    command: str
    resources: Resources
    ports: int
    role: str
    retry: RetryPolicy
    labels: tuple[tuple[str, str], ...] = ()
    timeout: float = 0.0  # seconds that one attempt may run; 0 means any time
    launch_timeout: float = 60.0  # seconds after which silence about a launch is looked into
    unreachable_timeout: float = 600.0  # seconds after which an attempt on an unreachable agent is given up
    kill_grace: float = 3.0
    hosts: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = secret(default=())
    uris: tuple[str, ...] = ()
    first_attempt: int = 1  # above 1 when a task with this id has ended before
    volume: str = ""  # the holding that it is to have


@message
class TaskProgress:
    """How far a task has come: enough to continue after a restart, and to deliver an outcome that was not delivered."""

    attempt: int
    phase: m.TaskPhase
    failures: int = 0
    losses: int = 0
    state: str = ""
    reason: str = ""
    message: str = ""
    result: bytes = b""
    uuid: bytes = b""  # of the last update that was taken in
    agent_id: AgentId | None = None
    executor_id: ExecutorId | None = None
    killed: bool = False  # at the author's request
    # when the attempt was first heard to run, in seconds since 1970; None where no run timeout counts
    running_since: float | None = None
    # when the next attempt is due, or one that is unreachable is given up, in seconds since 1970
    due: float | None = None
    # where the retry policy has a `within`: when each attempt that counts has failed or, if true, was lost
    setbacks: tuple[tuple[float, bool], ...] = ()


@message
class TaskHistory:
    """What the store has of one task, to continue from."""

    spec: TaskSpec
    intent: m.Launched | None = None
    progress: TaskProgress | None = None
    # the last attempt for which the broker may still hold a demand, made by an actor of this task that has
    # failed; 0 when there is none
    demanded: int = 0


SPEC = Kind("task-spec", TaskSpec)
INTENT = Kind("task-intent", m.Launched)  # that an ACCEPT with this attempt is about to leave, or has left
PROGRESS = Kind("task-progress", TaskProgress)
GIVEN_UP = Kind("given-up", m.GivenUp)  # under the Mesos id of the last attempt
ENDED = "task-ended"
"""That a task has ended, with its last attempt: updates of it that come again are not news of an unknown task."""


def attempt_id(task_id: TaskId, attempt: int) -> TaskId:
    """Return the Mesos task id of an attempt, counted from 1."""
    return TaskId(f"{task_id}.{attempt}")


def split_attempt_id(mesos_id: TaskId) -> tuple[TaskId, int] | None:
    """Return task id and attempt of a Mesos task id, or None when it is not one of ours."""
    task_id, dot, number = mesos_id.rpartition(".")
    if not dot or not task_id or not number.isascii() or not number.isdigit():
        return None
    return TaskId(task_id), int(number)


def latest(history: TaskHistory) -> TaskProgress:
    """Return how far the task has come: what it stored itself, or an intent to launch a later attempt.

    An intent for an attempt that was being withdrawn says that its ACCEPT may have left: it has to be killed.
    """
    progress = history.progress or TaskProgress(history.spec.first_attempt, m.TaskPhase.WAITING)
    intent = history.intent
    split = split_attempt_id(intent.attempt_id) if intent is not None else None
    if intent is None or split is None:
        return progress
    attempt = split[1]
    same = attempt == progress.attempt
    withdrawing = same and progress.phase is m.TaskPhase.WITHDRAWING
    if attempt > progress.attempt or withdrawing or (same and progress.phase is m.TaskPhase.WAITING):
        return replace(
            progress,
            attempt=attempt,
            phase=m.TaskPhase.KILLING if withdrawing else m.TaskPhase.LAUNCHING,
            uuid=b"",
            agent_id=intent.agent_id,
            executor_id=intent.executor_id,
            running_since=progress.running_since if same else None,
        )
    return progress


def task_info(spec: TaskSpec, attempt: int) -> bytes:
    """Build the serialized `TaskInfo` of an attempt, without what only the broker knows (agent, resources, executor)."""
    command = None
    if not spec.executor:
        command = task_infos.command_info(spec.command, environment=spec.environment, uris=spec.uris)
    info = task_infos.task_info(
        attempt_id(spec.task_id, attempt),
        AgentId(""),
        Resources(),
        name=spec.name,
        command=command,
        data=spec.payload or None,
        labels=spec.labels,
        kill_grace_period=spec.kill_grace,
    )
    return info.SerializeToString()


def demand_of(spec: TaskSpec, attempt: int) -> m.Demand:
    """Return what an attempt asks of the broker."""
    what = spec.role, spec.resources, spec.ports, spec.executor, task_info(spec, attempt)
    mesos_id = attempt_id(spec.task_id, attempt)
    where = spec.hosts, spec.attributes
    return m.Demand(spec.task_id, mesos_id, spec.order, *what, *where, holding=spec.volume)


def all_records_of(task_id: TaskId) -> tuple[tuple[str, str], ...]:
    """Return the keys of everything that is stored of a task, to delete it."""
    return tuple(kind.key(task_id) for kind in (SPEC, INTENT, PROGRESS))


def shared(text: T) -> T:
    """Return the one object for a text that thousands of tasks have, as the id of an agent."""
    return text if text is None else cast("T", sys.intern(cast("str", text)))


class TasksOnRecord:
    """What the store has of tasks: taken in part by part, as the bytes of all of them would need more memory than the tasks."""

    def __init__(self) -> None:
        self._specs: dict[str, TaskSpec] = {}
        self._intents: dict[str, m.Launched] = {}
        self._progress: dict[str, TaskProgress] = {}

    def __len__(self) -> int:
        return len(self._specs)

    def take_in(self, records: Iterable[m.Record]) -> list[m.Record]:
        """Read the records of tasks among these (DecodeError as for `Kind.read`); returns the others."""
        others = []
        for record in records:
            match record.kind:
                case SPEC.name:
                    self._specs[record.key] = SPEC.value(record)
                case INTENT.name:
                    self._intents[record.key] = INTENT.value(record)
                case PROGRESS.name:
                    self._progress[record.key] = PROGRESS.value(record)
                case _:
                    others.append(record)
        return others

    def histories(self) -> Iterator[TaskHistory]:
        """Put together what there is of each task, in the order in which the tasks were launched, and let go of it."""
        for key in tuple(self._specs):
            yield TaskHistory(
                self._specs.pop(key), self._intents.pop(key, None), self._progress.pop(key, None)
            )


def ended_record(task_id: TaskId, last_attempt: int) -> m.Record:
    """Return the record that a task has ended."""
    return m.Record(ENDED, task_id, str(last_attempt).encode())


def ended_tasks(records: tuple[m.Record, ...]) -> tuple[tuple[TaskId, int], ...]:
    """Return the tasks that ended, oldest first, each with its last attempt."""
    return tuple((TaskId(each.key), int(each.value or b"1")) for each in records if each.kind == ENDED)


# --- operations -------------------------------------------------------------------------------------------------------


class OperationPhase(StrEnum):
    """Where an operation is, as the scheduler sees it."""

    WAITING = "waiting"  # its demand is with the broker
    WITHDRAWING = "withdrawing"  # it was cancelled; whether the ACCEPT has left, only the broker knows
    BACKING_OFF = "backing off"  # it came to nothing; it is sent again later
    SENT = "sent"  # the ACCEPT has left; nothing heard yet
    PENDING = "pending"  # known to the master or the agent
    UNREACHABLE = "unreachable"  # its agent is away, or has just come back
    FINISHED = "finished"
    FAILED = "failed"  # tried and failed, or refused
    LOST = "lost"  # never applied, or it will never be known


ENDED_PHASES = frozenset({OperationPhase.FINISHED, OperationPhase.FAILED, OperationPhase.LOST})
PHASE_OF_STATE: Mapping[OperationState, OperationPhase] = {
    OperationState.OPERATION_UNSUPPORTED: OperationPhase.FAILED,
    OperationState.OPERATION_PENDING: OperationPhase.PENDING,
    OperationState.OPERATION_FINISHED: OperationPhase.FINISHED,
    OperationState.OPERATION_FAILED: OperationPhase.FAILED,
    OperationState.OPERATION_ERROR: OperationPhase.FAILED,
    OperationState.OPERATION_DROPPED: OperationPhase.LOST,
    OperationState.OPERATION_UNREACHABLE: OperationPhase.UNREACHABLE,
    OperationState.OPERATION_GONE_BY_OPERATOR: OperationPhase.LOST,
    OperationState.OPERATION_RECOVERING: OperationPhase.UNREACHABLE,
    OperationState.OPERATION_UNKNOWN: OperationPhase.LOST,
}
"""Where an operation is of which this is the latest news."""


@message
class OperationRecord:
    """An operation, where it was asked for, and how far it is known to have come."""

    operation_id: OperationId
    agent_id: AgentId | None
    phase: OperationPhase
    status: OperationStatus | None = None


@message
class OperationSpec:
    """An operation that the author asked for, without an offer in hand."""

    operation_id: OperationId
    order: int
    role: str
    change: m.Change
    resources: Resources  # what it takes of what nobody has reserved
    hosts: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    agent_id: AgentId | None = None


@message
class OperationHistory:
    """What there is of an operation to follow; without a `spec` its ACCEPT was the author's, and has left.

    Attributes:
        operation_id: for one with a `spec` the author's; Mesos knows each attempt as `<id>.<attempt>`, as for a task.
        intent: that its latest attempt was about to leave, or has left.
        status: what Mesos last said of that attempt.
    """

    operation_id: OperationId
    spec: OperationSpec | None = None
    agent_id: AgentId | None = None
    intent: m.Launched | None = None
    status: OperationStatus | None = None


OPERATION = Kind("operation", OperationRecord)  # by Mesos's id of it
OPERATION_SPEC = Kind("operation-spec", OperationSpec)
OPERATION_INTENT = Kind("operation-intent", m.Launched)
HOLDING = Kind("holding", m.Holding)


def operation_histories(records: tuple[m.Record, ...]) -> tuple[OperationHistory, ...]:
    """Put together what the store has of each operation of the author's, in the order in which they were asked for."""
    intents, said = OPERATION_INTENT.read(records), OPERATION.read(records)
    histories = []
    for spec in OPERATION_SPEC.read(records).values():
        intent = intents.get(spec.operation_id)
        heard = said.get(intent.attempt_id) if intent is not None else None
        status = heard.status if heard is not None else None
        agent_id = intent.agent_id if intent is not None else None
        histories.append(OperationHistory(spec.operation_id, spec, agent_id, intent, status))
    return tuple(histories)


def all_records_of_operation(operation_id: OperationId, attempts: int) -> tuple[tuple[str, str], ...]:
    """Return the keys of everything that is stored of an operation, to delete it."""
    sent = (OPERATION.key(attempt_id(TaskId(operation_id), n)) for n in range(1, attempts + 1))
    return (OPERATION_SPEC.key(operation_id), OPERATION_INTENT.key(operation_id), *sent)


# --- uploads ----------------------------------------------------------------------------------------------------------

UPLOAD = Kind("upload", m.Uploaded)


def untold_uploads(records: Iterable[m.Record], server: m.ServerReady) -> tuple[m.Uploaded, ...]:
    """Return the uploads that an earlier run was not told of, with where they are now, oldest first."""
    folder, url = Path(server.upload_dir), f"{server.url}/uploads"
    uploads = UPLOAD.read(records).values()
    return tuple(replace(each, path=str(folder / each.name), url=f"{url}/{each.name}") for each in uploads)


# --- reliable messages ------------------------------------------------------------------------------------------------


@message
class Peer:
    """What is known of the executor of a pair, as far as messages to it go.

    Attributes:
        instance: of the executor that messages are addressed to; "" where it has to be asked for.
        lost: messages up to this number are undelivered, for the reason that follows.
    """

    agent_id: AgentId
    executor_id: ExecutorId
    instance: str
    lost: int = 0
    reason: str = ""


MESSAGE = Kind("message", m.SendReliably)
PEER = Kind("message-peer", Peer)
HEARD = Kind("message-heard", m.MessageTold)  # the last message of an executor that the author has had


def pair_key(agent_id: AgentId, executor_id: ExecutorId) -> str:
    """Return the key of what is stored of an executor; no id holds a slash (`validateID` in Mesos's common/validation.cpp)."""
    return f"{agent_id}/{executor_id}"


def of_messages(records: Iterable[m.Record]) -> tuple[m.Record, ...]:
    """Return the records that reliable messages have left."""
    kinds = {MESSAGE.name, PEER.name, HEARD.name}
    return tuple(each for each in records if each.kind in kinds)
