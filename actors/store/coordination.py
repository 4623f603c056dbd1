"""What etcd and ZooKeeper have in common, as far as records and their leader need it: one small interface.

Keys are paths without a leading slash ("head", "log/000012"), all below the framework's own prefix. Every call blocks, and ends
within the time-out that the coordinator was made with, whatever the server does: calls belong in a thread. A call that fails
with plain `StorageError` may have taken effect, or may do so yet; one that fails with a subclass has not, and will not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from actors.store.backends import StorageError

ABSENT = -1
"""The version of a key that does not exist."""

HEAD = "head"
"""The key of how far the log of records goes, and whose it is."""
LOG = "log/"
"""What the keys of the log begin with."""
LEADER = "leader"
"""The leased key of the process that leads: who it is, in words. Its version is that of a `Leadership`."""
ENDED = "ended"
"""The key of how the last framework ended (a packed `Outcome`); put in the batch that forgets that framework's records."""
TOKEN = "token"  # noqa: S105 - the name of a key
"""The key of the upload token, which executors keep over a change of the leader."""


class ConflictError(StorageError):
    """A condition of a batch did not hold: nothing of it was applied."""


class LeaseLostError(StorageError):
    """The lease has expired or was revoked, and what was put under it is gone."""


class FencedError(StorageError):
    """Another process leads, or has led since: nothing of this one is ever stored again."""


class DamagedError(StorageError):
    """What is stored cannot be read, now or later; trying again does not help."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """A value, and the version of its key: another one after each change."""

    value: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that apply together, or not at all.

    Attributes:
        conditions: versions that keys must have, or `ABSENT`.
        puts: values by key.
        deletes: keys, none of them in `puts`; one that does not exist is no mistake.
        leased: those of the `puts` that go when the coordinator's lease goes.
    """

    conditions: Mapping[str, int] = field(default_factory=dict)
    puts: Mapping[str, bytes] = field(default_factory=dict)
    deletes: tuple[str, ...] = ()
    leased: frozenset[str] = frozenset()


class Coordinator(Protocol):
    """One connection to the servers; see the head of this module."""

    largest: int
    """The most bytes that one value, and all values of one batch together, may have."""

    def open(self) -> None:
        """Connect (StorageError: no server answers, or it does not let us in; one sentence that says where)."""

    def get(self, key: str) -> Versioned | None:
        """Return what a key has."""

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Return the keys that begin so, in order, with their values; read in pages of a bounded size."""

    def commit(self, batch: Batch) -> Mapping[str, int]:
        """Apply a batch (ConflictError: a condition did not hold); returns the new versions of what was put."""

    def lease(self, seconds: float) -> float:
        """Take or renew this connection's lease (LeaseLostError: it has expired, `open` another connection).

        Returns:
            The seconds for which the servers keep it, counted from before the call.
        """

    def wait(self, key: str, version: int, seconds: float) -> bool:
        """Wait until a key no longer has that version, or the time is over; returns whether it has changed.

        It takes longer by the coordinator's time-out at most, where no server answers then (StorageError).
        """

    def close(self) -> None:
        """Give up the lease, and disconnect; never raises."""
