"""The checkpoint: what an agent must remember to take its executors and updates up again after it was killed.

One append-only file of msgpack records under `meta/`, written as things happen and read once at the start; a record
that was cut off by a crash ends the reading. It is written again, without what is over, when the agent recovers. What
survives is an agent killed at any moment; a machine that loses power may lose the last records (nothing is fsynced), as
everything that could be recovered is gone with it.

Only frameworks with `checkpoint: true` have records here, and the agent's own id, resources and operations.
"""

import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any, Final

import msgpack

# What a record is, by its first element; the rest are its arguments, in the order of the `Ledger` method's.
AGENT: Final = "agent"
RESOURCES: Final = "resources"
FRAMEWORK: Final = "framework"
EXECUTOR: Final = "executor"
STARTED: Final = "started"
TASK: Final = "task"
UPDATE: Final = "update"
ACKNOWLEDGED: Final = "acknowledged"
EXITED: Final = "exited"
FRAMEWORK_GONE: Final = "framework gone"
OPERATION: Final = "operation"
OPERATION_ACKNOWLEDGED: Final = "operation acknowledged"
DRAIN: Final = "drain"

Record = tuple[Any, ...]


class Ledger:
    """The file, open for appending from the first record on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger"
        self._file: FileIO | None = None

    def read(self) -> Iterator[Record]:
        """The records of an agent before this one; none if there was none."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=len(data) or 1)
        unpacker.feed(data)
        try:
            for record in unpacker:
                if not isinstance(record, tuple) or not record or not isinstance(record[0], str):
                    return
                yield record
        except (msgpack.UnpackException, ValueError):
            return

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace the file by these records, all at once."""
        self.close()
        fresh = self._path.with_suffix(".new")
        with self._open(fresh, "wb") as out:
            for record in records:
                out.write(msgpack.packb(record))
        fresh.replace(self._path)

    def write(self, *record: Any) -> None:
        """Append one record; it is with the operating system when this returns."""
        if self._file is None:
            self._file = self._open(self._path, "ab")
        self._file.write(msgpack.packb(record))

    def _open(self, path: Path, mode: str) -> FileIO:
        """Open a file for its owner alone: it holds commands, environments and tokens."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))
        os.fchmod(file.fileno(), 0o600)
        return file

    def forget(self) -> None:
        """The agent does not come back: nothing is to be recovered."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
