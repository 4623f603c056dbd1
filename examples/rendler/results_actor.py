"""The results actor: keeps every page's record, and writes the folder of results.

`pages.jsonl` is written now and then, whole and in one step, so that a crawl that is killed loses seconds, not everything,
and can be resumed. The rest is written at the end.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from examples.rendler import dot, report, web_page
from examples.rendler.messages import (
    CrawlStarted,
    LoadResults,
    PageChanged,
    PictureArrived,
    ResultsLoaded,
    ResultsWritten,
    WriteResults,
)
from examples.rendler.pages import PageRecord, from_lines, to_line
from mesostic import Actor, Composition, NoSettings, message, receive

SAVE_EVERY = 5.0
"""Seconds between two writings of `pages.jsonl` while the crawl goes on."""


@message
class Save:
    """Time to write what is there."""


class ResultsActor(Actor):
    """Owns the folder of results."""

    Settings = NoSettings

    def __init__(self, composition: Composition, settings: NoSettings) -> None:
        super().__init__()
        self._pages: dict[str, PageRecord] = {}
        self._seed = ""
        self._folder = Path()
        self._unsaved = False
        self._stale: frozenset[str] = frozenset()

    @receive
    async def handle_crawl_started(self, started: CrawlStarted) -> None:
        """Makes the folder."""
        self._seed = started.seed
        self._folder = Path(started.output)
        await self.in_thread((self._folder / "images").mkdir, 0o777, True, True)
        earlier = await self.in_thread(_read_pages, self._folder)
        self._stale = frozenset(name for page in earlier for name in (page.picture, page.thumbnail) if name)
        self.timers.every(SAVE_EVERY, Save())

    @receive
    async def handle_load_results(self, load: LoadResults) -> None:
        """Reads what an earlier run left."""
        pages = await self.in_thread(_read_pages, Path(load.output))
        self._pages = {page.url: page for page in pages}
        self.tell("scheduler", ResultsLoaded(tuple(pages)))

    @receive
    def handle_page_changed(self, changed: PageChanged) -> None:
        """Keeps what is newest."""
        self._pages[changed.page.url] = changed.page
        self._unsaved = True

    @receive
    async def handle_picture_arrived(self, arrived: PictureArrived) -> None:
        """Takes a picture over from the server's folder of uploads."""
        target = self._folder / "images" / Path(arrived.name).name
        with contextlib.suppress(OSError):
            await self.in_thread(shutil.move, arrived.path, target)

    @receive
    async def handle_save(self, save: Save) -> None:
        """Writes `pages.jsonl` if there is something new."""
        if self._unsaved:
            self._unsaved = False
            with contextlib.suppress(OSError):
                await self.in_thread(_write_pages, self._folder, tuple(self._pages.values()))

    @receive
    async def handle_write_results(self, write: WriteResults) -> None:
        """Writes everything, and says so."""
        pages = tuple(self._pages.values())
        try:
            await self.in_thread(_remove_stale, self._folder, self._stale, pages)
            summary = await self.in_thread(_write_all, self._folder, pages, self._seed, write)
        except OSError as error:
            summary = (f"the results could not be written: {error}",)
        self.tell("scheduler", ResultsWritten(summary))


def _read_pages(folder: Path) -> list[PageRecord]:
    try:
        with (folder / "pages.jsonl").open(encoding="utf-8", errors="replace") as lines:
            return from_lines(lines)
    except FileNotFoundError:
        return []


def _remove_stale(folder: Path, stale: frozenset[str], pages: tuple[PageRecord, ...]) -> None:
    """Removes the pictures of an earlier crawl that are none of this one's."""
    for name in stale - {name for page in pages for name in (page.picture, page.thumbnail)}:
        if name == Path(name).name:
            (folder / "images" / name).unlink(missing_ok=True)


def _write_pages(folder: Path, pages: tuple[PageRecord, ...]) -> None:
    _write_text(folder / "pages.jsonl", "".join(map(to_line, pages)))


def _write_text(path: Path, text: str) -> None:
    """In one step: whoever reads the file sees the old one or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", errors="replace")
    partial.replace(path)


def _write_all(
    folder: Path, pages: tuple[PageRecord, ...], seed: str, write: WriteResults
) -> tuple[str, ...]:
    for stale in ("result.svg", "result.pdf"):
        (folder / stale).unlink(missing_ok=True)
    _write_pages(folder, pages)
    title = f"RENDLER: {seed}"
    _write_text(folder / "result.dot", dot.to_dot(pages, title=title))
    when = time.strftime("%Y-%m-%d %H:%M")
    images = folder / "images"
    page = web_page.to_html(
        pages, seed=seed, ended=write.reason, when=when, seconds=write.seconds, images=images
    )
    _write_text(folder / "index.html", page)
    drawn, remark = dot.draw(folder, pages, title=title)
    files = ["index.html", "result.dot", *drawn, "pages.jsonl"]
    return report.summary(pages, folder=_shown(folder), files=files, remark=remark, write=write)


def _shown(folder: Path) -> Path:
    """The folder as the user would name it."""
    with contextlib.suppress(ValueError):
        return folder.relative_to(Path.cwd())
    return folder
