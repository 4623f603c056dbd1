"""What etcd and ZooKeeper do, in memory: versions, conditions, leases on a clock of one's own, and every kind of trouble."""

import threading
from collections.abc import Callable, Iterator, Mapping

from actors.store.backends import StorageError
from actors.store.coordination import ABSENT, Batch, ConflictError, LeaseLostError, Versioned


class Servers:
    """The servers that connections share. What goes wrong is set from outside, and happens at the next call."""

    def __init__(self, *, largest: int = 1 << 20, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.largest = largest
        self.clock = clock
        self.values: dict[str, Versioned] = {}
        self.leases: dict[int, float] = {}  # when each connection's is over
        self.owners: dict[str, int] = {}  # of keys that go with a lease
        self.revision = 0
        self.commits = 0
        self.down = False
        self.lose_requests = 0  # so many of the next batches never arrive,
        self.lose_answers = 0  # of so many nobody hears, although they were applied,
        self.hold_back = 0  # and so many are applied by `deliver`, although they were said to have failed
        self.held: list[Callable[[], object]] = []
        self.changed = threading.Condition()

    def connect(self) -> "MemoryCoordinator":
        return MemoryCoordinator(self)

    def deliver(self) -> list[str]:
        """Let what was held back arrive; returns what became of it."""
        became = []
        for late in self.held:
            try:
                late()
                became.append("applied")
            except ConflictError:
                became.append("refused")
        self.held.clear()
        return became

    def expire(self) -> None:
        with self.changed:
            over = {lease for lease, until in self.leases.items() if until <= self.clock()}
            for lease in over:
                del self.leases[lease]
            for key in [key for key, lease in self.owners.items() if lease in over]:
                del self.owners[key]
                self.values.pop(key, None)
            self.changed.notify_all()

    def apply(self, batch: Batch, lease: int) -> Mapping[str, int]:
        self.expire()
        with self.changed:
            for key, version in batch.conditions.items():
                found = self.values.get(key)
                if (ABSENT if found is None else found.version) != version:
                    raise ConflictError(f"{key} is not as it was")
            if batch.leased and lease not in self.leases:
                raise LeaseLostError("the lease is over")
            assert sum(map(len, batch.puts.values())) <= self.largest, "more than the servers take"
            assert len(batch.puts) + len(batch.deletes) <= 128
            assert not set(batch.puts) & set(batch.deletes)
            self.commits += 1
            self.revision += 1
            for key in batch.deletes:
                self.values.pop(key, None)
                self.owners.pop(key, None)
            for key, value in batch.puts.items():
                self.values[key] = Versioned(value, self.revision)
                self.owners.pop(key, None)
                if key in batch.leased:
                    self.owners[key] = lease
            self.changed.notify_all()
            return dict.fromkeys(batch.puts, self.revision)


class MemoryCoordinator:
    """One connection."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.largest = servers.largest

    def open(self) -> None:
        self._reach()

    def get(self, key: str) -> Versioned | None:
        self._reach()
        self.servers.expire()
        return self.servers.values.get(key)

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        self._reach()
        for key in sorted(self.servers.values):
            if key.startswith(prefix) and key in self.servers.values:  # still
                yield key, self.servers.values[key].value

    def commit(self, batch: Batch) -> Mapping[str, int]:
        self._reach()
        servers = self.servers
        if servers.lose_requests:
            servers.lose_requests -= 1
            raise StorageError("no answer")
        if servers.hold_back:
            servers.hold_back -= 1
            servers.held.append(lambda: servers.apply(batch, id(self)))
            raise StorageError("no answer")
        versions = servers.apply(batch, id(self))
        if servers.lose_answers:
            servers.lose_answers -= 1
            raise StorageError("no answer")
        return versions

    def lease(self, seconds: float) -> float:
        self._reach()
        self.servers.expire()
        if self._leased and id(self) not in self.servers.leases:
            raise LeaseLostError("the lease is over")
        self._leased = True
        self.servers.leases[id(self)] = self.servers.clock() + seconds
        return seconds

    _leased = False

    def wait(self, key: str, version: int, seconds: float) -> bool:
        """The clock is not this one's to move: it waits for another thread's change, for so many real seconds."""

        def has_changed() -> bool:
            found = self.servers.values.get(key)
            return (ABSENT if found is None else found.version) != version

        with self.servers.changed:
            return self.servers.changed.wait_for(has_changed, seconds)

    def close(self) -> None:
        if self.servers.leases.pop(id(self), None) is not None:
            self.servers.leases[id(self)] = self.servers.clock()
            self.servers.expire()

    def _reach(self) -> None:
        if self.servers.down:
            raise StorageError("the servers are away")
