"""Coordination through ZooKeeper; its driver, kazoo, is the optional extra "zookeeper".

Each key is a node, directly below the framework's path, and its version is the number of the transaction that changed it last
(mzxid), which never comes again. A batch is a transaction too ("multi"), but what ZooKeeper can check in one is a node's count of
changes, which begins anew when the node is made anew. So every batch first looks at what there is, and then requires that no node
was made since: until then, equal counts are equal versions. That is known by `=made`, a node which is never deleted, and which every
batch changes that makes another one. (Names of keys are quoted: none begins with "=".)

A lease is a session, and a node that goes with it, `=lease-…`. When a session has expired, kazoo begins another in silence; so a
batch with leased keys requires that node.

Sources: ZooKeeper Programmer's Guide, "ZNodes", "ZooKeeper Sessions", "ZooKeeper access control using ACLs"; the servers' own
source for what they count a session's time from (Learner.ping, ExpiryQueue).
"""

import logging
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn
from urllib.parse import quote, unquote

from kazoo.client import KazooClient, TransactionRequest
from kazoo.exceptions import (
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
    RuntimeInconsistency,
    SessionExpiredError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.serialization import Transaction
from kazoo.protocol.states import KazooState, ZnodeStat
from kazoo.security import ANYONE_ID_UNSAFE, OPEN_ACL_UNSAFE, make_digest_acl

from actors.store.address import StoreAddress
from actors.store.backends import StorageError
from actors.store.coordination import ABSENT, Batch, ConflictError, LeaseLostError, Versioned

PACKET = 0xFFFFF
"""Bytes that a server takes at a time, unless its jute.maxbuffer says otherwise."""
CERTAIN = 0.75
"""The part of a session's time that a lease lasts for certain: a follower passes on a sign of life only with its next ping, half
a tick later, or never if it dies; and a session has two ticks at least."""
PAGE = 64
"""Nodes that are asked for at a time."""

_OVERTAKEN = (BadVersionError, NoNodeError, NodeExistsError)
_ELSEWHERE = (RolledBackError, RuntimeInconsistency)  # steps before and after the one that failed

logger = logging.getLogger("actors.store")


@dataclass(frozen=True, slots=True)
class View:
    """What there is of the nodes of a batch.

    Attributes:
        made: of the node `=made`, looked at before the others.
        owner: the session of the lease, if the batch puts anything under it.
    """

    made: ZnodeStat
    owner: int
    found: Mapping[str, ZnodeStat | None]

    def changed(self, batch: Batch) -> list[str]:
        """Return the keys that are not as the batch requires."""
        return [key for key, version in batch.conditions.items() if _version(self.found[key]) != version]


class ZooKeeperCoordinator:
    """A connection to ZooKeeper; see the head of this module.

    With a user, only that user reads and changes the nodes; without one, whoever reaches the servers does. Nodes above the path that
    are not there yet are made for everybody.
    """

    largest = 250_000  # servers take four times that, but keep the last 500 changes in memory

    def __init__(self, address: StoreAddress, patience: float) -> None:
        """Make one of which each call ends within `patience` seconds (`wait`: as many after its own)."""
        self._where, self._path = address.url, f"/{address.prefix}"
        self._patience = patience
        hosts = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in address.hosts)
        self._options: dict[str, Any] = {"hosts": ",".join(hosts)}
        self._acl = OPEN_ACL_UNSAFE
        if address.user:
            self._options["auth_data"] = [("digest", f"{address.user}:{address.password}")]
            self._acl = [make_digest_acl(address.user, address.password, all=True)]
        tls = address.tls
        if tls is not None:
            self._options |= {"use_ssl": True, "ca": tls.ca, "certfile": tls.cert, "keyfile": tls.key}
            self._options["check_hostname"] = tls.verify_hostname
        self._client: KazooClient | None = None
        self._made = f"{self._path}/=made"
        self._asked = 0.0  # seconds that the session was to last,
        self._granted = 0.0  # and those that the servers have granted
        self._lease = ""  # its node, once there was one
        self._is_taken = False  # whether the node was made for certain
        self._alive = threading.Event()  # while connected
        self._noise = _Noise()
        self._events = 0  # that watches have told of
        self._told = threading.Condition()

    def open(self) -> None:
        """See `Coordinator`."""
        self._connect(self._patience)  # a session for nothing: kazoo asks for as long whether it can have one

    def get(self, key: str) -> Versioned | None:
        """See `Coordinator`."""
        deadline = self._deadline()
        try:
            value, stat = self._answer(self._current(deadline).get_async(self._node(key)), deadline)
        except NoNodeError:
            return None
        return Versioned(value, stat.mzxid)

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """See `Coordinator`."""
        deadline = self._deadline()
        names = self._answer(self._current(deadline).get_children_async(self._path), deadline)
        keys = sorted(key for name in names if name[0] != "=" and (key := unquote(name)).startswith(prefix))
        for start in range(0, len(keys), PAGE):
            deadline = self._deadline()
            client = self._current(deadline)
            page = [(key, client.get_async(self._node(key))) for key in keys[start : start + PAGE]]
            for key, asked in page:
                try:
                    value, _ = self._answer(asked, deadline)
                except NoNodeError:
                    continue  # deleted meanwhile
                yield key, value

    def commit(self, batch: Batch) -> Mapping[str, int]:
        """See `Coordinator`."""
        if batch.leased and not self._lease:
            raise LeaseLostError(f"{self._where}: no lease was taken")
        deadline = self._deadline()
        while True:  # until nobody makes a node between our look and our batch
            client = self._connected(deadline)
            view = self._look(client, batch, deadline)
            if view.changed(batch):  # as far as this server knows: the caller may have heard of more
                view = self._look(self._current(deadline), batch, deadline)
            if view.changed(batch):
                raise ConflictError(f"{self._where}: {', '.join(view.changed(batch))} changed meanwhile")
            transaction = self._transaction(client, batch, view)
            size = len(Transaction(transaction.operations).serialize()) + 8
            if size > PACKET:
                raise StorageError(
                    f"{self._where} takes {PACKET:,} bytes at a time, and this batch has {size:,}"
                )
            results = self._answer(transaction.commit_async(), deadline)
            failures = [each for each in results if isinstance(each, KazooException)]
            if not failures:
                versions = {_version(each) for each in results if isinstance(each, ZnodeStat)}  # one, if any
                return {key: version for version in versions for key in batch.puts}
            for failure in failures:
                if not isinstance(failure, _OVERTAKEN + _ELSEWHERE):
                    self._raise(failure)

    def _look(self, client: KazooClient, batch: Batch, deadline: float) -> View:
        keys = {*batch.conditions, *batch.puts, *batch.deletes}
        made = client.exists_async(self._made)
        lease = client.exists_async(self._lease) if batch.leased else None
        found = {key: client.exists_async(self._node(key)) for key in keys}
        owner = 0
        if lease is not None:
            stat = self._answer(lease, deadline)
            if stat is None:
                raise self._lost()
            owner = stat.ephemeralOwner
        stat = self._answer(made, deadline)
        if stat is None:
            raise StorageError(
                f"{self._where}: {self._made} is gone, and with it perhaps all that was stored"
            )
        return View(stat, owner, {key: self._answer(asked, deadline) for key, asked in found.items()})

    def _transaction(self, client: KazooClient, batch: Batch, view: View) -> TransactionRequest:
        steps = client.transaction()
        if batch.leased:
            steps.check(self._lease, -1)
        for key in batch.conditions:
            stat = view.found[key]
            if stat is not None:
                steps.check(self._node(key), stat.version)
        owners = {key: view.owner if key in batch.leased else 0 for key in batch.puts}
        new = {
            key
            for key, owner in owners.items()
            if (stat := view.found[key]) is None or stat.ephemeralOwner != owner
        }
        if new:
            steps.set_data(self._made, b"", view.made.version)
        else:
            steps.check(self._made, view.made.version)
        for key in [*batch.deletes, *new]:
            if view.found[key] is not None:
                steps.delete(self._node(key))
        for key, value in batch.puts.items():
            if key in new:
                steps.create(self._node(key), value, self._acl, ephemeral=key in batch.leased)
            else:
                steps.set_data(self._node(key), value)
        return steps

    def lease(self, seconds: float) -> float:
        """See `Coordinator`."""
        deadline = self._deadline()
        if not self._lease:
            if self._asked != seconds:
                self._connect(seconds)
            self._lease = f"{self._path}/=lease-{secrets.token_hex(8)}"
            self._is_taken = False
        client = self._connected(deadline)
        try:
            if not self._is_taken:
                with suppress(NodeExistsError):  # the answer to the first attempt was lost
                    self._answer(client.create_async(self._lease, acl=self._acl, ephemeral=True), deadline)
                self._is_taken = True
            else:  # a change, as it goes through the majority: a server alone can be wrong about a session
                self._answer(client.set_async(self._lease, b""), deadline)
        except NoNodeError:
            raise self._lost() from None
        return self._granted * CERTAIN

    def wait(self, key: str, version: int, seconds: float) -> bool:
        """See `Coordinator`."""
        over = time.monotonic() + seconds
        while True:
            with self._told:
                told = self._events
            deadline = self._deadline()
            stat = self._answer(
                self._connected(deadline).exists_async(self._node(key), self._watch), deadline
            )
            if _version(stat) != version:
                return True
            with self._told:
                if not self._told.wait_for(lambda: self._events != told, max(0.0, over - time.monotonic())):  # noqa: B023
                    return False

    def close(self) -> None:
        """See `Coordinator`."""
        self._leave(self._patience)

    # --- the connection ---------------------------------------------------------------------------------------

    def _connect(self, seconds: float) -> None:
        """Begin a new session of about so many seconds, and make what is to be there."""
        self._leave(0.0)
        deadline = self._deadline()
        self._alive.clear()
        self._lease, self._asked = "", seconds
        retry = {"max_tries": -1, "delay": 0.1, "max_delay": 0.5}
        client = KazooClient(timeout=seconds, connection_retry=retry, logger=self._noise, **self._options)
        self._note_what_is_granted(client)
        client.add_listener(partial(self._state_changed, client))
        self._client = client
        try:
            client.start_async()
            self._connected(deadline)
            self._make_nodes(client, deadline)
        except BaseException:
            self._leave(0.0)
            raise

    def _leave(self, seconds: float) -> None:
        """End the session. The servers may need long to answer, and kazoo waits: it gets a thread for that, and we no longer wait."""
        client, self._client = self._client, None
        if client is None:
            return

        def leave() -> None:
            with suppress(Exception):
                client.stop()
                client.close()

        leaving = threading.Thread(target=leave, name="leaving ZooKeeper", daemon=True)
        leaving.start()
        leaving.join(seconds)

    def _note_what_is_granted(self, client: KazooClient) -> None:
        """Kazoo tells nobody for how long the servers keep a session."""
        connect = client._connection._connect

        def noting(*where: Any) -> tuple[float, float]:
            read_timeout, connect_timeout = connect(*where)
            self._granted = read_timeout * 1.5 / 1000
            return read_timeout, connect_timeout

        client._connection._connect = noting

    def _make_nodes(self, client: KazooClient, deadline: float) -> None:
        steps = self._path.split("/")[1:]
        for depth in range(1, len(steps) + 1):
            path = "/" + "/".join(steps[:depth])
            if self._answer(client.exists_async(path), deadline) is None:
                acl = self._acl if depth == len(steps) else OPEN_ACL_UNSAFE
                with suppress(NodeExistsError):
                    self._answer(client.create_async(path, acl=acl), deadline)
        with suppress(NodeExistsError):
            self._answer(client.create_async(self._made, acl=self._acl), deadline)
        self._answer(client.get_async(self._made), deadline)  # whether we may read what there is
        acls, _ = self._answer(client.get_acls_async(self._path), deadline)
        if self._acl is not OPEN_ACL_UNSAFE and any(acl.id == ANYONE_ID_UNSAFE for acl in acls):
            raise StorageError(
                f"{self._where} was made without a user, so that everybody may read and change it: give it to yours (in zkCli.sh: "
                f"addauth digest user:password, then setAcl -R {self._path} auth::cdrwa), or choose another path"
            )

    def _connected(self, deadline: float) -> KazooClient:
        client = self._client
        if client is None:
            raise StorageError(f"{self._where} is not open")
        if not self._alive.wait(max(0.0, deadline - time.monotonic())):
            raise StorageError(f"{self._where} cannot be reached: {self._noise.last or 'no answer'}")
        return client

    def _current(self, deadline: float) -> KazooClient:
        """Return a client of which the next answers know all that was committed: a follower may be behind the others."""
        client = self._connected(deadline)
        client.sync_async(self._path)  # requests are answered in their order
        return client

    def _answer(self, asked: Any, deadline: float) -> Any:
        """Wait for an answer (StorageError; and what a node is not, in kazoo's words: that is for the caller)."""
        try:
            return asked.get(timeout=max(0.0, deadline - time.monotonic()))
        except KazooTimeoutError:
            raise StorageError(f"{self._where} did not answer within {self._patience:g} s") from None
        except _OVERTAKEN:
            raise
        except Exception as error:
            self._raise(error)

    def _deadline(self) -> float:
        return time.monotonic() + self._patience

    def _node(self, key: str) -> str:
        return f"{self._path}/{quote(key, safe='')}"

    def _raise(self, error: Exception) -> NoReturn:
        match error:
            case ConnectionClosedError():
                raise StorageError(f"{self._where} is not open")
            case SessionExpiredError() if self._lease:
                raise self._lost()
            case SessionExpiredError():
                raise StorageError(f"{self._where}: the session has expired; a new one begins")
            case ConnectionLoss():
                raise StorageError(f"{self._where}: the connection was lost")
            case NoAuthError():
                raise StorageError(
                    f"{self._where} does not let us in: {self._path} belongs to another user, or the password is wrong"
                )
        raise StorageError(f"{self._where}: {type(error).__name__} {error}".rstrip())

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(f"{self._where}: the session has expired, and with it the lease")

    # --- in kazoo's threads -----------------------------------------------------------------------------------

    def _state_changed(self, client: KazooClient, state: str) -> None:
        if client is not self._client:
            return
        if state == KazooState.CONNECTED:
            self._noise.last = ""
            self._alive.set()
        else:
            self._alive.clear()

    def _watch(self, _event: object) -> None:
        """A node has changed, or the connection was lost; the same method each time, so that kazoo keeps it once."""
        with self._told:
            self._events += 1
            self._told.notify_all()


class _Noise(logging.LoggerAdapter[logging.Logger]):
    """What kazoo says, of which nobody needs to be warned: callers hear in a sentence of their own what has failed, and why.

    What it says of its requests is left out: the password is among them.
    """

    def __init__(self) -> None:
        super().__init__(logger, None)
        self.last = ""  # reason why there is no connection

    def log(self, level: int, msg: object, *args: object, **_options: Any) -> None:
        """Take the reason from a warning, and pass on what is more than its debugging."""
        if level >= logging.WARNING:
            text = str(msg) % args if args else str(msg)
            reason = text.removeprefix("Connection dropped: ").removeprefix("socket connection error: ")
            if reason != "Transition to CONNECTING":
                self.last = reason
        if level >= logging.INFO:
            super().log(logging.DEBUG, msg, *args)


def _version(stat: ZnodeStat | None) -> int:
    return ABSENT if stat is None else int(stat.mzxid)
