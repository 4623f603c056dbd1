"""The crawl as drawings, with their colours: `index.html` to look at in a browser, `result.dot` for Graphviz.

`index.html` needs no network and no server: it is `viewer.html` (which has colours of its own) with the data put in. Small
pictures travel inside it as long as there is room; the others, and the large ones, are files in `images/` beside it.

`result.svg` and `result.pdf` are drawn where `dot` is installed. Graphviz takes minutes for what a large crawl links: beyond
`MAX_EDGES` links they show only those by which each page was found first, beyond `MAX_DRAWN_NODES` pages nothing is drawn.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from examples.rendler.messages import PageRecord, PageState

MAX_EDGES = 400
MAX_DRAWN_NODES = 1_000
_LARGE_FROM_NODES = 120
"""From here on the layout for large graphs."""
DRAW_TIMEOUT = 40.0

COLOURS = {
    PageState.CRAWLED: "#37587f",
    PageState.REDIRECT: "#8a6d3b",
    PageState.SKIPPED: "#8a8f90",
    PageState.FAILED: "#b03a2e",
}
"""Of the graph's nodes, and of its edges: links as what was crawled, redirects dashed."""


def to_dot(pages: Sequence[PageRecord], *, title: str, every_link: bool = True) -> str:
    """The graph as text, with every link or only those by which each page was found first."""
    known = {page.url: number for number, page in enumerate(pages)}
    large = len(pages) >= _LARGE_FROM_NODES
    layout = (
        'layout=sfdp, K=1.5, overlap=prism, sep="+8"' if large else 'layout=neato, overlap=prism, sep="+12"'
    )
    lines = [
        "// pictures are in images/, next to this file",
        "digraph rendler {",
        f"  graph [label={_quote(title)}, labelloc=t, fontname=Helvetica, fontsize=24, bgcolor=white, {layout}];",
        '  node [shape=box, style="rounded,filled", fillcolor=white, fontname=Helvetica, fontsize=9, penwidth=1.4];',
        f'  edge [color="{COLOURS[PageState.CRAWLED]}aa", penwidth=1.3, arrowsize=0.5];',
    ]
    lines += [f"  n{number} [{_node(page)}];" for number, page in enumerate(pages)]
    for page in pages:
        parent = known.get(page.parent)
        if parent is not None:
            lines.append(f"  n{parent} -> n{known[page.url]}{_edge(pages[parent])};")
    if every_link:
        first = {(page.parent, page.url) for page in pages}
        links = [(page, link) for page in pages for link in _targets(page) if link in known]
        for page, link in links:
            if (page.url, link) not in first:
                style = _edge(page) or f' [color="{COLOURS[PageState.CRAWLED]}2e", penwidth=0.7]'
                lines.append(f"  n{known[page.url]} -> n{known[link]}{style};")
    lines.append("}\n")
    return "\n".join(lines)


def draw(folder: Path, pages: Sequence[PageRecord], *, title: str) -> tuple[list[str], str]:
    """Draws the graph with Graphviz; gives the files written, and what was not drawn and why. Blocks: for a thread."""
    nothing = "no result.svg and result.pdf:"
    program = shutil.which("dot")
    if program is None:
        return [], f"{nothing} Graphviz is not installed (Debian, Ubuntu: apt install graphviz)"
    if len(pages) > MAX_DRAWN_NODES:
        return [], f"{nothing} {len(pages):,} pages are more than Graphviz can draw in reasonable time"
    known = {page.url for page in pages}
    links = sum(1 for page in pages for link in _targets(page) if link in known)
    every_link = links <= MAX_EDGES
    text = to_dot(pages, title=title, every_link=every_link).encode("utf-8", "replace")
    written: list[str] = []
    for kind in ("svg", "pdf"):
        name = f"result.{kind}"
        try:
            command = [program, f"-T{kind}", "-o", name]
            subprocess.run(
                command, input=text, cwd=folder, check=True, capture_output=True, timeout=DRAW_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            (folder / name).unlink(missing_ok=True)
            return written, f"no {name}: Graphviz took longer than {DRAW_TIMEOUT:g} s"
        except (OSError, subprocess.CalledProcessError) as error:
            return written, f"no {name}: Graphviz failed ({error})"
        written.append(name)
    if every_link:
        return written, ""
    return written, f"drawn are the links by which each page was found first; all {links:,} are in result.dot"


def _targets(page: PageRecord) -> Iterable[str]:
    return (page.redirect,) if page.redirect else page.links


def _node(page: PageRecord) -> str:
    colour = _quote(COLOURS.get(page.state, COLOURS[PageState.SKIPPED]))
    address = f"URL={_quote(page.url)}, tooltip={_quote(page.title or page.url)}, color={colour}"
    label = _shortened(page.title or urlsplit(page.url).path or page.url)
    if page.thumbnail:
        image = _quote(f"images/{page.thumbnail}")
        return f"label={_quote(label)}, labelloc=b, image={image}, imagescale=true, imagepos=tc, fixedsize=true, width=2.3, height=1.66, {address}"
    why = page.error or (f"→ {urlsplit(page.redirect).path}" if page.redirect else "")
    why = f"\\n{_shortened(why)}" if why else ""
    return f"label={_quote(label, why)}, fontcolor={colour}, {address}"


def _edge(parent: PageRecord) -> str:
    return f' [style=dashed, color="{COLOURS[PageState.REDIRECT]}"]' if parent.redirect else ""


def _shortened(text: str, length: int = 34) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _quote(text: str, escaped: str = "") -> str:
    """A Graphviz string; `escaped` is appended with its escapes (a line break) left alone.

    Graphviz takes `&` for the beginning of an entity, and writes broken SVG where it is not one.
    """
    clean = _printable(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{clean}{_printable(escaped).replace("&", "&amp;").replace(chr(34), chr(39))}"'


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


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
    """The page as text; `ended` says why the crawl was cut short, `images` is the folder of the pictures."""
    known = {page.url: number for number, page in enumerate(pages)}
    room = max_inline_bytes
    nodes = []
    for page in pages:
        thumbnail, used = _thumbnail(page, images, room)
        room -= used
        nodes.append(_viewer_node(page, known, thumbnail))
    data = {"seed": seed, "ended": ended, "when": when, "seconds": round(seconds, 2), "pages": nodes}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only these can end it (HTML, "Restrictions for contents of script elements").
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    template = resources.files(__package__).joinpath("viewer.html").read_text(encoding="utf-8")
    return template.replace(_MARK, text)


def _thumbnail(page: PageRecord, images: Path, room: int) -> tuple[str, int]:
    try:
        data = (images / page.thumbnail).read_bytes() if page.thumbnail else b""
    except OSError:
        data = b""
    if not data:
        return "", 0
    if len(data) > room:
        return f"images/{page.thumbnail}", 0
    return "data:image/jpeg;base64," + base64.b64encode(data).decode(), len(data)


def _viewer_node(page: PageRecord, known: dict[str, int], thumbnail: str) -> dict[str, Any]:
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
