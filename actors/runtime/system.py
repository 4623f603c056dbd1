"""`ActorSystem`: actors with names, parents and a dispatcher, on one event loop. Start here."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

from actors.runtime.clock import Clock, Ids, LoopClock
from actors.runtime.codec.envelope import payload_of, trace_type
from actors.runtime.codec.packing import finders
from actors.runtime.codec.secrets import masked
from actors.runtime.codec.shapes import wire_name
from actors.runtime.dispatcher import Dispatcher
from actors.runtime.errors import ActorDeadError, NameTakenError, NoSystemError, WouldBlockError
from actors.runtime.handlers import START, Control
from actors.runtime.messages import Terminated
from actors.runtime.pykka_seam import A, SeamActor
from actors.runtime.ref import CAUSE, ID, MESSAGE, SENDER, ActorRef, Envelope, NamedRef, belongings
from actors.runtime.reply import Reply
from actors.runtime.states import ENDED, ENDING, STOP, Supervision
from actors.runtime.threads import begin, get_ident
from actors.runtime.trace import TraceSink
from actors.runtime.watchdog import forget, watch

S = TypeVar("S", bound="ActorSystem")

Ref = ActorRef[Any]

logger = logging.getLogger("actors")

FLUSH_SECONDS = 0.5
KEPT = LOGGED_ONE_BY_ONE = 100
LOGGED_EVERY = 1000

_systems: WeakValueDictionary[str, "ActorSystem"] = WeakValueDictionary()
"""The systems of this process, so that a ref that comes back over a wire is the actor it was."""


def _find_ref(system_name: str, name: str) -> Ref:
    def find(name: str) -> Ref | None:
        system = _systems.get(system_name)
        return None if system is None else system.find(name)

    return find(name) or NamedRef(name, system_name, find)


finders.append(_find_ref)


class Tracing:
    """Makes the records of one system. Control messages are not traced: `started` and `stopped` say it better."""

    def __init__(self, sink: TraceSink, clock: Clock, next_id: Callable[[], int]) -> None:
        self._write = sink.write
        self._payload_of = payload_of if sink.payloads else lambda _: None
        self._time = clock.time
        self._next_id = next_id

    def delivery(self, ref: Ref | str, envelope: Envelope, kind: str = "") -> None:
        """A message is about to be handled."""
        message, sender, _, id_, cause, sent_as = envelope
        self._write(
            self._time(),
            kind or sent_as,
            "" if sender is None else sender._name,
            ref if isinstance(ref, str) else ref._name,
            trace_type(message),
            id_ or "",
            cause or "",
            self._payload_of(message),
        )

    def dead_letter(self, ref: Ref | str, envelope: Envelope) -> None:
        """A message was not handled."""
        if not isinstance(envelope[MESSAGE], Control):
            self.delivery(ref, envelope, "dead_letter")

    def reply(self, ref: Ref, envelope: Envelope, value: Any) -> None:
        """An ask was answered."""
        asker = _name(envelope[SENDER])
        self._note(("reply", ref._name, asker, trace_type(value)), envelope, self._payload_of(value))

    def started(self, ref: Ref, envelope: Envelope) -> None:
        """An actor, or another instance after a restart, started. What it sends in `on_start` has this as its cause."""
        id_, cause = envelope[ID] or self._next_id(), envelope[CAUSE] or ""
        type_ = wire_name(ref.actor_class)
        self._write(self._time(), "started", _name(ref._parent), ref._name, type_, id_, cause, None)

    def ended(self, ref: Ref, cause: Envelope | None) -> None:
        """An actor stopped, because of the message `cause` if that is known."""
        self._note(("stopped", _name(ref._parent), ref._name, wire_name(ref.actor_class)), cause)

    def failed(self, ref: Ref, cause: Envelope | None, error: BaseException) -> None:
        """An actor failed; the type is the error's, the payload its text."""
        self._note(("failed", "", ref._name, type(error).__qualname__), cause, self._payload_of(error))

    def _note(
        self, names: tuple[str, str, str, str], cause: Envelope | None, payload: bytes | None = None
    ) -> None:
        """`names` are kind, sender, receiver and type, as in a record."""
        cause_id = "" if cause is None else cause[ID] or ""
        self._write(self._time(), *names, self._next_id(), cause_id, payload)


