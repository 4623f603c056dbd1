"""Demands that wait, first come first served by role; as cheap with 100,000 as with ten.

Demands that ask for the same are one *shape*: what does not fit for one of them does not fit for the others, so a look
at the offers costs by shapes, not by demands. Within a shape, and between the heads of shapes, the lowest order number
comes first. Why something waits is told to people with numbers for every agent that was looked at. Pure data: no actor, no clock.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from actors.framework_settings import GPUS
from actors.messages import Demand, OfferVerdict, PendingGroup, PendingReport, Shortfall
from actors.offers.executor_infos import ExecutorBook
from actors.offers.interest import Interest
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, TaskId

LOOKS_KEPT = 100  # so many vain looks a shape remembers

WORTH_SAYING = 10.0  # seconds after which a look is so old that its age is said


class Shape(NamedTuple):
    """What a demand asks for; equal shapes are interchangeable."""

    role: str
    resources: Resources
    ports: int
    executor: str
    hosts: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]


class Look(NamedTuple):
    """One agent's offers that a shape was held against in vain, kept to say why later."""

    agent_id: AgentId
    hostname: str
    left: Resources
    needed: Resources
    ports: int
    constraint: Shortfall | None


class ShapeQueue:
    """The demands of one shape."""

    __slots__ = ("_heap", "_live", "looked_at", "looks", "looks_total", "shape")

    def __init__(self, shape: Shape, live: dict[TaskId, tuple[Demand, ShapeQueue]]) -> None:
        self.shape = shape
        self.looks: list[Look] = []
        self.looks_total = 0
        self.looked_at = 0.0
        self._heap: list[tuple[int, TaskId]] = []
        self._live = live

    def begin_looking(self) -> None:
        """Forget earlier looks, as all agents are looked at again."""
        self.looks, self.looks_total = [], 0

    def note(self, look: Look) -> None:
        """Remember a look in vain, to say why this shape waits."""
        self.looks_total += 1
        if len(self.looks) < LOOKS_KEPT:
            self.looks.append(look)

    def push(self, demand: Demand) -> None:
        """Queue one of this shape, at the place that its order number gives it."""
        heapq.heappush(self._heap, (demand.order, demand.attempt_id))

    def head(self) -> Demand | None:
        """Return the demand whose turn it is, or None when all were withdrawn or placed."""
        heap = self._heap
        while heap:
            entry = self._live.get(heap[0][1])
            if entry is not None and entry[1] is self:
                return entry[0]
            heapq.heappop(heap)
        return None


class DemandQueue:
    """All demands of a framework."""

    def __init__(self) -> None:
        self._live: dict[TaskId, tuple[Demand, ShapeQueue]] = {}
        self._shapes: dict[Shape, ShapeQueue] = {}
        self._by_role: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, attempt_id: object) -> bool:
        return attempt_id in self._live

    def add(self, demand: Demand) -> bool:
        """Queue a demand; returns whether nothing of its shape waited before. An attempt is queued once."""
        if demand.attempt_id in self._live:
            return False
        shape = Shape(
            demand.role, demand.resources, demand.ports, demand.executor, demand.hosts, demand.attributes
        )
        queue = self._shapes.get(shape)
        new = queue is None
        if queue is None:
            queue = self._shapes[shape] = ShapeQueue(shape, self._live)
        self._live[demand.attempt_id] = (demand, queue)
        queue.push(demand)
        self._by_role[demand.role] += 1
        return new

    def remove(self, attempt_id: TaskId) -> Demand | None:
        """Take a demand out, because it was placed or withdrawn."""
        entry = self._live.pop(attempt_id, None)
        if entry is None:
            return None
        demand, queue = entry
        self._by_role[demand.role] -= 1
        if queue.head() is None:
            self._shapes.pop(queue.shape, None)
        return demand

    def roles(self) -> frozenset[str]:
        """Return the roles for which something waits."""
        return frozenset(+self._by_role)

    def shapes(self, role: str | None = None) -> Iterable[ShapeQueue]:
        """Return the shapes that wait (for a role), in no particular order."""
        return [queue for shape, queue in self._shapes.items() if role is None or shape.role == role]

    def looked(self, roles: Iterable[str], now: float) -> None:
        """Note that all that waits for these roles was held against offers just now."""
        for role in roles:
            for queue in self.shapes(role):
                queue.looked_at = now

    def forget_looks(self, agent_id: AgentId | None = None) -> None:
        """Forget what was looked at in vain: on an agent that is gone, or, without an id, on all."""
        for queue in self._shapes.values():
            gone = sum(1 for look in queue.looks if agent_id in {None, look.agent_id})
            queue.looks = [look for look in queue.looks if agent_id not in {None, look.agent_id}]
            queue.looks_total = queue.looks_total - gone if agent_id is not None else 0

    def find(self, attempt_id: TaskId) -> ShapeQueue | None:
        """Return the shape that an attempt waits in."""
        entry = self._live.get(attempt_id)
        return entry[1] if entry is not None else None

    def attempt_of(self, task_id: TaskId) -> TaskId | None:
        """Return the attempt with which a task waits; looks at all of them, so it is for people's questions."""
        return next((key for key, (demand, _) in self._live.items() if demand.task_id == task_id), None)

    def count(self, queue: ShapeQueue) -> int:
        """Return how many demands of a shape wait; looks at all of them, so it is for people's questions."""
        return sum(1 for _, other in self._live.values() if other is queue)


