"""News of who leads, from a detector to the connection."""

from __future__ import annotations

from actors.runtime import message


@message
class LeaderFound:
    """A master that may be asked: `host:port` or a URL."""

    url: str


@message
class LeaderLost:
    """There is no leader for the moment."""
