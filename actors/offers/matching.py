"""Which demand goes to which agent: first come first served, several tasks per offer, several offers per agent.

Pure: demands and offers in, placements out, and for people why something waits. Rules, in order: a demand takes only offers of
its role; the demand that came first is tried first; one that fits nowhere lets the next shape try, so a big task does not
stop small ones; an agent is filled before the next one is opened, so tasks share executors. One ACCEPT has bounds (`Room`):
what is beyond them waits for the agent's next offer. An executor's own resources are counted once per agent, and only where it
is not there yet (Mesos: `Offer.executor_ids` says which are).

Demands that ask for the same are one *shape*: what does not fit for one of them does not fit for the others, so a look
at the offers costs by shapes, not by demands, and 100,000 that wait are as cheap as ten.
"""

import hashlib
import heapq
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from actors import messages as m
from actors.changes import Plan, plan
from mesos_v1 import pb
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, Offer, OfferId, TaskId

LOOKS_KEPT = 100  # so many vain looks a shape remembers

NOTHING = Resources()
NO_EXECUTOR = m.ExecutorTemplate("", NOTHING, b"")
# About what a task adds to its ACCEPT besides its `TaskInfo`: resources, agent, framing.
TASK_OVERHEAD = 512


class Shape(NamedTuple):
    """What a demand asks for; equal shapes are interchangeable."""

    role: str
    resources: Resources
    ports: int
    executor: str
    hosts: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    agent_id: AgentId | None
    holding: str
    change: m.Change | None


_ASKED_FOR = attrgetter(*Shape._fields)


class Look(NamedTuple):
    """One agent's offers that a shape was held against in vain, kept to say why later."""

    agent_id: AgentId
    hostname: str
    left: Resources
    needed: Resources
    ports: int
    constraint: m.Shortfall | None


class ShapeQueue:
    """The demands of one shape."""

    __slots__ = ("_live", "looked_at", "looks", "looks_total", "shape", "waiting")

    def __init__(self, shape: Shape, live: "dict[TaskId, tuple[m.Demand, ShapeQueue]]") -> None:
        self.shape = shape
        self.looks: list[Look] = []
        self.looks_total = 0
        self.looked_at = 0.0
        self.waiting: list[tuple[int, TaskId]] = []  # a heap, by order number; also of some that are gone
        self._live = live

    def note(self, look: Look) -> None:
        """Remember a look in vain, to say why this shape waits."""
        self.looks_total += 1
        if len(self.looks) < LOOKS_KEPT:
            self.looks.append(look)

    def head(self) -> m.Demand | None:
        """Return the demand whose turn it is, or None when all were withdrawn or placed."""
        heap = self.waiting
        while heap:
            entry = self._live.get(heap[0][1])
            if entry is not None and entry[1] is self:
                return entry[0]
            heapq.heappop(heap)
        return None


class DemandQueue:
    """All demands of a framework."""

    def __init__(self) -> None:
        self.changes_only = False  # whether tasks wait in vain: the framework ends
        self._live: dict[TaskId, tuple[m.Demand, ShapeQueue]] = {}
        self._shapes: dict[Shape, ShapeQueue] = {}
        self._by_role: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._live)

    def add(self, demand: m.Demand) -> bool:
        """Queue a demand; returns whether nothing of its shape waited before. An attempt is queued once."""
        if demand.attempt_id in self._live:
            return False
        shape = Shape(*_ASKED_FOR(demand))
        queue = self._shapes.get(shape)
        new = queue is None
        if queue is None:
            queue = self._shapes[shape] = ShapeQueue(shape, self._live)
        self._live[demand.attempt_id] = (demand, queue)
        heapq.heappush(queue.waiting, (demand.order, demand.attempt_id))
        self._by_role[demand.role] += 1
        return new

    def remove(self, attempt_id: TaskId) -> m.Demand | None:
        """Take a demand out, because it was placed or withdrawn."""
        entry = self._live.pop(attempt_id, None)
        if entry is None:
            return None
        demand, queue = entry
        self._by_role[demand.role] -= 1
        if queue.head() is None:
            self._shapes.pop(queue.shape, None)
        return demand

    def get(self, attempt_id: TaskId) -> m.Demand | None:
        """Return an attempt's demand, if it waits."""
        entry = self._live.get(attempt_id)
        return entry[0] if entry is not None else None

    def waiting_for(self, holding_id: str) -> list[m.Demand]:
        """Return the demands of tasks that are to have that volume."""
        return [
            d for shape in self._shapes.values() if shape.shape.holding == holding_id and (d := shape.head())
        ]

    def roles(self) -> frozenset[str]:
        """Return the roles for which something waits."""
        return frozenset(+self._by_role)

    def shapes(self, role: str | None = None) -> list[ShapeQueue]:
        """Return the shapes that wait (for a role), in no particular order."""
        found = [queue for shape, queue in self._shapes.items() if role is None or shape.role == role]
        return [queue for queue in found if queue.shape.change is not None] if self.changes_only else found

    def forget_looks(self, agent_id: AgentId | None = None) -> None:
        """Forget what was looked at in vain: on an agent that is gone, or, without an id, on all."""
        for queue in self._shapes.values():
            gone = sum(1 for look in queue.looks if agent_id in {None, look.agent_id})
            queue.looks = [look for look in queue.looks if agent_id not in {None, look.agent_id}]
            queue.looks_total = queue.looks_total - gone if agent_id is not None else 0

    # These two look at all demands, so they are for people's questions.

    def of_task(self, task_id: TaskId) -> list[ShapeQueue]:
        """Return the shape that a task waits in, if it waits."""
        return [queue for demand, queue in self._live.values() if demand.task_id == task_id]

    def count(self, queue: ShapeQueue) -> int:
        """Return how many demands of a shape wait."""
        return sum(1 for _, other in self._live.values() if other is queue)


