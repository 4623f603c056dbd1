"""What every scheduler actor is, with the broker or without: it can begin, end, and survive its author's mistakes.

Here belongs what has nothing to do with tasks: containing what callbacks raise, spawning the servants, remembering the
framework's id, TEARDOWN and the outcome. `SchedulerActor` adds tasks and the broker, `LowLevelScheduler` offers in hand.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

from actors import messages as m
from actors.built_in import SERVANTS, TASK, spec_of
from actors.runtime import RESTART, Actor, ChildFailed, NoSettings, receive
from actors.settings import Composition
from mesos_v1.values import FrameworkId

logger = logging.getLogger("actors.scheduler")

FRAMEWORK = "framework"


class BaseScheduler(Actor):
    """The common part of schedulers; see the head of this module.

    Attributes:
        settings: the author's own settings, an instance of the class's `Settings`.
        framework: who the framework is (`FrameworkSettings`).
        framework_id: set once the framework has been subscribed.
        hook_failures: how many callbacks have raised so far.
    """

    Settings: ClassVar[type] = NoSettings

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__()
        self.composition = composition
        self.settings = settings
        self.framework = composition.framework
        self.framework_id: FrameworkId | None = None
        self.hook_failures = 0
        self._begun = False
        self._exit_code = 0
        self._ending = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Contain what an author's own handlers raise, as callbacks are contained; refuse names that are taken.

        Raises:
            TypeError: An author's class has a method with the name of one of the inner methods of its base.
        """
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("actors."):
            return
        for name, member in list(vars(cls).items()):
            if inspect.isfunction(member) and _is_inner(cls, name):
                raise TypeError(
                    f"{cls.__name__}.{name} has the name of an inner method of {_home(cls, name)}, "
                    "which would no longer work: give it another one"
                )
            if hasattr(member, "__receives__"):
                setattr(cls, name, _contained(member))

    # --- commands for authors ---------------------------------------------------------------------------------

    def finish(self, exit_code: int = 0, reason: str = "finished") -> None:
        """End the framework: TEARDOWN, which ends its tasks and executors too, then the process's exit code."""
        if not self._ending:
            self._ending, self._exit_code = reason or "finished", exit_code
            self._tear_down()

    def leave(self, exit_code: int = 0, reason: str = "left") -> None:
        """Stop scheduling without ending the framework: with a store path, the next run goes on from here."""
        if not self._ending:
            self._ending, self._exit_code = reason or "left", exit_code
            self._end(exit_code, self._ending)

    def on_shutdown_requested(self, request: m.ShutdownRequested) -> None:
        """Leave a framework whose store is durable, so that it can be resumed; end any other."""
        if self._is_durable():
            self.leave(0, f"{request.reason}: left; the next run with the same store goes on")
        else:
            self.finish(0, request.reason)

    def on_error(self, message: str) -> None:
        """Something is wrong that tasks do not show: the store's disk, a call, the master's refusal."""

    # --- life -------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Say that the scheduler is there; an author's own `on_start` calls this one."""
        self.tell("framework", m.ActorStarted("scheduler"))

    def spawn_built_in(self, name: str) -> None:
        """Start a built-in actor, or what the composition has put in its place."""
        spec = spec_of(self.composition, name)
        self.spawn(spec.cls, self.composition, spec.settings, name=name, supervision=RESTART)

    def spawn_extra_actors(self) -> None:
        """Start the author's further actors; those that are there already stay."""
        for spec in self.composition.actors:
            if spec.name not in SERVANTS and spec.name != TASK and self.system.find(spec.name) is None:
                self.spawn(spec.cls, self.composition, spec.settings, name=spec.name, supervision=RESTART)

    @receive
    def child_failed(self, failure: ChildFailed) -> None:
        """Without a built-in actor there is no framework; anything else is the author's to miss."""
        logger.error("%s failed: %s\n%s", failure.name, failure.error, failure.traceback_text)
        if failure.name in SERVANTS:
            self._end(1, f"{failure.name} failed again and again: {failure.error}")
        else:
            self._call(self.on_error, f"{failure.name} failed: {failure.error}")

    @receive
    def storage_trouble(self, trouble: m.StorageTrouble) -> None:
        """The store cannot write; nothing is acknowledged until it can."""
        self._call(self.on_error, f"the store cannot write: {trouble.reason}")

    @receive
    def shutdown_requested(self, request: m.ShutdownRequested) -> None:
        """Let the author end gracefully; if that callback raises, end anyway."""
        before = self.hook_failures
        self._call(self.on_shutdown_requested, request)
        if self.hook_failures > before:
            BaseScheduler.on_shutdown_requested(self, request)

    @receive
    async def teardown_done(self, done: m.TeardownDone) -> None:
        """The framework is no more, and what is stored of it is of no use."""
        await self.ref("store").ask(m.ClearStore(), block=False)
        self._end(self._exit_code, self._ending or done.reason)

    @receive
    def hook_failed(self, failure: m.HookFailed) -> None:
        """Nothing to do: the message is there so that the trace shows it."""

    def _tear_down(self) -> None:
        self.tell("connection", m.Teardown())

    def _end(self, exit_code: int, reason: str) -> None:
        self._ending = self._ending or reason
        self.tell("framework", m.Outcome(exit_code, reason))

    # --- odds and ends ----------------------------------------------------------------------------------------

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a callback of the author; whatever it raises ends here."""
        try:
            return hook(*arguments)
        except Exception as error:
            self._hook_raised(hook.__name__, error)
            return None

    def _hook_raised(self, hook: str, error: Exception) -> None:
        self.hook_failures += 1
        text = "".join(traceback.format_exception(error))
        logger.error("%s raised; the framework goes on\n%s", hook, text)
        self.tell(self.actor_ref, m.HookFailed(hook, f"{type(error).__name__}: {error}", text))

    def _remember(self, **facts: str) -> None:
        records = tuple(m.Record(FRAMEWORK, key, value.encode()) for key, value in facts.items())
        self.tell("store", m.Write(records))

    def _is_durable(self) -> bool:
        return bool(getattr(spec_of(self.composition, "store").settings, "path", ""))


def facts_in(records: tuple[m.Record, ...]) -> dict[str, str]:
    """Return what was remembered of the framework as a whole."""
    return {record.key: record.value.decode() for record in records if record.kind == FRAMEWORK}


def _home(cls: type, name: str) -> str:
    return next(base.__name__ for base in cls.__mro__[1:] if name in vars(base))


def _is_inner(cls: type, name: str) -> bool:
    if not name.startswith("_") or name.endswith("__"):
        return False
    return any(name in vars(base) for base in cls.__mro__[1:] if base.__module__.startswith("actors."))


def _contained(handler: Any) -> Any:
    """Wrap an author's handler so that what it raises is contained."""
    if inspect.iscoroutinefunction(handler):

        async def contained_async(self: BaseScheduler, asked: Any) -> Any:
            try:
                return await handler(self, asked)
            except Exception as error:
                self._hook_raised(handler.__name__, error)
                return None

        wrapper: Any = contained_async
    else:

        def contained(self: BaseScheduler, asked: Any) -> Any:
            return self._call(handler.__get__(self), asked)

        wrapper = contained
    wrapper.__name__, wrapper.__qualname__, wrapper.__doc__ = (
        handler.__name__,
        handler.__qualname__,
        handler.__doc__,
    )
    wrapper.__wrapped__ = handler
    for mark in ("__receives__", "__receives_namespace__"):
        if hasattr(handler, mark):
            setattr(wrapper, mark, getattr(handler, mark))
    return wrapper
