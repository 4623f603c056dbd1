"""Durable records for everybody, written together: many actors' writes of a moment are one transaction.

What is accepted waits in one queue, in order, until it is durable. When the backend is idle, the whole queue goes to it, in a
thread. The sender hears `Stored` only after the transaction; when one fails no sender hears anything, the queue stays as it
is and is tried again with growing waits, and the scheduler is told. So an update that is acknowledged has been stored,
always, and nothing overtakes anything. `Load` answers with what has been accepted, durable or not yet: an actor that
continues from its records sees what it wrote. Records know nothing of tasks: (kind, key) → bytes.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from actors import messages as m
from actors.framework_settings import Composition, seconds
from actors.runtime import Actor, Backoff, message, receive, setting
from actors.store.address import StoreAddress, store_address
from actors.store.backends import LARGEST, Backend, Change, MemoryBackend, SqliteBackend, StorageError
from actors.store.coordination import Coordinator, DamagedError, FencedError
from actors.store.etcd import EtcdCoordinator
from actors.store.log import LogBackend
from mesos_http import TlsSettings

logger = logging.getLogger("actors.store")

LONGEST_WAIT = 30.0
CALLS_IN_A_LEASE = 3  # one that is not answered leaves time for another before the lease ends
SHORTEST_LEASE = 2.0  # seconds; etcd gives none that is shorter than its own election


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the records are."""

    path: str = setting(
        "",
        help="File of the SQLite database; empty, and no url: in memory, lost with the process.",
        unit="path",
    )
    url: str = setting(
        "",
        help="Servers of a store that several machines can reach, instead of path: etcd://host:2379,host:2379/prefix or "
        "zk://host:2181,host:2181/path; with TLS, etcds:// or zks://.",
    )
    user: str = setting("", help="User of etcd, or ZooKeeper's digest user; empty: none.")
    password: str = setting("", help="The user's password.", secret=True)
    ca: str = setting(
        "",
        help="With TLS, file of the certificate authorities to trust; empty: the system's.",
        unit="path",
    )
    cert: str = setting("", help="With TLS, file of the client certificate.", unit="path")
    key: str = setting("", help="With TLS, file of the client certificate's private key.", unit="path")
    lease: float = seconds(
        10.0,
        help="With url: how long the servers wait for a leader that says nothing, before another process may lead.",
    )
    retry_after: float = seconds(0.5, help="Wait after a failed transaction; doubles up to 30 s.")
    drop_damaged: bool = setting(
        False,
        help="With path: drop damaged records, and what else is stored about the same tasks; false: refuse to start.",
    )

    def __post_init__(self) -> None:
        """Refuse what contradicts itself (ValueError)."""
        if self.path and self.url:
            raise ValueError("path and url are two stores: give one of them")
        if not self.url:
            given = [name for name in ("user", "password", "ca", "cert", "key") if getattr(self, name)]
            if given:
                raise ValueError(f"{given[0]} is for a store at a url, and none is given")
        if self.url and self.drop_damaged:
            raise ValueError(
                "drop_damaged is for a store at a path: what is damaged on servers cannot be told apart"
            )
        if self.password and not self.user:
            raise ValueError("a password needs a user")
        if self.lease < SHORTEST_LEASE:
            raise ValueError(f"lease must be at least {SHORTEST_LEASE:g} seconds")
        _ = self.coordinate

    @property
    def address(self) -> StoreAddress | None:
        """Where the servers are, if it is on servers."""
        if not self.url:
            return None
        tls = TlsSettings(self.ca or None, self.cert or None, self.key or None)
        return store_address(self.url, tls, self.user, self.password)

    @property
    def coordinate(self) -> Callable[[], Coordinator] | None:
        """What connects to the servers, if it is on servers."""
        address = self.address
        if address is None:
            return None
        kind: Callable[[StoreAddress, float], Coordinator] = EtcdCoordinator
        if address.url.startswith("zk"):
            try:
                from actors.store import zookeeper
            except ImportError:
                raise ValueError(
                    "a store in ZooKeeper needs the package kazoo: pip install 'mesostic[zookeeper]'"
                ) from None
            kind = zookeeper.ZooKeeperCoordinator
        return partial(kind, address, self.lease / CALLS_IN_A_LEASE)


