"""Where records can be kept: in memory, or in an SQLite file (on servers: `log`). One suite of tests runs on all of them.

Nothing that is stored changes in silence: each record has a checksum, and the structure around them is checked when the file
is opened. Only a file that does not exist is a new store: one that is empty, or of which the header is gone, is damaged.

One process holds a file beside the store locked, and says in it who it is. The lock is the kernel's (flock): it goes with the
process however that ends. It holds between the processes of one machine; over a network file system it may not, which is why
a store belongs on a disk of the machine itself.
"""

import contextlib
import errno
import fcntl
import itertools
import json
import logging
import os
import socket
import sqlite3
import struct
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from actors.messages import ClearStore, Record, Write
from actors.runtime.codec.envelope import MAX_BYTES
from actors.temporary import sync_folder

logger = logging.getLogger("actors.store")

# In the header of each file; a layout that this version does not know is refused rather than guessed at.
APPLICATION = 0x4D53_7463  # "MStc"
LARGEST = MAX_BYTES  # of one record: what the codec reads
PART = 5000  # records loaded at a time
LAYOUT = 2  # no single bit away from a layout that was before

_SCHEMA = """\
CREATE TABLE records (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (kind, key)
)"""
_PART = "SELECT number, kind, key, value, checksum FROM records WHERE number > ? ORDER BY number LIMIT ?"
_GET = "SELECT kind, key, value, checksum FROM records ORDER BY number"
# The index is by kind, then key, so it is asked for each kind, of which there are few.
_GET_KEY = """\
WITH RECURSIVE kinds (kind) AS (
    SELECT min(kind) FROM records UNION ALL
    SELECT (SELECT min(kind) FROM records WHERE kind > kinds.kind) FROM kinds WHERE kind IS NOT NULL
)
SELECT kind, key, value, checksum FROM kinds JOIN records USING (kind) WHERE key = ? ORDER BY number"""
_PUT = (
    "INSERT INTO records (kind, key, value, checksum) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum"
)
_DELETE = "DELETE FROM records WHERE kind = ? AND key = ?"
_HOW_TO_GO_ON = "restore the file from a backup, or move it away to begin a new framework"

Change = Write | ClearStore
Records = dict[tuple[str, str], bytes]


class StorageError(Exception):
    """A record could not be read or written; one sentence, with the file's name."""


class Backend(Protocol):
    """Where records are kept. A commit that fails is tried again, together with what was accepted since."""

    blocking: bool
    """Whether `commit` waits for a disk or a network, so that it belongs in a thread."""

    def open(self) -> None:
        """Get ready; raises StorageError when that cannot be."""

    def load(self, key: str | None = None) -> tuple[Record, ...]:
        """Return all records, or those of one key, in the order in which they were first written."""

    def part(self, after: int) -> tuple[tuple[Record, ...], int]:
        """Return all records, in that order, part by part: those behind a place (first 0), and the next place; 0: there are no more."""

    def commit(self, changes: Sequence[Change]) -> None:
        """Apply all changes in order, or none of them (StorageError)."""

    def close(self, last: Sequence[Change] = ()) -> None:
        """Apply these, if that can be (StorageError), and let go of the records in any case; nothing comes between."""


class MemoryBackend:
    """Records in a dictionary: lost with the process, which some frameworks are content with."""

    blocking = False

    def __init__(self, records: Records | None = None) -> None:
        self._records: Records = {} if records is None else records

    def open(self) -> None:
        """See `Backend`."""

    def load(self, key: str | None = None) -> tuple[Record, ...]:
        """See `Backend`."""
        records = (Record(*name, value) for name, value in self._records.items())
        return tuple(record for record in records if key in {None, record.key})

    def part(self, after: int) -> tuple[tuple[Record, ...], int]:
        """See `Backend`."""
        assert not after
        return self.load(), 0

    def commit(self, changes: Sequence[Change]) -> None:
        """See `Backend`."""
        for change in changes:
            if isinstance(change, ClearStore):
                self._records.clear()
                continue
            for record in change.records:
                self._records[record.kind, record.key] = record.value
            for gone in change.deletes:
                self._records.pop(gone, None)

    def close(self, last: Sequence[Change] = ()) -> None:
        """See `Backend`."""
        self.commit(last)


