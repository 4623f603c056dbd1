"""The status update manager: each task's updates in order, one in flight, sent again until acknowledged.

A first resend comes after 10 s, then the wait doubles up to 10 minutes (Mesos's STATUS_UPDATE_RETRY_INTERVAL constants). While
the agent has no master the streams are paused; on `resume` each one's head goes out at once. Operations' updates go the same way.

How it works: a stream is a deque, its head is in flight; the acknowledgement of a terminal update ends it. Deadlines sit in one
heap for all streams and are dropped lazily, so that ten thousand streams cost one timer.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from playa.agent.messages import ResendDue
from playa.settings import AgentSettings

Key = tuple[str, str]


class PendingUpdate(NamedTuple):
    """One status update on its way: the serialized `TaskStatus`, and what must be known of it without parsing it."""

    framework_id: str
    task_id: str
    uuid: bytes
    status: bytes
    terminal: bool


class _Stream:
    __slots__ = ("deadline", "interval", "pending", "seen")

    def __init__(self, interval: float) -> None:
        self.pending: deque[PendingUpdate] = deque()
        self.seen: set[bytes] = set()
        self.interval = interval
        self.deadline = 0.0


class UpdateStreams:
    """The streams of an agent's tasks, or of its operations. After the message `due` the agent calls the method of that name."""

    def __init__(
        self,
        settings: AgentSettings,
        now: Callable[[], float],
        after: Callable[[float, ResendDue], Any],
        send: Callable[[PendingUpdate], None],
        due: ResendDue,
    ) -> None:
        self._first = settings.status_update_retry_interval_min
        self._longest = settings.status_update_retry_interval_max
        self._now = now
        self._after = after
        self._send = send
        self._due = due
        self._streams: dict[Key, _Stream] = {}
        self._deadlines: list[tuple[float, Key, bytes]] = []
        self._timer_at: float | None = None
        self._paused = True

    def add(self, update: PendingUpdate) -> None:
        """Take an update in; it is sent now, or when the one before it is acknowledged.

        A uuid that the stream knows already is an executor's retry: nothing is added.
        """
        key = (update.framework_id, update.task_id)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(self._first)
        elif update.uuid in stream.seen:
            return
        stream.seen.add(update.uuid)
        stream.pending.append(update)
        if len(stream.pending) == 1:
            self._send_heads([key])

    def acknowledge(self, framework_id: str, task_id: str, uuid: bytes) -> PendingUpdate | None:
        """Go on to the next update of a task; gives back the one that was in flight, None when `uuid` is of another."""
        key = (framework_id, task_id)
        stream = self._streams.get(key)
        if stream is None or not stream.pending or stream.pending[0].uuid != uuid:
            return None
        done = stream.pending.popleft()
        stream.interval = self._first  # each update is waited for from the shortest pause on
        if done.terminal:
            del self._streams[key]
        elif stream.pending:
            self._send_heads([key])
        return done

    def due(self) -> None:
        """The timer rang: what has waited long enough is sent again, and then waited for twice as long."""
        self._timer_at = None
        now, waited = self._now(), []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, key, uuid = heapq.heappop(self._deadlines)
            stream = self._live(deadline, key, uuid)
            if stream is not None:
                stream.interval = min(stream.interval * 2, self._longest)
                waited.append(key)
        self._send_heads(waited)

    def pause(self) -> None:
        """No master: nothing is sent until `resume`."""
        self._paused = True
        self._deadlines.clear()

    def resume(self) -> None:
        """There is a master (again): the head of each stream is sent."""
        self._paused = False
        self._deadlines.clear()
        for stream in self._streams.values():
            stream.interval = self._first
        self._send_heads([key for key, stream in self._streams.items() if stream.pending])

    def restore(
        self, framework_id: str, task_id: str, acknowledged: Iterable[bytes], pending: list[PendingUpdate]
    ) -> None:
        """Take a stream up again after the agent was killed; nothing is sent before `resume`."""
        if pending:
            stream = self._streams[framework_id, task_id] = _Stream(self._first)
            stream.seen.update(acknowledged, (update.uuid for update in pending))
            stream.pending.extend(pending)

    def head(self, framework_id: str, task_id: str) -> PendingUpdate | None:
        """The update in flight of a task, None when there is none."""
        stream = self._streams.get((framework_id, task_id))
        return stream.pending[0] if stream is not None and stream.pending else None

    def drop(self, framework_id: str) -> None:
        """Forget a framework's streams: nobody is left to acknowledge them."""
        for key in [key for key in self._streams if key[0] == framework_id]:
            del self._streams[key]

    def _send_heads(self, keys: Iterable[Key]) -> None:
        """Send the oldest update of these streams, and set the timer for the first that may have to be sent again."""
        if self._paused:
            return
        for key in keys:
            stream = self._streams[key]
            stream.deadline = self._now() + stream.interval
            heapq.heappush(self._deadlines, (stream.deadline, key, stream.pending[0].uuid))
            self._send(stream.pending[0])
        while self._deadlines and self._live(*self._deadlines[0]) is None:
            heapq.heappop(self._deadlines)
        if self._deadlines and (self._timer_at is None or self._deadlines[0][0] < self._timer_at):
            self._timer_at = self._deadlines[0][0]
            self._after(max(self._timer_at - self._now(), 0.0), self._due)

    def _live(self, deadline: float, key: Key, uuid: bytes) -> _Stream | None:
        """The stream that waits for just this deadline."""
        stream = self._streams.get(key)
        if stream is None or not stream.pending or stream.deadline != deadline:
            return None
        return stream if stream.pending[0].uuid == uuid else None
