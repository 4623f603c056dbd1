"""The actor that authors subclass: supervises the other built-in actors, creates a task actor per task, and routes.

Life: the store is loaded, the server opens, broker, reconciler and connection are spawned, tasks of an earlier run continue,
and with the first subscription of its life `on_registered` is called. The end is `finish` (TEARDOWN: the framework and its
tasks are gone) or `leave` (the master keeps them for the failover timeout, and the same store path takes them over again).

What is launched in a hook, and what it assigns to `self.state`, is stored in one transaction with the fact that the hook was
called: a scheduler that dies in between neither loses nor doubles work. What has nothing to do with tasks is in `scheduler/base_scheduler`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from actors import messages as m
from actors import records as r
from actors.framework_settings import TASK, Composition, RetryPolicy, Volume
from actors.messages import TASK_PREFIX
from actors.runtime import (
    STOP,
    ChildFailed,
    DecodeError,
    Immutable,
    Secret,
    current_message_id,
    message,
    pack_message,
    receive,
    unpack,
    unpack_message,
)
from actors.scheduler.base_scheduler import FRAMEWORK, framework_record
from actors.scheduler.kept_state import state_record, stored_state
from actors.scheduler.launching import CHECKS, check_texts, executor_template, packed_payload, task_options
from actors.scheduler.maintenance import DECLINED_FOR, EXECUTORS_AFTER, MaintenancePlan
from actors.scheduler.operating import OperatingScheduler
from actors.scheduler.task_book import GivenUpTasks, TaskBook, TaskEntry
from actors.task_actor import TaskActor
from mesos_v1 import events
from mesos_v1.resources import Resources
from mesos_v1.states import is_terminal
from mesos_v1.values import AgentId, ExecutorId, InverseOffer, OperationId, TaskId, TaskStatus
from wire.reliable import Numbered, Taken, check_message

logger = logging.getLogger("actors.scheduler")

RUN_BITS = 32  # messages of a run are numbered below this, so that numbers grow from run to run
ACTOR_FAILURES = 5  # actor failures tolerated before the task itself fails
EXECUTOR_PATIENCE = 3.0  # seconds that executors get to hand in their traces at the end
RESUMED_AT_ONCE = 100  # tasks whose actors are started before the loop turns
RELOAD_AFTER = 1.0  # seconds before a store that could not be read is asked again
REGISTERED, FORGOTTEN, ENDS_WHEN_DONE = "registered", "attempts forgotten", "ends when done"
"""Facts: `on_registered` has been called; the highest attempt of a task that is no longer remembered; `finish_when_done`."""
GATED = (
    "launches wait until the master has said what became of the tasks of an earlier run ([reconciler] launch_gate_timeout says "
    "how long at most)"
)
DEFAULT_RETRY = RetryPolicy()
Texts = Iterable[str]
Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


@message
class TaskLost:
    """A task's actor failed; it continues from what is stored."""

    task_id: TaskId
    error: str


@message
class TaskReloaded:
    """What is stored of a task whose actor failed."""

    task_id: TaskId
    error: str
    records: tuple[m.Record, ...]


@message
class SeeIfDone:
    """The framework is to end once no task is active: is that so by now?"""


@message
class ExecutorSaid:
    """A framework message, decoded; one with a guarantee says what is told when the author has had it."""

    message: Immutable
    source: m.MessageSource
    told: m.MessageTold | None = None


@message
class MaintenanceNear:
    """The window of an agent begins soon."""

    agent_id: AgentId
    start: float


@message
class ExecutorsToEnd:
    """The tasks of an agent that goes down are gone, or have had their time."""

    agent_id: AgentId


@message
class ExecutorsOverdue:
    """Executors were given time to end and have not."""


