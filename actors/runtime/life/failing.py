"""When an actor fails: what supervision says is carried out here, from `on_failure` to a restart or the parent's concern.

Rules of this file are those of `life.py`, whose other half it is.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from typing import TYPE_CHECKING, Any

from actors.runtime.control import START, Start
from actors.runtime.dispatcher import Dispatcher
from actors.runtime.life.belongings import Belongings, belongings
from actors.runtime.life.states import Event, State
from actors.runtime.messages import ChildFailed
from actors.runtime.ref import ActorRef, Envelope

if TYPE_CHECKING:
    from actors.runtime.life.start_and_stop import Life
    from actors.runtime.system import ActorSystem

__all__ = ["Failures", "one_line"]

logger = logging.getLogger("actors")

Ref = ActorRef[Any]


class Failures:
    """Fails the actors of one system."""

    def __init__(self, system: ActorSystem, dispatcher: Dispatcher, life: Life) -> None:
        self._system = system
        self._dispatcher = dispatcher
        self._life = life

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
            self._life.wind_down(ref)
            return
        self._system._restarts += 1
        ref._life.on(Event.FAILED_TO_RESTART)
        own.backoff_over = False
        stop_was_asked = own.stop_deadline is not None
        self._life.wind_down(ref)
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
            self._life.begin(ref, self._dispatcher.wrap_from(ref, belongings(ref).cause, START, "message"))
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
            self._life.notify(parent, ref, ChildFailed(ref.name, one_line(own.failure), own.failure_text))
        elif ref._supervision.escalates or isinstance(own.failure, KeyboardInterrupt | SystemExit):
            self._dispatcher.later(lambda parent, error=own.failure: self.fail_aside(parent, error), parent)  # type: ignore[misc]


def one_line(error: BaseException) -> str:
    """Type and first line of an error."""
    try:
        text = str(error).strip().partition("\n")[0]
    except BaseException:  # an error is an object like any other, and its text may raise
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
