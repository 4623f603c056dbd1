"""An author's class, looked at before it runs; and what its code raised, shown as the author's own.

A hook that could never run as it is written (a generator, the wrong arguments) is refused when its class is made, with a
`TypeError` of one sentence, so that `mesostic check` finds it. A traceback shows the author's lines only: those of
Mesostic around them are no help.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

logger = logging.getLogger("actors.scheduler")

_PACKAGES = ("actors", "executor", "mesos_http", "mesos_v1", "mesostic", "playa", "wire")
_ROOT = Path(__file__).resolve().parents[2]
_OURS = tuple(f"{_ROOT / package}/" for package in _PACKAGES)
_LIKE_A_HOOK = 0.8


def check_hook(cls: type, name: str, method: Callable[..., Any], base: Callable[..., Any]) -> None:
    """See whether a hook can be called as its base is.

    Raises:
        TypeError: It is a generator, which would never run, or takes other arguments.
    """
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise TypeError(
            f"{cls.__name__}.{name} is a generator (it has a yield), so it would never run: "
            "write a plain method or an async one"
        )
    expected = list(inspect.signature(base).parameters)
    try:
        inspect.signature(method).bind(*expected)
    except TypeError:
        raise TypeError(
            f"{cls.__name__}.{name} is called with ({', '.join(expected)}): write "
            f"def {name}({', '.join(expected)})"
        ) from None


def warn_of_misspelt_hooks(cls: type, hooks: Iterable[str]) -> None:
    """Say which methods look like hooks and are not."""
    known = frozenset(hooks)
    for name, member in vars(cls).items():
        if name in known or not inspect.isfunction(member) or hasattr(member, "__receives__"):
            continue
        if name.startswith("_") or any(hasattr(base, name) for base in cls.__mro__[1:]):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=_LIKE_A_HOOK)
        if near:
            logger.warning(
                "%s.%s is not a hook, and is never called: did you mean %s?", cls.__name__, name, near[0]
            )


def author_traceback(error: BaseException) -> str:
    """Format an exception with the frames of the author's code only; with none left, it is one line."""
    shown = traceback.TracebackException.from_exception(error)
    pending: list[traceback.TracebackException | None] = [shown]
    while pending:
        part = pending.pop()
        if part is None:
            continue
        frames = [frame for frame in part.stack if not frame.filename.startswith(_OURS)]
        while frames and _is_python(frames[0].filename):  # the event loop, which called us
            del frames[0]
        part.stack = traceback.StackSummary.from_list(frames) if frames else None  # type: ignore[assignment]
        pending += [part.__cause__, part.__context__]
    return "".join(shown.format()).rstrip()


def one_line(error: BaseException) -> str:
    """Type and text of an exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_python(filename: str) -> bool:
    """Whether a file belongs to Python's own library."""
    return filename.startswith(("<frozen", sys.base_prefix)) and "site-packages" not in filename
