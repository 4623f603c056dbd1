"""Framework messages with a guarantee, on top of Mesos's, which may be lost: numbered, acknowledged, repeated, in order.

A pair is the scheduler's framework and one instance of an executor (one process). Each side numbers what it says, upwards; a message
names the one that has to be handed on before it. The other side hands each on once, in that order, and says how far its author has got:
that is the acknowledgement. Which instance there is, the scheduler has to ask before it addresses its first message. Nothing is
sent twice to two instances: what one of them has not acknowledged when it is gone, its sender is told.

These travel as Mesos's framework messages, packed as any other. A peer of a version that does not know them cannot read them:
an executor says so in its log and never answers, so that the scheduler's author is told; a scheduler of such a version does not
set `ExecutorBoot.reliable`, and the executor's `send` raises.
"""

from collections.abc import Iterator
from itertools import islice

from actors.runtime import Backoff, carrier, check_size, message, redacted

MAX_BYTES = 1024 * 1024
"""Most bytes of one message: it is kept, by the scheduler in its store, until it is acknowledged."""

MAX_WAITING = 1000
"""Most messages that wait for their acknowledgement, of each pair and direction."""

WINDOW = 32
"""So many messages of a pair are on their way at once; so many that came too early are kept."""

REPEATS = Backoff(1.0, 2.0, 10.0)
"""Seconds without an acknowledgement after which is repeated what may be lost."""


@message(name="mesostic:Numbered")
class Numbered:
    """A message, packed in `data`; `previous` has to be handed on before it (0: none that still can come)."""

    instance: str  # of the executor that says it, or that it is for
    number: int
    previous: int
    data: bytes = carrier(redacted)


@message(name="mesostic:Taken")
class Taken:
    """Everything up to this number was handed to the author, but for what could not be read: number and reason."""

    instance: str  # of the executor that says it, or that it is for
    number: int
    refused: tuple[tuple[int, str], ...] = ()


@message(name="mesostic:WhoIsThere")
class WhoIsThere:
    """The scheduler asks an executor for its instance; answered with `Taken`."""


Said = Numbered | Taken | WhoIsThere
"""What the two sides say to each other so that messages arrive."""


def check_message(data: bytes) -> None:
    """ValueError if a packed message is too large to be sent reliably."""
    check_size("a reliable message", data, MAX_BYTES)


class Outgoing:
    """What one side has said to the other, until it is acknowledged: oldest first."""

    def __init__(self) -> None:
        self.waiting: dict[int, bytes] = {}
        self.repeats = 0  # since something was acknowledged
        self._sent = 0

    def __bool__(self) -> bool:
        return bool(self.waiting)

    def add(self, number: int, data: bytes) -> None:
        """Take in a message with a number above all before it."""
        self.waiting[number] = data

    def unsent(self, instance: str) -> list[Numbered]:
        """Return what may be sent now and has not been."""
        return [each for each in self._window(instance) if self._mark(each.number)]

    def again(self, instance: str) -> list[Numbered]:
        """Return what is to be sent after a time without acknowledgement; to one who goes on saying nothing, the oldest only."""
        self.repeats += bool(self.waiting)
        window = [*self._window(instance, WINDOW if self.repeats == 1 else 1)]
        for each in window:
            self._mark(each.number)
        return window

    @property
    def wait(self) -> float:
        """Seconds until `again`."""
        return REPEATS.delay(self.repeats + 1)

    def taken(self, number: int) -> list[int]:
        """Forget what is acknowledged; returns its numbers."""
        gone = [each for each in self.waiting if each <= number]
        for each in gone:
            del self.waiting[each]
        if gone:
            self.repeats = 0
        return gone

    def _window(self, instance: str, size: int = WINDOW) -> Iterator[Numbered]:
        previous = 0
        for number, data in islice(self.waiting.items(), size):
            yield Numbered(instance, number, previous, data)
            previous = number

    def _mark(self, number: int) -> bool:
        new = number > self._sent
        self._sent = max(self._sent, number)
        return new


class Incoming:
    """What one side hears of the other: handed on once and in order. `taken`: up to this number the author has had all."""

    def __init__(self, instance: str, taken: int = 0) -> None:
        self.instance = instance
        self.taken = self._handed = taken
        self._early: dict[int, Numbered] = {}
        self._refused: dict[int, str] = {}

    def arrived(self, message: Numbered) -> list[Numbered]:
        """Take in one message, perhaps again; returns what can be handed on now."""
        self._early[message.number] = message
        ready = []
        for number in sorted(self._early):
            if number > self._handed:
                if self._early[number].previous > self._handed:
                    continue
                ready.append(self._early[number])
                self._handed = number
            del self._early[number]
        if len(self._early) > WINDOW:
            del self._early[max(self._early)]  # it is repeated when there is room
        return ready

    def told(self, number: int, refusal: str = "") -> None:
        """Note that the author has had it, and all before; or that it cannot be read, and why."""
        self.taken = max(self.taken, number)
        self._handed = max(self._handed, number)
        if refusal:
            self._refused[number] = refusal[:200]
            while len(self._refused) > WINDOW:
                del self._refused[next(iter(self._refused))]

    def answer(self) -> Taken:
        """Return the acknowledgement; what was refused is in it as long as the other side may not know."""
        return Taken(self.instance, self.taken, tuple(self._refused.items()))
