"""What is noted in a trace, and its writer: every message of a system, in an append-only msgpack file.

The file is a header `["mesostic-trace", 1, system, unix time]` and then one array a record, in the order of
`reader.TraceRecord`. Ids of the system's own messages are numbers, to keep it compact. Records are collected and written
at once, by size or when the system says so (twice a second, and at its end): a crash loses what was collected since, and
leaves at worst a torn last record, which readers take as the end.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import time as wall
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import msgpack

from actors.runtime.clock import Clock
from actors.runtime.codec.envelope import payload_of, trace_type
from actors.runtime.codec.shapes import wire_name
from actors.runtime.handlers import Control
from actors.runtime.ref import CAUSE, ID, MESSAGE, SENDER, ActorRef, Envelope

logger = logging.getLogger("actors")

Ref: TypeAlias = ActorRef[Any]

MAGIC = "mesostic-trace"
VERSION = 1
KINDS = ("message", "reply", "dead_letter", "started", "stopped", "failed", "timer")
FLUSH_BYTES = 64 * 1024

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


class Tracing:
    """Makes the records of one system. Control messages are not traced: `started` and `stopped` say it better."""

    def __init__(self, sink: TraceSink, clock: Clock, next_id: Callable[[], int]) -> None:
        self._write = sink.write
        self._payload_of = payload_of if sink.payloads else lambda _: None
        self._time = clock.time
        self._next_id = next_id

    def delivery(self, ref: Ref | str, envelope: Envelope, kind: str = "") -> None:
        """A message is about to be handled."""
        message, sender, _, id_, cause, sent_as = envelope
        self._write(
            self._time(),
            kind or sent_as,
            "" if sender is None else sender._name,
            ref if isinstance(ref, str) else ref._name,
            trace_type(message),
            id_ or "",
            cause or "",
            self._payload_of(message),
        )

    def dead_letter(self, ref: Ref | str, envelope: Envelope) -> None:
        """A message was not handled."""
        if not isinstance(envelope[MESSAGE], Control):
            self.delivery(ref, envelope, "dead_letter")

    def reply(self, ref: Ref, envelope: Envelope, value: Any) -> None:
        """An ask was answered."""
        asker = "" if envelope[SENDER] is None else envelope[SENDER]._name
        self._note("reply", ref._name, asker, trace_type(value), envelope, self._payload_of(value))

    def started(self, ref: Ref, envelope: Envelope) -> None:
        """An actor, or another instance after a restart, started. What it sends in `on_start` has this as its cause."""
        id_, cause = envelope[ID] or self._next_id(), envelope[CAUSE] or ""
        self._write(
            self._time(), "started", _parent_of(ref), ref._name, wire_name(ref.actor_class), id_, cause, None
        )

    def ended(self, ref: Ref, cause: Envelope | None) -> None:
        """An actor stopped, because of the message `cause` if that is known."""
        self._note("stopped", _parent_of(ref), ref._name, wire_name(ref.actor_class), cause, None)

    def failed(self, ref: Ref, cause: Envelope | None, error: BaseException) -> None:
        """An actor failed; the type is the error's, the payload its text."""
        self._note("failed", "", ref._name, type(error).__qualname__, cause, self._payload_of(error))

    def _note(  # noqa: PLR0917 - as in a record
        self, kind: str, sender: str, receiver: str, type_: str, cause: Envelope | None, payload: bytes | None
    ) -> None:
        cause_id = "" if cause is None else cause[ID] or ""
        self._write(self._time(), kind, sender, receiver, type_, self._next_id(), cause_id, payload)


def _parent_of(ref: Ref) -> str:
    return "" if ref._parent is None else ref._parent._name


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
    ) -> None:
        """Start a new log at `path`; what was there, and the older files of it, is overwritten.

        Args:
            path: the file; its folder must exist.
            system_name: that of the system: the ids in the log are made of it.
            payloads: whether to note what messages hold, or only that they were sent.
            max_size: bytes after which the file becomes `path.1` (that one `path.2`, and so on) and another is begun; 0: never.
            keep: how many such older files there may be.

        Raises:
            OSError: the file cannot be written.
        """
        self.path = Path(path)
        self.system_name = system_name
        self.payloads = payloads
        self.records = 0
        self._max_size = max_size
        self._keep = keep
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
        self._buffer[:0] = self._pack([MAGIC, VERSION, self.system_name, wall.time()])
        self.flush()

    def _rotate(self) -> None:
        """Make this file an older one, and begin another."""
        os.close(self._file)
        self._file = -1
        older = older_files(self.path)
        for file in older[: max(0, len(older) - self._keep + 1)]:
            file.unlink()
        for file in older[max(0, len(older) - self._keep + 1) :]:
            file.rename(_numbered(self.path, int(file.suffix[1:]) + 1))
        if self._keep:
            self.path.rename(_numbered(self.path, 1))
        self._begin()

    def write(self, *note: *Note) -> None:
        """Note one record; see `TraceRecord` for what the parts mean."""
        self.records += 1
        time, kind, *rest = note
        self._buffer += self._pack((self.records, time, _NUMBERS[kind], *rest))
        if len(self._buffer) >= FLUSH_BYTES:
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
                logger.error(
                    "the trace ends here: %s: %s; everything else continues",
                    self.path,
                    error.strerror or error,
                )
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def older_files(path: Path) -> list[Path]:
    """The files that a log has filled before the present one, oldest first."""
    found = [file for file in path.parent.glob(f"{glob.escape(path.name)}.*") if file.suffix[1:].isdecimal()]
    return sorted(found, key=lambda file: -int(file.suffix[1:]))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
