"""The actor that authors subclass: supervises the other built-in actors, creates a task actor a task, and routes.

An author overrides hooks (`scheduler_hooks`) and gives commands (`launch`, `kill`, `finish`, …); the rest is here. Life: the
store is loaded, the server opens, broker, reconciler and connection are spawned, tasks of an earlier run go on, and with
the first subscription `on_registered` is called. The end is `finish` (TEARDOWN: the framework and its tasks are gone) or
`leave` (the master keeps them for the failover timeout, and the same store path takes them over again).

Not here: how a task lives (`task_actor`), which offer it gets (`offer_actor`), how calls travel (`connection_actor`).
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from actors import messages as m
from actors.author_events import MessageSource, Registered, TaskFailure, failed, finished
from actors.built_in import SERVANTS, spec_of
from actors.executor_templates import executor_template
from actors.runtime import (
    RESTART,
    STOP,
    Actor,
    ActorRef,
    ChildFailed,
    DecodeError,
    Immutable,
    NoSettings,
    current_message_id,
    message,
    pack,
    receive,
    unpack,
)
from actors.scheduler_hooks import SchedulerHooks
from actors.settings import Composition, RetryPolicy
from actors.task_actor import TaskActor
from actors.task_spec import (
    TaskHistory,
    TaskSpec,
    all_records_of,
    check_task_id,
    histories,
    spec_record,
    split_attempt_id,
)
from actors.task_states import ON_CLUSTER, TaskPhase
from mesos_v1.resources import Resources
from mesos_v1.states import is_terminal
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, TaskId, TaskStatus

logger = logging.getLogger("actors.scheduler")

FRAMEWORK = "framework"
RECENT = 10_000
DEFAULT_RETRY = RetryPolicy()


class TaskEntry(NamedTuple):
    """What the scheduler itself keeps of a task."""

    ref: ActorRef[TaskActor]
    phase: TaskPhase
    attempt_id: TaskId | None
    agent_id: AgentId | None


@message
class TaskLost:
    """A task's actor failed; it goes on from what is stored of it."""

    name: str
    error: str


@message
class ExecutorSaid:
    """A framework message, decoded."""

    message: Immutable
    source: MessageSource