def report(
    queue: DemandQueue,
    shapes: Iterable[ShapeQueue],
    book: ExecutorBook,
    interest: Interest,
    *,
    subscribed: bool,
    capabilities: tuple[str, ...],
    now: float,
) -> PendingReport:
    """Explain the given shapes of demands."""
    groups = []
    for shape in shapes:
        head = shape.head()
        if head is None:
            continue
        wanted = describe(head.resources, head.ports)
        if head.executor:
            own = describe(book.resources_of(head.executor))
            wanted += f", and for its executor where it is not running yet {own}"
        remark = _remark(shape, head, book, subscribed=subscribed, now=now)
        if head.resources.gpus and GPUS not in capabilities:
            remark = f"it wants gpus, and [framework] capabilities has no {GPUS}; {remark}"
        groups.append(
            PendingGroup(
                tasks=queue.count(shape),
                first_task=head.task_id,
                role=head.role,
                wanted=wanted,
                executor=head.executor,
                agents_looked_at=shape.looks_total,
                verdicts=tuple(map(_verdict, shape.looks)),
                remark=remark,
            )
        )
    return PendingReport(len(queue), interest.suppressed, tuple(groups))


def _remark(shape: ShapeQueue, head: Demand, book: ExecutorBook, *, subscribed: bool, now: float) -> str:
    if not subscribed:
        return "there is no subscription to a master"
    if head.executor and head.executor not in book:
        return f"there is no executor called {head.executor}"
    if not shape.looks_total:
        return f"no offer for role {head.role} has come since it waits"
    ago = now - shape.looked_at
    when = f", {ago:.0f} s ago" if ago >= WORTH_SAYING else ""
    if shape.looks_total == 1:
        return f"the only agent did not offer enough at the last look{when}"
    return f"none of the {shape.looks_total} agents offered enough at the last look{when}"


def _verdict(look: Look) -> OfferVerdict:
    short = [
        Shortfall(s.resource, f"{s.wanted:g}", f"{s.available:g}")
        for s in look.left.explain_shortfall(look.needed)
    ]
    there = sum(end - begin + 1 for begin, end in look.left.ports)
    if look.ports > there:
        short.append(Shortfall("ports", str(look.ports), str(there)))
    if look.constraint is not None:
        short.append(look.constraint)
    return OfferVerdict(look.agent_id, look.hostname, describe(look.left), tuple(short))


def describe(resources: Resources, ports: int = 0) -> str:
    """Return resources in a few words."""
    text = str(resources) or "nothing"
    return f"{text}; {ports} ports" if ports else text
