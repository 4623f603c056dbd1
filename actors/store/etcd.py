"""etcd as a coordinator, over its JSON gateway (etcd 3.4 or newer); its driver is etcd3gw, the optional extra "etcd".

A version is the revision of a key's last change. Servers are tried in turn. A batch that was sent and never answered is not
sent again from here, as nobody knows what became of it. Sources: etcd documentation, "API reference", "gRPC gateway",
"System limits", "Role-based access control".
"""

import base64
import contextlib
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from actors.store.address import StoreAddress
from actors.store.backends import StorageError
from actors.store.coordination import ABSENT, Batch, ConflictError, LeaseLostError, Versioned

if TYPE_CHECKING:
    from etcd3gw.client import Etcd3Client
    from etcd3gw.lease import Lease

PAGE = 4 << 20  # bytes that one answer of a scan should have, and
LARGEST_PAGE = 2000  # keys at most
PAUSE = 0.2  # seconds between a watch that has failed and the next

_ANSWERS = (
    (
        "database space exceeded",
        "is full: free space (etcdctl compact, defrag, then alarm disarm), or give it a larger --quota-backend-bytes",
    ),
    ("mvcc: database is corrupt", "says that its data is damaged: restore it from a snapshot"),
    ("too many requests", "has more requests than it can take"),
    ("no leader", "has no leader at the moment: most of its servers are away"),
    ("leader changed", "is changing its leader"),
    ("request timed out", "did not get an agreement of its servers in time"),
    (
        "request is too large",
        "takes no request of this size: give it --max-request-bytes of 1.5 MB, its default, or more",
    ),
    ("authentication failed", "does not know this user and password ([store] user and password)"),
    ("user name is empty", "lets nobody in without a user and password ([store] user and password)"),
    ("permission denied", "lets this user in, and not to these keys: grant it readwrite on the prefix"),
    (
        "authentication is not enabled",
        "has no users: take [store] user and password away, or enable them there",
    ),
)
_AROUND = re.compile(r"HTTPS?Connection\(.*?\): |Failed to establish a new connection: |\[Errno -?\d+\] ")
_EXPIRED = ("invalid auth token", "auth token is not provided", "revision of auth store is old")