class SqliteBackend:
    """Records in an SQLite file: write-ahead log, each commit on disk before it counts (synchronous=FULL).

    `drop_damaged`: continue without records that are damaged, and without what else is stored under their keys.
    """

    blocking = True

    def __init__(self, path: str, *, drop_damaged: bool = False) -> None:
        self.path = path
        self._drop_damaged = drop_damaged
        self._lock = threading.RLock()  # a commit may still run in its thread when the actor is stopped
        self._hold: int | None = None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or create the file and its folder, and keep every other process out (StorageError: it cannot be used)."""
        try:
            path = Path(os.path.realpath(self.path))
            if path.is_dir():
                raise StorageError(f"{self.path} cannot be used as a store: it is a folder, not a file")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._hold = _locked(path, self.path)
            if path.exists():
                _check_header(path, self.path)
                damage = damage_in(Path(f"{path}-wal"))
                if damage:
                    raise StorageError(f"{self.path} is damaged: {damage}; {_HOW_TO_GO_ON}")
                path.chmod(0o600)
            else:
                _create(path)
            self._connection = self._connect(path)
        except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: SQLite's words about garbage
            self.close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            advice = "" if isinstance(error, OSError) else f"; {_HOW_TO_GO_ON}"
            raise StorageError(f"{self.path} cannot be used as a store: {reason}{advice}") from error
        except BaseException:
            self.close()
            raise

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
        try:
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA cell_size_check=ON")
            self._check_structure(connection)
            layout = _pragma(connection, "application_id"), _pragma(connection, "user_version")
            if layout == (0, 1):
                _copy(connection, Path(f"{path}.layout1"))
                _upgrade(connection, self.path)
            elif layout[0] == APPLICATION and layout[1] > LAYOUT:
                raise StorageError(
                    f"{self.path} was written by a newer version (layout {layout[1]}, this one knows {LAYOUT}): "
                    "use that version, or give this framework another [store] path"
                )
            elif layout != (APPLICATION, LAYOUT):
                raise StorageError(f"{self.path} is not a store, or its header is damaged; {_HOW_TO_GO_ON}")
            if ("records", _SCHEMA) not in connection.execute(
                "SELECT name, sql FROM sqlite_master"
            ).fetchall():
                raise StorageError(f"{self.path} is damaged: its table is not as it was; {_HOW_TO_GO_ON}")
            connection.execute("PRAGMA journal_mode=WAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_structure(self, connection: sqlite3.Connection) -> None:
        """What is between the records: that none is missing, and that the index agrees with them."""
        found = _integrity(connection)
        if found and self._drop_damaged:
            connection.execute("REINDEX")
            found = _integrity(connection)
        if found:
            raise StorageError(f"{self.path} is damaged: {found}; {_HOW_TO_GO_ON}")

    def load(self, key: str | None = None) -> tuple[Record, ...]:
        """As `Backend.load` (StorageError: it cannot be read, or a record is damaged and must not be dropped)."""
        with self._reading() as connection:
            self._check_records(key)
            rows = self._rows(connection, key).fetchall()
        return tuple(Record(kind, key, value) for kind, key, value, _ in rows)

    def part(self, after: int) -> tuple[tuple[Record, ...], int]:
        """As `Backend.part`; nothing is returned of what will be dropped with a damaged record that comes later."""
        with self._reading() as connection:
            if not after and self._drop_damaged:
                self._check_records()
            rows = connection.execute(_PART, (after, PART)).fetchall()
            if not all(_is_sound(*row[1:]) for row in rows):
                self._check_records()  # refuses, and names all that are damaged
        records = tuple(Record(kind, key, value) for _, kind, key, value, _ in rows)
        return records, rows[-1][0] if len(rows) == PART else 0

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._open
            except (sqlite3.Error, ValueError) as error:
                raise StorageError(f"{self.path} cannot be read: {error}; {_HOW_TO_GO_ON}") from error

    def _check_records(self, key: str | None = None) -> None:
        damaged = [row for row in self._rows(self._open, key) if not _is_sound(*row)]
        if damaged:
            self._drop(damaged)

    def _rows(self, connection: sqlite3.Connection, key: str | None) -> sqlite3.Cursor:
        return connection.execute(_GET) if key is None else connection.execute(_GET_KEY, (key,))

    def _drop(self, damaged: list[Any]) -> None:
        names = ", ".join(f"{kind} of {key}" for kind, key, _, _ in damaged[:5])
        more = f" and {len(damaged) - 5} more" if len(damaged) > 5 else ""
        if not self._drop_damaged:
            raise StorageError(
                f"{self.path} is damaged: {names}{more} cannot be what was stored (by checksum and size). Restore the file from a "
                "backup, or run once with --set store.drop_damaged=true to drop everything stored about these"
            )
        keys = [(key,) for _, key, _, _ in damaged]
        self._open.executemany("DELETE FROM records WHERE key = ?", keys)
        logger.warning("%s: damaged, and dropped with all else of the same key: %s%s", self.path, names, more)

    def commit(self, changes: Sequence[Change]) -> None:
        """Apply all changes in one transaction."""
        with self._lock:
            connection = self._open
            try:
                connection.execute("BEGIN IMMEDIATE")
                for change in changes:
                    if isinstance(change, ClearStore):
                        connection.execute("DELETE FROM records")
                        continue
                    if change.records:
                        connection.executemany(_PUT, [_row(record) for record in change.records])
                    if change.deletes:
                        connection.executemany(_DELETE, change.deletes)
                connection.execute("COMMIT")
            except (sqlite3.Error, TypeError, ValueError) as error:
                raise StorageError(f"{self.path}: {error}") from error
            finally:
                with contextlib.suppress(sqlite3.Error):
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")

    def close(self, last: Sequence[Change] = ()) -> None:
        """Apply these, close the file, and let others have it."""
        with self._lock:
            try:
                if last:
                    self.commit(last)
            finally:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                if self._hold is not None:
                    _unlock(self._hold)
                    self._hold = None

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StorageError(f"{self.path} is not open")
        return self._connection


def _row(record: Record) -> tuple[str, str, bytes, int]:
    return record.kind, record.key, record.value, _checksum(record.kind, record.key, record.value)


def _checksum(kind: str, key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(f"{kind}\0{key}\0".encode("utf-8", "surrogateescape")))


def _is_sound(kind: object, key: object, value: object, checksum: object) -> bool:
    if not (isinstance(kind, str) and isinstance(key, str) and isinstance(value, bytes)):
        return False
    return len(value) <= LARGEST and _checksum(kind, key, value) == checksum


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _integrity(connection: sqlite3.Connection) -> str:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    return "" if found == ["ok"] else " ".join(" ".join(found).split())


def _check_header(path: Path, name: str) -> None:
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise StorageError(f"{name} is empty: the store has been truncated; {_HOW_TO_GO_ON}")
    if head != b"SQLite format 3\0":
        why = "it is not an SQLite database, or its beginning is damaged"
        raise StorageError(f"{name} cannot be used as a store: {why}; {_HOW_TO_GO_ON}")


def _create(path: Path) -> None:
    """Make a new file, which is there as a whole or not at all."""
    aside = Path(f"{path}.new")
    for leftover in (aside, Path(f"{aside}-journal"), Path(f"{path}-wal"), Path(f"{path}-shm")):
        leftover.unlink(missing_ok=True)  # a log without its database would be taken for the new one's
    os.close(os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(aside, isolation_level=None)
    try:
        connection.execute("BEGIN")
        _lay_out(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()
    aside.replace(path)
    sync_folder(path.parent)


def _lay_out(connection: sqlite3.Connection) -> None:
    connection.execute(_SCHEMA)
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={LAYOUT}")


def _copy(connection: sqlite3.Connection, to: Path) -> None:
    """Copy a file before it is changed: durable, and as a whole or not at all."""
    aside = to.with_name(f"{to.name}.new")
    aside.unlink(missing_ok=True)
    aside.touch(0o600)
    with contextlib.closing(sqlite3.connect(aside)) as copy:
        connection.backup(copy)
    with aside.open("rb") as written:
        os.fsync(written.fileno())
    aside.replace(to)
    sync_folder(to.parent)
    logger.warning("the store is brought to a new layout; as it was before, it is in %s", to)


def _upgrade(connection: sqlite3.Connection, name: str) -> None:
    """Bring a file of the first layout, which had no checksums, to the present one: wholly or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("ALTER TABLE records RENAME TO earlier")
        rows = connection.execute("SELECT kind, key, value FROM earlier ORDER BY number").fetchall()
        if not all(isinstance(value, bytes) for _, _, value in rows):
            raise StorageError(f"{name} is damaged: a record is not made of bytes; {_HOW_TO_GO_ON}")
        kinds, keys = ({row[column] for row in rows} for column in (0, 1))
        if kinds & {"task-spec", "task-ended"} and "id" in keys:  # `on_registered` has launched them
            rows.append(("framework", "registered", b"1"))
        _lay_out(connection)
        connection.executemany(_PUT, [_row(Record(*row)) for row in rows])
        connection.execute("DROP TABLE earlier")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