class SchedulerActor(SchedulerHooks, Actor):
    """Base class of an author's scheduler; see the head of this module.

    Attributes:
        settings: the author's own settings, an instance of the class's `Settings`.
        framework: who the framework is (`FrameworkSettings`).
        framework_id: set once the framework has been subscribed.
        hook_failures: how many hooks have raised so far.
    """

    Settings: ClassVar[type] = NoSettings

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__()
        self.composition = composition
        self.settings = settings
        self.framework = composition.framework
        self.framework_id: FrameworkId | None = None
        self.hook_failures = 0
        self._tasks: dict[TaskId, TaskEntry] = {}
        self._counts: Counter[TaskPhase] = Counter()
        self._recent: OrderedDict[TaskId, None] = OrderedDict()
        self._order = 0
        self._run = 1
        self._resumed = 0
        self._begun = False
        self._announced = False
        self._fresh = True
        self._templates: tuple[m.ExecutorTemplate, ...] = ()
        self._server: m.ServerReady | None = None
        self._outbox: list[m.Record] | None = None
        self._exit_code = 0
        self._ending = ""
        self._wants_updates = type(self).on_task_update is not SchedulerHooks.on_task_update

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Contain what an author's own handlers raise, as hooks are contained."""
        super().__init_subclass__(**kwargs)
        for name, member in list(vars(cls).items()):
            if hasattr(member, "__receives__") and not cls.__module__.startswith("actors."):
                setattr(cls, name, _contained(member))

    # --- commands for authors ---------------------------------------------------------------------------------

    @property
    def active_tasks(self) -> dict[str, int]:
        """How many tasks there are in each phase, from "waiting" to "killing"; those that ended do not count."""
        return {phase.value: count for phase, count in self._counts.items() if count}

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
        labels: tuple[tuple[str, str], ...] = (),
        timeout: float | None = None,
        hosts: tuple[str, ...] = (),
        attributes: tuple[tuple[str, str], ...] = (),
        environment: tuple[tuple[str, str], ...] = (),
        uris: tuple[str, ...] = (),
        kill_grace: float = 3.0,
    ) -> TaskId:
        """Start a task: a payload for an executor, or a shell command. It waits for an offer if it must.

        Args:
            payload: a message; what the executor's `@task` method for its type is called with.
            executor: name of the executor; may be left out when the framework has just one.
            command: shell command, for a task without an executor of ours.
            task_id: an id of one's own, unique in the framework; drawn if left out.
            name: what people see; the id if left out.
            mem: in MB, as disk.
            ports: how many ports; a command finds them in PORT0, PORT1, …
            resources: anything beyond cpus, mem, disk and gpus; replaces those.
            role: whose resources; the framework's first role if left out.
            timeout: seconds that one attempt may take; no limit if left out.
            hosts: host names to choose from; attributes: (name, value) that the agent must have.
            environment: variables of a command; uris: what the agent fetches for it.
            kill_grace: seconds between asking a task to end and ending it.

        Returns:
            The task's id, by which hooks and `kill` speak of it.

        Raises:
            ValueError: A mistake of the caller in one sentence; nothing was launched.
        """
        executor = self._executor_for(executor, command)
        if role is not None and role not in self.framework.roles:
            raise ValueError(f"the framework has no role {role!r} (it has {', '.join(self.framework.roles)})")
        order = self._order + 1
        chosen = TaskId(task_id) if task_id is not None else self._new_id(executor, order)
        check_task_id(chosen)
        if chosen in self._tasks:
            raise ValueError(f"there is a task {chosen} already")
        spec = TaskSpec(
            task_id=chosen,
            name=name or chosen,
            order=order,
            payload=b"" if payload is None else pack(payload, id=str(current_message_id() or "")),
            executor=executor,
            command=command or "",
            resources=resources or Resources.of(cpus=cpus, mem=mem, disk=disk, gpus=gpus),
            ports=ports,
            role=role or self.framework.roles[0],
            retry=retry,
            labels=labels,
            timeout=timeout or 0.0,
            hosts=hosts,
            attributes=attributes,
            environment=environment,
            uris=uris,
            kill_grace=kill_grace,
        )
        self._order = order
        self._put(spec_record(spec))
        self._start_task(TaskHistory(spec))
        return chosen

    def kill(self, task_id: str, grace: float | None = None) -> bool:
        """End a task, wherever it is; `on_task_killed` tells when it is done.

        Args:
            task_id: as `launch` returned it.
            grace: seconds between asking it to end and ending it; its own if left out.

        Returns:
            Whether there is such a task.
        """
        entry = self._tasks.get(TaskId(task_id))
        if entry is None:
            return False
        self.tell(entry.ref, m.KillTask(grace))
        return True

    def send_message(self, agent_id: AgentId, executor_id: ExecutorId, message: object) -> None:
        """Send a message to an executor; best effort: `on_error` tells when it could not even be sent."""
        self.tell(
            "connection",
            m.SendMessage(agent_id, executor_id, pack(message, id=str(current_message_id() or ""))),
        )

    def finish(self, exit_code: int = 0, reason: str = "finished") -> None:
        """End the framework: TEARDOWN, which ends its tasks and executors too, then the process's exit code."""
        if not self._ending:
            self._ending, self._exit_code = reason or "finished", exit_code
            self.tell("connection", m.Teardown())

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

    # --- the beginning ----------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Say that the scheduler is there; an author's own `on_start` calls this one."""
        self.tell("framework", m.ActorStarted("scheduler"))

    @receive
    async def begin(self, _asked: m.Begin) -> None:
        """Load what is stored, open the server, spawn the others, go on with the tasks of an earlier run."""
        if self._begun:
            return
        self._begun = True
        try:
            loaded: m.Loaded = await self.ref("store").ask(m.Load(), block=False)
            facts = {r.key: r.value.decode() for r in loaded.records if r.kind == FRAMEWORK}
            known = histories(loaded.records)
            self.spawn_built_in("server")
            asked = m.OpenServer(facts.get("token") or self.ids.uuid(), int(facts.get("port", "0")))
            self._server = await self.ref("server").ask(asked, block=False)
        except Exception as error:
            logger.debug("the framework cannot start", exc_info=True)
            self._end(2, str(error))
            return
        assert self._server is not None
        self._run = int(facts.get("runs", "0")) + 1
        if "id" in facts:
            self.framework_id, self._fresh = FrameworkId(facts["id"]), False
        self._remember(runs=str(self._run), token=self._server.token, port=str(self._server.port))
        self._templates = tuple(
            executor_template(executor, self.composition, self._server)
            for executor in self.composition.executors
        )
        for name in ("offers", "reconciler"):
            self.spawn_built_in(name)
        self.tell("offers", m.UseExecutors(self._templates))
        for spec in self.composition.actors:
            if spec.name not in SERVANTS and self.system.find(spec.name) is None:
                self.spawn(spec.cls, self.composition, spec.settings, name=spec.name, supervision=RESTART)
        self._resumed = len(known)
        for history in known:
            self._order = max(self._order, history.spec.order)
            self._start_task(history)
        self.spawn_built_in("connection")

    def spawn_built_in(self, name: str) -> None:
        """Start a built-in actor, or what the composition has put in its place."""
        spec = spec_of(self.composition, name)
        self.spawn(spec.cls, self.composition, spec.settings, name=name, supervision=RESTART)

    @receive
    async def actor_started(self, started: m.ActorStarted) -> None:
        """A built-in actor is there, or there again: tell it what it has to know."""
        if started.name == "connection":
            self.tell("connection", m.Connect(self.framework_id))
        elif started.name == "offers" and self._templates is not None and self._begun:
            self.tell("offers", m.UseExecutors(self._templates))
            for entry in list(self._tasks.values()):
                if entry.phase in {TaskPhase.WAITING, TaskPhase.WITHDRAWING}:
                    self.tell(entry.ref, m.BrokerRestarted())
        elif started.name == "server" and self._server is not None:
            await self.ref("server").ask(m.OpenServer(self._server.token, self._server.port), block=False)
        elif started.name == "reconciler" and self._announced:
            self.tell("reconciler", m.StartReconciliation())

    # --- the subscription -------------------------------------------------------------------------------------

    @receive
    def subscribed(self, news: m.Subscribed) -> None:
        """Remember the framework's id, reconcile, tell the author."""
        first = not self._announced
        self._announced = True
        if news.framework_id != self.framework_id:
            self.framework_id = news.framework_id
            self._remember(id=news.framework_id)
        self.tell("reconciler", m.StartReconciliation())
        event = Registered(news.framework_id, news.master, self._resumed if first else 0)
        again = not first or not self._fresh
        own_reregistered = type(self).on_reregistered is not SchedulerHooks.on_reregistered
        if again and (own_reregistered or not first):
            self._call(self.on_reregistered, event)
        else:
            self._call(self.on_registered, event)

    @receive
    def disconnected(self, news: m.Disconnected) -> None:
        """There is nobody to reconcile with."""
        self.tell("reconciler", m.StopReconciliation())
        self._call(self.on_disconnected, news)

    @receive
    def framework_error(self, error: m.FrameworkError) -> None:
        """The master will not have us: start anew where the stored framework is no more, else end."""
        self._call(self.on_error, error.reason)
        if error.framework_gone and not self._fresh and not self._announced:
            logger.warning("the stored framework %s is no more; starting as a new one", self.framework_id)
            self.framework_id, self._fresh = None, True
            self.tell("connection", m.Connect(None))
            return
        self._end(1, f"the master refuses the framework: {error.reason}")

    # --- tasks ------------------------------------------------------------------------------------------------

    @receive
    def status_update(self, update: m.StatusUpdate) -> None:
        """Route an update to its task; acknowledge one that has no task any more."""
        status = update.status
        split = split_attempt_id(status.task_id)
        if status.reason == "REASON_RECONCILIATION":
            self.tell("reconciler", m.TaskAnswered(status.task_id))
        entry = self._tasks.get(split[0]) if split is not None else None
        if entry is not None:
            entry.ref.tell(update)
            return
        if split is None or split[0] not in self._recent:
            self._unknown(status)
        elif not is_terminal(status.state):
            self.tell("connection", m.Kill(status.task_id, status.agent_id))
        if status.uuid and status.agent_id is not None:
            self.tell("connection", m.Acknowledge(status.agent_id, status.task_id, status.uuid))

    def _unknown(self, status: TaskStatus) -> None:
        if is_terminal(status.state) and not status.uuid:
            return  # an answer to a question about a task that is over
        logger.warning("a task that nobody knows: %s is %s", status.task_id, status.state.value)
        self.tell("reconciler", m.UnknownTask(status))
        self._call(self.on_unknown_task, status)

    @receive
    def task_changed(self, changed: m.TaskChanged) -> None:
        """Keep the counts, tell the author if interested."""
        entry = self._tasks.get(changed.task_id)
        if entry is None:
            return
        if entry.phase is not changed.phase:
            self._counts[entry.phase] -= 1
            self._counts[changed.phase] += 1
        self._tasks[changed.task_id] = TaskEntry(
            entry.ref, changed.phase, changed.attempt_id, changed.agent_id
        )
        if self._wants_updates:
            self._call(self.on_task_update, changed)

    @receive
    def task_done(self, done: m.TaskDone) -> None:
        """Tell the author the outcome; then, in one transaction, forget the task and store what the hook launched."""
        entry = self._tasks.pop(done.task_id, None)
        if entry is None:
            return
        self._counts[entry.phase] -= 1
        self._recent[done.task_id] = None
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        self._outbox = []
        if done.phase is TaskPhase.FINISHED:
            self._call(self.on_task_finished, finished(done))
        elif done.phase is TaskPhase.KILLED:
            self._call(self.on_task_killed, failed(done, killed=True))
        else:
            self._call(self.on_task_failed, failed(done, killed=False))
        records, self._outbox = tuple(self._outbox), None
        self.tell("store", m.Write(records, all_records_of(done.task_id)))
        if entry.agent_id is not None:
            self.tell("offers", m.ResourcesFreed())
        entry.ref.stop(block=False)

    @receive
    def list_tasks(self, _asked: m.ListTasks) -> None:
        """Tell the reconciler what may be on the cluster."""
        tasks = tuple(
            (entry.attempt_id, entry.agent_id)
            for entry in self._tasks.values()
            if entry.phase in ON_CLUSTER and entry.attempt_id is not None
        )
        self.tell("reconciler", m.TasksOnCluster(tasks))

    @receive
    def child_failed(self, failure: ChildFailed) -> None:
        """A task's actor goes on from what is stored of it; without a built-in actor there is no framework."""
        logger.error("%s failed: %s\n%s", failure.name, failure.error, failure.traceback_text)
        if failure.name.startswith("task:"):
            self.tell(self.actor_ref, TaskLost(failure.name, failure.error))
        elif failure.name in SERVANTS:
            self._end(1, f"{failure.name} failed again and again: {failure.error}")

    @receive
    async def task_lost(self, lost: TaskLost) -> None:
        """Start a task's actor anew from the store."""
        task_id = TaskId(lost.name.removeprefix("task:"))
        entry = self._tasks.pop(task_id, None)
        if entry is None:
            return
        self._counts[entry.phase] -= 1
        loaded: m.Loaded = await self.ref("store").ask(m.Load(), block=False)
        for history in histories(tuple(record for record in loaded.records if record.key == task_id)):
            self._start_task(history)
        self._call(self.on_error, f"{lost.name}: {lost.error}")

    def _start_task(self, history: TaskHistory) -> None:
        task_id = history.spec.task_id
        ref = self.spawn(TaskActor, history, name=f"task:{task_id}", supervision=STOP)
        self._tasks[task_id] = TaskEntry(ref, TaskPhase.WAITING, None, None)
        self._counts[TaskPhase.WAITING] += 1

    def _executor_for(self, executor: str | None, command: str | None) -> str:
        if command is not None:
            if executor is not None:
                raise ValueError("a task has either a command or an executor, not both")
            return ""
        executors = self.composition.executors
        if executor is None:
            if len(executors) != 1:
                names = ", ".join(each.name for each in executors) or "none"
                raise ValueError(
                    f"say which executor the task is for (there are: {names}), or give a command"
                )
            return executors[0].name
        if self.composition.executor(executor) is None:
            names = ", ".join(each.name for each in executors) or "none"
            raise ValueError(f"there is no executor {executor!r} (there are: {names})")
        return executor

    def _new_id(self, executor: str, order: int) -> TaskId:
        run = f"r{self._run}-" if self._run > 1 else ""
        return TaskId(f"{executor or 'task'}-{run}{order}")

    # --- what else comes from the master and the executors ----------------------------------------------------

    @receive
    def message_arrived(self, arrived: m.MessageArrived) -> None:
        """Decode a framework message; garbage is an error in the log, never an exception."""
        source = MessageSource(
            arrived.agent_id,
            arrived.executor_id,
            arrived.executor_id.rpartition("-")[0] or arrived.executor_id,
        )
        try:
            envelope = unpack(arrived.data)
        except DecodeError as error:
            logger.warning("a message of executor %s cannot be read: %s", arrived.executor_id, error)
            self._call(self.on_error, f"a message of executor {arrived.executor_id} cannot be read: {error}")
            return
        self.actor_ref.tell_caused(ExecutorSaid(envelope.message, source), envelope.id)

    @receive
    def executor_said(self, said: ExecutorSaid) -> None:
        """Give the author a framework message; in the trace, its cause stands in the executor's log."""
        self._call(self.on_message, said.message, said.source)

    @receive
    def uploaded(self, upload: m.Uploaded) -> None:
        """An upload is complete."""
        self._call(self.on_uploaded, upload)

    @receive
    def executor_lost(self, lost: m.ExecutorLost) -> None:
        """Pass it on."""
        self._call(self.on_executor_lost, lost)

    @receive
    def agent_lost(self, lost: m.AgentLost) -> None:
        """Pass it on."""
        self._call(self.on_agent_lost, lost)

    @receive
    def operation_update(self, update: m.OperationUpdate) -> None:
        """Acknowledge and pass on."""
        status = update.status
        if status.uuid and status.operation_id is not None:
            self.tell(
                "connection",
                m.AcknowledgeOperation(
                    status.operation_id, status.uuid, status.agent_id, status.resource_provider_id or ""
                ),
            )
        self._call(self.on_operation_update, status)

    @receive
    def inverse_offers(self, arrived: m.InverseOffersArrived) -> None:
        """Let the author decide; if the hook raises, the operator is not promised anything."""
        for offer in arrived.offers:
            if self._call(self.on_inverse_offer, offer):
                self.tell("connection", m.AcceptInverseOffers((offer.id,)))
            else:
                self.tell("connection", m.DeclineInverseOffers((offer.id,), 60.0))

    @receive
    def inverse_rescinded(self, _rescinded: m.InverseOfferRescinded) -> None:
        """Nothing is held on it."""

    @receive
    def call_failed(self, failure: m.CallFailed) -> None:
        """A call of the scheduler itself (a message, a kill) was not taken."""
        self._call(self.on_error, f"{type(failure.call).__name__} failed: {failure.reason}")

    @receive
    def storage_trouble(self, trouble: m.StorageTrouble) -> None:
        """The store cannot write; nothing is acknowledged until it can."""
        self._call(self.on_error, f"the store cannot write: {trouble.reason}")

    # --- the end ----------------------------------------------------------------------------------------------

    @receive
    def shutdown_requested(self, request: m.ShutdownRequested) -> None:
        """Let the author end gracefully; if that hook raises, end anyway."""
        before = self.hook_failures
        self._call(self.on_shutdown_requested, request)
        if self.hook_failures > before:
            SchedulerActor.on_shutdown_requested(self, request)

    @receive
    async def teardown_done(self, done: m.TeardownDone) -> None:
        """The framework is no more, and what is stored of it is of no use."""
        await self.ref("store").ask(m.ClearStore(), block=False)
        self._end(self._exit_code, self._ending or done.reason)

    def _end(self, exit_code: int, reason: str) -> None:
        self._ending = self._ending or reason
        self.tell("framework", m.Outcome(exit_code, reason))

    # --- odds and ends ----------------------------------------------------------------------------------------

    @receive
    def hook_failed(self, failure: m.HookFailed) -> None:
        """Nothing to do: the message is there so that the trace shows it."""

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook; whatever it raises ends here."""
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

    def _put(self, record: m.Record) -> None:
        """Store a record: with the hook that is running, or at once."""
        if self._outbox is not None:
            self._outbox.append(record)
        else:
            self.tell("store", m.Write((record,)))

    def _remember(self, **facts: str) -> None:
        records = tuple(m.Record(FRAMEWORK, key, value.encode()) for key, value in facts.items())
        self.tell("store", m.Write(records))

    def _is_durable(self) -> bool:
        return bool(getattr(spec_of(self.composition, "store").settings, "path", ""))


def _contained(handler: Any) -> Any:
    """Wrap an author's handler so that what it raises is contained; an asker gets the exception."""
    if inspect.iscoroutinefunction(handler):

        async def contained_async(self: SchedulerActor, asked: Any) -> Any:
            try:
                return await handler(self, asked)
            except Exception as error:
                self._hook_raised(handler.__name__, error)
                return None

        wrapper: Any = contained_async
    else:

        def contained(self: SchedulerActor, asked: Any) -> Any:
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


__all__ = ["Registered", "SchedulerActor", "TaskFailure"]
