"""Finding what a task wants among what an offer holds, and saying with numbers why it is not there.

A want without reservation is served by entries that are the same but for reservation and allocation: the deepest
reservations first, as nobody else can use them; then what is reserved for nobody. Mesos: `Resources::find`.
"""

from collections.abc import Iterator
from itertools import chain

from mesos_v1 import ranges
from mesos_v1.resource import MILLIS, Kind, Resource
from mesos_v1.resources import Resources, Shortfall


def take(have: Resources, wanted: Resources) -> Resources | None:
    """See `Resources.take`."""
    left = have
    picked: list[Resource] = []
    for want in _pickiest_first(wanted):
        found, missing = _serve(left, want)
        if missing is not None:
            return None
        picked += found
        left -= Resources(tuple(found))
    return Resources(tuple(picked))


def explain(have: Resources, wanted: Resources) -> tuple[Shortfall, ...]:
    """See `Resources.explain_shortfall`."""
    left = have
    short: list[Shortfall] = []
    for want in _pickiest_first(wanted):
        found, missing = _serve(left, want)
        if missing is not None:
            detail = ""
            if want.kind is not Kind.SCALAR or want.facts.label:
                there = "; ".join(str(entry) for entry in left if entry.name == want.name)
                detail = f"wanted {want}; there is {there or 'none'}"
            available = sum(
                entry.millis if want.kind is Kind.SCALAR else entry.value * MILLIS for entry in found
            )
            short.append(Shortfall(want.name, want.value, available / MILLIS, detail))
        else:
            left -= Resources(tuple(found))
    return tuple(short)


def take_any(have: Resources, name: str, count: int) -> Resources | None:
    """See `Resources.take_ports`."""
    picked: list[Resource] = []
    for entry in _by_reservation(entry for entry in have if entry.name == name and entry.kind is Kind.RANGES):
        if count <= 0:
            break
        some = ranges.first(entry.ranges, count)
        picked.append(Resource(name, Kind.RANGES, ranges=some, meta=entry.meta))
        count -= ranges.count(some)
    return None if count > 0 else Resources(tuple(picked))


def _pickiest_first(wanted: Resources) -> list[Resource]:
    """Order wants so that one which can be served in many ways does not take what another cannot do without."""
    return sorted(wanted, key=lambda want: -len(want.facts.reservations))


def _serve(have: Resources, want: Resource) -> tuple[list[Resource], Resource | None]:
    """Return what of `have` serves `want`, and what of it is missing."""
    found: list[Resource] = []
    missing: Resource | None = want
    for entry in _candidates(have, want):
        if want.facts.indivisible:
            if entry.count >= want.count and _same_amount(entry, want):
                return [entry.used_as(want)], None
            continue
        part = entry.common(missing) if missing is not None else None
        if part is None or missing is None:
            continue
        found.append(part)
        missing = missing.minus(part)
        if missing is None:
            break
    return found, missing


def _candidates(have: Resources, want: Resource) -> Iterator[Resource]:
    facts = want.facts
    for_role = bool(facts.reservations)
    same = (
        entry
        for entry in have
        if entry.name == want.name
        and entry.kind is want.kind
        and (entry.facts.unallocated == facts.unallocated if for_role else entry.facts.bare == facts.bare)
    )
    return iter(_by_reservation(same))


def _by_reservation(entries: Iterator[Resource]) -> list[Resource]:
    return sorted(entries, key=lambda entry: -len(entry.facts.reservations))


def _same_amount(left: Resource, right: Resource) -> bool:
    return (left.millis, left.ranges, left.items) == (right.millis, right.ranges, right.items)


def total(parts: list[Resources]) -> Resources:
    """Return the sum of many, in one go."""
    return Resources(tuple(chain.from_iterable(part.entries for part in parts)))
