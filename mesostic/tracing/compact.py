"""A record's contents on one line, as a person wants to read them: without what is empty, long or said already.

Bytes that are a serialized protobuf message or a packed message of ours are shown by what is in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from actors.runtime import TraceRecord
from mesos_v1 import pb
from mesostic.tracing.contents import contents, texts_in

_LONG_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-(?=[SO]?\d)")
_SKIPPED = frozenset(
    {
        "uuid",
        "raw",
        "reference",
        "timestamp",
        "framework_id",
        "meta",
        "container_ids",
        "ip_addresses",
        "order",
    }
)
_LONGEST_TEXT = 160


def compact(record: TraceRecord) -> str:
    """The contents, without the braces around them."""
    value = contents(record)
    if value is None:
        return ""
    if isinstance(value, dict):
        return _fields(value)
    return show(value)


def show(value: Any) -> str:
    """One value."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, dict):
        if set(value) == {"entries"}:
            return _resources(value["entries"])
        return "{" + _fields(value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _fields(fields: Mapping[str, Any]) -> str:
    parts = []
    for name, value in fields.items():
        if name in _SKIPPED or value is None or value in ("", b"", [], {}, False):
            continue
        if name == "task_id" and "status" in fields:
            continue  # which says so itself
        special = _SPECIAL.get(name)
        text = special(value) if special is not None else None
        parts.append(f"{name}={show(value)}" if text is None else text)
    return " ".join(part for part in parts if part)


def _text(text: str) -> str:
    text = _LONG_ID.sub("", text).replace("\n", "\\n")
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    return text if re.fullmatch(r"[\w.:/@+*-]+", text) else f'"{text}"'


def _bytes(data: bytes) -> str:
    envelope = _envelope(data)
    if envelope is not None:
        name, fields = envelope
        return f"{name.rpartition(':')[2]}({_fields(fields) if isinstance(fields, dict) else show(fields)})"
    texts = [text for text in dict.fromkeys(texts_in(data)) if text.isprintable()][:3]
    return f"<{len(data)} bytes{': ' + ' '.join(map(_text, texts)) if texts else ''}>"


def _envelope(data: bytes) -> tuple[str, Any] | None:
    if data[:2] != b"\x95\x01":
        return None
    try:
        parts = msgpack.unpackb(data)
        return str(parts[1]), parts[4]
    except Exception:
        return None


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


def _status(value: Any) -> str | None:
    """A task's status: as a table of ours, or as Mesos's message."""
    if isinstance(value, dict) and "state" in value:
        head = f"{value.get('task_id', '')} {value['state']}"
        return f"{head} {_fields({name: value.get(name) for name in ('reason', 'message', 'data')})}".strip()
    if isinstance(value, bytes):
        try:
            status = pb.mesos.TaskStatus.FromString(value)
        except Exception:
            return None
        data = f" {_bytes(status.data)}" if status.data else ""
        message = f" {_text(status.message)}" if status.message else ""
        return f"{status.task_id.value} {pb.mesos.TaskState.Name(status.state)}{message}{data}"
    return None


def _operations(value: Any) -> str | None:
    """Offer operations, each with its tasks."""
    shown = []
    try:
        for data in value:
            operation = pb.mesos.Offer.Operation.FromString(data)
            tasks = [*operation.launch.task_infos, *operation.launch_group.task_group.tasks]
            names = " ".join(task.task_id.value for task in tasks)
            shown.append(f"{pb.mesos.Offer.Operation.Type.Name(operation.type)} {names}".strip())
    except Exception:
        return None
    return f"operations=[{', '.join(shown)}]"


def _task_info(value: Any) -> str | None:
    """What a task is to do: the message in its data, or its command."""
    if not isinstance(value, bytes):
        return None
    try:
        info = pb.mesos.TaskInfo.FromString(value)
    except Exception:
        return None
    if info.data:
        return _bytes(info.data)
    return f"command={_text(info.command.value)}" if info.HasField("command") else ""


def _offers(value: Any) -> str | None:
    """Offers: where, and how much."""
    if not isinstance(value, list) or not all(isinstance(offer, dict) for offer in value):
        return None
    return ", ".join(
        f"{_text(offer.get('id', ''))} of {offer.get('hostname', '')}: {show(offer.get('resources', ''))}"
        for offer in value
    )


def _records(value: Any) -> str | None:
    """Records of the store: their keys. Records of a stream: how many."""
    if isinstance(value, list) and all(isinstance(item, bytes) for item in value):
        return f"{len(value)} records"
    if isinstance(value, list) and all(isinstance(item, dict) and "key" in item for item in value):
        return "write=[" + ", ".join(f"{item.get('kind')} {item['key']}" for item in value) + "]"
    return None


def _deletes(value: Any) -> str | None:
    return "delete=[" + ", ".join(" ".join(map(str, item)) for item in value) + "]" if value else ""


_SPECIAL: dict[str, Callable[[Any], str | None]] = {
    "deletes": _deletes,
    "info": _task_info,
    "offers": _offers,
    "operations": _operations,
    "records": _records,
    "status": _status,
    "task": _task_info,
}