class EtcdCoordinator:
    """A connection to etcd; see `Coordinator`. Each call ends within `patience` seconds, or twice that where it logs in again."""

    largest = 1 << 20  # etcd takes requests of 1.5 MiB, keys and conditions included

    def __init__(self, address: StoreAddress, patience: float) -> None:
        self._address = address
        self._patience = patience
        self._servers: list[Etcd3Client] = []  # the one that answered last comes first
        self._lease: Lease | None = None
        self._deadline = 0.0

    # --- Coordinator ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """See `Coordinator`."""
        try:
            import requests
            from etcd3gw.client import Etcd3Client
        except ImportError:
            raise StorageError(
                "a store in etcd needs the package etcd3gw: pip install 'mesostic[etcd]'"
            ) from None
        self.close()
        session = requests.Session()
        session.trust_env = False  # no proxy, and no ~/.netrc, between a store and its servers
        tls = self._address.tls
        if tls is not None:
            session.verify = tls.ca or True
            session.cert = (tls.cert, tls.key) if tls.cert and tls.key else tls.cert
        self._servers = [
            Etcd3Client(host, port, "https" if tls else "http", api_path="/v3/", session=session)
            for host, port in self._address.hosts
        ]
        try:
            if self._address.user:
                self._log_in()
            self.get("")
        except BaseException:
            self.close()
            raise

    def get(self, key: str) -> Versioned | None:
        """See `Coordinator`."""
        return self._get(key)[0]

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """See `Coordinator`."""
        begin, end = self._key(prefix), self._key(prefix)[:-1] + bytes((self._key(prefix)[-1] + 1,))
        limit = 16  # values may be large
        while True:
            asked = {"key": _text(begin), "range_end": _text(end), "limit": limit}
            answer = self._ask("kv/range", asked)
            found = [(_bytes(each["key"]), _bytes(each.get("value", ""))) for each in answer.get("kvs", ())]
            for key, value in found:
                yield key[len(self._key("")) :].decode(), value
            if not answer.get("more"):
                return
            begin = found[-1][0] + b"\0"
            size = sum(len(value) + 100 for _, value in found)
            limit = max(1, min(LARGEST_PAGE, PAGE * len(found) // size))

    def commit(self, batch: Batch) -> Mapping[str, int]:
        """See `Coordinator`."""
        compare = [
            {"key": self._name(key), "target": "MOD", "mod_revision": max(0, version)}
            for key, version in batch.conditions.items()
        ]
        success: list[dict[str, Any]] = [
            {"request_delete_range": {"key": self._name(key)}} for key in batch.deletes
        ]
        for key, value in batch.puts.items():
            put: dict[str, Any] = {"key": self._name(key), "value": _text(value)}
            if key in batch.leased:
                if self._lease is None:
                    raise LeaseLostError(f"{self._address.url}: there is no lease for {key}")
                put["lease"] = self._lease.id
            success.append({"request_put": put})
        answer = self._ask("kv/txn", {"compare": compare, "success": success}, once=True)
        if not answer.get("succeeded"):
            raise ConflictError(f"{self._address.url}: another process was first")
        return dict.fromkeys(batch.puts, int(answer["header"]["revision"]))

    def lease(self, seconds: float) -> float:
        """See `Coordinator`."""
        from etcd3gw.lease import Lease

        if self._lease is None:
            granted = self._ask("lease/grant", {"TTL": math.ceil(seconds), "ID": 0})
            self._lease = Lease(int(granted["ID"]), self._servers[0])
            return float(granted["TTL"])
        renewed = self._ask("lease/keepalive", {"ID": self._lease.id})
        left = float(renewed.get("result", {}).get("TTL", 0))
        if left <= 0:
            raise LeaseLostError(f"{self._address.url}: the lease has expired")
        return left

    def wait(self, key: str, version: int, seconds: float) -> bool:
        """See `Coordinator`."""
        until = time.monotonic() + seconds
        while True:
            found, revision = self._get(key)
            if (ABSENT if found is None else found.version) != version:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            if not self._watch(key, revision + 1, left):
                time.sleep(max(0.0, min(PAUSE, until - time.monotonic())))

    def close(self) -> None:
        """See `Coordinator`."""
        if self._lease is not None:
            with contextlib.suppress(StorageError):
                self._ask("lease/revoke", {"ID": self._lease.id})
            self._lease = None
        for server in self._servers[:1]:
            server.session.close()
        self._servers = []

    # --- asking -----------------------------------------------------------------------------------------------

    def _get(self, key: str) -> tuple[Versioned | None, int]:
        """Return what a key has, and the revision as of which it has it."""
        answer = self._ask("kv/range", {"key": self._name(key)})
        revision = int(answer["header"]["revision"])
        for found in answer.get("kvs", ()):
            return Versioned(_bytes(found.get("value", "")), int(found["mod_revision"])), revision
        return None, revision

    def _ask(self, method: str, body: Mapping[str, Any], *, once: bool = False) -> Any:
        """Ask the servers in turn, until one answers or the time is over; `once`: none after one that may have heard it."""
        deadline = time.monotonic() + self._patience
        try:
            return self._asked(method, body, deadline, once=once)
        except _ExpiredError:
            self._log_in()
            return self._asked(method, body, deadline + self._patience, once=once)

    def _asked(self, method: str, body: Mapping[str, Any], deadline: float, *, once: bool) -> Any:
        from etcd3gw.exceptions import Etcd3Exception

        if not self._servers:
            raise StorageError(f"{self._address.url} is not open")
        wrong: dict[str, None] = {}
        for number in range(len(self._servers), 0, -1):
            server = self._servers[0]
            # What is left is shared by those that are still to be asked, so that one that is frozen costs not everything.
            server.timeout = max(0.05, (deadline - time.monotonic()) / (1 if once else number))
            try:
                return server.post(server.get_url(method), data=json.dumps(body))
            except (Etcd3Exception, OSError, ValueError) as error:
                self._servers.append(self._servers.pop(0))
                wrong[f"{server.host}:{server.port} {self._explained(error)}"] = None
                if once and not _was_never_sent(error):
                    break
        raise StorageError(f"{self._address.url}: {'; '.join(wrong)}")

    def _explained(self, error: BaseException) -> str:
        """Say what is wrong (_ExpiredError, LeaseLostError: every server would say so)."""
        text = getattr(error, "detail_text", None)
        if not text or isinstance(error.__context__, OSError):
            return _failure(error)
        said = text
        with contextlib.suppress(ValueError, AttributeError):
            said = json.loads(text).get("error", text)
        if any(words in said for words in _EXPIRED) and self._address.user:
            raise _ExpiredError(self._address.url)
        if "requested lease not found" in said:
            raise LeaseLostError(f"{self._address.url}: the lease has expired")
        for words, sentence in _ANSWERS:
            if words in said:
                return sentence
        if "404" in said:
            return "does not answer as etcd 3.4 or newer does"
        return f"answers: {' '.join(said.split())[:200]}"

    def _log_in(self) -> None:
        session = self._servers[0].session
        session.headers.pop("Authorization", None)
        asked = {"name": self._address.user, "password": self._address.password}
        answer = self._asked("auth/authenticate", asked, time.monotonic() + self._patience, once=False)
        session.headers["Authorization"] = answer["token"]

    def _watch(self, key: str, revision: int, seconds: float) -> bool:
        """Watch a key from that revision on, on one server; returns whether it has changed, as far as that server has said."""
        server = self._servers[0]
        asked = {"create_request": {"key": self._name(key), "start_revision": revision}}
        until = time.monotonic() + seconds
        try:
            with server.session.post(
                server.get_url("watch"),
                data=json.dumps(asked),
                stream=True,
                timeout=(self._patience, max(0.05, seconds)),
            ) as answer:
                for line in answer.iter_lines():
                    if json.loads(line).get("result", {}).get("events"):
                        return True
        except (OSError, ValueError):
            if time.monotonic() < until:
                self._servers.append(self._servers.pop(0))
        return False

    def _key(self, key: str) -> bytes:
        return f"{self._address.prefix}/{key}".encode()

    def _name(self, key: str) -> str:
        return _text(self._key(key))


class _ExpiredError(StorageError):
    """The token has expired, as etcd's do after some minutes: nothing was done."""


def _was_never_sent(error: BaseException) -> bool:
    """Whether no server can have heard it: there was no connection."""
    from requests.exceptions import ConnectTimeout, SSLError
    from urllib3.exceptions import NewConnectionError

    cause = error.__context__
    reason = getattr(cause.args[0] if cause is not None and cause.args else None, "reason", None)
    return isinstance(cause, ConnectTimeout | SSLError) or isinstance(reason, NewConnectionError)


def _failure(error: BaseException) -> str:
    from requests.exceptions import ConnectionError as NotConnected
    from requests.exceptions import SSLError, Timeout

    cause = error if isinstance(error, OSError) else error.__context__ or error
    if isinstance(cause, SSLError):
        return f"cannot be trusted, or does not trust this client (TLS: {_last_words(cause)})"
    if isinstance(cause, Timeout):
        return "does not answer in time"
    if isinstance(cause, NotConnected):
        return f"cannot be reached ({_last_words(cause)})"
    return f"cannot be asked ({_last_words(cause)})"


def _last_words(error: BaseException) -> str:
    """The innermost reason: what is around it are names of classes and addresses of objects."""
    while True:
        inner = next(
            (each for each in (getattr(error, "reason", None), *error.args) if isinstance(each, Exception)),
            None,
        )
        if inner is None:
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return _AROUND.sub("", text)
        error = inner


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
