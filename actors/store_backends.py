"""Where records can be kept: in memory, or in an SQLite file. One suite of tests runs on both.

A backend is used by one caller at a time (the store actor sees to it), from whatever thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from actors.messages import ClearStore, Record, Write

# A layout that this version does not know is refused rather than guessed at.
LAYOUT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (kind, key)
)
"""
_GET = "SELECT kind, key, value FROM records WHERE ? IS NULL OR key = ? ORDER BY number"
_PUT = (
    "INSERT INTO records (kind, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"
)


Change = Write | ClearStore
Records = dict[tuple[str, str], bytes]


class StorageError(Exception):
    """A record could not be read or written; one sentence, with the file's name."""


def applied(records: Records, changes: Iterable[Change]) -> Records:
    """Carry changes out on records in a dictionary, which stands in the order of their first writing; returns it."""
    for change in changes:
        if isinstance(change, ClearStore):
            records.clear()
            continue
        for record in change.records:
            records[record.kind, record.key] = record.value
        for gone in change.deletes:
            records.pop(gone, None)
    return records


class Backend(Protocol):
    """What the store actor needs of a backend."""

    blocking: bool
    """Whether `commit` waits for a disk, so that it belongs into a thread."""

    def open(self) -> None:
        """Get ready; raises StorageError when that cannot be."""

    def load(self, key: str | None = None) -> tuple[Record, ...]:
        """Return all records, or those of one key, in the order in which they were first written."""

    def commit(self, changes: Sequence[Change]) -> None:
        """Apply all changes in order, or none of them (StorageError)."""

    def close(self) -> None:
        """Let go of the file."""


class MemoryBackend:
    """Records in a dictionary: lost with the process, which some frameworks are content with."""

    blocking = False

    def __init__(self) -> None:
        self._records: Records = {}

    def open(self) -> None:
        """Nothing to do."""

    def load(self, key: str | None = None) -> tuple[Record, ...]:
        """Return all records, or those of one key, in the order in which they were first written."""
        return tuple(
            Record(kind, found, value)
            for (kind, found), value in self._records.items()
            if key is None or found == key
        )

    def commit(self, changes: Sequence[Change]) -> None:
        """Apply all changes in order."""
        applied(self._records, changes)

    def close(self) -> None:
        """Nothing to do; the records stay for whoever opens it again."""


class SqliteBackend:
    """Records in an SQLite file: write-ahead log, each commit on disk before it counts (synchronous=FULL)."""

    blocking = True

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()  # a commit may still run in its thread when the actor is stopped
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or create the file.

        Raises:
            StorageError: It cannot be opened, is no database, or has a newer layout.
        """
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, check_same_thread=False, isolation_level=None, timeout=5.0
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            layout = connection.execute("PRAGMA user_version").fetchone()[0]
            if layout not in {0, LAYOUT}:
                connection.close()
                raise StorageError(f"{self.path} was written by another version (layout {layout})")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version={LAYOUT}")
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{self.path} cannot be used as a store: {error}") from error
        self._connection = connection

    def load(self, key: str | None = None) -> tuple[Record, ...]:
        """Return all records, or those of one key, in the order in which they were first written."""
        with self._lock:
            try:
                rows = self._open.execute(_GET, (key, key)).fetchall()
            except sqlite3.Error as error:
                raise StorageError(f"{self.path} cannot be read: {error}") from error
        return tuple(Record(kind, key, bytes(value)) for kind, key, value in rows)

    def commit(self, changes: Sequence[Change]) -> None:
        """Apply all changes in one transaction."""
        with self._lock:
            self._commit(changes)

    def _commit(self, changes: Sequence[Change]) -> None:
        connection = self._open
        try:
            connection.execute("BEGIN IMMEDIATE")
            for change in changes:
                if isinstance(change, ClearStore):
                    connection.execute("DELETE FROM records")
                    continue
                if change.records:
                    rows = [(record.kind, record.key, record.value) for record in change.records]
                    connection.executemany(_PUT, rows)
                if change.deletes:
                    connection.executemany("DELETE FROM records WHERE kind = ? AND key = ?", change.deletes)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StorageError(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StorageError(f"{self.path} is not open")
        return self._connection

    def _roll_back(self) -> None:
        try:
            if self._open.in_transaction:
                self._open.execute("ROLLBACK")
        except (sqlite3.Error, StorageError):
            pass
