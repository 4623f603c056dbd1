"""Records as lines on a terminal: contents without what is empty, long or said already; in full; or as JSON.

Bytes that are a serialized protobuf message or a packed message of ours are shown by what is in them.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from actors.runtime import TraceRecord
from actors.runtime.terminal import harmless_json, harmless_line
from mesos_v1 import pb
from mesostic.tracing.records import as_json, contents, packed_message, short_type, texts_in

_COLOURS = {"dead_letter": "yellow", "failed": "red", "started": "green", "stopped": "green", "reply": "blue"}
_WIDTH_WITHOUT_TERMINAL = 240

_LONG_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-(?=[SO]?\d)")
_SKIPPED = {
    "uuid", "raw", "reference", "timestamp", "framework_id", "meta", "container_ids", "ip_addresses", "order",
}  # fmt: skip
_LONGEST_TEXT = 160


class Printer:
    """Prints records: the time of the `first` is the zero of all others, and its system goes without saying."""

    def __init__(self, first: TraceRecord, *, full: bool, ids: bool, as_json: bool) -> None:
        self.full, self.ids, self.as_json, self.first = full, ids, as_json, first
        self._aliases: dict[str, str] = {}
        narrowest = 80 if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
        self.width = shutil.get_terminal_size((narrowest, 24)).columns

    def print(self, lines: Iterable[tuple[int, TraceRecord]]) -> int:
        """Print records at their depths; how many there were."""
        count = 0
        for count, line in enumerate(lines, start=1):  # noqa: B007 - the count is the answer
            click.echo(self._json(*line) if self.as_json else self._text(*line))
        return count

    def _text(self, depth: int, record: TraceRecord) -> str:
        head = f"{record.time - self.first.time:9.3f}  {'  ' * min(depth, 30)}"
        route = self._name(record, record.receiver)
        if record.kind not in {"started", "stopped", "failed"}:
            route = f"{self._name(record, record.sender)} -> {route}"
        kind = "" if record.kind == "message" else f"{record.kind} "
        ids = f" [{record.id} <- {record.cause or '-'}]" if self.ids else ""
        shown = described(record, full=self.full)
        plain = harmless_line(f"{head}{route}  {kind}{short_type(record)}{ids}  {shown}".rstrip())
        if not self.full and len(plain) > self.width:
            plain = plain[: self.width - 1] + "…"
        return click.style(plain, fg=_COLOURS[record.kind]) if record.kind in _COLOURS else plain

    def _name(self, record: TraceRecord, name: str) -> str:
        """The actor's name; of other processes with a short name of the process in front."""
        name, system = name or "(outside)", record.system
        if system == self.first.system:
            return name
        if system not in self._aliases:
            # "crawl" for "executor:crawl-75852bbe31.09364017", "crawl#2" for the next
            base = system.removeprefix("executor:").rpartition("-")[0] or system
            same = sum(alias.partition("#")[0] == base for alias in self._aliases.values())
            self._aliases[system] = f"{base}#{same + 1}" if same else base
        return f"{self._aliases[system]}/{name}"

    def _json(self, depth: int, record: TraceRecord) -> str:
        fields = ("seq", "time", "system", "kind", "sender", "receiver", "type", "id", "cause")
        document: dict[str, Any] = {name: getattr(record, name) for name in fields}
        document |= {"depth": depth, "payload": as_json(contents(record))}
        return harmless_json(json.dumps(document, ensure_ascii=False))


def described(record: TraceRecord, *, full: bool = False) -> str:
    """The contents: `full`, or without what is empty, long or said already; without the braces around them."""
    return _bare(contents(record), full=full)


def _bare(value: Any, *, full: bool) -> str:
    if isinstance(value, dict):
        return _fields(value, full=full)
    return "" if value is None else show(value, full=full)


def show(value: Any, *, full: bool = False) -> str:
    """One value."""
    match value:
        case str():
            return '"' + value.replace("\n", "\\n") + '"' if full else _text(value)
        case bytes():
            return _bytes_in_full(value) if full else _bytes(value)
        case {"entries": entries} if not full and len(value) == 1:
            return _resources(entries)
        case dict():
            return "{" + _fields(value, full=full) + "}"
        case list() | tuple():
            return "[" + ", ".join(show(item, full=full) for item in value) + "]"
        case float() if not full:
            return f"{value:.6g}"
        case None | bool():
            return "none" if value is None else str(value).lower()
    return str(value)


