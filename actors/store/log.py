"""Records in etcd or ZooKeeper, as a log: a commit is one batch of two keys, however many records it has.

Neither takes a transaction of any size (etcd: 128 changes and 1.5 MB) nor millions of small values (ZooKeeper: 1 MB for a list
of names), and a record to a key would need both. So changes are packed into segments, `log/<number>`, and the newest value of
each record counts. What is larger than the servers take at a time is cut into several segments, of which the last makes it
count. Segments that hold little that is alive are written again at the end of the log, and deleted.

`head` says how far the log goes, and belongs to whoever wrote it last: `open` raises its epoch, and each batch requires that
head is as this process left it. So a process that was replaced, and whatever of it is still on its way, changes nothing. When
the outcome of a batch is unknown, head tells it, by the number of the batch.
"""

import itertools
import logging
import operator
import secrets
import sqlite3
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec.structs import replace

from actors.framework_settings import Leadership
from actors.messages import ClearStore, Record
from actors.runtime import pack_value
from actors.store.backends import Change, StorageError
from actors.store.coordination import (
    ABSENT,
    ENDED,
    HEAD,
    LEADER,
    LOG,
    Batch,
    ConflictError,
    Coordinator,
    DamagedError,
    FencedError,
)

logger = logging.getLogger("actors.store")

LAYOUT = 1  # the first byte of each value
FRAME = 512  # bytes that a segment and a head have at most around what is stored
SLACK = 1 << 20  # bytes that a log may have too many, however little is alive
WORTH_DEFLATING = 500  # bytes; records of tasks of one kind are much alike: a quarter is left
SMALL = 16 << 10  # bytes: groups below are kept in memory too, until they are put together
DELETES = 100  # segments in a batch
MANY = 64  # small groups are put together

