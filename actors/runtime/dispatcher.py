"""The dispatcher: runs the actors of one system on one asyncio event loop, and moves them through their lives.

* Everything here runs on the loop's thread, but for the few lines marked otherwise.
* An actor is on the run queue if and only if its mailbox (see `ref.py`) holds messages and it is not busy: it never runs twice.
* A turn handles up to `BATCH` messages of each actor, the longest waiting first, and gives the loop back after `TURN` messages or
  `TURN_SECONDS`: I/O and timers wait no longer than that and one handler.
* The hot loop only calls plain handlers. Whatever is rarer leaves it with the actor's mailbox in order, and goes to `Life`;
  meanwhile that mailbox only collects.
* Children stop before their parent stops or restarts. A chain of any depth unwinds through the chores, never by recursion.
* An actor that failed is told so (`on_failure`), as in pykka; `on_stop` is only for one that is asked to stop.
* Tasks are made here alone. Each is named, owned by one actor, ends with it, and fails it if it fails.
"""

import asyncio
import contextlib
import itertools
import logging
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from actors.runtime.errors import ActorDeadError, Timeout
from actors.runtime.handlers import START, STOP, Control
from actors.runtime.messages import ChildFailed, Terminated
from actors.runtime.pykka_seam import PykkaStop
from actors.runtime.ref import (
    CAUSE,
    CLOSED,
    ID,
    MESSAGE,
    NOTHING,
    REPLY,
    ActorRef,
    Belongings,
    Envelope,
    TimerHeap,
    acting_here,
    belongings,
    handling,
    running_in,
)
from actors.runtime.reply import Reply, settle
from actors.runtime.states import ENDING, Event, State
from actors.runtime.threads import get_ident

if TYPE_CHECKING:
    from actors.runtime.system import ActorSystem, Tracing

logger = logging.getLogger("actors")

Ref = ActorRef[Any]
Then = Callable[[Ref, Envelope, asyncio.Task[Any]], None]
After = Callable[[Ref, BaseException | None], None]

BATCH = 64
TURN = 1024
TURN_SECONDS = 0.005
CHECK = 32

NO_RECIPE: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})  # one for all actors that are never made again


