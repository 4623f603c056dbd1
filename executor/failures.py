"""What an author's code ended with: caught whatever it is, said on one line, and shown with the author's own frames.

An exception is an object of the author's like any other: it may be no `Exception` at all, its text may raise, and `sys.exit`
in one task must not end the others. Here is the only place that calls the author's functions and the only one that asks
their exceptions for their text.
"""

from __future__ import annotations

import inspect
import os
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import actors.runtime

_NOT_THE_AUTHORS = (
    str(Path(__file__).parent) + os.sep,
    str(Path(actors.runtime.__file__).parent) + os.sep,
    sysconfig.get_path("stdlib") + os.sep,
    "<frozen ",
)
_INSTALLED = sysconfig.get_path("purelib") + os.sep  # below the standard library's folder, and not of it


class Outcome(NamedTuple):
    """What a call came to: a result, or an error."""

    result: Any
    error: BaseException | None


def call(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Call it, and catch whatever it raises."""
    try:
        return Outcome(function(*arguments), None)
    except BaseException as error:
        return Outcome(None, error)


async def finish(outcome: Outcome) -> Outcome:
    """Await a result that is awaitable, and catch whatever it raises, a cancellation too."""
    if outcome.error is not None:
        return outcome
    try:
        result = outcome.result
        return Outcome(await result if inspect.isawaitable(result) else result, None)
    except BaseException as error:
        return Outcome(None, error)


def one_line(error: BaseException) -> str:
    """What an exception says, on one line, with its type unless it says enough by itself."""
    text = " ".join(text_of(error).split())
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def text_of(thing: object) -> str:
    """What `str` makes of it, and that it makes nothing of it if so."""
    try:
        return str(thing)
    except BaseException as error:
        return f"(no text: its __str__ raises {type(error).__name__})"


def authors_traceback(error: BaseException) -> str:
    """The traceback from the author's first frame on, on lines of its own; empty if nothing of it is the author's."""
    frame = error.__traceback__
    while frame is not None and _is_not_the_authors(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    if frame is None:
        return ""
    try:
        return "\n" + "".join(traceback.format_exception(type(error), error, frame)).rstrip()
    except BaseException:
        return ""


def _is_not_the_authors(filename: str) -> bool:
    return filename.startswith(_NOT_THE_AUTHORS) and not filename.startswith(_INSTALLED)
