"""The results actor: keeps every page's record, and writes the folder of results.

`pages.jsonl` is written now and then, whole and in one step, so that a crawl that is killed loses seconds, not everything,
and can be resumed. The rest is written at the end.
"""

import collections
import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import msgspec

from examples.rendler import messages as m
from examples.rendler.drawings import draw, to_dot, to_html
from mesostic import Actor, Composition, NoSettings, message, receive

SAVE_EVERY = 5.0
"""Seconds between two writings of `pages.jsonl` during the crawl."""


@message
class Save:
    """Time to write what is there."""


class ResultsActor(Actor):
    """Owns the folder of results."""

    Settings = NoSettings

    def __init__(self, composition: Composition, settings: NoSettings) -> None:
        super().__init__()
        self._pages: dict[str, m.PageRecord] = {}
        self._seed = ""
        self._folder = Path()
        self._unsaved = False
        self._stale: frozenset[str] = frozenset()

    @receive
    async def handle_crawl_started(self, started: m.CrawlStarted) -> None:
        self._seed = started.seed
        self._folder = Path(started.output)
        await self.in_thread((self._folder / "images").mkdir, 0o777, True, True)
        earlier = await self.in_thread(_read_pages, self._folder)
        self._stale = frozenset(name for page in earlier for name in (page.picture, page.thumbnail) if name)
        self.timers.every(SAVE_EVERY, Save())

    @receive
    async def handle_load_results(self, load: m.LoadResults) -> None:
        pages = await self.in_thread(_read_pages, Path(load.output))
        self._pages = {page.url: page for page in pages}
        self.tell("scheduler", m.ResultsLoaded(tuple(pages)))

    @receive
    def handle_page_changed(self, changed: m.PageChanged) -> None:
        self._pages[changed.page.url] = changed.page
        self._unsaved = True

    @receive
    async def handle_picture_arrived(self, arrived: m.PictureArrived) -> None:
        target = self._folder / "images" / Path(arrived.name).name
        with contextlib.suppress(OSError):
            await self.in_thread(shutil.move, arrived.path, target)

    @receive
    async def handle_save(self, save: Save) -> None:
        if self._unsaved:
            self._unsaved = False
            with contextlib.suppress(OSError):
                await self.in_thread(_write_pages, self._folder, tuple(self._pages.values()))

    @receive
    async def handle_write_results(self, write: m.WriteResults) -> None:
        pages = tuple(self._pages.values())
        try:
            await self.in_thread(_remove_stale, self._folder, self._stale, pages)
            summary = await self.in_thread(_write_all, self._folder, pages, self._seed, write)
        except OSError as error:
            summary = (f"the results could not be written: {error}",)
        self.tell("scheduler", m.ResultsWritten(summary))


def to_line(record: m.PageRecord) -> str:
    """One line of `pages.jsonl`, newline included."""
    values = {field.name: getattr(record, field.name) for field in fields(m.PageRecord)}
    values["seconds"] = round(record.seconds, 4)
    return json.dumps(values, ensure_ascii=False) + "\n"


def from_lines(lines: Iterable[str]) -> list[m.PageRecord]:
    """Reads `pages.jsonl` again; the last line of a URL wins, lines that cannot be read are left out.

    A crawl that was killed may have left half a line: that page is crawled again, and nothing else is lost.
    """
    found: dict[str, m.PageRecord] = {}
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            record = msgspec.json.decode(line, type=m.PageRecord)
            found[record.url] = record
    return list(found.values())


def _read_pages(folder: Path) -> list[m.PageRecord]:
    try:
        with (folder / "pages.jsonl").open(encoding="utf-8", errors="replace") as lines:
            return from_lines(lines)
    except FileNotFoundError:
        return []


def _remove_stale(folder: Path, stale: frozenset[str], pages: tuple[m.PageRecord, ...]) -> None:
    """Removes the pictures of an earlier crawl that this one has not taken."""
    for name in stale - {name for page in pages for name in (page.picture, page.thumbnail)}:
        if name == Path(name).name:
            (folder / "images" / name).unlink(missing_ok=True)


