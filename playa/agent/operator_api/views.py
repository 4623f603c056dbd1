"""What operators see of an agent: the V1 operator API's reading calls, `/state` and the flags, made from its records."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS
from playa.agent.containers.processes import usage
from playa.agent.context import AgentContext
from playa.agent.executors.states import ExecutorState, TaskPhase
from playa.agent.operations import Operations
from playa.agent.records import ExecutorRecord, FrameworkRecord, TaskRecord
from playa.json_forms import AGENT_CAPABILITIES, amounts, attribute

Call = pb.agent.Call
Response = pb.agent.Response
Json = dict[str, Any]

BUILD: Final[Json] = {
    "build_date": "2024-08-23 18:59:00 UTC",
    "build_time": 1724439540.0,
    "build_user": "",
    "version": "1.12.0",
}


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent's records as operators see them."""

    context: AgentContext
    operations: Operations

    def answer(self, kind: "Call.Type.ValueType") -> Response | None:
        """The answer to a reading call; None for a call that is not one of them."""
        fill = _PARTS.get(kind)
        if fill is None:
            return None
        name = Call.Type.Name(kind)
        response = Response(type=Response.Type.Value(name))
        part = getattr(response, name.lower())
        part.SetInParent()
        fill(self, part)
        return response

    def flags(self) -> dict[str, str]:
        """The flags that the embedded agents have, as Mesos prints them."""
        s = self.context.settings
        return {
            "attributes": s.attributes,
            "resources": s.resources,
            "hostname": s.hostname,
            "ip": s.ip,
            "port": str(self.context.port),
            "default_role": s.default_role,
            "executor_registration_timeout": f"{s.executor_registration_timeout:g}secs",
            "executor_shutdown_grace_period": f"{s.executor_shutdown_grace_period:g}secs",
            "launcher": "posix",
            "isolation": "posix/cpu,posix/mem",
            "containerizers": "mesos",
            "switch_user": "true",
        }

    def metrics(self) -> dict[str, float]:
        """The numbers of `/metrics/snapshot` that exist here too, under Mesos's names."""
        tasks = [pb.mesos.TaskState.Name(task.state) for _, task in self._tasks()]
        executors = [executor.state.value for executor in self.context.executors()]
        total, used = self.operations.total, self._allocated()
        numbers = {
            "slave/registered": 1.0,
            "slave/frameworks_active": float(len(self.context.frameworks)),
            "slave/uptime_secs": self.context.time() - self.context.start_time,
        }
        for state in ("RUNNING", "REGISTERING", "TERMINATING"):
            numbers[f"slave/executors_{state.lower()}"] = float(executors.count(state))
        for state in ("STAGING", "STARTING", "RUNNING", "KILLING"):
            numbers[f"slave/tasks_{state.lower()}"] = float(tasks.count(f"TASK_{state}"))
        for name in ("cpus", "mem", "disk", "gpus"):
            have, taken = total.scalar(name), used.scalar(name)
            numbers[f"slave/{name}_total"] = have
            numbers[f"slave/{name}_used"] = taken
            numbers[f"slave/{name}_percent"] = taken / have if have else 0.0
        return numbers

    def state(self) -> Json:
        """The document of `/state`, which the agent's page and old tools read."""
        context, total, used = self.context, self.operations.total, self._allocated()
        drain: Json = {}
        if context.drain is not None:
            drain["drain_config"] = content.to_json(context.drain)
            drain["estimated_drain_start_time_seconds"] = int(context.drain_started or 0.0)
        return {
            **BUILD,
            "start_time": context.start_time,
            "id": context.agent_id,
            "pid": context.pid,
            "hostname": context.info.hostname,
            "capabilities": list(AGENT_CAPABILITIES),
            **drain,
            "resources": amounts(total),
            "reserved_resources": _by_role(total, amounts),
            "unreserved_resources": amounts(total.unreserved()),
            "reserved_resources_full": _by_role(total, _full),
            "unreserved_resources_full": _full(total.unreserved()),
            "reserved_resources_allocated": _by_role(used, amounts),
            "unreserved_resources_allocated": amounts(used.unreserved()),
            "resource_providers": [],
            "attributes": {a.name: attribute(a) for a in context.info.attributes},
            "master_hostname": "localhost",
            "flags": self.flags(),
            "frameworks": [self._framework(f) for f in context.frameworks.values()],
            "completed_frameworks": [self._framework(f) for f in context.completed_frameworks],
        }

    def _framework(self, framework: FrameworkRecord) -> Json:
        info = framework.info
        out: Json = {
            "id": info.id.value,
            "name": info.name,
            "user": info.user,
            "failover_timeout": info.failover_timeout,
            "checkpoint": info.checkpoint,
            "hostname": info.hostname,
            "roles": list(info.roles),
            "executors": [self._executor(e, e.all_tasks()) for e in framework.executors.values()],
            "completed_executors": [self._executor(e, e.completed) for e in framework.completed],
        }
        if info.principal:
            out["principal"] = info.principal
        return out

    def _executor(self, executor: ExecutorRecord, tasks: Iterable[TaskRecord]) -> Json:
        info = executor.info
        shown = [(task.phase, self._task(executor, task)) for task in tasks]
        out: Json = {
            "id": info.executor_id.value,
            "name": info.name,
            "source": info.source,
            "container": executor.run.container_id,
            "directory": executor.sandbox,
            "resources": amounts(executor.allocated()),
            "tasks": [task for phase, task in shown if phase is TaskPhase.LAUNCHED],
            "queued_tasks": [task for phase, task in shown if phase is TaskPhase.QUEUED],
            "completed_tasks": [
                task for phase, task in shown if phase in {TaskPhase.TERMINATED, TaskPhase.COMPLETED}
            ],
        }
        if info.resources:
            out["role"] = info.resources[0].allocation_info.role
        if info.HasField("type"):
            out["type"] = pb.mesos.ExecutorInfo.Type.Name(info.type)
        return out

    def _task(self, executor: ExecutorRecord, record: TaskRecord) -> Json:
        task = self.context.task_proto(executor, record)
        out = {
            "id": task.task_id.value,
            "name": task.name,
            "framework_id": task.framework_id.value,
            "executor_id": task.executor_id.value,
            "slave_id": task.agent_id.value,
            "state": pb.mesos.TaskState.Name(task.state),
            "resources": amounts(Resources.from_proto(task.resources)),
            "role": task.resources[0].allocation_info.role if task.resources else "*",
            "statuses": [
                {
                    "state": pb.mesos.TaskState.Name(status.state),
                    "timestamp": status.timestamp,
                    "container_status": _container_status(status.container_status),
                }
                for status in task.statuses
            ],
        }
        if task.labels.labels:
            out["labels"] = [content.to_json(label) for label in task.labels.labels]
        return out

    def _completed_executors(self) -> Iterator[ExecutorRecord]:
        for framework in (*self.context.frameworks.values(), *self.context.completed_frameworks):
            yield from framework.completed

    def _tasks(self) -> Iterator[tuple[ExecutorRecord, TaskRecord]]:
        for executor in self.context.executors():
            yield from ((executor, task) for task in executor.all_tasks())
        for executor in self._completed_executors():
            yield from ((executor, task) for task in executor.completed)

    def _allocated(self) -> Resources:
        return sum((executor.allocated() for executor in self.context.executors()), Resources())

    # --- The parts of the V1 responses ------------------------------------------------------------------------

    def _fill_flags(self, part: "Response.GetFlags") -> None:
        for name, value in sorted(self.flags().items()):
            part.flags.add(name=name, value=value)

    def _fill_metrics(self, part: "Response.GetMetrics") -> None:
        for name, value in self.metrics().items():
            part.metrics.add(name=name, value=value)

    def _fill_agent(self, part: "Response.GetAgent") -> None:
        part.agent_info.CopyFrom(self.context.info)
        if self.context.drain is not None:
            part.drain_config.CopyFrom(self.context.drain)
            part.estimated_drain_start_time.nanoseconds = int(self.context.drain_started or 0.0) * NANOS

    def _fill_tasks(self, part: "Response.GetTasks") -> None:
        part.SetInParent()
        lists = {
            TaskPhase.QUEUED: part.queued_tasks,
            TaskPhase.LAUNCHED: part.launched_tasks,
            TaskPhase.TERMINATED: part.terminated_tasks,
            TaskPhase.COMPLETED: part.completed_tasks,
        }
        for executor, task in self._tasks():
            lists[task.phase].append(self.context.task_proto(executor, task))

    def _fill_executors(self, part: "Response.GetExecutors") -> None:
        part.SetInParent()
        for executor in self.context.executors():
            part.executors.add().executor_info.CopyFrom(executor.info)
        for executor in self._completed_executors():
            part.completed_executors.add().executor_info.CopyFrom(executor.info)

    def _fill_frameworks(self, part: "Response.GetFrameworks") -> None:
        part.SetInParent()
        for framework in self.context.frameworks.values():
            part.frameworks.add().framework_info.CopyFrom(framework.info)
        for framework in self.context.completed_frameworks:
            part.completed_frameworks.add().framework_info.CopyFrom(framework.info)

    def _fill_state(self, part: "Response.GetState") -> None:
        self._fill_tasks(part.get_tasks)
        self._fill_executors(part.get_executors)
        self._fill_frameworks(part.get_frameworks)

    def _fill_containers(self, part: "Response.GetContainers") -> None:
        for executor in self.context.executors():
            if executor.state is ExecutorState.TERMINATED:
                continue
            entry = part.containers.add(executor_name=executor.info.name)
            entry.framework_id.CopyFrom(executor.framework.info.id)
            entry.executor_id.CopyFrom(executor.info.executor_id)
            entry.container_id.value = entry.container_status.container_id.value = executor.run.container_id
            limits, statistics = executor.allocated(), entry.resource_statistics
            statistics.timestamp = self.context.time()
            statistics.cpus_soft_limit = limits.cpus
            statistics.mem_limit_bytes = statistics.mem_soft_limit_bytes = int(limits.mem * (1 << 20))
            if executor.pid:
                entry.container_status.executor_pid = executor.pid
                used = usage(executor.pid)
                statistics.cpus_user_time_secs, statistics.cpus_system_time_secs = used.user, used.system
                statistics.mem_rss_bytes = used.resident


