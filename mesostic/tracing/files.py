"""From the name of a trace file to the records of the whole run, in order of time."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from actors.runtime import TraceError, TraceRecord, older_files, read_trace
from mesostic.errors import MesosticError

_LOOK_AGAIN = 0.5


def with_executors(files: Iterable[Path]) -> list[Path]:
    """The files, before each the older ones of it (`FILE.1`, …), and beside it its executors' (`FILE.executors/*.trace`).

    Raises:
        MesosticError: a file is not there.
    """
    found: list[Path] = []
    for file in files:
        if not file.exists():
            raise MesosticError(f"{file} does not exist; a run writes it when it is given --trace {file}.")
        if file.is_dir():
            raise MesosticError(f"{file} is a folder; name the trace file.")
        found += [*older_files(file), file, *executors_of(file)]
    return list(dict.fromkeys(found))


def executors_of(file: Path) -> list[Path]:
    """The traces of the executors that belong to a scheduler's trace."""
    return sorted(file.with_name(file.name + ".executors").glob("*.trace"))


def read_all(files: Iterable[Path]) -> Iterator[TraceRecord]:
    """The records of all the files, in order of time; within a file in its own order.

    Raises:
        MesosticError: a file is not a trace.
    """
    yield from heapq.merge(*(_read(file) for file in with_executors(files)), key=lambda record: record.time)


def follow(files: Iterable[Path]) -> Iterator[TraceRecord]:
    """As `read_all`, and then, forever, what is added, also by executors that come later; in order of arrival."""
    files = list(files)
    with_executors(files)  # complains early
    records: queue.SimpleQueue[TraceRecord | MesosticError] = queue.SimpleQueue()
    followed: set[Path] = set()
    next_look = 0.0
    while True:
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _LOOK_AGAIN
            for file in with_executors(files):
                if file not in followed:
                    followed.add(file)
                    threading.Thread(target=_follow_one, args=(file, records), daemon=True).start()
        try:
            record = records.get(timeout=_LOOK_AGAIN)
        except queue.Empty:
            continue
        if isinstance(record, MesosticError):
            raise record
        yield record


def _follow_one(file: Path, records: queue.SimpleQueue[TraceRecord | MesosticError]) -> None:
    try:
        for record in _read(file, follow=not file.suffix[1:].isdecimal()):
            records.put(record)
    except MesosticError as error:
        records.put(error)


def _read(file: Path, *, follow: bool = False) -> Iterator[TraceRecord]:
    try:
        yield from read_trace(file, follow=follow)
    except TraceError as error:
        raise MesosticError(f"{error}.") from None
    except OSError as error:
        raise MesosticError(f"{file} cannot be read: {error.strerror}.") from None
