"""The actor that authors subclass: supervises the other built-in actors, creates a task actor a task, and routes.

An author overrides hooks (`scheduler_hooks`) and gives commands (`launch`, `kill`, `finish`, …); the rest is here. Life: the
store is loaded, the server opens, broker, reconciler and connection are spawned, tasks of an earlier run go on, and with
the first subscription of its life `on_registered` is called. The end is `finish` (TEARDOWN: the framework and its tasks are gone) or
`leave` (the master keeps them for the failover timeout, and the same store path takes them over again).

Not here: how a task lives (`task_actor`), which offer it gets (`offer_actor`), how calls travel (`connection_actor`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from actors import messages as m
from actors.messages import DRAINING, ON_CLUSTER, TaskPhase
from actors.records.operations import operations_in
from actors.records.tasks import (
    TaskHistory,
    all_records_of,
    attempt_id,
    ended_key,
    ended_record,
    ended_tasks,
    histories,
    latest,
    split_attempt_id,
)
from actors.records.uploads import untold_uploads, upload_key
from actors.runtime import (
    ChildFailed,
    DecodeError,
    Immutable,
    message,
    receive,
    unpack_message,
)
from actors.scheduler.author_events import MessageSource, Registered, TaskFailure, failed, finished
from actors.scheduler.base_scheduler import ENDING, FRAMEWORK, BaseScheduler, facts_in, framework_record
from actors.scheduler.executor_templates import executor_template
from actors.scheduler.hooks import SchedulerHooks
from actors.scheduler.maintenance import MaintenanceDuty
from actors.scheduler.task_book import TaskEntry
from actors.scheduler.task_commands import ENDS_WHEN_DONE, TASK_PREFIX, SeeIfDone, TaskLost
from actors.settings import Composition
from mesos_v1 import events
from mesos_v1.states import is_terminal
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, OperationStatus, TaskId, TaskStatus

logger = logging.getLogger("actors.scheduler")

ACTOR_FAILURES = 5
"""So often a task's actor may fail before the task has failed."""
EXECUTOR_PATIENCE = 3.0
"""Seconds that executors get to hand in their traces at the end."""
RELOAD_AFTER = 1.0
"""Seconds before a store that could not be read is asked again."""
REGISTERED, FORGOTTEN = "registered", "attempts forgotten"
"""Facts: that `on_registered` has been called; the highest attempt of a task that is no longer remembered."""


@message
class TaskReloaded:
    """What is stored of a task whose actor failed."""

    task_id: TaskId
    error: str
    records: tuple[m.Record, ...]


@message
class ExecutorSaid:
    """A framework message, decoded."""

    message: Immutable
    source: MessageSource


@message
class ExecutorsOverdue:
    """Executors were given time to end and have not."""


