"""For which roles the framework wants offers: when to SUPPRESS, when to REVIVE. Pure; time is an argument.

REVIVE undoes SUPPRESS, and clears the refusals of earlier declines and accepts: it is needed when a role that was suppressed is
wanted again, and when a demand of a new shape comes while resources that others refused still stay away. A SUPPRESS or REVIVE
that came to nothing leaves its roles in doubt: for them both are sent again, whichever is due.
"""

from collections.abc import Iterable


class Interest:
    """What the master has been told about each role."""

    def __init__(self, roles: Iterable[str]) -> None:
        self.roles = tuple(roles)
        self._suppressed: set[str] = set()
        self._refused: set[str] = set()
        self._doubtful: set[str] = set()
        self._revived_at = float("-inf")

    @property
    def suppressed(self) -> tuple[str, ...]:
        """The roles that get no offers now."""
        return tuple(role for role in self.roles if role in self._suppressed)

    def subscribed(self, suppressed: Iterable[str] = ()) -> None:
        """A new subscription knows of no refusal, and of the suppression that it began with."""
        self._suppressed = set(suppressed)
        self._refused.clear()
        self._doubtful.clear()

    def refused(self, role: str) -> None:
        """Resources of this role were refused for a while."""
        self._refused.add(role)

    def not_taken(self, roles: Iterable[str]) -> None:
        """The master was told of these roles, and may not have taken it in."""
        self._doubtful.update(roles)

    def wanted(self, role: str, *, new_shape: bool) -> bool:
        """A demand has come: return whether the master must be told."""
        return role in self._suppressed or role in self._doubtful or (new_shape and role in self._refused)

    def idle(self, waiting: frozenset[str]) -> bool:
        """Return whether there is a role to suppress."""
        return any(self._is_idle(role, waiting) for role in self.roles)

    def suppress(self, waiting: frozenset[str]) -> tuple[str, ...]:
        """Return the roles to suppress now, which then are."""
        idle = tuple(role for role in self.roles if self._is_idle(role, waiting))
        self._suppressed.update(idle)
        self._doubtful.difference_update(idle)
        return idle

    def _is_idle(self, role: str, waiting: frozenset[str]) -> bool:
        return role not in waiting and (role not in self._suppressed or role in self._doubtful)

    def revive_in(self, now: float, interval: float) -> float:
        """Return the seconds until REVIVE may be sent again."""
        return self._revived_at + interval - now

    def revive(self, waiting: frozenset[str], now: float) -> tuple[str, ...]:
        """Return the roles to revive now, which then are."""
        roles = tuple(
            role
            for role in self.roles
            if role in waiting
            and (role in self._suppressed or role in self._refused or role in self._doubtful)
        )
        if roles:
            self._suppressed.difference_update(roles)
            self._refused.difference_update(roles)
            self._doubtful.difference_update(roles)
            self._revived_at = now
        return roles
