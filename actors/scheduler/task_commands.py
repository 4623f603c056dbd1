"""The commands of an author's scheduler that have to do with tasks: launch, kill, message, how many there are.

What was launched in a hook is stored together with the fact that the hook was called; see `SchedulerActor.task_done`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from actors import messages as m
from actors.built_in import task_class
from actors.offers.why_pending import GPUS
from actors.records.tasks import MAX_TASK_BYTES, TaskHistory, TaskSpec, spec_record
from actors.runtime import (
    STOP,
    EncodeError,
    Secret,
    check_size,
    current_message_id,
    message,
    pack,
    pack_message,
)
from actors.scheduler.base_scheduler import BaseScheduler, framework_record
from actors.scheduler.launch_arguments import CHECKS, check_texts, checked
from actors.scheduler.task_book import TaskBook, TaskEntry
from actors.settings import Composition, RetryPolicy
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, TaskId

logger = logging.getLogger("actors.scheduler")

DEFAULT_RETRY = RetryPolicy()
ENDS_WHEN_DONE = "ends when done"
TASK_PREFIX = "task:"
"""What the names of tasks' actors begin with."""
Texts = Iterable[str]
Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


@message
class TaskLost:
    """A task's actor failed; it goes on from what is stored of it."""

    name: str
    error: str


@message
class SeeIfDone:
    """The framework is to end once no task is active: is that so by now?"""


