"""`ActorRef`: what one holds of an actor. It is also where the actor's runtime state lives.

Refs, mailbox and place in the tree outlive a restart, so they cannot be in the instance. The mailbox is lazy:

* `None`: the actor is idle, the next message puts it on the run queue;
* a list, or a deque when it is long: messages wait, or the actor is busy (starting, in an async handler, backing off);
* `CLOSED`: the actor is dead. Its `append` raises, so checking and putting are one step.

Everything here but `tell`, `ask` and `stop` from other threads happens on the loop's thread.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, cast, overload

from actors.runtime.codec.shapes import MUTABLE, own_copy
from actors.runtime.errors import ActorDeadError, NoSystemError, WouldBlockError
from actors.runtime.handlers import HandlerTable
from actors.runtime.proxy import Proxy
from actors.runtime.pykka_seam import A, PykkaRef, SeamActor
from actors.runtime.reply import Reply
from actors.runtime.state_machine import Machine
from actors.runtime.states import ENDING, TABLE, Event, State, Supervision
from actors.runtime.threads import get_ident

if TYPE_CHECKING:
    from actors.runtime.dispatcher import Dispatcher
    from actors.runtime.system import ActorSystem

SWEEP_FROM = 1000
"""Cancelled timers from which the heap is looked through for them."""

Envelope = tuple[Any, "ActorRef[Any] | None", "Reply[Any] | None", "int | None", "int | str | None", str]
"""A message on its way: (message, sender, reply, id, id of its cause, kind for the trace).

