"""HTTP for the crawl executor: one request, no redirects followed, never more read than asked for."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from examples.rendler.public_only import public_socket
from examples.rendler.robots import MAX_BYTES, Rules
from examples.rendler.urls import normalise

TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be different next time (RFC 9110, section 15)."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNDECODED = re.compile("[\udc80-\udcff]")
_MAX_ROBOTS_REDIRECTS = 5  # RFC 9309, section 2.3.1.2


class TemporaryError(Exception):
    """It did not work now, and may later; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: `location` is set for redirects, `too_large` where the body was cut at the limit."""

    status: int
    content_type: str
    body: bytes
    location: str = ""
    too_large: bool = False


class Fetcher:
    """Kept-alive connections to any number of hosts."""

    def __init__(self, user_agent: str, *, public_only: bool = False) -> None:
        """Args: user_agent: Sent with every request. public_only: Whether no private address is ever connected to."""
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=32,
            ttl_dns_cache=300,
            family=socket.AF_UNSPEC,
            socket_factory=public_socket if public_only else None,
        )
        headers = {"User-Agent": user_agent, "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1"}
        # Deadlines are the caller's; cookies would make one page depend on another.
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    async def get(self, url: str, *, max_bytes: int, wanted: Callable[[str], bool]) -> Answer:
        """Fetches a page; the body is read only where its content type is wanted.

        Raises:
            TemporaryError: The server answered that it cannot now.
            aiohttp.ClientError, OSError: No whole answer came.
        """
        async with self._session.get(url, allow_redirects=False) as response:
            content_type = _text(response.headers.get("Content-Type", ""))
            if response.status in TEMPORARY_STATUSES:
                raise TemporaryError(f"HTTP {response.status} {_text(response.reason or '')}".rstrip())
            if response.status in _REDIRECTS:
                return Answer(response.status, content_type, b"", location=_location(response))
            if response.status >= 400 or not wanted(content_type):
                return Answer(response.status, content_type, b"")
            if (response.content_length or 0) > max_bytes:
                response.close()
                return Answer(response.status, content_type, b"", too_large=True)
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    response.close()
                    return Answer(response.status, content_type, bytes(body[:max_bytes]), too_large=True)
            return Answer(response.status, content_type, bytes(body))

    async def robots(self, url: str) -> Rules:
        """Fetches a robots.txt, following a few redirects."""
        for _ in range(_MAX_ROBOTS_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    target = normalise(_location(response), url)
                    if target is None:
                        break
                    url = target
                    continue
                body = bytearray()
                if response.status < 300:
                    async for chunk in response.content.iter_any():
                        body += chunk
                        if len(body) > MAX_BYTES:
                            response.close()
                            break
                return Rules.from_answer(response.status, bytes(body))
        return Rules(None)


def _text(header: str) -> str:
    """A header as text: aiohttp hands on bytes that are not UTF-8 as surrogates; HTTP means Latin-1 by them."""
    return _UNDECODED.sub(lambda byte: chr(ord(byte[0]) - 0xDC00), header)


def _location(response: aiohttp.ClientResponse) -> str:
    """Where a redirect leads; bytes that are not UTF-8 are percent-encoded, as in a link."""
    location = response.headers.get("Location", "")
    return _UNDECODED.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", location)
