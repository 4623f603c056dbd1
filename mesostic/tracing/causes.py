"""What caused what, also where the cause went through Mesos, which carries no ids of ours.

A record names the message that caused it. Bridges lead over what breaks the chain. Two go through the cluster, by
what Mesos does carry: from an ACCEPT to the executor's launch by the task's id, and from an executor's update to the
scheduler's by the update's uuid. One goes from an offer to its ACCEPT, whoever's demand had them matched. One goes
through the store, which writes for many at once: what was stored was caused by its own write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from actors.runtime import TraceRecord
from mesostic.tracing.contents import contents
from mesostic.tracing.filters import short_type

_LONGEST_CHAIN = 10_000


class Causes:
    """The causes of all records of a run, scheduler and executors together."""

    def __init__(self, records: Iterable[TraceRecord]) -> None:
        """Read what is needed to follow causes."""
        self._by_id: dict[str, TraceRecord] = {}
        self._started: dict[tuple[str, str], TraceRecord] = {}
        self._accepts: dict[str, TraceRecord] = {}
        self._offers: dict[str, TraceRecord] = {}
        self._launches: dict[tuple[str, str], TraceRecord] = {}
        self._updates: dict[bytes, TraceRecord] = {}
        self._writes: dict[tuple[str, str, object], TraceRecord] = {}
        for record in records:
            self._by_id.setdefault(record.id, record)
            if record.kind == "started":
                self._started[record.system, record.receiver] = record
            elif record.kind == "message":
                self._note_bridge(record)

    def _note_bridge(self, record: TraceRecord) -> None:
        match short_type(record):
            case "Accept":
                for attempt in _field(record, "attempts") or ():
                    self._accepts[attempt] = record
            case "Offers":
                for offer in _field(record, "offers") or ():
                    self._offers[offer["id"]] = record
            case "Launch":
                self._launches[record.system, str(_field(record, "task_id"))] = record
            case "Write":
                self._writes[record.system, record.sender, _field(record, "reference")] = record
            case "SendUpdate":
                uuid = _field(record, "uuid")
                if isinstance(uuid, bytes):
                    self._updates.setdefault(uuid, record)

    def of(self, record: TraceRecord) -> TraceRecord | None:
        """The record that led to this one, or None at the beginning of things."""
        cause = self._bridge(record) or self._by_id.get(record.cause)
        if cause is None and record.kind == "message" and record.sender.startswith("task:"):
            cause = self._started.get((record.system, record.sender))
        if cause is record:
            return None
        return cause

    def chain(self, record: TraceRecord) -> Iterator[TraceRecord]:
        """The causes of a record, the nearest first."""
        seen = {id(record)}
        cause = self.of(record)
        while cause is not None and id(cause) not in seen and len(seen) < _LONGEST_CHAIN:
            seen.add(id(cause))
            yield cause
            cause = self.of(cause)

    def _bridge(self, record: TraceRecord) -> TraceRecord | None:
        attempt = record.receiver.removeprefix("task:")
        if record.kind == "started":
            return self._launch(record.system, attempt)
        if record.kind != "message":
            return None
        match short_type(record):
            case "Accept":
                return self._offer_of(record)
            case "Launched":
                return self._accepts.get(str(_field(record, "attempt_id")))
            case "Launch":
                return self._accepts.get(str(_field(record, "task_id")))
            case "StartTask" | "RefuseTask":
                return self._launch(record.system, attempt)
            case "Stored":
                return self._writes.get((record.system, record.receiver, _field(record, "reference")))
            case "Update" if not record.receiver.startswith("task:"):
                status = _field(record, "status")
                return self._updates.get(status.get("uuid", b"")) if isinstance(status, dict) else None
        return None

    def _launch(self, system: str, attempt: str) -> TraceRecord | None:
        """What started an attempt in an executor: the agent's LAUNCH if it was traced, else the ACCEPT."""
        return self._launches.get((system, attempt)) or self._accepts.get(attempt)

    def _offer_of(self, accept: TraceRecord) -> TraceRecord | None:
        """The offers that were accepted: the last that arrived of them."""
        arrived = [
            self._offers[offer] for offer in _field(accept, "offer_ids") or () if offer in self._offers
        ]
        return max(arrived, key=lambda record: record.seq, default=None)


def _field(record: TraceRecord, name: str) -> Any:
    value = contents(record)
    return value.get(name) if isinstance(value, dict) else None