_PARTS: Final[dict[int, Callable[[AgentView, Any], None]]] = {
    Call.GET_HEALTH: lambda _, part: setattr(part, "healthy", True),
    Call.GET_FLAGS: AgentView._fill_flags,
    Call.GET_VERSION: lambda _, part: part.version_info.MergeFrom(pb.mesos.VersionInfo(**BUILD)),
    Call.GET_METRICS: AgentView._fill_metrics,
    Call.GET_LOGGING_LEVEL: lambda _, part: setattr(part, "level", 0),
    Call.GET_STATE: AgentView._fill_state,
    Call.GET_CONTAINERS: AgentView._fill_containers,
    Call.GET_FRAMEWORKS: AgentView._fill_frameworks,
    Call.GET_EXECUTORS: AgentView._fill_executors,
    Call.GET_OPERATIONS: lambda view, part: part.operations.extend(view.operations.operations.values()),
    Call.GET_TASKS: AgentView._fill_tasks,
    Call.GET_AGENT: AgentView._fill_agent,
    Call.GET_RESOURCE_PROVIDERS: lambda _view, _part: None,
}


def _full(resources: Resources) -> list[Json]:
    out = []
    for proto in resources.to_proto():
        entry = content.to_json(proto)
        entry.setdefault("role", proto.reservations[-1].role if proto.reservations else "*")
        out.append(entry)
    return out


def _by_role(resources: Resources, form: Callable[[Resources], Any]) -> Json:
    roles = sorted({r.facts.reservations[-1].role for r in resources if r.facts.reservations})
    return {role: form(resources.reserved(role)) for role in roles}


def _container_status(status: pb.mesos.ContainerStatus) -> Json:
    out: Json = content.to_json(status)
    out.pop("executor_pid", None)
    return out
