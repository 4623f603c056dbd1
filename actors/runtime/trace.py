"""The trace log, written and read: every message of a system, in an append-only msgpack file.

The file is a header `["mesostic-trace", 1, system, unix time]` and then one array per record; ids of the system's own messages are
numbers there. Records are written by size or when the system says so (twice a second, and at its end): a crash loses what came
since, and leaves at worst a torn last record, which readers take as the end. Reading needs none of the messages' classes.
"""

import contextlib
import glob
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Protocol, Self

import msgpack
import msgspec

from actors.runtime.codec.envelope import unpack_payload
from actors.runtime.errors import TraceError

logger = logging.getLogger("actors")

MAGIC = "mesostic-trace"
VERSION = 1
KINDS = ("message", "reply", "dead_letter", "started", "stopped", "failed", "timer")
FLUSH_BYTES = 64 * 1024
CHUNK = 256 * 1024
MAX_RECORD = 128 * 1024 * 1024
POLL_SECONDS = 0.2

_encode = msgspec.msgpack.Encoder().encode
_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}

Note = tuple[float, str, str, str, str, int | str, int | str, bytes | None]
"""Time, kind, sender, receiver, type, id, cause and payload of a record."""


class TraceSink(Protocol):
    """Where records go: a `TraceWriter`, or a list's wrapper in a test."""

    payloads: bool

    def write(self, *note: *Note) -> None:
        """Note one record."""

    def flush(self) -> None:
        """Bring what was noted to where it is safe."""

    def close(self) -> None:
        """Flush; nothing more will be noted."""


class TraceWriter:
    """Writes the trace of one system, which flushes it and closes it when it stops.

    A trace must never harm what it traces: if the disk fails, that is logged once, and no more is written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        system_name: str,
        payloads: bool = True,
        *,
        max_size: int = 0,
        keep: int = 0,
        buffer: int = FLUSH_BYTES,
    ) -> None:
        """Start a new log at `path`; what was there, and the older files of it, is overwritten. OSError if it cannot be written.

        Args:
            path: the file; its folder must exist.
            system_name: what the ids in the log are made of.
            payloads: whether to note what messages hold, or only that they were sent.
            max_size: bytes after which the file becomes `path.1` (that one `path.2`, and so on) and another is begun; 0: never.
            keep: how many such older files there may be.
            buffer: bytes that are collected before they are written; 0: each record at once, so that a crash loses none.
        """
        self.path = Path(path)
        self.system_name = system_name
        self.payloads = payloads
        self.records = 0
        self._max_size = max_size
        self._keep = keep
        self._collected = buffer
        self._size = 0
        self._pack = msgpack.Packer(unicode_errors="surrogatepass").pack
        for older in older_files(self.path):
            older.unlink()
        self._buffer = bytearray()
        self._begin()

    def _begin(self) -> None:
        """Open the file, and put the header in front of what was collected."""
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # somebody else's file, which we may write
            os.fchmod(self._file, 0o600)
        self._size = 0
        self._buffer[:0] = self._pack([MAGIC, VERSION, self.system_name, time.time()])
        self.flush()

    def _rotate(self) -> None:
        """Make this file an older one, and begin another."""
        os.close(self._file)
        self._file = -1
        older = older_files(self.path)
        dropped = max(0, len(older) - self._keep + 1)
        for file in older[:dropped]:
            file.unlink()
        for file in older[dropped:]:
            file.rename(_numbered(self.path, int(file.suffix[1:]) + 1))
        if self._keep:
            self.path.rename(_numbered(self.path, 1))
        self._begin()

    def write(self, *note: *Note) -> None:
        """Note one record; see `TraceRecord` for what the parts mean."""
        self.records += 1
        at, kind, *rest = note
        record = (self.records, at, _NUMBERS[kind], *rest)
        try:
            self._buffer += _encode(record)
        except UnicodeEncodeError:
            self._buffer += self._pack(record)
        if len(self._buffer) >= self._collected:
            self.flush()

    def flush(self) -> None:
        """Write what was collected to the file."""
        buffer = self._buffer
        if not buffer:
            return
        if self._file >= 0:
            try:
                if self._max_size and self._size and self._size + len(buffer) > self._max_size:
                    self._rotate()
                    return
                written = 0
                while written < len(buffer):
                    written += os.write(self._file, memoryview(buffer)[written:])
                self._size += written
            except OSError as error:
                says = "the trace ends here: %s: %s; everything else continues"
                logger.error(says, self.path, error.strerror or error)
                self._shut()
        self._buffer = bytearray()

    def close(self) -> None:
        """Flush and close; what is noted later is dropped."""
        self.flush()
        self._shut()

    def _shut(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def older_files(path: Path) -> list[Path]:
    """The files that a log has filled before the present one, oldest first."""
    found = [file for file in path.parent.glob(f"{glob.escape(path.name)}.*") if file.suffix[1:].isdecimal()]
    return sorted(found, key=lambda file: -int(file.suffix[1:]))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One thing that happened in a system, at `time` (seconds since 1970). `seq` counts from 1, `kind` is one of `KINDS`.

    Attributes:
        sender: the actor it came from; empty if from outside. For started and stopped, the parent.
        receiver: the actor it was for, or is about. For a reply, the asker; empty if outside.
        type: the message's type; for started and stopped the actor's class, for failed the error's.
        id: `<system>#<number>`, unique over the processes of a framework.
        cause: the id of the message whose handling sent this one; for a reply, of the message it answers. May be empty.
        payload: the message's content, packed; None if the log was written without.
    """

    seq: int
    time: float
    system: str
    kind: str
    sender: str
    receiver: str
    type: str
    id: str
    cause: str
    payload: bytes | None

    def content(self) -> Any:
        """The payload as plain values (a dict from field to value, for a message); DecodeError if it is damaged."""
        return None if self.payload is None else unpack_payload(self.payload)


