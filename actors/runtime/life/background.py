"""Work beside the mailbox: an actor's background tasks, and functions run in a pool thread.

The only place that makes asyncio tasks for actors' authors. A task made here is named, owned by one actor, ends with it,
and fails it if it fails; none is ever forgotten silently.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from actors.runtime.context import acting_here, handling
from actors.runtime.control import START
from actors.runtime.errors import ActorDeadError
from actors.runtime.life.belongings import belongings
from actors.runtime.life.states import State
from actors.runtime.threads import get_ident

if TYPE_CHECKING:
    from actors.runtime.ref import ActorRef, Envelope

__all__ = ["function_in_thread", "in_thread", "run"]

P = ParamSpec("P")
T = TypeVar("T")

_in_threads: dict[int, Callable[..., Any]] = {}
"""What `in_thread` runs now, by the number of the thread."""


def run(ref: ActorRef[Any], work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """Start `work` for an actor. What it sends has the message being handled now as its cause."""
    dispatcher = ref._dispatcher
    if ref.state in {State.STOPPING, State.CLOSING, State.STOPPED}:
        work.close()
        raise ActorDeadError(f"{ref} is stopping and can start no background task")
    acting = acting_here()
    envelope: Envelope = (START, None, None, None, None, "message") if acting is None else acting[1]
    context = copy_context()
    context.run(handling.set, (ref, envelope))
    task: asyncio.Task[Any] = dispatcher.loop.create_task(work, name=f"{ref.name}: {name}", context=context)
    own = belongings(ref)
    own.tasks.add(task)

    def done(task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        mine = task in own.tasks
        own.tasks.discard(task)
        if error is not None and mine:
            dispatcher.life.failures.fail_aside(ref, error, envelope)

    task.add_done_callback(done)
    return task


async def in_thread(ref: ActorRef[Any], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in the loop's thread pool, on behalf of the same message."""
    context = copy_context()
    acting = acting_here()
    if acting is not None:
        context.run(handling.set, acting)
    call = functools.partial(context.run, functools.partial(_run_in_thread, function, *args, **kwargs))
    return await ref._dispatcher.loop.run_in_executor(None, call)


def function_in_thread(ident: int) -> str:
    """The name of the function that an actor has this thread run; empty if there is none."""
    function = _in_threads.get(ident)
    while isinstance(function, functools.partial):
        function = function.func
    return "" if function is None else f"{function.__module__}.{getattr(function, '__qualname__', function)}"


def _run_in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    ident = get_ident()
    _in_threads[ident] = function
    try:
        return function(*args, **kwargs)
    finally:
        del _in_threads[ident]
