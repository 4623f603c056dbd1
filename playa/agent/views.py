"""What operators see of an agent: the V1 operator API's reading calls, `/state` and the flags, made from its records."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from actors.runtime import receive
from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS
from playa.agent.containers.processes import usage
from playa.agent.executors.states import ExecutorState, TaskPhase
from playa.agent.messages import OperatorCalled, QueryState
from playa.agent.operations import Operations
from playa.agent.records import AgentContext, ExecutorRecord, FrameworkRecord, TaskRecord
from playa.json_forms import AGENT_CAPABILITIES, amounts, attribute

Call = pb.agent.Call
_Response: Any = pb.agent.Response
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

    @receive
    def handle_operator_called(self, message: OperatorCalled) -> bytes | None:
        read = _PARTS.get(message.kind)
        if read is None:
            return None
        name = Call.Type.Name(Call.Type.ValueType(message.kind))
        answer: bytes = _Response(type=name, **{name.lower(): read(self)}).SerializeToString()
        return answer

    @receive
    def handle_query_state(self, message: QueryState) -> str:
        return json.dumps(self._state(), separators=(",", ":"))

    def _flags(self) -> dict[str, str]:
        s = self.context.settings
        return {
            **{
                name: getattr(s, name)
                for name in ("attributes", "resources", "hostname", "ip", "default_role")
            },
            "port": str(self.context.port),
            "executor_registration_timeout": f"{s.executor_registration_timeout:g}secs",
            "executor_shutdown_grace_period": f"{s.executor_shutdown_grace_period:g}secs",
            "launcher": "posix",
            "isolation": "posix/cpu,posix/mem",
            "containerizers": "mesos",
            "switch_user": "true",
        }

    def _metrics(self) -> dict[str, float]:
        """The numbers of `/metrics/snapshot` that exist here too, under Mesos's names."""
        tasks = [pb.mesos.TaskState.Name(task.state) for _, task in self._tasks()]
        executors = [executor.state.value for executor in self.context.executors()]
        total, used = self.operations.total, self._allocated()
        numbers = {
            "slave/registered": 1.0,
            "slave/frameworks_active": float(len(self.context.frameworks)),
            "slave/uptime_secs": self.context.time() - self.context.start_time,
        }
        for state in ("running", "registering", "terminating"):
            numbers[f"slave/executors_{state}"] = float(executors.count(state.upper()))
        for state in ("staging", "starting", "running", "killing"):
            numbers[f"slave/tasks_{state}"] = float(tasks.count(f"TASK_{state.upper()}"))
        for name in ("cpus", "mem", "disk", "gpus"):
            have, taken = total.scalar(name), used.scalar(name)
            numbers[f"slave/{name}_total"] = have
            numbers[f"slave/{name}_used"] = taken
            numbers[f"slave/{name}_percent"] = taken / have if have else 0.0
        return numbers

    def _state(self) -> Json:
        context, total, used = self.context, self.operations.total, self._allocated()
        drain: Json = {
            "drain_config": content.to_json(context.drain or pb.mesos.DrainConfig()),
            "estimated_drain_start_time_seconds": int(context.drain_started or 0.0),
        }
        return {
            **BUILD,
            "start_time": context.start_time,
            "id": context.agent_id,
            "pid": context.pid,
            "hostname": context.info.hostname,
            "capabilities": list(AGENT_CAPABILITIES),
            **(drain if context.drain is not None else {}),
            "resources": amounts(total),
            **_split("", total, amounts),
            **_split("_full", total, _full),
            **_split("_allocated", used, amounts),
            "resource_providers": [],
            "attributes": {a.name: attribute(a) for a in context.info.attributes},
            "master_hostname": "localhost",
            "flags": self._flags(),
            "frameworks": [self._framework(f) for f in context.frameworks.values()],
            "completed_frameworks": [self._framework(f) for f in context.completed_frameworks],
        }

    def _framework(self, framework: FrameworkRecord) -> Json:
        info = framework.info
        alike = ("name", "user", "failover_timeout", "checkpoint", "hostname")
        return {
            "id": info.id.value,
            **{name: getattr(info, name) for name in alike},
            "roles": list(info.roles),
            "executors": [self._executor(e, e.all_tasks()) for e in framework.executors.values()],
            "completed_executors": [self._executor(e, e.completed) for e in framework.completed],
            **({"principal": info.principal} if info.principal else {}),
        }

    def _executor(self, executor: ExecutorRecord, tasks: Iterable[TaskRecord]) -> Json:
        info = executor.info
        lists: dict[str, list[Json]] = {"tasks": [], "queued_tasks": [], "completed_tasks": []}
        names = {TaskPhase.LAUNCHED: "tasks", TaskPhase.QUEUED: "queued_tasks"}
        for task in tasks:
            lists[names.get(task.phase, "completed_tasks")].append(self._task(executor, task))
        role = {"role": info.resources[0].allocation_info.role} if info.resources else {}
        return {
            "id": info.executor_id.value,
            "name": info.name,
            "source": info.source,
            "container": executor.run.container_id,
            "directory": executor.sandbox,
            "resources": amounts(executor.allocated()),
            **lists,
            **role,
            **({"type": pb.mesos.ExecutorInfo.Type.Name(info.type)} if info.HasField("type") else {}),
        }

    def _task(self, executor: ExecutorRecord, record: TaskRecord) -> Json:
        task = self.context.task_proto(executor, record)
        labels = [content.to_json(label) for label in task.labels.labels]
        return {
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
                    "container_status": _container_status(status),
                }
                for status in task.statuses
            ],
            **({"labels": labels} if labels else {}),
        }

    def _completed_executors(self) -> list[ExecutorRecord]:
        frameworks = (*self.context.frameworks.values(), *self.context.completed_frameworks)
        return [executor for framework in frameworks for executor in framework.completed]

    def _tasks(self) -> Iterator[tuple[ExecutorRecord, TaskRecord]]:
        yield from ((e, task) for e in self.context.executors() for task in e.all_tasks())
        yield from ((e, task) for e in self._completed_executors() for task in e.completed)

    def _allocated(self) -> Resources:
        return sum((executor.allocated() for executor in self.context.executors()), Resources())

    def _agent(self) -> Json:
        context, started = self.context, {"nanoseconds": int(self.context.drain_started or 0.0) * NANOS}
        drain = {"drain_config": context.drain, "estimated_drain_start_time": started}
        return {"agent_info": context.info, **(drain if context.drain is not None else {})}

    def _all_tasks(self) -> Json:
        out: Json = {f"{phase.value.lower()}_tasks": [] for phase in TaskPhase}
        for executor, task in self._tasks():
            out[f"{task.phase.value.lower()}_tasks"].append(self.context.task_proto(executor, task))
        return out

    def _executors(self) -> Json:
        return {
            "executors": [{"executor_info": e.info} for e in self.context.executors()],
            "completed_executors": [{"executor_info": e.info} for e in self._completed_executors()],
        }

    def _frameworks(self) -> Json:
        here, completed = self.context.frameworks.values(), self.context.completed_frameworks
        return {
            "frameworks": [{"framework_info": framework.info} for framework in here],
            "completed_frameworks": [{"framework_info": framework.info} for framework in completed],
        }

    def _containers(self) -> Json:
        executors = self.context.executors()
        return {
            "containers": [self._container(e) for e in executors if e.state is not ExecutorState.TERMINATED]
        }

    def _container(self, executor: ExecutorRecord) -> Json:
        container_id, limits = {"value": executor.run.container_id}, executor.allocated()
        memory = int(limits.mem * (1 << 20))
        used = usage(executor.pid) if executor.pid else None
        return {
            "framework_id": executor.framework.info.id,
            "executor_id": executor.info.executor_id,
            "executor_name": executor.info.name,
            "container_id": container_id,
            "container_status": {"container_id": container_id, "executor_pid": executor.pid or None},
            "resource_statistics": {
                "timestamp": self.context.time(),
                "cpus_soft_limit": limits.cpus,
                "mem_limit_bytes": memory,
                "mem_soft_limit_bytes": memory,
                **({} if used is None else used._asdict()),
            },
        }