Name = tuple[str, str]
T = TypeVar("T")


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What the key `head` says."""

    epoch: int = 0  # how often the log was opened
    writer: int = 0  # drawn by whoever opened it last
    batches: int = 0  # written since then; one that failed has used its number up
    sequence: int = 0  # of the newest segment
    first: int = 1  # older segments have been cleared
    segments: int = 0  # that there are from `first` on


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """What a key of the log has: a piece of a group. Only a group with its last piece counts."""

    epoch: int
    first: int  # sequence number of the group's first piece
    last: bool
    deflated: bool
    data: bytes


class Content(msgspec.Struct, frozen=True, array_like=True):
    """What a group says: records and their numbers, by which they are ordered; then names of records that are gone."""

    puts: list[tuple[str, str, bytes, int]]
    deletes: list[Name]


@dataclass(slots=True)
class Group:
    """Segments that count together, which follow each other."""

    pieces: int
    size: int  # bytes of what it says, before it was deflated
    data: bytes | None  # kept while it is small


class LogBackend:
    """Records over a coordinator. `where` is its address, for sentences; see the head of this module."""

    blocking = True

    def __init__(self, coordinator: Coordinator, where: str, *, leadership: Leadership | None = None) -> None:
        self.where = where
        self._coordinator = coordinator
        self._conditions = {} if leadership is None else {LEADER: leadership.version}
        self._lock = threading.RLock()  # a commit may still run in its thread when the actor is stopped
        self._head = Head()
        self._version = ABSENT  # of the key `head`
        self._is_wanted = self._is_open = False
        self._fenced = ""  # why, once it is
        self._attempts: dict[
            int, Callable[[], None]
        ] = {}  # of unknown outcome: what follows from each, if it was applied
        self._stored: tuple[Change, ...] = ()  # by a batch of which the caller was told that it had failed
        self._batches = 0
        self._index: Index | None = None  # read with the first need
        self._groups: dict[int, Group] = {}  # by the number of their first segment, oldest first
        self._total = 0  # bytes of all groups
        self._void: list[int] = []  # segments that no longer count, or never did, and are to be deleted

    # --- Backend ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the log over from whoever had it (StorageError: the servers are away, or what they have cannot be read).

        If they were away, whatever is called next tries again.
        """
        with self._lock:
            self._is_wanted = True
            try:
                self._coordinator.open()
                found = self._coordinator.get(HEAD)
                head = Head() if found is None else self._unsealed(HEAD, found.value, Head)
                self._version = ABSENT if found is None else found.version
                self._head = replace(head, epoch=head.epoch + 1, writer=secrets.randbits(63))
                self._batches = 0
                self._attempts.clear()
                self._put(self._head)
                self._is_open = True
            except BaseException:
                self._coordinator.close()
                raise

    def load(self, key: str | None = None) -> tuple[Record, ...]:
        """As `Backend.load`."""
        with self._lock:
            if key is None:
                self._ready()
                return self._read()
            index = self._indexed()
            found: list[Record] = []
            for group, rows in itertools.groupby(index.of_key(key), key=lambda row: row[1]):
                wanted = {kind for kind, _ in rows}
                puts = self._content(group).puts
                found += [
                    Record(kind, key, value) for kind, of, value, _ in puts if of == key and kind in wanted
                ]
            return tuple(found)

    def part(self, after: int) -> tuple[tuple[Record, ...], int]:
        """As `Backend.part`: the log is read as a whole, as any of it may be out of date."""
        assert not after
        return self.load(), 0

    def commit(self, changes: Sequence[Change]) -> None:
        """As `Backend.commit` (FencedError: another process leads, and no commit of this one will ever succeed)."""
        with self._lock:
            index = self._indexed()
            accepted, stored = tuple(changes), self._stored
            if not all(map(operator.is_, stored, accepted)) or len(stored) > len(accepted):
                stored = ()
            # What a batch that seemed to fail has stored is not stored twice: the order could be another one.
            content, cleared, growth = _folded(accepted[len(stored) :], index)
            self._write(content, cleared=cleared, growth=growth, accepted=accepted)
            self._stored = ()
            try:
                self._tidy()
            except StorageError as error:  # what was asked for is stored, and the next commit finds out
                logger.debug("%s: not cleaned: %s", self.where, error)

    def close(self, last: Sequence[Change] = ()) -> None:
        """As `Backend.close`."""
        with self._lock:
            try:
                if last:
                    self.commit(last)
            finally:
                self._is_open = self._is_wanted = False
                self._index = None
                self._coordinator.close()

    # --- reading ----------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Find out what has become of the last attempts."""
        if self._fenced:
            raise FencedError(self._fenced)
        if not self._is_wanted:
            raise StorageError(f"{self.where} is not open")
        if not self._is_open:
            self.open()
        if self._attempts:
            self._settle()

    def _indexed(self) -> "Index":
        self._ready()
        if self._index is None:
            self._read()
        assert self._index is not None
        return self._index

    def _read(self) -> tuple[Record, ...]:
        """Read the whole log, and learn what is alive and where it is."""
        newest: dict[Name, tuple[int, bytes, int]] = {}
        groups: dict[int, Group] = {}
        void: list[int] = []
        pieces: list[tuple[int, Segment]] = []
        found = 0
        for name, sealed in self._coordinator.scan(LOG):
            sequence = _sequence(name)
            if sequence < self._head.first:
                void.append(sequence)
                continue
            found += 1
            segment = self._unsealed(name, sealed, Segment)
            if pieces and pieces[0][0] != segment.first:
                void += [number for number, _ in pieces]  # written by one that died before the last
                pieces.clear()
            if not pieces and sequence != segment.first:
                void.append(sequence)  # of a group that is partly deleted
                continue
            pieces.append((sequence, segment))
            if segment.last:
                first = pieces[0][0]
                data = self._joined(first, [piece for _, piece in pieces])
                groups[first] = Group(len(pieces), len(data), data if len(data) < SMALL else None)
                pieces.clear()
                content = self._decoded(first, data)
                for deleted in content.deletes:
                    newest.pop(deleted, None)
                for kind, key, value, number in content.puts:
                    newest[sys.intern(kind), sys.intern(key)] = (number, value, first)
        void += [number for number, _ in pieces]
        if found != self._head.segments:
            self._damaged(f"{self._head.segments} segments of its log should be there, and {found} are")
        self._groups, self._void = groups, void
        self._total = sum(group.size for group in groups.values())
        ordered = sorted((number, name, value, group) for name, (number, value, group) in newest.items())
        self._index = Index(
            [(*name, number, group, _size(*name, value)) for number, name, value, group in ordered]
        )
        return tuple(Record(*name, value) for _, name, value, _ in ordered)

    def _content(self, first: int) -> Content:
        group = self._groups[first]
        if group.data is not None:
            return self._decoded(first, group.data)
        pieces = []
        for sequence in range(first, first + group.pieces):
            found = self._coordinator.get(_key(sequence))
            if found is None:
                self._damaged(f"{_key(sequence)} is missing")
            pieces.append(self._unsealed(_key(sequence), found.value, Segment))
        return self._decoded(first, self._joined(first, pieces))

    def _joined(self, first: int, pieces: Sequence[Segment]) -> bytes:
        data = b"".join(piece.data for piece in pieces)
        try:
            return zlib.decompress(data) if pieces[0].deflated else data
        except zlib.error as error:
            self._damaged(f"{_key(first)} cannot be what was stored ({error})")

    def _decoded(self, first: int, data: bytes) -> Content:
        try:
            return msgspec.msgpack.decode(data, type=Content)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self._damaged(f"{_key(first)} cannot be what was stored ({error})")

    def _unsealed(self, key: str, sealed: bytes, kind: type[T]) -> T:
        layout = sealed[0] if sealed else 0
        if zlib.crc32(sealed[:1] + sealed[5:]) != int.from_bytes(sealed[1:5], "big") or not layout:
            self._damaged(f"{key} cannot be what was stored (by its checksum)")
        if layout > LAYOUT:
            raise DamagedError(
                f"{self.where} was written by a newer version (layout {layout}, this one knows {LAYOUT}): "
                "use that version, or give this framework another [store] url"
            )
        try:
            return msgspec.msgpack.decode(memoryview(sealed)[5:], type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self._damaged(f"{key} cannot be what was stored ({error})")

    def _damaged(self, what: str) -> NoReturn:
        raise DamagedError(
            f"{self.where} is damaged: {what}; restore the servers from a backup, or give this framework another [store] url to "
            "begin as a new one"
        )

    # --- writing ----------------------------------------------------------------------------------------------

    def _write(
        self,
        content: Content,
        *,
        cleared: ClearStore | None = None,
        replaced: Sequence[int] = (),
        growth: int = 0,
        accepted: tuple[Change, ...] = (),
    ) -> None:
        """Write a group, and delete those that it replaces."""
        first = self._head.sequence + 1
        void = [number for group in replaced for number in self._pieces(group)]
        data = msgspec.msgpack.encode(content) if content.puts or content.deletes else b""
        deflated = len(data) > WORTH_DEFLATING
        stored = zlib.compress(data, 1) if deflated else data
        room = self._coordinator.largest - FRAME
        pieces = [
            Segment(
                self._head.epoch, first, start + room >= len(stored), deflated, stored[start : start + room]
            )
            for start in range(0, len(stored), room)
        ]
        for number, segment in enumerate(pieces[:-1]):
            self._append(segment, partial(self._void_too, first + number))

        def applied() -> None:
            if cleared is not None:
                self._forget()
            for group in replaced:
                self._total -= self._groups.pop(group).size
            if pieces:
                self._void = [sequence for sequence in self._void if sequence < first]
                self._groups[first] = Group(len(pieces), len(data), data if len(data) < SMALL else None)
                self._total += len(data)
            assert self._index is not None
            self._index.apply(content, first, growth)
            self._stored = accepted

        self._append(pieces[-1] if pieces else None, applied, cleared=cleared, deletes=void)

    def _void_too(self, *sequences: int) -> None:
        self._void += sequences

    def _append(
        self,
        segment: Segment | None,
        applied: Callable[[], None],
        *,
        cleared: ClearStore | None = None,
        deletes: Sequence[int] = (),
    ) -> None:
        """Write one batch: the segment, the head, and the deletion of what no longer counts."""
        head = self._head
        first = head.sequence + 1
        # What this group itself has written already is void as well, until its last piece is there.
        stale = [number for number in self._void if segment is None or number < segment.first]
        every = [*deletes, *stale]
        void, later = every[:DELETES], every[DELETES : len(deletes)]
        counted = sum(number >= head.first for number in void)
        head = replace(
            head,
            sequence=head.sequence + (segment is not None),
            segments=head.segments + (segment is not None) - counted,
        )
        if cleared is not None:
            begun = head.sequence + 1 if segment is None else segment.first
            head = replace(
                head,
                first=begun,
                segments=head.sequence + 1 - begun,
            )

        def then() -> None:
            gone = frozenset(void)
            self._void = [*(number for number in self._void if number not in gone), *later]
            applied()

        puts = {} if segment is None else {_key(first): _sealed(segment)}
        if cleared is not None and cleared.outcome is not None:
            puts[ENDED] = pack_value(cleared.outcome)
        self._put(head, puts, tuple(map(_key, void)), then)

    def _put(
        self,
        head: Head,
        puts: dict[str, bytes] | None = None,
        deletes: tuple[str, ...] = (),
        applied: Callable[[], None] = lambda: None,
    ) -> None:
        self._batches += 1
        head = replace(head, batches=self._batches)

        def then() -> None:
            self._head = head
            self._attempts.clear()
            applied()

        conditions = {HEAD: self._version, **self._conditions}
        batch = Batch(conditions, {HEAD: _sealed(head), **(puts or {})}, deletes)
        self._attempts[self._batches] = then
        try:
            versions = self._coordinator.commit(batch)
        except ConflictError:
            self._settle()
            raise StorageError(f"{self.where}: an earlier request has arrived late; trying again") from None
        self._version = versions[HEAD]
        then()

    def _settle(self) -> None:
        """Learn from the head whether an attempt was applied, or another process leads (FencedError)."""
        found = self._coordinator.get(HEAD)
        head = None if found is None else self._unsealed(HEAD, found.value, Head)
        leader = self._coordinator.get(LEADER) if self._conditions else None
        if self._conditions and (leader is None or leader.version != self._conditions[LEADER]):
            self._replaced("this process no longer leads", head)
        if found is None or head is None or head.writer != self._head.writer:
            self._replaced("another process has taken over", head)
        if found.version != self._version:
            self._version = found.version
            self._attempts[head.batches]()

    def _replaced(self, why: str, head: Head | None) -> NoReturn:
        epochs = f"epoch {self._head.epoch}" + ("" if head is None else f", now {head.epoch}")
        self._fenced = f"{self.where}: {why} ({epochs}); nothing of this one is stored any more"
        raise FencedError(self._fenced)

    # --- cleaning ---------------------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Keep the log short: in number of segments, and in bytes. Each step writes no more than the servers take at once."""
        index = self._indexed()
        if not self._groups:
            while self._void:  # cleared, perhaps for ever
                self._append(None, lambda: None)
        limit = self._coordinator.largest // 2
        small = [first for first, group in self._groups.items() if group.size < SMALL]
        if len(small) > MANY:
            self._again(self._some(small, limit))
        for _ in range(3):
            if self._total > 2 * index.alive + SLACK:
                self._again(self._some(self._groups, limit))

    def _some(self, chosen: Iterable[int], limit: int) -> list[int]:
        """Return the first of these groups: at least one, and no more than a batch can delete or write."""
        some: list[int] = []
        size = pieces = 0
        for first in chosen:
            group = self._groups[first]
            size += group.size
            pieces += group.pieces
            if some and (size > limit or pieces > MANY):
                break
            some.append(first)
        return some

    def _again(self, chosen: Sequence[int]) -> None:
        """Write again, at the end of the log, what is alive in these groups."""
        index = self._indexed()
        puts: list[tuple[str, str, bytes, int]] = []
        deletes: dict[Name, None] = {}
        oldest = iter(self._groups)
        needed = False  # whether an older group may hold what a deletion has deleted
        for first in chosen:
            needed = needed or next(oldest) != first
            content = self._content(first)
            for put in content.puts:
                known = index.of(put[:2])
                if known is not None and known.group == first:
                    puts.append(put)
            if needed:
                deletes.update((name, None) for name in content.deletes if index.of(name) is None)
        self._write(Content(puts, list(deletes)), replaced=chosen)

    def _forget(self) -> None:
        self._void += [number for group in self._groups for number in self._pieces(group)]
        self._groups.clear()
        self._total = 0
        assert self._index is not None
        self._index.clear()

    def _pieces(self, group: int) -> range:
        return range(group, group + self._groups[group].pieces)


class Known(NamedTuple):
    """What is known of a record without reading it."""

    number: int  # its place in the order
    group: int  # where its newest value is
    size: int


class Index:
    """Which records there are, in which order, and in which group each is: some 60 bytes for each, without its value."""

    def __init__(self, rows: Sequence[tuple[str, str, int, int, int]]) -> None:
        self._rows = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._rows.execute(
            "CREATE TABLE live (key TEXT, kind TEXT, number INTEGER, grp INTEGER, size INTEGER, PRIMARY KEY (key, kind)) "
            "WITHOUT ROWID"
        )
        self.clear()
        self._rows.execute("BEGIN")
        self._put(rows)
        self._rows.execute("COMMIT")
        self.alive = sum(row[4] for row in rows)
        self.last = max((row[2] for row in rows), default=0)

    def clear(self) -> None:
        """Forget all."""
        self._rows.execute("DELETE FROM live")
        self.alive = 0  # bytes of all records
        self.last = 0  # the highest number given

    def of(self, name: Name) -> Known | None:
        """Return what is known of a record, if there is one."""
        row = self._rows.execute(
            "SELECT number, grp, size FROM live WHERE key = ? AND kind = ?", (name[1], name[0])
        ).fetchone()
        return None if row is None else Known(*row)

    def of_key(self, key: str) -> list[tuple[str, int]]:
        """Return the kinds of records with that key, in their order, and where each is."""
        return self._rows.execute(
            "SELECT kind, grp FROM live WHERE key = ? ORDER BY number", (key,)
        ).fetchall()

    def apply(self, content: Content, group: int, growth: int) -> None:
        """Take in what has been written; `growth`: by how many bytes there is more alive than before."""
        self._rows.execute("BEGIN")
        self._rows.executemany("DELETE FROM live WHERE kind = ? AND key = ?", content.deletes)
        self._put(
            (kind, key, number, group, _size(kind, key, value)) for kind, key, value, number in content.puts
        )
        self._rows.execute("COMMIT")
        self.alive += growth
        self.last = max([self.last, *(put[3] for put in content.puts)])

    def _put(self, rows: Iterable[tuple[str, str, int, int, int]]) -> None:
        self._rows.executemany(
            "INSERT OR REPLACE INTO live (kind, key, number, grp, size) VALUES (?, ?, ?, ?, ?)", rows
        )


def _folded(changes: Sequence[Change], index: Index) -> tuple[Content, ClearStore | None, int]:
    """Return what all these changes come to, whether they begin with an end, and how many bytes more are alive then."""
    cleared: ClearStore | None = None
    puts: dict[Name, bytes] = {}
    gone: dict[Name, None] = {}
    for change in changes:
        if isinstance(change, ClearStore):
            cleared = change
            puts.clear()
            gone.clear()
            continue
        for record in change.records:
            puts[record.kind, record.key] = record.value
        for name in change.deletes:
            puts.pop(name, None)
            gone[name] = None
    growth = 0  # what is cleared is no longer counted by then
    numbers = itertools.count(1 if cleared is not None else index.last + 1)
    known = {} if cleared is not None else {name: index.of(name) for name in {**gone, **puts}}
    growth -= sum(each.size for each in known.values() if each is not None)
    numbered = []
    for name, value in puts.items():
        before = None if name in gone else known.get(name)
        numbered.append((*name, value, next(numbers) if before is None else before.number))
        growth += _size(*name, value)
    deletes = [name for name in gone if name not in puts and known.get(name) is not None]
    return Content(numbered, deletes), cleared, growth


def _size(kind: str, key: str, value: bytes) -> int:
    return len(kind) + len(key) + len(value)


def _sealed(value: Head | Segment) -> bytes:
    packed = msgspec.msgpack.encode(value)
    layout = bytes((LAYOUT,))
    return layout + zlib.crc32(packed, zlib.crc32(layout)).to_bytes(4, "big") + packed


def _key(sequence: int) -> str:
    return f"{LOG}{sequence:016d}"


def _sequence(key: str) -> int:
    return int(key.removeprefix(LOG))
