"""For which roles the framework wants offers: when to SUPPRESS, when to REVIVE. Pure; time is an argument.

REVIVE does two things in Mesos: it undoes SUPPRESS, and it clears the refusals of earlier declines and accepts. So it is
needed when a role that was suppressed is wanted again, and when a demand of a new shape comes while resources that
others refused are still staying away.
"""

from __future__ import annotations

from collections.abc import Iterable


class Interest:
    """What the master has been told about each role."""

    def __init__(self, roles: Iterable[str]) -> None:
        self.roles = tuple(roles)
        self._suppressed: set[str] = set()
        self._refused: set[str] = set()
        self._revived_at = float("-inf")

    @property
    def suppressed(self) -> tuple[str, ...]:
        """The roles that get no offers now."""
        return tuple(role for role in self.roles if role in self._suppressed)

    def subscribed(self) -> None:
        """A new subscription knows of no suppression and no refusal."""
        self._suppressed.clear()
        self._refused.clear()

    def refused(self, role: str) -> None:
        """Resources of this role were refused for a while."""
        self._refused.add(role)

    def wanted(self, role: str, *, new_shape: bool) -> bool:
        """A demand has come: return whether the master must be told."""
        return role in self._suppressed or (new_shape and role in self._refused)

    def idle(self, waiting: frozenset[str]) -> bool:
        """Return whether there is a role to suppress."""
        return any(role not in waiting and role not in self._suppressed for role in self.roles)

    def suppress(self, waiting: frozenset[str]) -> tuple[str, ...]:
        """Return the roles to suppress now, which then are."""
        idle = tuple(role for role in self.roles if role not in waiting and role not in self._suppressed)
        self._suppressed.update(idle)
        return idle

    def revive_in(self, now: float, interval: float) -> float:
        """Return the seconds until REVIVE may be sent again."""
        return self._revived_at + interval - now

    def revive(self, waiting: frozenset[str], now: float) -> tuple[str, ...]:
        """Return the roles to revive now, which then are."""
        roles = tuple(
            role
            for role in self.roles
            if role in waiting and (role in self._suppressed or role in self._refused)
        )
        if roles:
            self._suppressed.difference_update(roles)
            self._refused.difference_update(roles)
            self._revived_at = now
        return roles
