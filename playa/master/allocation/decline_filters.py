"""Refusals: what a framework does not want to be offered for a while (Mesos documentation, `Filters` in the scheduler API).

A refusal is for an agent and a role, and covers resources that are contained in what was refused: when there is more, it
is offered in spite of it. Times are seconds of the caller's clock.
"""

from collections import defaultdict
from collections.abc import Collection

from mesos_v1 import pb
from mesos_v1.resources import Resources

DEFAULT_REFUSE_SECONDS = 5.0
LONGEST_REFUSAL = 365 * 24 * 3600.0


def refusal(filters: pb.mesos.Filters | None) -> float:
    """For how many seconds a framework refuses resources: five by default, a year at most, 0 for no filter."""
    if filters is None or not filters.HasField("refuse_seconds") or not filters.refuse_seconds >= 0:
        return DEFAULT_REFUSE_SECONDS
    return min(filters.refuse_seconds, LONGEST_REFUSAL)


class DeclineFilters:
    """The refusals of one framework: by agent and role, what it refused and until when."""

    __slots__ = ("_refusals",)

    def __init__(self) -> None:
        self._refusals: defaultdict[tuple[str, str], list[tuple[Resources, float]]] = defaultdict(list)

    def refuse(self, agent_id: str, role: str, refused: Resources, expires: float) -> None:
        """Enter a refusal."""
        self._refusals[agent_id, role].append((refused, expires))

    def refuses(self, agent_id: str, role: str, offered: Resources, now: float) -> bool:
        """Whether an offer would be refused; refusals that are over are forgotten."""
        alive = [
            (refused, expires)
            for refused, expires in self._refusals.pop((agent_id, role), ())
            if expires > now
        ]
        if alive:
            self._refusals[agent_id, role] = alive
        return any(refused.contains(offered) for refused, _ in alive)

    def active(self, role: str, now: float) -> int:
        """How many refusals of a role are in force."""
        return sum(
            expires > now
            for key, refusals in self._refusals.items()
            if key[1] == role
            for _, expires in refusals
        )

    def forget(self, *, agent_id: str | None = None, roles: Collection[str] | None = None) -> None:
        """Forget those of an agent, those of some roles, or (without either) all."""
        for key in list(self._refusals):
            if agent_id in {None, key[0]} and (roles is None or key[1] in roles):
                del self._refusals[key]
