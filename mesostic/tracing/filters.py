"""Which records one wants to see."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

from actors.runtime import TraceRecord
from mesostic.tracing.contents import contents, texts_in

_ATTEMPT = re.compile(r"\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a record has to be; an empty condition is met by all, several values of one mean "any of them".

    Attributes:
        actors: names of sender or receiver; "*" stands for anything.
        types: names of message types, without their module; "*" stands for anything.
        tasks: ids of tasks that the record is from, to or about.
        kinds: kinds of record.
    """

    actors: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def match(self, record: TraceRecord) -> bool:
        """Whether to show the record."""
        if self.kinds and record.kind not in self.kinds:
            return False
        if self.types and not any(matches_type(record, pattern) for pattern in self.types):
            return False
        if self.actors and not any(matches_actor(record, pattern) for pattern in self.actors):
            return False
        return not self.tasks or any(is_about_task(record, task) for task in self.tasks)


def short_type(record: TraceRecord) -> str:
    """The type's name without its module."""
    return record.type.rpartition(":")[2] or record.type


def matches_type(record: TraceRecord, pattern: str) -> bool:
    """By the whole name or the short one."""
    return fnmatch.fnmatchcase(record.type, pattern) or fnmatch.fnmatchcase(short_type(record), pattern)


def matches_actor(record: TraceRecord, pattern: str) -> bool:
    """By sender or receiver, with or without the system's name in front ("system/actor")."""
    names = (record.sender, record.receiver)
    return any(
        name
        and (fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"{record.system}/{name}", pattern))
        for name in names
    )


def is_task_or_attempt(name: str, task: str) -> bool:
    """Whether `name` is the task's id or that of one of its attempts ("crawl-7", "crawl-7.2")."""
    return name.startswith(task) and (
        len(name) == len(task) or _ATTEMPT.fullmatch(name, len(task)) is not None
    )


def is_about_task(record: TraceRecord, task: str) -> bool:
    """From or to the task's actor, or with the task's id somewhere in its contents."""
    for name in (record.sender, record.receiver):
        if name.startswith("task:") and is_task_or_attempt(name.removeprefix("task:"), task):
            return True
    if record.payload is None or task.encode() not in record.payload:
        return False
    return any(is_task_or_attempt(text.removeprefix("task:"), task) for text in texts_in(contents(record)))
