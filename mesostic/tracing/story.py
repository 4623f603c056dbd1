"""The whole story of one thing, in order of cause, also where the cause went through Mesos, which does not carry our ids.

Given a text (a URL, say): the tasks that were launched for it, everything from, to or about these tasks, and what else was said
of the text by other actors. Each record stands below the nearest one that led to it. What led to the first of them is shown,
too, as far back as to another task or to the master; what other tasks made of a common cause is not.

A record names the message that caused it. Where that breaks the chain, a bridge leads over: `_OPENS` says which keys a message
makes known, `_CROSSES` which of them a later message was caused by. Two go through the cluster, by what Mesos does carry: from an
ACCEPT to the executor's launch by the task's id, and from an executor's update to the scheduler's by its uuid. One goes from an
offer to its ACCEPT, whoever's demand had them matched; one through the store, which writes for many at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from actors.messages import Accept, Demand, Launched, Stored, Write
from actors.runtime import TraceRecord
from executor.messages import RefuseTask, SendUpdate, StartTask
from mesos_v1.events import Offers, Update
from mesos_v1.executor_events import Launch
from mesostic.tracing.records import TASK, contents, is_about_task, mentions, short_type, task_of, texts_in

_MASTER_SIDE = "connection"
_LONGEST_CHAIN = 10_000

_Keys = Callable[[TraceRecord, Mapping[str, Any]], Iterable[tuple[Any, ...]]]

_OPENS: dict[str, _Keys] = {
    Offers.__name__: lambda _, it: [("offer", offer["id"]) for offer in it.get("offers") or ()],
    Accept.__name__: lambda _, it: [("attempt", attempt) for attempt in it.get("attempts") or ()],
    Launch.__name__: lambda record, it: [("launch", record.system, it.get("task_id"))],
    SendUpdate.__name__: lambda _, it: [("update", it["uuid"])] if it.get("uuid") else [],
    Write.__name__: lambda record, it: [("write", record.system, record.sender, it.get("reference"))],
}


def _attempt(record: TraceRecord, _: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    attempt = record.receiver.removeprefix(TASK)
    return [("launch", record.system, attempt), ("attempt", attempt)]


def _update(record: TraceRecord, it: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    status = it.get("status")
    if not isinstance(status, dict) or record.receiver.startswith(TASK):
        return []
    return [("update", status.get("uuid"))]


_CROSSES: dict[str, _Keys] = {
    Accept.__name__: lambda _, it: [("offer", offer) for offer in it.get("offer_ids") or ()],
    Launched.__name__: lambda _, it: [("attempt", it.get("attempt_id"))],
    Launch.__name__: lambda _, it: [("attempt", it.get("task_id"))],
    StartTask.__name__: _attempt,
    RefuseTask.__name__: _attempt,
    Stored.__name__: lambda record, it: [("write", record.system, record.receiver, it.get("reference"))],
    Update.__name__: _update,
}


class Line(NamedTuple):
    """One record of a story, and how many of the story's records led to it."""

    depth: int
    record: TraceRecord


class Causes:
    """The causes of all records of a run, scheduler and executors together."""

    def __init__(self, records: Iterable[TraceRecord]) -> None:
        self._by_id: dict[str, TraceRecord] = {}
        self._started: dict[tuple[str, str], TraceRecord] = {}
        self._opened: dict[tuple[Any, ...], TraceRecord] = {}
        for record in records:
            self._by_id.setdefault(record.id, record)
            if record.kind == "started":
                self._started[record.system, record.receiver] = record
            for key in _keys(_OPENS, record):
                self._opened.setdefault(key, record)

    def of(self, record: TraceRecord) -> TraceRecord | None:
        """The record that led to this one, or None at the beginning of things."""
        cause = self._across(record) or self._by_id.get(record.cause)
        if cause is None and record.kind == "message" and record.sender.startswith(TASK):
            cause = self._started.get((record.system, record.sender))
        return None if cause is record else cause

    def chain(self, record: TraceRecord) -> Iterator[TraceRecord]:
        """The causes of a record, the nearest first."""
        seen = {id(record)}
        cause = self.of(record)
        while cause is not None and id(cause) not in seen and len(seen) < _LONGEST_CHAIN:
            seen.add(id(cause))
            yield cause
            cause = self.of(cause)

    def _across(self, record: TraceRecord) -> TraceRecord | None:
        """What is on the other side of a bridge: in the same process rather than in another, and the last there."""
        keys = _attempt(record, {}) if record.kind == "started" else _keys(_CROSSES, record)
        found = [self._opened[key] for key in keys if key in self._opened]
        return max(found, key=lambda other: (other.system == record.system, other.seq), default=None)


