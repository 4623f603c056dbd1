"""What every scheduler actor is, with the broker or without: it can begin, end, and survive its author's mistakes.

Here belongs what has nothing to do with tasks: `SchedulerActor` adds these and the broker, `LowLevelScheduler` offers in hand.
"""

import asyncio
import difflib
import functools
import inspect
import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from types import CoroutineType
from typing import Any, ClassVar

from actors import messages as m
from actors.framework_settings import BUILT_IN_NAMES, TASK, Composition
from actors.records import OPERATION, PHASE_OF_STATE, OperationRecord, Writes
from actors.runtime import RESTART, Actor, ActorDeadError, ChildFailed, NoSettings, receive
from mesos_v1 import events
from mesos_v1.values import FrameworkId, OperationId, OperationStatus
from wire.author_code import author_traceback, mistake_in_hook, one_line

logger = logging.getLogger("actors.scheduler")

FRAMEWORK = "framework"  # the kind of the records that hold facts of the framework as a whole
TAKEN_IN_AT_ONCE = 1000  # records that are decoded before the loop turns
ENDING = "ending"
"""Fact: the framework's end was asked for, with this exit code and for this reason, and its master could not be told."""
CLEAR_PATIENCE = 10.0  # seconds in which a store has to forget a framework that has ended
SAY_AFTER = 10.0  # seconds without an answer after which a log line says what is being waited for


def contain_author_code(cls: type, hooks: frozenset[str]) -> None:
    """Have an author's class contain what its own methods raise; refuse what could never run as it is written (TypeError).

    `mesostic check` finds it so: the class is looked at when it is made.
    """
    for name, member in list(vars(cls).items()):
        if not inspect.isfunction(member):
            continue
        homes = [base for base in cls.__mro__[1:] if name in vars(base)]
        inner = name.startswith("_") and not name.endswith("__")
        if inner and any(base.__module__.startswith("actors.") for base in homes):
            raise TypeError(
                f"{cls.__name__}.{name} has the name of an inner method of {homes[0].__name__}, "
                "which would no longer work: give it another one"
            )
        if hasattr(member, "__receives__"):
            setattr(cls, name, _contained(member))
        elif name in hooks and (mistake := mistake_in_hook(member, vars(homes[-1])[name])):
            raise TypeError(f"{cls.__name__}.{name} {mistake}")
        elif not name.startswith("_") and not homes:
            for near in difflib.get_close_matches(name, hooks, n=1, cutoff=0.8):
                logger.warning(
                    "%s.%s is not a hook, and is never called: did you mean %s?", cls.__name__, name, near
                )
        if name in _WRAPPERS:
            setattr(cls, name, _WRAPPERS[name](member))


def _contained(handler: Any) -> Any:
    @functools.wraps(handler)
    def contained(self: Any, asked: Any) -> Any:
        return self._call(handler.__get__(self), asked)

    return contained