Ids are numbers within this system, and text when they came over a wire; None when no trace is written.
"""


MESSAGE: Final = 0
SENDER: Final = 1
REPLY: Final = 2
ID: Final = 3
CAUSE: Final = 4

NOTHING: Envelope = (None, None, None, None, None, "message")
"""In place of the message on whose behalf code runs, where there was none."""


running_in: dict[int, Dispatcher] = {}
"""The dispatcher whose turn it is, by thread. Plain handlers run in its turn, so it knows whose."""

handling: ContextVar[tuple[ActorRef[Any], Envelope] | None] = ContextVar("handling", default=None)
"""Actor and message of a task: async handlers, background tasks, and whatever tasks they start."""


def acting_here() -> tuple[ActorRef[Any], Envelope] | None:
    """The actor and message on whose behalf this thread or task runs at the moment."""
    running = running_in.get(get_ident())
    if running is not None and running.current is not None and running.envelope is not None:
        return running.current, running.envelope
    return handling.get()


def current_message_id() -> str:
    """The id of the message being handled, unique over processes; empty outside of handlers or without trace."""
    acting = acting_here()
    return "" if acting is None or acting[1][ID] is None else f"{acting[0].system.name}#{acting[1][ID]}"


class _Closed:
    """The mailbox of the dead."""

    def append(self, envelope: Envelope) -> NoReturn:
        raise ActorDeadError

    def __len__(self) -> int:
        return 0


CLOSED = _Closed()

Mailbox = list[Envelope] | deque[Envelope] | _Closed


@dataclass(eq=False, slots=True)
class Belongings:
    """What only some actors have; made when first needed, to keep idle actors small."""

    cause: Envelope | None = None  # the message that made it fail or stop: the cause of what follows
    children: dict[ActorRef[Any], None] = field(default_factory=dict)  # in order of birth
    watchers: dict[ActorRef[Any], None] = field(default_factory=dict)  # who gets `Terminated`
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)  # those of `run_in_background`
    handler: tuple[asyncio.Task[Any], Envelope] | None = None  # the async one that runs, or hook
    restarts: deque[float] = field(default_factory=deque)  # when, within the supervision's window
    backoff: asyncio.TimerHandle | None = None  # the handle of the restart that is due
    backoff_over: bool = False  # the pause is over, but children are still stopping
    stop_replies: list[Reply[bool]] = field(default_factory=list)  # who waits for it to have stopped
    stop_deadline: float | None = None  # when a running handler is cancelled because a stop was asked for
    stop_timer: asyncio.TimerHandle | None = None  # the loop's handle for it
    failure: BaseException | None = None  # what it failed for good with
    failure_text: str = ""  # its traceback
    leftovers: Any = ()  # what was in its mailbox when it died
    winding_down: asyncio.Task[None] | None = None  # waits for cancelled background tasks to end


def belongings(ref: ActorRef[Any]) -> Belongings:
    """The belongings of an actor, made now if it had none."""
    if ref._belongings is None:
        ref._belongings = Belongings()
    return ref._belongings


@dataclass(eq=False, repr=False, slots=True)
class ActorRef(PykkaRef[A], Generic[A]):  # type: ignore[type-var]  # our actors are pykka actors, see the seam
    """A reference to an actor: tell it, ask it, stop it, pass it on in a message.

    It stays valid while the actor is restarted. Refs are equal if they are the same actor.
    """

    _dispatcher: Dispatcher
    _name: str
    actor_class: type[A]
    _table: HandlerTable
    _parent: ActorRef[Any] | None
    _supervision: Supervision
    _recipe: tuple[tuple[Any, ...], dict[str, Any]]
    _actor: A | None = None
    _belongings: Belongings | None = None
    _timers: set[Timer] | None = None  # those that have not fired; None when there is none
    _life: Machine[State, Event, None] = field(default_factory=lambda: Machine(TABLE))
    _inbox: Mailbox | None = field(default_factory=list)

    @property
    def name(self) -> str:
        return self._name

    @property
    def system(self) -> ActorSystem:
        return self._dispatcher.system

    @property
    def state(self) -> State:
        return self._life.state

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """A URN, made from system and name: nothing is drawn or kept for it."""
        return f"urn:actor:{self._dispatcher.name}:{self._name}"

    @property
    def mailbox_size(self) -> int:
        return 0 if self._inbox is None else len(self._inbox)

    def _actor_weakref(self) -> A | None:  # type: ignore[override]  # what pykka's proxy asks for
        return self._actor

    def __repr__(self) -> str:
        return f"<ActorRef for {self}>"

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} ({self._name})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an ActorRef is packed by the message codec, not pickled")

    def is_alive(self) -> bool:
        """Whether the actor takes messages. From another thread the answer may be old when it arrives."""
        return self._inbox is not CLOSED

    def tell(self, message: Any) -> None:
        """Put `message` into the actor's mailbox; ActorDeadError if it has stopped. From any thread; never blocks."""
        if type(message) in MUTABLE:
            message = own_copy(message)
        dispatcher = self._dispatcher
        sender = dispatcher.fast_sender
        if sender is None or get_ident() != dispatcher.thread_id:
            dispatcher.send(self, message, None)
            return
        inbox = self._inbox
        if inbox is None:
            self._inbox = [(message, sender, None, None, None, "message")]
            dispatcher.run_queue.append(self)
        elif inbox is CLOSED:
            raise ActorDeadError(f"{self} not found")
        else:
            inbox.append((message, sender, None, None, None, "message"))

    def tell_caused(self, message: Any, cause: str) -> None:
        """`tell` with the id of the message that caused it, when that came over a wire."""
        self._dispatcher.send(self, message, None, cause or None)

    @overload
    def ask(self, message: Any, *, block: Literal[False], timeout: float | None = None) -> Reply[Any]: ...

    @overload
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any: ...

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Put `message` into the mailbox and get the answer: a value if `block`, else an awaitable reply.

        The answer may be an error: what the handler raised, Timeout after `timeout` seconds, or ActorDeadError if the actor stopped
        before it handled the message. To `block` on a thread that runs an event loop is a WouldBlockError; nothing is sent then.
        """
        _check_may_block("ask", block)
        reply: Reply[Any] = Reply()
        reply._asked = self
        message = own_copy(message)
        try:
            self._dispatcher.send(self, message, reply)
        except ActorDeadError as error:
            reply.set_exception(error)
        return self._answer(reply, block, timeout)

    def _answer(self, reply: Reply[Any], block: bool, timeout: float | None) -> Any:
        if block:
            return reply.get(timeout=timeout)
        if timeout is not None:
            self._dispatcher.expire(reply, timeout)
        return reply

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...

    @overload
    def stop(self, *, block: Literal[False], timeout: float | None = None) -> Reply[bool]: ...

    @overload
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Reply[bool]: ...

    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Reply[bool]:
        """Stop the actor once it has handled what is in its mailbox now; its children stop before it.

        True if it has stopped or was about to, False if it was dead already; `block` and `timeout` as for `ask`.
        """
        _check_may_block("stop", block)
        reply: Reply[bool] = Reply()
        self._dispatcher.request_stop(self, reply)
        return self._answer(reply, block, timeout)  # type: ignore[no-any-return]

    def proxy(self: ActorRef[A]) -> Proxy[A]:
        """The actor's methods and attributes as if they were local; each access gives a reply."""
        return Proxy(actor_ref=self)

    def _set(self, timer: Timer) -> None:
        if self._timers is None:
            self._timers = set()
        self._timers.add(timer)

    def _unset(self, timer: Timer) -> None:
        timers = self._timers
        if timers is not None:
            timers.discard(timer)
            if not timers:
                self._timers = None

    def _is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        own = self._belongings
        return own is not None and own.handler is not None and own.handler[0] is task


