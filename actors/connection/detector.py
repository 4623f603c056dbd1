"""Who leads? An address, a list of addresses, or ZooKeeper: three ways to answer, one face.

A detector tells the connection `LeaderFound` (also when it finds the same leader again, if it was asked) and, when it
can know, `LeaderLost`. Lists are tried in turn; ZooKeeper lives in a module of its own, because its driver is optional.
"""

from __future__ import annotations

from typing import Protocol

from actors.connection.leader import LeaderFound
from actors.runtime import Actor
from actors.settings import FrameworkSettings


class Detector(Protocol):
    """What the connection needs of a detector."""

    def detect(self) -> None:
        """Find out who leads; the answer comes as `LeaderFound`, now or later."""

    def failed(self, url: str) -> None:
        """Hear that the master at this address did not take the subscription, or lost it."""

    def stop(self) -> None:
        """Let go of whatever it holds."""


class ListDetector:
    """Offers the addresses of a list in turn, going on when one fails. A list of one is the usual case."""

    def __init__(self, masters: tuple[str, ...], owner: Actor) -> None:
        self._masters = masters
        self._owner = owner
        self._next = 0

    def detect(self) -> None:
        """Offer the present address."""
        self._owner.tell(self._owner.actor_ref, LeaderFound(self._masters[self._next]))

    def failed(self, url: str) -> None:
        """Go on to the next address."""
        self._next = (self._next + 1) % len(self._masters)

    def stop(self) -> None:
        """Nothing is held."""


def detector_for(framework: FrameworkSettings, owner: Actor) -> Detector:
    """Make the detector that the framework's `master` setting asks for; it belongs to `owner`."""
    masters = framework.masters()
    if masters[0].startswith("zk://"):
        from actors.connection.zookeeper_detector import ZooKeeperDetector

        return ZooKeeperDetector(masters[0], owner)
    return ListDetector(masters, owner)
