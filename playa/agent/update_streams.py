"""The status update manager: each task's updates in order, one in flight, sent again until acknowledged.

`UpdateStreams` is pure: time comes in as an argument, what is to be sent goes out as a value; `Resending` has the timer. A
first resend comes after 10 s, then the wait doubles up to 10 minutes (Mesos's STATUS_UPDATE_RETRY_INTERVAL constants). While
the agent has no master the streams are paused; on `resume` each one's head goes out at once. Operations' updates go the same way.

How it works: a stream is a deque, its head is in flight. Deadlines sit in one heap for all streams and are dropped
lazily, so that ten thousand streams cost one timer.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from actors.runtime.state_machine import Machine
from playa.agent.executors.states import STREAM, StreamEvent, StreamState
from playa.agent.messages import ResendDue

RETRY_FIRST: Final = 10.0
RETRY_LONGEST: Final = 600.0

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """One status update on its way: the serialized `TaskStatus`, and what must be known of it without parsing it."""

    framework_id: str
    task_id: str
    uuid: bytes
    status: bytes
    terminal: bool


class _Stream:
    __slots__ = ("deadline", "interval", "life", "pending", "seen")

    def __init__(self, interval: float) -> None:
        self.life = Machine(STREAM)
        self.pending: deque[PendingUpdate] = deque()
        self.seen: set[bytes] = set()
        self.interval = interval
        self.deadline = 0.0


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What an acknowledgement led to: the update to send next, if any, and whether the stream has ended."""

    following: PendingUpdate | None
    ended: bool


class UpdateStreams:
    """All streams of one agent."""

    def __init__(self, first: float = RETRY_FIRST, longest: float = RETRY_LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._streams: dict[Key, _Stream] = {}
        self._deadlines: list[tuple[float, Key, bytes]] = []
        self.paused = True

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, update: PendingUpdate, now: float) -> PendingUpdate | None:
        """Take an update in; gives it back when it is to be sent now (it may have to wait for the one before it).

        A uuid that the stream knows already is an executor's retry: nothing is added, nothing is to be sent.
        """
        key = (update.framework_id, update.task_id)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(self._first)
        elif update.uuid in stream.seen:
            return None
        stream.seen.add(update.uuid)
        stream.pending.append(update)
        was_idle = stream.life.state is StreamState.IDLE
        stream.life.on(StreamEvent.UPDATE)
        if not was_idle or self.paused:
            return None
        self._arm(key, stream, now)
        return update

    def acknowledge(self, framework_id: str, task_id: str, uuid: bytes, now: float) -> Acknowledged | None:
        """The scheduler has acknowledged `uuid`; None when that is not the update in flight (late or unknown)."""
        key = (framework_id, task_id)
        stream = self._streams.get(key)
        if stream is None or not stream.pending or stream.pending[0].uuid != uuid:
            return None
        done = stream.pending.popleft()
        stream.interval = self._first  # each update is waited for from the shortest pause on
        if done.terminal:
            stream.life.on(StreamEvent.ACKNOWLEDGED_TERMINAL)
            del self._streams[key]
            return Acknowledged(None, ended=True)
        more = bool(stream.pending)
        stream.life.on(StreamEvent.ACKNOWLEDGED_MORE if more else StreamEvent.ACKNOWLEDGED_LAST)
        if not more or self.paused:
            return Acknowledged(None, ended=False)
        self._arm(key, stream, now)
        return Acknowledged(stream.pending[0], ended=False)

    def due(self, now: float) -> list[PendingUpdate]:
        """The updates to be sent again at `now`; each is then waited for twice as long as before."""
        out: list[PendingUpdate] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, key, uuid = heapq.heappop(self._deadlines)
            stream = self._live(deadline, key, uuid)
            if stream is None or self.paused:
                continue
            stream.life.on(StreamEvent.RETRY)
            stream.interval = min(stream.interval * 2, self._longest)
            self._arm(key, stream, now)
            out.append(stream.pending[0])
        return out

    def next_deadline(self) -> float | None:
        """When `due` must be asked again; None while nothing is in flight."""
        while self._deadlines:
            if not self.paused and self._live(*self._deadlines[0]) is not None:
                return self._deadlines[0][0]
            heapq.heappop(self._deadlines)
        return None

    def pause(self) -> None:
        """No master: nothing is sent until `resume`."""
        self.paused = True
        self._deadlines.clear()

    def resume(self, now: float) -> list[PendingUpdate]:
        """There is a master (again): the head of each stream is to be sent."""
        self.paused = False
        self._deadlines.clear()
        out = []
        for key, stream in self._streams.items():
            if stream.pending:
                stream.interval = self._first
                self._arm(key, stream, now)
                out.append(stream.pending[0])
        return out

    def restore(
        self, framework_id: str, task_id: str, acknowledged: Iterable[bytes], pending: Iterable[PendingUpdate]
    ) -> None:
        """Take a stream up again after the agent was killed; nothing is sent before `resume`."""
        waiting = list(pending)
        if not waiting:
            return
        stream = self._streams[framework_id, task_id] = _Stream(self._first)
        stream.seen.update(acknowledged, (update.uuid for update in waiting))
        stream.pending.extend(waiting)
        stream.life.on(StreamEvent.UPDATE)

    def head(self, framework_id: str, task_id: str) -> PendingUpdate | None:
        """The update in flight of a task, None when there is none."""
        stream = self._streams.get((framework_id, task_id))
        return stream.pending[0] if stream is not None and stream.pending else None

    def drop(self, framework_id: str) -> None:
        """Forget a framework's streams: nobody is left to acknowledge them."""
        for key in [key for key in self._streams if key[0] == framework_id]:
            del self._streams[key]

    def _arm(self, key: Key, stream: _Stream, now: float) -> None:
        stream.deadline = now + stream.interval
        heapq.heappush(self._deadlines, (stream.deadline, key, stream.pending[0].uuid))

    def _live(self, deadline: float, key: Key, uuid: bytes) -> _Stream | None:
        stream = self._streams.get(key)
        if stream is None or not stream.pending:
            return None
        return stream if stream.pending[0].uuid == uuid and stream.deadline == deadline else None


