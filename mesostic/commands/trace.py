"""`mesostic trace show` and `mesostic trace stats`: which messages were sent, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesostic.errors import MesosticError

if TYPE_CHECKING:
    from actors.runtime import TraceRecord

KINDS = ("message", "reply", "dead_letter", "started", "stopped", "failed", "timer")


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
    from mesostic.tracing import records as traces
    from mesostic.tracing.printing import Printer

    if follow and contains is not None:
        raise MesosticError("--follow and --contains do not go together: a story is told from its end.")
    filters = traces.Filters(*(options.pop(name) for name in ("actors", "types", "tasks", "kinds")))
    records = traces.follow(files) if follow else traces.read_all(files)
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
    from actors.runtime.terminal import harmless_line
    from mesostic.tracing.records import read_all

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
    from mesostic.tracing.records import short_type

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
