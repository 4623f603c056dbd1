"""Dominant resource fairness: who is furthest below a fair share, in a tree of roles or among the frameworks of one.

A share is the largest part that a client has of any one resource, divided by its weight (Ghodsi et al., "Dominant
Resource Fairness", 2011; Mesos documentation, "Roles", "Weights"). Roles compare level by level: `eng/dev` competes
with `eng/qa`, and both together, as `eng`, with `sales`. Frameworks are on one level: there is no slash in their ids.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

Amounts = Counter[str]
"""Thousandths by name, as everywhere in resource arithmetic."""


class FairShares:
    """Allocations by client, and their dominant shares of a total."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = dict(weights or {})
        self._allocated: defaultdict[str, Amounts] = defaultdict(Counter)

    def add(self, client: str, amounts: Amounts) -> None:
        """Count amounts to a client and to each one above it."""
        for node in _with_ancestors(client):
            self._allocated[node].update(amounts)

    def subtract(self, client: str, amounts: Amounts) -> None:
        """Take amounts off a client and off each one above it."""
        for node in _with_ancestors(client):
            self._allocated[node] -= amounts  # what is above zero stays
            if not self._allocated[node]:
                del self._allocated[node]

    def amounts(self, client: str) -> Amounts:
        """What a client has, with everything below it."""
        return self._allocated.get(client, Counter())

    def share(self, client: str, total: Mapping[str, int]) -> float:
        """The weighted dominant share of a client with everything below it."""
        mine = self.amounts(client)
        parts = (mine[name] / whole for name, whole in total.items() if whole and name in mine)
        return max(parts, default=0.0) / self.weights.get(client, 1.0)

    def in_order(self, clients: Iterable[str], total: Mapping[str, int]) -> list[str]:
        """The clients, the one whose branch is furthest below its fair share first; by name where it is equal."""
        clients = list(clients)
        if len(clients) == 1:
            return clients
        keys = {
            client: tuple((self.share(node, total), node) for node in reversed(_with_ancestors(client)))
            for client in clients
        }
        return sorted(clients, key=keys.__getitem__)


def _with_ancestors(role: str) -> list[str]:
    """`a/b/c` → `a/b/c`, `a/b`, `a`."""
    nodes = [role]
    while "/" in role:
        role = role.rpartition("/")[0]
        nodes.append(role)
    return nodes
