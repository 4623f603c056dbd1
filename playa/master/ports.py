"""All that the master's logic reaches of the world: clock, timers, agents, and subscribers' streams with the faults of those."""

from dataclasses import replace

from actors.runtime import Actor, message
from mesos_v1 import content, pb
from mesos_v1.content import ContentType
from playa.faults import FaultPlan
from playa.settings import ClusterSettings
from playa.web import RecordStream, Shape

SAVE_SECONDS = 0.1
TAKE_SECONDS = 10.0


@message
class SaveDue:
    """The registry has changed: write it. Changes that come together are written together."""


@message
class Due:
    """A timer says that it is time for something: a row of the table in `master_actor`, with arguments."""

    what: str
    arguments: tuple[str | float | bytes, ...] = ()


class Ports:
    """The world of one master's actor. Schedulers and operators subscribe to streams, which have ids."""

    def __init__(self, actor: Actor, settings: ClusterSettings, plan: FaultPlan) -> None:
        self._actor = actor
        self._settings = settings
        self._schedulers: dict[str, RecordStream] = {}
        self._operators: dict[str, RecordStream] = {}
        self.plan = plan
        self.save_is_due = False

    def now(self) -> float:
        """Unix time, in seconds."""
        return self._actor.clock.time()

    def uuid_bytes(self) -> bytes:
        """16 random bytes."""
        return self._actor.ids.uuid_bytes()

    def later(self, seconds: float, what: str, *arguments: str | float | bytes) -> None:
        """Have something done after a while; see `Due`."""
        self._actor.timers.after(seconds, Due(what, arguments))

    def to_agent(self, actor: str, message: object) -> None:
        """Send to an agent; may be lost."""
        self._actor.tell(actor, message)

    def save(self) -> None:
        """Have the registry kept soon, as the registrar does: a new master will start with it."""
        if not self.save_is_due:
            self.save_is_due = True
            self._actor.timers.after(SAVE_SECONDS, SaveDue())

    def open_stream(self, content_type: ContentType, *, operator: bool = False) -> str:
        """Take a subscription; of too many operators the one that came first goes."""
        stream_id = self._actor.ids.uuid()
        stream = RecordStream(content_type, max_backlog=self._settings.max_stream_backlog)
        stream.reshape(self._shape())
        (self._operators if operator else self._schedulers)[stream_id] = stream
        while len(self._operators) > self._settings.max_operator_event_stream_subscribers:
            self._operators.pop(next(iter(self._operators))).finish()
        self.later(TAKE_SECONDS, "stream taken", stream_id)
        return stream_id

    def stream(self, stream_id: str) -> RecordStream | None:
        """A stream that is open or about to be closed."""
        return self._schedulers.get(stream_id) or self._operators.get(stream_id)

    def _streams(self) -> list[RecordStream]:
        return [*self._schedulers.values(), *self._operators.values()]

    def forget_stream(self, stream_id: str) -> None:
        """A stream's connection is gone."""
        self._operators.pop(stream_id, None)
        self._schedulers.pop(stream_id, None)

    def close_stream(self, stream_id: str) -> None:
        """End a subscription after what was sent before."""
        stream = self.stream(stream_id)
        if stream is not None:
            stream.finish()

    def close_all(self, *, abort: bool) -> int:
        """End all streams; returns their number."""
        streams = self._streams()
        for stream in streams:
            (stream.abort if abort else stream.finish)()
        return len(streams)

    def operator_count(self) -> int:
        """How many follow the operator API; without any, no events are built."""
        return len(self._operators)

    def to_operators(self, event: pb.master.Event) -> None:
        """Send an event to all who follow the operator API, serialized once for each content type."""
        written: dict[ContentType, bytes] = {}
        for stream in list(self._operators.values()):
            if stream.content_type not in written:
                written[stream.content_type] = content.serialize(event, stream.content_type)
            stream.send(written[stream.content_type])

    def to_stream(self, stream_id: str, event: pb.scheduler.Event) -> None:
        """Send an event to a scheduler's subscription; faults may lose, delay or repeat it."""
        if event.type == pb.scheduler.Event.UPDATE:
            if self.count_down("drop_updates"):
                return
            if self.plan.delay_updates > 0:
                self.later(self.plan.delay_updates, "event", stream_id, event.SerializeToString())
                return
            if self.count_down("duplicate_updates"):
                self.send(stream_id, event)
        self.send(stream_id, event)

    def send(self, stream_id: str, event: pb.scheduler.Event) -> None:
        """Send an event to a scheduler, but for heartbeats that a fault suppresses."""
        stream = self._schedulers.get(stream_id)
        if stream is not None and not (self.plan.silent and event.type == pb.scheduler.Event.HEARTBEAT):
            stream.send_message(event)

    def send_raw(self, data: bytes) -> int:
        """Send all schedulers bytes that are not a record; returns their number."""
        for stream in list(self._schedulers.values()):
            stream.send_raw(data)
        return len(self._schedulers)

    def set_plan(self, plan: FaultPlan) -> FaultPlan:
        """Misbehave like this from now on; returns the plan."""
        self.plan = plan
        for stream in self._streams():
            stream.reshape(self._shape())
        return plan

    def _shape(self) -> Shape:
        return Shape.HELD if self.plan.half_open else self.plan.shape

    def times_of_message(self) -> int:
        """How often a framework message is to be handed on; faults may lose or repeat it."""
        return 0 if self.count_down("drop_messages") else 1 + self.count_down("duplicate_messages")

    def count_down(self, name: str) -> bool:
        """Whether a counter of the plan (`drop_updates`, …) is above zero; it is one less then."""
        left: int = getattr(self.plan, name)
        if left > 0:
            self.plan = replace(self.plan, **{name: left - 1})  # type: ignore[arg-type]
        return left > 0
