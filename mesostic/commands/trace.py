"""`mesostic trace show` and `mesostic trace stats`: how records look on a terminal."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesostic.errors import MesosticError

if TYPE_CHECKING:
    from actors.runtime import TraceRecord

KINDS = ("message", "reply", "dead_letter", "started", "stopped", "failed", "timer")
_COLOURS = {"dead_letter": "yellow", "failed": "red", "started": "green", "stopped": "green", "reply": "blue"}
_WIDTH_WITHOUT_TERMINAL = 240


@click.group("trace", short_help="Read traces: which messages were sent, and why.")
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
    """Print the messages of traces, one a line, in order of time.

    With --contains: everything that has to do with a text, each message below the one that caused it. The other
    filters then choose from the story.
    """
    from mesostic.tracing import files as trace_files
    from mesostic.tracing.filters import Filters
    from mesostic.tracing.story import Line, tell_story

    if follow and contains is not None:
        raise MesosticError("--follow and --contains do not go together: a story is told from its end.")
    filters = Filters(*(options.pop(name) for name in ("actors", "types", "tasks", "kinds")))
    records = trace_files.follow(files) if follow else trace_files.read_all(files)
    if contains is not None:
        records_of_all = list(records)
        start = records_of_all[0].time if records_of_all else 0.0
        lines: Iterable[Line] = tell_story(records_of_all, contains, everything=everything)
        printer = Printer(**options, start=start, system=_first_system(records_of_all))
        printed = printer.print(line for line in lines if filters.match(line.record))
        if not printed:
            raise MesosticError(f"Nothing in {files[0]} has to do with {contains!r}.")
        return
    printer = Printer(**options)
    try:
        printer.print(Line(0, record) for record in printer.watch(records) if filters.match(record))
    except KeyboardInterrupt:
        if not follow:
            raise


@command.command("stats", short_help="Count messages by type, actor and process.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--top", default=15, show_default=True, help="How many types and actors to list.")
def stats(files: tuple[Path, ...], top: int) -> None:
    """Print what the traces amount to."""
    from actors.runtime.terminal import harmless_line
    from mesostic.tracing.files import read_all
    from mesostic.tracing.stats import statistics

    counted = statistics(read_all(files))
    rate = f", {counted.kinds['message'] / counted.seconds:,.0f} messages a second" if counted.seconds else ""
    click.echo(
        f"{counted.records:,} records in {counted.seconds:.3f} s{rate}; {counted.bytes:,} bytes of contents"
    )
    click.echo(f"at most {counted.most_actors:,} actors at a time")
    for title, counter in (
        ("records by kind", counted.kinds),
        ("records by process", counted.systems),
        ("messages by type", counted.types),
        ("messages by receiver", counted.receivers),
    ):
        click.echo(f"\n{title}")
        for name, count in counter.most_common(top):
            click.echo(f"  {count:>10,}  {harmless_line(name)}")
        if len(counter) > top:
            click.echo(
                f"  {sum(counter.values()) - sum(c for _, c in counter.most_common(top)):>10,}  others"
            )


def _first_system(records: list[TraceRecord]) -> str:
    return records[0].system if records else ""


class Printer:
    """Prints records as lines of text or JSON.

    The first record's time is the zero of all others, and the first record's system goes without saying.
    """

    def __init__(
        self, *, full: bool, ids: bool, as_json: bool, start: float | None = None, system: str | None = None
    ) -> None:
        self.full, self.ids, self.as_json = full, ids, as_json
        self.start, self.system = start, system
        self._aliases: dict[str, str] = {}
        terminal = sys.stdout.isatty()
        fallback = (_WIDTH_WITHOUT_TERMINAL, 24)
        self.width = (
            shutil.get_terminal_size().columns if terminal else shutil.get_terminal_size(fallback).columns
        )

    def watch(self, records: Iterable[TraceRecord]) -> Iterator[TraceRecord]:
        """Pass records on, with an eye on the first."""
        for record in records:
            if self.start is None:
                self.start, self.system = record.time, record.system
            yield record

    def print(self, lines: Iterable[Any]) -> int:
        """Print them; how many there were."""
        count = 0
        for count, line in enumerate(lines, start=1):  # noqa: B007 - the count is the answer
            click.echo(self._json(line) if self.as_json else self._text(line))
        return count

    def _text(self, line: Any) -> str:
        from actors.runtime.terminal import harmless_line
        from mesostic.tracing.compact import compact
        from mesostic.tracing.contents import summary
        from mesostic.tracing.filters import short_type

        record = line.record
        head = f"{record.time - (self.start or 0.0):9.3f}  {'  ' * min(line.depth, 30)}"
        route = f"{self._name(record, record.sender)} -> {self._name(record, record.receiver)}"
        if record.kind in {"started", "stopped", "failed"}:
            route = self._name(record, record.receiver)
        kind = "" if record.kind == "message" else f"{record.kind} "
        ids = f" [{record.id} <- {record.cause or '-'}]" if self.ids else ""
        plain = f"{head}{route}  {kind}{short_type(record)}{ids}  {summary(record) if self.full else compact(record)}".rstrip()
        plain = harmless_line(plain)
        if not self.full and len(plain) > self.width:
            plain = plain[: self.width - 1] + "…"
        return click.style(plain, fg=_COLOURS[record.kind]) if record.kind in _COLOURS else plain

    def _name(self, record: TraceRecord, name: str) -> str:
        """The actor's name; of other processes with a short name of the process in front."""
        name = name or "(outside)"
        return name if record.system == self.system else f"{self._alias(record.system)}/{name}"

    def _alias(self, system: str) -> str:
        """The name of the executor that the system is: "crawl" for "crawl-75852bbe31.09364017"; "crawl#2" for the next."""
        if system not in self._aliases:
            base = system.removeprefix("executor:").rpartition("-")[0] or system
            same = sum(alias.partition("#")[0] == base for alias in self._aliases.values())
            self._aliases[system] = base if not same else f"{base}#{same + 1}"
        return self._aliases[system]

    def _json(self, line: Any) -> str:
        from actors.runtime.terminal import harmless_json
        from mesostic.tracing.contents import as_json, contents

        record = line.record
        fields = ("seq", "time", "system", "kind", "sender", "receiver", "type", "id", "cause")
        document = json.dumps(
            {name: getattr(record, name) for name in fields}
            | {"depth": line.depth, "payload": as_json(contents(record))},
            ensure_ascii=False,
        )
        return harmless_json(document)