def _name(ref: Ref | None) -> str:
    return "" if ref is None else ref._name


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was not handled, with the names of the actors that sent it (empty if none did) and that it was for."""

    message: Any
    sender: str
    receiver: str
    reason: str


class DeadLetters:
    """Messages that no actor of a system handled: logged, counted, the last hundred kept, and traced; never silently dropped."""

    def __init__(self) -> None:
        self.count = 0
        self.last: deque[DeadLetter] = deque(maxlen=KEPT)
        self.trace: Callable[[Ref | str, Envelope], None] | None = None

    def __len__(self) -> int:
        return self.count

    def add(self, receiver: Ref | str, envelope: Envelope, reason: str) -> None:
        """Note a message that was not handled. A flood is logged in thousands, so that it does not drown the log."""
        sender = envelope[SENDER]
        name = receiver if isinstance(receiver, str) else receiver.name
        letter = DeadLetter(envelope[MESSAGE], "" if sender is None else sender.name, name, reason)
        self.count += 1
        self.last.append(letter)
        if self.trace is not None:
            self.trace(receiver, envelope)
        if self.count <= LOGGED_ONE_BY_ONE or self.count % LOGGED_EVERY == 0:
            text = masked(repr(letter.message))
            shown = text if len(text) <= 200 else f"{text[:200]}…"
            says = "dead letter %d: %s from %s to %s: %s"
            logger.warning(says, self.count, shown, letter.sender or "outside", name, reason)


class ActorSystem:
    """A tree of actors on one event loop.

    Use it as `async with ActorSystem() as system:`; at the end all actors are stopped, children before parents. A caller
    without a loop uses `with ActorSystem.in_thread() as system:`.

    Attributes:
        name: unique among the systems whose traces shall join: message ids are made of it.
        dead_letters: messages that no actor handled.
        failure: the error that ended the system, if one did.
        clock: where its actors' time comes from.
        ids: where its actors' ids come from.
    """

    clock: Clock

    def __init__(
        self,
        name: str = "main",
        *,
        trace: TraceSink | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        """Make a system; it belongs to the running loop, or to the one it is entered on.

        Every message is noted in `trace`; None costs nothing. The clock is the loop's, and ids are random, unless given.
        """
        self.name = name
        self.ids = Ids() if ids is None else ids
        self.failure: BaseException | None = None
        self._trace = trace
        self._given_clock = clock
        self._dispatcher: Dispatcher | None = None
        self.dead_letters = DeadLetters()
        self._actors: dict[str, Ref] = {}
        self._top: dict[Ref, None] = {}
        self._numbers: dict[type, Iterator[int]] = {}
        self._restarts = 0
        self._stopping = False
        self._stopped: Reply[None] = Reply()
        self._flush_timer: asyncio.TimerHandle | None = None
        if asyncio._get_running_loop() is not None:
            self._attach()

    @classmethod
    def in_thread(cls, name: str = "main", **kwargs: Any) -> "SystemThread[Self]":
        """A system on a loop in a thread of its own, for callers that block: a context manager, or by hand `start()` and `stop()`."""
        return SystemThread(lambda: cls(name, **kwargs), name)

    async def __aenter__(self) -> Self:
        if self._dispatcher is None:
            self._attach()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _attach(self) -> None:
        loop = asyncio.get_running_loop()
        self.clock = LoopClock(loop) if self._given_clock is None else self._given_clock
        self._dispatcher = Dispatcher(self, loop)
        _systems[self.name] = self
        if self._dispatcher.real_time:
            watch(self._dispatcher)
        if self._trace is not None:
            self.trace_to(self._trace)

    def trace_to(self, trace: TraceSink) -> None:
        """Trace from now on: for a process that learns only on the way that its trace is wanted, and where to put it.

        Messages that are on their way already are noted without an id. On the system's loop only, and once.
        """
        dispatcher = self._running()
        self._trace = trace
        dispatcher.tracing = Tracing(trace, self.clock, dispatcher.message_ids.__next__)
        self.dead_letters.trace = dispatcher.tracing.dead_letter
        self._flush_timer = dispatcher.loop.call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        assert self._trace is not None
        self._trace.flush()
        if not self._stopped.done():
            self._flush_timer = self._running().loop.call_later(FLUSH_SECONDS, self._flush)

    def _running(self) -> Dispatcher:
        if self._dispatcher is None:
            raise NoSystemError("the system has no event loop yet: use async with ActorSystem() as system")
        return self._dispatcher

    def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        parent: Ref | None = None,
        supervision: Supervision | None = None,
        **kwargs: Any,
    ) -> ActorRef[A]:
        """Make an actor. Its `__init__` runs now, its `on_start` before its first message. From any thread.

        Args:
            cls: its class.
            args: for its `__init__`, and again for that of each instance after a restart: they must be immutable.
            name: unique in the system; `<class>-<number>` unless given. A restart keeps it. NameTakenError if a living actor has it.
            parent: who stops after it, and hears of its failure; ActorDeadError if that, or the system, is stopping.
            supervision: what to do when it fails; `STOP` unless given.
            kwargs: for its `__init__`.
        """
        dispatcher = self._running()
        if get_ident() != dispatcher.thread_id:
            return self._spawn_from_thread(
                lambda: self.spawn(cls, *args, name=name, parent=parent, supervision=supervision, **kwargs)
            )
        if self._stopping:
            raise ActorDeadError(f"system {self.name!r} is stopping")
        if name is None:
            name = self._free_name(cls)
        elif name in self._actors:
            raise NameTakenError(f"an actor of system {self.name!r} is called {name!r} already")
        if isinstance(parent, NamedRef):
            parent = parent.resolve()
        if parent is not None and parent.state in ENDING:
            raise ActorDeadError(f"{parent} is stopping and can have no more children")
        policy, recipe = supervision or STOP, (args, kwargs)
        ref: ActorRef[A] = ActorRef(dispatcher, name, cls, cls._handlers(), parent, policy, recipe)
        self._actors[name] = ref
        siblings = self._top if parent is None else belongings(parent).children
        siblings[ref] = None
        try:
            dispatcher.life.begin(ref, dispatcher.wrap(START, None))
        except BaseException:
            dispatcher.life.discard_unstarted(ref, siblings)
            raise
        return ref

    def _spawn_from_thread(self, spawn: Callable[[], ActorRef[A]]) -> ActorRef[A]:
        if asyncio._get_running_loop() is not None:
            raise WouldBlockError(
                f"system {self.name!r} lives in another thread, and making an actor there blocks: "
                "use await asyncio.to_thread(system.spawn, …)"
            )

        async def here() -> ActorRef[A]:
            return spawn()

        work = here()
        try:
            made = asyncio.run_coroutine_threadsafe(work, self._running().loop)
        except RuntimeError:
            work.close()
            raise ActorDeadError(f"system {self.name!r} has ended") from None
        return made.result()

    def _free_name(self, cls: type) -> str:
        numbers = self._numbers.setdefault(cls, itertools.count(1))
        return next(name for number in numbers if (name := f"{cls.__name__}-{number}") not in self._actors)

    def get(self, name: str) -> Ref:
        """The living actor called `name`; ActorDeadError if there is none."""
        if name not in self._actors:
            raise ActorDeadError(f"no actor of system {self.name!r} is called {name!r}")
        return self._actors[name]

    def find(self, name: str) -> Ref | None:
        """The living actor called `name`, or None."""
        return self._actors.get(name)

    def free_name(self, ref: Ref) -> None:
        """Take the name of an actor that was asked to stop, so that its heir can have it before it has stopped."""
        if self._actors.get(ref._name) is ref:
            del self._actors[ref._name]

    def ref(self, name: str) -> NamedRef:
        """A handle on whoever is called `name`, now or later."""
        return NamedRef(name, self.name, self._actors.get)

    def actors(self) -> tuple[Ref, ...]:
        """All living actors, in order of birth."""
        return tuple(self._actors.values())

    def find_by_class(self, cls: type[A]) -> tuple[ActorRef[A], ...]:
        """All living actors of a class or of a subclass of it, in order of birth. Not for hot paths: it looks at all."""
        return tuple(ref for ref in self.actors() if issubclass(ref.actor_class, cls))

    def find_by_class_name(self, name: str) -> tuple[Ref, ...]:
        """All living actors whose class is called `name`, in order of birth."""
        return tuple(ref for ref in self.actors() if ref.actor_class.__name__ == name)

    def find_by_urn(self, urn: str) -> Ref | None:
        """The living actor whose `actor_urn` this is, or None."""
        prefix = f"urn:actor:{self.name}:"
        return self.find(urn.removeprefix(prefix)) if urn.startswith(prefix) else None

    def broadcast(self, message: Any, *, to: type[Any] | str | None = None) -> None:
        """Tell `message` to all living actors, or to those of a class (or of a class with that name)."""
        chosen = self.find_by_class_name(to) if isinstance(to, str) else self.find_by_class(to or SeamActor)
        for ref in chosen:
            self.tell(ref, message)

    def tell(self, to: Ref | str, message: Any) -> None:
        """Send `message`; to a dead actor or a name that nobody has, it is a dead letter."""
        dispatcher = self._running()
        ref = self._actors.get(to) if isinstance(to, str) else to
        try:
            if ref is not None:
                ref.tell(message)
                return
            reason = f"no actor is called {to!r}"
        except ActorDeadError:
            reason = "the actor is dead"
        receiver = to if isinstance(to, str) else to.name
        self.dead_letters.add(receiver, dispatcher.wrap(message, None), reason)

    def stats(self) -> dict[str, int]:
        """Counts: actors, messages handled, dead letters, restarts, actors waiting for their turn, messages waiting."""
        dispatcher = self._running()
        return {
            "actors": len(self._actors),
            "handled": dispatcher.handled,
            "dead_letters": self.dead_letters.count,
            "restarts": self._restarts,
            "run_queue": len(dispatcher.run_queue),
            "waiting": sum(ref.mailbox_size for ref in self._actors.values()),
        }

    @property
    def stopping(self) -> bool:
        return self._stopping

    def stop(self) -> Reply[None]:
        """Stop all actors, children before parents; begins at once. Await the reply, or `get()` it in a thread."""
        dispatcher = self._running()
        if get_ident() != dispatcher.thread_id:
            if not self._stopped.done():
                try:
                    dispatcher.loop.call_soon_threadsafe(self.stop)
                except RuntimeError:
                    raise ActorDeadError(f"system {self.name!r} has lost its event loop") from None
            return self._stopped
        if not self._stopping:
            self._stopping = True
            if self._top:
                for ref in reversed(self._top):
                    dispatcher.request_stop(ref, None)
            else:
                self._end()
        return self._stopped

    def join(self) -> Reply[None]:
        """Answered when the system has stopped, for whatever reason. See `failure`."""
        return self._stopped

    def _end(self) -> None:
        if self._stopped.done():
            return
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        forget(self._running())
        if self._trace is not None:
            self._trace.close()
        self._stopped.set(None)

    def _fail(self, ref: Ref, error: BaseException) -> None:
        """The failure of an actor at the top that supervision does not forgive: the system ends with it."""
        if self.failure is None:
            self.failure = error
        if not self._stopping:
            logger.critical("system %r stops: %s failed for good with %r", self.name, ref, error)
            self.stop()

    def _child_of_root_gone(self, ref: Ref) -> None:
        self._top.pop(ref, None)
        if self._stopping and not self._top:
            self._end()

    def _watch(self, watcher: Ref, watched: Ref) -> None:
        found = self._actors.get(watched.name) if isinstance(watched, NamedRef) else watched
        if found is None:
            watcher.tell(Terminated(watched.name, "no actor has this name"))
        elif found.state in ENDED:
            watcher.tell(Terminated(watched.name, "stopped"))
        else:
            belongings(found).watchers[watcher] = None


class SystemThread(Generic[S]):
    """For callers that have no event loop: starts a system on a new thread's loop, and stops both; a context manager that gives the system."""

    def __init__(self, make: Callable[[], S], name: str) -> None:
        self._make = make
        self._name = name
        self._system: S | None = None

    def start(self) -> S:
        """Start; returns the system once it takes actors."""
        made: Reply[S] = Reply()
        self._thread = begin(asyncio.run, self._live(made), name=f"actors-{self._name}")
        self._system = made.get()
        return self._system

    async def _live(self, made: Reply[S]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            made.set(self._make())
        except Exception as error:
            made.set_exception(error)
        else:
            await self._over.wait()

    def stop(self, timeout: float | None = None) -> None:
        """Stop the system's actors, then its loop and thread."""
        if self._system is not None:
            try:
                self._system.stop().get(timeout=timeout)
            finally:
                if self._thread.is_alive():
                    self._loop.call_soon_threadsafe(self._over.set)
                self._thread.join(timeout)

    def __enter__(self) -> S:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