def _keys(table: Mapping[str, _Keys], record: TraceRecord) -> Iterable[tuple[Any, ...]]:
    if record.kind != "message" or (keys := table.get(short_type(record))) is None:
        return ()
    value = contents(record)
    return keys(record, value if isinstance(value, dict) else {})


def tell_story(records: Sequence[TraceRecord], text: str, *, everything: bool = False) -> Iterator[Line]:
    """The story of everything that has to do with `text` (a part of some text in a message, or a task's id).

    The records are those of the scheduler and its executors, in order of time; details are only told with `everything`.
    """
    holding = [record for record in records if mentions(record, text)]
    tasks = _tasks_of(records, holding, text)
    about = [record for record in records if any(is_about_task(record, task) for task in tasks)]
    chosen = {id(record) for record in about}
    chosen |= {id(record) for record in holding if not _other_tasks(record, text, tasks)}
    if not everything:
        chosen -= {id(record) for record in records if is_detail(record)}
    causes = Causes(records)
    context: set[int] = set()
    for record in about:
        if id(record) in chosen:
            context |= _context(record, causes, chosen | context, tasks, everything=everything)
    wanted = chosen | context
    told = [record for record in records if id(record) in wanted]
    yield from in_order_of_cause(told, causes, context)


def is_detail(record: TraceRecord) -> bool:
    """What an actor tells itself, and how things are stored: true, and seldom what one wants to read."""
    return (
        record.sender == record.receiver
        or "store" in {record.sender, record.receiver}
        or record.kind in {"timer", "reply", "stopped"}
    )


def in_order_of_cause(chosen: Sequence[TraceRecord], causes: Causes, context: set[int]) -> Iterator[Line]:
    """The chosen records, each below the nearest chosen one that led to it; otherwise in their order.

    What is only `context` says nothing about when its part of the story begins.
    """
    wanted = {id(record) for record in chosen}
    below: dict[int, list[TraceRecord]] = defaultdict(list)
    begins: dict[int, int] = {}
    for position, record in enumerate(chosen):
        chain = [cause for cause in causes.chain(record) if id(cause) in wanted]
        below[id(chain[0]) if chain else 0].append(record)
        if id(record) not in context:
            begins.setdefault(id(chain[-1] if chain else record), position)
    roots = sorted(below[0], key=lambda record: begins.get(id(record), len(chosen)))
    stack = [(0, record) for record in reversed(roots)]
    while stack:
        depth, record = stack.pop()
        yield Line(depth, record)
        stack.extend((depth + 1, child) for child in reversed(below[id(record)]))


def _tasks_of(records: Sequence[TraceRecord], holding: Sequence[TraceRecord], text: str) -> list[str]:
    """The tasks that were launched for the text; if none was, those that are named beside it."""
    if by_id := {task for record in records for task in _own_tasks(record) if text in {task, task_of(task)}}:
        return sorted(by_id)
    demands = [record for record in holding if short_type(record) in {Demand.__name__, Launch.__name__}]
    return sorted({task for record in demands or holding for task in _tasks_named(record, text)})


def _own_tasks(record: TraceRecord) -> set[str]:
    return {task_of(name) for name in (record.sender, record.receiver) if name.startswith(TASK)}


def _tasks_named(record: TraceRecord, text: str) -> set[str]:
    """The tasks whose messages this record is: its own actors', or those named beside the text."""
    return _own_tasks(record) or {task_of(task) for task in _named_beside(contents(record), text)}


def _other_tasks(record: TraceRecord, text: str, tasks: Sequence[str]) -> bool:
    """Whether the record holds the text, but belongs to the story of other tasks (pages that link to it, say)."""
    if is_detail(record):
        return not any(is_about_task(record, task) for task in tasks)
    if named := _tasks_named(record, text):
        return named.isdisjoint(tasks)
    return text not in next(_texts(contents(record)), "")


def _context(
    record: TraceRecord, causes: Causes, chosen: set[int], tasks: Sequence[str], *, everything: bool
) -> set[int]:
    """What led to a record of the story, back to another task or to the master; if it leads to neither, nothing."""
    context: set[int] = set()
    for cause in causes.chain(record):
        if id(cause) in chosen:
            return context
        if not everything and is_detail(cause):
            continue
        context.add(id(cause))
        if not _own_tasks(cause).issubset(tasks) or cause.sender == _MASTER_SIDE:
            return context
    return set()


def _named_beside(value: Any, text: str) -> Iterator[str]:
    """The task ids of the innermost tables that hold the text."""
    if isinstance(value, dict):
        deeper = {task for item in value.values() for task in _named_beside(item, text)}
        yield from deeper
        if not deeper and any(text in found for found in texts_in(value)):
            yield from (value[key] for key in ("task_id", "attempt_id") if isinstance(value.get(key), str))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named_beside(item, text)


def _texts(value: Any) -> Iterator[str]:
    """The texts of a message's own fields; the first says what the message is about."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