def _pairs(values: Mapping[str, object]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]


_PARTS: Final[dict[int, Callable[[AgentView], Json]]] = {
    Call.GET_HEALTH: lambda _: {"healthy": True},
    Call.GET_FLAGS: lambda view: {"flags": _pairs(dict(sorted(view._flags().items())))},
    Call.GET_VERSION: lambda _: {"version_info": BUILD},
    Call.GET_METRICS: lambda view: {"metrics": _pairs(view._metrics())},
    Call.GET_LOGGING_LEVEL: lambda _: {"level": 0},
    Call.GET_STATE: lambda view: {
        "get_tasks": view._all_tasks(),
        "get_executors": view._executors(),
        "get_frameworks": view._frameworks(),
    },
    Call.GET_CONTAINERS: AgentView._containers,
    Call.GET_FRAMEWORKS: AgentView._frameworks,
    Call.GET_EXECUTORS: AgentView._executors,
    Call.GET_OPERATIONS: lambda view: {"operations": view.operations.operations.values()},
    Call.GET_TASKS: AgentView._all_tasks,
    Call.GET_AGENT: AgentView._agent,
    Call.GET_RESOURCE_PROVIDERS: lambda _: {},
}


def _full(resources: Resources) -> list[Json]:
    out = []
    for proto in resources.to_proto():
        entry = content.to_json(proto)
        entry.setdefault("role", proto.reservations[-1].role if proto.reservations else "*")
        out.append(entry)
    return out


def _container_status(status: pb.mesos.TaskStatus) -> Json:
    shown: Json = content.to_json(status.container_status)
    return {name: value for name, value in shown.items() if name != "executor_pid"}


def _split(end: str, resources: Resources, form: Callable[[Resources], Any]) -> Json:
    """Resources by role, and those of none."""
    roles = sorted({r.facts.reservations[-1].role for r in resources if r.facts.reservations})
    return {
        f"reserved_resources{end}": {role: form(resources.reserved(role)) for role in roles},
        f"unreserved_resources{end}": form(resources.unreserved()),
    }