def read_trace(
    path: str | os.PathLike[str], *, follow: bool = False, poll: float = POLL_SECONDS
) -> Iterator[TraceRecord]:
    """The records of a log, in order; up to its end where that is torn (its writer crashed, or still writes).

    With `follow`, what is written later too, looking each `poll` seconds until the iterator is closed; a log that is started again is
    read again. TraceError if it is not a trace, is of another version, or is damaged in the middle.
    """
    path = Path(path)
    while True:
        with path.open("rb") as file:
            yield from _read_run(path, file, follow, poll)
        if not follow:
            return


def _read_run(path: Path, file: BinaryIO, follow: bool, poll: float) -> Iterator[TraceRecord]:
    unpacker = msgpack.Unpacker(
        max_buffer_size=MAX_RECORD, unicode_errors="surrogatepass", strict_map_key=False
    )
    system = ""
    start = 0
    fed = 0
    while True:
        data = file.read(CHUNK)
        if not data:
            if not follow:
                if not system and fed:
                    _check_beginning(path, fed)
                return
            over = _began_again(path, file, fed)
            data = file.read(CHUNK)  # what was written to it at last
            if not data and over:
                return
            if not data:
                time.sleep(poll)
        fed += len(data)
        unpacker.feed(data)
        while True:
            try:
                parts = unpacker.unpack()
            except msgpack.OutOfData:
                break
            except Exception as error:
                raise _damaged(path, start, "no msgpack") from error
            if not system:
                system = _system_of(path, parts)
            else:
                yield _record(path, start, system, parts)
            start = unpacker.tell()


def _began_again(path: Path, file: BinaryIO, fed: int) -> bool:
    """Whether another file has taken this one's place, or it was emptied."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return False  # it is just being replaced
    return now.st_ino != os.fstat(file.fileno()).st_ino or now.st_size < fed


def _check_beginning(path: Path, size: int) -> None:
    """There are bytes, but not even a header: a log that was torn at once, or another kind of file."""
    expected = bytes([0x94, 0xA0 | len(MAGIC)]) + MAGIC.encode()
    with path.open("rb") as file:
        head = file.read(len(expected))
    if not expected.startswith(head):
        raise TraceError(f"{path} is not a trace ({size} bytes of something else)")


def _system_of(path: Path, parts: Any) -> str:
    if type(parts) is not list or len(parts) != 4 or parts[0] != MAGIC:
        raise TraceError(f"{path} is not a trace: it does not begin with {MAGIC!r}")
    if parts[1] != VERSION:
        raise TraceError(f"{path} is a trace of version {parts[1]!r:.20}; only {VERSION} can be read")
    if type(parts[2]) is not str:
        raise TraceError(f"{path} is not a trace: its header names no system")
    return parts[2] or "?"


_Kind = Annotated[int, msgspec.Meta(ge=0, lt=len(KINDS))]
_Parts = tuple[int, float, _Kind, str, str, str, int | str, int | str, bytes | None]


def _record(path: Path, start: int, system: str, parts: Any) -> TraceRecord:
    try:
        seq, at, kind, sender, receiver, type_, id_, cause, payload = msgspec.convert(parts, _Parts)
        if type(parts[1]) is not float:
            raise TypeError
    except (TypeError, msgspec.ValidationError):
        raise _damaged(path, start, "no record") from None
    return record(seq, system, at, KINDS[kind], sender, receiver, type_, id_, cause, payload)


def record(seq: int, system: str, /, *note: *Note) -> TraceRecord:
    """What was noted, for readers: ids of the system's own messages are its name and a number."""
    at, kind, sender, receiver, type_, *ids, payload = note
    id_, cause = (f"{system}#{number}" if isinstance(number, int) else number for number in ids)
    return TraceRecord(seq, at, system, kind, sender, receiver, type_, id_, cause, payload)


def _damaged(path: Path, start: int, what: str) -> TraceError:
    return TraceError(
        f"{path} is damaged at byte {start}: {what} begins there; the records before it are good"
    )
