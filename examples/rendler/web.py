"""The web as a crawler sees it: one spelling for each URL, what a robots.txt allows, a page's title and links. Pure; no I/O.

Two links that differ only in fragment, in the order of query arguments, in default ports, in the case of scheme or host,
in dot segments or in needless percent-encoding are one page (RFC 3986, section 6.2). The path's case and a trailing slash
are left alone: servers may tell them apart.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self
from urllib.parse import urljoin, urlsplit, urlunsplit

from protego import Protego
from selectolax.lexbor import LexborHTMLParser
from w3lib.encoding import html_to_unicode
from w3lib.url import canonicalize_url

MAX_URL_CHARACTERS = 2_000
"""Longer URLs are not followed: they come from traps far more often than from authors."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ALREADY_NORMAL = re.compile(
    r"https?://[a-z0-9][a-z0-9.-]*[a-z0-9](?::[1-9][0-9]*)?/[A-Za-z0-9_~./-]*", re.ASCII
)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")


class SeedError(ValueError):
    """The address to start from is not one that can be crawled; the text says why, for the user."""


@lru_cache(maxsize=65_536)
def normalise(url: str, base: str = "") -> str | None:
    """The one spelling of an absolute URL, or of a link found on the page `base`.

    None where it leads to no web page: another scheme (mailto, javascript, data), no host, an impossible port, or too long.
    """
    url = url.strip("\t\n\x0c\r ").partition("#")[0]
    try:
        joined = urljoin(base, url) if base else url
        if len(joined) > MAX_URL_CHARACTERS or joined[:4].lower() != "http":
            return None
        if _ALREADY_NORMAL.fullmatch(joined) and "/." not in joined:
            return _without_default_port(joined)
        return _without_default_port(canonicalize_url(joined))
    except (ValueError, UnicodeError):
        return None


def _without_default_port(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.rstrip(".")
    port = parts.port
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    # user:password@ is dropped: credentials have no place in results that are shown and shared.
    return urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))


def seed(text: str) -> str:
    """The normalised address to start from; SeedError has a sentence for the user.

    `example.org/page` is read as `https://example.org/page`, and `localhost:8000` as `http://localhost:8000/`.
    """
    text = text.strip()
    example = "give one like https://example.org/ (--set scheduler.seed=URL)"
    if not text:
        raise SeedError(f"no address to start from: {example}")
    if re.match(r"[\w.-]+:\d+(/|$)", text):
        text = f"http://{text}"
    elif not _SCHEME.match(text) and re.match(r"[\w-]+(\.[\w-]+)+(/|$)", text):
        text = f"https://{text}"
    url = normalise(text) if re.match(r"(?i)https?://", text) else None
    if url is None or any(character.isspace() for character in text):
        raise SeedError(f"the seed {text!r} is not the address of a web page: {example}")
    return url


@lru_cache(maxsize=65_536)
def host(url: str) -> str:
    """Whom a request bothers: host and port. Delays are kept for each."""
    return urlsplit(url).netloc


@lru_cache(maxsize=65_536)
def site(url: str) -> str:
    """What "the same site" means: the host without a leading `www.`, and the port if it is not the scheme's own."""
    return urlsplit(url).netloc.removeprefix("www.")


def is_on_this_machine(url: str) -> bool:
    """Whether the host is this machine's loopback, which needs no protection from being asked too often."""
    name = urlsplit(url).hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


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
    links: dict[str, None] = {}
    room = MAX_LINK_CHARACTERS
    for node in tree.css("a[href], area[href]"):
        attributes = node.attributes
        link = normalise((attributes.get("href") or "").partition("#")[0], base or url)
        if (
            link is None
            or link == url
            or link in links
            or "nofollow" in (attributes.get("rel") or "").lower()
        ):
            continue
        room -= len(link)
        if room < 0 or len(links) == MAX_LINKS:
            break
        links[link] = None
    robots = tree.css('meta[name="robots" i][content]')
    words = " ".join(node.attributes.get("content") or "" for node in robots).lower()
    follow = "nofollow" not in words and "none" not in words.replace(",", " ").split()
    return Page(title, tuple(links), follow)


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
    def from_answer(cls, status: int, body: bytes) -> Self:
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
