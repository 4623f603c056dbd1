"""The master's state as messages of the operator API (Mesos documentation, "Operator HTTP API", `GET_…`)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mesos_v1 import pb
from mesos_v1.resource import Resource
from mesos_v1.resources import Resources
from playa.master.allocation import amounts, formats
from playa.master.allocation.quota import is_under, missing
from playa.master.records import Agent, Framework
from playa.master.state import VERSION, MasterState

AGENT_CAPABILITIES = (
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
)
MASTER_CAPABILITIES = ("AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2")

_Response = pb.master.Response
_AgentCapability = pb.mesos.AgentInfo.Capability


def framework(m: MasterState, record: Framework) -> pb.master.Response.GetFrameworks.Framework:
    """A framework, registered or completed."""
    result = _Response.GetFrameworks.Framework(
        active=record.active, connected=record.connected, recovered=record.recovered
    )
    result.framework_info.CopyFrom(record.info)
    result.registered_time.nanoseconds = nanoseconds(record.registered_time)
    result.reregistered_time.nanoseconds = nanoseconds(record.reregistered_time)
    if record.unregistered_time:
        result.unregistered_time.nanoseconds = nanoseconds(record.unregistered_time)
    for offer in record.offers.values():
        proto = result.offers.add(hostname=m.agents[offer.agent_id].info.hostname)
        proto.id.value = offer.id
        proto.framework_id.value = record.id
        proto.agent_id.value = offer.agent_id
        proto.allocation_info.role = offer.role
        proto.resources.extend(formats.both_forms(offer.resources.to_proto()))
    result.inverse_offers.extend(inverse.proto for inverse in record.inverse_offers.values())
    result.allocated_resources.extend(formats.both_forms(used_by_framework(record).to_proto()))
    result.offered_resources.extend(formats.both_forms(offered_to(record).to_proto()))
    result.offer_constraints.SetInParent()
    if record.offer_constraints is not None:
        result.offer_constraints.CopyFrom(record.offer_constraints)
    return result


def used_by_framework(record: Framework) -> Resources:
    """What a framework's tasks and executors use."""
    tasks = (task.resources for task in record.tasks.values() if not task.is_terminal)
    return total((*tasks, *(executor.resources for executor in record.executors.values())))


def offered_to(record: Framework) -> Resources:
    """What a framework is offered."""
    return total(offer.resources for offer in record.offers.values())


def used_on(agent: Agent) -> Resources:
    """What tasks and executors use on an agent."""
    tasks = (task.resources for task in agent.tasks.values() if not task.is_terminal)
    return total((*tasks, *(executor.resources for executor in agent.executors.values())))


def offered_of(agent: Agent) -> Resources:
    """What of an agent is in offers."""
    return total(offer.resources for offer in agent.offers.values())


def total(parts: Iterable[Resources]) -> Resources:
    """The sum."""
    result = Resources()
    for part in parts:
        result = result + part
    return result


def nanoseconds(seconds: float) -> int:
    """Unix time as `TimeInfo` has it."""
    return int(seconds * 1e9)


def agent(m: MasterState, record: Agent) -> pb.master.Response.GetAgents.Agent:
    """A registered agent."""
    result = _Response.GetAgents.Agent(
        active=record.active, deactivated=record.id in m.deactivated, version=VERSION, pid=record.pid
    )
    result.agent_info.CopyFrom(record.info)
    result.registered_time.nanoseconds = nanoseconds(record.registered_time)
    if record.reregistered_time is not None:
        result.reregistered_time.nanoseconds = nanoseconds(record.reregistered_time)
    result.total_resources.extend(formats.both_forms(record.total.to_proto()))
    result.allocated_resources.extend(formats.both_forms(used_on(record).to_proto()))
    result.offered_resources.extend(formats.both_forms(offered_of(record).to_proto()))
    if record.id in m.draining:
        result.drain_info.CopyFrom(m.draining[record.id])
        if record.drain_started is not None:
            result.estimated_drain_start_time.nanoseconds = int(record.drain_started) * 10**9
    for name in AGENT_CAPABILITIES:
        result.capabilities.add(type=_AgentCapability.Type.Value(name))
    return result


def get_frameworks(m: MasterState) -> pb.master.Response.GetFrameworks:
    """GET_FRAMEWORKS."""
    result = _Response.GetFrameworks()
    result.frameworks.extend(framework(m, record) for record in m.frameworks.values())
    result.completed_frameworks.extend(framework(m, record) for record in m.completed_frameworks.values())
    return result


