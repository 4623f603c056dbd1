"""The life of actors: start, handlers that are more than a call, stop. Carries out what `lifecycle.py` allows.

Rules of this file

* Every change of state is a step of the table. All of it happens on the loop's thread.
* While an actor is anything but running-and-free, its mailbox is a list that only collects, and it is not on the run queue.
* Children stop before their parent, and before a parent is restarted. A chain of any depth unwinds through the
  dispatcher's chores, never by recursion.
* An actor that failed is told so (`on_failure`), as in pykka; `on_stop` is only for one that is asked to stop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from actors.runtime.context import handling
from actors.runtime.control import Start
from actors.runtime.dispatcher import Dispatcher
from actors.runtime.errors import ActorDeadError
from actors.runtime.life.belongings import Belongings, belongings
from actors.runtime.life.failing import Failures, one_line
from actors.runtime.life.states import Event, State
from actors.runtime.messages import Terminated
from actors.runtime.ref import CLOSED, ActorRef, Envelope

if TYPE_CHECKING:
    from actors.runtime.system import ActorSystem

__all__ = ["Life"]

logger = logging.getLogger("actors")

Ref = ActorRef[Any]


class Life:
    """Moves the actors of one system through their lives."""

    def __init__(self, system: ActorSystem, dispatcher: Dispatcher) -> None:
        self._system = system
        self._dispatcher = dispatcher
        self.failures = Failures(system, dispatcher, self)

    # ---------------------------------------------------------------- start

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
            collected = ref._inbox
            ref._inbox = [envelope, *collected]
            self._dispatcher.resume(ref)
        else:
            ref._life.on(Event.STARTED)
            self._dispatcher.resume(ref)

    def never_was(self, ref: Ref, siblings: dict[Ref, None]) -> None:
        """The first instance's `__init__` raised: unregister the actor, and end what it had started."""
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
        if isinstance(envelope[0], Start):
            self._run_hook(ref, envelope, ref._actor.on_start, self._started)  # type: ignore[union-attr]
        else:
            self._stop(ref, envelope)

    def _started(self, ref: Ref, error: BaseException | None) -> None:
        if error is not None:
            self.failures.fail(ref, error, tell_actor=False)
            return
        ref._life.on(Event.STARTED)
        self._dispatcher.resume(ref)

    # ---------------------------------------------------------------- handlers

    def handler_failed(self, ref: Ref, envelope: Envelope, error: BaseException) -> None:
        """A plain handler raised, and nobody asked (or it is no Exception)."""
        if envelope[2] is not None:
            self._dispatcher.answer_error(ref, envelope, error)
        self.failures.fail(ref, error, envelope)

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
        elif envelope[2] is not None and isinstance(error, Exception | asyncio.CancelledError):
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
        context = copy_context()
        context.run(handling.set, (ref, envelope))
        task = self._dispatcher.loop.create_task(
            coroutine, name=f"{ref.name}: {envelope[0]!r:.60}", context=context
        )
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

    # ---------------------------------------------------------------- stop

    def request_stop(self, ref: Ref, envelope: Envelope) -> None:
        """A stop was asked for: it waits its turn in the mailbox, but bounds how long an async handler may go on."""
        reply = envelope[2]
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
        logger.warning(
            "%s is cancelled in the middle of %r: its stop grace period is over",
            ref,
            own.handler[0].get_name(),
        )
        if ref._life.state in {State.STARTING, State.RUNNING}:
            self._stop(ref, (None, None, None, None, None, "message"))
        else:  # on_stop itself takes too long
            self._abandon_handler(ref, own)
            self._closed(ref, None)

    def _stop(self, ref: Ref, envelope: Envelope) -> None:
        ref._life.on(Event.STOP)
        if envelope[2] is not None:
            belongings(ref).stop_replies.append(envelope[2])
        if self._dispatcher.tracing is not None:
            asked_in = envelope[4]  # a stop is not in the trace: its cause stands for it
            belongings(ref).cause = (
                None,
                None,
                None,
                asked_in if isinstance(asked_in, int) else None,
                asked_in,
                "message",
            )
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
        if envelope is not None and envelope[2] is not None and not envelope[2].done():
            envelope[2].set_exception(ActorDeadError(f"{ref} stopped while handling the message"))

    def _children_gone(self, ref: Ref) -> None:
        """The last child has gone, or there was none."""
        if ref._life.state is State.BACKING_OFF:
            if belongings(ref).backoff_over:
                self.failures.restart(ref)
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
            envelope: Envelope = own.cause or (None, None, None, None, None, "message")
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
                self.failures.tell_parent(ref, own)
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
        try:
            self._dispatcher.put(receiver, envelope)
        except ActorDeadError:
            pass


NO_RECIPE: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    if task.cancelled():
        return asyncio.CancelledError("cancelled")
    return task.exception()