@message
class Commit:
    """Write the queue; sent to oneself, so that all writes that are already in the mailbox come first."""


class StoreActor(Actor):
    """Keeps the records; see the head of this module."""

    Settings = StoreSettings

    def __init__(self, composition: Composition, settings: StoreSettings) -> None:
        self.settings = settings
        self._leadership = composition.leadership
        self.backend: Backend = MemoryBackend(composition.kept.records)
        if composition.coordinate is not None:
            self.backend = LogBackend(
                composition.coordinate(), settings.url, leadership=composition.leadership
            )
        elif settings.path:
            self.backend = SqliteBackend(settings.path, drop_damaged=settings.drop_damaged)
        self._queue: list[tuple[Change, str]] = composition.kept.unwritten  # and who waits for each, or ""
        self._attempt: asyncio.Future[None] | None = None  # the backend at work on the first of the queue
        self._taken = 0  # so many of them
        self._commit_due = False
        self._failures = 0
        self._failed_at = 0.0  # when the first of them was
        self._unusable: StorageError | None = None

    async def on_start(self) -> None:
        """Open the database; where it cannot be used, the first `Load` is answered with why, unless that passes."""
        try:
            await self.in_thread(self.backend.open)
        except StorageError as error:
            if not self._passes(error):
                self._unusable = error
        if self._queue:  # an instance before this one has accepted it
            self._ask_for_commit()

    def _passes(self, error: StorageError) -> bool:
        """Whether servers are only away: the backend then connects again by itself."""
        return self._leadership is not None and not isinstance(error, DamagedError | FencedError)

    async def on_stop(self) -> None:
        """Write what is still in the queue, then close; no actor is left to be told."""
        if self._attempt is not None:
            await asyncio.wait((self._attempt,))
            if self._attempt.exception() is None:
                del self._queue[: self._taken]
        await self.in_thread(self._close)

    def on_failure(self, *_failure: object) -> None:
        """Write what was accepted, and let the next instance open the file; it gets what could not be written."""
        self._taken = len(self._queue)
        if self._failures:
            self.tell("scheduler", m.StoreAway())  # the next instance says so if it still is
        if self._close():
            self._failures = 0
            self._written()

    def _close(self) -> bool:
        left = [change for change, _ in self._queue] if self._unusable is None else []
        try:
            self.backend.close(left)
        except FencedError as error:
            logger.debug("the last %d changes are not stored: %s", len(left), error)
            return False
        except StorageError as error:
            logger.error("the last %d changes could not be stored: %s", len(left), error)
            return False
        return self._unusable is None

    @receive
    async def handle_load(self, asked: m.Load) -> m.Loaded:
        """Answer who begins when the servers answer, if they are only away; a task that is loaded again asks again itself."""
        waits = Backoff(self.settings.retry_after, 2.0, LONGEST_WAIT)
        for failures in itertools.count(1):
            try:
                return await self._load(asked)
            except StorageError as error:
                if asked.key is not None or not self._passes(error):
                    raise
                level = logging.WARNING if failures == 1 else logging.DEBUG
                logger.log(level, "the store cannot be read yet (%s); trying on", error)
            await asyncio.sleep(waits.delay(failures))
        raise AssertionError

    async def _load(self, asked: m.Load) -> m.Loaded:
        if self._unusable is not None:
            raise self._unusable
        await self._settled()
        if asked.key is None:
            durable, after = await self.in_thread(self.backend.part, asked.after)
        else:
            durable, after = await self.in_thread(self.backend.load, asked.key), 0
        if not self._queue:
            return m.Loaded(durable, after)
        accepted = MemoryBackend({(record.kind, record.key): record.value for record in durable})
        accepted.commit([change for change, _ in self._queue])  # to each part: what is new is in all of them
        return m.Loaded(accepted.load(asked.key), after)

    @receive
    def handle_write(self, write: m.Write) -> None:
        sender = self.sender.name if self.sender is not None and write.reference else ""
        reason = _refusal(write)
        if reason:
            logger.error("%s", reason)
            self.tell("scheduler", m.StorageTrouble(reason))
            if sender:
                self.tell(sender, m.WriteRefused(write.reference, reason))
            return
        self._queue.append((write, sender))
        self._ask_for_commit()

    @receive
    async def handle_clear_store(self, asked: m.ClearStore) -> bool:
        """Forget everything accepted so far; answers whether that is durable already."""
        await self._settled()
        self._queue.append((asked, ""))
        if not self._begin():
            await self._settled()
        if self._queue:
            logger.error("could not clear the store yet; retrying")
        return not self._queue

    @receive
    def handle_ask_health(self, _asked: m.AskHealth) -> m.Health:
        return m.Health(self._unusable is None and not self._failures)

    @receive
    def handle_commit(self, _due: Commit) -> None:
        self._commit_due = False
        if self._attempt is None and self._queue and not self._begin():
            self.run_in_background(self._settled(), name="commit")

    def _ask_for_commit(self, wait: float = 0.0) -> None:
        if self._unusable is not None:
            return
        if not self._commit_due and self._attempt is None:
            self._commit_due = True
            if wait:
                self.timers.after(wait, Commit())
            else:
                self.tell(self.actor_ref, Commit())

    def _begin(self) -> bool:
        """Give the whole queue to the backend; returns whether it is done with it already."""
        changes = tuple(change for change, _ in self._queue)
        self._taken = len(changes)
        if not self.backend.blocking:
            self.backend.commit(changes)
            self._written()
            return True
        loop = asyncio.get_running_loop()
        self._attempt = loop.run_in_executor(None, self.backend.commit, changes)
        return False

    async def _settled(self) -> None:
        """Wait until the backend is not at work, and take in its result: the first that waits does that.

        The transaction itself is never cancelled, as its end would be unknown.
        """
        attempt = self._attempt
        if attempt is None:
            return
        await asyncio.wait((attempt,))
        if self._attempt is not attempt:
            return
        self._attempt = None
        error = attempt.exception()
        if error is None:
            self._written()
            if self._queue:
                self._ask_for_commit()
        else:
            self._not_written(error)

    def _written(self) -> None:
        done = self._queue[: self._taken]
        del self._queue[: self._taken]
        if self._failures:
            away = self.clock.now() - self._failed_at
            logger.warning("the store works again after %.1f s; %d changes have waited", away, len(done))
            self.tell("scheduler", m.StoreAway())
            self._failures = 0
        for change, sender in done:
            if sender and isinstance(change, m.Write):
                self.tell(sender, m.Stored(change.reference))

    def _not_written(self, error: BaseException) -> None:
        if isinstance(error, FencedError):
            self._unusable = error
            logger.error("%s", error)
            if self._leadership is not None:
                self.tell("election", m.Fenced(self._leadership.version, str(error)))
            return
        self._failures += 1
        self.tell("scheduler", m.StoreAway(str(error)))  # each time: a broker may have begun meanwhile
        wait = Backoff(self.settings.retry_after, 2.0, LONGEST_WAIT).delay(self._failures)
        if self._failures == 1:
            self._failed_at = self.clock.now()
            logger.error(
                "%s: nothing is launched or acknowledged until the store works again; trying until it does",
                error,
            )
            self.tell("scheduler", m.StorageTrouble(str(error)))
        else:
            logger.debug("%d changes wait (%s); trying again in %.1f s", len(self._queue), error, wait)
        self._ask_for_commit(wait)


def _refusal(write: m.Write) -> str:
    for record in write.records:
        kind, key = record.kind, record.key
        value: object = record.value
        if not isinstance(value, bytes):
            found = type(value).__name__
            return f"the {kind} of {key} is not stored: its value is of type {found}, not bytes"
        if len(value) > LARGEST:
            return f"the {kind} of {key} is not stored: {len(value)} bytes, and at most {LARGEST} are taken"
        try:
            (kind + key).encode()
        except UnicodeEncodeError:
            return f"the {kind!a} of {key!a} is not stored: its name is not text that UTF-8 can hold"
    return ""
