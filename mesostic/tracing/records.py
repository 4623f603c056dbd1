"""Records of a run: read from the traces of a scheduler and its executors, looked through, and chosen.

A payload is msgpack with field names, and is looked through without the classes that it was made from. Bytes in it may be one of
our envelopes or a serialized protobuf message (a TaskInfo in a demand, say); both are looked into, so that a URL is found wherever
it travels.
"""

import heapq
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgpack
from google.protobuf import empty_pb2
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from actors.runtime import TraceError, TraceRecord, older_files, read_trace, unpack_payload
from mesostic.errors import MesosticError

TASK = "task:"
_LOOK_AGAIN = 0.5
_MAX_DEPTH = 24
_LENGTH_DELIMITED = 2


def _with_executors(files: Iterable[Path]) -> list[Path]:
    """The files, each between its older ones (`FILE.1`, …) and those of its executors (`FILE.executors/*.trace`)."""
    found: list[Path] = []
    for file in files:
        if not file.exists():
            raise MesosticError(f"{file} does not exist; a run writes it when it is given --trace {file}.")
        if file.is_dir():
            raise MesosticError(f"{file} is a folder; name the trace file.")
        executors = sorted(file.with_name(f"{file.name}.executors").glob("*.trace"))
        found += [*older_files(file), file, *executors]
    return list(dict.fromkeys(found))


def read_all(files: Iterable[Path]) -> Iterator[TraceRecord]:
    """The records of all the files in order of time, or MesosticError: a file is not there, or is not a trace."""
    yield from heapq.merge(*(_read(file) for file in _with_executors(files)), key=lambda record: record.time)


def follow_all(files: Iterable[Path]) -> Iterator[TraceRecord]:
    """As `read_all`, and then, forever, what is added, also by executors that come later; in order of arrival."""
    files = list(files)
    records: queue.SimpleQueue[TraceRecord | MesosticError] = queue.SimpleQueue()
    followed: set[Path] = set()
    next_look = 0.0
    while True:
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _LOOK_AGAIN
            for file in _with_executors(files):
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


@lru_cache(maxsize=4096)
def _decoded(payload: bytes) -> Any:
    try:
        return unpack_payload(payload)
    except Exception:
        return payload


def contents(record: TraceRecord) -> Any:
    """The payload as plain values; None where the trace was written without payloads."""
    return None if record.payload is None else _decoded(record.payload)


def texts_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text inside of a value, those in packed messages and protobuf messages too."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield from _texts_in_bytes(value, depth)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str) and not key.isidentifier():
                yield key
            yield from texts_in(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item, depth + 1)


def mentions(record: TraceRecord, text: str) -> bool:
    """Whether a text with `text` in it is in the payload."""
    if record.payload is None or text.encode() not in record.payload:
        return False
    return any(text in found for found in texts_in(contents(record)))


def packed_message(data: bytes) -> tuple[str, Any] | None:
    """The type and the fields of a message in the envelope that ours travel in (five parts, version 1), if it is one."""
    if data[:2] != b"\x95\x01":
        return None
    try:
        parts = msgpack.unpackb(data)
        return str(parts[1]), parts[4]
    except Exception:
        return None


def _texts_in_bytes(data: bytes, depth: int) -> Iterator[str]:
    if len(data) < 2:
        return
    if (message := packed_message(data)) is not None:
        yield from texts_in(message[1], depth + 1)
    elif (fields := protobuf_fields(data)) is not None:
        for field in fields:  # text or a message (or both, by accident): both readings count
            text = _as_text(field)
            if text is not None:
                yield text
            if depth < _MAX_DEPTH and (text is None or len(text) != len(text.strip())):
                yield from _texts_in_bytes(field, depth + 1)
    elif (text := _as_text(data)) is not None:
        yield text


def _as_text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if text and all(char.isprintable() or char in "\n\t\r" for char in text) else None


def protobuf_fields(data: bytes) -> list[bytes] | None:
    """The length-delimited fields of a serialized message of any type, or None when the bytes are not one."""
    try:
        fields = UnknownFieldSet(empty_pb2.Empty.FromString(data))
        return [fields[at].data for at in range(len(fields)) if fields[at].wire_type == _LENGTH_DELIMITED]
    except DecodeError:
        return None


def as_json(value: Any) -> Any:
    """Plain values that `json` takes: bytes become text or hex."""
    if isinstance(value, bytes):
        text = _as_text(value)
        return text if text is not None else value.hex()
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def short_type(record: TraceRecord) -> str:
    """The type's name without its module."""
    return record.type.rpartition(":")[2] or record.type


def task_of(name: str) -> str:
    """A task's id from its actor's name, or from the id of one of its attempts."""
    name = name.removeprefix(TASK)
    task, dot, number = name.rpartition(".")
    return task if dot and task and number.isdecimal() else name


def is_task_or_attempt(name: str, task: str) -> bool:
    """Whether `name` is the task's id or that of one of its attempts ("crawl-7", "crawl-7.2")."""
    return task in {name, task_of(name)}


def is_about_task(record: TraceRecord, task: str) -> bool:
    """From or to the task's actor, or with the task's id somewhere in its contents."""
    for name in (record.sender, record.receiver):
        if name.startswith(TASK) and is_task_or_attempt(name.removeprefix(TASK), task):
            return True
    if record.payload is None or task.encode() not in record.payload:
        return False
    return any(is_task_or_attempt(text.removeprefix(TASK), task) for text in texts_in(contents(record)))


@dataclass(frozen=True, slots=True)
class Filters:
    """What a record has to be; an empty condition is met by all, several values of one mean "any of them".

    `actors` are patterns of its sender or receiver, with or without the system's name in front ("system/actor"), `types` of its
    type's name, with or without its module; `tasks` are the ids of tasks that it is from, to or about.
    """

    actors: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def match(self, record: TraceRecord) -> bool:
        """Whether to show the record."""
        ends = [name for name in (record.sender, record.receiver) if name]
        names = ends + [f"{record.system}/{name}" for name in ends]
        return (
            (not self.kinds or record.kind in self.kinds)
            and (not self.types or _fits((record.type, short_type(record)), self.types))
            and (not self.actors or _fits(names, self.actors))
            and (not self.tasks or any(is_about_task(record, task) for task in self.tasks))
        )


def _fits(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
