"""The trace log's writer: every message of a system, in an append-only msgpack file.

The file is a header `["mesostic-trace", 1, system, unix time]` and then one array a record, in the order of
`trace_reader.TraceRecord`. Ids of the system's own messages are numbers, to keep it compact. Records are collected and written
at once, by size or when the system says so (twice a second, and at its end): a crash loses what was collected since, and
leaves at worst a torn last record, which readers take as the end.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import time as wall
from pathlib import Path
from types import TracebackType
from typing import Self

import msgpack

__all__ = ["KINDS", "MAGIC", "VERSION", "TraceWriter", "older_files"]

logger = logging.getLogger("actors")

MAGIC = "mesostic-trace"
VERSION = 1
KINDS = ("message", "reply", "dead_letter", "started", "stopped", "failed", "timer")
FLUSH_BYTES = 64 * 1024

_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}


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

    def write(  # noqa: PLR0917 - called for every message: by position is faster
        self,
        time: float,
        kind: str,
        sender: str,
        receiver: str,
        type_: str,
        id_: int | str,
        cause: int | str,
        payload: bytes | None,
    ) -> None:
        """Note one record; see `TraceRecord` for what the parts mean."""
        self.records += 1
        self._buffer += self._pack(
            (self.records, time, _NUMBERS[kind], sender, receiver, type_, id_, cause, payload)
        )
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