# --- the write-ahead log: whether it is whole, before SQLite reads it ------------------------------------------
# SQLite takes a log up to the first frame that does not hold, and leaves the rest out: right after a loss of power, when the
# last transaction was not finished, but a flipped bit would take every later transaction away in silence. Here a log in which
# whole transactions follow a damaged frame is refused. (The format: "The Write-Ahead Log" in SQLite's "Database File Format".)

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoint, salt (2), checksum (2)
_FRAME = struct.Struct(">6I")  # page, pages after a commit (else 0), salt (2), checksum (2)
_MAGIC, _BIG_ENDIAN = 0x377F0682, 1
_WORD = 0xFFFF_FFFF


def damage_in(log: Path) -> str:
    """Return what is wrong with a log; "" if it can be read as it is, or is not there."""
    try:
        data = log.read_bytes()
    except FileNotFoundError:
        return ""
    if len(data) <= _HEADER.size:
        return ""  # nothing was ever committed to it
    magic, _, page_size, _, *rest = _HEADER.unpack_from(data)
    salt, checksum = rest[:2], rest[2:]
    order = ">" if magic & _BIG_ENDIAN else "<"
    sums = _sums_of(data[:24], order, 0, 0)
    if magic & ~_BIG_ENDIAN != _MAGIC or list(sums) != checksum or page_size not in _PAGE_SIZES:
        return "the beginning of its log"
    size = _FRAME.size + page_size
    frames = range(_HEADER.size, len(data) - size + 1, size)
    for number, start in enumerate(frames):
        _, _, *rest = _FRAME.unpack_from(data, start)
        sums = _sums_of(data[start : start + 8], order, *sums)
        sums = _sums_of(data[start + _FRAME.size : start + size], order, *sums)
        if rest[:2] != salt or list(sums) != rest[2:]:
            return f"frame {number + 1} of its log" if _is_followed(data, frames[number:], salt) else ""
    return ""