def _check_may_block(what: str, block: bool) -> None:
    """It must not block if this thread runs an event loop."""
    if block and asyncio._get_running_loop() is not None:
        raise WouldBlockError(
            f"{what}(block=True) on the event loop would wait for ever: use await ref.{what}(…, block=False)"
        )


class NamedRef(ActorRef[Any]):
    """A handle on whoever has a name: looked up at each use, so that it outlives restarts and successors.

    It is also what a ref becomes that was unpacked where its actor does not live. Equal to handles on the same name.
    """

    __slots__ = ("_find", "system_name")

    def __init__(self, name: str, system_name: str, find: Callable[[str], ActorRef[Any] | None]) -> None:
        self._name = name
        self.system_name = system_name
        self._find = find

    def __repr__(self) -> str:
        return f"<NamedRef {self}>"

    def __str__(self) -> str:
        return f"{self._name!r} in system {self.system_name!r}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NamedRef):
            return (self._name, self.system_name) == (other._name, other.system_name)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._name, self.system_name))

    def resolve(self) -> ActorRef[Any]:
        """The living actor of that name; ActorDeadError if there is none."""
        found = self._find(self._name)
        if found is None:
            raise ActorDeadError(f"no actor is called {self}")
        return found

    @property
    def system(self) -> ActorSystem:
        return self.resolve().system

    @property
    def state(self) -> State:
        found = self._find(self._name)
        return State.STOPPED if found is None else found.state

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        return f"urn:actor:{self.system_name}:{self._name}"

    @property
    def mailbox_size(self) -> int:
        found = self._find(self._name)
        return 0 if found is None else found.mailbox_size

    def is_alive(self) -> bool:
        """Whether there is an actor of that name, and it takes messages."""
        found = self._find(self._name)
        return found is not None and found.is_alive()

    def tell(self, message: Any) -> None:
        """See ActorRef."""
        self.resolve().tell(message)

    def tell_caused(self, message: Any, cause: str) -> None:
        """See ActorRef."""
        self.resolve().tell_caused(message, cause)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """See ActorRef."""
        try:
            found = self.resolve()
        except ActorDeadError as error:
            if block:
                raise
            return _answered(None, error)
        return found.ask(message, block=block, timeout=timeout)

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """See ActorRef."""
        found = self._find(self._name)
        if found is not None:
            return found.stop(block=block, timeout=timeout)
        return False if block else _answered(False)

    def proxy(self) -> Any:
        """See ActorRef."""
        return self.resolve().proxy()


def _answered(value: Any, error: BaseException | None = None) -> Reply[Any]:
    reply: Reply[Any] = Reply()
    reply._finish(value, error)
    return reply


def ref_of(actor: SeamActor) -> ActorRef[Any]:
    """The ref of an actor; NoSystemError if it was made by hand, outside of a system."""
    ref = getattr(actor, "_actor_ref", None)
    if ref is None:
        cls = type(actor).__qualname__
        raise NoSystemError(
            f"this {cls} was made by hand; actors are made by a system: system.spawn({cls}, …)"
        )
    return cast("ActorRef[Any]", ref)


