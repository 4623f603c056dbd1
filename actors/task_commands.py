"""The commands of an author's scheduler that have to do with tasks: launch, kill, message, how many there are.

What was launched in a hook is stored together with the fact that the hook was called; see `SchedulerActor.task_done`.
"""

from __future__ import annotations

from typing import Any

from actors import messages as m
from actors.base_scheduler import BaseScheduler
from actors.built_in import task_class
from actors.runtime import STOP, current_message_id, pack
from actors.settings import Composition, RetryPolicy
from actors.task_book import TaskBook
from actors.task_spec import TaskHistory, TaskSpec, check_task_id, spec_record
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, TaskId

DEFAULT_RETRY = RetryPolicy()


class TaskCommands(BaseScheduler):
    """Launches and kills; `SchedulerActor` hears what becomes of it."""

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__(composition, settings)
        self._tasks = TaskBook()
        self._task_class = task_class(composition)
        self._order = 0
        self._run = 1
        self._outbox: list[m.Record] | None = None

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
        labels: tuple[tuple[str, str], ...] = (),
        timeout: float | None = None,
        hosts: tuple[str, ...] = (),
        attributes: tuple[tuple[str, str], ...] = (),
        environment: tuple[tuple[str, str], ...] = (),
        uris: tuple[str, ...] = (),
        kill_grace: float = 3.0,
        launch_timeout: float = 60.0,
        unreachable_timeout: float = 600.0,
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
            launch_timeout: seconds of silence about a launch after which the master is asked what became of it.
            unreachable_timeout: seconds that an agent which the master has lost may take to come back with the
                task; after them it is tried elsewhere.

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
            launch_timeout=launch_timeout,
            unreachable_timeout=unreachable_timeout,
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

    def _start_task(self, history: TaskHistory) -> None:
        task_id = history.spec.task_id
        ref = self.spawn(self._task_class, history, name=f"task:{task_id}", supervision=STOP)
        self._tasks.add(task_id, ref)

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

    def _put(self, record: m.Record) -> None:
        """Store a record: with the hook that is running, or at once."""
        if self._outbox is not None:
            self._outbox.append(record)
        else:
            self.tell("store", m.Write((record,)))
