"""Dominant resource fairness: who is furthest below a fair share, in a tree of roles and among the frameworks of one.

A share is the largest part that a client has of any one resource, divided by its weight (Ghodsi et al., "Dominant
Resource Fairness", 2011; Mesos documentation, "Roles", "Weights"). Roles compare level by level: `eng/dev` competes
with `eng/qa`, and both together, as `eng`, with `sales`. Amounts are thousandths, as everywhere in resource arithmetic.
"""

from collections.abc import Iterable, Mapping

Amounts = Mapping[str, int]


class Shares:
    """Allocations by client, and their dominant shares of a total."""

    def __init__(self) -> None:
        self._allocated: dict[str, dict[str, int]] = {}

    def add(self, client: str, amounts: Amounts) -> None:
        """Count amounts to a client."""
        mine = self._allocated.setdefault(client, {})
        for name, amount in amounts.items():
            mine[name] = mine.get(name, 0) + amount

    def subtract(self, client: str, amounts: Amounts) -> None:
        """Take amounts off a client."""
        mine = self._allocated.get(client)
        if mine is None:
            return
        for name, amount in amounts.items():
            left = mine.get(name, 0) - amount
            if left > 0:
                mine[name] = left
            else:
                mine.pop(name, None)
        if not mine:
            del self._allocated[client]

    def amounts(self, client: str) -> Amounts:
        """What a client has."""
        return self._allocated.get(client, {})

    def share(self, client: str, total: Amounts) -> float:
        """The client's dominant share, between 0 and 1."""
        mine = self._allocated.get(client)
        if not mine:
            return 0.0
        return max(
            (mine[name] / whole for name, whole in total.items() if whole and name in mine), default=0.0
        )

    def in_order(self, clients: Iterable[str], total: Amounts) -> list[str]:
        """The clients, the one furthest below its fair share first; by name where it is equal."""
        return sorted(clients, key=lambda client: (self.share(client, total), client))


class RoleShares:
    """Dominant shares in a tree of roles, with weights."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)
        self._shares = Shares()

    def add(self, role: str, amounts: Amounts) -> None:
        """Count amounts to a role and to each role above it."""
        for node in _with_ancestors(role):
            self._shares.add(node, amounts)

    def subtract(self, role: str, amounts: Amounts) -> None:
        """Take amounts off a role and off each role above it."""
        for node in _with_ancestors(role):
            self._shares.subtract(node, amounts)

    def amounts(self, role: str) -> Amounts:
        """What a role has, with everything below it."""
        return self._shares.amounts(role)

    def share(self, role: str, total: Amounts) -> float:
        """The weighted share of a role with everything below it."""
        return self._shares.share(role, total) / self.weights.get(role, 1.0)

    def in_order(self, roles: Iterable[str], total: Amounts) -> list[str]:
        """The roles, the one whose branch is furthest below its fair share first."""
        roles = list(roles)
        if len(roles) == 1:
            return roles
        keys = {
            role: tuple((self.share(node, total), node) for node in reversed(_with_ancestors(role)))
            for role in roles
        }
        return sorted(roles, key=keys.__getitem__)


def _with_ancestors(role: str) -> list[str]:
    """`a/b/c` → `a/b/c`, `a/b`, `a`."""
    nodes = [role]
    while "/" in role:
        role = role.rpartition("/")[0]
        nodes.append(role)
    return nodes
