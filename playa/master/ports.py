"""What the master's logic needs of the world (`state.Ports`), by way of the actor that runs it; and faults of what is sent."""

from actors.runtime import Actor, message
from mesos_v1 import pb
from playa.master.scheduler_api.streams import Streams

SAVE_SECONDS = 0.1


@message
class SaveDue:
    """The registry has changed: write it. Changes that come together are written together."""


@message
class DelayedEvent:
    """An event that a fault held back."""

    stream_id: str
    event: bytes


class ActorPorts:
    """The world as an actor reaches it; see `state.Ports` for what each does.

    Attributes:
        save_is_due: Whether the registry has changed since it was written.
    """

    def __init__(self, actor: Actor, streams: Streams) -> None:
        self._actor = actor
        self._streams = streams
        self.save_is_due = False

    def now(self) -> float:
        """Unix time."""
        return self._actor.clock.time()

    def uuid_bytes(self) -> bytes:
        """16 random bytes."""
        return self._actor.ids.uuid_bytes()

    def later(self, seconds: float, message: object) -> None:
        """Tell the master itself later."""
        self._actor.timers.after(seconds, message)

    def to_agent(self, actor: str, message: object) -> None:
        """Tell an agent by its name."""
        self._actor.tell(actor, message)

    def to_stream(self, stream_id: str, event: pb.scheduler.Event) -> None:
        """Send an event to a scheduler; a fault may lose, double or delay an UPDATE."""
        if event.type == pb.scheduler.Event.UPDATE:
            if self._streams.count_down("drop_updates"):
                return
            delay = self._streams.plan.delay_updates
            if delay > 0:
                self._actor.timers.after(delay, DelayedEvent(stream_id, event.SerializeToString()))
                return
            if self._streams.count_down("duplicate_updates"):
                self._streams.send(stream_id, event)
        self._streams.send(stream_id, event)

    def close_stream(self, stream_id: str) -> None:
        """End a scheduler's stream."""
        self._streams.close(stream_id)

    def to_operators(self, event: pb.master.Event) -> None:
        """Send an event to all operators."""
        self._streams.send_to_operators(event)

    def has_operators(self) -> bool:
        """Whether there are any."""
        return self._streams.operator_count > 0

    def save(self) -> None:
        """Have the registry written soon."""
        if not self.save_is_due:
            self.save_is_due = True
            self._actor.timers.after(SAVE_SECONDS, SaveDue())
