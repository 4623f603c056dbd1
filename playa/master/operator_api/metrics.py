"""The master's metrics, with the names of Mesos (Mesos documentation, "Observability Metrics").

Counters are named in the logic as Mesos names them after `master/`; here they get that prefix, and gauges are read off the
state. What the embedded cluster cannot measure (latencies of a registrar that it does not have, say) is left out.
"""

from collections import Counter
from collections.abc import Iterable

from mesos_v1 import pb
from mesos_v1.resource import MILLIS
from mesos_v1.resources import Resources
from playa.master.operator_api import views
from playa.master.records import Framework, TaskRecord
from playa.master.state import MasterState

_SCALARS = ("cpus", "disk", "gpus", "mem")
_ACTIVE = ("killing", "running", "staging", "starting")
_TERMINAL = ("dropped", "error", "failed", "finished", "gone", "gone_by_operator", "killed", "lost")


def _each(pattern: str, words: str) -> list[str]:
    return [pattern.format(word) for word in words.split()]


_CHECKED = """executor_to_framework_messages framework_to_executor_messages operation_status_update_acknowledgements
    operation_status_updates status_update_acknowledgements status_updates"""
_RECEIVED = """decline_offers executor_to_framework exited_executor framework_to_executor kill_task launch_tasks
    operation_status_update operation_status_update_acknowledgement reconcile_operations reconcile_tasks
    register_framework register_slave reregister_framework reregister_slave resource_request revive_offers status_update
    status_update_acknowledgement suppress_offers unregister_framework unregister_slave"""
_COUNTERS = (
    *_each("valid_{}", _CHECKED),
    *_each("invalid_{}", _CHECKED),
    *_each("messages_{}", _RECEIVED),
    *_each("{}", "recovery_slave_removals slave_registrations slave_removals slave_reregistrations"),
    *_each("slave_removals/reason_{}", "registered unhealthy unregistered"),
    *_each("slave_unreachable_{}", "canceled completed scheduled"),
    *(f"tasks_{state}" for state in _TERMINAL),
)
_CALLS, _EVENTS, _OPERATIONS = (
    [name.lower() for name in kinds.keys() if name != "UNKNOWN"]  # noqa: SIM118 - an enum is not a dictionary
    for kinds in (pb.scheduler.Call.Type, pb.scheduler.Event.Type, pb.mesos.Offer.Operation.Type)
)
_CONVERSIONS = tuple(name for name in _OPERATIONS if not name.startswith("launch"))
_ENDED = ("dropped", "error", "failed", "finished", "gone_by_operator", "unreachable")
_UNDER_WAY = ("pending", "recovering")


def snapshot(m: MasterState) -> dict[str, float]:
    """All metrics by name, sorted."""
    values: dict[str, float] = {f"master/{name}": m.counts[name] for name in _COUNTERS}
    values.update((f"master/{name}", value) for name, value in _gauges(m).items())
    for framework in m.frameworks.values():
        prefix = f"master/frameworks/{framework.info.name}/{framework.id}/"
        values.update((prefix + name, value) for name, value in _of_framework(framework).items())
    values.update((f"allocator/mesos/{name}", value) for name, value in _of_allocator(m).items())
    return {name: float(values[name]) for name in sorted(values)}


def _gauges(m: MasterState) -> dict[str, float]:
    frameworks = list(m.frameworks.values())
    agents = list(m.agents.values())
    gauges: dict[str, float] = {
        "elected": 1,
        "uptime_secs": m.ports.now() - m.start_time,
        "outstanding_offers": len(m.offers),
        "slaves_unreachable": len(m.unreachable_agents),
        "tasks_unreachable": sum(len(f.unreachable_tasks) for f in frameworks),
        "operator_event_stream_subscribers": m.ports.operator_count(),
        **_by_state("tasks_", (task for f in frameworks for task in f.tasks.values())),
    }
    for kind, records in (("frameworks", frameworks), ("slaves", agents)):
        for yes, no in (("active", "inactive"), ("connected", "disconnected")):
            count = sum(getattr(record, yes) for record in records)
            gauges.update({f"{kind}_{yes}": count, f"{kind}_{no}": len(records) - count})
    used = sum(map(views.used, agents), Resources())
    for name in _SCALARS:
        total = m.allocator.totals[name] / MILLIS
        gauges[f"{name}_total"] = total
        gauges[f"{name}_used"] = used.scalar(name)
        gauges[f"{name}_percent"] = used.scalar(name) / total if total else 0.0
        gauges.update((f"{name}_revocable_{kind}", 0.0) for kind in ("total", "used", "percent"))
    return gauges | _operations(m)


