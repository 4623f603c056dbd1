"""`mesostic trace show` and `mesostic trace stats`: which messages were sent, and why.

Records are lines on a terminal: contents without what is empty, long or said already; in full; or as JSON. Bytes that are a
serialized protobuf message or a packed message of ours are shown by what is in them.
"""

import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import click

from actors.runtime import TraceRecord
from actors.runtime.terminal import harmless_json, harmless_line
from mesos_v1 import pb
from mesostic.errors import MesosticError
from mesostic.tracing.records import (
    Filters,
    as_json,
    contents,
    follow_all,
    packed_message,
    read_all,
    short_type,
    texts_in,
)

KINDS = ("message", "reply", "dead_letter", "started", "stopped", "failed", "timer")
_COLOURS = {"dead_letter": "yellow", "failed": "red", "started": "green", "stopped": "green", "reply": "blue"}
_WIDTH_WITHOUT_TERMINAL = 240

_LONG_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-(?=[SO]?\d)")
_SKIPPED = {
    "uuid", "raw", "reference", "timestamp", "framework_id", "meta", "container_ids", "ip_addresses", "order",
}  # fmt: skip
_LONGEST_TEXT = 160


@click.group("trace")
def command() -> None:
    """Read the trace logs that `mesostic run --trace FILE` writes. The executors' logs beside FILE are read with it."""


@command.command("show", short_help="Print messages, or the story of one thing.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--actor", "actors", multiple=True, metavar="NAME", help="From or to this actor ('task:*': all tasks)."
)
@click.option("--type", "types", multiple=True, metavar="NAME", help="Of this type.")
@click.option("--task", "tasks", multiple=True, metavar="ID", help="From, to or about this task.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Of this kind.")
@click.option(
    "--contains", metavar="TEXT", help="The whole story of TEXT (a URL, a task's id, …), in order of cause."
)
@click.option("--follow", "-f", is_flag=True, help="Keep printing as the trace grows, until Ctrl-C.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="With --contains: also what actors send to themselves, and the store.",
)
@click.option("--full", is_flag=True, help="All fields of all messages, in lines of any length.")
@click.option("--ids", is_flag=True, help="Also the ids of the message and of its cause.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def show(
    files: tuple[Path, ...], contains: str | None, follow: bool, everything: bool, **options: Any
) -> None:
    """Print the messages of traces, one per line, in order of time.

    With --contains: everything that has to do with a text, each message below the one that caused it. The other
    filters then choose from the story.
    """
    if follow and contains is not None:
        raise MesosticError("--follow and --contains do not go together: a story is told from its end.")
    filters = Filters(*(options.pop(name) for name in ("actors", "types", "tasks", "kinds")))
    records = follow_all(files) if follow else read_all(files)
    printed = 0
    try:
        if (first := next(records, None)) is not None:
            known = chain((first,), records)
            lines: Iterable[tuple[int, TraceRecord]] = ((0, record) for record in known)
            if contains is not None:
                from mesostic.tracing.story import tell_story

                lines = tell_story(list(known), contains, everything=everything)
            chosen = (line for line in lines if filters.match(line[1]))
            printed = Printer(first, **options).print(chosen)
    except KeyboardInterrupt:
        if not follow:
            raise
    if contains is not None and not printed:
        raise MesosticError(f"Nothing in {files[0]} has to do with {contains!r}.")


@command.command("stats", short_help="Count messages by type, actor and process.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--top", default=15, show_default=True, help="How many types and actors to list.")
def stats(files: tuple[Path, ...], top: int) -> None:
    """Print what the traces amount to."""
    counted = statistics(read_all(files))
    rate = f", {counted.kinds['message'] / counted.seconds:,.0f} messages a second" if counted.seconds else ""
    records = f"{counted.kinds.total():,} records in {counted.seconds:.3f} s{rate}"
    click.echo(f"{records}; {counted.bytes:,} bytes of contents")
    click.echo(f"at most {counted.most_actors:,} actors at a time")
    for title, counter in (
        ("records by kind", counted.kinds),
        ("records by process", counted.systems),
        ("messages by type", counted.types),
        ("messages by receiver", counted.receivers),
    ):
        click.echo(f"\n{title}")
        listed = counter.most_common(top)
        for name, count in listed:
            click.echo(f"  {count:>10,}  {harmless_line(name)}")
        if len(counter) > top:
            click.echo(f"  {counter.total() - sum(count for _, count in listed):>10,}  others")


@dataclass(slots=True)
class Statistics:
    """What the records of a trace amount to."""

    seconds: float = 0.0  # from the first record to the last
    bytes: int = 0  # of all payloads
    most_actors: int = 0  # at a time
    kinds: Counter[str] = field(default_factory=Counter)
    systems: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    receivers: Counter[str] = field(default_factory=Counter)  # the actors of tasks count as one


def statistics(records: Iterable[TraceRecord]) -> Statistics:
    """Count over all records."""
    stats = Statistics()
    first, alive = 0.0, 0
    for record in records:
        first = first or record.time
        stats.seconds = max(stats.seconds, record.time - first)
        stats.bytes += len(record.payload or b"")
        stats.kinds[record.kind] += 1
        stats.systems[record.system] += 1
        if record.kind in {"message", "timer"}:
            stats.types[short_type(record)] += 1
            stats.receivers["task:*" if record.receiver.startswith("task:") else record.receiver] += 1
        alive += (record.kind == "started") - (record.kind == "stopped")
        stats.most_actors = max(stats.most_actors, alive)
    return stats


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
    return "" if value is None else _shown(value, full=full)


def _shown(value: Any, *, full: bool = False) -> str:
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
            return "[" + ", ".join(_shown(item, full=full) for item in value) + "]"
        case float() if not full:
            return f"{value:.6g}"
        case None | bool():
            return "none" if value is None else str(value).lower()
    return str(value)


def _fields(fields: Mapping[str, Any], *, full: bool = False) -> str:
    if full:
        return " ".join(f"{name}={_shown(value, full=True)}" for name, value in fields.items())
    parts = []
    for name, value in fields.items():
        if name in _SKIPPED or value is None or value in ("", b"", [], {}, False):
            continue
        if name == "task_id" and "status" in fields:
            continue  # which says so itself
        try:
            parts.append(_SPECIAL[name](value))
        except Exception:  # no special one, or not what it looks like: then it is shown as anything else
            parts.append(f"{name}={_shown(value)}")
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
    texts = [_shown(text, full=True) for text in dict.fromkeys(texts_in(data))]
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
    return f"{where}: {_shown(offer.get('resources', ''))}"


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