class Dispatcher:
    """Run queue, hot loop and the sending of messages.

    Attributes:
        fast_sender: the actor being run, if messages it sends need no id (no trace is written); else None.
        current: the actor being run, or None between turns.
        envelope: the message being handled.
        run_queue: actors with messages to handle.
        chores: small steps that must not recurse (a stopped child tells its parent's life).
    """

    def __init__(self, system: "ActorSystem", loop: asyncio.AbstractEventLoop) -> None:
        self.system = system
        self.name = system.name
        self.loop = loop
        self.life = Life(system, self)
        self.timers = TimerHeap(loop)
        self.thread_id = get_ident()
        self.tracing: Tracing | None = None
        self.real_time = not hasattr(loop, "wall_time")
        self.run_queue: deque[Ref] = deque()
        self.chores: deque[tuple[Callable[[Ref], None], Ref]] = deque()
        self.fast_sender: Ref | None = None
        self.current: Ref | None = None
        self.envelope: Envelope | None = None
        self.message_ids = itertools.count(1)
        self.handled = 0
        self.context = Context()
        self._scheduled = False
        self._inbound: deque[tuple[Ref, Envelope]] = deque()
        self._inbound_wake = False

    def send(self, ref: Ref, message: Any, reply: Reply[Any] | None, cause: int | str | None = None) -> None:
        """Put a message into a mailbox; ActorDeadError if the actor has stopped. From any thread."""
        if type(message) is PykkaStop:
            self.request_stop(ref, reply)
            return
        envelope = self.wrap(message, reply, cause)
        if get_ident() != self.thread_id:
            self._send_from_thread(ref, envelope)
        else:
            self.put(ref, envelope)

    def wrap(self, message: Any, reply: Reply[Any] | None, cause: int | str | None = None) -> Envelope:
        """A message with its sender, and with its id and cause if a trace is written. From any thread."""
        acting = acting_here()
        sender = None if acting is None else acting[0]
        if self.tracing is None:
            return (message, sender, reply, None, None, "message")
        if cause is None and acting is not None:
            cause = acting[1][ID]
            if cause is not None and acting[0]._dispatcher is not self:
                cause = f"{acting[0]._dispatcher.name}#{cause}"
        return (message, sender, reply, next(self.message_ids), cause, "message")

    def wrap_from(self, sender: Ref, cause: Envelope | None, message: Any, kind: str = "message") -> Envelope:
        """A message that `sender` meant to send when it handled `cause`. On the loop's thread."""
        if self.tracing is None:
            return (message, sender, None, None, None, kind)
        return (message, sender, None, next(self.message_ids), None if cause is None else cause[ID], kind)

    def put(self, ref: Ref, envelope: Envelope) -> None:
        """Put an envelope into a mailbox, and an idle actor on the run queue; ActorDeadError if the actor has stopped."""
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

    def _send_from_thread(self, ref: Ref, envelope: Envelope) -> None:
        # On a foreign thread. The deque is the only thing both sides touch; its operations are atomic.
        if ref._inbox is CLOSED and envelope[MESSAGE] is not STOP:
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
            if envelope[MESSAGE] is STOP:
                self.life.request_stop(ref, envelope)
                continue
            try:
                self.put(ref, envelope)
            except ActorDeadError:
                self.undeliverable(ref, envelope)

    def request_stop(self, ref: Ref, reply: Reply[Any] | None) -> None:
        """Ask an actor to stop. From any thread."""
        envelope = self.wrap(STOP, reply)
        if get_ident() == self.thread_id:
            self.life.request_stop(ref, envelope)
            return
        try:
            self._send_from_thread(ref, envelope)
        except ActorDeadError:
            settle(reply, False)

    def expire(self, reply: Reply[Any], timeout: float) -> None:
        """Answer `reply` with Timeout unless it is answered within `timeout` seconds. From any thread."""
        late = partial(settle, reply, None, Timeout(f"{timeout} seconds"))
        if get_ident() == self.thread_id:
            self.loop.call_later(timeout, late)
        else:
            self.loop.call_soon_threadsafe(self.loop.call_later, timeout, late)

    def undeliverable(self, ref: Ref, envelope: Envelope) -> None:
        """What was in the mailbox of an actor that stopped: refused to an asker, else a dead letter."""
        message, _, reply, *_ = envelope
        if message is STOP:
            settle(reply, True)
        elif reply is not None:
            settle(reply, None, ActorDeadError(f"{ref} stopped before handling the message"))
            if self.tracing is not None:
                self.tracing.dead_letter(ref, envelope)
        else:
            self.system.dead_letters.add(ref, envelope, "the actor stopped before handling it")

    def answer(self, ref: Ref, envelope: Envelope, value: Any, error: BaseException | None = None) -> None:
        """Answer an ask, unless its asker has given up. With an exception the actor lives on, as in pykka."""
        reply = envelope[REPLY]
        if error is not None:
            logger.info("%s returned an exception to its asker: %r", ref, error)
        if reply is not None and not reply._done:
            reply._finish(value, error)
            if self.tracing is not None:
                self.tracing.reply(ref, envelope, value if error is None else error)

    def wake(self) -> None:
        """See that a turn is taken soon."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self.run, context=self.context)

    def resume(self, ref: Ref) -> None:
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
            handlers: Any = ref._table.by_type
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
                        self.answer(ref, envelope, None, error)
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

    def _step_aside(self, rest: Callable[..., None], ref: Ref, envelope: Envelope, detail: Any) -> None:
        """Leave the hot loop for something rarer."""
        self.fast_sender = self.envelope = self.current = None
        rest(ref, envelope, detail)
        if self.chores:
            self._do_chores()

    @staticmethod
    def _leave(ref: Ref, inbox: Any, chunk: list[Envelope], handled: int) -> None:
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

    def later(self, chore: Callable[[Ref], None], ref: Ref) -> None:
        """Do `chore(ref)` soon, and not from within the caller."""
        self.chores.append((chore, ref))
        self.wake()

    @contextlib.contextmanager
    def acting(self, ref: Ref, envelope: Envelope) -> Iterator[None]:
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


class Life:
    """What is rarer than a plain handler: start, failure, restart and stop, and the tasks of async handlers."""

    def __init__(self, system: "ActorSystem", dispatcher: Dispatcher) -> None:
        self._system = system
        self._dispatcher = dispatcher

    def begin(self, ref: Ref, envelope: Envelope, collected: Iterable[Envelope] = ()) -> None:
        """Give `ref` an instance, and let it start; if its `__init__` raises, it never was.

        `envelope` is the START, whose cause is whoever spawned it; then comes what was `collected` in the mailbox before.
        """
        ref._inbox = []
        cls = ref.actor_class
        actor = object.__new__(cls)
        object.__setattr__(
            actor, "_actor_ref", ref
        )  # by way of __dict__ there would be one, of a hundred bytes
        ref._actor = actor
        args, kwargs = ref._recipe
        with self._dispatcher.acting(ref, envelope):
            actor.__init__(*args, **kwargs)
        if not ref._supervision.restart:
            ref._recipe = NO_RECIPE
        if self._dispatcher.tracing is not None:
            self._dispatcher.tracing.started(ref, envelope)
        ref._inbox = [*collected, *ref._inbox]
        if cls._has_on_start:
            ref._inbox.insert(0, envelope)
            self._dispatcher.resume(ref)
        else:
            self._started(ref, None)

    def discard_unstarted(self, ref: Ref, siblings: dict[Ref, None]) -> None:
        """The first instance's `__init__` raised: unregister the actor, and clean up whatever it had started."""
        siblings.pop(ref, None)
        ref._parent = None
        self._system.free_name(ref)
        if ref._belongings is not None or ref._inbox:
            ref._life.on(Event.STOP)
            self.wind_down(ref)
        else:
            ref._life.on(Event.NEVER_WAS)
            ref._inbox, ref._actor = CLOSED, None

    def control(self, ref: Ref, envelope: Envelope, _detail: Any) -> None:
        """Do what a control message says; the dispatcher calls this with the rest of the mailbox in place."""
        if envelope[MESSAGE] is START:
            self._run_hook(ref, envelope, ref._actor.on_start, self._started)  # type: ignore[union-attr]
        else:
            self._stop(ref, envelope)

    def _started(self, ref: Ref, error: BaseException | None) -> None:
        if error is None:
            ref._life.on(Event.STARTED)
            self._dispatcher.resume(ref)
        else:
            self.fail(ref, error, tell_actor=False)

    def handler_failed(self, ref: Ref, envelope: Envelope, error: BaseException) -> None:
        """A handler raised, and nobody asked (or it is not an Exception)."""
        if envelope[REPLY] is not None:
            self._dispatcher.answer(ref, envelope, None, error)
        self.fail(ref, error, envelope)

    def _handler_done(self, ref: Ref, envelope: Envelope, task: asyncio.Task[Any]) -> None:
        error = _error_of(task)
        asked = envelope[REPLY] is not None and isinstance(error, Exception | asyncio.CancelledError)
        if error is None or asked:
            self._dispatcher.answer(ref, envelope, None if error else task.result(), error)
            self._dispatcher.resume(ref)
        else:
            self.handler_failed(ref, envelope, error)

    def run_handler(
        self, ref: Ref, envelope: Envelope, work: Coroutine[Any, Any, Any], then: Then | None = None
    ) -> None:
        """Run an async handler, or hook, as a task; the actor is busy until it is done."""
        message = envelope[MESSAGE]  # its `repr` may be megabytes long
        what = repr(message) if isinstance(message, Control) else type(message).__qualname__
        task = self._make_task(ref, envelope, work, what)
        own = belongings(ref)
        own.handler = (task, envelope)
        if own.stop_deadline is not None:
            self._arm_stop_timer(ref, own)

        def done(task: asyncio.Task[Any]) -> None:
            if own.handler is not None and own.handler[0] is task:
                own.handler = None
                _disarm(own)
                (then or self._handler_done)(ref, envelope, task)
            elif not task.cancelled():  # abandoned by a failure or stop
                task.exception()  # looked at, so that asyncio is quiet

        task.add_done_callback(done)

    def _run_hook(self, ref: Ref, envelope: Envelope, hook: Callable[[], Any], then: After) -> None:
        """Run `on_start` or `on_stop`, plain or async; then go on."""
        try:
            with self._dispatcher.acting(ref, envelope):
                result = hook()
        except BaseException as error:
            then(ref, error)
            return
        if asyncio.iscoroutine(result):
            self.run_handler(ref, envelope, result, lambda ref, _, task: then(ref, _error_of(task)))
        else:
            then(ref, None)

    def run_in_background(self, ref: Ref, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `work` for an actor. What it sends has the message being handled now as its cause."""
        if ref.state in ENDING:
            work.close()
            raise ActorDeadError(f"{ref} is stopping and can start no background task")
        envelope = (acting_here() or (ref, (START, *NOTHING[1:])))[1]
        task = self._make_task(ref, envelope, work, name)
        own = belongings(ref)
        own.tasks.add(task)

        def done(task: asyncio.Task[Any]) -> None:
            error = None if task.cancelled() else task.exception()
            mine = task in own.tasks
            own.tasks.discard(task)
            if error is not None and mine:
                self.fail_aside(ref, error, envelope)

        task.add_done_callback(done)
        return task

    def _make_task(
        self, ref: Ref, envelope: Envelope, work: Coroutine[Any, Any, Any], name: str
    ) -> asyncio.Task[Any]:
        """A task whose messages come from `ref`, caused by `envelope`."""
        context = copy_context()
        context.run(handling.set, (ref, envelope))
        return self._dispatcher.loop.create_task(work, name=f"{ref.name}: {name}", context=context)

    def fail_aside(self, ref: Ref, error: BaseException, envelope: Envelope | None = None) -> None:
        """The actor failed outside of its handlers: in a background task, or through a child."""
        if ref._inbox:
            with contextlib.suppress(ValueError):  # it may wait on the run queue, and must not be run now
                self._dispatcher.run_queue.remove(ref)
        self.fail(ref, error, envelope)
        self._dispatcher.wake()

    def fail(
        self, ref: Ref, error: BaseException, envelope: Envelope | None = None, *, tell_actor: bool = True
    ) -> None:
        """The actor failed: restart it or stop it, as its supervision says."""
        if ref.state not in {State.STARTING, State.RUNNING}:
            logger.error("%s failed while it was %s", ref, ref.state.value, exc_info=error)
            return
        logger.error("%s failed", ref, exc_info=error)
        if self._dispatcher.tracing is not None:
            self._dispatcher.tracing.failed(ref, envelope, error)
        if tell_actor:
            self._call_on_failure(ref, error, envelope)
        own = belongings(ref)
        own.cause = envelope
        delay = self._restart_delay(ref, own)
        if delay is None or isinstance(error, KeyboardInterrupt | SystemExit):
            own.failure = error
            own.failure_text = "".join(traceback.format_exception(error))
            ref._life.on(Event.FAILED_FOR_GOOD)
            self.wind_down(ref)
            return
        self._system._restarts += 1
        ref._life.on(Event.FAILED_TO_RESTART)
        own.backoff_over = False
        self.wind_down(ref)
        if own.stop_deadline is not None:  # a stop waits in the mailbox
            delay = 0.0
        own.backoff = self._dispatcher.loop.call_later(delay, self._backoff_over, ref)

    def _call_on_failure(self, ref: Ref, error: BaseException, envelope: Envelope | None) -> None:
        try:
            with self._dispatcher.acting(ref, envelope or NOTHING):
                ref._actor.on_failure(type(error), error, error.__traceback__)  # type: ignore[union-attr]
        except BaseException as second:
            logger.error("%s: on_failure failed", ref, exc_info=second)

    def _restart_delay(self, ref: Ref, own: Belongings) -> float | None:
        policy = ref._supervision
        if not policy.restart or self._system._stopping:
            return None
        now = self._dispatcher.loop.time()
        while own.restarts and own.restarts[0] <= now - policy.window:
            own.restarts.popleft()
        if len(own.restarts) >= policy.max_restarts:
            logger.error("%s failed more than %d times in %g s", ref, policy.max_restarts, policy.window)
            return None
        own.restarts.append(now)
        return policy.backoff.delay(len(own.restarts))

    def _backoff_over(self, ref: Ref) -> None:
        own = belongings(ref)
        own.backoff = None
        own.backoff_over = True
        if not own.children:
            self.restart(ref)

    def restart(self, ref: Ref) -> None:
        """The pause is over and the children are gone: a new instance takes over."""
        ref._life.on(Event.RESTART)
        collected: Any = ref._inbox
        try:
            self.begin(ref, self._dispatcher.wrap_from(ref, belongings(ref).cause, START), collected)
        except BaseException as error:
            ref._inbox = collected
            self.fail(ref, error, tell_actor=False)

    def _tell_parent(self, ref: Ref, failure: BaseException, text: str) -> None:
        """A final failure goes to the parent: as a message if it has a handler, else by failing it too."""
        parent = ref._parent
        if parent is not None and parent._table.understands(ChildFailed):
            self.notify(parent, ref, ChildFailed(ref.name, one_line(failure), text))
        elif ref._supervision.escalates or isinstance(failure, KeyboardInterrupt | SystemExit):
            if parent is None:
                self._system._fail(ref, failure)
            else:
                self._dispatcher.later(lambda parent: self.fail_aside(parent, failure), parent)

    def request_stop(self, ref: Ref, envelope: Envelope) -> None:
        """A stop was asked for: it waits its turn in the mailbox, but bounds how long an async handler may go on."""
        reply = envelope[REPLY]
        match ref.state:
            case State.STOPPED:
                settle(reply, False)
            case State.STOPPING | State.CLOSING:
                if reply is not None:
                    belongings(ref).stop_replies.append(reply)
            case State.BACKING_OFF:
                self._stop(ref, envelope)
            case _:
                if ref._inbox is not None:
                    own = belongings(ref)
                    if own.stop_deadline is None:
                        own.stop_deadline = self._dispatcher.loop.time() + ref.actor_class.stop_grace
                    if own.handler is not None:
                        self._arm_stop_timer(ref, own)
                self._dispatcher.put(ref, envelope)

    def _arm_stop_timer(self, ref: Ref, own: Belongings) -> None:
        if own.stop_timer is None and own.stop_deadline is not None:
            own.stop_timer = self._dispatcher.loop.call_at(own.stop_deadline, self._out_of_grace, ref)

    def _out_of_grace(self, ref: Ref) -> None:
        own = belongings(ref)
        own.stop_timer = None
        if own.handler is None:
            return
        logger.warning("%s: cancelling %r: the stop grace period has expired", ref, own.handler[0].get_name())
        if ref.state in {State.STARTING, State.RUNNING}:
            self._stop(ref, NOTHING)
        else:  # on_stop itself takes too long
            self._abandon_handler(ref, own)
            self._closed(ref, None)

    def _stop(self, ref: Ref, envelope: Envelope) -> None:
        ref._life.on(Event.STOP)
        if envelope[REPLY] is not None:
            belongings(ref).stop_replies.append(envelope[REPLY])
        if self._dispatcher.tracing is not None:
            asked_in = envelope[CAUSE]  # a stop is not in the trace: its cause stands for it
            id_ = asked_in if isinstance(asked_in, int) else None
            belongings(ref).cause = (None, None, None, id_, asked_in, "message")
        self.wind_down(ref)

    def wind_down(self, ref: Ref) -> None:
        """End what belongs to the actor; go on when its children are gone."""
        if ref._inbox is None:
            ref._inbox = []
        if ref._timers is not None:
            for timer in tuple(ref._timers):
                timer.cancel()
        own = ref._belongings
        if own is None:
            self._children_gone(ref)
            return
        self._abandon_handler(ref, own)
        for task in list(own.tasks):
            task.cancel()
        if ref.state is State.BACKING_OFF:
            own.tasks.clear()  # what they still do no longer concerns the next instance
        if own.backoff is not None:
            own.backoff.cancel()
            own.backoff = None
        if own.children:
            for child in reversed(own.children):
                self._dispatcher.request_stop(child, None)
        else:
            self._children_gone(ref)

    def _abandon_handler(self, ref: Ref, own: Belongings) -> None:
        """Cancel a running async handler; its asker learns that the actor is gone."""
        _disarm(own)
        if own.handler is None:
            return
        task, envelope = own.handler
        own.handler = None
        task.cancel()
        settle(envelope[REPLY], None, ActorDeadError(f"{ref} stopped while handling the message"))

    def _children_gone(self, ref: Ref) -> None:
        """The last child has gone, or there was none."""
        own = ref._belongings
        if ref.state is State.BACKING_OFF:
            if belongings(ref).backoff_over:
                self.restart(ref)
        elif ref.state is State.STOPPING:
            if own is not None and own.tasks:
                own.winding_down = self._dispatcher.loop.create_task(
                    self._await_tasks(ref, own), name=f"{ref.name}: stopping"
                )
            else:
                self._close(ref)

    async def _await_tasks(self, ref: Ref, own: Belongings) -> None:
        """Background tasks were cancelled: give them the grace to end, then name those that did not."""
        if own.tasks:  # they may have ended since this was scheduled
            await asyncio.wait(list(own.tasks), timeout=ref.actor_class.stop_grace)
        for task in own.tasks:
            logger.error("%s: background task %r ignores its cancellation", ref, task.get_name())
        self._close(ref)

    def _close(self, ref: Ref) -> None:
        ref._life.on(Event.CHILDREN_GONE)
        rest, ref._inbox = ref._inbox, CLOSED
        own = ref._belongings
        if rest:
            belongings(ref).leftovers = rest
        if (own is None or own.failure is None) and ref.actor_class._has_on_stop:
            own = belongings(ref)
            own.stop_deadline = self._dispatcher.loop.time() + ref.actor_class.stop_grace
            self._run_hook(ref, own.cause or NOTHING, ref._actor.on_stop, self._closed)  # type: ignore[union-attr]
        else:
            self._closed(ref, None)

    def _closed(self, ref: Ref, error: BaseException | None) -> None:
        ref._life.on(Event.CLOSED)
        if error is not None:
            logger.error("%s: on_stop failed", ref, exc_info=error)
        own = ref._belongings
        self._system.free_name(ref)
        ref._actor = None
        parent = ref._parent
        if own is not None:
            if self._dispatcher.tracing is not None:  # then there are belongings: the cause is in them
                self._dispatcher.tracing.ended(ref, own.cause)
            _disarm(own)
            reason = "stopped" if own.failure is None else one_line(own.failure)
            for envelope in own.leftovers:
                self._dispatcher.undeliverable(ref, envelope)
            for watcher in own.watchers:
                self.notify(watcher, ref, Terminated(ref.name, reason))
            for reply in own.stop_replies:
                settle(reply, True)
            if own.failure is not None:
                self._tell_parent(ref, own.failure, own.failure_text)
            ref._belongings = None
        if parent is not None and parent._belongings is not None:
            children = parent._belongings.children
            children.pop(ref, None)
            if not children and parent._life.state in {State.STOPPING, State.BACKING_OFF}:
                self._dispatcher.later(self._children_gone, parent)
        elif parent is None:
            self._system._child_of_root_gone(ref)

    def notify(self, receiver: Ref, sender: Ref, message: Any) -> None:
        """Tell an actor of another's end; a receiver that no longer lives does not want to know."""
        cause = None if sender._belongings is None else sender._belongings.cause
        with contextlib.suppress(ActorDeadError):
            self._dispatcher.put(receiver, self._dispatcher.wrap_from(sender, cause, message))


def _disarm(own: Belongings) -> None:
    if own.stop_timer is not None:
        own.stop_timer.cancel()
        own.stop_timer = None


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    return (
        asyncio.CancelledError(f"{task.get_name()} was cancelled") if task.cancelled() else task.exception()
    )


def one_line(error: BaseException) -> str:
    """Type and first line of an error."""
    text = ""
    with contextlib.suppress(BaseException):  # an error is an object like any other, and its text may raise
        text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
