"""Why does it wait? The broker's answer to people, with numbers for every agent that was looked at."""

from __future__ import annotations

from collections.abc import Iterable

from actors import messages as m
from actors.offers.demand_queue import DemandQueue, Look, ShapeQueue
from actors.offers.executor_infos import ExecutorBook
from actors.offers.interest import Interest
from actors.settings import GPUS
from mesos_v1.resources import Resources

WORTH_SAYING = 10.0
"""Seconds after which a look is so old that its age is said."""


def report(
    queue: DemandQueue,
    shapes: Iterable[ShapeQueue],
    book: ExecutorBook,
    interest: Interest,
    *,
    subscribed: bool,
    capabilities: tuple[str, ...],
    now: float,
) -> m.PendingReport:
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
            m.PendingGroup(
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
    return m.PendingReport(len(queue), interest.suppressed, tuple(groups))


def _remark(shape: ShapeQueue, head: m.Demand, book: ExecutorBook, *, subscribed: bool, now: float) -> str:
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


def _verdict(look: Look) -> m.OfferVerdict:
    short = [
        m.Shortfall(s.resource, f"{s.wanted:g}", f"{s.available:g}")
        for s in look.left.explain_shortfall(look.needed)
    ]
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
