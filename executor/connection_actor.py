"""The executor's subscription with its agent: keeps it, sends calls over it, remembers what is not acknowledged.

The states are a table in `executor.connection.states`; here is what its actions do. While there is no subscription, updates
are kept and go with the next SUBSCRIBE (Mesos makes sure of them); messages wait, the newest `MAX_KEPT_MESSAGES` of them,
since nobody promises that they arrive.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from actors.runtime import Actor, Backoff, Immutable, Timer, message, receive
from actors.runtime.state_machine import Machine
from executor.connection.agent_link import AgentLink, read_record
from executor.connection.states import WITH_CHECKPOINT, WITHOUT_CHECKPOINT, Action, Event, State
from executor.environment import AgentEnvironment
from executor.messages import EXECUTOR, AgentGone, AgentLost, Leave, Left, SendMessage, SendUpdate
from mesos_http import Response, TransportError
from mesos_v1 import executor_calls, executor_events, pb
from mesos_v1.content import ContentError, ContentType, serialize
from mesos_v1.errors import ApiError, BadEvent, MesosError, classify
from mesos_v1.values import TaskId
from wire.start_letter import BootSecret

HEARTBEAT_INTERVAL = 30 * 60.0
"""Seconds between HEARTBEAT calls (executor.cpp, DEFAULT_HEARTBEAT_CALL_INTERVAL): they keep firewalls awake."""

RESEND_AFTER = 1.0
FIRST_BACKOFF = 1.0
MAX_KEPT_MESSAGES = 256

logger = logging.getLogger(__name__)

NewLink = Callable[[], AgentLink]


@message
class Happened:
    """Something happened to the subscription.

    Attributes:
        attempt: To which one: what belongs to an old one is ignored.
    """

    attempt: int
    event: Event
    reason: str = ""


@message
class Arrived:
    """An event came.

    Attributes:
        event: One of `mesos_v1.executor_events`.
    """

    attempt: int
    event: Immutable


@message
class RecoveryOver:
    """The agent did not come back in time."""


@message
class CallEnded:
    """A call has its answer, or will never have one.

    Attributes:
        uuid: Of the update that it carried; None for any other call.
        status: HTTP status; None when the connection broke.
        text: The answer's body, or how it broke.
    """

    attempt: int
    uuid: bytes | None
    status: int | None
    text: str


@message
class ResendDue:
    """An update that did not get through is to be sent again, if it still has to be."""

    attempt: int
    uuid: bytes


@message
class HeartbeatDue:
    """It is time for a HEARTBEAT call."""


class Unacknowledged:
    """What the agent may not know yet: tasks (TaskInfo) and updates (TaskStatus) that no ACKNOWLEDGED has confirmed.

    Both go into every SUBSCRIBE (Executor HTTP API, "SUBSCRIBE"), in the order in which they came: a task counts as
    acknowledged when at least one of its updates is; an update when its own uuid is.
    """

    def __init__(self) -> None:
        self._tasks: dict[TaskId, bytes] = {}
        self._updates: dict[bytes, tuple[TaskId, bytes]] = {}

    @property
    def tasks(self) -> tuple[bytes, ...]:
        """The tasks that the agent may not know to have been launched."""
        return tuple(self._tasks.values())

    @property
    def updates(self) -> tuple[bytes, ...]:
        """The updates that the agent may not have."""
        return tuple(status for _, status in self._updates.values())

    def launched(self, task_id: TaskId, task: bytes) -> None:
        """The agent has launched a task."""
        self._tasks.setdefault(task_id, task)

    def updated(self, task_id: TaskId, uuid: bytes, status: bytes) -> None:
        """An update was made (whether or not it could be sent)."""
        self._updates[uuid] = (task_id, status)

    def acknowledged(self, task_id: TaskId, uuid: bytes) -> bool:
        """The agent has confirmed an update; False when it is not one of those waiting."""
        self._tasks.pop(task_id, None)
        return self._updates.pop(uuid, None) is not None

    def withdraw(self, uuid: bytes) -> None:
        """Forget an update that the agent will never take."""
        self._updates.pop(uuid, None)

    def update(self, uuid: bytes) -> bytes | None:
        """The update of that uuid, if it still waits."""
        found = self._updates.get(uuid)
        return found[1] if found else None


class AgentConnectionActor(Actor):
    """Owns the subscription. Its parent, the executor, gets the events.

    Args:
        new_link: Makes the link of an attempt; None for one over HTTP.
        letter: Gets the scheduler's start-up letter.
    """

    def __init__(
        self,
        environment: AgentEnvironment,
        new_link: NewLink | None,
        letter: BootSecret,
        content_type: ContentType = ContentType.PROTOBUF,
    ) -> None:
        self._environment = environment
        self._new_link = new_link or (lambda: AgentLink(environment, content_type))
        self._letter = letter
        self._content_type = content_type
        self._life = Machine(WITH_CHECKPOINT if environment.checkpoint else WITHOUT_CHECKPOINT)
        self._unacknowledged = Unacknowledged()
        self._late: list[bytes] = []  # updates since the last SUBSCRIBE was made, which does not hold them
        self._kept: deque[bytes] = deque(maxlen=MAX_KEPT_MESSAGES)
        self._link: AgentLink | None = None
        self._attempt = 0
        self._failures = 0
        self._calls = 0  # on their way
        self._leaving = False
        self._recovery: Timer | None = None

    def on_start(self) -> None:
        """Subscribe at once."""
        self.timers.every(HEARTBEAT_INTERVAL, HeartbeatDue())
        self._apply(Event.DUE)

    def on_stop(self) -> None:
        """Leave no connection open."""
        self._close()

    # -- what comes in -----------------------------------------------------------------------------------------------

    @receive
    def handle_happened(self, happened: Happened) -> None:
        if happened.attempt == self._attempt:
            self._apply(happened.event, happened.reason)

    @receive
    def handle_recovery_over(self, over: RecoveryOver) -> None:
        self._recovery = None
        seconds = self._environment.recovery_timeout
        self._apply(Event.GAVE_UP, f"the agent did not come back within {seconds:g} s")

    @receive
    def handle_arrived(self, arrived: Arrived) -> None:
        if arrived.attempt != self._attempt:
            return
        event = arrived.event
        match event:
            case executor_events.Subscribed():
                self._apply(Event.SUBSCRIBED, value=event)
            case executor_events.Shutdown():
                self._apply(Event.SHUTDOWN, "the agent said SHUTDOWN", event)
            case executor_events.Error(message):
                logger.error("the agent said ERROR: %s", message)
                self._apply(Event.ERROR, f"the agent said: {message}")
            case _:
                self._apply(Event.ARRIVED, value=event)

    @receive
    def handle_send_update(self, update: SendUpdate) -> None:
        """Send an update now, after SUBSCRIBED, or with the next SUBSCRIBE."""
        self._unacknowledged.updated(update.task_id, update.uuid, update.status)
        if self._subscribed:
            self._send_update(update.uuid, update.status)
        else:
            self._late.append(update.uuid)

    @receive
    def handle_resend_due(self, due: ResendDue) -> None:
        status = self._unacknowledged.update(due.uuid)
        if status is not None and self._subscribed and due.attempt == self._attempt:
            self._send_update(due.uuid, status)

    @receive
    def handle_send_message(self, message: SendMessage) -> None:
        """Send a message, now or after the next SUBSCRIBED."""
        if self._subscribed:
            self._call(executor_calls.message(message.data))
        elif self._life.state is not State.ENDED:
            self._kept.append(message.data)

    @receive
    def handle_heartbeat_due(self, due: HeartbeatDue) -> None:
        if self._subscribed:
            self._call(executor_calls.heartbeat())

    @receive
    def handle_leave(self, leave: Leave) -> None:
        """The executor ends: tell it when all calls are answered."""
        self._leaving = True
        self._apply(Event.LEAVE, "the executor ends")
        self._tell_left()

    # -- the table ---------------------------------------------------------------------------------------------------

    @property
    def _subscribed(self) -> bool:
        return self._life.state in {State.SUBSCRIBED, State.LEAVING}

    def _apply(self, event: Event, reason: str = "", value: object = None) -> None:
        before = self._life.state
        state, actions, ignored = self._life.on(event)
        if ignored:
            logger.debug("ignored in state %s: %s %s (%s)", state.value, event.value, reason, ignored)
        if before is not state:
            why = f": {reason}" if reason else ""
            logger.info("agent %s: %s -> %s%s", self._environment.endpoint, before.value, state.value, why)
        for action in actions:
            match action:
                case Action.CONNECT:
                    self._connect()
                case Action.CLOSE:
                    self._close()
                case Action.ANNOUNCE:
                    self._announce(value)
                case Action.DELIVER:
                    self._deliver(value)
                case Action.TELL_LOST:
                    self.tell(EXECUTOR, AgentLost(reason))
                case Action.RETRY:
                    self._retry()
                case Action.START_RECOVERY:
                    if self._recovery is None:
                        self._recovery = self.timers.after(self._environment.recovery_timeout, RecoveryOver())
                case Action.STOP_RECOVERY:
                    if self._recovery is not None:
                        self._recovery.cancel()
                        self._recovery = None
                case Action.END:
                    self._attempt += 1  # nothing that still comes in counts
                    self.tell(EXECUTOR, AgentGone(reason, refused=event is Event.REFUSED))

    def _connect(self) -> None:
        self._attempt += 1
        self._link = self._new_link()
        self._late.clear()
        call = executor_calls.subscribe(
            [pb.mesos.TaskInfo.FromString(task) for task in self._unacknowledged.tasks],
            [pb.mesos.TaskStatus.FromString(status) for status in self._unacknowledged.updates],
        )
        attempt = self._listen(self._attempt, self._link, self._encode(call))
        self.run_in_background(attempt, name=f"subscription {self._attempt}")

    async def _listen(self, attempt: int, link: AgentLink, call: bytes) -> None:
        """One attempt from its beginning to its end; all that it sees goes through the mailbox."""
        me = self.actor_ref
        try:
            await link.subscribe(call)
            me.tell(Happened(attempt, Event.OPENED))
            async for records in link.batches():
                for record in records:
                    try:
                        event = read_record(record, self._content_type, self._letter)
                    except (ContentError, BadEvent) as error:
                        logger.error("the agent sent an event that cannot be read: %s", error)
                    else:
                        me.tell(Arrived(attempt, event))
        except ApiError as error:
            not_ready = error.retryable or error.status == 404
            me.tell(Happened(attempt, Event.NOT_READY if not_ready else Event.REFUSED, str(error)))
        except (TransportError, MesosError) as error:
            me.tell(Happened(attempt, Event.LOST, str(error)))

    def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
            self._calls = 0
            self._tell_left()

    def _retry(self) -> None:
        """Wait a random part of the longest backoff (executor.cpp), which doubles from a second up to the maximum."""
        self._failures += 1
        longest = self._environment.backoff_max if self._environment.checkpoint else FIRST_BACKOFF
        most = Backoff(FIRST_BACKOFF, 2.0, longest).delay(self._failures)
        self.timers.after(self.ids.uniform(0.0, most), Happened(self._attempt, Event.DUE))

    def _announce(self, value: object) -> None:
        self._failures = 0
        self.tell(EXECUTOR, value)
        for uuid in self._late:
            if (status := self._unacknowledged.update(uuid)) is not None:
                self._send_update(uuid, status)
        while self._kept:
            self._call(executor_calls.message(self._kept.popleft()))

    # -- events ------------------------------------------------------------------------------------------------------

    def _deliver(self, event: object) -> None:
        match event:
            case executor_events.Acknowledged(task_id, uuid):
                if not self._unacknowledged.acknowledged(task_id, uuid):
                    logger.debug("an acknowledgement of %s for an update that does not wait", task_id)
                return
            case executor_events.Heartbeat():
                return
            case executor_events.Unknown(name):
                logger.warning("the agent sent an event of a kind that is not known here: %s", name)
                return
            case executor_events.Launch(task, task_id):
                self._unacknowledged.launched(task_id, task)
            case executor_events.LaunchGroup(tasks, task_ids):
                for task_id, task in zip(task_ids, tasks, strict=True):
                    self._unacknowledged.launched(task_id, task)
            case _:
                pass
        self.tell(EXECUTOR, event)

    # -- calls -------------------------------------------------------------------------------------------------------

    def _encode(self, call: pb.executor.Call) -> bytes:
        complete = executor_calls.with_ids(
            call, self._environment.framework_id, self._environment.executor_id
        )
        return serialize(complete, self._content_type)

    def _call(self, call: pb.executor.Call, uuid: bytes | None = None) -> None:
        link = self._link
        assert link is not None
        attempt, me = self._attempt, self.actor_ref
        self._calls += 1

        def answered(answer: asyncio.Future[Response]) -> None:
            status, text = _outcome(answer)
            if self._link is link:  # of an old link nobody wants to know
                me.tell(CallEnded(attempt, uuid, status, text))

        link.send(self._encode(call)).add_done_callback(answered)

    @receive
    def handle_call_ended(self, ended: CallEnded) -> None:
        if ended.attempt != self._attempt or self._link is None:
            return  # of an old link: what matters is kept, and went with the next SUBSCRIBE
        self._calls -= 1
        if ended.status is None or not 200 <= ended.status < 300:
            self._call_failed(ended)
        self._tell_left()

    def _call_failed(self, ended: CallEnded) -> None:
        error, again = ended.text, True
        if ended.status is not None:
            error = str(ApiError(ended.status, ended.text))
            meaning = classify(ended.status, ended.text)
            again = meaning.retryable or meaning.subscription_lost
        if ended.uuid is None:
            logger.warning("a message to the scheduler did not get through: %s", error)
        elif again:
            logger.warning("a status update did not get through, and will be sent again: %s", error)
            self.timers.after(RESEND_AFTER, ResendDue(self._attempt, ended.uuid))
        else:
            logger.error("the agent refuses a status update: %s", error)
            self._unacknowledged.withdraw(ended.uuid)  # it would spoil the next SUBSCRIBE

    def _send_update(self, uuid: bytes, status: bytes) -> None:
        self._call(executor_calls.update(pb.mesos.TaskStatus.FromString(status)), uuid)

    def _tell_left(self) -> None:
        if self._leaving and not self._calls:
            self._leaving = False
            self.tell(EXECUTOR, Left())


def _outcome(answer: asyncio.Future[Response]) -> tuple[int | None, str]:
    if answer.cancelled():
        return None, "cancelled"
    error = answer.exception()
    if error is not None:
        return None, str(error)
    response = answer.result()
    return response.status, response.text if response.status >= 300 else ""
