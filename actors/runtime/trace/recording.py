"""What the dispatcher notes in a trace: turns deliveries, replies, failures and lives into records of a `TraceWriter`."""

from __future__ import annotations

from typing import Any, Protocol

from actors.runtime.clock import Clock
from actors.runtime.codec.envelope import payload_of, trace_type
from actors.runtime.control import Control

__all__ = ["TraceSink", "Tracing"]


class TraceSink(Protocol):
    """Where records go: a `TraceWriter`, or a list's wrapper in a test."""

    payloads: bool

    def write(  # noqa: PLR0917 - called for every message: by position is faster
        self,
        time: float,
        kind: str,
        sender: str,
        receiver: str,
        type_: str,
        id_: int | str,
        cause: int | str,
        payload: bytes | None,
    ) -> None:
        """Note one record."""

    def flush(self) -> None:
        """Bring what was noted to where it is safe."""

    def close(self) -> None:
        """Flush; nothing more will be noted."""


class Traced(Protocol):
    """What a record tells of an actor."""

    @property
    def _name(self) -> str: ...

    @property
    def _parent(self) -> Traced | None: ...

    @property
    def actor_class(self) -> type: ...


Envelope = tuple[Any, Traced | None, Any, int | None, int | str | None, str]
"""As in `ref.py`, as far as the trace cares."""


class Tracing:
    """Makes the records of one system. Control messages are not traced: `started` and `stopped` say it better."""

    __slots__ = ("_next_id", "_payloads", "_time", "_write")

    def __init__(self, sink: TraceSink, clock: Clock, next_id: Any) -> None:
        self._write = sink.write
        self._payloads = sink.payloads
        self._time = clock.time
        self._next_id = next_id

    def delivery(self, ref: Traced, envelope: Envelope) -> None:
        """A message is about to be handled."""
        message, sender, _, id_, cause, kind = envelope
        self._write(
            self._time(),
            kind,
            "" if sender is None else sender._name,
            ref._name,
            trace_type(message),
            id_ or "",
            cause or "",
            payload_of(message) if self._payloads else None,
        )

    def reply(self, ref: Traced, envelope: Envelope, value: Any) -> None:
        """An ask was answered."""
        asker = envelope[1]
        self._write(
            self._time(),
            "reply",
            ref._name,
            "" if asker is None else asker._name,
            trace_type(value),
            self._next_id(),
            envelope[3] or "",
            payload_of(value) if self._payloads else None,
        )

    def dead_letter(self, receiver: Traced | str, envelope: Envelope, reason: str) -> None:
        """A message was not handled."""
        message, sender, _, id_, cause, _ = envelope
        if isinstance(message, Control):
            return
        self._write(
            self._time(),
            "dead_letter",
            "" if sender is None else sender._name,
            receiver if isinstance(receiver, str) else receiver._name,
            trace_type(message),
            id_ or "",
            cause or "",
            payload_of(message) if self._payloads else None,
        )

    def started(self, ref: Traced, envelope: Envelope) -> None:
        """An actor, or another instance after a restart, started. What it sends in `on_start` has this as its cause."""
        self._life(ref, "started", envelope[3] or self._next_id(), envelope[4] or "")

    def ended(self, ref: Traced, cause: Envelope | None) -> None:
        """An actor stopped, because of the message `cause` if that is known."""
        self._life(ref, "stopped", self._next_id(), "" if cause is None else cause[3] or "")

    def _life(self, ref: Traced, kind: str, id_: int | str, cause: int | str) -> None:
        parent = "" if ref._parent is None else ref._parent._name
        name = f"{ref.actor_class.__module__}:{ref.actor_class.__qualname__}"
        self._write(self._time(), kind, parent, ref._name, name, id_, cause, None)

    def failed(self, ref: Traced, envelope: Envelope | None, error: BaseException) -> None:
        """An actor failed; the type is the error's, the payload its text."""
        cause = "" if envelope is None else envelope[3] or ""
        self._write(
            self._time(),
            "failed",
            "",
            ref._name,
            type(error).__qualname__,
            self._next_id(),
            cause,
            payload_of(error) if self._payloads else None,
        )
