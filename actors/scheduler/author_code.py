"""An author's class, looked at before it runs, and made to contain what its code raises.

A hook that could never run as it is written (a generator, the wrong arguments) is refused when its class is made, with a
`TypeError` of one sentence, so that `mesostic check` finds it.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import logging
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from wire.author_code import author_traceback, mistake_in_hook

logger = logging.getLogger("actors.scheduler")

_LIKE_A_HOOK = 0.8


def contain_author_code(cls: type, hooks: frozenset[str]) -> None:
    """Have an author's class contain what its own methods raise; refuse what could not work.

    Raises:
        TypeError: It has a method with the name of one of the inner methods of its base, or a hook that cannot be
            called.
    """
    for name, member in list(vars(cls).items()):
        if not inspect.isfunction(member):
            continue
        home = _home_of_inner(cls, name)
        if home is not None:
            raise TypeError(
                f"{cls.__name__}.{name} has the name of an inner method of {home}, "
                "which would no longer work: give it another one"
            )
        if hasattr(member, "__receives__"):
            setattr(cls, name, _contained(member))
        elif name in hooks:
            base = next(vars(base)[name] for base in reversed(cls.__mro__) if name in vars(base))
            if mistake := mistake_in_hook(member, base):
                raise TypeError(f"{cls.__name__}.{name} {mistake}")
        if name in _WRAPPERS:
            setattr(cls, name, _WRAPPERS[name](member))
    _warn_of_misspelt_hooks(cls, hooks)


def _home_of_inner(cls: type, name: str) -> str | None:
    if not name.startswith("_") or name.endswith("__"):
        return None
    homes = [base for base in cls.__mro__[1:] if name in vars(base)]
    return homes[0].__name__ if any(base.__module__.startswith("actors.") for base in homes) else None


def _warn_of_misspelt_hooks(cls: type, known: frozenset[str]) -> None:
    """Say which methods look like hooks and are not."""
    for name, member in vars(cls).items():
        if not inspect.isfunction(member) or hasattr(member, "__receives__"):
            continue
        if name.startswith("_") or any(hasattr(base, name) for base in cls.__mro__[1:]):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=_LIKE_A_HOOK)
        if near:
            logger.warning(
                "%s.%s is not a hook, and is never called: did you mean %s?", cls.__name__, name, near[0]
            )


def _contained(handler: Any) -> Any:
    """Wrap an author's handler so that what it raises is contained."""

    @functools.wraps(handler)
    def contained(self: Any, asked: Any) -> Any:
        return self._call(handler.__get__(self), asked)

    return contained


def _making(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap an author's `__init__`: without its base's there is no scheduler."""

    @functools.wraps(init)
    def make(self: Any, *arguments: Any, **keywords: Any) -> None:
        init(self, *arguments, **keywords)
        if "hook_failures" not in vars(self):
            raise TypeError(
                f"{type(self).__name__}.__init__ does not call super().__init__(composition, settings)"
            )

    return make


def _starting(on_start: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap an author's `on_start`: what it raises ends the framework in a sentence, and it need not call its base's."""

    @functools.wraps(on_start)
    async def start(self: Any) -> None:
        try:
            result = on_start(self)
            if type(result) is CoroutineType:
                await result
        except (Exception, SystemExit) as error:
            self._could_not_start("on_start", error)
        self._say_started()

    return start


def _stopping(on_stop: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap an author's `on_stop`, which is called when all is over: what it raises is logged."""

    @functools.wraps(on_stop)
    async def stop(self: Any) -> None:
        try:
            result = on_stop(self)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            logger.error("on_stop raised\n%s", author_traceback(error))

    return stop


_WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "__init__": _making,
    "on_start": _starting,
    "on_stop": _stopping,
}


def exit_of(asked: SystemExit) -> tuple[int, str]:
    """Return the exit code and the text of a `sys.exit`, as Python itself reads them."""
    if asked.code is None:
        return 0, ""
    return (asked.code & 0xFF, "") if isinstance(asked.code, int) else (1, str(asked.code))