_PAGE_SIZES = frozenset(2**power for power in range(9, 17))


def _sums_of(data: bytes, order: str, first: int, second: int) -> tuple[int, int]:
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & _WORD
        second = (second + two + first) & _WORD
    return first, second


def _is_followed(data: bytes, frames: range, salt: list[int]) -> bool:
    """Whether a later transaction than that of the first of these frames was begun: it had been finished before."""
    committed = False
    for start in frames:
        _, pages, *rest = _FRAME.unpack_from(data, start)
        if start != frames[0] and rest[:2] != salt:
            return False  # left from before the log was begun again
        if committed:
            return True
        committed = pages != 0
    return False


# --- who owns a store ------------------------------------------------------------------------------------------


def _locked(path: Path, name: str) -> int:
    """Lock a store until `_unlock`, or until the process ends; one of another process, or of another framework, is refused."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(who_we_are()).encode(), 0)
    except BaseException as error:
        held = isinstance(error, OSError) and error.errno in {errno.EWOULDBLOCK, errno.EACCES}
        holder = os.pread(handle, 4096, 0) if held else b""
        os.close(handle)
        if not held:
            raise
        raise StorageError(
            f"the store {name} is in use by {described(holder)}: a store is one framework's at a time. "
            "Stop that one first, or give this one another [store] path"
        ) from None
    _held.add(handle)
    return handle


def _unlock(handle: int) -> None:
    if handle in _held:
        _held.discard(handle)
        os.close(handle)


_held: set[int] = set()


def _let_go_in_child() -> None:
    """A child made by fork alone must not hold on to what its parent has locked."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


def who_we_are() -> dict[str, object]:
    """What others are told of the process that has a store."""
    words = itertools.takewhile(lambda word: word[:1] != "-", sys.argv[1:])
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        # without its options, as these may hold a secret
        "command": " ".join([Path(sys.argv[0]).name, *words]),
    }


def described(holder: bytes) -> str:
    """Say who has a store, of `who_we_are` in JSON."""
    try:
        said = json.loads(holder)
        return f"process {said['pid']} on {said['host']} since {said['since']} ({said['command']})"
    except (ValueError, TypeError, KeyError):
        return "another process"