class ExecutorBook:
    """The executors of a framework as the agents know them, by name and by id; and its reservations and volumes.

    Mesos holds that one executor id has one `ExecutorInfo` on an agent, resources included, so the id carries a hash of the
    whole: `<name>-<hash>`. What was built once is remembered, and recognised when an offer says that it runs on its agent.
    """

    def __init__(self, templates: Iterable[m.ExecutorTemplate] = (), roles: Iterable[str] = ()) -> None:
        self.templates = {template.name: template for template in templates}
        self.names: dict[ExecutorId, str] = {}
        self.infos: dict[ExecutorId, pb.mesos.ExecutorInfo] = {}  # not to be changed
        self.holdings: dict[str, m.KnowHolding] = {}
        self._ids: dict[tuple[str, Resources], ExecutorId] = {}
        for template in self.templates.values():
            for role in roles:  # so that those of an earlier run of the scheduler are recognised
                self.variant(template.name, template.resources.allocate(role))

    def variant(self, name: str, resources: Resources) -> ExecutorId:
        """Return the id of an executor that runs on just these resources."""
        known = self._ids.get((name, resources))
        if known is not None:
            return known
        info = pb.mesos.ExecutorInfo()
        info.MergeFromString(self.templates[name].info)
        info.resources.extend(resources.to_proto())
        digest = hashlib.sha256(info.SerializePartialToString(deterministic=True)).hexdigest()[:10]
        executor_id = ExecutorId(f"{name}-{digest}")
        info.executor_id.value = executor_id
        self._ids[name, resources] = executor_id
        self.names[executor_id] = name
        self.infos[executor_id] = info
        return executor_id


class Room(NamedTuple):
    """How much one ACCEPT may hold; the first task always goes."""

    tasks: int = sys.maxsize
    bytes: int = sys.maxsize


class Placement(NamedTuple):
    """One demand and what it takes of its agent's offers."""

    demand: m.Demand
    resources: Resources
    executor_id: ExecutorId | None
    plan: Plan | None = None  # of an operation


