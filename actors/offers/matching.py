"""Which demand goes to which agent: first come first served, several tasks an offer, several offers an agent.

Pure: demands and offers in, placements out. Rules, in order: a demand takes only offers of its role; the demand that
came first is tried first; one that fits nowhere lets the next shape try, so a big task does not stop small ones; an
agent is filled before the next one is opened, so tasks share executors. One ACCEPT has bounds (`Room`): what is beyond
them waits for the agent's next offer. An executor's own resources are counted once an
agent, and only where it is not there yet (Mesos: `Offer.executor_ids` says which are).
"""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.messages import Demand, Shortfall
from actors.offers.demand_queue import DemandQueue, Look, ShapeQueue
from actors.offers.executor_infos import ExecutorBook
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, Offer, OfferId

# How many vain looks a shape remembers, to say why it waits.
LOOKS_KEPT = 100


# About what a task adds to its ACCEPT besides its `TaskInfo`: resources, agent, framing.
TASK_OVERHEAD = 512


class Room(NamedTuple):
    """How much one ACCEPT may hold; the first task always goes."""

    tasks: int
    bytes: int


UNBOUNDED = Room(sys.maxsize, sys.maxsize)


class Placement(NamedTuple):
    """One demand and what it takes of its agent's offers."""

    demand: Demand
    resources: Resources
    executor_id: ExecutorId | None


@dataclass(slots=True)
class AgentOffers:
    """All offers of one agent to one role that are held now, as one pile of resources."""

    agent_id: AgentId
    role: str
    hostname: str
    room: Room = UNBOUNDED
    offers: dict[OfferId, Offer] = field(default_factory=dict)
    left: Resources = Resources()  # noqa: RUF009 - immutable
    executors: dict[str, ExecutorId] = field(default_factory=dict)
    placements: list[Placement] = field(default_factory=list)
    size: int = 0
    most: int = field(init=False)
    turned_away: bool = False

    def __post_init__(self) -> None:
        self.most = self.room.tasks

    def add(self, offer: Offer, book: ExecutorBook) -> None:
        """Put another offer on the pile; same-named resources add up."""
        self.offers[offer.id] = offer
        self.left = self.left + offer.resources
        for executor_id in offer.executor_ids:
            name = book.name_of(executor_id)
            if name is not None:
                self.executors[name] = executor_id

    def restart(self, book: ExecutorBook) -> None:
        """Begin again with the offers that are left, after one of them was rescinded."""
        offers, self.offers = list(self.offers.values()), {}
        self.left, self.executors, self.size, self.most = Resources(), {}, 0, self.room.tasks
        for offer in offers:
            self.add(offer, book)

    def place(self, demand: Demand, book: ExecutorBook) -> Look | None:
        """Place a demand here, or say what was looked at in vain."""
        size = len(demand.info) + book.size_of(demand.executor) + TASK_OVERHEAD
        constraint = self._forbids(demand) or self._has_no_room(demand, size)
        needed = demand.resources
        executor_id: ExecutorId | None = None
        executor_resources: Resources | None = None
        left = self.left
        if demand.executor:
            executor_id = self.executors.get(demand.executor)
            if executor_id is None:
                own = book.resources_of(demand.executor)
                needed = needed + own
                executor_resources = left.take(own)
                if executor_resources is not None:
                    left = left - executor_resources
        if constraint is None and not (
            demand.executor and executor_id is None and executor_resources is None
        ):
            taken = left.take(demand.resources)
            if taken is not None:
                left = left - taken
                ports = left.take_ports(demand.ports) if demand.ports else None
                if not demand.ports or ports is not None:
                    if ports is not None:
                        taken, left = taken + ports, left - ports
                    if executor_resources is not None:
                        executor_id = book.variant(demand.executor, executor_resources)
                        self.executors[demand.executor] = executor_id
                    self.left = left
                    self.size += size
                    if demand.most_together:
                        self.most = min(self.most, demand.most_together)
                    self.placements.append(Placement(demand, taken, executor_id))
                    return None
        return Look(self.agent_id, self.hostname, self.left, needed, demand.ports, constraint)

    def _has_no_room(self, demand: Demand, size: int) -> Shortfall | None:
        there = len(self.placements)
        if not there:
            return None
        most = min(self.most, demand.most_together) if demand.most_together else self.most
        if there < most and self.size + size <= self.room.bytes:
            return None
        self.turned_away = True
        if there >= most:
            return Shortfall("tasks of one ACCEPT", str(there + 1), str(most))
        return Shortfall("bytes of one ACCEPT", str(self.size + size), str(self.room.bytes))

    def _forbids(self, demand: Demand) -> Shortfall | None:
        if demand.hosts and self.hostname not in demand.hosts:
            return Shortfall("host", " or ".join(demand.hosts), self.hostname)
        for name, value in demand.attributes:
            found = next(iter(self.offers.values())).attribute(name)
            if found != value:
                return Shortfall(f"attribute {name}", value, "none" if found is None else found)
        return None


def match(queue: DemandQueue, agents: list[AgentOffers], book: ExecutorBook, budget: int) -> int:
    """Place what can be placed, at most `budget` demands; returns how many were.

    Fewer than `budget` means that nothing more fits. Costs: shapes times agents, plus the demands placed.
    """
    placed = 0
    by_role: dict[str, list[AgentOffers]] = {}
    for agent in agents:
        by_role.setdefault(agent.role, []).append(agent)
    for role, candidates in by_role.items():
        placed += _match_role(queue, role, candidates, book, budget - placed)
        if placed >= budget:
            break
    return placed


def _match_role(
    queue: DemandQueue, role: str, agents: list[AgentOffers], book: ExecutorBook, budget: int
) -> int:
    heads: list[tuple[int, int, ShapeQueue]] = []
    for number, shape in enumerate(queue.shapes(role)):
        head = shape.head()
        if head is not None:
            shape.looks, shape.looks_total = [], 0
            heads.append((head.order, number, shape))
    heapq.heapify(heads)
    cursor: dict[int, int] = {}
    placed = 0
    while heads and placed < budget:
        _, number, shape = heads[0]
        demand = shape.head()
        if demand is None:
            heapq.heappop(heads)
            continue
        at = cursor.get(number, 0)
        while at < len(agents):
            look = agents[at].place(demand, book)
            if look is None:
                break
            shape.looks_total += 1
            if len(shape.looks) < LOOKS_KEPT:
                shape.looks.append(look)
            at += 1
        cursor[number] = at
        if at == len(agents):
            heapq.heappop(heads)  # nothing of this shape fits anywhere any more
            continue
        queue.remove(demand.attempt_id)
        placed += 1
        head = shape.head()
        if head is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (head.order, number, shape))
    return placed
