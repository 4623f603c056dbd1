"""What there is to see of a master, for the calls of the operator API (`GET_…`) and for all that is derived from them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from mesos_v1 import pb
from mesos_v1.quantities import mesos_duration
from mesos_v1.resource import Resource
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS
from playa.json_forms import AGENT_CAPABILITIES
from playa.master.allocation import amounts
from playa.master.allocation.amounts import Amounts, is_under
from playa.master.allocation.quota import missing
from playa.master.allocation.resource_forms import both_forms
from playa.master.records import Agent, Framework, new
from playa.master.state import VERSION, MasterState

MASTER_CAPABILITIES = ("AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2")

_Response = pb.master.Response


def used(record: Framework | Agent) -> Resources:
    """What tasks and executors use, of a framework or on an agent."""
    parts = [task.resources for task in record.tasks.values() if not task.is_terminal]
    return sum((*parts, *(executor.resources for executor in record.executors.values())), Resources())


def offered(record: Framework | Agent) -> Resources:
    """What a framework is offered, or what of an agent is in offers."""
    return sum((offer.resources for offer in record.offers.values()), Resources())


def _times(**seconds: float | None) -> dict[str, Any]:
    return {n: {"nanoseconds": int(time * NANOS)} for n, time in seconds.items() if time is not None}


def framework(m: MasterState, record: Framework) -> pb.master.Response.GetFrameworks.Framework:
    """A framework, registered or completed."""
    return new(
        _Response.GetFrameworks.Framework,
        framework_info=record.info,
        active=record.active,
        connected=record.connected,
        recovered=record.recovered,
        **_times(
            registered_time=record.registered_time,
            reregistered_time=record.reregistered_time,
            unregistered_time=record.unregistered_time or None,
        ),
        offers=[
            {
                "id": {"value": offer.id},
                "framework_id": record.info.id,
                "agent_id": {"value": offer.agent_id},
                "hostname": m.agents[offer.agent_id].info.hostname,
                "allocation_info": {"role": offer.role},
                "resources": both_forms(offer.resources),
            }
            for offer in record.offers.values()
        ],
        inverse_offers=m.inverse_offers_of(record),
        allocated_resources=both_forms(used(record)),
        offered_resources=both_forms(offered(record)),
        offer_constraints=record.offer_constraints or {},
    )


def agent(m: MasterState, record: Agent) -> pb.master.Response.GetAgents.Agent:
    """A registered agent."""
    started = record.drain_started if record.id in m.draining else None
    return new(
        _Response.GetAgents.Agent,
        agent_info=record.info,
        active=record.active,
        deactivated=record.id in m.deactivated,
        version=VERSION,
        pid=record.pid,
        **_times(registered_time=record.registered_time, reregistered_time=record.reregistered_time),
        drain_info=m.draining.get(record.id),
        **_times(estimated_drain_start_time=None if started is None else int(started)),
        total_resources=both_forms(record.total),
        allocated_resources=both_forms(used(record)),
        offered_resources=both_forms(offered(record)),
        capabilities=[{"type": name} for name in AGENT_CAPABILITIES],
    )


def all_frameworks(m: MasterState) -> list[Framework]:
    """Those that are registered, then those that are completed."""
    return [*m.frameworks.values(), *m.completed_frameworks.values()]


# GET_STATE and its parts, which are calls too. The executors of command tasks only the agents know.
OF_STATE: dict[str, Callable[[MasterState], dict[str, Any]]] = {
    "get_tasks": lambda m: {
        "tasks": [task.proto for record in all_frameworks(m) for task in record.tasks.values()],
        "unreachable_tasks": [t.proto for f in all_frameworks(m) for t in f.unreachable_tasks.values()],
        "completed_tasks": [task.proto for record in all_frameworks(m) for task in record.completed_tasks],
    },
    "get_executors": lambda m: {
        "executors": [
            {"executor_info": executor.info, "agent_id": {"value": executor.agent_id}}
            for record in m.frameworks.values()
            for executor in record.executors.values()
        ]
    },
    "get_frameworks": lambda m: {
        "frameworks": [framework(m, record) for record in m.frameworks.values()],
        "completed_frameworks": [framework(m, record) for record in m.completed_frameworks.values()],
    },
    "get_agents": lambda m: {
        "agents": [agent(m, record) for record in m.agents.values()],
        "recovered_agents": m.recovered_agents.values(),
    },
}


def state(m: MasterState) -> dict[str, Any]:
    """GET_STATE."""
    return {name: read(m) for name, read in OF_STATE.items()}


class Breakdown(NamedTuple):
    """What a role and those below it have, in thousandths by name."""

    allocated: Amounts  # to tasks and executors
    offered: Amounts
    reserved: Amounts
    consumed: Amounts  # what counts against its quota: what is used, and what is reserved and not used


def breakdown(m: MasterState, role: str) -> Breakdown:
    """What a role has."""

    def mine(parts: Iterable[Resources]) -> Amounts:
        return amounts.sum_of(parts, lambda e: is_under(e.facts.allocated_to, role), amounts.quantities)

    def for_me(parts: Iterable[Resources]) -> Amounts:
        return amounts.sum_of(parts, lambda e: amounts.is_reserved(e, role), amounts.quantities)

    in_use = [used(record) for record in m.agents.values()]
    allocated, reserved = mine(in_use), for_me(record.total for record in m.agents.values())
    offered_now = mine(offer.resources for offer in m.offers.values() if is_under(offer.role, role))
    return Breakdown(allocated, offered_now, reserved, allocated + missing(reserved, for_me(in_use)))


def known_roles(m: MasterState) -> list[str]:
    """Roles that somebody is in or has something of, that have a weight, a quota or a reservation; and those above."""
    names = {role for record in m.frameworks.values() for role in record.roles}
    names.update(m.allocator.roles.weights, m.quotas)
    for record in m.agents.values():
        names.update(entry.facts.role for entry in record.total.reserved())
        for task in record.tasks.values():
            names.update(entry.facts.allocated_to or "*" for entry in task.resources)
    if m.settings.roles:
        names = set(m.settings.roles)
    above = {name[:end] for name in names for end, letter in enumerate(name) if letter == "/"}
    return sorted(names | above)


def role(m: MasterState, name: str) -> dict[str, Any]:
    """A role that is known."""
    has = breakdown(m, name)
    both = has.allocated + has.offered
    scalars = [Resource(each, millis=both[each]) for each in ("cpus", "disk", "gpus", "mem") if both[each]]
    return {
        "name": name,
        "weight": m.allocator.roles.weights.get(name, 1.0),
        "frameworks": [record.info.id for record in m.frameworks.values() if name in record.roles],
        "resources": [scalar.to_proto() for scalar in scalars],
    }


VERSION_INFO = {
    "build_date": "2026-11-20 00:00:00 UTC",
    "build_time": 1795132800.0,
    "build_user": "",
    "version": VERSION,
}
_OF_SETTINGS = [
    "agent_ping_timeout",
    "agent_reregister_timeout",
    "allocation_interval",
    "authenticate_http_frameworks",
    "authenticate_http_readonly",
    "authenticate_http_readwrite",
    "max_agent_ping_timeouts",
    "max_completed_frameworks",
    "max_completed_tasks_per_framework",
    "max_operator_event_stream_subscribers",
    "max_unreachable_tasks_per_framework",
    "min_allocatable_resources",
    "offer_timeout",
    "work_dir",
]
_FIXED_FLAGS = {
    "allocator": "hierarchical",
    "authenticate_agents": "false",
    "authenticate_frameworks": "false",
    "filter_gpu_resources": "true",
    "framework_sorter": "drf",
    "http_authenticators": "basic",
    "role_sorter": "drf",
}


def flags(m: MasterState) -> dict[str, str]:
    """The flags that the embedded cluster has, with their values as Mesos prints them; credentials are not among them."""
    settings = m.settings
    values = {**_FIXED_FLAGS, "hostname": m.info.hostname, "ip": settings.ip, "port": str(m.info.port)}
    for name in _OF_SETTINGS:
        value = getattr(settings, name)
        if name.startswith("authenticate_"):
            values[name] = str(settings.asks(value)).lower()
        elif value is not None:
            values[name] = mesos_duration(value) if name.endswith(("_timeout", "_interval")) else str(value)
    if settings.roles:
        values["roles"] = ",".join(settings.roles)
    if settings.weights:
        values["weights"] = ",".join(f"{role}={weight:g}" for role, weight in settings.weights)
    return dict(sorted(values.items()))


def weights(m: MasterState) -> list[dict[str, Any]]:
    """Roles with a weight, by name."""
    return [{"role": role, "weight": weight} for role, weight in sorted(m.allocator.roles.weights.items())]
