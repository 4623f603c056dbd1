"""The event streams of the master's subscribers, and where faults take hold of what is sent on them."""

from dataclasses import replace

from mesos_v1 import content, pb
from mesos_v1.content import ContentType
from playa.faults import FaultPlan, Shape
from playa.web import RecordStream


class Streams:
    """All subscriptions by stream id: schedulers' and operators'."""

    def __init__(self, max_backlog: int, max_operators: int) -> None:
        self._max_backlog = max_backlog
        self._max_operators = max_operators
        self._schedulers: dict[str, RecordStream] = {}
        self._operators: dict[str, RecordStream] = {}
        self.plan = FaultPlan()

    def open_scheduler(self, stream_id: str, content_type: ContentType) -> None:
        """A scheduler subscribes."""
        self._schedulers[stream_id] = self._new(content_type)

    def open_operator(self, stream_id: str, content_type: ContentType) -> None:
        """An operator subscribes; the one that did so first goes when there are too many."""
        self._operators[stream_id] = self._new(content_type)
        while len(self._operators) > self._max_operators:
            self._operators.pop(next(iter(self._operators))).finish()

    def _new(self, content_type: ContentType) -> RecordStream:
        stream = RecordStream(content_type, max_backlog=self._max_backlog)
        stream.reshape(self._shape())
        return stream

    def _shape(self) -> Shape:
        return Shape.HELD if self.plan.half_open else self.plan.shape

    def get(self, stream_id: str) -> RecordStream | None:
        """A stream that is open or about to be closed."""
        return self._schedulers.get(stream_id) or self._operators.get(stream_id)

    def forget(self, stream_id: str) -> bool:
        """A stream's connection is gone; returns whether it was a scheduler's."""
        self._operators.pop(stream_id, None)
        return self._schedulers.pop(stream_id, None) is not None

    def operator_count(self) -> int:
        """How many follow the operator API."""
        return len(self._operators)

    def close(self, stream_id: str) -> None:
        """End a stream after what was sent on it."""
        stream = self.get(stream_id)
        if stream is not None:
            stream.finish()

    def close_all(self, *, abort: bool) -> int:
        """End all streams; returns their number."""
        streams = (*self._schedulers.values(), *self._operators.values())
        for stream in streams:
            (stream.abort if abort else stream.finish)()
        return len(streams)

    def send(self, stream_id: str, event: pb.scheduler.Event) -> None:
        """Send an event to a scheduler."""
        stream = self._schedulers.get(stream_id)
        if stream is not None and not (self.plan.silent and event.type == pb.scheduler.Event.HEARTBEAT):
            stream.send_message(event)

    def send_to_operators(self, event: pb.master.Event) -> None:
        """Send an event to all operators, serialized once for each content type."""
        written: dict[ContentType, bytes] = {}
        for stream in list(self._operators.values()):
            if stream.content_type not in written:
                written[stream.content_type] = content.serialize(event, stream.content_type)
            stream.send(written[stream.content_type])

    # --- faults -----------------------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> int:
        """Send all schedulers bytes that are not a record; returns their number."""
        for stream in list(self._schedulers.values()):
            stream.send_raw(data)
        return len(self._schedulers)

    def set_plan(self, plan: FaultPlan) -> None:
        """Misbehave like this from now on."""
        self.plan = plan
        for stream in (*self._schedulers.values(), *self._operators.values()):
            stream.reshape(self._shape())

    def count_down(self, name: str) -> bool:
        """Whether a counter of the plan (`drop_updates`, …) is above zero; it is one less then."""
        left: int = getattr(self.plan, name)
        if left <= 0:
            return False
        self.plan = replace(self.plan, **{name: left - 1})  # type: ignore[arg-type]
        return True
