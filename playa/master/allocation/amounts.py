"""What the allocator reads off resources: amounts (in thousandths), by name and by role, and what may be offered."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from mesos_v1.resource import MILLIS, Kind, Resource
from mesos_v1.resources import Resources

Amounts = Counter[str]  # thousandths by name, as everywhere in resource arithmetic


def scalars(resources: Iterable[Resource]) -> Amounts:
    """Amount of each scalar, however it is reserved."""
    result: Amounts = Counter()
    for entry in resources:
        if entry.kind is Kind.SCALAR:
            copies = 1 if entry.facts.shared else entry.count
            result[entry.name] += entry.millis * copies
    return result


def quantities(resources: Resources) -> Amounts:
    """Amount of everything: of ranges and sets, a thousand for each that is in them."""
    result = scalars(resources)
    for entry in resources:
        if entry.kind is not Kind.SCALAR:
            result[entry.name] += int(entry.value) * MILLIS
    return result


def scalars_by_role(resources: Resources) -> dict[str, Amounts]:
    """Amount of each scalar by the role that it is allocated to."""
    by_role: defaultdict[str, list[Resource]] = defaultdict(list)
    for entry in resources:
        if entry.facts.allocated_to is not None:
            by_role[entry.facts.allocated_to].append(entry)
    return {role: scalars(entries) for role, entries in by_role.items()}


def sum_of(
    parts: Iterable[Resources],
    test: Callable[[Resource], bool],
    amounts: Callable[[Resources], Amounts] = scalars,
) -> Amounts:
    """Amounts of what passes a test, of several together."""
    result: Amounts = Counter()
    for part in parts:
        result.update(amounts(part.where(test)))
    return result


def exclusive(resources: Resources) -> Resources:
    """All but shared resources, which are there for others even while someone has them."""
    if any(entry.facts.shared for entry in resources):
        return resources.where(lambda entry: not entry.facts.shared)
    return resources


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
    if facts.reservations and not is_under(role, facts.role):
        return False
    return not (
        (facts.revocable and "REVOCABLE_RESOURCES" not in capabilities)
        or (facts.shared and "SHARED_RESOURCES" not in capabilities)
        or (len(facts.reservations) > 1 and "RESERVATION_REFINEMENT" not in capabilities)
    )


def is_reserved(entry: Resource, top: str) -> bool:
    """Whether a resource is reserved for a role or one below it."""
    return bool(entry.facts.reservations) and is_under(entry.facts.role, top)


def is_under(role: str | None, top: str) -> bool:
    """Whether a role is another one or below it."""
    return role is not None and (role == top or role.startswith(f"{top}/"))


def is_worth_offering(resources: Resources, least: tuple[Mapping[str, int], ...]) -> bool:
    """Whether resources reach one of several alternatives of least amounts (none: anything does)."""
    if not resources or not least:
        return bool(resources)
    have = scalars(resources)
    return any(all(have[name] >= amount for name, amount in one.items()) for one in least)


def parse_least(text: str) -> tuple[Mapping[str, int], ...]:
    """Read `--min_allocatable_resources`: alternatives with `|` between them, each like `cpus:0.01;mem:32`."""
    parts = (part.strip() for part in text.split("|"))
    return tuple(scalars(Resources.parse(part)) for part in parts if part)
