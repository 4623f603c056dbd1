"""The life of actors: start, handlers that are more than a call, work beside the mailbox, failure, stop.

Rules of this file

* Every change of state is a step of the table in `states.py`. All of it happens on the loop's thread.
* While an actor is anything but running-and-free, its mailbox is a list that only collects, and it is not on the run queue.
* Children stop before their parent, and before a parent is restarted. A chain of any depth unwinds through the
  dispatcher's chores, never by recursion.
* An actor that failed is told so (`on_failure`), as in pykka; `on_stop` is only for one that is asked to stop.
* Tasks are made here alone. Each is named, owned by one actor, ends with it, and fails it if it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import traceback
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from actors.runtime.errors import ActorDeadError
from actors.runtime.handlers import START, Start
from actors.runtime.life.states import Event, State
from actors.runtime.messages import ChildFailed, Terminated
from actors.runtime.ref import (
    CAUSE,
    CLOSED,
    MESSAGE,
    NOTHING,
    REPLY,
    ActorRef,
    Belongings,
    Envelope,
    acting_here,
    belongings,
    handling,
)
from actors.runtime.threads import get_ident

if TYPE_CHECKING:
    from actors.runtime.dispatcher import Dispatcher
    from actors.runtime.system import ActorSystem

logger = logging.getLogger("actors")

P = ParamSpec("P")
T = TypeVar("T")
Ref = ActorRef[Any]

_in_threads: dict[int, Callable[..., Any]] = {}
"""What actors run in pool threads now, by the number of the thread."""


class Life:
    """Moves the actors of one system through their lives."""

    def __init__(self, system: ActorSystem, dispatcher: Dispatcher) -> None:
        self._system = system
        self._dispatcher = dispatcher

    def begin(self, ref: Ref, envelope: Envelope) -> None:
        """Give `ref` an instance, and let it start. `envelope` is the START, whose cause is whoever spawned it.

        Raises:
            BaseException: what the actor's `__init__` raised; the actor never was.
        """
        ref._inbox = []
        cls = ref.actor_class
        actor = object.__new__(cls)
        actor.__dict__["_actor_ref"] = ref
        ref._actor = actor
        args, kwargs = ref._recipe
        with self._dispatcher.acting(ref, envelope):
            actor.__init__(*args, **kwargs)
        if ref._supervision.restart is False:
            ref._recipe = NO_RECIPE
        if self._dispatcher.tracing is not None:
            self._dispatcher.tracing.started(ref, envelope)
        if cls._has_on_start:
            ref._inbox = [envelope, *ref._inbox]
            self._dispatcher.resume(ref)
        else:
            self._started(ref, None)

    def discard_unstarted(self, ref: Ref, siblings: dict[Ref, None]) -> None:
        """The first instance's `__init__` raised: unregister the actor, and clean up whatever it had started."""
        siblings.pop(ref, None)
        ref._parent = None
        self._system._forget(ref)
        if ref._belongings is not None or ref._inbox:
            ref._life.on(Event.STOP)
            self.wind_down(ref)
        else:
            ref._life.on(Event.NEVER_WAS)
            ref._inbox, ref._actor = CLOSED, None

    def control(self, ref: Ref, envelope: Envelope, _detail: Any) -> None:
        """Do what a control message says; the dispatcher calls this with the rest of the mailbox in place."""
        if isinstance(envelope[MESSAGE], Start):
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
        """A plain handler raised, and nobody asked (or it is no Exception)."""
        if envelope[REPLY] is not None:
            self._dispatcher.answer_error(ref, envelope, error)
        self.fail(ref, error, envelope)

    def run_handler(self, ref: Ref, envelope: Envelope, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run an async handler as a task; the actor is busy until it is done."""
        self._run_task(ref, envelope, coroutine, self._handler_done)

    def _handler_done(self, ref: Ref, envelope: Envelope, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError(f"the handler of {ref} was cancelled")
        else:
            error = task.exception()
        if error is None:
            self._dispatcher.answer(ref, envelope, task.result())
            self._dispatcher.resume(ref)
        elif envelope[REPLY] is not None and isinstance(error, Exception | asyncio.CancelledError):
            self._dispatcher.answer_error(ref, envelope, error)
            self._dispatcher.resume(ref)
        else:
            self.handler_failed(ref, envelope, error)

    def _run_task(
        self,
        ref: Ref,
        envelope: Envelope,
        coroutine: Coroutine[Any, Any, Any],
        then: Callable[[Ref, Envelope, asyncio.Task[Any]], None],
    ) -> None:
        task = self._make_task(ref, envelope, coroutine, f"{envelope[MESSAGE]!r:.60}")
        own = belongings(ref)
        own.handler = (task, envelope)
        if own.stop_deadline is not None:
            self._arm_stop_timer(ref, own)

        def done(task: asyncio.Task[Any]) -> None:
            if own.handler is None or own.handler[0] is not task:
                if (
                    not task.cancelled()
                ):  # abandoned by a failure or stop; look at its error so that asyncio is quiet
                    task.exception()
                return
            own.handler = None
            if own.stop_timer is not None:
                own.stop_timer.cancel()
                own.stop_timer = None
            then(ref, envelope, task)

        task.add_done_callback(done)

    def _run_hook(
        self,
        ref: Ref,
        envelope: Envelope,
        hook: Callable[[], Any],
        then: Callable[[Ref, BaseException | None], None],
    ) -> None:
        """Run `on_start` or `on_stop`, plain or async; then go on."""
        try:
            with self._dispatcher.acting(ref, envelope):
                result = hook()
        except BaseException as error:
            then(ref, error)
            return
        if asyncio.iscoroutine(result):
            self._run_task(ref, envelope, result, lambda ref, _, task: then(ref, _error_of(task)))
        else:
            then(ref, None)

    def run_in_background(self, ref: Ref, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `work` for an actor. What it sends has the message being handled now as its cause."""
        if ref.state in {State.STOPPING, State.CLOSING, State.STOPPED}:
            work.close()
            raise ActorDeadError(f"{ref} is stopping and can start no background task")
        acting = acting_here()
        envelope: Envelope = (START, *NOTHING[1:]) if acting is None else acting[1]
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
        if ref._life.state not in {State.STARTING, State.RUNNING}:
            logger.error("%s failed while it was %s", ref, ref._life.state.value, exc_info=error)
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
        stop_was_asked = own.stop_deadline is not None
        self.wind_down(ref)
        if stop_was_asked:
            delay = 0.0
        own.backoff = self._dispatcher.loop.call_later(delay, self._backoff_over, ref)

    def _call_on_failure(self, ref: Ref, error: BaseException, envelope: Envelope | None) -> None:
        try:
            with self._dispatcher.acting(ref, envelope or (None, None, None, None, None, "message")):
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
        collected = ref._inbox
        try:
            self.begin(ref, self._dispatcher.wrap_from(ref, belongings(ref).cause, START, "message"))
        except BaseException as error:
            ref._inbox = collected
            self.fail(ref, error, tell_actor=False)
            return
        self._put_before(ref, collected)

    def _put_before(self, ref: Ref, collected: Any) -> None:
        """What was in the mailbox when the old instance failed comes first; but START comes before everything."""
        if not collected:
            return
        newer = list(ref._inbox or ())  # type: ignore[arg-type]
        first = [newer.pop(0)] if newer and isinstance(newer[0][0], Start) else []
        queued = ref._inbox is not None and len(ref._inbox) > 0
        ref._inbox = [*first, *collected, *newer]
        if not queued:
            self._dispatcher.run_queue.append(ref)
            self._dispatcher.wake()

    def tell_parent(self, ref: Ref, own: Belongings) -> None:
        """A final failure goes to the parent: as a message if it has a handler, else by failing it too."""
        assert own.failure is not None
        parent = ref._parent
        if parent is None:
            if ref._supervision.escalates or isinstance(own.failure, KeyboardInterrupt | SystemExit):
                self._system._fail(ref, own.failure)
        elif parent._table.understands(ChildFailed):
            self.notify(parent, ref, ChildFailed(ref.name, one_line(own.failure), own.failure_text))
        elif ref._supervision.escalates or isinstance(own.failure, KeyboardInterrupt | SystemExit):
            self._dispatcher.later(lambda parent, error=own.failure: self.fail_aside(parent, error), parent)  # type: ignore[misc]

    def request_stop(self, ref: Ref, envelope: Envelope) -> None:
        """A stop was asked for: it waits its turn in the mailbox, but bounds how long an async handler may go on."""
        reply = envelope[REPLY]
        match ref._life.state:
            case State.STOPPED:
                if reply is not None and not reply.done():
                    reply.set(False)
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
        if ref._life.state in {State.STARTING, State.RUNNING}:
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
        own = ref._belongings
        if own is None:
            self._children_gone(ref)
            return
        self._abandon_handler(ref, own)
        for timer in list(own.timers):
            timer.cancel()
        for task in list(own.tasks):
            task.cancel()
        if ref._life.state is State.BACKING_OFF:
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
        if own.stop_timer is not None:
            own.stop_timer.cancel()
            own.stop_timer = None
        if own.handler is None:
            return
        task, envelope = own.handler
        own.handler = None
        task.cancel()
        if envelope is not None and envelope[REPLY] is not None and not envelope[REPLY].done():
            envelope[REPLY].set_exception(ActorDeadError(f"{ref} stopped while handling the message"))

    def _children_gone(self, ref: Ref) -> None:
        """The last child has gone, or there was none."""
        if ref._life.state is State.BACKING_OFF:
            if belongings(ref).backoff_over:
                self.restart(ref)
        elif ref._life.state is State.STOPPING:
            own = ref._belongings
            if own is not None and own.tasks:
                own.winding_down = self._dispatcher.loop.create_task(
                    self._await_tasks(ref, own), name=f"{ref.name}: stopping"
                )
            else:
                self._close(ref)

    async def _await_tasks(self, ref: Ref, own: Belongings) -> None:
        """Background tasks were cancelled: give them the grace to end, then name those that did not."""
        if own.tasks:  # they may have ended since this was scheduled
            _, pending = await asyncio.wait(list(own.tasks), timeout=ref.actor_class.stop_grace)
        else:
            pending = set()
        for task in pending:
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
            envelope: Envelope = own.cause or NOTHING
            own.stop_deadline = self._dispatcher.loop.time() + ref.actor_class.stop_grace
            self._run_hook(ref, envelope, ref._actor.on_stop, self._closed)  # type: ignore[union-attr]
        else:
            self._closed(ref, None)

    def _closed(self, ref: Ref, error: BaseException | None) -> None:
        ref._life.on(Event.CLOSED)
        if error is not None:
            logger.error("%s: on_stop failed", ref, exc_info=error)
        own = ref._belongings
        self._system._forget(ref)
        reason = "stopped"
        if own is not None and own.failure is not None:
            reason = one_line(own.failure)
        if self._dispatcher.tracing is not None:
            self._dispatcher.tracing.ended(ref, None if own is None else own.cause)
        ref._actor = None
        parent = ref._parent
        if own is not None:
            if own.stop_timer is not None:
                own.stop_timer.cancel()
            for envelope in own.leftovers:
                self._dispatcher.undeliverable(ref, envelope)
            for watcher in own.watchers:
                self.notify(watcher, ref, Terminated(ref.name, reason))
            for reply in own.stop_replies:
                if not reply.done():
                    reply.set(True)
            if own.failure is not None:
                self.tell_parent(ref, own)
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
        envelope = self._dispatcher.wrap_from(sender, cause, message, "message")
        with contextlib.suppress(ActorDeadError):
            self._dispatcher.put(receiver, envelope)


NO_RECIPE: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    if task.cancelled():
        return asyncio.CancelledError("cancelled")
    return task.exception()


def one_line(error: BaseException) -> str:
    """Type and first line of an error."""
    try:
        text = str(error).strip().partition("\n")[0]
    except BaseException:  # an error is an object like any other, and its text may raise
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
