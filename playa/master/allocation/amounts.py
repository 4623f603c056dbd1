"""What the allocator reads off resources: scalar amounts (in thousandths), by name and by role, and what may be offered."""

from collections.abc import Mapping

from mesos_v1.resource import MILLIS, Kind, Resource
from mesos_v1.resources import Resources

Amounts = dict[str, int]


def scalars(resources: Resources) -> Amounts:
    """Amount of each scalar, however it is reserved."""
    result: Amounts = {}
    for entry in resources:
        if entry.kind is Kind.SCALAR:
            result[entry.name] = result.get(entry.name, 0) + _millis(entry)
    return result


def quantities(resources: Resources) -> Amounts:
    """Amount of everything: of ranges and sets, a thousand for each that is in them."""
    result: Amounts = {}
    for entry in resources:
        amount = _millis(entry) if entry.kind is Kind.SCALAR else int(entry.value) * MILLIS
        result[entry.name] = result.get(entry.name, 0) + amount
    return result


def scalars_by_role(resources: Resources) -> dict[str, Amounts]:
    """Amount of each scalar by the role that it is allocated to."""
    result: dict[str, Amounts] = {}
    for entry in resources:
        role = entry.facts.allocated_to
        if role is not None and entry.kind is Kind.SCALAR:
            mine = result.setdefault(role, {})
            mine[entry.name] = mine.get(entry.name, 0) + _millis(entry)
    return result


def _millis(entry: Resource) -> int:
    return entry.millis if entry.count == 1 or entry.facts.shared else entry.millis * entry.count


def allocated_role(resources: Resources) -> str | None:
    """The role that resources are allocated to (an offer's are all allocated to one)."""
    for entry in resources:
        return entry.facts.allocated_to
    return None


def has_gpus(resources: Resources) -> bool:
    """Whether there are any."""
    return any(entry.name == "gpus" for entry in resources)


def exclusive(resources: Resources) -> Resources:
    """All but shared resources, which are there for others even while someone has them."""
    if any(entry.facts.shared for entry in resources):
        return resources.where(lambda entry: not entry.facts.shared)
    return resources


def add_to(total: Amounts, more: Mapping[str, int]) -> None:
    """Add in place."""
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def subtract_from(total: Amounts, less: Mapping[str, int]) -> None:
    """Subtract in place."""
    for name, amount in less.items():
        total[name] = total.get(name, 0) - amount


def usable(available: Resources, role: str, capabilities: frozenset[str]) -> Resources:
    """What of free resources may be offered to a role: unreserved, or reserved for it or for a role above it.

    A framework that does not say that it can deal with revocable or shared resources or refined reservations gets none.
    """
    if all(_is_usable(entry, role, capabilities) for entry in available):
        return available
    return available.where(lambda entry: _is_usable(entry, role, capabilities))


def _is_usable(entry: Resource, role: str, capabilities: frozenset[str]) -> bool:
    if not entry.meta:
        return True
    facts = entry.facts
    if facts.reservations and not (role == facts.role or role.startswith(facts.role + "/")):
        return False
    return not (
        (facts.revocable and "REVOCABLE_RESOURCES" not in capabilities)
        or (facts.shared and "SHARED_RESOURCES" not in capabilities)
        or (len(facts.reservations) > 1 and "RESERVATION_REFINEMENT" not in capabilities)
    )


def is_worth_offering(resources: Resources, least: tuple[Mapping[str, int], ...]) -> bool:
    """Whether resources reach one of several alternatives of least amounts (none: anything does)."""
    if not resources:
        return False
    if not least:
        return True
    have = scalars(resources)
    return any(all(have.get(name, 0) >= amount for name, amount in one.items()) for one in least)


def parse_least(text: str) -> tuple[Mapping[str, int], ...]:
    """Read `--min_allocatable_resources`: alternatives with `|` between them, each like `cpus:0.01;mem:32`.

    Raises:
        ResourceError: It is not written so.
    """
    parts = (part.strip() for part in text.split("|"))
    return tuple(scalars(Resources.parse(part)) for part in parts if part)
