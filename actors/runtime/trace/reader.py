"""The trace log's reader. Needs none of the classes whose messages it reads, so that any tool can show any trace."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgpack
import msgspec

from actors.runtime.codec.envelope import unpack_payload
from actors.runtime.errors import TraceError
from actors.runtime.trace.writer import KINDS, MAGIC, VERSION

CHUNK = 256 * 1024
MAX_RECORD = 128 * 1024 * 1024
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One thing that happened in a system.

    Attributes:
        seq: its number in the log, from 1.
        time: seconds since 1970.
        system: the system's name.
        kind: message, timer (a message that a timer sent), reply, dead_letter, started, stopped or failed.
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
        """The payload as plain values (a dict from field to value, for a message); None if there is none.

        Raises:
            DecodeError: it is damaged.
        """
        return None if self.payload is None else unpack_payload(self.payload)


def read_trace(
    path: str | os.PathLike[str], *, follow: bool = False, poll: float = POLL_SECONDS
) -> Iterator[TraceRecord]:
    """The records of a log, in order.

    A log whose end is torn (its writer crashed, or still writes) is read up to there.

    Args:
        path: the log.
        follow: go on with what is written later, until the iterator is closed; a log that is started again is read again.
        poll: with `follow`, seconds between looks at the file.

    Raises:
        TraceError: it is not a trace, is of another version, or is damaged in the middle.
        OSError: it cannot be read.
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
            if not system and fed:
                _check_beginning(path, fed, follow)
            if not follow:
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


def _check_beginning(path: Path, size: int, follow: bool) -> None:
    """There are bytes, but not even a header: a log that was torn at once, or another kind of file."""
    if not follow:
        with path.open("rb") as file:
            head = file.read(2 + len(MAGIC))
        expected = bytes([0x94, 0xA0 | len(MAGIC)]) + MAGIC.encode()
        if not expected.startswith(head[: len(expected)]):
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
    id_, cause = (f"{system}#{number}" if isinstance(number, int) else number for number in (id_, cause))
    return TraceRecord(seq, at, system, KINDS[kind], sender, receiver, type_, id_, cause, payload)


def _damaged(path: Path, start: int, what: str) -> TraceError:
    return TraceError(
        f"{path} is damaged at byte {start}: {what} begins there; the records before it are good"
    )
