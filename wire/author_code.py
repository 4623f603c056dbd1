"""The author's code on both sides: called so that nothing of it escapes, and what it raised shown with the author's own lines.

An exception is an object of the author's like any other: it may be no `Exception` at all, its text may raise, and `sys.exit`
in one task must not end the others. A traceback shows no line of Mesostic's: those around the author's are no help.
"""

import inspect
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("actors", "executor", "mesos_http", "mesos_v1", "mesostic", "playa", "wire")
_OURS = tuple(f"{_ROOT / package}/" for package in _PACKAGES)
_PYTHONS = (f"{sysconfig.get_path('stdlib')}/", "<frozen ")
_INSTALLED = f"{sysconfig.get_path('purelib')}/"  # below the standard library's folder, and not of it


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


def mistake_in_hook(hook: Callable[..., Any], base: Callable[..., Any]) -> str | None:
    """What is wrong with a hook that can never be called as its base is; None if nothing."""
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        return "is a generator (it has a yield), so it would never run: write a plain method or an async one"
    expected = list(inspect.signature(base).parameters)
    try:
        inspect.signature(hook).bind(*expected)
    except TypeError:
        arguments = ", ".join(expected)
        return f"is called with ({arguments}): write def {base.__name__}({arguments})"
    return None


def one_line(error: BaseException) -> str:
    """What an exception says, on one line, with its type."""
    text = " ".join(text_of(error).split())
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def text_of(thing: object) -> str:
    """What `str` makes of it, and that it makes nothing of it if so."""
    try:
        return str(thing)
    except BaseException as error:
        return f"(no text: its __str__ raises {type(error).__name__})"


def author_traceback(error: BaseException) -> str:
    """An exception with the frames of the author's code only; with none left, it is one line."""
    shown = traceback.TracebackException.from_exception(error)
    pending: list[traceback.TracebackException | None] = [shown]
    while pending:
        part = pending.pop()
        if part is None:
            continue
        frames = [frame for frame in part.stack if not frame.filename.startswith(_OURS)]
        while frames and _is_pythons(frames[0].filename):  # the event loop, which called us
            del frames[0]
        part.stack = traceback.StackSummary.from_list(frames) if frames else None  # type: ignore[assignment]
        pending += [part.__cause__, part.__context__]
    return "".join(shown.format()).rstrip()


def traceback_below(error: BaseException) -> str:
    """`author_traceback` on lines of its own, below one that names the error; empty if no frame is the author's."""
    shown = call(author_traceback, error).result or ""
    return f"\n{shown}" if "\n  File " in shown else ""


def _is_pythons(filename: str) -> bool:
    return filename.startswith(_PYTHONS) and not filename.startswith(_INSTALLED)