class TaskCommands(BaseScheduler):
    """Launches and kills; `SchedulerActor` hears what becomes of it."""

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__(composition, settings)
        self._tasks = TaskBook()
        self._task_class = task_class(composition)
        self._order = 0
        self._run = 1
        self._kills: dict[TaskId, m.KillTask] = {}
        self._outbox: list[m.Record] | None = None
        self._ends_when_done = False

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
            launch_timeout: seconds of silence about a launch after which the master is asked what became of it; at
                least 1.
            unreachable_timeout: seconds that an agent which the master has lost may take to come back with the
                task; after them it is tried elsewhere.

        Returns:
            The task's id, by which hooks and `kill` speak of it.

        Raises:
            ValueError: A mistake of the caller in one sentence; nothing was launched.
        """
        arguments = {
            "executor": executor,
            "command": command,
            "task_id": task_id,
            "name": name,
            "cpus": cpus,
            "mem": mem,
            "disk": disk,
            "gpus": gpus,
            "ports": ports,
            "resources": resources,
            "role": role,
            "retry": retry,
            "labels": labels,
            "timeout": timeout,
            "hosts": hosts,
            "attributes": attributes,
            "environment": environment,
            "uris": uris,
            "kill_grace": kill_grace,
            "launch_timeout": launch_timeout,
            "unreachable_timeout": unreachable_timeout,
        }
        given = checked(arguments, _DEFAULTS)
        executor = self._executor_for(executor, command)
        if role is not None and role not in self.framework.roles:
            raise ValueError(f"the framework has no role {role!r} (it has {', '.join(self.framework.roles)})")
        order = self._order + 1
        chosen = TaskId(task_id) if task_id is not None else self._new_id(executor, order)
        if chosen in self._tasks:
            raise ValueError(f"there is a task {chosen} already")
        spec = TaskSpec(
            task_id=chosen,
            name=name or chosen,
            order=order,
            payload=_packed(payload),
            executor=executor,
            command=command or "",
            resources=self._resources(given),
            ports=ports,
            role=role or self.framework.roles[0],
            retry=retry,
            labels=given["labels"],
            timeout=given["timeout"] or 0.0,
            hosts=given["hosts"],
            attributes=given["attributes"],
            environment=given["environment"],
            uris=given["uris"],
            kill_grace=given["kill_grace"],
            launch_timeout=given["launch_timeout"],
            unreachable_timeout=given["unreachable_timeout"],
            first_attempt=1 if task_id is None else self._tasks.first_attempt(chosen),
        )
        for what, there in (("environment", spec.environment), ("uris", spec.uris)):
            if executor and there:
                raise ValueError(
                    f"{what} is for commands: executor {executor} has its own in its configuration"
                )
        record = spec_record(spec)
        if len(record.value) > MAX_TASK_BYTES:
            raise ValueError(
                f"the task has {len(record.value):,} bytes, and {MAX_TASK_BYTES:,} is the most: put large data where "
                "its executor can fetch it, and its address in the payload"
            )
        self._order = order
        self._put(record)
        self._start_task(TaskHistory(spec))
        return chosen

    def kill(self, task_id: str, grace: float | None = None) -> bool:
        """End a task, wherever it is; `on_task_killed` tells when it is done.

        Args:
            task_id: as `launch` returned it.
            grace: seconds between asking it to end and ending it; its own if left out.

        Returns:
            Whether there is such a task.

        Raises:
            ValueError: `grace` is no time that can be waited.
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

    def finish_when_done(self) -> None:
        """End the framework as soon as no task is active: with exit code 0, or 1 if a task has failed for good.

        Call it once, where the first tasks are launched. Tasks that hooks launch later count too; those that `kill`
        ended are no failures. Whoever launches tasks from elsewhere (a timer, a message) calls it when nothing more
        will come.
        """
        if not self._ends_when_done:
            self._ends_when_done = True
            self._put(
                framework_record(ENDS_WHEN_DONE, "1")
            )  # a later run does not call `on_registered` again
        self.tell(self.actor_ref, SeeIfDone())

    def send_message(self, agent_id: AgentId, executor_id: ExecutorId, message: object) -> None:
        """Send a message to an executor; best effort: `on_error` tells when it could not even be sent.

        Raises:
            ValueError: It is nothing that can be packed, or larger than the executor reads.
        """
        data = pack_message(message, id=str(current_message_id() or ""))
        call = m.SendMessage(agent_id, executor_id, data)
        check_texts(call)
        self.tell("connection", call)

    def _phases(self) -> tuple[tuple[str, int], ...]:
        return tuple(self._tasks.counts().items())

    def _start_task(self, history: TaskHistory) -> None:
        task_id = history.spec.task_id
        name = f"{TASK_PREFIX}{task_id}"
        try:
            ref = self.spawn(self._task_class, history, name=name, supervision=STOP)
        except Exception as error:  # an author's own class of tasks
            logger.exception("%s could not be created", name)
            self._tasks.add(task_id, None)
            self.tell(self.actor_ref, TaskLost(name, f"{type(error).__name__}: {error}"))
            return
        self._tasks.add(task_id, ref)

    def _tell_task(self, entry: TaskEntry, news: object) -> None:
        if entry.ref is not None:
            self.tell(entry.ref, news)

    def _resources(self, given: Mapping[str, Any]) -> Resources:
        """Return what is asked for beside ports, which Mesos must be able to give."""
        wanted: Resources | None = given["resources"]
        if wanted is None:
            gpus = given["gpus"]
            wanted = _amounts(given["cpus"], given["mem"], given["disk"], gpus)
        else:
            gpus = wanted.gpus
        if not wanted and not given["ports"]:
            raise ValueError("a task must ask for some resource: cpus, mem, disk, gpus and ports are all 0")
        if gpus and GPUS not in self.framework.capabilities:
            raise ValueError(
                f"gpus are offered only to frameworks with the capability {GPUS}: "
                "add it to capabilities in [framework]"
            )
        return wanted

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
        while True:
            drawn = TaskId(f"{executor or 'task'}-{run}{order}")
            if drawn not in self._tasks and not self._tasks.has_ended(drawn):
                return drawn
            order += 1  # the author has chosen just this one

    def _put(self, record: m.Record) -> None:
        """Store a record: with the hook that is running, or at once."""
        if self._outbox is not None:
            self._outbox.append(record)
        else:
            self.tell("store", m.Write((record,)))


@lru_cache(maxsize=256)
def _amounts(cpus: float, mem: float, disk: float, gpus: float) -> Resources:
    """Return the same `Resources` for the same amounts: most tasks ask for what another one asked for."""
    return Resources.of(cpus=cpus, mem=mem, disk=disk, gpus=gpus)


def _packed(payload: object) -> bytes:
    if payload is None:
        return b""
    try:
        packed = pack(payload, id=str(current_message_id() or ""))
    except EncodeError as error:
        raise ValueError(f"the payload cannot be sent: {error}") from error
    check_size("the payload", packed)
    return packed


_DEFAULTS = {name: each.default for name, each in inspect.signature(TaskCommands.launch).parameters.items()}
