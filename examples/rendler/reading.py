"""What a site says: what its robots.txt allows (RFC 9309), and a page's title and links. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from protego import Protego
from selectolax.lexbor import LexborHTMLParser
from w3lib.encoding import html_to_unicode

from examples.rendler.urls import normalise

MAX_LINKS = 5_000
"""Distinct links kept of one page, in the order of the page."""
MAX_LINK_CHARACTERS = 400_000
"""Characters of all kept links of one page together: they travel in a status update."""
MAX_TITLE_CHARACTERS = 200

_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True)
class Page:
    """What was found on a page; links are normalised, distinct, in the page's order."""

    title: str
    links: tuple[str, ...]
    follow: bool


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def is_html(content_type: str) -> bool:
    """Whether a Content-Type names something that links can be read from."""
    return media_type(content_type) in _HTML_TYPES


def read_page(body: bytes, content_type: str, url: str) -> Page:
    """Reads any bytes as HTML, as a browser would: no input is an error.

    The charset of the header wins over the page's own, `<base href>` over the page's URL.
    """
    _, text = html_to_unicode(content_type or None, body)
    tree = LexborHTMLParser(text)
    base_node, title_node = tree.css_first("base[href]"), tree.css_first("title")
    base = base_node and normalise(base_node.attributes.get("href") or "", url)
    title = " ".join((title_node.text() if title_node else "").split())[:MAX_TITLE_CHARACTERS]
    hrefs: dict[str, None] = {}
    for node in tree.css("a[href], area[href]"):
        attributes = node.attributes
        if "nofollow" not in (attributes.get("rel") or "").lower():
            hrefs[(attributes.get("href") or "").partition("#")[0]] = None
    return Page(title=title, links=_links(hrefs, base or url, url), follow=_may_follow(tree))


def _links(hrefs: Iterable[str], base: str, url: str) -> tuple[str, ...]:
    links: dict[str, None] = {}
    room = MAX_LINK_CHARACTERS
    for href in hrefs:
        link = normalise(href, base)
        if link is None or link == url or link in links:
            continue
        room -= len(link)
        if room < 0 or len(links) == MAX_LINKS:
            break
        links[link] = None
    return tuple(links)


def _may_follow(tree: LexborHTMLParser) -> bool:
    for node in tree.css("meta[name][content]"):
        if (node.attributes.get("name") or "").lower() == "robots":
            words = (node.attributes.get("content") or "").lower()
            if "nofollow" in words or "none" in words.replace(",", " ").split():
                return False
    return True


MAX_ROBOTS_BYTES = 512 * 1024
"""Read no more of a robots.txt than this (RFC 9309, 2.5 asks for at least 500 KiB)."""
BELIEVED_FOR = 3_600.0
"""Seconds before the file is fetched again (RFC 9309, 2.4: at most a day)."""
MAX_CRAWL_DELAY = 30.0
"""Seconds: a site that asks for more gets this, so that a crawl ends."""


def robots_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/robots.txt", "", ""))


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one site. `rules` is None where everything is allowed."""

    rules: Protego | None
    reachable: bool = True

    @classmethod
    def from_answer(cls, status: int, body: bytes) -> Rules:
        """Reads the site's answer: 4xx means no rules, 5xx means that nothing may be fetched now (RFC 9309, 2.3.1)."""
        if status >= 500:
            return cls(None, reachable=False)
        if status >= 300:
            return cls(None)
        return cls(Protego.parse(body[:MAX_ROBOTS_BYTES].decode("utf-8", "replace")))

    def allows(self, url: str, user_agent: str) -> bool:
        return self.rules is None or bool(self.rules.can_fetch(url, user_agent))

    def crawl_delay(self, user_agent: str) -> float | None:
        """Seconds between two requests that the site asks for, at most `MAX_CRAWL_DELAY`; None where it asks nothing."""
        delay = None if self.rules is None else self.rules.crawl_delay(user_agent)
        return None if delay is None else min(max(0.0, float(delay)), MAX_CRAWL_DELAY)
