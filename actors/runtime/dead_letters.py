"""Dead letters: messages that no actor handled. Logged, counted, kept (the last ones) and traced; never silently dropped."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from actors.runtime.codec.secrets import masked

__all__ = ["DeadLetter", "DeadLetters"]

logger = logging.getLogger("actors")

KEPT = 100
LOGGED_ONE_BY_ONE = 100
LOGGED_EVERY = 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was not handled.

    Attributes:
        message: what it was.
        sender: name of the actor that sent it; empty if none did.
        receiver: name of the actor it was for.
        reason: why it was not handled.
    """

    message: Any
    sender: str
    receiver: str
    reason: str


class Named(Protocol):
    """Sender or receiver of a letter."""

    @property
    def name(self) -> str:
        """What it is called."""


class DeadLetters:
    """The dead letters of a system.

    Attributes:
        count: how many there were.
        last: the last hundred.
        trace: where each is noted too, if a trace is written.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last: deque[DeadLetter] = deque(maxlen=KEPT)
        self.trace: Callable[[Any, Any, str], None] | None = None

    def __len__(self) -> int:
        return self.count

    def add(
        self, receiver: Named | str, envelope: tuple[Any, Named | None, Any, Any, Any, str], reason: str
    ) -> None:
        """Note a message that was not handled. A flood is logged in thousands, so that it does not drown the log."""
        sender = envelope[1]
        name = receiver if isinstance(receiver, str) else receiver.name
        letter = DeadLetter(envelope[0], "" if sender is None else sender.name, name, reason)
        self.count += 1
        self.last.append(letter)
        if self.trace is not None:
            self.trace(receiver, envelope, reason)
        if self.count <= LOGGED_ONE_BY_ONE or self.count % LOGGED_EVERY == 0:
            logger.warning(
                "dead letter %d: %s from %s to %s: %s",
                self.count,
                _short(letter.message),
                letter.sender or "outside",
                letter.receiver,
                reason,
            )


def _short(message: Any) -> str:
    text = masked(repr(message))
    return text if len(text) <= 200 else f"{text[:200]}…"