def _by_state(prefix: str, tasks: Iterable[TaskRecord]) -> dict[str, float]:
    """How many tasks there are of those that are not over, by state."""
    states = [task.proto.state for task in tasks]
    return {
        f"{prefix}{name}": states.count(pb.mesos.TaskState.Value(f"TASK_{name.upper()}")) for name in _ACTIVE
    }


def _operations(m: MasterState) -> dict[str, float]:
    """Operations by kind and state; those that are under way are counted as they are, the others as they ended."""
    values: Counter[str] = Counter({"operations/total": 0})
    for name in _CONVERSIONS:
        for state in (*_ENDED, *_UNDER_WAY):
            values[f"operations/{name}/{state}"] = m.counts[f"operations/{name}/{state}"]
    for agent in m.agents.values():
        for record in agent.operations.values():
            name = pb.mesos.Offer.Operation.Type.Name(record.proto.info.type).lower()
            state = pb.mesos.OperationState.Name(record.proto.latest_status.state)
            state = state.removeprefix("OPERATION_").lower()
            values[f"operations/{name}/{state}"] += state in _UNDER_WAY
    for name in _CONVERSIONS:
        for state in (*_ENDED, *_UNDER_WAY):
            for total in (f"operations/{state}", f"operations/{name}/total", "operations/total"):
                values[total] += values[f"operations/{name}/{state}"]
    return dict(values)


def _of_framework(framework: Framework) -> dict[str, float]:
    names = [
        *_each("{}", "calls events operations offers/accepted offers/declined offers/rescinded offers/sent"),
        *(f"calls/{name}" for name in _CALLS),
        *(f"events/{name}" for name in _EVENTS),
        *(f"operations/{name}" for name in _OPERATIONS),
        *(f"tasks/terminal/task_{state}" for state in _TERMINAL),
    ]
    return {
        **{name: framework.counts[name] for name in names},
        "subscribed": framework.connected,
        **_by_state("tasks/active/task_", framework.tasks.values()),
        "tasks/active/task_unreachable": len(framework.unreachable_tasks),
        **{f"roles/{role}/suppressed": role in framework.suppressed for role in framework.roles},
    }


def _of_allocator(m: MasterState) -> dict[str, float]:
    now, totals = m.ports.now(), m.allocator.totals
    values: dict[str, float] = {"allocation_runs": m.allocator.runs}
    for role in {role for framework in m.frameworks.values() for role in framework.roles}:
        values[f"roles/{role}/shares/dominant"] = m.allocator.roles.share(role, totals)
        active = sum(framework.filters.active(role, now) for framework in m.frameworks.values())
        values[f"offer_filters/roles/{role}/active"] = active
    held = sum((part for agent in m.agents.values() for part in agent.allocated.values()), Resources())
    for name in ("cpus", "disk", "mem"):
        values[f"resources/{name}/total"] = totals[name] / MILLIS
        values[f"resources/{name}/offered_or_allocated"] = held.scalar(name)
    return values | {f"quota/roles/{name}": millis / MILLIS for name, millis in _of_quota(m).items()}


def _of_quota(m: MasterState) -> dict[str, int]:
    """What roles consume of their quota, whether they have any or not; the empty role is all of them. In thousandths."""
    values: Counter[str] = Counter()
    for role in views.known_roles(m):
        for name, amount in views.breakdown(m, role).consumed.items():
            if amount and name in m.allocator.totals:
                values[f"{role}/resources/{name}/consumed"] = amount
                if "/" not in role:
                    values[f"/resources/{name}/consumed"] += amount
    for role, quota in m.allocator.quotas.items():
        has = m.allocator.roles.amounts(role)
        for kind, of_kind in (("guarantee", quota.guarantees), ("limit", quota.limits)):
            for name, amount in of_kind.items():
                values[f"{role}/resources/{name}/{kind}"] = amount
                values[f"{role}/resources/{name}/offered_or_allocated"] = has.get(name, 0)
    return values
