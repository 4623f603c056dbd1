"""The status update manager: each task's updates in order, one in flight, sent again until acknowledged.

A first resend comes after 10 s, then the wait doubles up to 10 minutes (Mesos's STATUS_UPDATE_RETRY_INTERVAL constants). While
the agent has no master the streams are paused; on `resume` each one's head goes out at once. Operations' updates go the same way.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.runtime import Timer
from playa.agent.messages import ResendDue
from playa.settings import AgentSettings


class PendingUpdate(NamedTuple):
    """One status update on its way: the serialized `TaskStatus`, and what must be known of it without parsing it."""

    framework_id: str
    task_id: str
    uuid: bytes
    status: bytes
    terminal: bool


@dataclass(slots=True, eq=False)
class _Stream:
    interval: float
    pending: deque[PendingUpdate] = field(default_factory=deque)
    seen: set[bytes] = field(default_factory=set)
    timer: Timer | None = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class UpdateStreams:
    """The streams of an agent's tasks, or of its operations; the agent passes a `ResendDue` on to `due`."""

    def __init__(
        self,
        settings: AgentSettings,
        after: Callable[[float, ResendDue], Timer],
        send: Callable[[PendingUpdate], None],
        *,
        of_operations: bool,
    ) -> None:
        self._first = settings.status_update_retry_interval_min
        self._longest = settings.status_update_retry_interval_max
        self._after = after
        self._send = send
        self._of_operations = of_operations
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._paused = True

    def add(self, update: PendingUpdate, acknowledged: Iterable[bytes] = ()) -> None:
        """Take an update in; it is sent now, or when the one before it is acknowledged, or a master is there.

        A uuid that the stream knows already is an executor's retry: nothing is added. `acknowledged` are those before a restart.
        """
        key = (update.framework_id, update.task_id)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(self._first)
        elif update.uuid in stream.seen:
            return
        stream.seen.update(acknowledged, (update.uuid,))
        stream.pending.append(update)
        if len(stream.pending) == 1:
            self._send_head(stream)

    def acknowledge(self, framework_id: str, task_id: str, uuid: bytes) -> PendingUpdate | None:
        """Go on to the next update of a task; gives back the one that was in flight, None when `uuid` is of another."""
        stream = self._streams.get((framework_id, task_id))
        if stream is None or not stream.pending or stream.pending[0].uuid != uuid:
            return None
        done = stream.pending.popleft()
        stream.stop_timer()
        stream.interval = self._first  # each update is waited for from the shortest pause on
        if done.terminal:
            del self._streams[framework_id, task_id]
        else:
            self._send_head(stream)
        return done

    def due(self, message: ResendDue) -> None:
        """An update has waited long enough: it is sent again, and then waited for twice as long."""
        stream = self._streams.get((message.framework_id, message.task_id))
        if stream is not None and stream.pending and stream.pending[0].uuid == message.uuid:
            stream.interval = min(stream.interval * 2, self._longest)
            self._send_head(stream)

    def pause(self) -> None:
        """No master: nothing is sent until `resume`."""
        self._paused = True
        for stream in self._streams.values():
            stream.stop_timer()

    def resume(self) -> None:
        """There is a master (again): the head of each stream is sent."""
        self._paused = False
        for stream in self._streams.values():
            stream.interval = self._first
            self._send_head(stream)

    def head(self, framework_id: str, task_id: str) -> PendingUpdate | None:
        """The update in flight of a task, None when there is none."""
        stream = self._streams.get((framework_id, task_id))
        return stream.pending[0] if stream is not None and stream.pending else None

    def drop(self, framework_id: str) -> None:
        """Forget a framework's streams: nobody is left to acknowledge them."""
        for key in [key for key in self._streams if key[0] == framework_id]:
            self._streams.pop(key).stop_timer()

    def _send_head(self, stream: _Stream) -> None:
        if stream.pending and not self._paused:
            head = stream.pending[0]
            due = ResendDue(self._of_operations, head.framework_id, head.task_id, head.uuid)
            stream.timer = self._after(stream.interval, due)
            self._send(head)
