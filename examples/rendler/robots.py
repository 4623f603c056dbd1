"""What robots.txt allows (RFC 9309), and for how long to believe it. Pure: somebody else fetches the file."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from protego import Protego

MAX_BYTES = 512 * 1024
"""Read no more of a robots.txt than this (RFC 9309, 2.5 asks for at least 500 KiB)."""
BELIEVED_FOR = 3_600.0
"""Seconds before the file is fetched again (RFC 9309, 2.4: at most a day)."""
MAX_CRAWL_DELAY = 30.0
"""Seconds: a site that asks for more gets this, so that a crawl ends."""


def robots_url(url: str) -> str:
    """Where the rules for a page are."""
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
        return cls(Protego.parse(body[:MAX_BYTES].decode("utf-8", "replace")))

    def allows(self, url: str, user_agent: str) -> bool:
        """Whether this user agent may fetch the page."""
        return self.rules is None or bool(self.rules.can_fetch(url, user_agent))

    def crawl_delay(self, user_agent: str) -> float | None:
        """Seconds between two requests that the site asks for, at most `MAX_CRAWL_DELAY`; None where it asks nothing."""
        delay = None if self.rules is None else self.rules.crawl_delay(user_agent)
        return None if delay is None else min(max(0.0, float(delay)), MAX_CRAWL_DELAY)
