"""The whole story of one thing, in order of cause.

Given a text (a URL, say): (1) records that hold it; (2) the tasks that those are about; (3) records from, to or about
these tasks. Each of them is put below the nearest one of them that caused it. Causes are followed through records that
are not part of the story, and from one process to another, because ids are unique over all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from actors.runtime import TraceRecord
from mesostic.tracing.contents import contents, mentions, texts_in
from mesostic.tracing.filters import is_about_task

_TASK_KEYS = ("task_id", "attempt_id")
_CHAIN = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a story, and how many of the story's records led to it."""

    depth: int
    record: TraceRecord


def tell_story(records: Sequence[TraceRecord], text: str) -> Iterator[Line]:
    """The story of everything that has to do with `text`; nothing when no record holds it."""
    holding = [
        record for record in records if mentions(record, text) or text in {record.sender, record.receiver}
    ]
    tasks = sorted({task for record in holding for task in tasks_about(record, text)})
    chosen = {id(record) for record in holding}
    for record in records:
        if id(record) not in chosen and any(is_about_task(record, task) for task in tasks):
            chosen.add(id(record))
    yield from in_order_of_cause(records, [record for record in records if id(record) in chosen])


def tasks_about(record: TraceRecord, text: str) -> set[str]:
    """The tasks whose messages this record is: its own actor's, or those named beside the text."""
    tasks = {
        _task_of(name.removeprefix("task:"))
        for name in (record.sender, record.receiver)
        if name.startswith("task:")
    }
    if not tasks:
        tasks = {_task_of(task) for task in _named_beside(contents(record), text)}
    return tasks


def in_order_of_cause(everything: Iterable[TraceRecord], chosen: Sequence[TraceRecord]) -> Iterator[Line]:
    """The chosen records, each below the nearest chosen one that led to it; otherwise in order of time."""
    causes: dict[str, str] = {}
    for record in everything:
        if record.id and record.id not in causes:
            causes[record.id] = record.cause
    first: dict[str, TraceRecord] = {}
    for record in chosen:
        if record.id:
            first.setdefault(record.id, record)
    below: dict[int, list[TraceRecord]] = defaultdict(list)
    roots: list[TraceRecord] = []
    for record in chosen:
        same = first.get(record.id)
        parent = same if same is not None and same is not record else _chosen_cause(record, causes, first)
        if parent is None or parent is record:
            roots.append(record)
        else:
            below[id(parent)].append(record)
    stack = [(0, record) for record in reversed(roots)]
    seen: set[int] = set()
    while stack:
        depth, record = stack.pop()
        if id(record) in seen:
            continue
        seen.add(id(record))
        yield Line(depth, record)
        stack.extend((depth + 1, child) for child in reversed(below[id(record)]))


def _chosen_cause(
    record: TraceRecord, causes: dict[str, str], chosen: dict[str, TraceRecord]
) -> TraceRecord | None:
    cause = record.cause
    for _ in range(_CHAIN):
        if not cause:
            return None
        if cause in chosen:
            return chosen[cause]
        cause = causes.get(cause, "")
    return None


def _named_beside(value: Any, text: str) -> Iterator[str]:
    """The task ids of the innermost tables that hold the text."""
    if isinstance(value, dict):
        inner = [item for item in value.values() if isinstance(item, dict | list)]
        deeper = {task for item in inner for task in _named_beside(item, text)}
        yield from deeper
        if not deeper and any(text in found for found in texts_in(value)):
            for key in _TASK_KEYS:
                if isinstance(value.get(key), str):
                    yield value[key]
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named_beside(item, text)


def _task_of(name: str) -> str:
    """A task's id from that of one of its attempts."""
    task, dot, number = name.rpartition(".")
    return task if dot and task and number.isdecimal() else name
