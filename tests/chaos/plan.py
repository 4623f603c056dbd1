"""What goes wrong in a chaos run, and when: decided by the seed and the store alone.

A plan has every kind of fault that there is for that store, and is the same for a seed on every machine; what the faults then meet is
not. `target` numbers the victim among those that there are at that moment; `seconds` is how long it lasts.
"""

import random
from dataclasses import dataclass

SQLITE = "sqlite"
SERVERS = ("etcd", "zookeeper")
STORES = (SQLITE, *SERVERS)


@dataclass(frozen=True, slots=True)
class Fault:
    at: float  # seconds after the first task has run
    kind: str
    target: int
    seconds: float
    amount: int = 0

    def __str__(self) -> str:
        amount = f" x{self.amount}" if self.amount else ""
        return f"{self.at:6.2f} s: {self.kind} {self.target}{amount}, for {self.seconds:.1f} s"


# kind: how often in a run of half a minute, and for how long at least and at most
_EACH: dict[str, tuple[int, float, float]] = {
    "kill scheduler": (4, 0.0, 1.5),
    "stop scheduler": (2, 0.5, 4.0),
    "kill executor": (2, 0.0, 0.0),
    "stop executor": (2, 0.5, 3.0),
    "kill agent": (2, 0.0, 2.0),
    "silence agent": (1, 1.0, 3.0),
    "kill master": (2, 0.0, 2.0),
    "freeze master": (1, 1.0, 3.0),
    "kill cluster": (1, 0.0, 1.0),
    "stop cluster": (1, 0.5, 3.0),
    "drop updates": (1, 1.0, 1.0),
    "duplicate updates": (1, 1.0, 1.0),
    "delay updates": (2, 1.0, 3.0),
    "lose accepts": (1, 1.0, 1.0),
    "rescind offers": (1, 0.0, 0.0),
    "cut streams": (2, 0.0, 0.0),
}
_OF_STORE: dict[str, dict[str, tuple[int, float, float]]] = {
    SQLITE: {"lock store": (2, 0.5, 7.0)},
    **{server: {"kill store": (2, 0.2, 3.0), "stop store": (2, 0.5, 4.0)} for server in SERVERS},
}
HALF_A_MINUTE = 30.0


def plan_of(seed: int, store: str, seconds: float = HALF_A_MINUTE) -> tuple[Fault, ...]:
    """Return the faults in order of time; a longer run has more of each, a shorter one a part of them."""
    dice = random.Random(f"{store} {seed}")
    deck = [
        (kind, least, most)
        for kind, (times, least, most) in (_EACH | _OF_STORE[store]).items()
        for _ in range(times)
    ]
    rounds = seconds / HALF_A_MINUTE
    cards: list[tuple[str, float, float]] = []
    while len(cards) < len(deck) * rounds:
        dice.shuffle(deck)
        cards += deck
    count = round(len(deck) * rounds)
    times = sorted(dice.uniform(0, seconds) for _ in range(count))
    return tuple(
        Fault(
            round(at, 2),
            kind,
            dice.randrange(1000),
            round(dice.uniform(least, most), 2),
            dice.randint(1, 20) if kind in {"drop updates", "duplicate updates", "lose accepts"} else 0,
        )
        for at, (kind, least, most) in zip(times, cards, strict=False)
    )