class Resending:
    """Sends what streams give out, and again when it is time: the agent then calls `due`."""

    def __init__(
        self,
        streams: UpdateStreams,
        now: Callable[[], float],
        after: Callable[[float, Any], Any],
        send: Callable[[PendingUpdate], None],
        due: ResendDue,
    ) -> None:
        self._streams = streams
        self._now = now
        self._after = after
        self._send = send
        self._due = due
        self._timer_at: float | None = None

    def add(self, update: PendingUpdate) -> None:
        """Send an update, as soon as the one before it is acknowledged."""
        if self._streams.add(update, self._now()) is not None:
            self._send_all([update])

    def acknowledge(self, framework_id: str, task_id: str, uuid: bytes) -> Acknowledged | None:
        """Go on to the next update of a task; None when `uuid` is not that of the one in flight."""
        done = self._streams.acknowledge(framework_id, task_id, uuid, self._now())
        if done is not None and done.following is not None:
            self._send_all([done.following])
        return done

    def due(self) -> None:
        """The timer rang: send what has waited long enough."""
        self._timer_at = None
        self._send_all(self._streams.due(self._now()))

    def resume(self) -> None:
        """There is a master: send all that waits."""
        self._send_all(self._streams.resume(self._now()))

    def pause(self) -> None:
        """There is no master."""
        self._streams.pause()

    def _send_all(self, updates: Iterable[PendingUpdate]) -> None:
        for update in updates:
            self._send(update)
        deadline = self._streams.next_deadline()
        if deadline is not None and (self._timer_at is None or deadline < self._timer_at):
            self._timer_at = deadline
            self._after(max(deadline - self._now(), 0.0), self._due)
