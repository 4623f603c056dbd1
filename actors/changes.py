"""What operations on reservations and volumes take of an agent's offers, what they become there, and what nobody owns.

Pure, as the matching. A reservation bears two labels: the framework's name, and the id of the holding that it belongs to. So
what is offered says whose it is, also to a scheduler that has lost its store, and two reservations never become one entry.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import NamedTuple

from actors import messages as m
from mesos_v1 import offer_operations, pb
from mesos_v1.resource import Reservation, Resource, modernise, to_millis
from mesos_v1.resources import Resources, without_volume
from mesos_v1.values import AgentId, Offer, OperationId, TaskId

FRAMEWORK_LABEL, HOLDING_LABEL, TASK_LABEL = "mesostic_framework", "mesostic_holding", "mesostic_task"

K = m.ChangeKind


class Plan(NamedTuple):
    """An operation on an agent: the calls it is made of, what it takes of the offers, and what is there after it."""

    operations: tuple[pb.mesos.Offer.Operation, ...]
    taken: Resources
    holding: m.Holding | None


def labels_for(
    framework: str, holding_id: str, task_id: TaskId | None = None
) -> tuple[tuple[str, str | None], ...]:
    """Return the labels of what is reserved for a holding."""
    mine: tuple[tuple[str, str | None], ...] = ((FRAMEWORK_LABEL, framework), (HOLDING_LABEL, holding_id))
    return mine if task_id is None else (*mine, (TASK_LABEL, task_id))


def plan(
    demand: m.Demand, holding: m.Holding | None, left: Resources, where: tuple[AgentId, str]
) -> Plan | None:
    """Say how an operation is carried out with what is left of an agent's offers; None: it is not all there."""
    change, role, attempt = demand.change, demand.role, OperationId(demand.attempt_id)
    assert change is not None
    mine = holding.resources.allocate(role) if holding is not None else Resources()
    fresh = left.unreserved().take(demand.resources)
    if fresh is None or not left.contains(mine) or not (left - mine - fresh).covers(change.room):
        return None
    reservation = Reservation(role, principal=change.principal, labels=change.labels)
    kind = change.kind
    if kind is K.RESERVE:
        after = fresh.push_reservation(reservation)
        return Plan(
            (offer_operations.reserve(after, operation_id=attempt),), fresh, _held(demand, after, where)
        )
    if kind is K.CREATE_VOLUME:
        disk = fresh.push_reservation(reservation)
        # The attempt's id: were an earlier one applied after all, its volume would not be in the way.
        volume = offer_operations.volume(disk.entries[0], attempt, change.path, principal=change.principal)
        after = Resources((volume,))
        made = offer_operations.create(after, operation_id=attempt)
        return Plan((offer_operations.reserve(disk), made), fresh, _held(demand, after, where))
    assert holding is not None
    if kind is K.UNRESERVE:
        return Plan((offer_operations.unreserve(mine, operation_id=attempt),), mine, None)
    volume = mine.entries[0]
    if kind is K.DESTROY_VOLUME:
        disk = Resources((without_volume(volume),))
        freed = offer_operations.unreserve(disk, operation_id=attempt)
        return Plan((offer_operations.destroy(mine), freed), mine, None)
    if kind is K.GROW_VOLUME:
        level = volume.facts.reservations[-1]
        more = fresh.push_reservation(level)
        grown = volume.with_millis(volume.millis + fresh.millis("disk"))
        made = offer_operations.grow_volume(volume, more.entries[0], operation_id=attempt)
        return Plan((offer_operations.reserve(more), made), mine + fresh, _changed(holding, grown))
    shrunk = volume.with_millis(volume.millis - to_millis(change.less))
    made = offer_operations.shrink_volume(volume, change.less, operation_id=attempt)
    return Plan((made,), mine, _changed(holding, shrunk))


def surplus(shrunk: m.Holding, less: float, holding_id: str) -> m.Holding:
    """Return what SHRINK_VOLUME leaves beside a volume: reserved disk, which only a later ACCEPT can give back.

    (Mesos holds back what GROW_VOLUME and SHRINK_VOLUME make until the agent has made it.)
    """
    disk = without_volume(shrunk.resources.entries[0]).with_millis(to_millis(less))
    return replace(shrunk, holding_id=holding_id, resources=Resources((disk,)), path="", task_id=None)


def _held(demand: m.Demand, after: Resources, where: tuple[AgentId, str]) -> m.Holding:
    change = demand.change
    assert change is not None
    what = change.holding_id, demand.role, after.unallocate(), *where
    return m.Holding(*what, change.path, change.task_id, change.replace_after)


def _changed(holding: m.Holding, volume: Resource) -> m.Holding:
    return replace(holding, resources=Resources((volume,)).unallocate())


def leaked(offers: Iterable[Offer], framework: str, known: Collection[m.KnowHolding]) -> list[m.Leaked]:
    """Return what is offered that bears the framework's label and is none of its holdings; volumes one by one.

    What an operation is about to change, or has just changed, is not looked at.
    """
    ours: dict[tuple[AgentId, str], tuple[Offer, Resources]] = {}
    for offer in offers:
        for entry in offer.resources:
            if entry.facts.reservations and (label := _label_of(entry, framework)) is not None:
                _, found = ours.get((offer.agent_id, label), (offer, Resources()))
                plain = Resources((entry,)).unallocate().with_each_meta(modernise)
                ours[offer.agent_id, label] = (offer, found + plain)
    if not ours:
        return []
    changing = {each.holding_id for each in known if each.changing}
    mine: dict[AgentId, Resources] = {}
    for each in known:
        if (held := each.holding) is not None:
            mine[held.agent_id] = mine.get(held.agent_id, Resources()) + held.resources
    return [
        m.Leaked(_as_holding(offer, part, label), label)
        for (agent_id, label), (offer, found) in ours.items()
        if label not in changing
        for part in _parts(found - mine.get(agent_id, Resources()))
    ]


def _label_of(entry: Resource, framework: str) -> str | None:
    labels = dict(entry.facts.reservations[-1].labels)
    return labels.get(HOLDING_LABEL) if labels.get(FRAMEWORK_LABEL) == framework else None


def _parts(found: Resources) -> list[Resources]:
    volumes = [Resources((entry,)) for entry in found.persistent_volumes()]
    rest = found.where(lambda entry: entry.facts.persistence_id is None)
    return [*volumes, rest] if rest else volumes


def _as_holding(offer: Offer, part: Resources, label: str) -> m.Holding:
    proto = part.to_proto()[0]
    path = proto.disk.volume.container_path if proto.disk.HasField("persistence") else ""
    task = dict(part.entries[0].facts.reservations[-1].labels).get(TASK_LABEL)
    kind = "volume" if path else "reservation"
    return m.Holding(
        f"leaked {kind} {label} on {offer.agent_id}",
        offer.role,
        part,
        offer.agent_id,
        offer.hostname,
        path,
        TaskId(task) if task else None,
    )