class SchedulerActor(MaintenanceDuty):
    """Base class of an author's scheduler; see the head of this module."""

    _hooks = BaseScheduler._hooks | {name for name in vars(SchedulerHooks) if not name.startswith("_")}

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__(composition, settings)
        self._resumed = 0
        self._untold_operations: list[OperationStatus | None] = []
        self._announced = False
        self._introduced = False
        self._subscribed = False
        self._templates: tuple[m.ExecutorTemplate, ...] = ()
        self._server: m.ServerReady | None = None
        self._early: list[m.TaskDone | m.Uploaded] = []
        self._actor_failures: dict[TaskId, int] = {}
        self._awaited: set[tuple[AgentId, ExecutorId]] = set()
        self._outcomes: Counter[TaskPhase] = Counter()
        self._wants_updates = type(self).on_task_update is not SchedulerHooks.on_task_update

    # --- the beginning ----------------------------------------------------------------------------------------

    @receive
    async def handle_begin(self, _asked: m.Begin) -> None:
        """Load what is stored, open the server, spawn the others, go on with the tasks of an earlier run."""
        if self._begun:
            return
        self._begun = True
        try:
            loaded: m.Loaded = await self._answer("store", m.Load())
            facts, known = facts_in(loaded.records), histories(loaded.records)
            if self._end_early(known="id" in facts):
                return
            self._ends_earlier_run = "id" in facts and ENDING in facts
            if self._ends_earlier_run:
                known = ()
            else:
                self._untold_operations = [each.status for each in operations_in(loaded.records)]
                self._tasks.remember_ended(ended_tasks(loaded.records), int(facts.get(FORGOTTEN, "0")))
                self._introduced = REGISTERED in facts
            self.spawn_built_in("server")
            self._server = await self._answer("server", m.OpenServer(int(facts.get("port", "0"))))
            if not self._ends_earlier_run:
                self._early.extend(untold_uploads(loaded.records, self._server))
        except Exception as error:
            logger.debug("the framework cannot start", exc_info=True)
            self._end(2, str(error))
            return
        assert self._server is not None
        self._run = int(facts.get("runs", "0")) + 1
        if "id" in facts:
            self.framework_id = FrameworkId(facts["id"])
        self._outcomes[TaskPhase.FAILED] = int(facts.get("failed", "0"))
        self._ends_when_done = self._ends_when_done or ENDS_WHEN_DONE in facts
        self._remember(runs=str(self._run), port=str(self._server.port))
        self._templates = tuple(
            executor_template(executor, self.composition, self._server)
            for executor in self.composition.executors
        )
        for name in ("offers", "reconciler", "failures"):
            self.spawn_built_in(name)
        self.tell("offers", m.UseExecutors(self._templates))
        self.spawn_extra_actors()
        self._resumed = len(known)
        for history in known:
            self._order = max(self._order, history.spec.order)
            self._start_task(history)
        self.spawn_built_in("connection")
        if self._ending:
            self._tear_down()

    @receive
    async def handle_actor_started(self, started: m.ActorStarted) -> None:
        """A built-in actor is there, or there again: tell it what it has to know."""
        if started.name == "connection":
            self._connect("offers")
        elif started.name == "offers" and self._begun:
            self.tell("offers", m.UseExecutors(self._templates))
            if self._subscribed:
                self.tell("offers", m.StillSubscribed())
            for entry in self._tasks:
                if entry.phase in {TaskPhase.WAITING, TaskPhase.WITHDRAWING}:
                    self._tell_task(entry, m.BrokerRestarted())
        elif started.name == "server" and self._server is not None:
            try:
                await self._answer("server", m.OpenServer(self._server.port))
            except Exception as error:
                self._end(1, f"the server failed, and cannot be opened again: {error}")
        elif started.name == "reconciler" and self._announced:
            self.tell("reconciler", m.StartReconciliation())

    # --- the subscription -------------------------------------------------------------------------------------

    @receive
    def handle_subscribed(self, news: m.Subscribed) -> Any:
        """Remember the framework's id, reconcile, tell the author."""
        if self._only_ends(news):
            return None
        first = not self._announced
        self._announced = self._subscribed = True
        self.tell("reconciler", m.StartReconciliation())
        event = Registered(news.framework_id, news.master, self._resumed if first else 0)
        told = self._call(self.on_reregistered, event) if self._introduced else self._introduce(event)
        operations, self._untold_operations = self._untold_operations, []
        for status in operations:
            if status is not None:
                self.tell(self.actor_ref, events.UpdateOperationStatus(status))
        early, self._early = self._early, []
        for done in early:
            self.tell(self.actor_ref, done)
        if self._ends_when_done:
            self.tell(self.actor_ref, SeeIfDone())
        return told

    def _introduce(self, event: Registered) -> Any:
        """Call the hook of the first time; that it was called is stored together with what it launched.

        If it raised before it launched anything, the next run calls it again: nothing has begun.
        """
        self._introduced = True
        failures = self.hook_failures
        self._outbox = []
        return self._after(self._call(self.on_registered, event), lambda: self._introduction_over(failures))

    def _introduction_over(self, failures_before: int) -> None:
        launched, self._outbox = self._outbox or (), None
        if launched or self.hook_failures == failures_before:
            self.tell("store", m.Write((*launched, m.Record(FRAMEWORK, REGISTERED, b"1"))))

    @receive
    def handle_disconnected(self, news: m.Disconnected) -> Any:
        """There is no master to reconcile with."""
        self._subscribed = False
        self.tell("reconciler", m.StopReconciliation())
        return self._call(self.on_disconnected, news)

    @receive
    async def handle_framework_error(self, error: m.FrameworkError) -> None:
        """The master will not have us: go on as a new framework where ours was away for too long, else end."""
        await self._called(self.on_error, error.reason)
        if error.framework_gone and error.coming_back and not self._over:
            logger.warning(
                "framework %s is gone: it was away for longer than its failover timeout (%g s), or an operator has "
                "ended it; subscribing as a new one and running its tasks again",
                self.framework_id,
                self.framework.failover_timeout or 0.0,
            )
            self.framework_id = None
            self._executors.clear()
            self._begin_anew()
            return
        self._end(1, f"the master refuses the framework: {error.reason}")

    # --- tasks ------------------------------------------------------------------------------------------------

    @receive
    def handle_update(self, update: events.Update) -> Any:
        """Route an update to its task; acknowledge one that has no task any more."""
        status = update.status
        split = split_attempt_id(status.task_id)
        if status.reason == "REASON_RECONCILIATION":
            self.tell("reconciler", m.TaskAnswered(status.task_id))
        entry = self._tasks.get(split[0]) if split is not None else None
        if entry is not None:
            self._tell_task(entry, update)  # it may just have failed: the agent sends the update again
            return None
        if status.uuid and status.agent_id is not None:
            self.tell("connection", m.Acknowledge(status.agent_id, status.task_id, status.uuid))
        if split is None or not self._tasks.has_ended(split[0]):
            return self._unknown(status)
        if not is_terminal(status.state):
            self.tell("connection", m.Kill(status.task_id, status.agent_id))
        return None

    def _unknown(self, status: TaskStatus) -> Any:
        if is_terminal(status.state) and not status.uuid:
            return None  # an answer to a question about a task that is over
        logger.warning("unknown task %s (state %s)", status.task_id, status.state.value)
        self.tell("reconciler", m.UnknownTask(status))
        return self._call(self.on_unknown_task, status)

    @receive
    def handle_task_changed(self, changed: m.TaskChanged) -> Any:
        """Keep the counts, tell the author if interested."""
        if not self._tasks.change(changed):
            return None
        # Mesos's own executor of a command has the task's id, and nobody tells of its end
        of_a_command = str(changed.executor_id) == str(changed.attempt_id)
        if changed.agent_id is not None and changed.executor_id and changed.state and not of_a_command:
            self._executors.add((changed.agent_id, changed.executor_id))
        if changed.reason == DRAINING and changed.phase not in ON_CLUSTER:
            self._leave_agent(changed.agent_id)
        if changed.phase is TaskPhase.BACKING_OFF:
            if self._ending:
                return None  # its executor was ended by us, and there is no next attempt
            if changed.attempt == 1:
                self.tell("failures", changed)
        return self._call(self.on_task_update, changed) if self._wants_updates else None

    @receive
    def handle_task_done(self, done: m.TaskDone) -> Any:
        """Tell the author the outcome; then, in one transaction, forget the task and store what the hook launched.

        What an earlier run left untold waits until the author has been told of the registration.
        """
        if not self._announced:
            self._early.append(done)
            return None
        entry = self._tasks.remove(done.task_id)
        if entry is None:
            return None
        if entry.ref is not None:  # its name is free for a task that the hook launches under the same id
            entry.ref.stop(block=False)
            self.system.free_name(entry.ref)
        if done.reason == DRAINING:
            self._leave_agent(done.agent_id)
        return self._after(self._tell_outcome(done), lambda: self._let_go(entry))

    def _leave_agent(self, agent_id: AgentId | None) -> None:
        """End our executors on an agent that is being drained once they have no task: before that it is not drained.

        Until the last of them has ended the agent drops every task, also when it has been reactivated (Mesos:
        `Slave::updateDrainStatus`).
        """
        if any(entry.agent_id == agent_id and entry.phase in ON_CLUSTER for entry in self._tasks):
            return
        for agent, executor_id in self._executors:
            if agent == agent_id:
                self.tell("connection", m.ShutdownExecutor(executor_id, agent))

    def _let_go(self, entry: TaskEntry) -> None:
        if entry.agent_id is not None:
            self.tell("offers", m.ResourcesFreed())

    def _tell_outcome(self, done: m.TaskDone) -> Coroutine[Any, Any, None] | None:
        """Call the hook and store that; of an `async` hook a coroutine that does so."""
        self._actor_failures.pop(done.task_id, None)
        self._kills.pop(done.task_id, None)
        known = self._tasks.attempts_forgotten
        forgotten = self._tasks.ended(done.task_id, done.last_attempt)
        if self._tasks.attempts_forgotten > known:
            self._remember(**{FORGOTTEN: str(self._tasks.attempts_forgotten)})
        self._outbox = []
        if done.phase is TaskPhase.FINISHED:
            told = self._call(self.on_task_finished, finished(done))
        elif done.phase is TaskPhase.KILLED:
            told = self._call(self.on_task_killed, failed(done, killed=True))
        else:
            self.tell("failures", done)
            told = self._call(self.on_task_failed, failed(done, killed=False))
        return self._after(told, lambda: self._outcome_told(done, forgotten))

    def _outcome_told(self, done: m.TaskDone, forgotten: TaskId | None) -> None:
        self._outcomes[done.phase] += 1
        if done.phase is TaskPhase.FAILED:  # a later run has to know for its exit code
            self._put(framework_record("failed", str(self._outcomes[done.phase])))
        if self._ends_when_done and not self._tasks:
            self.tell(self.actor_ref, SeeIfDone())
        launched, self._outbox = self._outbox or (), None
        gone = all_records_of(done.task_id)
        if launched and done.task_id in self._tasks:  # launched again: its new specification stays
            kept = {(record.kind, record.key) for record in launched}
            gone = tuple(key for key in gone if key not in kept)
        if forgotten is not None:
            gone = (*gone, ended_key(forgotten))
        self.tell("store", m.Write((*launched, ended_record(done.task_id, done.last_attempt)), gone))

    @receive
    def handle_see_if_done(self, _asked: SeeIfDone) -> None:
        """Nothing is active, and nothing more will come: end, with what became of the tasks."""
        if not self._announced or self._early or self._tasks or self._ending:
            return
        failures = self._outcomes[TaskPhase.FAILED]
        if not self._outcomes.total():
            logger.warning("no task was launched: the framework ends")
        counts = {phase.value: count for phase, count in self._outcomes.items() if count}
        text = ", ".join(f"{count:,} {phase}" for phase, count in counts.items())
        self.finish(1 if failures else 0, f"all tasks have ended: {text or 'there were none'}")

    @receive
    def handle_list_tasks(self, _asked: m.ListTasks) -> None:
        """Tell the reconciler what may be on the cluster."""
        self.tell("reconciler", m.TasksOnCluster(self._tasks.on_cluster()))

    @receive
    def handle_child_failed(self, failure: ChildFailed) -> Any:
        """A task's actor goes on from what is stored of it; without a built-in actor there is no framework."""
        if failure.name.startswith(TASK_PREFIX):
            logger.error("%s failed: %s\n%s", failure.name, failure.error, failure.traceback_text)
            self.tell(self.actor_ref, TaskLost(failure.name, failure.error))
            return None
        return super().handle_child_failed(failure)

    @receive
    def handle_task_lost(self, lost: TaskLost) -> Any:
        """See what is stored of a task whose actor failed."""
        task_id = TaskId(lost.name.removeprefix(TASK_PREFIX))
        entry = self._tasks.get(task_id)
        if entry is None or entry.alive:
            return None
        self.run_in_background(self._reload(task_id, lost.error), name=f"load {lost.name}")
        return self._call(self.on_error, f"{lost.name}: {lost.error}")

    async def _reload(self, task_id: TaskId, error: str) -> None:
        """Load a task, beside the mailbox: the store may be slow, and other tasks go on meanwhile."""
        while True:
            try:
                loaded: m.Loaded = await self._answer("store", m.Load(task_id))
            except Exception as trouble:
                logger.error("task %s waits for the store, which cannot be read: %s", task_id, trouble)
                await asyncio.sleep(RELOAD_AFTER)
            else:
                self.tell(self.actor_ref, TaskReloaded(task_id, error, loaded.records))
                return

    @receive
    def handle_task_reloaded(self, loaded: TaskReloaded) -> Any:
        """Start a task's actor again from what is stored; one that fails again and again has failed."""
        task_id = loaded.task_id
        entry = self._tasks.get(task_id)
        if entry is None or entry.alive:
            return None
        failures = self._actor_failures[task_id] = self._actor_failures.get(task_id, 0) + 1
        history = next(iter(histories(loaded.records)), None)
        if history is None:
            message = f"its actor failed, and nothing is stored of it: {loaded.error}"
            return self.handle_task_done(
                m.TaskDone(task_id, task_id, TaskPhase.FAILED, 0, b"", message=message)
            )
        split = split_attempt_id(entry.attempt_id) if entry.attempt_id is not None else None
        demanded = split[1] if split is not None else history.spec.first_attempt
        if failures >= ACTOR_FAILURES:
            return self._give_up(history, demanded, f"its actor failed {failures} times: {loaded.error}")
        self._tasks.remove(task_id)
        self._start_task(replace(history, demanded=demanded))
        if task_id in self._kills:
            self.kill(task_id, self._kills[task_id].grace)
        return None

    def _give_up(self, history: TaskHistory, demanded: int, message: str) -> Any:
        spec, intent = history.spec, history.intent
        attempt = max(demanded, latest(history).attempt)
        self.tell("offers", m.Withdraw(attempt_id(spec.task_id, demanded)))
        if intent is not None:
            self.tell("connection", m.Kill(intent.attempt_id, intent.agent_id))
        return self.handle_task_done(
            m.TaskDone(
                task_id=spec.task_id,
                name=spec.name,
                phase=TaskPhase.FAILED,
                attempts=attempt - spec.first_attempt + 1,
                payload=spec.payload,
                executor=spec.executor,
                message=message,
                last_attempt=attempt,
            )
        )

    @receive
    def handle_withdrawn(self, _news: m.Withdrawn) -> None:
        """The broker has dropped what a task that was given up had demanded."""

    # --- what else comes from the master and the executors ----------------------------------------------------

    @receive
    def handle_message(self, arrived: events.Message) -> Any:
        """Decode a framework message; garbage is an error in the log, never an exception."""
        source = MessageSource(
            arrived.agent_id,
            arrived.executor_id,
            arrived.executor_id.rpartition("-")[0] or arrived.executor_id,
        )
        try:
            envelope = unpack_message(arrived.data)
        except DecodeError as error:
            logger.warning("cannot read a message of executor %s: %s", arrived.executor_id, error)
            return self._call(
                self.on_error, f"a message of executor {arrived.executor_id} cannot be read: {error}"
            )
        self.actor_ref.tell_caused(ExecutorSaid(envelope.message, source), envelope.id)
        return None

    @receive
    def handle_executor_said(self, said: ExecutorSaid) -> Any:
        """Give the author a framework message; in the trace, its cause stands in the executor's log."""
        return self._call(self.on_message, said.message, said.source)

    @receive
    def handle_uploaded(self, upload: m.Uploaded) -> Any:
        """Tell the author of an upload; then, in one transaction, forget it and store what the hook launched.

        As with outcomes, what an earlier run left untold waits for the registration.
        """
        if not self._announced:
            self._early.append(upload)
            return None
        self._outbox = []
        return self._after(self._call(self.on_uploaded, upload), lambda: self._upload_told(upload))

    def _upload_told(self, upload: m.Uploaded) -> None:
        records, self._outbox = tuple(self._outbox or ()), None
        self.tell("store", m.Write(records, (upload_key(upload),)))

    @receive
    def handle_ask_health(self, _asked: m.AskHealth) -> m.Health:
        """Say whether the framework is subscribed."""
        return m.Health(self._subscribed)

    @receive
    def handle_executor_lost(self, lost: m.ExecutorLost) -> Any:
        """Pass it on; at the end, go on when it was the last."""
        self._executors.discard((lost.agent_id, lost.executor_id))
        if self._awaited:
            self._awaited.discard((lost.agent_id, lost.executor_id))
            if not self._awaited:
                super()._tear_down()
        return self._call(self.on_executor_lost, lost)

    @receive
    def handle_agent_lost(self, lost: m.AgentLost) -> Any:
        """Pass it on."""
        self._windows.pop(lost.agent_id, None)
        self.tell("offers", lost)
        return self._call(self.on_agent_lost, lost)

    def _operation_stored(self, status: OperationStatus) -> Any:
        """Acknowledge, then tell the author; what was not told is told by the next run."""
        self._acknowledge_operation(status)
        told = self._call(self.on_operation_update, status)
        operation_id = status.operation_id
        if operation_id is None:
            return told
        return self._after(told, lambda: self._forget_operation(operation_id))

    @receive
    def handle_call_failed(self, failure: m.CallFailed) -> Any:
        """A call of the scheduler itself (a message, a kill), or one that the master refuses a task, was not taken."""
        of_task = getattr(failure.call, "task_id", "")
        what = type(failure.call).__name__ + (f" of task {of_task}" if of_task else "")
        return self._call(self.on_error, f"{what} failed: {failure.reason}")

    # --- the end ----------------------------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        assert self._server is not None
        self._remember(runs=str(self._run), port=str(self._server.port))
        self._connect("offers")

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
        """They have had their time."""
        if self._awaited:
            self._awaited.clear()
            super()._tear_down()


__all__ = ["Registered", "SchedulerActor", "TaskFailure"]
