"""URLs: one spelling for each page, and the question of which site a page belongs to. Pure; no I/O.

Two links that differ only in fragment, in the order of query arguments, in default ports, in the case of scheme or host,
in dot segments or in needless percent-encoding are one page (RFC 3986, section 6.2). The path's case and a trailing slash
are left alone: servers may tell them apart.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urljoin, urlsplit, urlunsplit

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

    Returns:
        None where the link leads to no web page: another scheme (mailto, javascript, data), no host, a port that is
        none, or more than `MAX_URL_CHARACTERS` characters.
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
    """The normalised address to start from.

    `example.org/page` is read as `https://example.org/page`, and `localhost:8000` as `http://localhost:8000/`.

    Raises:
        SeedError: With a sentence for the user.
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
