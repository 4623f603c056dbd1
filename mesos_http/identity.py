"""Who answers at an address: a Mesos master, a Mesos agent, or something else that speaks HTTP.

Asked when a subscription was refused, to say in one sentence what is wrong with the address. Masters and agents both serve
/api/v1 in some form, but each has a health check under its own name (tried on Mesos 1.12).
"""

from __future__ import annotations

from enum import Enum

from mesos_http.connecting import Timeouts
from mesos_http.endpoint import Endpoint
from mesos_http.errors import TransportError
from mesos_http.exchange import exchange
from mesos_http.security import TlsSettings

_HEALTH = {"/master/health": "MASTER", "/slave(1)/health": "AGENT"}


class Peer(Enum):
    """What an address turns out to be."""

    MASTER = "a Mesos master"
    AGENT = "a Mesos agent"
    OTHER = "neither a Mesos master nor an agent"


async def who_answers(
    endpoint: Endpoint, *, tls: TlsSettings | None = None, seconds: float = 5.0
) -> Peer | None:
    """Find out what answers at `endpoint`; None if nothing does."""
    for path, name in _HEALTH.items():
        try:
            answer = await exchange(
                "GET", endpoint.with_path(path), tls=tls, timeouts=Timeouts(seconds, seconds)
            )
        except (TransportError, OSError):
            return None
        if answer.status == 200 and not answer.body:
            return Peer[name]
    return Peer.OTHER