def _making(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap an author's `__init__`: without its base's there is no scheduler."""

    @functools.wraps(init)
    def make(self: Any, *arguments: Any, **keywords: Any) -> None:
        init(self, *arguments, **keywords)
        if "hook_failures" not in vars(self):
            raise TypeError(
                f"{type(self).__name__}.__init__ does not call super().__init__(composition, settings)"
            )

    return make


def _starting(on_start: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap an author's `on_start`: what it raises ends the framework in a sentence, and it need not call its base's."""

    @functools.wraps(on_start)
    async def start(self: Any) -> None:
        try:
            result = on_start(self)
            if type(result) is CoroutineType:
                await result
        except SystemExit as asked:
            self._exit_asked("on_start", asked)
        except Exception as error:  # without it a scheduler is not what its author meant
            logger.error("on_start raised; the framework ends\n%s", author_traceback(error))
            self._end(1, f"{type(self).__name__}.on_start raised {one_line(error)}")
        BaseScheduler.on_start(self)  # saying it a second time changes nothing

    return start


def _stopping(on_stop: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap an author's `on_stop`, which is called when all is over: what it raises is logged."""

    @functools.wraps(on_stop)
    async def stop(self: Any) -> None:
        try:
            result = on_stop(self)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            logger.error("on_stop raised\n%s", author_traceback(error))

    return stop


_WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "__init__": _making,
    "on_start": _starting,
    "on_stop": _stopping,
}


def exit_of(asked: SystemExit) -> tuple[int, str]:
    """Return the exit code and the text of a `sys.exit`, as Python itself reads them."""
    if asked.code is None:
        return 0, ""
    return (asked.code & 0xFF, "") if isinstance(asked.code, int) else (1, str(asked.code))


class BaseScheduler(Actor):
    """The common part of schedulers; see the head of this module.

    Attributes:
        settings: the author's own settings, an instance of the class's `Settings`.
        framework: who the framework is (`FrameworkSettings`).
        framework_id: set once the framework has been subscribed.
        hook_failures: how many callbacks have raised so far.
    """

    Settings: ClassVar[type] = NoSettings
    _hooks: ClassVar[frozenset[str]] = frozenset(
        {"on_start", "on_stop", "on_error", "on_shutdown_requested", "on_elected", "on_deposed"}
    )
    _offers_to: ClassVar[str]  # which actor gets the offers
    _ends_what_there_is: ClassVar[bool] = (
        False  # whether the framework of an earlier run is ended rather than taken over
    )

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
        self._ends_earlier_run = False
        self._tearing_down = False
        self._writes: Writes[OperationStatus | m.Accept | m.AboutMessages] = Writes(self)
        self._over = False
        self._announced = False
        self._subscribed = False
        self._resumed = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("actors."):
            contain_author_code(cls, cls._hooks)

    # --- commands for authors ---------------------------------------------------------------------------------

    def finish(self, exit_code: int = 0, reason: str = "") -> None:
        """End the framework: TEARDOWN, which ends its tasks and executors too, then the process's exit code.

        Args:
            exit_code: what the process ends with, from 0 to 255.
            reason: why, in a few words; "finished" or "failed" if left out.

        Raises:
            ValueError: The exit code is something else.
        """
        _check_exit_code(exit_code)
        if not self._ending:
            self._ending = reason or ("failed" if exit_code else "finished")
            self._exit_code = exit_code
            if self.system.find("connection") is not None:  # else `begin` sees to it
                self._tear_down()

    def leave(self, exit_code: int = 0, reason: str = "left") -> None:
        """Stop scheduling without ending the framework: with a store path, the next run continues from here.

        ValueError if the exit code is not a number from 0 to 255.
        """
        _check_exit_code(exit_code)
        if not self._ending:
            self._exit_code = exit_code
            self._end(exit_code, reason or "left")

    def on_shutdown_requested(self, request: m.ShutdownRequested) -> Any:
        """Leave a framework whose store is durable, so that it can be resumed; end any other."""
        if self._is_durable():
            self.leave(0, f"{request.reason}: left; the next run with the same store continues")
        else:
            self.finish(0, request.reason)

    def on_error(self, message: str) -> Any:
        """Something is wrong that tasks do not show: the store's disk, a call, the master's refusal."""

    def on_elected(self, event: m.Elected) -> Any:
        """This process leads the framework now, of several that share its store; called before anything is launched or sent.

        Also when it leads for the first time. What belongs to the framework's beginning belongs to `on_registered`.
        """

    def on_deposed(self, event: m.Deposed) -> Any:
        """This process leads no more: another one does, or may. Nothing is stored or sent any more, and this scheduler is stopped.

        Should it be elected again, that is another instance of this class. Give up here what only the leader may have.
        """

    def on_start(self) -> Any:
        """The scheduler is there: an author's own `on_start` may prepare things, before the framework connects."""
        self.tell("framework", m.ActorStarted("scheduler"))

    @receive
    async def handle_begin(self, begin: m.Begin) -> None:
        if self._begun:
            return
        self._begun = True
        try:
            records = await self._load(self._take_in)
            facts = {each.key: each.value.decode() for each in records if each.kind == FRAMEWORK}
            known = facts.get("id")
            if self._ending and known is None:  # by the author, and there is nothing to tear down
                self._end(self._exit_code, self._ending)
            if self._over:
                return
            self._ends_earlier_run = known is not None and (ENDING in facts or self._ends_what_there_is)
            followed = begin.elected is not None and begin.elected.followed
            if known is not None and ENDING in facts and followed and not self._ends_what_there_is:
                self._end_as_asked(facts[ENDING])
            await self._take_over(facts, () if self._ends_earlier_run else records)
        except Exception as error:
            logger.debug("the framework cannot start", exc_info=True)
            if await self._leads():
                self._end(2, str(error))
            return
        self.framework_id = FrameworkId(known) if known is not None else None
        await self._spawn_before_connecting()
        if begin.elected is not None:
            await self._called(self.on_elected, replace(begin.elected, resumed=self._resumed))
        self.spawn_built_in("connection")
        if self._ending:
            self._tear_down()

    async def _load(self, keep: Callable[[tuple[m.Record, ...]], Iterable[m.Record]]) -> tuple[m.Record, ...]:
        """Read all that is stored, part by part, and return what is to be kept of it."""
        kept: list[m.Record] = []
        loaded = m.Loaded((), 0)
        while True:
            loaded = await self._answer("store", m.Load(after=loaded.after))
            for at in range(0, len(loaded.records), TAKEN_IN_AT_ONCE):
                kept += keep(loaded.records[at : at + TAKEN_IN_AT_ONCE])
                await asyncio.sleep(0)  # a lease may have to be renewed meanwhile
            if not loaded.after:
                return tuple(kept)

    def _take_in(self, records: tuple[m.Record, ...]) -> Iterable[m.Record]:
        return records

    async def _leads(self) -> bool:
        """Whether this process is the one to start the framework; if that is not certain, it stands for election again."""
        if (leadership := self.composition.leadership) is None:
            return True
        try:
            await self._answer("election", m.AskLeading(leadership.version))
        except Exception as error:
            self.tell("election", m.Fenced(leadership.version, str(error)))
            return False
        return True

    @receive
    def handle_deposed(self, deposed: m.Deposed) -> Any:
        """The root is about to stop everything."""
        self._over = True
        return self._call(self.on_deposed, deposed)

    @abstractmethod
    async def _take_over(self, facts: Mapping[str, str], records: tuple[m.Record, ...]) -> None:
        """Take over what an earlier run has stored: facts alone where its framework has to be ended."""

    async def _spawn_before_connecting(self) -> None:
        """Start the author's further actors; those that are there already stay."""
        for spec in self.composition.actors:
            if spec.name not in {*BUILT_IN_NAMES, TASK} and self.system.find(spec.name) is None:
                self.spawn(spec.cls, self.composition, spec.settings, name=spec.name, supervision=RESTART)

    @receive
    def handle_actor_started(self, started: m.ActorStarted) -> Any:
        if started.name == "connection":
            self._connect()

    def spawn_built_in(self, name: str) -> None:
        """Start a built-in actor, or what the composition has put in its place."""
        spec = self.composition.spec(name)
        assert spec is not None  # `run` completes the composition
        self.spawn(spec.cls, self.composition, spec.settings, name=name, supervision=RESTART)

    @receive
    def handle_child_failed(self, failure: ChildFailed) -> Any:
        """Without a built-in actor there is no framework; anything else is the author's to miss."""
        logger.error("%s failed: %s\n%s", failure.name, failure.error, failure.traceback_text)
        if failure.name in BUILT_IN_NAMES:
            self._end(1, f"{failure.name} failed repeatedly: {failure.error}")
            return None
        return self._call(self.on_error, f"{failure.name} failed: {failure.error}")

    @receive
    def handle_storage_trouble(self, trouble: m.StorageTrouble) -> Any:
        """The store cannot write; nothing is acknowledged until it can."""
        return self._call(self.on_error, f"the store cannot write: {trouble.reason}")

    @receive
    def handle_store_away(self, news: m.StoreAway) -> None:
        """Offers are not kept waiting for the store: others may want them."""
        if self._offers_to != "scheduler":
            why = f"the store cannot write: {news.reason}" if news.reason else ""
            self.tell(self._offers_to, m.HoldLaunches("store", why))

    @receive
    async def handle_shutdown_requested(self, request: m.ShutdownRequested) -> None:
        """Let the author end gracefully; if that callback raises, end anyway."""
        before = self.hook_failures
        await self._called(self.on_shutdown_requested, request)
        if self.hook_failures > before:
            BaseScheduler.on_shutdown_requested(self, request)

    @receive
    async def handle_teardown_done(self, done: m.TeardownDone) -> None:
        """The framework is gone, and its records are deleted; or it lives, and the next run ends it."""
        if not done.answered:
            if self._ending or self._ends_what_there_is:
                self._remember(**{ENDING: f"{self._exit_code} {self._ending}"})
            self._end(self._exit_code or 1, self._untold(done.reason))
            return
        self._tell_what_stays()
        cleared = await self._cleared()
        if self._ends_earlier_run and not self._ending:
            logger.warning("framework %s of an earlier run has ended now", self.framework_id)
            self._ends_earlier_run = False
            self._subscribe_as_new()  # what is stored from now on is stored after the store has been cleared
        elif cleared:
            self._end(self._exit_code, self._ending)
        else:
            self._end(
                self._exit_code or 1,
                f"{self._ending}, and the master knows that; but the store could not be cleared in "
                f"{CLEAR_PATIENCE:g} s (the log says why), and the next run with it may run its tasks again: "
                "move its file away first",
            )

    def _tell_what_stays(self) -> None:
        """Say what of the framework is still on the cluster although it has ended."""

    async def _cleared(self) -> bool:
        patience = self.clock.now() + CLEAR_PATIENCE
        ended = m.Outcome(self._exit_code, self._ending) if self._ending else None
        while True:
            try:
                if await self._answer("store", m.ClearStore(ended)):
                    return True
            except ActorDeadError:  # it has just failed; there will be another one
                pass
            if (self._ends_earlier_run and not self._ending) or self.clock.now() >= patience:
                return False
            await asyncio.sleep(1.0)

    @receive
    def handle_update_operation_status(self, update: events.UpdateOperationStatus) -> Any:
        status = update.status
        if status.operation_id is None:
            return self._operation_stored(status)
        phase = PHASE_OF_STATE[status.state]
        record = OperationRecord(status.operation_id, status.agent_id, phase, status)
        self._writes.store(OPERATION.record(status.operation_id, record), then=status)
        return None

    @receive
    def handle_stored(self, stored: m.Stored) -> Any:
        then = self._writes.answered(stored)
        if isinstance(then, OperationStatus):
            return self._operation_stored(then)
        if isinstance(then, tuple):
            for each in then:
                self.tell("messages", each)
        elif then is not None:
            self.tell("connection", then)
        return None

    @abstractmethod
    def _operation_stored(self, status: OperationStatus) -> Any:
        """Tell the author of an operation, and acknowledge; the order differs from base to base."""

    def _acknowledge_operation(self, status: OperationStatus) -> None:
        if status.uuid and status.operation_id is not None:
            where = status.agent_id, status.resource_provider_id
            self.tell("connection", m.AcknowledgeOperation(status.operation_id, status.uuid, *where))

    def _forget_operation(self, operation_id: OperationId | None) -> None:
        if operation_id is not None:
            self.tell("store", m.Write((), (OPERATION.key(operation_id),)))

    @receive
    def handle_ask_progress(self, _asked: m.AskProgress) -> m.Progress:
        return m.Progress(self._subscribed, bool(self._ending), self._phases(), self._offered)

    _offered: bool | None = None

    def _phases(self) -> tuple[tuple[str, int], ...] | None:
        return None

    @receive
    def handle_hook_failed(self, _failure: m.HookFailed) -> None:
        """The message is there so that the trace shows it."""

    def _tear_down(self) -> None:
        self._tearing_down = True
        self.tell("connection", m.Teardown())

    def _end_as_asked(self, asked: str) -> None:
        """This process has stood by while the leader was to end the framework: it does so, and begins no new one."""
        code, _, reason = asked.partition(" ")
        self._exit_code = self._exit_code or (int(code) if code.isdigit() else 0)
        self._ending = self._ending or reason or "finished"

    def _untold(self, why: str) -> str:
        ends = (
            "its id is kept in the store, and the next run with that store ends it first"
            if self._is_durable()
            else f"the master removes it {self.framework.failover_timeout:g} s after it was last connected"
        )
        return (
            f"{self._ending or 'an earlier run has ended'}, but the master could not be told ({why}): "
            f"framework {self.framework_id} and its tasks may still be there; {ends}"
        )

    def _connect(self) -> None:
        """Subscribe; to end the framework only, if that is what is left to do."""
        self.tell("connection", m.Connect(self.framework_id, self._offers_to))
        if self._ends_earlier_run or self._tearing_down:
            self.tell("connection", m.Teardown())

    def _subscribe_as_new(self) -> None:
        self.framework_id = None
        self._connect()

    def _only_ends(self, news: m.Subscribed) -> bool:
        """Remember the framework's id; returns whether this subscription is there for TEARDOWN only."""
        if news.framework_id != self.framework_id:
            self.framework_id = news.framework_id
            self._remember(id=news.framework_id)
        return bool(self._ending) or self._ends_earlier_run

    def _end(self, exit_code: int, reason: str) -> None:
        self._ending = self._ending or reason
        if not self._over:
            self._over = True
            self.tell("framework", m.Outcome(exit_code, reason))

    async def _answer(self, name: str, question: object) -> Any:
        """Ask a built-in actor, and raise what it raises; a log line says what is waited for as long as there is no answer."""
        answer = self.ref(name).ask(question, block=False)
        waited = 0.0
        while True:
            try:
                async with asyncio.timeout(SAY_AFTER):
                    return await answer
            except TimeoutError:
                if answer.done():
                    raise
                waited += SAY_AFTER
                what = type(question).__name__
                logger.warning("waiting for the %s, which has not answered %s for %g s", name, what, waited)

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook of the author; whatever it raises ends here.

        What an `async` hook gives is a coroutine, which the handler has to return or to await, so that the actor handles
        nothing else until the hook is done.
        """
        try:
            result = hook(*arguments)
        except (Exception, SystemExit) as error:
            return self._hook_raised(hook, error)
        return self._contain(hook, result) if type(result) is CoroutineType else result

    async def _called(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        result = self._call(hook, *arguments)
        return await result if type(result) is CoroutineType else result

    def _after(self, called: Any, go_on: Callable[[], None]) -> Coroutine[Any, Any, None] | None:
        """Go on when a hook is done: at once after a plain one; after an `async` one, in the coroutine that this gives."""
        if type(called) is not CoroutineType:
            go_on()
            return None

        async def awaited() -> None:
            await called
            go_on()

        return awaited()

    def _call_then(
        self,
        hook: Callable[..., Any],
        *arguments: Any,
        then: Callable[[], None] = lambda: None,
        if_raised: Callable[[], None] = lambda: None,
    ) -> Coroutine[Any, Any, None] | None:
        before = self.hook_failures
        called = self._call(hook, *arguments)
        return self._after(called, lambda: if_raised() if self.hook_failures > before else then())

    async def _contain(self, hook: Callable[..., Any], coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        except (Exception, SystemExit) as error:
            return self._hook_raised(hook, error)

    def _hook_raised(self, called: Callable[..., Any], error: Exception | SystemExit) -> None:
        hook = getattr(called, "__name__", type(called).__name__)
        if isinstance(error, SystemExit):
            self._exit_asked(hook, error)
            return
        self.hook_failures += 1
        text = author_traceback(error)
        logger.error("%s raised; continuing\n%s", hook, text)
        self.tell(self.actor_ref, m.HookFailed(hook, one_line(error), text))

    def _exit_asked(self, hook: str, asked: SystemExit) -> None:
        """`sys.exit` in a hook ends the framework as Ctrl-C does, with that code."""
        code, text = exit_of(asked)
        end = self.leave if self._is_durable() else self.finish
        end(code, text or f"{hook} called sys.exit({code})")

    def _remember(self, **facts: str) -> None:
        records = tuple(framework_record(key, value) for key, value in facts.items())
        self.tell("store", m.Write(records))

    def _is_durable(self) -> bool:
        return bool(self.composition.store_files)


def framework_record(key: str, value: str) -> m.Record:
    """Return what remembers a fact of the framework as a whole."""
    return m.Record(FRAMEWORK, key, value.encode())


def _check_exit_code(exit_code: object) -> None:
    if type(exit_code) is not int or not 0 <= exit_code <= 255:
        raise ValueError(f"an exit code is a number from 0 to 255, not {exit_code!r}")
