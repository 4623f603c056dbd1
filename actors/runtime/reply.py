"""The answer to an ask: a pykka Future that is truly awaitable.

pykka's own `Future.__await__` blocks the loop until the answer is there; this one suspends. `get()` blocks, and therefore refuses
to on a thread that runs an event loop. A reply that nobody waits for from another thread costs no lock, event or list.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar, cast

from actors.runtime.errors import AlreadyAnsweredError, Timeout, WouldBlockError
from actors.runtime.pykka_seam import Future
from actors.runtime.threads import Latch, registration_lock

T = TypeVar("T")
M = TypeVar("M")


class Reply(Future[T]):
    """What an actor will answer. Await it on a loop, or `get()` it in a thread.

    `map`, `filter`, `reduce` and `join` work as pykka documents them, and what they return is awaitable too.
    """

    _get_hook: Callable[[float | None], T] | None = None
    _done = False
    _value: Any = None
    _error: BaseException | None = None
    _waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] | None = None
    _latch: Latch | None = None
    _asked: Any = None  # the ref of who will answer

    def __init__(self) -> None:
        # pykka's __init__ is left out on purpose: its two fields are class attributes here.
        pass

    def __repr__(self) -> str:
        state = "waiting" if not self._done else "failed" if self._error is not None else "answered"
        return f"<Reply {state}>"

    def done(self) -> bool:
        """Whether the answer, or the error, is there."""
        return self._done

    def set(self, value: T | None = None) -> None:
        """Give the answer. From any thread, once."""
        self._finish(value, None)

    def set_exception(self, exc_info: Any = None) -> None:
        """Answer with an error: an exception, pykka's three-tuple, or the one being handled."""
        self._finish(None, _error_of(sys.exc_info() if exc_info is None else exc_info))

    def _finish(self, value: T | None, error: BaseException | None) -> None:
        if self._done or self._get_hook is not None:
            raise AlreadyAnsweredError("a reply is answered once")
        self._value, self._error = value, error
        self._done = True
        if self._waiters is not None or self._latch is not None:
            self._wake()

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Let `func(timeout)` make the value when it is first asked for (see pykka). Awaiting runs it in a thread."""
        if self._done:
            raise AlreadyAnsweredError("a reply is answered once")
        self._get_hook = func

    def get(self, *, timeout: float | None = None) -> T:
        """The answer; blocks until it is there, or raises Timeout after `timeout` seconds.

        On a thread that runs an event loop it raises WouldBlockError unless the answer is there already.
        """
        if not self._done:
            if asyncio._get_running_loop() is not None:
                raise WouldBlockError("get() on the event loop would wait for ever: await the reply instead")
            if self._get_hook is not None:
                self._keep(self._get_hook, timeout)
            else:
                with registration_lock:
                    self._latch = self._latch or Latch()
                if not self._done and not self._latch.wait(timeout):
                    raise Timeout(f"{timeout} seconds")
        return self._result()

    def __await__(self) -> Generator[Any, None, T]:
        if not self._done:
            loop = asyncio.get_running_loop()
            if self._get_hook is not None:
                yield from loop.run_in_executor(None, self._keep, self._get_hook, None).__await__()
            else:
                asked = self._asked
                if asked is not None and asked._is_run_by(asyncio.current_task()):
                    raise WouldBlockError(
                        f"{asked} waits in its handler for an answer of itself, which can never come"
                    )
                waiter: asyncio.Future[None] = loop.create_future()
                with registration_lock:
                    self._waiters = [*(self._waiters or ()), (loop, waiter)]
                if not self._done:  # who answers sets it, then looks for waiters: one sees the other
                    yield from waiter
        return self._result()

    __iter__ = __await__

    def map(self, func: Callable[[T], M]) -> Reply[M]:
        """A reply with `func(answer)`."""
        return Derived((self,), lambda values: func(values[0]))

    def filter(self: Reply[Iterable[M]], func: Callable[[M], bool]) -> Reply[Iterable[M]]:
        """A reply with the items of the answer for which `func` is true."""
        return Derived((self,), lambda values: list(filter(func, values[0])))

    def reduce(self: Reply[Iterable[M]], func: Callable[[Any, M], Any], *args: Any) -> Reply[Any]:
        """A reply with the answer's items folded into one."""
        return Derived((self,), lambda values: functools.reduce(func, values[0], *args))

    def join(self: Reply[Any], *futures: Future[Any]) -> Reply[Iterable[Any]]:
        """A reply with the list of this answer and those of `futures`; a timeout of `get` is for all together."""
        return Derived((self, *futures), lambda values: values)

    def _result(self) -> T:
        error = self._error
        if error is not None:
            raise error
        return cast("T", self._value)

    def _keep(self, hook: Callable[[float | None], T], timeout: float | None) -> None:
        value = hook(timeout)
        if not self._done:
            self._value, self._done = value, True

    def _wake(self) -> None:
        with registration_lock:
            waiters, self._waiters = self._waiters, None
            latch = self._latch
        if latch is not None:
            latch.set()
        here = asyncio._get_running_loop()
        for loop, waiter in waiters or ():
            if loop is here:
                _let_go(waiter)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_let_go, waiter)


def settle(reply: Reply[Any] | None, value: Any, error: BaseException | None = None) -> None:
    """Answer, if somebody asked and has not been answered."""
    if reply is not None and not reply._done:
        reply._finish(value, error)


class Derived(Reply[T]):
    """A reply computed from others, when it is first asked for."""

    def __init__(self, sources: tuple[Future[Any], ...], func: Callable[[list[Any]], T]) -> None:
        super().__init__()
        self._sources = sources
        self._func = func
        self._get_hook = lambda timeout: func(get_all(sources, timeout=timeout))

    def __await__(self) -> Generator[Any, None, T]:
        values: list[Any] = []
        for source in () if self._done else self._sources:
            values.append((yield from source.__await__()))  # noqa: PERF401 - no yield in a comprehension
        if not self._done:
            self._value, self._done = self._func(values), True
        return self._result()

    __iter__ = __await__


def get_all(futures: Iterable[Future[Any]], *, timeout: float | None = None) -> list[Any]:
    """The answers of all `futures`, in order; blocks at most `timeout` seconds for all of them together."""
    if timeout is None:
        return [future.get() for future in futures]
    deadline = time.monotonic() + timeout
    return [future.get(timeout=max(0.0, deadline - time.monotonic())) for future in futures]


def _let_go(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _error_of(exc_info: Any) -> BaseException:
    if isinstance(exc_info, BaseException):
        return exc_info
    kind, error, traceback = exc_info
    return cast("BaseException", (error or kind()).with_traceback(traceback))
