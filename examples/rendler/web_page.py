"""`index.html`: the crawl to look at in a browser, in one file that needs no network and no server.

The page is `viewer.html` with the data put in. Small pictures travel inside it, as long as there is room; the others, and
the large ones, are files in `images/` beside it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from examples.rendler.pages import PageRecord

MAX_INLINE_BYTES = 16_000_000
"""Thumbnails inside the page, in all; about a thousand."""
_MARK = "__RENDLER_DATA__"


def to_html(
    pages: Sequence[PageRecord],
    *,
    seed: str,
    ended: str,
    when: str,
    seconds: float,
    images: Path,
    max_inline_bytes: int = MAX_INLINE_BYTES,
) -> str:
    """The page as text.

    Args:
        ended: Why the crawl was cut short; empty where it came to its own end.
        when: Date and time to show.
        seconds: How long the crawl took.
        images: The folder of the pictures.
        max_inline_bytes: Thumbnails inside the page, in all; the others are linked.
    """
    known = {page.url: number for number, page in enumerate(pages)}
    room = max_inline_bytes
    nodes = []
    for page in pages:
        thumbnail, used = _thumbnail(page, images, room)
        room -= used
        nodes.append(_node(page, known, thumbnail))
    data = {"seed": seed, "ended": ended, "when": when, "seconds": round(seconds, 2), "pages": nodes}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only these can end it (HTML, "Restrictions for contents of script elements").
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    template = resources.files(__package__).joinpath("viewer.html").read_text(encoding="utf-8")
    return template.replace(_MARK, text)


def _thumbnail(page: PageRecord, images: Path, room: int) -> tuple[str, int]:
    if not page.thumbnail:
        return "", 0
    try:
        data = (images / page.thumbnail).read_bytes()
    except OSError:
        return "", 0
    if len(data) > room:
        return f"images/{page.thumbnail}", 0
    return "data:image/jpeg;base64," + base64.b64encode(data).decode(), len(data)


def _node(page: PageRecord, known: dict[str, int], thumbnail: str) -> dict[str, Any]:
    inside = [known[link] for link in page.links if link in known]
    values = {
        "u": page.url,
        "s": page.state.value,
        "c": page.status,
        "d": page.depth,
        "p": known.get(page.parent),
        "t": page.title,
        "ct": page.content_type,
        "b": page.bytes,
        "ms": round(page.seconds * 1000),
        "a": page.attempts,
        "e": page.error,
        "r": known.get(page.redirect, page.redirect) if page.redirect else None,
        "l": inside,
        "o": len(page.links) - len(inside),
        "i": page.picture,
        "th": thumbnail,
        "n": page.picture_error,
    }
    return {
        key: value
        for key, value in values.items()
        if value not in (None, "", [], 0) or key in {"s", "d", "p", "r"}
    }
