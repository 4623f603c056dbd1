"""What is known about one page: the line that it gets in `pages.jsonl`. Pure values; no I/O."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any


class PageState(enum.StrEnum):
    """How far a page has come. A page is written to the results once its state is a final one."""

    QUEUED = "queued"
    CRAWLING = "crawling"
    CRAWLED = "crawled"
    REDIRECT = "redirect"
    SKIPPED = "skipped"
    """Reached, or not allowed to be: nothing went wrong, and there is nothing to follow (robots.txt, a PDF, too large)."""
    FAILED = "failed"


FINAL_STATES = frozenset({PageState.CRAWLED, PageState.REDIRECT, PageState.SKIPPED, PageState.FAILED})


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One page of the crawl.

    Attributes:
        url: Normalised; a page is known under one URL only.
        state: Where it is in its life.
        depth: Links away from the seed, by the way that found it first.
        parent: The page on which it was found first; empty for the seed.
        status: The HTTP status; None where no answer came.
        content_type: Media type without parameters.
        bytes: Size of the body as read.
        title: Of an HTML page.
        links: What it links to, normalised and distinct, off-site links too.
        follow: False where the page itself asks not to be followed (meta robots).
        redirect: Where it redirects to.
        attempts: How many tasks were launched to crawl it.
        seconds: How long the answer took, of the last attempt.
        error: Why it failed or was skipped, in a sentence.
        picture: File name in `images/`.
        thumbnail: File name in `images/` of the small version.
        picture_attempts: How many tasks were launched to render it.
        picture_error: Why there is no picture, or what is odd about it.
    """

    url: str
    state: PageState = PageState.QUEUED
    depth: int = 0
    parent: str = ""
    status: int | None = None
    content_type: str = ""
    bytes: int = 0
    title: str = ""
    links: tuple[str, ...] = ()
    follow: bool = True
    redirect: str = ""
    attempts: int = 0
    seconds: float = 0.0
    error: str = ""
    picture: str = ""
    thumbnail: str = ""
    picture_attempts: int = 0
    picture_error: str = ""

    @property
    def is_final(self) -> bool:
        """Whether crawling it has come to an end, good or bad."""
        return self.state in FINAL_STATES


_NAMES = tuple(field.name for field in fields(PageRecord))


def to_line(record: PageRecord) -> str:
    """One line of `pages.jsonl`, newline included."""
    values = {name: getattr(record, name) for name in _NAMES}
    values["seconds"] = round(record.seconds, 4)
    return json.dumps(values, ensure_ascii=False, separators=(", ", ": ")) + "\n"


def from_lines(lines: Iterable[str]) -> list[PageRecord]:
    """Reads `pages.jsonl` again; the last line of a URL wins, lines that cannot be read are left out.

    A crawl that was killed may have left half a line: that page is crawled again, and nothing else is lost.
    """
    found: dict[str, PageRecord] = {}
    for line in lines:
        try:
            values: dict[str, Any] = json.loads(line)
            known = {name: values[name] for name in _NAMES if name in values}
            known["state"] = PageState(known["state"])
            known["links"] = tuple(str(link) for link in known["links"])
            record = PageRecord(**known)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        found[record.url] = record
    return list(found.values())
