"""The words with which a crawl ends: what was done, what went wrong, where everything is. Pure; no I/O."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from pathlib import Path

from examples.rendler.messages import WriteResults
from examples.rendler.pages import PageRecord, PageState

_WHAT = {
    "index.html": "the crawl, to look at in a browser",
    "result.dot": "the crawl as a Graphviz graph",
    "result.svg": "the graph, drawn",
    "result.pdf": "the graph, drawn",
    "pages.jsonl": "one line for each page",
}
_MOST_ERRORS = 5


def summary(
    pages: Sequence[PageRecord], *, folder: Path, files: Iterable[str], remark: str, write: WriteResults
) -> tuple[str, ...]:
    """The lines to print at the end."""
    count = collections.Counter(page.state for page in pages)
    pictures = sum(bool(page.picture) for page in pages)
    what = (
        f"{count[PageState.CRAWLED]:,} crawled, {_count(count[PageState.REDIRECT], 'redirect')}, "
        f"{count[PageState.SKIPPED]:,} skipped, {count[PageState.FAILED]:,} failed"
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


def _errors(pages: Sequence[PageRecord]) -> list[str]:
    failed = [page for page in pages if page.state is PageState.FAILED]
    lines = []
    for page in failed[:_MOST_ERRORS]:
        tries = f" ({page.attempts} attempts)" if page.attempts > 1 else ""
        lines.append(f"  failed: {page.url}: {page.error}{tries}")
    if len(failed) > _MOST_ERRORS:
        lines.append(f"  … and {len(failed) - _MOST_ERRORS:,} more: see pages.jsonl")
    without: dict[str, list[PageRecord]] = {}
    for page in pages:
        if page.picture_error and not page.picture:
            without.setdefault(page.picture_error, []).append(page)
    for error, of in list(without.items())[:_MOST_ERRORS]:
        others = f" (and {len(of) - 1:,} more)" if len(of) > 1 else ""
        lines.append(f"  no picture: {of[0].url}{others}: {error}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
