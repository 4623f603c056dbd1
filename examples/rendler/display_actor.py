"""The display actor: what the user sees during the crawl. A live panel on a terminal, plain lines otherwise."""

import os
import sys
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.rendler.messages import CrawlEnded, CrawlStarted, Note, Progress
from mesostic import Actor, Composition, receive, setting

PLAIN_EVERY = 2.0
"""Seconds between two plain lines."""


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """`[actors.display]`."""

    style: Literal["auto", "live", "plain", "none"] = setting(
        "auto", help='How progress is shown; "auto": live on a terminal, plain lines otherwise.'
    )


class _Console(Console):
    """A console that falls silent when its output is no longer read (`| head`), instead of ending the program."""

    def on_broken_pipe(self) -> None:
        """What rich calls then; by default it exits."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class DisplayActor(Actor):
    """Owns the terminal."""

    Settings = DisplaySettings

    def __init__(self, composition: Composition, settings: DisplaySettings) -> None:
        super().__init__()
        style = settings.style
        if style == "auto":
            style = "live" if sys.stdout.isatty() else "plain"
        self._style = style
        self._console = _Console(highlight=False, soft_wrap=style != "live")
        self._live: Live | None = None
        self._last_line = 0.0
        self._ended = False

    def on_stop(self) -> None:
        self._end_live()

    @receive
    def handle_crawl_started(self, started: CrawlStarted) -> None:
        with_pictures = "" if started.render else ", without pictures"
        self._say(f"RENDLER crawls {started.seed}{with_pictures}")
        if self._style == "live":
            self._live = Live(Text(""), console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    @receive
    def handle_note(self, note: Note) -> None:
        self._say(note.text)

    @receive
    def handle_progress(self, progress: Progress) -> None:
        """Shows where the crawl stands; after the last words, nothing."""
        if self._ended:
            return
        if self._live is not None:
            self._live.update(_panel(progress), refresh=True)
        elif self._style == "plain" and progress.seconds - self._last_line >= PLAIN_EVERY:
            self._last_line = progress.seconds
            self._say(_line(progress))

    @receive
    def handle_crawl_ended(self, ended: CrawlEnded) -> None:
        self._ended = True
        self._end_live()
        for number, line in enumerate(ended.summary):
            self._say(line, style="" if number else "bold")

    def _say(self, text: str, *, style: str = "") -> None:
        if self._style != "none":
            self._console.print(Text(_printable(text), style=style))

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _line(progress: Progress) -> str:
    parts = [f"{progress.seconds:6.1f} s: {progress.crawled:,} crawled"]
    if progress.failed or progress.skipped:
        parts.append(f"{progress.skipped:,} skipped, {progress.failed:,} failed")
    parts.append(f"{progress.crawl_queue + progress.crawling:,} to crawl")
    if progress.pictures or progress.rendering or progress.render_queue:
        parts.append(
            f"{progress.pictures:,} pictures, {progress.render_queue + progress.rendering:,} to render"
        )
    if progress.phase != "crawling":
        parts.append(progress.phase)
    return "; ".join(parts)


def _panel(progress: Progress) -> Group:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold cyan")
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")

    def add_row(name: str, done: int, under_way: int, queued: int, bad: str) -> None:
        found = done + under_way + queued
        bar = ProgressBar(total=max(found, 1), completed=done, width=30)
        state = f"{under_way} under way, {queued} queued{bad}"
        table.add_row(name, bar, f"{done:,}/{found:,}", state)

    visited = progress.crawled + progress.failed + progress.skipped
    bad = f"; {progress.skipped} skipped, {progress.failed} failed"
    bad = bad if progress.failed or progress.skipped else ""
    add_row("pages", visited, progress.crawling, progress.crawl_queue, bad)
    rendered = progress.pictures + progress.pictures_failed
    if rendered or progress.rendering or progress.render_queue:
        bad = f"; {progress.pictures_failed} failed" if progress.pictures_failed else ""
        add_row("pictures", rendered, progress.rendering, progress.render_queue, bad)
    rate = visited / progress.seconds if progress.seconds > 0 else 0.0
    footer = Text(f"{progress.phase}, {progress.seconds:.1f} s, {rate:.0f} pages a second", style="dim")
    latest = Text(_printable(progress.latest), style="dim", overflow="ellipsis", no_wrap=True)
    return Group(table, footer, latest)


def _printable(text: str) -> str:
    """What pages and servers say, without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else "�" for char in text)