def _write_pages(folder: Path, pages: tuple[m.PageRecord, ...]) -> None:
    _write_text(folder / "pages.jsonl", "".join(map(to_line, pages)))


def _write_text(path: Path, text: str) -> None:
    """In one step: whoever reads the file sees the old one or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", errors="replace")
    partial.replace(path)


def _write_all(
    folder: Path, pages: tuple[m.PageRecord, ...], seed: str, write: m.WriteResults
) -> tuple[str, ...]:
    for stale in ("result.svg", "result.pdf"):
        (folder / stale).unlink(missing_ok=True)
    _write_pages(folder, pages)
    title = f"RENDLER: {seed}"
    _write_text(folder / "result.dot", to_dot(pages, title=title))
    when = time.strftime("%Y-%m-%d %H:%M")
    images = folder / "images"
    page = to_html(pages, seed=seed, ended=write.reason, when=when, seconds=write.seconds, images=images)
    _write_text(folder / "index.html", page)
    drawn, remark = draw(folder, pages, title=title)
    files = ["index.html", "result.dot", *drawn, "pages.jsonl"]
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return end_summary(pages, folder=shown, files=files, remark=remark, write=write)


_WHAT = {
    "index.html": "the crawl, to look at in a browser",
    "result.dot": "the crawl as a Graphviz graph",
    "result.svg": "the graph, drawn",
    "result.pdf": "the graph, drawn",
    "pages.jsonl": "one line for each page",
}
_MOST_ERRORS = 5


def end_summary(
    pages: Sequence[m.PageRecord], *, folder: Path, files: Iterable[str], remark: str, write: m.WriteResults
) -> tuple[str, ...]:
    count = collections.Counter(page.state for page in pages)
    pictures = sum(bool(page.picture) for page in pages)
    what = (
        f"{count[m.PageState.CRAWLED]:,} crawled, {_count(count[m.PageState.REDIRECT], 'redirect')}, "
        f"{count[m.PageState.SKIPPED]:,} skipped, {count[m.PageState.FAILED]:,} failed"
    )
    new = max(0, len(pages) - write.earlier)
    rate = new / write.crawl_seconds if write.crawl_seconds > 0 else 0.0
    lines = [f"{_count(new, 'page')} in {write.crawl_seconds:.1f} s ({rate:.0f} a second): {what}"]
    if write.earlier:
        lines = [f"{lines[0]}, with {write.earlier:,} of an earlier run"]
    if pictures:
        lines.append(f"{_count(pictures, 'picture')}; {write.seconds:.1f} s in all")
    if write.reason:
        lines.append(write.reason)
    if write.queued:
        lines.append(f"found and not visited: {_count(write.queued, 'page')}")
    lines += _errors(pages)
    lines.append(f"results in {folder}:")
    lines += [f"  {name:<12} {_WHAT[name]}" for name in files]
    if pictures:
        lines.append(f"  {'images/':<12} the pictures")
    if remark:
        lines.append(remark)
    return tuple(lines)


def _errors(pages: Sequence[m.PageRecord]) -> list[str]:
    failed = [page for page in pages if page.state is m.PageState.FAILED]
    lines = []
    for page in failed[:_MOST_ERRORS]:
        tries = f" ({page.attempts} attempts)" if page.attempts > 1 else ""
        lines.append(f"  failed: {page.url}: {page.error}{tries}")
    if len(failed) > _MOST_ERRORS:
        lines.append(f"  … and {len(failed) - _MOST_ERRORS:,} more: see pages.jsonl")
    without: dict[str, list[m.PageRecord]] = {}
    for page in pages:
        if page.picture_error and not page.picture:
            without.setdefault(page.picture_error, []).append(page)
    for error, of in list(without.items())[:_MOST_ERRORS]:
        others = f" (and {len(of) - 1:,} more)" if len(of) > 1 else ""
        lines.append(f"  no picture: {of[0].url}{others}: {error}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
