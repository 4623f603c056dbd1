"""The dispatcher: runs the actors of one system on one asyncio event loop.

Rules of this file

* Everything here runs on the loop's thread, but for the few lines marked otherwise.
* An actor is on the run queue if and only if its mailbox holds messages and it is not busy; see `ref.py` for what the
  mailbox says. So an idle actor costs nothing, and an actor never runs twice at a time.
* One turn takes actors in the order in which their first message came, handles up to `BATCH` messages of each, and gives
  the loop back after `TURN` messages or `TURN_SECONDS`: I/O and timers wait no longer than that (and one handler).
* The hot loop only calls plain handlers. Whatever is rarer (start, stop, a failure, an async handler) leaves it with the
  actor's mailbox in order, and goes to `life/life.py`.

Known limits: a plain handler that computes for long holds up everyone, as it would hold up any event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from time import perf_counter
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from actors.runtime.errors import ActorDeadError, Timeout
from actors.runtime.handlers import STOP, Stop
from actors.runtime.pykka_seam import PykkaStop
from actors.runtime.ref import CLOSED, ID, MESSAGE, REPLY, ActorRef, Envelope, acting_here, running_in
from actors.runtime.reply import Reply
from actors.runtime.threads import get_ident

if TYPE_CHECKING:
    from actors.runtime.life.life import Life
    from actors.runtime.system import ActorSystem
    from actors.runtime.timers import TimerHeap
    from actors.runtime.trace.writer import Tracing

logger = logging.getLogger("actors")

BATCH = 64
TURN = 1024
TURN_SECONDS = 0.005
CHECK = 32


class Dispatcher:
    """Run queue, hot loop and the sending of messages.

    Attributes:
        fast_sender: the actor being run, if messages it sends need no id (no trace is written); else None.
        current: the actor being run, or None between turns.
        envelope: the message being handled.
        run_queue: actors with messages to handle.
        chores: small steps that must not recurse (a stopped child tells its parent's life).
    """

    life: Life
    timers: TimerHeap

    def __init__(self, system: ActorSystem, loop: asyncio.AbstractEventLoop) -> None:
        self.system = system
        self.name = system.name
        self.loop = loop
        self.thread_id = get_ident()
        self.tracing: Tracing | None = None
        self.real_time = not hasattr(loop, "wall_time")
        self.run_queue: deque[ActorRef[Any]] = deque()
        self.chores: deque[tuple[Callable[[ActorRef[Any]], None], ActorRef[Any]]] = deque()
        self.fast_sender: ActorRef[Any] | None = None
        self.current: ActorRef[Any] | None = None
        self.envelope: Envelope | None = None
        self.message_ids = itertools.count(1)
        self.handled = 0
        self.context = Context()
        self._scheduled = False
        self._inbound: deque[tuple[ActorRef[Any], Envelope]] = deque()
        self._inbound_wake = False

    def send(
        self,
        ref: ActorRef[Any],
        message: Any,
        reply: Reply[Any] | None,
        cause: int | str | None = None,
        kind: str = "message",
    ) -> None:
        """Put a message into a mailbox. From any thread.

        Raises:
            ActorDeadError: the actor has stopped.
        """
        if type(message) is PykkaStop:
            self.request_stop(ref, reply)
            return
        envelope = self.wrap(message, reply, cause, kind)
        if get_ident() != self.thread_id:
            self._send_from_thread(ref, envelope)
        else:
            self.put(ref, envelope)

    def wrap(
        self, message: Any, reply: Reply[Any] | None, cause: int | str | None = None, kind: str = "message"
    ) -> Envelope:
        """A message with its sender, and with its id and cause if a trace is written. From any thread."""
        acting = acting_here()
        sender = None if acting is None else acting[0]
        if self.tracing is None:
            return (message, sender, reply, None, None, kind)
        if cause is None and acting is not None:
            cause = acting[1][ID]
            if cause is not None and acting[0]._dispatcher is not self:
                cause = f"{acting[0]._dispatcher.name}#{cause}"
        return (message, sender, reply, next(self.message_ids), cause, kind)

    def wrap_from(self, sender: ActorRef[Any], cause: Envelope | None, message: Any, kind: str) -> Envelope:
        """A message that `sender` meant to send when it handled `cause`. On the loop's thread."""
        if self.tracing is None:
            return (message, sender, None, None, None, kind)
        return (message, sender, None, next(self.message_ids), None if cause is None else cause[ID], kind)

    def put(self, ref: ActorRef[Any], envelope: Envelope) -> None:
        """Put an envelope into a mailbox; an idle actor goes on the run queue. On the loop's thread.

        Raises:
            ActorDeadError: the actor has stopped.
        """
        inbox = ref._inbox
        if inbox is None:
            ref._inbox = [envelope]
            self.run_queue.append(ref)
            if not self._scheduled:
                self.wake()
        elif inbox is CLOSED:
            raise ActorDeadError(f"{ref} not found")
        else:
            inbox.append(envelope)

    def _send_from_thread(self, ref: ActorRef[Any], envelope: Envelope) -> None:
        # On a foreign thread. The deque is the only thing both sides touch; its operations are atomic.
        if ref._inbox is CLOSED and not isinstance(envelope[MESSAGE], Stop):
            raise ActorDeadError(f"{ref} not found")
        self._inbound.append((ref, envelope))
        if not self._inbound_wake:
            self._inbound_wake = True
            try:
                self.loop.call_soon_threadsafe(self._take_inbound)
            except RuntimeError:
                raise ActorDeadError(f"{ref} not found: its system's event loop is closed") from None

    def _take_inbound(self) -> None:
        self._inbound_wake = False  # before emptying: who appends from now on wakes the loop again
        inbound = self._inbound
        for _ in range(len(inbound)):
            ref, envelope = inbound.popleft()
            if isinstance(envelope[MESSAGE], Stop):
                self.life.request_stop(ref, envelope)
                continue
            try:
                self.put(ref, envelope)
            except ActorDeadError:
                self.undeliverable(ref, envelope)

    def request_stop(self, ref: ActorRef[Any], reply: Reply[Any] | None) -> None:
        """Ask an actor to stop. From any thread."""
        envelope = self.wrap(STOP, reply)
        if get_ident() == self.thread_id:
            self.life.request_stop(ref, envelope)
            return
        try:
            self._send_from_thread(ref, envelope)
        except ActorDeadError:
            if reply is not None:
                reply.set(False)

    def expire(self, reply: Reply[Any], timeout: float) -> None:
        """Answer `reply` with Timeout unless it is answered within `timeout` seconds. From any thread."""

        def late() -> None:
            if not reply.done():
                reply.set_exception(Timeout(f"{timeout} seconds"))

        if get_ident() == self.thread_id:
            self.loop.call_later(timeout, late)
        else:
            self.loop.call_soon_threadsafe(self.loop.call_later, timeout, late)

    def undeliverable(self, ref: ActorRef[Any], envelope: Envelope) -> None:
        """What was in the mailbox of an actor that stopped: refused to an asker, else a dead letter."""
        message, _, reply, *_ = envelope
        if isinstance(message, Stop):
            if reply is not None and not reply.done():
                reply.set(True)
        elif reply is not None:
            if not reply.done():
                reply.set_exception(ActorDeadError(f"{ref} stopped before handling the message"))
            if self.tracing is not None:
                self.tracing.dead_letter(ref, envelope)
        else:
            self.system.dead_letters.add(ref, envelope, "the actor stopped before handling it")

    def answer(self, ref: ActorRef[Any], envelope: Envelope, value: Any) -> None:
        """Answer an ask, unless its asker has given up."""
        reply = envelope[REPLY]
        if reply is not None and not reply._done:
            reply.set(value)
            if self.tracing is not None:
                self.tracing.reply(ref, envelope, value)

    def answer_error(self, ref: ActorRef[Any], envelope: Envelope, error: BaseException) -> None:
        """Return an exception to the asker. As in pykka, the actor lives on."""
        reply = envelope[REPLY]
        logger.info("%s returned an exception to its asker: %r", ref, error)
        if reply is not None and not reply._done:
            reply.set_exception(error)
            if self.tracing is not None:
                self.tracing.reply(ref, envelope, error)

    def wake(self) -> None:
        """See that a turn is taken soon."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self.run, context=self.context)

    def resume(self, ref: ActorRef[Any]) -> None:
        """An actor is no longer busy: let it handle what came meanwhile."""
        if ref._inbox is CLOSED:
            return
        if ref._inbox:
            self.run_queue.append(ref)
            self.wake()
        else:
            ref._inbox = None

    def run(self) -> None:
        """One turn."""
        ident = self.thread_id
        running_in[ident] = self
        try:
            if self.chores:
                self._do_chores()
            self._turn()
        finally:
            del running_in[ident]
            self.fast_sender = self.current = self.envelope = None
            self._scheduled = False
            if self.run_queue or self.chores:
                self.wake()

    def _turn(self) -> None:
        queue = self.run_queue
        popleft = queue.popleft
        tracing = self.tracing
        deadline = perf_counter() + TURN_SECONDS
        left = TURN
        next_check = TURN - CHECK
        while queue:
            ref = popleft()
            inbox: Any = ref._inbox
            chunk: list[Envelope] = inbox
            if type(inbox) is not list:
                chunk = [inbox.popleft() for _ in range(min(BATCH, len(inbox)))]
            handlers = ref._handlers
            actor = ref._actor
            self.current = ref
            if tracing is None:
                self.fast_sender = ref
            rest: Callable[..., None] | None = None
            detail: Any = None
            n = 0
            for envelope in chunk:
                if n == BATCH:
                    break
                n += 1
                message = envelope[0]
                try:
                    handler = handlers[type(message)]
                except KeyError:
                    handler = ref._table.miss(type(message))
                    if handler is None:
                        rest = self.life.control
                        break
                self.envelope = envelope
                if tracing is not None:
                    tracing.delivery(ref, envelope)
                try:
                    result = handler(actor, message)
                except BaseException as error:
                    if envelope[2] is not None and isinstance(error, Exception):
                        self.answer_error(ref, envelope, error)
                        continue
                    rest, detail = self.life.handler_failed, error
                    break
                if result is not None and type(result) is CoroutineType:
                    rest, detail = self.life.run_handler, result
                    break
                if envelope[2] is not None:
                    self.answer(ref, envelope, result)
            else:  # all of the chunk was handled: most often all there was
                if chunk is inbox:
                    ref._inbox = None
                    left -= n
                    if left > next_check:
                        continue
            if ref._inbox is not None:
                self._leave(ref, inbox, chunk, n)
                if rest is None:
                    self.resume(ref)
                else:
                    self._step_aside(rest, ref, envelope, detail)
                    detail = None  # it may be an exception, whose traceback knows this frame
                left -= n
            if left <= next_check:
                next_check = left - CHECK
                if left <= 0 or (self.real_time and perf_counter() > deadline):
                    break
        self.handled += TURN - left

    def _step_aside(
        self, rest: Callable[..., None], ref: ActorRef[Any], envelope: Envelope, detail: Any
    ) -> None:
        """Leave the hot loop for something rarer."""
        self.fast_sender = self.envelope = self.current = None
        rest(ref, envelope, detail)
        if self.chores:
            self._do_chores()

    @staticmethod
    def _leave(ref: ActorRef[Any], inbox: Any, chunk: list[Envelope], handled: int) -> None:
        """Put what was not handled back in front of what came meanwhile."""
        if inbox is chunk:
            left = chunk[handled:]
            ref._inbox = deque(left) if len(left) > 4 * BATCH else left
        else:
            inbox.extendleft(reversed(chunk[handled:]))

    def _do_chores(self) -> None:
        chores = self.chores
        while chores:
            chore, ref = chores.popleft()
            chore(ref)

    def later(self, chore: Callable[[ActorRef[Any]], None], ref: ActorRef[Any]) -> None:
        """Do `chore(ref)` soon, and not from within the caller."""
        self.chores.append((chore, ref))
        self.wake()

    @contextlib.contextmanager
    def acting(self, ref: ActorRef[Any], envelope: Envelope) -> Iterator[None]:
        """While a hook runs: messages it sends come from `ref`, caused by `envelope`."""
        before = (running_in.get(self.thread_id), self.current, self.envelope, self.fast_sender)
        running_in[self.thread_id] = self
        self.current, self.envelope = ref, envelope
        self.fast_sender = ref if self.tracing is None else None
        try:
            yield
        finally:
            running, self.current, self.envelope, self.fast_sender = before
            if running is None:
                del running_in[self.thread_id]
            else:
                running_in[self.thread_id] = running
