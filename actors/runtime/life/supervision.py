"""Supervision policies: what happens to an actor whose handler failed. Values only; `life.life` carries them out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause before the n-th restart in a row: `base * factor ** (n - 1)` seconds, at most `cap`."""

    base: float = 0.1
    factor: float = 2.0
    cap: float = 30.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait before restart number `attempt` (from 1)."""
        if self.base <= 0 or attempt < 1:
            return 0.0
        try:
            return float(min(self.cap, self.base * self.factor ** (attempt - 1)))
        except OverflowError:
            return self.cap


@dataclass(frozen=True, slots=True)
class Supervision:
    """What to do when an actor fails.

    Attributes:
        restart: a new instance from the same arguments takes over name, refs and mailbox. Otherwise the actor stops.
        max_restarts: so many restarts within `window` are fine; one more failure is final.
        window: seconds.
        backoff: the pause before each restart; counted from zero again once `window` has passed without a failure.
        escalate: whether a final failure also fails a parent that has no handler for `ChildFailed`. By default, it
            does when `restart` is set: who asked for restarts cannot do without the actor.
    """

    restart: bool
    max_restarts: int = 5
    window: float = 60.0
    backoff: Backoff = Backoff()
    escalate: bool | None = None

    @property
    def escalates(self) -> bool:
        """Whether a final failure goes on to the parent."""
        return self.restart if self.escalate is None else self.escalate


STOP = Supervision(restart=False)
"""As in pykka: the actor stops, what is in its mailbox is answered with `ActorDeadError`."""

RESTART = Supervision(restart=True)
"""Up to five restarts a minute with backoff; then the failure goes to the parent."""
