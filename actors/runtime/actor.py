"""`Actor`: the class that authors subclass. A pykka actor that its system's dispatcher runs on the event loop."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from types import TracebackType
from typing import Any, ClassVar, NoReturn, ParamSpec, Self, TypeVar

from actors.runtime.clock import Clock, Ids
from actors.runtime.errors import ActorDeadError, NoSystemError, UnhandledMessageError
from actors.runtime.handlers import Handler, HandlerTable
from actors.runtime.messages import NoSettings
from actors.runtime.pykka_seam import ProxyCall, ProxyGetAttr, ProxySetAttr, SeamActor, ThreadingActor
from actors.runtime.ref import REPLY, SENDER, ActorRef, NamedRef, Timers, acting_here, handling, ref_of
from actors.runtime.reply import Reply
from actors.runtime.states import Supervision
from actors.runtime.system import ActorSystem
from actors.runtime.threads import get_ident

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", bound="Actor")

_in_threads: dict[int, Callable[..., Any]] = {}
"""What actors run in pool threads now, by the number of the thread."""


class Actor(SeamActor):
    """An actor: private state, and handlers that are run one message at a time.

    Subclass it, mark methods with `@receive`, and let a system make it: `system.spawn(Counter, 5)`. What pykka's
    documentation says of `on_start`, `on_stop`, `on_failure`, `on_receive`, `stop` and proxies holds here; `on_start` and
    `on_stop` may be `async`.

    Attributes:
        Settings: the frozen dataclass of the actor's settings, for configurations.
        stop_grace: seconds that an async handler, a background task or `on_stop` may go on after a stop was asked for.
    """

    Settings: ClassVar[type] = NoSettings
    stop_grace: ClassVar[float] = 5.0

    _actor_ref: Any = None  # set by the system, before __init__
    _handler_table: ClassVar[HandlerTable | None] = None
    _has_on_start: ClassVar[bool] = False
    _has_on_stop: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._handler_table = None
        cls._has_on_start = cls.on_start is not Actor.on_start
        cls._has_on_stop = cls.on_stop is not Actor.on_stop

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # Nothing to do, so that forgetting super().__init__() does no harm: the ref is set before __init__ runs.
        pass

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:
        """Make an actor in the system whose actor or task calls this (NoSystemError elsewhere: use `system.spawn`)."""
        acting = acting_here()
        if acting is None:
            raise NoSystemError(f"start() outside of an actor: use system.spawn({cls.__qualname__}, …)")
        return acting[0].system.spawn(cls, *args, **kwargs)

    @classmethod
    def _handlers(cls) -> HandlerTable:
        table = cls._handler_table
        if table is None:
            table = cls._handler_table = HandlerTable(cls, BUILT_IN, cls.on_receive)
        return table

    @property
    def actor_ref(self) -> ActorRef[Self]:
        return ref_of(self)

    @property
    def name(self) -> str:
        return ref_of(self)._name

    @property
    def system(self) -> ActorSystem:
        return ref_of(self)._dispatcher.system

    @property
    def actor_urn(self) -> str:
        return ref_of(self).actor_urn

    @property
    def actor_inbox(self) -> NoReturn:
        raise AttributeError("the mailbox of an actor is not accessible; use its ref's tell and ask")

    @property
    def actor_stopped(self) -> NoReturn:
        raise AttributeError("use actor_ref.is_alive(), or watch the actor")

    @property
    def sender(self) -> ActorRef[Any] | None:
        """Who sent the message being handled; None if it came from outside of any actor."""
        acting = acting_here()
        return None if acting is None or acting[0] is not self._actor_ref else acting[1][SENDER]

    @property
    def children(self) -> tuple[ActorRef[Any], ...]:
        """The actors that this one spawned and that have not stopped, in order of birth."""
        own = ref_of(self)._belongings
        return () if own is None else tuple(own.children)

    def __str__(self) -> str:
        ref = self._actor_ref
        return f"{type(self).__name__} ({'made by hand' if ref is None else ref.name})"

    @property
    def clock(self) -> Clock:
        """The time: `clock.now()` in monotonic seconds, `clock.time()` in seconds since 1970."""
        return ref_of(self)._dispatcher.system.clock

    @property
    def ids(self) -> Ids:
        return ref_of(self)._dispatcher.system.ids

    @property
    def timers(self) -> Timers:
        """Messages sent later: `timers.after(seconds, message)`, `timers.every(seconds, message)`."""
        return Timers(ref_of(self))

    def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        supervision: Supervision | None = None,
        **kwargs: Any,
    ) -> ActorRef[A]:
        """Make a child actor: it stops before this one does. See `ActorSystem.spawn`."""
        ref = ref_of(self)
        return ref.system.spawn(cls, *args, name=name, parent=ref, supervision=supervision, **kwargs)

    def ref(self, name: str) -> NamedRef:
        """A handle on whoever has `name` in this system, now or later."""
        return self.system.ref(name)

    def tell(self, to: ActorRef[Any] | str, message: Any) -> None:
        """Send `message`. If the receiver is dead, or no actor has the name, it becomes a dead letter, which is not an error."""
        ref_of(self)._dispatcher.system.tell(to, message)

    def watch(self, ref: ActorRef[Any]) -> None:
        """Be sent `Terminated` when `ref`'s actor has stopped (a restart does not count); at once if it is dead."""
        self.system._watch(ref_of(self), ref)

    def stop(self) -> None:
        """Stop this actor once it has handled what is in its mailbox."""
        ref_of(self)._dispatcher.request_stop(ref_of(self), None)

    def run_in_background(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run a coroutine beside the mailbox. It belongs to the actor: cancelled at stop and restart.

        It must not touch the actor's state while a handler may; let it tell results to the actor. An exception in it fails
        the actor. Returns its task, to cancel it or await it.
        """
        ref = ref_of(self)
        return ref._dispatcher.life.run_in_background(ref, work, name)

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that blocks in a pool thread, and wait for it. It must not touch the actor's state."""
        context = copy_context()
        acting = acting_here()
        if acting is not None:
            context.run(handling.set, acting)
        call = functools.partial(context.run, _run_in_thread, function, *args, **kwargs)
        return await ref_of(self)._dispatcher.loop.run_in_executor(None, call)

    def on_start(self) -> Any:
        """Run before the first message, in a new instance after a restart too. May be `async`."""

    def on_stop(self) -> Any:
        """Run after the last message, when the actor was asked to stop. May be `async`, within `stop_grace`."""

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Run in the instance whose handler failed, before it is stopped or replaced."""

    def on_receive(self, message: Any) -> Any:
        """Handle a message of a type that no handler declares. By default it is a dead letter, and an error to an asker."""
        acting = acting_here()
        ref = ref_of(self)
        if acting is None or acting[0] is not ref:
            raise ActorDeadError(f"{self} was handed a message outside of its mailbox")
        self.system.dead_letters.add(ref, acting[1], f"{type(self).__qualname__} has no handler for it")
        if acting[1][REPLY] is not None:
            raise UnhandledMessageError(f"{self} has no handler for {type(message).__qualname__}")


class BlockingActor(ThreadingActor):
    """For what must block (a driver, a database): a pykka `ThreadingActor` whose answers can be awaited on an event loop.

    Start and stop it as pykka's (`BlockingActor.start(…)`, `ref.stop()`); it is in no system, nobody supervises it, and no
    trace sees it. An actor on the loop tells it, and awaits `ref.ask(message, block=False)`; it tells and asks actors on the
    loop, and may block while it waits. For a blocking call now and then, `await self.in_thread(…)` is simpler.
    """

    use_daemon_thread = True

    @staticmethod
    def _create_future() -> Reply[Any]:
        return Reply()


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


def _at(root: Any, path: tuple[str, ...]) -> Any:
    return functools.reduce(getattr, path, root)


BUILT_IN: dict[type, Handler] = {
    ProxyCall: lambda actor, m: _at(actor, m.attr_path)(*m.args, **m.kwargs),
    ProxyGetAttr: lambda actor, m: _at(actor, m.attr_path),
    ProxySetAttr: lambda actor, m: setattr(_at(actor, m.attr_path[:-1]), m.attr_path[-1], m.value),
}