def get_agents(m: MasterState) -> pb.master.Response.GetAgents:
    """GET_AGENTS."""
    result = _Response.GetAgents()
    result.agents.extend(agent(m, record) for record in m.agents.values())
    result.recovered_agents.extend(m.recovered_agents.values())
    return result


def get_tasks(m: MasterState) -> pb.master.Response.GetTasks:
    """GET_TASKS."""
    result = _Response.GetTasks()
    for record in (*m.frameworks.values(), *m.completed_frameworks.values()):
        result.tasks.extend(task.proto for task in record.tasks.values())
        result.unreachable_tasks.extend(task.proto for task in record.unreachable_tasks.values())
        result.completed_tasks.extend(task.proto for task in record.completed_tasks)
    return result


def get_executors(m: MasterState) -> pb.master.Response.GetExecutors:
    """GET_EXECUTORS: those that frameworks named; an agent knows those of command tasks too."""
    result = _Response.GetExecutors()
    for record in m.frameworks.values():
        for executor in record.executors.values():
            added = result.executors.add()
            added.executor_info.CopyFrom(executor.info)
            added.agent_id.value = executor.agent_id
    return result


def get_operations(m: MasterState) -> pb.master.Response.GetOperations:
    """GET_OPERATIONS."""
    result = _Response.GetOperations()
    for record in m.agents.values():
        result.operations.extend(operation.proto for operation in record.operations.values())
    return result


def get_state(m: MasterState) -> pb.master.Response.GetState:
    """GET_STATE."""
    result = _Response.GetState()
    result.get_tasks.CopyFrom(get_tasks(m))
    result.get_executors.CopyFrom(get_executors(m))
    result.get_frameworks.CopyFrom(get_frameworks(m))
    result.get_agents.CopyFrom(get_agents(m))
    return result


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What a role and those below it have, in thousandths by name.

    Attributes:
        allocated: What tasks and executors use.
        offered: What is in offers.
        reserved: What is reserved for it.
        consumed: What counts against its quota: what is used, and what is reserved and not used.
    """

    allocated: amounts.Amounts
    offered: amounts.Amounts
    reserved: amounts.Amounts
    consumed: amounts.Amounts


def breakdown(m: MasterState, role: str) -> Breakdown:
    """What a role has."""

    def of(parts: Iterable[Resources], test: Callable[[Resource], bool]) -> amounts.Amounts:
        result: amounts.Amounts = {}
        for part in parts:
            amounts.add_to(result, amounts.quantities(part.where(test)))
        return result

    def is_mine(entry: Resource) -> bool:
        return is_under(entry.facts.allocated_to, role)

    def is_for_me(entry: Resource) -> bool:
        return bool(entry.facts.reservations) and is_under(entry.facts.role, role)

    used = [used_on(record) for record in m.agents.values()]
    offers = (offer.resources for offer in m.offers.values() if is_under(offer.role, role))
    allocated = of(used, is_mine)
    reserved = of((record.total for record in m.agents.values()), is_for_me)
    consumed = dict(allocated)
    amounts.add_to(consumed, missing(reserved, of(used, is_for_me)))
    return Breakdown(allocated, of(offers, is_mine), reserved, consumed)


def known_roles(m: MasterState) -> list[str]:
    """Roles that somebody is in or has something of, that have a weight, a quota or a reservation; and those above."""
    names = {role for record in m.frameworks.values() for role in record.roles}
    names.update(m.allocator.weights, m.quotas)
    for record in m.agents.values():
        names.update(entry.facts.role for entry in record.total.reserved())
        for task in record.tasks.values():
            names.update(entry.facts.allocated_to or "*" for entry in task.resources)
    if m.settings.roles:
        names = set(m.settings.roles)
    return sorted(names | {above for name in names for above in _above(name)})


def _above(role: str) -> list[str]:
    parts = role.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def get_roles(m: MasterState) -> pb.master.Response.GetRoles:
    """GET_ROLES."""
    result = _Response.GetRoles()
    for name in known_roles(m):
        members = [record for record in m.frameworks.values() if name in record.roles]
        role = result.roles.add(name=name, weight=m.allocator.weights.get(name, 1.0))
        role.frameworks.extend(pb.mesos.FrameworkID(value=record.id) for record in members)
        has = breakdown(m, name)
        amounts.add_to(has.allocated, has.offered)
        scalars = (
            Resource(each, millis=has.allocated.get(each, 0)) for each in ("cpus", "disk", "gpus", "mem")
        )
        role.resources.extend(scalar.to_proto() for scalar in scalars if scalar.millis)
    return result
