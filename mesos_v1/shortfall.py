"""Why resources do not suffice: one resource, with numbers."""

from dataclasses import dataclass

from mesos_v1.resource import print_millis, to_millis


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One resource of which there is not enough.

    Attributes:
        wanted: How much is wanted; for ports and sets, how many.
        available: How much of it could be taken.
        detail: What exactly is wanted and there, for ranges and sets.
    """

    resource: str
    wanted: float
    available: float
    detail: str = ""

    def __str__(self) -> str:
        wanted, available = print_millis(to_millis(self.wanted)), print_millis(to_millis(self.available))
        return f"{self.resource}: wanted {wanted}, available {available}" + (
            f" ({self.detail})" if self.detail else ""
        )
