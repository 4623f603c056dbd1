"""Who is offered what: a hierarchical allocator with dominant resource fairness, refusal filters and maintenance.

Rules of this file: no clock (the time comes in with each call, in seconds of any monotonic clock), no ids, no events; a
run gives resources to frameworks by role and agent, and the caller makes offers of them.

How it works (Mesos documentation, "Allocation module", "Roles"). All that is free on an agent goes to one framework:
of the roles that want any, the one furthest below its fair share, and in it the framework furthest below its own. A
framework that refused resources is passed over for that agent until its filter runs out, unless there is more now than
it refused. Offered and used resources count alike. Resources reserved for a role go to that role and those below it. A shared volume is offered to everyone who can deal with it, used or not.

While some role has a quota, a run has two rounds: first what guarantees entitle roles to, then the rest, up to limits and
without what is held back for guarantees (see `quota`).

Limits: no random order of agents, no fault domains.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa.master.allocation import amounts
from playa.master.allocation.decline_filters import DeclineFilters
from playa.master.allocation.fair_shares import Amounts, FairShares
from playa.master.allocation.offer_constraints import allows
from playa.master.allocation.quota import Quota, Room, consumption, is_counted

# framework id -> role -> agent id -> resources, allocated to that role
Allocation = dict[str, dict[str, dict[str, Resources]]]


@dataclass(slots=True)
class _Framework:
    roles: tuple[str, ...]
    suppressed: set[str]
    capabilities: frozenset[str]
    active: bool
    constraints: pb.scheduler.OfferConstraints | None
    filters: DeclineFilters = field(default_factory=DeclineFilters)
    inverse_filters: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Agent:
    info: pb.mesos.AgentInfo
    total: Resources
    available: Resources
    has_gpus: bool
    active: bool = True
    allocated: dict[str, Resources] = field(default_factory=dict)  # by framework, allocated
    unavailable: bool = False
    inverse_offers: set[str] = field(default_factory=set)  # frameworks that have one outstanding
    inverse_statuses: dict[str, pb.allocator.InverseOfferStatus] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    """One allocation: when it is, what it has given, and what quota leaves (None: nobody has any)."""

    now: float
    room: Room | None
    result: Allocation = field(default_factory=dict)


class Allocator:
    """The state of allocation: what is where, who has it, who wants it.

    Args:
        weights: Weight by role.
        min_allocatable: Alternatives of least amounts that are worth an offer.
        interval: Seconds between batch allocations: no filter is shorter.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        min_allocatable: tuple[Mapping[str, int], ...] = (),
        interval: float = 1.0,
    ) -> None:
        self._agents: dict[str, _Agent] = {}
        self._frameworks: dict[str, _Framework] = {}
        self._totals: Amounts = Counter()
        self._roles = FairShares(weights)
        self._members: defaultdict[str, FairShares] = defaultdict(FairShares)  # by role
        self._quotas: dict[str, Quota] = {}
        self._min = min_allocatable
        self._interval = interval
        self.runs = 0

    # --- frameworks -------------------------------------------------------------------------------------------

    def add_framework(
        self,
        framework_id: str,
        roles: Iterable[str],
        *,
        suppressed: Iterable[str] = (),
        capabilities: frozenset[str] = frozenset(),
        active: bool = True,
        offer_constraints: pb.scheduler.OfferConstraints | None = None,
    ) -> None:
        """A framework comes."""
        self._frameworks[framework_id] = _Framework(
            tuple(roles), set(suppressed), capabilities, active, offer_constraints
        )

    def update_framework(
        self,
        framework_id: str,
        roles: Iterable[str],
        *,
        suppressed: Iterable[str],
        capabilities: frozenset[str],
        offer_constraints: pb.scheduler.OfferConstraints | None,
        keep_filters: bool = True,
    ) -> None:
        """A framework changes; what it has stays its own."""
        old = self._frameworks[framework_id]
        new = _Framework(tuple(roles), set(suppressed), capabilities, old.active, offer_constraints)
        if keep_filters:
            new.filters = old.filters
        new.inverse_filters = old.inverse_filters
        self._frameworks[framework_id] = new

    def remove_framework(self, framework_id: str) -> None:
        """A framework is gone; all that it had is free again."""
        self._frameworks.pop(framework_id, None)
        for agent in self._agents.values():
            held = agent.allocated.pop(framework_id, None)
            if held is not None:
                self._uncount(framework_id, held)
                agent.available = agent.available + amounts.exclusive(held).unallocate()
            agent.inverse_offers.discard(framework_id)
            agent.inverse_statuses.pop(framework_id, None)

    def activate_framework(self, framework_id: str) -> None:
        """It gets offers from now on."""
        self._frameworks[framework_id].active = True

    def deactivate_framework(self, framework_id: str) -> None:
        """It gets no more offers; its filters are forgotten, as its successor did not make them."""
        framework = self._frameworks[framework_id]
        framework.active = False
        framework.filters.forget()
        framework.inverse_filters.clear()

    def suppress(self, framework_id: str, roles: Iterable[str]) -> None:
        """No offers for these roles until they are revived."""
        self._frameworks[framework_id].suppressed.update(roles)

    def revive(self, framework_id: str, roles: Iterable[str]) -> None:
        """Offers for these roles again, and their filters end."""
        framework = self._frameworks[framework_id]
        chosen = set(roles)
        framework.suppressed -= chosen
        framework.filters.forget(roles=chosen)
        framework.inverse_filters.clear()

    # --- quota ------------------------------------------------------------------------------------------------

    def set_quota(self, role: str, quota: Quota) -> None:
        """A role has another quota from the next run on; an empty one is none."""
        if quota:
            self._quotas[role] = quota
        else:
            self._quotas.pop(role, None)

    @property
    def quotas(self) -> Mapping[str, Quota]:
        """Quota by role, as far as there is any."""
        return self._quotas

    def _room(self) -> Room | None:
        """What quota leaves, None if nobody has any."""
        if not self._quotas:
            return None
        totals = [agent.total for agent in self._agents.values()]
        allocated = [held for agent in self._agents.values() for held in agent.allocated.values()]
        free = amounts.sum_of((agent.available for agent in self._agents.values()), is_counted)
        consumed = {role: consumption(role, totals, allocated) for role in self._quotas}
        return Room(self._quotas, consumed, free)

    # --- agents -----------------------------------------------------------------------------------------------

    def add_agent(
        self,
        agent_id: str,
        info: pb.mesos.AgentInfo,
        total: Resources,
        used: Mapping[str, Resources] | None = None,
    ) -> None:
        """An agent comes, with what frameworks (by id) use on it already."""
        self._agents[agent_id] = _Agent(info, total, total, has_gpus="gpus" in total.names())
        self._totals.update(amounts.scalars(total))
        for framework_id, resources in (used or {}).items():
            self.take(framework_id, agent_id, resources)

    def remove_agent(self, agent_id: str) -> None:
        """An agent is gone with all that is on it."""
        agent = self._agents.pop(agent_id, None)
        if agent is None:
            return
        self._totals.subtract(amounts.scalars(agent.total))
        for framework_id, held in agent.allocated.items():
            self._uncount(framework_id, held)
        for framework in self._frameworks.values():
            framework.filters.forget(agent_id=agent_id)
            framework.inverse_filters.pop(agent_id, None)

    def set_agent_active(self, agent_id: str, active: bool) -> None:
        """Whether the agent's resources are offered."""
        self._agents[agent_id].active = active

    # --- resources --------------------------------------------------------------------------------------------

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
        refuse_seconds: float = 0.0,
    ) -> None:
        """Resources come back from a framework, which may not want them for a while."""
        agent = self._agents.get(agent_id)
        if agent is None or not resources:
            return
        held = agent.allocated.pop(framework_id, None)
        if held is not None:
            if left := held - resources:
                agent.allocated[framework_id] = left
            self._uncount(framework_id, resources)
            agent.available = agent.available + amounts.exclusive(resources).unallocate()
        framework = self._frameworks.get(framework_id)
        role = next(iter(resources)).facts.allocated_to  # an offer's are all allocated to one
        if framework is not None and refuse_seconds > 0 and role is not None:
            expires = now + max(refuse_seconds, self._interval)
            framework.filters.refuse(agent_id, role, resources.unallocate(), expires)

    def convert(self, framework_id: str, agent_id: str, before: Resources, after: Resources) -> None:
        """An operation turns what a framework holds (allocated) into something else, on the agent too."""
        agent = self._agents[agent_id]
        held = agent.allocated.get(framework_id, Resources())
        agent.allocated[framework_id] = held - before + after
        self._uncount(framework_id, before)
        self._count(framework_id, after)
        self._set_total(agent, agent.total - before.unallocate() + after.unallocate())
        agent.available = agent.available - before.shared().unallocate() + after.shared().unallocate()

    def apply(self, agent_id: str, operation: pb.mesos.Offer.Operation) -> None:
        """Apply an operator's operation to what is free on an agent.

        Raises:
            OperationError: What it needs is not free.
        """
        agent = self._agents[agent_id]
        agent.available = agent.available.apply(operation)
        self._set_total(agent, agent.total.apply(operation))

    def _set_total(self, agent: _Agent, total: Resources) -> None:
        self._totals.subtract(amounts.scalars(agent.total))
        self._totals.update(amounts.scalars(total))
        agent.total = total

    def total(self, agent_id: str) -> Resources:
        """What an agent has, with reservations and volumes."""
        return self._agents[agent_id].total

    def allocated(self, agent_id: str) -> Mapping[str, Resources]:
        """What is offered or used on an agent, by framework."""
        return self._agents[agent_id].allocated

    def totals(self) -> Mapping[str, int]:
        """Scalars of all agents together."""
        return self._totals

    def role_amounts(self, role: str) -> Mapping[str, int]:
        """What is offered to or used by a role, with the roles below it."""
        return self._roles.amounts(role)

    def role_share(self, role: str) -> float:
        """The weighted dominant share of a role."""
        return self._roles.share(role, self._totals)

    @property
    def weights(self) -> dict[str, float]:
        """Weight by role, as far as they differ from 1."""
        return self._roles.weights

    # --- allocation -------------------------------------------------------------------------------------------

    def allocate(self, now: float, agent_ids: Iterable[str] | None = None) -> Allocation:
        """One run: who gets what of that which is free on these agents (None: all)."""
        self.runs += 1
        wanting = self._wanting()
        if not wanting:
            return {}
        candidates = [
            (agent_id, self._agents[agent_id])
            for agent_id in list(self._agents if agent_ids is None else agent_ids)
            if agent_id in self._agents and self._agents[agent_id].active
        ]
        run = _Run(now, self._room())
        if run.room is not None:
            guaranteed = {role: ids for role, ids in wanting.items() if role in self._quotas}
            for agent_id, agent in candidates:
                self._allocate_agent(agent_id, agent, guaranteed, run, first=True)
        for agent_id, agent in candidates:
            if agent.available:
                self._allocate_agent(agent_id, agent, wanting, run)
        return run.result

    def _wanting(self) -> dict[str, list[str]]:
        wanting: dict[str, list[str]] = {}
        for framework_id, framework in self._frameworks.items():
            if framework.active:
                for role in framework.roles:
                    if role not in framework.suppressed:
                        wanting.setdefault(role, []).append(framework_id)
        return wanting

    def _allocate_agent(
        self, agent_id: str, agent: _Agent, wanting: dict[str, list[str]], run: _Run, *, first: bool = False
    ) -> None:
        """Give what is free on an agent; in the first round only what guarantees entitle to."""
        room = run.room
        for role in self._roles.in_order(wanting, self._totals):
            for framework_id in self._members[role].in_order(wanting[role], self._totals):
                if not agent.available:
                    return
                framework = self._frameworks[framework_id]
                offered, due = self._usable(agent, framework, role), None
                if room is not None and first:
                    due, offered = room.guaranteed(role, offered)
                    if not due:
                        continue
                elif room is not None:
                    offered = room.allowed(role, offered)
                if not amounts.is_worth_offering(offered, self._min):
                    continue
                if framework.filters.refuses(agent_id, role, offered, run.now):
                    continue
                allocated = offered.allocate(role)
                self.take(framework_id, agent_id, allocated)
                if room is not None:
                    room.give(role, offered, due)
                by_agent = run.result.setdefault(framework_id, {}).setdefault(role, {})
                by_agent[agent_id] = by_agent.get(agent_id, Resources()) + allocated

    def _usable(self, agent: _Agent, framework: _Framework, role: str) -> Resources:
        gpus_in_vain = agent.has_gpus and "GPU_RESOURCES" not in framework.capabilities
        if gpus_in_vain or not allows(framework.constraints, role, agent.info):
            return Resources()
        return amounts.usable(agent.available, role, framework.capabilities)

    def active_filters(self, role: str, now: float) -> int:
        """How many refusals of a role are in force."""
        return sum(framework.filters.active(role, now) for framework in self._frameworks.values())

    def _count(self, framework_id: str, resources: Resources) -> None:
        for role, scalars in amounts.scalars_by_role(resources).items():
            self._roles.add(role, scalars)
            self._members[role].add(framework_id, scalars)

    def _uncount(self, framework_id: str, resources: Resources) -> None:
        for role, scalars in amounts.scalars_by_role(resources).items():
            self._roles.subtract(role, scalars)
            self._members[role].subtract(framework_id, scalars)

    # --- maintenance ------------------------------------------------------------------------------------------

    def set_unavailable(self, agent_id: str, unavailable: bool) -> None:
        """Maintenance of the agent's machine is planned, or called off: earlier answers count no more."""
        agent = self._agents[agent_id]
        agent.unavailable = unavailable
        agent.inverse_offers.clear()
        agent.inverse_statuses.clear()
        for framework in self._frameworks.values():
            framework.inverse_filters.pop(agent_id, None)

    def inverse_offers(self, now: float) -> dict[str, list[str]]:
        """Which frameworks (by id) are to be asked to leave which agents."""
        result: dict[str, list[str]] = {}
        for agent_id, agent in self._agents.items():
            if not (agent.unavailable and agent.active):
                continue
            for framework_id in agent.allocated:
                framework = self._frameworks.get(framework_id)
                if framework is None or not framework.active or framework_id in agent.inverse_offers:
                    continue
                if framework.inverse_filters.get(agent_id, 0.0) > now:
                    continue
                agent.inverse_offers.add(framework_id)
                result.setdefault(framework_id, []).append(agent_id)
        return result

    def answer_inverse_offer(
        self,
        framework_id: str,
        agent_id: str,
        status: pb.allocator.InverseOfferStatus | None,
        *,
        now: float,
        refuse_seconds: float = 0.0,
    ) -> None:
        """An inverse offer is answered (or taken back, without a status)."""
        agent = self._agents.get(agent_id)
        if agent is None:
            return
        agent.inverse_offers.discard(framework_id)
        if status is not None:
            agent.inverse_statuses[framework_id] = status
        framework = self._frameworks.get(framework_id)
        if framework is not None and refuse_seconds > 0:
            framework.inverse_filters[agent_id] = now + max(refuse_seconds, self._interval)

    def inverse_statuses(self, agent_id: str) -> list[pb.allocator.InverseOfferStatus]:
        """What frameworks answered to the inverse offers of an agent."""
        agent = self._agents.get(agent_id)
        return list(agent.inverse_statuses.values()) if agent is not None else []
