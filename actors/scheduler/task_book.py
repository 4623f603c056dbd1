"""Which tasks the scheduler has, in which phase, which have ended not long ago, and which were given up. Plain data."""

from collections import Counter, OrderedDict
from typing import Any, NamedTuple

from actors.messages import ON_CLUSTER, GivenUp, Record, TaskChanged, TaskDone, TaskPhase
from actors.records import GIVEN_UP, attempt_id
from actors.runtime import ActorRef
from mesos_v1.values import AgentId, TaskId

ENDED_KEPT = 10_000
"""Ended tasks that are remembered: their last updates may come again until the acknowledgement has arrived."""
LONGEST_MESSAGE = 2000
"""Characters that are remembered of why a task was given up."""


class TaskEntry(NamedTuple):
    """What the scheduler itself keeps of a task; `ref` is None where not even its actor's `__init__` came to an end."""

    ref: ActorRef[Any] | None
    phase: TaskPhase
    attempt_id: TaskId | None
    agent_id: AgentId | None

    @property
    def alive(self) -> bool:
        """Whether there is an actor that is told of the task; if not, it is about to be started again."""
        return self.ref is not None and self.ref.is_alive()


class TaskBook(dict[TaskId, TaskEntry]):
    """The tasks of a framework by id."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: OrderedDict[TaskId, int] = OrderedDict()  # of those that ended lately: the last attempt
        self.attempts_forgotten = 0  # the highest attempt of the tasks that are no longer remembered
        self._counts: Counter[TaskPhase] = Counter()

    def add(self, task_id: TaskId, ref: ActorRef[Any] | None) -> None:
        """Enter a new task; it waits."""
        self[task_id] = TaskEntry(ref, TaskPhase.WAITING, None, None)
        self._counts[TaskPhase.WAITING] += 1

    def change(self, changed: TaskChanged) -> bool:
        """Take in what a task says of itself; returns whether there is such a task."""
        entry = self.get(changed.task_id)
        if entry is None:
            return False
        if entry.phase is not changed.phase:
            self._counts[entry.phase] -= 1
            self._counts[changed.phase] += 1
        self[changed.task_id] = TaskEntry(entry.ref, changed.phase, changed.attempt_id, changed.agent_id)
        return True

    def remove(self, task_id: TaskId) -> TaskEntry | None:
        """Strike a task out."""
        entry = self.pop(task_id, None)
        if entry is not None:
            self._counts[entry.phase] -= 1
        return entry

    def end(self, task_id: TaskId, last_attempt: int) -> TaskId | None:
        """Remember that a task has ended; returns the one that is forgotten for it, if any."""
        self.ended[task_id] = last_attempt
        self.ended.move_to_end(task_id)
        if len(self.ended) <= ENDED_KEPT:
            return None
        forgotten, attempts = self.ended.popitem(last=False)
        self.attempts_forgotten = max(self.attempts_forgotten, attempts)
        return forgotten

    def first_attempt(self, task_id: TaskId) -> int:
        """Return the number that no attempt of a task with this id has had."""
        return self.ended.get(task_id, self.attempts_forgotten) + 1

    def counts(self) -> dict[str, int]:
        """Return how many tasks there are in each phase."""
        return {phase.value: count for phase, count in self._counts.items() if count}

    def on_agent(self, agent_id: AgentId | None) -> list[TaskEntry]:
        """Return the tasks that may be on that agent."""
        return [e for e in self.values() if e.agent_id == agent_id and e.phase in ON_CLUSTER]

    def on_cluster(self) -> tuple[tuple[TaskId, AgentId | None], ...]:
        """Return the attempts that may be on the cluster, with their agents where known."""
        there = [entry for entry in self.values() if entry.phase in ON_CLUSTER]
        return tuple((entry.attempt_id, entry.agent_id) for entry in there if entry.attempt_id is not None)


class GivenUpTasks:
    """The tasks that failed for good, oldest first: so many, and for so long (in seconds)."""

    def __init__(self, most: int, longest: float) -> None:
        self._most, self._longest = most, longest
        self._known: OrderedDict[str, GivenUp] = OrderedDict()  # by the key of its record

    def take_over(self, known: dict[str, GivenUp]) -> None:
        """Take in what an earlier run has stored."""
        self._known.update(known)

    def add(self, done: TaskDone, now: float) -> Record:
        """Remember a task; returns the record of that."""
        message, where = done.message[:LONGEST_MESSAGE], (done.executor, done.agent_id)
        what = done.task_id, done.name, done.attempts, done.state, done.reason, message, *where, now
        key = attempt_id(done.task_id, done.last_attempt)
        given_up = self._known[key] = GivenUp(*what)
        return GIVEN_UP.record(key, given_up)

    def forget(self, now: float) -> tuple[tuple[str, str], ...]:
        """Forget those that are too many or too old; returns the keys of their records."""
        gone = []
        while self._known:
            key, oldest = next(iter(self._known.items()))
            if len(self._known) <= self._most and not self._is_old(oldest, now):
                break
            del self._known[key]
            gone.append(GIVEN_UP.key(key))
        return tuple(gone)

    def lately(self, now: float) -> tuple[GivenUp, ...]:
        """Return those that are not too old."""
        return tuple(each for each in self._known.values() if not self._is_old(each, now))

    def _is_old(self, given_up: GivenUp, now: float) -> bool:
        return given_up.when + self._longest <= now