class SchedulerActor(OperatingScheduler):
    """Base class of an author's scheduler; see the head of this module.

    A hook is a plain method or an `async` one, called in the scheduler actor's turn; until it is done, the scheduler
    handles nothing else. One that raises is logged, counted and traced, and ends nothing: no task, not the framework.
    """

    # --- hooks for authors, each with a harmless default; `BaseScheduler` has the others ----------------------

    def on_registered(self, event: m.Registered) -> Any:
        """The framework is subscribed for the first time in its life: launch the first tasks here.

        Once with one store, however often the scheduler is started: that it was called is stored together with what
        it launched. Only a process that died before that, or a hook that raised before it launched anything, has it called
        again.
        """

    def on_reregistered(self, event: m.Registered) -> Any:
        """The framework is subscribed again, after a disconnection or an earlier run of the scheduler.

        After an earlier run `event.resumed` says how many tasks were taken over; they continue by themselves.
        """

    def on_disconnected(self, event: m.Disconnected) -> Any:
        """The subscription is gone; it comes back by itself."""

    def on_task_update(self, update: m.TaskChanged) -> Any:
        """A task has changed, or has reported progress; the outcome comes by the next three hooks."""

    def on_task_finished(self, done: m.TaskFinished) -> Any:
        """A task has finished; `done.result` is what its executor returned."""

    def on_task_failed(self, failed: m.TaskFailure) -> Any:
        """A task has failed after its last attempt."""

    def on_task_killed(self, killed: m.TaskFailure) -> Any:
        """A task was killed because `kill` asked for it."""

    def on_message(self, message: Any, source: m.MessageSource) -> Any:
        """An executor has sent a message: best effort, or `reliable=True`, then once and in order.

        What this launches and sends reliably is stored together with the fact that it was called; only a process that dies
        before that has it called again.
        """

    def on_message_undelivered(self, message: Any, target: m.MessageSource, reason: str) -> Any:
        """A message sent with `reliable=True` was not acknowledged, and is given up: it may have arrived or not."""

    def on_uploaded(self, upload: m.Uploaded) -> Any:
        """An executor has uploaded a file to the framework's server; it lies at `upload.path`."""

    def on_executor_lost(self, lost: m.ExecutorLost) -> Any:
        """An executor has gone; its tasks report for themselves."""

    def on_agent_lost(self, lost: m.AgentLost) -> Any:
        """An agent has gone; its tasks report for themselves."""

    def on_unknown_task(self, status: TaskStatus) -> Any:
        """The master knows a task of this framework that this scheduler does not know; its status was acknowledged."""

    def on_inverse_offer(self, offer: InverseOffer) -> Any:
        """The operator wants an agent back: return whether you will be gone in time.

        By default `on_maintenance` of the framework's settings decides: tasks are moved away in time, or stay.
        """

    _hooks = OperatingScheduler._hooks | {name for name in locals() if name.startswith("on_")}
    _offers_to = "offers"
    _first_state: ClassVar[Any] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "state" in vars(cls):  # the author's declaration: from now on the property below
            first = cls._first_state = vars(cls)["state"]
            state_record(first, first)
            type.__delattr__(cls, "state")

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__(composition, settings)
        self._tasks = TaskBook()
        self._given_up = GivenUpTasks(self.framework.given_up_most, self.framework.given_up_for)
        task = composition.spec(TASK)
        self._task_class: Any = task.cls if task is not None else TaskActor
        self._maintenance = MaintenancePlan(composition.framework)
        self._order = 0
        self._run = 1
        self._on_record = r.TasksOnRecord()
        self._introduced = False
        self._gated = False
        self._ends_when_done = False
        self._templates: tuple[m.ExecutorTemplate, ...] = ()
        self._server: m.ServerReady | None = None
        self._early: list[
            m.TaskDone | m.OperationDone | m.Uploaded | m.Undelivered | events.UpdateOperationStatus
        ] = []
        """What an earlier run was not told of; it waits until the author has been told of the registration."""
        self._outbox: dict[tuple[str, str], m.Record] | None = None
        """While a hook runs whose call is stored: what it launches, sends reliably and keeps, to be stored with that."""
        self._unsent: list[m.SendReliably] = []  # as messages, those of the outbox
        self._sent = 0
        # of an earlier run, until the actor of messages has them
        self._message_records: tuple[m.Record, ...] | None = None
        self._kept: Any = None
        self._kills: dict[TaskId, m.KillTask] = {}
        self._actor_failures: dict[TaskId, int] = {}
        self._outcomes: Counter[m.TaskPhase] = Counter()
        self._executors: set[tuple[AgentId, ExecutorId]] = set()
        self._awaited: set[tuple[AgentId, ExecutorId]] = set()

    # --- commands for authors ---------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """What this scheduler keeps over restarts: a `@message` value, declared with its first value in the class.

        What a hook assigns that is called until its call is stored (for outcomes, uploads, the first registration …) is stored
        in one transaction with that: so its effect on the state is exactly once, also where the hook is called twice because the
        process died in it. Assigned elsewhere (a timer, a message), it is stored by itself. It is there before `on_registered`
        and `on_reregistered`.

        Raises:
            AttributeError: The class declares none.
            RuntimeError: The store has not been read yet, as in `__init__` and `on_start`.
            TypeError: What is assigned is not of the declared type.
            ValueError: It is too large.
        """
        if self._first_state is None:
            name = type(self).__name__
            raise AttributeError(f"{name} declares no state: write its first value in the class, state = …")
        if self._kept is None:
            raise RuntimeError(
                "self.state is there once the store has been read: use it from on_registered on"
            )
        return self._kept

    @state.setter
    def state(self, value: Any) -> None:
        record = state_record(value, self.state)
        self._kept = value
        self._put(record)

    @property
    def active_tasks(self) -> dict[str, int]:
        """How many tasks there are in each phase, from "waiting" to "killing"; those that ended do not count."""
        return self._tasks.counts()

    def launch(
        self,
        payload: object | None = None,
        *,
        executor: str | None = None,
        command: str | None = None,
        task_id: str | None = None,
        name: str | None = None,
        cpus: float = 0.1,
        mem: float = 32.0,
        disk: float = 0.0,
        gpus: float = 0.0,
        ports: int = 0,
        resources: Resources | None = None,
        role: str | None = None,
        retry: RetryPolicy = DEFAULT_RETRY,
        labels: Pairs = (),
        timeout: float | None = None,
        hosts: Texts = (),
        attributes: Pairs = (),
        environment: Mapping[str, str | Secret] | Iterable[tuple[str, str | Secret]] = (),
        uris: Texts = (),
        kill_grace: float = 3.0,
        launch_timeout: float = 60.0,
        unreachable_timeout: float = 600.0,
        volume: Volume | str | None = None,
    ) -> TaskId:
        """Start a task: a payload for an executor, or a shell command. It waits for an offer if it must.

        Args:
            payload: a message; what the executor's `@task` method for its type is called with.
            executor: name of the executor; may be left out when the framework has just one.
            command: shell command, for a task without an executor of ours.
            task_id: an id of one's own, drawn if left out. No other task of the framework may have it; when that one has
                ended, also in the hook that tells so, the id may be used again.
            name: what people see; the id if left out.
            mem: in MB, as disk.
            gpus: whole devices; the framework needs the capability GPU_RESOURCES for them.
            ports: how many ports; a command finds them in PORT0, PORT1, … and PORTS, a payload's task in its context.
            resources: anything beyond cpus, mem, disk and gpus; replaces those.
            role: whose resources; the framework's first role if left out.
            timeout: seconds that one attempt may take; no limit if left out.
            labels: a mapping, or pairs, as attributes and environment.
            hosts: host names to choose from; attributes: names and values that the agent must have.
            environment: variables of a command, which stand in no trace; a value may be a `Secret`. uris: what the agent
                fetches for it. (An executor has its own in the configuration.)
            kill_grace: seconds between asking a task to end and ending it.
            launch_timeout: seconds of silence about a launch after which the master is asked what happened to it; at
                least 1.
            unreachable_timeout: seconds that an agent which the master has lost may take to come back with the
                task; after them it is tried elsewhere.
            volume: a `Volume` that is made for the task and is there again at each attempt, or the id of one that there is.

        Returns:
            The task's id, by which hooks and `kill` speak of it.

        Raises:
            ValueError: A mistake of the caller in one sentence; nothing was launched.
        """
        options = task_options(locals(), _DEFAULTS, self.composition)
        own_id, asked = options.pop("task_id"), options.pop("volume")
        if asked is not None:
            self._check_volume(asked, options["role"])
        order = self._order + 1
        chosen = self._new_id(options["executor"], order) if own_id is None else TaskId(own_id)
        if chosen in self._tasks:
            raise ValueError(f"there is a task {chosen} already")
        spec = r.TaskSpec(
            task_id=chosen,
            name=options.pop("name") or chosen,
            order=order,
            payload=packed_payload(payload),
            first_attempt=1 if own_id is None else self._tasks.first_attempt(chosen),
            volume=asked
            if isinstance(asked, str)
            else (asked and f"volume-{order}-{self.ids.uuid()[:8]}") or "",
            **options,
        )
        record = r.SPEC.record(chosen, spec)
        if len(record.value) > r.MAX_TASK_BYTES:
            raise ValueError(
                f"the task has {len(record.value):,} bytes, and {r.MAX_TASK_BYTES:,} is the most: put large data where "
                "its executor can fetch it, and its address in the payload"
            )
        self._order = order
        if isinstance(asked, Volume):
            made = self._volume_for(spec, asked, self._room_for(spec.resources, spec.executor))
            self._put(record, r.OPERATION_SPEC.record(made.operation_id, made))
            self._follow(r.OperationHistory(made.operation_id, made))
        else:
            self._put(record)
        self._start_task(r.TaskHistory(spec))
        return chosen

    def kill(self, task_id: str, grace: float | None = None) -> bool:
        """End a task, wherever it is; `on_task_killed` tells when it is done.

        Args:
            task_id: as `launch` returned it.
            grace: seconds between asking it to end and ending it; its own if left out.

        Returns:
            Whether there is such a task.

        Raises:
            ValueError: `grace` is not a time that can be waited.
        """
        if grace is not None:
            grace = CHECKS["grace"]("grace", grace)
        entry = self._tasks.get(TaskId(task_id))
        if entry is None:
            return False
        # remembered, because the task's actor may fail, and another one take its place
        asked = self._kills[TaskId(task_id)] = m.KillTask(grace)
        self._tell_task(entry, asked)
        return True

    def given_up(self) -> tuple[m.GivenUp, ...]:
        """Return the tasks that failed for good lately, oldest first: which, when, after how many attempts and why.

        They are stored, so that those of earlier runs are among them; `given_up_most` and `given_up_for` of [framework] say how
        many are remembered and for how long.
        """
        return self._given_up.lately(self.clock.time())

    def finish_when_done(self) -> None:
        """End the framework as soon as no task is active: with exit code 0, or 1 if a task has failed for good.

        Call it once, where the first tasks are launched. Tasks that hooks launch later count too; those that `kill`
        ended are not failures. To launch tasks from elsewhere (a timer, a message), call it when nothing more
        will come.
        """
        if not self._ends_when_done:
            self._ends_when_done = True  # also in a later run, which does not call `on_registered` again
            self._put(framework_record(ENDS_WHEN_DONE, "1"))
        self.tell(self.actor_ref, SeeIfDone())

    def send_message(
        self, agent_id: AgentId, executor_id: ExecutorId, message: object, *, reliable: bool = False
    ) -> None:
        """Send a message to an executor; best effort: `on_error` tells when it could not even be sent.

        With `reliable` it arrives once, and after those before it, whatever is restarted; or `on_message_undelivered` tells.

        Raises:
            ValueError: It is nothing that can be packed, or larger than the executor reads; or, with `reliable`, the framework
                is not registered yet.
        """
        data = pack_message(message, id=current_message_id())
        call = m.SendMessage(agent_id, executor_id, data)
        check_texts(call)
        if not reliable:
            self.tell("connection", call)
            return
        check_message(data)
        if not self._announced:
            raise ValueError(
                "a reliable message can be sent from on_registered or on_reregistered on, not before"
            )
        self._sent += 1
        asked = m.SendReliably((self._run << RUN_BITS) + self._sent, agent_id, executor_id, data)
        record = r.MESSAGE.record(str(asked.number), asked)
        if self._outbox is not None:
            self._outbox[record.kind, record.key] = record
            self._unsent.append(asked)
        else:
            self._writes.store(record, then=(asked,))

    # --- the beginning ----------------------------------------------------------------------------------------

    def _take_in(self, records: tuple[m.Record, ...]) -> Iterable[m.Record]:
        return self._on_record.take_in(records)

    async def _take_over(self, facts: Mapping[str, str], records: tuple[m.Record, ...]) -> None:
        self._kept = stored_state(records, self._first_state)
        if self._ends_earlier_run:
            self._on_record = r.TasksOnRecord()
        self._resumed = len(self._on_record)
        self._tasks.ended.update(r.ended_tasks(records))
        self._tasks.attempts_forgotten = int(facts.get(FORGOTTEN, "0")) if records else 0
        self._introduced = bool(records) and REGISTERED in facts
        self.spawn_built_in("server")
        self._server = await self._answer("server", m.OpenServer(int(facts.get("port", "0"))))
        self._take_operations_over(records)
        mine = {each.intent.attempt_id for each in self._operations_before if each.intent is not None}
        told = [each.status for key, each in r.OPERATION.read(records).items() if key not in mine]
        self._early += [events.UpdateOperationStatus(status) for status in told if status is not None]
        self._early += r.untold_uploads(records, self._server)
        self._given_up.take_over(r.GIVEN_UP.read(records))
        self._message_records = r.of_messages(records)
        self._run = int(facts.get("runs", "0")) + 1
        self._outcomes[m.TaskPhase.FAILED] = int(facts.get("failed", "0"))
        self._ends_when_done = self._ends_when_done or ENDS_WHEN_DONE in facts
        self._remember_run()

    def _remember_run(self) -> None:
        assert self._server is not None
        self._remember(runs=str(self._run), port=str(self._server.port))

    async def _spawn_before_connecting(self) -> None:
        assert self._server is not None
        made, server = self.composition, self._server
        self._templates = tuple(executor_template(each, made, server) for each in made.executors)
        for name in ("offers", "reconciler", "messages", "failures"):
            self.spawn_built_in(name)
        self.tell("offers", m.UseExecutors(self._templates))
        if self._resumed:
            self._gated = True
            self._tell_gate()
        await super()._spawn_before_connecting()
        for number, history in enumerate(self._on_record.histories(), 1):
            self._order = max(self._order, history.spec.order)
            self._continue_task(history)
            if number % RESUMED_AT_ONCE == 0:
                await asyncio.sleep(0)  # timers and sockets need the loop, too
        for operation in self._operations_before:
            self._order = max(self._order, operation.spec.order if operation.spec is not None else 0)
        self._continue_operations()

    def _subscribe_as_new(self) -> None:
        self._executors.clear()
        self.tell("messages", m.ExecutorsGone("its framework is gone, and with it all of its executors"))
        self._remember_run()
        super()._subscribe_as_new()

    @receive
    async def handle_actor_started(self, started: m.ActorStarted) -> None:
        super().handle_actor_started(started)
        if started.name == "offers" and self._begun:
            self._tell_broker_all()  # first: from the next on it knows what is ours
            self.tell("offers", m.UseExecutors(self._templates))
            if self._gated:
                self._tell_gate()
            if self._subscribed:
                self.tell("offers", m.StillSubscribed())
            self._tell_operations(m.BrokerRestarted())
            for entry in self._tasks.values():
                if entry.phase in {m.TaskPhase.WAITING, m.TaskPhase.WITHDRAWING}:
                    self._tell_task(entry, m.BrokerRestarted())
        elif started.name == "server" and self._server is not None:
            try:
                await self._answer("server", m.OpenServer(self._server.port))
            except Exception as error:
                self._end(1, f"the server failed, and cannot be opened again: {error}")
        elif started.name == "reconciler" and self._announced:
            self.tell("reconciler", m.StartReconciliation(self._gated))
        elif started.name == "messages":
            records, self._message_records = self._message_records, None
            if records is None:  # one before it has failed
                records = await self._load(r.of_messages)
            self.tell("messages", m.ResumeMessages(records, self._subscribed))

    @receive
    def handle_open_gate(self, _news: m.OpenGate) -> None:
        self._gated = False
        self._tell_gate()

    def _tell_gate(self) -> None:
        self.tell("offers", m.HoldLaunches("gate", GATED if self._gated else ""))

    @receive
    def handle_subscribed(self, news: m.Subscribed) -> Any:
        if self._only_ends(news):
            return None
        event = m.Registered(news.framework_id, news.master, 0 if self._announced else self._resumed)
        self._announced = self._subscribed = True
        self.tell("reconciler", m.StartReconciliation(self._gated))
        self._tell_operations(news)
        self.tell("messages", news)
        told = self._call(self.on_reregistered, event) if self._introduced else self._introduce(event)
        early, self._early = self._early, []
        for each in early:
            self.tell(self.actor_ref, each)
        if self._ends_when_done:
            self.tell(self.actor_ref, SeeIfDone())
        return told

    def _introduce(self, event: m.Registered) -> Any:
        """Call the hook of the first time, and store that; not if it raised before it launched or kept anything."""
        self._introduced = True
        before = self.hook_failures

        def called() -> None:
            if self._outbox or self.hook_failures == before:
                self._store_called(m.Record(FRAMEWORK, REGISTERED, b"1"))
            self._outbox = None

        return self._call_stored(self.on_registered, event, called)

    def _call_stored(
        self, hook: Callable[..., Any], event: object, called: Callable[[], None], *further: object
    ) -> Coroutine[Any, Any, None] | None:
        """Call a hook, then `called`, which stores that (`_store_called`) with what the hook launched, sent and kept.

        Also if it raised: what it did before that stands, in memory as in the store, and it is not called again.
        """
        self._outbox = {}
        return self._after(self._call(hook, event, *further), called)

    def _store_called(
        self, *records: m.Record, gone: tuple[tuple[str, str], ...] = (), told: m.AboutMessages = ()
    ) -> None:
        outbox, self._outbox = self._outbox or {}, None
        unsent, self._unsent = self._unsent, []
        if unsent or told:
            self._writes.store(*outbox.values(), *records, gone=gone, then=(*unsent, *told))
        elif outbox or records or gone:
            self.tell("store", m.Write((*outbox.values(), *records), gone))

    @receive
    def handle_disconnected(self, news: m.Disconnected) -> Any:
        self._subscribed = False
        self.tell("reconciler", m.StopReconciliation())
        self.tell("messages", news)
        return self._call(self.on_disconnected, news)

    @receive
    async def handle_framework_error(self, error: m.FrameworkError) -> None:
        """Continue as a new framework where ours was away for too long, else end."""
        await self._called(self.on_error, error.reason)
        if error.framework_gone and error.coming_back and not self._over:
            logger.warning(
                "framework %s is gone: it was away for longer than its failover timeout (%g s), or an operator has "
                "ended it; subscribing as a new one and running its tasks again",
                self.framework_id,
                self.framework.failover_timeout or 0.0,
            )
            self._subscribe_as_new()
        else:
            self._end(1, f"the master refuses the framework: {error.reason}")

    # --- tasks ------------------------------------------------------------------------------------------------

    def _start_task(self, history: r.TaskHistory) -> None:
        task_id = history.spec.task_id
        name = f"{TASK_PREFIX}{task_id}"
        ref = None
        try:
            ref = self.spawn(self._task_class, history, name=name, supervision=STOP)
        except Exception as error:  # an author's own class of tasks
            logger.exception("%s could not be created", name)
            self.tell(self.actor_ref, TaskLost(task_id, f"{type(error).__name__}: {error}"))
        self._tasks.add(task_id, ref)
        if history.spec.volume:
            self._volumes[task_id] = history.spec.volume

    def _tell_tasks_of_volume(self, holding_id: str, reason: str) -> None:
        for task_id, volume in self._volumes.items():
            if volume == holding_id:
                self._tell_task(self._tasks[task_id], m.CannotLaunch(reason))

    def _continue_task(self, history: r.TaskHistory) -> None:
        """Start the actor of a task that was launched before; it need not tell what is known from the store."""
        self._start_task(history)
        known = r.latest(history)
        if known.phase in m.ON_CLUSTER:
            task_id = history.spec.task_id
            attempt = r.attempt_id(task_id, known.attempt)
            agent = r.shared(known.agent_id)
            self._tasks.change(m.TaskChanged(task_id, attempt, known.attempt, known.phase, agent_id=agent))

    def _tell_task(self, entry: TaskEntry, news: object) -> None:
        if entry.ref is not None:
            self.tell(entry.ref, news)

    def _new_id(self, executor: str, order: int) -> TaskId:
        run = f"r{self._run}-" if self._run > 1 else ""
        while True:
            drawn = TaskId(f"{executor or 'task'}-{run}{order}")
            if drawn not in self._tasks and drawn not in self._tasks.ended:
                return drawn
            order += 1  # the author has chosen just this one

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    def _put(self, *records: m.Record) -> None:
        if self._outbox is not None:
            self._outbox.update({(record.kind, record.key): record for record in records})
        else:
            self.tell("store", m.Write(records))

    def _phases(self) -> tuple[tuple[str, int], ...]:
        operations = (("operations", len(self._operations)),) if self._operations else ()
        return (*self._tasks.counts().items(), *operations)

    @receive
    def handle_update(self, update: events.Update) -> Any:
        """Route an update to its task; acknowledge one that has no task any more."""
        status = update.status
        split = r.split_attempt_id(status.task_id)
        # at the gate, the word of its agent will do, too
        if self._gated or status.reason == "REASON_RECONCILIATION":
            self.tell("reconciler", m.TaskAnswered(status.task_id))
        entry = self._tasks.get(split[0]) if split is not None else None
        if entry is not None:
            self._tell_task(entry, update)  # it may just have failed: the agent sends the update again
            return None
        if status.uuid and status.agent_id is not None:
            self.tell("connection", m.Acknowledge(status.agent_id, status.task_id, status.uuid))
        if split is not None and split[0] in self._tasks.ended:
            if not is_terminal(status.state):
                self.tell("connection", m.Kill(status.task_id, status.agent_id))
            return None
        if is_terminal(status.state) and not status.uuid:
            return None  # an answer to a question about a task that is over
        logger.warning("unknown task %s (state %s)", status.task_id, status.state.value)
        self.tell("reconciler", m.UnknownTask(status))
        return self._call(self.on_unknown_task, status)

    @receive
    def handle_task_changed(self, changed: m.TaskChanged) -> Any:
        if not self._tasks.change(changed):
            return None
        # Mesos's own executor of a command has the task's id, and its end is not told
        of_a_command = str(changed.executor_id) == str(changed.attempt_id)
        if changed.agent_id is not None and changed.executor_id and changed.state and not of_a_command:
            self._executors.add((changed.agent_id, changed.executor_id))
        if changed.reason == m.DRAINING and changed.phase not in m.ON_CLUSTER:
            self._leave_agent(changed.agent_id)
        if changed.phase is m.TaskPhase.BACKING_OFF:
            if self._ending:
                return None  # its executor was ended by us, and there is no next attempt
            if changed.attempt == 1:
                self.tell("failures", changed)
        return self._call(self.on_task_update, changed)

    @receive
    def handle_task_done(self, done: m.TaskDone) -> Any:
        """Tell the author the outcome; then, in one transaction, forget the task and store what the hook launched."""
        if not self._announced:
            self._early.append(done)
            return None
        entry = self._tasks.remove(done.task_id)
        if entry is None:
            return None
        if entry.ref is not None:  # its name is free for a task that the hook launches under the same id
            entry.ref.stop(block=False)
            self.system.free_name(entry.ref)
        if done.reason == m.DRAINING:
            self._leave_agent(done.agent_id)
        return self._tell_outcome(done, was_on_agent=entry.agent_id is not None)

    def _leave_agent(self, agent_id: AgentId | None) -> None:
        """End our executors on an agent that is being drained once they have no task: before that it is not drained.

        Until the last of them has ended the agent drops every task, also when it has been reactivated (Mesos:
        `Slave::updateDrainStatus`).
        """
        if not self._tasks.on_agent(agent_id):
            self._shut_executors_down_on(agent_id)

    def _shut_executors_down_on(self, agent_id: AgentId | None) -> None:
        for agent, executor_id in sorted(self._executors):
            if agent == agent_id:
                self.tell("connection", m.ShutdownExecutor(executor_id, agent))

    def _tell_outcome(self, done: m.TaskDone, *, was_on_agent: bool) -> Coroutine[Any, Any, None] | None:
        self._actor_failures.pop(done.task_id, None)
        self._kills.pop(done.task_id, None)
        volume = self._volumes.pop(done.task_id, None)
        known = self._tasks.attempts_forgotten
        forgotten = self._tasks.end(done.task_id, done.last_attempt)
        if self._tasks.attempts_forgotten > known:
            self._remember(**{FORGOTTEN: str(self._tasks.attempts_forgotten)})
        hook: Callable[[Any], Any] = self.on_task_finished
        event: m.TaskFinished | m.TaskFailure
        given_up = None
        if done.phase is m.TaskPhase.FINISHED:
            event = m.finished(done)
        elif done.phase is m.TaskPhase.KILLED:
            hook, event = self.on_task_killed, m.failed(done, killed=True)
        else:
            self.tell("failures", done)
            hook, event = self.on_task_failed, m.failed(done, killed=False)
            given_up = self._given_up.add(done, self.clock.time())

        def told() -> None:
            if volume is not None:
                self._free_volumes()
            self._outcome_told(done, forgotten, given_up, was_on_agent)

        return self._call_stored(hook, event, told)

    def _outcome_told(
        self, done: m.TaskDone, forgotten: TaskId | None, given_up: m.Record | None, was_on_agent: bool
    ) -> None:
        self._outcomes[done.phase] += 1
        if given_up is not None:
            self._put(given_up)
            # a later run has to know for its exit code
            self._put(framework_record("failed", str(self._outcomes[done.phase])))
        self._see_if_done()
        gone = r.all_records_of(done.task_id)
        if self._outbox and done.task_id in self._tasks:  # launched again: its new specification stays
            gone = tuple(key for key in gone if key not in self._outbox)
        if forgotten is not None:
            gone = (*gone, (r.ENDED, forgotten))
        if given_up is not None:
            gone = (*gone, *self._given_up.forget(self.clock.time()))
        self._store_called(r.ended_record(done.task_id, done.last_attempt), gone=gone)
        if was_on_agent:
            self.tell("offers", m.ResourcesFreed())

    def _see_if_done(self) -> None:
        if self._ends_when_done and not self._tasks and not self._operations:
            self.tell(self.actor_ref, SeeIfDone())

    @receive
    def handle_see_if_done(self, _asked: SeeIfDone) -> None:
        if not self._announced or self._early or self._tasks or self._operations or self._ending:
            return
        failures = self._outcomes[m.TaskPhase.FAILED]
        if not self._outcomes.total():
            logger.warning("no task was launched: the framework ends")
        text = ", ".join(f"{count:,} {phase.value}" for phase, count in self._outcomes.items() if count)
        self.finish(1 if failures else 0, f"all tasks have ended: {text or 'there were none'}")

    @receive
    def handle_list_tasks(self, _asked: m.ListTasks) -> None:
        self.tell("reconciler", m.TasksOnCluster(self._tasks.on_cluster()))

    @receive
    def handle_child_failed(self, failure: ChildFailed) -> Any:
        """A task's actor continues from what is stored of it; without a built-in actor there is no framework."""
        if failure.name.startswith(m.OPERATION_PREFIX):
            return self._operation_lost(OperationId(failure.name.removeprefix(m.OPERATION_PREFIX)), failure)
        if failure.name.startswith(TASK_PREFIX):
            logger.error("%s failed: %s\n%s", failure.name, failure.error, failure.traceback_text)
            self.tell(self.actor_ref, TaskLost(TaskId(failure.name.removeprefix(TASK_PREFIX)), failure.error))
            return None
        return super().handle_child_failed(failure)

    @receive
    def handle_task_lost(self, lost: TaskLost) -> Any:
        entry = self._tasks.get(lost.task_id)
        if entry is None or entry.alive:
            return None
        name = f"{TASK_PREFIX}{lost.task_id}"
        self.run_in_background(self._reload(lost), name=f"load {name}")
        return self._call(self.on_error, f"{name}: {lost.error}")

    async def _reload(self, lost: TaskLost) -> None:
        """Load a task, beside the mailbox: the store may be slow, and other tasks continue meanwhile."""
        while True:
            try:
                loaded: m.Loaded = await self._answer("store", m.Load(lost.task_id))
            except Exception as trouble:
                logger.error("task %s waits for the store, which cannot be read: %s", lost.task_id, trouble)
                await asyncio.sleep(RELOAD_AFTER)
            else:
                self.tell(self.actor_ref, TaskReloaded(lost.task_id, lost.error, loaded.records))
                return

    @receive
    def handle_task_reloaded(self, loaded: TaskReloaded) -> Any:
        """Start a task's actor again from what is stored; one that keeps failing has failed."""
        task_id = loaded.task_id
        entry = self._tasks.get(task_id)
        if entry is None or entry.alive:
            return None
        failures = self._actor_failures[task_id] = self._actor_failures.get(task_id, 0) + 1
        on_record = r.TasksOnRecord()
        on_record.take_in(loaded.records)
        history = next(on_record.histories(), None)
        if history is None:
            why = f"its actor failed, and nothing is stored of it: {loaded.error}"
            failed = m.TaskDone(task_id, task_id, m.TaskPhase.FAILED, 0, b"", message=why)
            return self.handle_task_done(failed)
        split = r.split_attempt_id(entry.attempt_id) if entry.attempt_id is not None else None
        demanded = split[1] if split is not None else history.spec.first_attempt
        if failures >= ACTOR_FAILURES:
            return self._give_up(history, demanded, f"its actor failed {failures} times: {loaded.error}")
        self._tasks.remove(task_id)
        self._continue_task(replace(history, demanded=demanded))
        if task_id in self._kills:
            self.kill(task_id, self._kills[task_id].grace)
        return None

    def _give_up(self, history: r.TaskHistory, demanded: int, message: str) -> Any:
        spec, intent = history.spec, history.intent
        attempt = max(demanded, r.latest(history).attempt)
        self.tell("offers", m.Withdraw(r.attempt_id(spec.task_id, demanded)))
        if intent is not None:
            self.tell("connection", m.Kill(intent.attempt_id, intent.agent_id))
        what = spec.task_id, spec.name, m.TaskPhase.FAILED, attempt - spec.first_attempt + 1, spec.payload
        done = m.TaskDone(*what, executor=spec.executor, message=message, last_attempt=attempt)
        return self.handle_task_done(done)

    @receive
    def handle_what_needs_no_answer(self, _news: m.Withdrawn | events.RescindInverseOffer) -> None:
        """The demand of a task that was given up is dropped; or a question of the master's about maintenance is void."""

    # --- maintenance ------------------------------------------------------------------------------------------

    @receive
    async def handle_inverse_offers(self, arrived: events.InverseOffers) -> None:
        """Let the author decide, else the policy; if the hook raises, the operator is not promised anything."""
        for offer in arrived.offers:
            before = self.hook_failures
            said = await self._called(self.on_inverse_offer, offer)
            if self.hook_failures > before:
                declined: str | None = "on_inverse_offer raised"
            elif said is None:
                declined = self._answer_by_policy(offer)
            else:
                declined = None if said else "on_inverse_offer says so"
            if declined is None:
                self.tell("connection", m.AcceptInverseOffers((offer.id,)))
            else:
                logger.warning("declined the maintenance of agent %s: %s", offer.agent_id, declined)
                self.tell("connection", m.DeclineInverseOffers((offer.id,), DECLINED_FOR))

    def _answer_by_policy(self, offer: InverseOffer) -> str | None:
        tasks_here = len(self._tasks.on_agent(offer.agent_id))
        answer = self._maintenance.answer(offer, tasks_here, self.clock.time())
        if answer.move_in is not None and offer.agent_id is not None:
            self.timers.after(answer.move_in, MaintenanceNear(offer.agent_id, offer.unavailability.start))
        return answer.declined

    @receive
    def handle_maintenance_near(self, due: MaintenanceNear) -> None:
        if not self._maintenance.is_near(due.agent_id, due.start, self.clock.time()):
            return
        here = self._tasks.on_agent(due.agent_id)
        logger.warning(
            "agent %s goes down for maintenance: %d tasks are moved to other agents", due.agent_id, len(here)
        )
        for entry in here:
            self._tell_task(entry, m.MoveTask(due.agent_id, "its agent goes down for maintenance"))
        self.timers.after(EXECUTORS_AFTER, ExecutorsToEnd(due.agent_id))

    @receive
    def handle_executors_to_end(self, due: ExecutorsToEnd) -> None:
        if not self._maintenance.is_over(due.agent_id, self.clock.time()):
            self._shut_executors_down_on(due.agent_id)

    @receive
    def handle_message(self, arrived: events.Message) -> Any:
        source = m.source_of(arrived.agent_id, arrived.executor_id)
        try:
            envelope = unpack_message(arrived.data)
        except DecodeError as error:
            return self._call(self.on_error, self._unreadable(source, error))
        if isinstance(envelope.message, Numbered | Taken):
            self.tell("messages", m.FromExecutor(source, envelope.message))
        else:
            self.actor_ref.tell_caused(ExecutorSaid(envelope.message, source), envelope.id)
        return None

    @receive
    def handle_reliable_message(self, arrived: m.ReliableMessage) -> None:
        told = m.MessageTold(arrived.source, arrived.instance, arrived.number)
        try:
            envelope = unpack_message(arrived.data)
        except DecodeError as error:
            told = replace(told, refusal=str(error) or "it is no message")
            self.tell(self.actor_ref, ExecutorSaid(None, arrived.source, told))
        else:
            self.actor_ref.tell_caused(ExecutorSaid(envelope.message, arrived.source, told), envelope.id)

    @receive
    def handle_executor_said(self, said: ExecutorSaid) -> Any:
        """Call the author; of a reliable message, store that together with what the hook has launched, and acknowledge."""
        told = said.told
        if told is None:
            return self._call(self.on_message, said.message, said.source)
        heard = r.HEARD.record(r.pair_key(said.source.agent_id, said.source.executor_id), told)

        def called() -> None:
            self._store_called(heard, told=(told,))

        if told.refusal:
            return self._call_stored(self.on_error, self._unreadable(said.source, told.refusal), called)
        return self._call_stored(self.on_message, said.message, called, said.source)

    @staticmethod
    def _unreadable(source: m.MessageSource, error: object) -> str:
        logger.warning("cannot read a message of executor %s: %s", source.executor_id, error)
        return f"a message of executor {source.executor_id} cannot be read: {error}"

    @receive
    def handle_undelivered(self, failed: m.Undelivered) -> Any:
        """Tell the author what an executor never acknowledged; its record goes with that."""
        if not self._announced:
            self._early.append(failed)
            return None
        if self._ending:
            return None  # its executor was ended by us
        gone = r.MESSAGE.key(str(failed.number))
        hook, said = self.on_message_undelivered, unpack(failed.data).message
        called = partial(self._store_called, gone=(gone,))
        return self._call_stored(hook, said, called, failed.target, failed.reason)

    @receive
    def handle_uploaded(self, upload: m.Uploaded) -> Any:
        if not self._announced:
            self._early.append(upload)
            return None
        gone = r.UPLOAD.key(upload.key)
        return self._call_stored(self.on_uploaded, upload, partial(self._store_called, gone=(gone,)))

    @receive
    def handle_ask_health(self, _asked: m.AskHealth) -> m.Health:
        return m.Health(self._subscribed)

    @receive
    def handle_ask_given_up(self, _asked: m.AskGivenUp) -> m.GivenUpTasks:
        return m.GivenUpTasks(self.given_up())

    @receive
    def handle_executor_lost(self, lost: m.ExecutorLost) -> Any:
        self._executors.discard((lost.agent_id, lost.executor_id))
        self.tell("messages", lost)
        if self._awaited:
            self._awaited.discard((lost.agent_id, lost.executor_id))
            if not self._awaited:
                super()._tear_down()
        return self._call(self.on_executor_lost, lost)

    @receive
    def handle_agent_lost(self, lost: m.AgentLost) -> Any:
        self._maintenance.forget(lost.agent_id)
        self.tell("offers", lost)
        self.tell("messages", lost)
        return self._call(self.on_agent_lost, lost)

    @receive
    def handle_operation_done(self, done: m.OperationDone) -> Any:
        """Wait with it until the author has been told of the registration."""
        if not self._announced:
            self._early.append(done)
            return None
        return super().handle_operation_done(done)

    @receive
    def handle_call_failed(self, failure: m.CallFailed) -> Any:
        """A call of the scheduler itself (a message, a kill), or one that the master refuses a task, was not taken."""
        of_task = getattr(failure.call, "task_id", "")
        what = type(failure.call).__name__ + (f" of task {of_task}" if of_task else "")
        return self._call(self.on_error, f"{what} failed: {failure.reason}")

    def _tear_down(self) -> None:
        """End executors first: in their own time they close what they opened (a browser), and hand their traces in."""
        if not self._executors:
            super()._tear_down()
            return
        self.tell("offers", m.StopLaunching())
        self._awaited = set(self._executors)
        for agent_id, executor_id in self._awaited:
            self.tell("connection", m.ShutdownExecutor(executor_id, agent_id))
        self.timers.after(EXECUTOR_PATIENCE, ExecutorsOverdue())

    @receive
    def handle_executors_overdue(self, _due: ExecutorsOverdue) -> None:
        if self._awaited:
            self._awaited.clear()
            super()._tear_down()


_DEFAULTS: Mapping[str, Any] = SchedulerActor.launch.__kwdefaults__ or {}
