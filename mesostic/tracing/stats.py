"""A trace in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from actors.runtime import TraceRecord
from mesostic.tracing.filters import short_type


@dataclass(slots=True)
class Statistics:
    """Counts over records.

    Attributes:
        seconds: from the first record to the last.
        kinds: records by kind.
        systems: records by system: the scheduler's, each executor's.
        types: messages by type.
        receivers: messages by receiving actor; the actors of tasks count as one.
        bytes: of all payloads.
        most_actors: how many actors lived at a time, at most.
    """

    records: int = 0
    seconds: float = 0.0
    bytes: int = 0
    most_actors: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    systems: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    receivers: Counter[str] = field(default_factory=Counter)


def statistics(records: Iterable[TraceRecord]) -> Statistics:
    """Count."""
    stats = Statistics()
    first: float | None = None
    alive = 0
    for record in records:
        first = record.time if first is None else first
        stats.seconds = max(stats.seconds, record.time - first)
        stats.records += 1
        stats.bytes += len(record.payload or b"")
        stats.kinds[record.kind] += 1
        stats.systems[record.system] += 1
        if record.kind in {"message", "timer"}:
            stats.types[short_type(record)] += 1
            stats.receivers[_group(record.receiver)] += 1
        alive += (record.kind == "started") - (record.kind == "stopped")
        stats.most_actors = max(stats.most_actors, alive)
    return stats


def _group(name: str) -> str:
    return "task:*" if name.startswith("task:") else name