class TimerHeap:
    """The timers of one system."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context = Context()
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        self._cancelled = 0

    def add(self, timer: Timer) -> None:
        """Fire `timer` when it is due. Those due at the same time fire in the order in which they were set."""
        heapq.heappush(self._heap, (timer.due, next(self._order), timer))
        self._arm_by(timer.due)

    def forget(self) -> None:
        """A timer was cancelled; sweep when most of the heap is such."""
        self._cancelled += 1
        if self._cancelled > SWEEP_FROM and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].active]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _arm_by(self, due: float) -> None:
        """See that the loop calls at `due` at the latest."""
        if self._armed is not None:
            if due >= self._armed_for:
                return
            self._armed.cancel()
        self._armed_for = due
        self._armed = self._loop.call_at(due, self._fire_due, context=self._context)

    def _fire_due(self) -> None:
        self._armed = None
        heap = self._heap
        now = max(self._loop.time(), self._armed_for)
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if timer.active:
                timer.fire()
            else:
                self._cancelled -= 1
            heap = self._heap  # a sweep makes a new one
        if heap:
            self._arm_by(heap[0][0])


@dataclass(eq=False, slots=True)
class Timer:
    """A message that is due later. `cancel()` it, or let it fire.

    Attributes:
        due: when it fires next, on the scale of `clock.now()`.
        active: whether it will still fire.
    """

    _owner: ActorRef[Any]
    _to: ActorRef[Any]
    _message: Any
    _period: float | None
    _cause: Envelope | None
    due: float
    active: bool = True

    def cancel(self) -> None:
        """Do not fire. Does nothing to a timer that has fired."""
        if self.active:
            self.active = False
            self._owner._dispatcher.timers.forget()
            self._owner._unset(self)

    def fire(self) -> None:
        """Send the message; the system's heap calls this."""
        owner = self._owner
        dispatcher = owner._dispatcher
        if self._period is None:
            self.active = False
            owner._unset(self)
        else:
            now = dispatcher.loop.time()
            self.due += self._period
            if self.due <= now:  # a late loop skips beats instead of firing them in a burst
                self.due += (now - self.due) // self._period * self._period + self._period
            dispatcher.timers.add(self)
        envelope = dispatcher.wrap_from(owner, self._cause, self._message, "timer")
        target = self._to
        try:
            if getattr(target, "_dispatcher", None) is dispatcher:
                dispatcher.put(target, envelope)
            else:
                target.tell(self._message)
        except ActorDeadError:
            owner.system.dead_letters.add(target, envelope, "the actor is dead")


class Timers:
    """An actor's way to time: `self.timers.after(…)`, `self.timers.every(…)`. On the system's loop only."""

    __slots__ = ("_owner",)

    def __init__(self, owner: ActorRef[Any]) -> None:
        self._owner = owner

    def after(self, seconds: float, message: Any, to: ActorRef[Any] | None = None) -> Timer:
        """Send `message` in `seconds`, to this actor or `to`. Its cause is the message being handled now."""
        return self._make(max(0.0, seconds), message, to, None)

    def every(self, seconds: float, message: Any, to: ActorRef[Any] | None = None) -> Timer:
        """Send `message` each `seconds` (more than 0), first in `seconds`. A late loop skips beats."""
        if seconds <= 0:
            raise ValueError(f"a timer cannot fire every {seconds} seconds")
        return self._make(seconds, message, to, seconds)

    def _make(self, seconds: float, message: Any, to: ActorRef[Any] | None, period: float | None) -> Timer:
        owner = self._owner
        if owner.state in ENDING:
            raise ActorDeadError(f"{owner} is stopping and can set no timer")
        dispatcher = owner._dispatcher
        acting = None if dispatcher.tracing is None else acting_here()
        cause = None if acting is None else acting[1]
        due = dispatcher.loop.time() + seconds
        timer = Timer(owner, owner if to is None else to, message, period, cause, due)
        dispatcher.timers.add(timer)
        owner._set(timer)
        return timer