@dataclass(slots=True)
class AgentOffers:
    """All offers of one agent to one role that are held now, as one pile of resources."""

    agent_id: AgentId
    role: str
    hostname: str
    room: Room = Room()  # noqa: RUF009 - immutable
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
            name = book.names.get(executor_id)
            if name is not None:
                self.executors[name] = executor_id

    def restart(self, book: ExecutorBook) -> None:
        """Begin again with the offers that are left, after one of them was rescinded."""
        offers, self.offers = list(self.offers.values()), {}
        self.left, self.executors, self.size, self.most = Resources(), {}, 0, self.room.tasks
        for offer in offers:
            self.add(offer, book)

    def place(self, demand: m.Demand, book: ExecutorBook) -> Look | None:
        """Place a demand here, or say what was looked at in vain. Nothing is taken unless all of it fits."""
        if demand.change is not None:
            return self._place_change(demand, demand.change, book)
        executor_id = self.executors.get(demand.executor)
        template = book.templates.get(demand.executor, NO_EXECUTOR)
        own = template.resources if executor_id is None else NOTHING
        size = len(demand.info) + len(template.info) + TASK_OVERHEAD
        constraint = self._forbids(demand) or self._has_no_room(demand, size)
        volume = NOTHING
        if demand.holding and constraint is None:
            volume, constraint = self._volume(demand.holding, book)
        shares = self._shares(own, demand, volume) if constraint is None else None
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

    def _place_change(self, demand: m.Demand, change: m.Change, book: ExecutorBook) -> Look | None:
        known = book.holdings.get(change.holding_id)
        holding = known.holding if known is not None else None
        constraint = self._forbids(demand) or self._has_no_room(demand, TASK_OVERHEAD)
        if holding is not None and constraint is None:
            constraint = self._lacks(holding)
        made = (
            plan(demand, holding, self.left, (self.agent_id, self.hostname)) if constraint is None else None
        )
        if made is None:
            needed = demand.resources + change.room
            return Look(self.agent_id, self.hostname, self.left.unreserved(), needed, 0, constraint)
        self.left = self.left - made.taken
        self.size += sum(operation.ByteSize() for operation in made.operations)
        self.placements.append(Placement(demand, made.taken, None, made))
        return None

    def _volume(self, holding_id: str, book: ExecutorBook) -> tuple[Resources, m.Shortfall | None]:
        """What a task takes for its volume, or why it cannot have it here."""
        known = book.holdings.get(holding_id)
        if known is None or known.holding is None or known.changing:
            return NOTHING, m.Shortfall("volume", holding_id, "not there yet")
        return known.holding.resources.allocate(self.role), self._lacks(known.holding)

    def _lacks(self, holding: m.Holding) -> m.Shortfall | None:
        """What of a holding is not offered here."""
        what = holding.holding_id
        if holding.agent_id != self.agent_id:
            return m.Shortfall(what, f"host {holding.hostname}, where it is", self.hostname)
        if self.left.contains(holding.resources.allocate(self.role)):
            return None
        return m.Shortfall(what, "all of it", "in use, or not offered")

    def _shares(
        self, own: Resources, demand: m.Demand, volume: Resources
    ) -> tuple[Resources, Resources, Resources] | None:
        """What an executor that needs `own`, and the task, would have of what is left; and what would be left then."""
        executors_share = self.left.take(own) if own else own
        if executors_share is None:
            return None
        left = self.left - executors_share if own else self.left
        taken = left.take(demand.resources)
        if taken is None:
            return None
        left = left - taken
        if volume:
            taken, left = taken + volume, left - volume
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

    def launched(self) -> list[tuple[m.Demand, m.Launched]]:
        """What is stored of each demand placed here, before its ACCEPT leaves."""
        return [
            (
                demand,
                m.Launched(
                    demand.attempt_id, self.agent_id, executor_id, self.hostname, made and made.holding
                ),
            )
            for demand, _, executor_id, made in self.placements
        ]

    def _has_no_room(self, demand: m.Demand, size: int) -> m.Shortfall | None:
        there = len(self.placements)
        if not there:
            return None
        most = min(self.most, demand.most_together) if demand.most_together else self.most
        if there < most and self.size + size <= self.room.bytes:
            return None
        self.turned_away = True
        if there >= most:
            return m.Shortfall("tasks of one ACCEPT", str(there + 1), str(most))
        return m.Shortfall("bytes of one ACCEPT", str(self.size + size), str(self.room.bytes))

    def _forbids(self, demand: m.Demand) -> m.Shortfall | None:
        if demand.agent_id not in {None, self.agent_id}:
            return m.Shortfall("agent", str(demand.agent_id), self.agent_id)
        if demand.hosts and self.hostname not in demand.hosts:
            return m.Shortfall("host", " or ".join(demand.hosts), self.hostname)
        for name, value in demand.attributes:
            found = next(iter(self.offers.values())).attribute(name)
            if found != value:
                return m.Shortfall(f"attribute {name}", value, "none" if found is None else found)
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
        shape.looks, shape.looks_total = [], 0  # all agents are looked at again
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


def operations_on(agent: AgentOffers, book: ExecutorBook) -> tuple[bytes, ...]:
    """Return, serialized, the operations that were placed on an agent's offers, and one LAUNCH of all tasks that were."""
    operation = pb.mesos.Offer.Operation(type=pb.mesos.Offer.Operation.LAUNCH)
    infos = operation.launch.task_infos
    others: list[bytes] = []
    for demand, resources, executor_id, made in agent.placements:
        if made is not None:
            others += [each.SerializeToString() for each in made.operations]
            continue
        info = infos.add()
        info.MergeFromString(demand.info)
        info.agent_id.value = agent.agent_id
        info.resources.extend(resources.to_proto())
        if executor_id is not None:
            info.executor.CopyFrom(book.infos[executor_id])
        elif demand.ports:  # a command is told its ports, as PORT0, PORT1, … and PORTS
            ports = [str(port) for begin, end in resources.ports for port in range(begin, end + 1)]
            variables = info.command.environment.variables
            for number, port in enumerate(ports):
                variables.add(name=f"PORT{number}", value=port)
            variables.add(name="PORTS", value=",".join(ports))
    return (*others, operation.SerializeToString()) if infos else tuple(others)


def verdict(look: Look) -> m.OfferVerdict:
    """Say in numbers and words what spoke against an agent."""
    missing = look.left.explain_shortfall(look.needed)
    short = [m.Shortfall(each.resource, f"{each.wanted:g}", f"{each.available:g}") for each in missing]
    there = sum(end - begin + 1 for begin, end in look.left.ports)
    if look.ports > there:
        short.append(m.Shortfall("ports", str(look.ports), str(there)))
    if look.constraint is not None:
        short.append(look.constraint)
    return m.OfferVerdict(look.agent_id, look.hostname, describe(look.left), tuple(short))


def describe(resources: Resources, ports: int = 0) -> str:
    """Return resources in a few words."""
    text = str(resources) or "nothing"
    return f"{text}; {ports} ports" if ports else text
