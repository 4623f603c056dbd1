"""Who is offered what: a hierarchical allocator with dominant resource fairness, refusal filters and maintenance.

Rules of this file: no clock (the time comes in with each call, in seconds of any monotonic clock), no ids, no events; a
run gives resources to frameworks by role and agent, and the caller makes offers of them.

How it works (Mesos documentation, "Allocation module", "Roles"). All that is free on an agent goes to one framework:
of the roles that want any, the one furthest below its fair share, and in it the framework furthest below its own. A
framework that refused resources is passed over for that agent until its filter runs out, unless there is more now than
it refused. Offered and used resources count alike. Resources reserved for a role go to that role and those below it. A
shared volume is offered to everyone who can deal with it, used or not. While some role has a quota, a run has two rounds:
first what guarantees entitle roles to, then the rest, up to limits and without what is held back for guarantees.

Limits: no random order of agents, no fault domains.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa.master.allocation import amounts
from playa.master.allocation.amounts import Amounts
from playa.master.allocation.offer_constraints import allows
from playa.master.allocation.quota import Quota, Room, consumption, is_counted
from playa.master.records import Agent, Framework

# framework id -> role -> agent id -> resources, allocated to that role
Allocation = dict[str, dict[str, dict[str, Resources]]]


@dataclass(slots=True)
class _Run:
    """One allocation: when it is, what quota leaves (None: nobody has any), and what it has given."""

    now: float
    room: Room | None
    result: Allocation = field(default_factory=dict)


class FairShares:
    """Allocations of roles, or of the frameworks of one, and their dominant shares of a total.

    A share is the largest part that a client has of any one resource, divided by its weight (Ghodsi et al., "Dominant
    Resource Fairness", 2011; Mesos documentation, "Roles", "Weights"). Roles compare level by level: `eng/dev` competes
    with `eng/qa`, and both together, as `eng`, with `sales`. Frameworks are on one level: their ids have no slash.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = dict(weights or {})
        self._allocated: defaultdict[str, Amounts] = defaultdict(Counter)

    def add(self, client: str, amounts: Amounts) -> None:
        """Count amounts to a client and to each one above it."""
        for node in _with_ancestors(client):
            self._allocated[node].update(amounts)

    def subtract(self, client: str, amounts: Amounts) -> None:
        """Take amounts off a client and off each one above it."""
        for node in _with_ancestors(client):
            self._allocated[node] -= amounts  # what is above zero stays
            if not self._allocated[node]:
                del self._allocated[node]

    def amounts(self, client: str) -> Amounts:
        """What a client has, with everything below it."""
        return self._allocated[client] if client in self._allocated else Counter()

    def share(self, client: str, total: Mapping[str, int]) -> float:
        """The weighted dominant share of a client with everything below it."""
        mine = self._allocated.get(client)
        if not mine:
            return 0.0
        parts = (mine[name] / whole for name, whole in total.items() if whole and name in mine)
        return max(parts, default=0.0) / self.weights.get(client, 1.0)

    def in_order(self, clients: Iterable[str], total: Mapping[str, int]) -> list[str]:
        """The clients, the one whose branch is furthest below its fair share first; by name where it is equal."""
        clients = list(clients)
        if len(clients) == 1:
            return clients
        return sorted(clients, key=lambda c: [(self.share(n, total), n) for n in _with_ancestors(c)[::-1]])


def _with_ancestors(role: str) -> list[str]:
    """`a/b/c` → `a/b/c`, `a/b`, `a`."""
    nodes = [role]
    while "/" in role:
        role = role.rpartition("/")[0]
        nodes.append(role)
    return nodes


class Allocator:
    """What is where, who has it, who wants it: by the master's own records of frameworks and agents.

    `min_allocatable` is what is worth an offer. No filter is shorter than the seconds between batch allocations (`interval`).
    """

    def __init__(
        self,
        frameworks: Mapping[str, Framework],
        agents: Mapping[str, Agent],
        weights: Mapping[str, float],
        min_allocatable: str = "",
        interval: float = 1.0,
    ) -> None:
        self._frameworks = frameworks
        self._agents = agents
        self._members: defaultdict[str, FairShares] = defaultdict(FairShares)  # by role
        self._min = amounts.parse_least(min_allocatable)
        self._interval = interval
        self.totals: Amounts = Counter()  # scalars of all agents together
        self.roles = FairShares(weights)  # what is offered to or used by each
        self.quotas: dict[str, Quota] = {}  # by role, as far as there is any
        self.runs = 0  # how many allocations there were

    def remove_framework(self, framework_id: str) -> None:
        """A framework is gone; all that it had is free again."""
        for agent in self._agents.values():
            self.recover(framework_id, agent.id, agent.allocated.get(framework_id, Resources()))
            agent.inverse_statuses.pop(framework_id, None)

    def revive(self, framework: Framework, roles: Iterable[str]) -> None:
        """Offers for these roles again, and their filters end."""
        framework.suppressed.difference_update(roles)
        framework.filters.forget(roles=set(roles))
        framework.inverse_filters.clear()

    def add_agent(self, agent: Agent, used: Mapping[str, Resources]) -> None:
        """An agent comes, with what frameworks (by id) use on it already."""
        agent.available = agent.total
        self.totals.update(amounts.scalars(agent.total))
        for framework_id, resources in used.items():
            self.take(framework_id, agent.id, resources)

    def remove_agent(self, agent: Agent) -> None:
        """An agent is gone with all that is on it."""
        self.totals.subtract(amounts.scalars(agent.total))
        for framework_id, held in agent.allocated.items():
            self._count(framework_id, held, off=True)
        for framework in self._frameworks.values():
            framework.filters.forget(agent_id=agent.id)
        self.forget_answers(agent)

    def take(self, framework_id: str, agent_id: str, resources: Resources) -> None:
        """Count allocated resources to a framework."""
        agent = self._agents[agent_id]
        agent.available = agent.available - amounts.exclusive(resources).unallocate()
        agent.allocated[framework_id] = agent.allocated.get(framework_id, Resources()) + resources
        self._count(framework_id, resources)

    def recover(
        self,
        framework_id: str,
        agent_id: str,
        resources: Resources,
        *,
        now: float = 0.0,
        refuse_for: float = 0.0,
    ) -> None:
        """Resources come back from a framework, which may not want them for a while."""
        agent = self._agents.get(agent_id)
        if agent is None or not resources:
            return
        held = agent.allocated.pop(framework_id, None)
        if held is not None:
            if left := held - resources:
                agent.allocated[framework_id] = left
            self._count(framework_id, resources, off=True)
            agent.available = agent.available + amounts.exclusive(resources).unallocate()
        framework = self._frameworks.get(framework_id)
        role = next(iter(resources)).facts.allocated_to  # an offer's are all allocated to one
        if framework is not None and refuse_for > 0 and role is not None:
            expires = now + max(refuse_for, self._interval)
            framework.filters.refuse(agent_id, role, resources.unallocate(), expires)

    def convert(self, framework_id: str, agent: Agent, before: Resources, after: Resources) -> None:
        """An operation turns what a framework holds (allocated) into something else, on the agent too."""
        held = agent.allocated.get(framework_id, Resources())
        agent.allocated[framework_id] = held - before + after
        self._count(framework_id, before, off=True)
        self._count(framework_id, after)
        self._set_total(agent, agent.total - before.unallocate() + after.unallocate())
        agent.available = agent.available - before.shared().unallocate() + after.shared().unallocate()

    def apply(self, agent: Agent, operation: pb.mesos.Offer.Operation) -> None:
        """Apply an operator's operation to what is free on an agent; an OperationError says that it is not."""
        agent.available = agent.available.apply(operation)
        self._set_total(agent, agent.total.apply(operation))

    def correct(self, agent: Agent, total: Resources) -> None:
        """What an agent really has, where an operation was taken for granted and never reached it."""
        held = sum((amounts.exclusive(each).unallocate() for each in agent.allocated.values()), Resources())
        if total.contains(held):  # otherwise a task holds what never came to be: its agent drops it
            agent.available = total - held
            self._set_total(agent, total)

    def _set_total(self, agent: Agent, total: Resources) -> None:
        self.totals.subtract(amounts.scalars(agent.total))
        self.totals.update(amounts.scalars(total))
        agent.total = total

    def _count(self, framework_id: str, resources: Resources, *, off: bool = False) -> None:
        for role, scalars in amounts.scalars_by_role(resources).items():
            for shares, client in ((self.roles, role), (self._members[role], framework_id)):
                (shares.subtract if off else shares.add)(client, scalars)

    def allocate(self, now: float, agent_ids: Iterable[str] | None = None) -> Allocation:
        """One run: who gets what of that which is free on these agents (None: all)."""
        self.runs += 1
        wanting: defaultdict[str, list[str]] = defaultdict(list)
        for framework_id, framework in self._frameworks.items():
            for role in framework.roles if framework.active else ():
                if role not in framework.suppressed:
                    wanting[role].append(framework_id)
        if not wanting:
            return {}
        listed = list(self._agents if agent_ids is None else agent_ids)
        candidates = [self._agents[i] for i in listed if i in self._agents and self._agents[i].active]
        run = _Run(now, self._room())
        if run.room is not None:
            guaranteed = {role: ids for role, ids in wanting.items() if role in self.quotas}
            for agent in candidates:
                self._allocate_agent(agent, guaranteed, run, first=True)
        for agent in candidates:
            if agent.available:
                self._allocate_agent(agent, wanting, run)
        return run.result

    def _room(self) -> Room | None:
        if not self.quotas:
            return None
        totals = [agent.total for agent in self._agents.values()]
        allocated = [held for agent in self._agents.values() for held in agent.allocated.values()]
        free = amounts.sum_of((agent.available for agent in self._agents.values()), is_counted)
        return Room(self.quotas, {role: consumption(role, totals, allocated) for role in self.quotas}, free)

    def _allocate_agent(
        self, agent: Agent, wanting: dict[str, list[str]], run: _Run, *, first: bool = False
    ) -> None:
        """Give what is free on an agent; in the first round only what guarantees entitle to."""
        room = run.room
        for role in self.roles.in_order(wanting, self.totals):
            for framework_id in self._members[role].in_order(wanting[role], self.totals):
                if not agent.available:
                    return
                framework = self._frameworks[framework_id]
                offered, due = _usable(agent, framework, role), None
                if room is not None and first:
                    due, offered = room.guaranteed(role, offered)
                    if not due:
                        continue
                elif room is not None:
                    offered = room.allowed(role, offered)
                if not amounts.is_worth_offering(offered, self._min):
                    continue
                if framework.filters.refuses(agent.id, role, offered, run.now):
                    continue
                allocated = offered.allocate(role)
                self.take(framework_id, agent.id, allocated)
                if room is not None:
                    room.give(role, offered, due)
                by_agent = run.result.setdefault(framework_id, {}).setdefault(role, {})
                by_agent[agent.id] = by_agent.get(agent.id, Resources()) + allocated

    def forget_answers(self, agent: Agent) -> None:
        """Maintenance of the agent's machine is planned, or called off: earlier answers count no more."""
        agent.inverse_statuses.clear()
        for framework in self._frameworks.values():
            framework.inverse_filters.pop(agent.id, None)


def _usable(agent: Agent, framework: Framework, role: str) -> Resources:
    gpus_in_vain = "GPU_RESOURCES" not in framework.capabilities and agent.total.millis("gpus")
    if gpus_in_vain or not allows(framework.offer_constraints, role, agent.info):
        return Resources()
    return amounts.usable(agent.available, role, framework.capabilities)
