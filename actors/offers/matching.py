"""Which demand goes to which agent: first come first served, several tasks per offer, several offers per agent.

Pure: demands and offers in, placements out. Rules, in order: a demand takes only offers of its role; the demand that
came first is tried first; one that fits nowhere lets the next shape try, so a big task does not stop small ones; an
agent is filled before the next one is opened, so tasks share executors. One ACCEPT has bounds (`Room`): what is beyond
them waits for the agent's next offer. An executor's own resources are counted once per agent, and only where it is not there yet (Mesos: `Offer.executor_ids` says which are).
"""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.messages import Demand, Launched, Shortfall
from actors.offers.demand_queue import DemandQueue, Look
from actors.offers.executor_infos import NOTHING, ExecutorBook
from mesos_v1 import pb
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, Offer, OfferId, TaskId

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
        """Place a demand here, or say what was looked at in vain. Nothing is taken unless all of it fits."""
        executor_id = self.executors.get(demand.executor)
        own = book.resources_of(demand.executor) if executor_id is None else NOTHING
        size = len(demand.info) + book.size_of(demand.executor) + TASK_OVERHEAD
        constraint = self._forbids(demand) or self._has_no_room(demand, size)
        shares = self._shares(own, demand) if constraint is None else None
        if shares is None:
            needed = demand.resources + own
            return Look(self.agent_id, self.hostname, self.left, needed, demand.ports, constraint)
        executors_share, taken, self.left = shares
        if demand.executor and executor_id is None:
            executor_id = self.executors[demand.executor] = book.variant(demand.executor, executors_share)
        self.size += size
        if demand.most_together:
            self.most = min(self.most, demand.most_together)
        self.placements.append(Placement(demand, taken, executor_id))
        return None

    def _shares(self, own: Resources, demand: Demand) -> tuple[Resources, Resources, Resources] | None:
        """What an executor that needs `own`, and the task, would have of what is left; and what would be left then."""
        executors_share = self.left.take(own) if own else own
        if executors_share is None:
            return None
        left = self.left - executors_share if own else self.left
        taken = left.take(demand.resources)
        if taken is None:
            return None
        left = left - taken
        if demand.ports:
            ports = left.take_ports(demand.ports)
            if ports is None:
                return None
            taken, left = taken + ports, left - ports
        return executors_share, taken, left

    def drop(self, attempt_id: TaskId) -> bool:
        """Forget what was placed for an attempt; returns whether anything was."""
        kept = [placed for placed in self.placements if placed.demand.attempt_id != attempt_id]
        gone = len(kept) < len(self.placements)
        self.placements[:] = kept
        return gone

    def launched(self) -> list[tuple[TaskId, Launched]]:
        """What becomes of each task that was placed here, and is stored before."""
        return [
            (demand.task_id, Launched(demand.attempt_id, self.agent_id, executor_id, self.hostname))
            for demand, _, executor_id in self.placements
        ]

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
    """Place demands of one role, always the one that came first; returns how many were placed.

    The heads of all shapes stand in a heap. Offers only get smaller, so what did not fit on an agent for one of a shape does
    not fit there for the next: each shape goes through the agents once.
    """
    shapes = list(queue.shapes(role))
    heads: list[tuple[int, int]] = []
    for number, shape in enumerate(shapes):
        shape.begin_looking()
        if (head := shape.head()) is not None:
            heads.append((head.order, number))
    heapq.heapify(heads)
    cursor = [0] * len(shapes)
    placed = 0
    while heads and placed < budget:
        _, number = heapq.heappop(heads)
        shape = shapes[number]
        demand = shape.head()
        if demand is None:
            continue
        while (
            cursor[number] < len(agents) and (look := agents[cursor[number]].place(demand, book)) is not None
        ):
            shape.note(look)
            cursor[number] += 1
        if cursor[number] == len(agents):
            continue  # nothing of this shape fits anywhere any more
        queue.remove(demand.attempt_id)
        placed += 1
        if (head := shape.head()) is not None:
            heapq.heappush(heads, (head.order, number))
    return placed


def launch_operation(agent: AgentOffers, book: ExecutorBook) -> bytes:
    """Return the serialized LAUNCH of everything that was placed on an agent's offers."""
    operation = pb.mesos.Offer.Operation(type=pb.mesos.Offer.Operation.LAUNCH)
    infos = operation.launch.task_infos
    for demand, resources, executor_id in agent.placements:
        info = infos.add()
        info.MergeFromString(demand.info)
        info.agent_id.value = agent.agent_id
        info.resources.extend(resources.to_proto())
        if executor_id is not None:
            info.executor.CopyFrom(book.info(executor_id))
        elif demand.ports:  # a command is told its ports, as PORT0, PORT1, … and PORTS
            ports = [str(port) for begin, end in resources.ports for port in range(begin, end + 1)]
            variables = info.command.environment.variables
            for number, port in enumerate(ports):
                variables.add(name=f"PORT{number}", value=port)
            variables.add(name="PORTS", value=",".join(ports))
    return operation.SerializeToString()
