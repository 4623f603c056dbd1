"""Refusals: what a framework does not want to be offered for a while (Mesos documentation, `Filters` in the scheduler API).

A refusal is for an agent and a role, and covers resources that are contained in what was refused: when there is more, it
is offered in spite of it. Times are seconds of the caller's clock.
"""

from collections.abc import Collection
from dataclasses import dataclass

from mesos_v1 import pb
from mesos_v1.resources import Resources

DEFAULT_REFUSE_SECONDS = 5.0
LONGEST_REFUSAL = 365 * 24 * 3600.0


def refusal(filters: pb.mesos.Filters | None) -> float:
    """For how many seconds a framework refuses resources: five by default, a year at most, 0 for no filter."""
    if filters is None or not filters.HasField("refuse_seconds"):
        return DEFAULT_REFUSE_SECONDS
    seconds = filters.refuse_seconds
    if seconds < 0 or seconds != seconds:  # noqa: PLR0124 - not a number
        return DEFAULT_REFUSE_SECONDS
    return min(seconds, LONGEST_REFUSAL)


@dataclass(slots=True)
class _Refusal:
    refused: Resources
    expires: float


class OfferFilters:
    """The refusals of one framework."""

    __slots__ = ("_refusals",)

    def __init__(self) -> None:
        self._refusals: dict[tuple[str, str], list[_Refusal]] = {}

    def refuse(self, agent_id: str, role: str, refused: Resources, expires: float) -> None:
        """Enter a refusal."""
        self._refusals.setdefault((agent_id, role), []).append(_Refusal(refused, expires))

    def refuses(self, agent_id: str, role: str, offered: Resources, now: float) -> bool:
        """Whether an offer would be refused; refusals that are over are forgotten."""
        key = (agent_id, role)
        refusals = self._refusals.get(key)
        if not refusals:
            return False
        alive = [r for r in refusals if r.expires > now]
        if len(alive) != len(refusals):
            if alive:
                self._refusals[key] = alive
            else:
                del self._refusals[key]
        return any(r.refused.contains(offered) for r in alive)

    def active(self, role: str, now: float) -> int:
        """How many refusals of a role are in force."""
        return sum(
            r.expires > now for key, refusals in self._refusals.items() if key[1] == role for r in refusals
        )

    def clear(self) -> None:
        """Forget all."""
        self._refusals.clear()

    def forget_roles(self, roles: Collection[str]) -> None:
        """Forget those of some roles."""
        self._refusals = {key: r for key, r in self._refusals.items() if key[1] not in roles}

    def forget_agent(self, agent_id: str) -> None:
        """Forget those of an agent."""
        self._refusals = {key: r for key, r in self._refusals.items() if key[0] != agent_id}