def _fields(fields: Mapping[str, Any], *, full: bool = False) -> str:
    if full:
        return " ".join(f"{name}={show(value, full=True)}" for name, value in fields.items())
    parts = []
    for name, value in fields.items():
        if name in _SKIPPED or value is None or value in ("", b"", [], {}, False):
            continue
        if name == "task_id" and "status" in fields:
            continue  # which says so itself
        try:
            parts.append(_SPECIAL[name](value))
        except Exception:  # no special one, or not what it looks like: then it is shown as anything else
            parts.append(f"{name}={show(value)}")
    return " ".join(part for part in parts if part)


def _text(text: str) -> str:
    text = _LONG_ID.sub("", text).replace("\n", "\\n")
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    return text if re.fullmatch(r"[\w.:/@+*-]+", text) else f'"{text}"'


def _bytes(data: bytes) -> str:
    if (message := packed_message(data)) is not None:
        name, fields = message
        return f"{name.rpartition(':')[2]}({_bare(fields, full=False)})"
    texts = [text for text in dict.fromkeys(texts_in(data)) if text.isprintable()][:3]
    return f"<{len(data)} bytes{': ' + ' '.join(map(_text, texts)) if texts else ''}>"


def _bytes_in_full(data: bytes) -> str:
    texts = [show(text, full=True) for text in dict.fromkeys(texts_in(data))]
    inside = f": {', '.join(texts[:6])}{', …' if len(texts) > 6 else ''}" if texts else ""
    return f"<{len(data)} bytes{inside}>"


def _resources(entries: Any) -> str:
    parts = []
    for entry in entries:
        if entry.get("kind") == "SCALAR":
            parts.append(f"{entry['name']}:{entry['millis'] / 1000:g}")
        elif entry.get("kind") == "RANGES":
            parts.append(f"{entry['name']}:[{', '.join(f'{low}-{high}' for low, high in entry['ranges'])}]")
        else:
            parts.append(f"{entry.get('name')}:{{{', '.join(map(str, entry.get('items', ())))}}}")
    return ";".join(parts)


def _status(value: Any) -> str:
    """A task's status: as our table, or as Mesos's message."""
    if isinstance(value, dict):
        head = f"{value.get('task_id', '')} {value['state']}"
        return f"{head} {_fields({name: value.get(name) for name in ('reason', 'message', 'data')})}".strip()
    status = pb.mesos.TaskStatus.FromString(value)
    data = f" {_bytes(status.data)}" if status.data else ""
    message = f" {_text(status.message)}" if status.message else ""
    return f"{status.task_id.value} {pb.mesos.TaskState.Name(status.state)}{message}{data}"


def _operation(data: bytes) -> str:
    """An offer operation with its tasks."""
    operation = pb.mesos.Offer.Operation.FromString(data)
    tasks = [*operation.launch.task_infos, *operation.launch_group.task_group.tasks]
    names = " ".join(task.task_id.value for task in tasks)
    return f"{pb.mesos.Offer.Operation.Type.Name(operation.type)} {names}".strip()


def _task_info(value: Any) -> str:
    """What a task is to do: the message in its data, or its command."""
    info = pb.mesos.TaskInfo.FromString(value)
    if info.data:
        return _bytes(info.data)
    return f"command={_text(info.command.value)}" if info.HasField("command") else ""


def _offer(offer: Mapping[str, Any]) -> str:
    """Where, and how much."""
    where = f"{_text(offer.get('id', ''))} of {offer.get('hostname', '')}"
    return f"{where}: {show(offer.get('resources', ''))}"


def _records(value: Any) -> str:
    """Records of the store: their keys. Records of a stream: how many."""
    if all(isinstance(item, bytes) for item in value):
        return f"{len(value)} records"
    return "write=[" + ", ".join(f"{item.get('kind')} {item['key']}" for item in value) + "]"


_SPECIAL: dict[str, Callable[[Any], str]] = {
    "deletes": lambda value: f"delete=[{', '.join(' '.join(map(str, item)) for item in value)}]",
    "info": _task_info,
    "offers": lambda value: ", ".join(map(_offer, value)),
    "operations": lambda value: f"operations=[{', '.join(map(_operation, value))}]",
    "records": _records,
    "status": _status,
    "task": _task_info,
}
