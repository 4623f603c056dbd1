"""Finding what a task wants among what an offer holds, and saying with numbers why it is not there.

A want without reservation is served by entries that are the same but for reservation and allocation: the deepest
reservations first, as nobody else can use them; then what is reserved for nobody. Mesos: `Resources::find`.
"""

from collections.abc import Iterable, Iterator

from mesos_v1 import ranges
from mesos_v1.resource import MILLIS, Kind, Resource
from mesos_v1.resources import Resources
from mesos_v1.shortfall import Shortfall


def take(have: Resources, wanted: Resources) -> Resources | None:
    """See `Resources.take`."""
    picked: list[Resource] = []
    for want, left in _competing(have, wanted, picked):
        found, missing = _serve(left, want)
        if missing is not None:
            return None
        picked += found
    return Resources(tuple(picked))


def explain(have: Resources, wanted: Resources) -> tuple[Shortfall, ...]:
    """See `Resources.explain_shortfall`."""
    short: list[Shortfall] = []
    picked: list[Resource] = []
    for want, left in _competing(have, wanted, picked):
        found, missing = _serve(left, want)
        if missing is None:
            picked += found
            continue
        detail = ""
        if want.kind is not Kind.SCALAR or want.facts.label:
            there = "; ".join(str(entry) for entry in left if entry.name == want.name)
            detail = f"wanted {want}; there is {there or 'none'}"
        available = sum(entry.millis if want.kind is Kind.SCALAR else entry.value * MILLIS for entry in found)
        short.append(Shortfall(want.name, want.value, available / MILLIS, detail))
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


def _competing(
    have: Resources, wanted: Resources, picked: list[Resource]
) -> Iterator[tuple[Resource, Resources]]:
    """Go through the wants, each with what `picked` has left for it.

    Wants of the same name compete; those that can be served in fewer ways (a reservation) come first, so that none takes
    what another cannot do without.
    """
    if len({want.name for want in wanted}) == len(wanted):
        for want in wanted:
            yield want, have
        return
    for want in sorted(wanted, key=lambda want: -len(want.facts.reservations)):
        yield want, have - Resources(tuple(picked))


def _serve(have: Resources, want: Resource) -> tuple[list[Resource], Resource | None]:
    """Return what of `have` serves `want`, and what of it is missing."""
    found: list[Resource] = []
    missing: Resource | None = want
    whole = want.facts.indivisible
    for entry in _candidates(have, want):
        if whole:
            if entry.count >= want.count and _same_amount(entry, want):
                return [entry.used_as(want)], None
            continue
        assert missing is not None
        part = entry.common(missing)
        if part is not None:
            found.append(part)
            missing = missing.minus(part)
            if missing is None:
                break
    return found, missing


def _candidates(have: Resources, want: Resource) -> list[Resource]:
    name, kind, facts = want.name, want.kind, want.facts
    if facts.reservations:
        key = facts.unallocated
        same = [e for e in have.entries if e.name == name and e.kind is kind and e.facts.unallocated == key]
    else:
        key = facts.bare
        same = [e for e in have.entries if e.name == name and e.kind is kind and e.facts.bare == key]
    return same if len(same) < 2 else _by_reservation(same)


def _by_reservation(entries: Iterable[Resource]) -> list[Resource]:
    return sorted(entries, key=lambda entry: -len(entry.facts.reservations))


def _same_amount(left: Resource, right: Resource) -> bool:
    return (left.millis, left.ranges, left.items) == (right.millis, right.ranges, right.items)
