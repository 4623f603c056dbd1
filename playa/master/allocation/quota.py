"""Quota: how much a role may have at most, and how much it is held back for; as values, and as room for one allocation.

Only roles at the top have quota; what the roles below one have counts as its own. A role consumes what is reserved for
it, used or not, and what it has of unreserved resources. Amounts are thousandths (Mesos documentation, "Quota").
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesos_v1.resource import Kind, Resource
from mesos_v1.resources import Resources
from playa.master.allocation.amounts import Amounts, is_reserved, is_under, scalars, sum_of


@dataclass(frozen=True, slots=True)
class Quota:
    """A role's quota."""

    guarantees: Mapping[str, int] = field(default_factory=dict)  # held back for it; none of what is not named
    limits: Mapping[str, int] = field(default_factory=dict)  # at most; any amount of what is not named

    def __bool__(self) -> bool:
        return bool(self.guarantees or self.limits)


def contains(limits: Mapping[str, int], quantities: Mapping[str, int]) -> bool:
    """Whether quantities are within limits."""
    return all(quantities.get(name, 0) <= most for name, most in limits.items())


def missing(wanted: Mapping[str, int], have: Mapping[str, int]) -> Amounts:
    """What is wanted and not there, without what is nothing."""
    return Counter({name: short for name in wanted if (short := wanted[name] - have.get(name, 0)) > 0})


class Room:
    """What quota leaves for one run of the allocator; the run says what it gives.

    It starts with what each role that has quota consumes, and with the unreserved and lasting scalars that nobody has.
    """

    def __init__(self, quotas: Mapping[str, Quota], consumed: dict[str, Amounts], free: Amounts) -> None:
        self._quotas = quotas
        self._consumed = consumed
        self._free = free
        self._held_back = sum(map(self._unsatisfied, quotas), Counter[str]())  # what guarantees still need

    def _unsatisfied(self, role: str) -> Amounts:
        return missing(self._quotas[role].guarantees, self._consumed[role])

    def guaranteed(self, role: str, offerable: Resources) -> tuple[Resources, Resources]:
        """Of what is offerable: what its guarantees entitle a role to (perhaps nothing), and all that it gets then."""
        always, divisible = _divide(offerable)
        due = _shrink(divisible, self._unsatisfied(role), unnamed=False)
        always = always.where(lambda entry: not entry.facts.reservations or entry.facts.role == role)
        more = self._beyond(role, divisible - due, due)
        return due, always + due + more

    def allowed(self, role: str, offerable: Resources) -> Resources:
        """What of an offer a role may have."""
        always, divisible = _divide(offerable)
        allowed = self._beyond(role, divisible, Resources())
        return offerable if allowed == divisible else always + allowed

    def _beyond(self, role: str, divisible: Resources, due: Resources) -> Resources:
        """What a role may have beside what is due to it."""
        quota = self._quotas.get(role)
        if quota is not None and quota.limits:
            had = self._consumed[role] + scalars(due)
            left = {name: max(most - had[name], 0) for name, most in quota.limits.items()}
            divisible = _shrink(divisible, left, unnamed=True)
        if self._held_back and divisible:
            spare = {name: self._free[name] - self._held_back[name] for name in divisible.names()}
            divisible = _shrink(divisible, spare, unnamed=True)
        return divisible

    def give(self, role: str, given: Resources, due: Resources | None = None) -> None:
        """A role was given something, and of it what was due to it."""
        amounts = scalars(given.where(is_counted))
        if role in self._consumed:
            self._consumed[role].update(amounts)
        self._free.subtract(amounts)
        if due is not None:
            self._held_back -= scalars(due)


def _divide(resources: Resources) -> tuple[Resources, Resources]:
    """What quota does not count (reserved, revocable, no scalars), and what it does."""
    return resources.where(lambda e: not is_counted(e)), resources.where(is_counted)


def is_counted(entry: Resource) -> bool:
    """Whether a resource that is given to a role counts against its quota: a scalar, unreserved and lasting."""
    facts = entry.facts
    return entry.kind is Kind.SCALAR and not facts.reservations and not facts.revocable


def _shrink(resources: Resources, most: Mapping[str, int], *, unnamed: bool) -> Resources:
    """As much of scalars as there may be, of each name (`unnamed`: any amount of others); what cannot be divided is left out."""
    left = dict(most)
    kept: list[Resource] = []
    for entry in resources:
        if entry.name not in left:
            if unnamed:
                kept.append(entry)
            continue
        amount = min(entry.millis, left[entry.name])
        if amount <= 0 or (entry.facts.indivisible and amount < entry.millis):
            continue
        kept.append(entry if amount == entry.millis else entry.with_millis(amount))
        left[entry.name] -= amount
    return Resources(tuple(kept))


def consumption(top: str, totals: Iterable[Resources], allocated: Iterable[Resources]) -> Amounts:
    """What a role and those below it consume: what is reserved for them, and what they have of the rest."""
    reserved = sum_of(totals, lambda e: is_reserved(e, top))
    return reserved + sum_of(allocated, lambda e: is_counted(e) and is_under(e.facts.allocated_to, top))
