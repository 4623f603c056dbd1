"""The executor's subscription with its agent: keeps it, sends calls over it, remembers what is not acknowledged.

The states are a table in `executor.states`; here is what its actions do. Each attempt to subscribe has a link of
its own, thrown away with the attempt, so nothing of an old connection can come in through a new one. While there is no
subscription, updates are kept and go with the next SUBSCRIBE (Mesos makes sure of them); messages wait, the newest
`MAX_KEPT_MESSAGES` of them, since nobody promises that they arrive.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable

from actors.runtime import Actor, Backoff, Immutable, Timer, message, receive
from actors.runtime.state_machine import Machine
from executor.environment import AgentEnvironment
from executor.messages import EXECUTOR, AgentGone, AgentLost, Leave, Left, SendMessage, SendUpdate, Trouble
from executor.states import SUBSCRIPTION, ConnectionAction, ConnectionEvent, ConnectionState
from mesos_http import CallPipeline, Response, Subscription, TransportError
from mesos_v1 import executor_calls, executor_events, pb
from mesos_v1.content import ContentError, ContentType, parse, serialize
from mesos_v1.errors import ApiError, BadEvent, MesosError
from mesos_v1.values import TaskId
from wire.start_letter import BootSecret

MAX_RECORD = 256 * 1024 * 1024  # a task group's tasks come in one record
HEARTBEAT_INTERVAL = 30 * 60.0
"""Seconds between HEARTBEAT calls (executor.cpp, DEFAULT_HEARTBEAT_CALL_INTERVAL): they keep firewalls awake."""

RESEND_AFTER = 1.0
FIRST_BACKOFF = 1.0
MAX_KEPT_MESSAGES = 256

logger = logging.getLogger(__name__)


@message
class Happened:
    """Something happened to the subscription; what belongs to an old attempt is ignored."""

    attempt: int
    event: ConnectionEvent
    reason: str = ""


@message
class Arrived:
    """One of `mesos_v1.executor_events` came."""

    attempt: int
    event: Immutable


@message
class RecoveryOver:
    """The agent did not come back in time."""


@message
class CallEnded:
    """A call has its answer, or will never have one."""

    attempt: int
    uuid: bytes | None  # of the update that it carried
    error: str | None  # what went wrong, if anything did
    again: bool  # the same call may succeed later


@message
class ResendDue:
    """An update that did not get through is to be sent again, if it still has to be."""

    attempt: int
    uuid: bytes


@message
class HeartbeatDue:
    """It is time for a HEARTBEAT call."""


class AgentLink:
    """One attempt to be subscribed, over TCP, TLS or the agent's domain socket, and calls beside it."""

    def __init__(self, environment: AgentEnvironment) -> None:
        self._environment = environment
        self._content_type = environment.content_type.value
        self._subscription: Subscription | None = None
        self._pipeline = CallPipeline(
            environment.endpoint,
            headers=(("Accept", self._content_type),),
            tls=environment.tls,
            credentials=environment.token,
        )

    async def subscribe(self, call: bytes) -> None:
        """Send SUBSCRIBE; done when the agent has answered 200. Raises TransportError, or ApiError for another answer."""
        environment = self._environment
        self._subscription = await Subscription.open(
            environment.endpoint,
            call,
            content_type=self._content_type,
            tls=environment.tls,
            credentials=environment.token,
            follow_redirects=0,
            max_record_bytes=MAX_RECORD,
        )

    def batches(self) -> AsyncIterator[tuple[bytes, ...]]:
        """The events as they come, after `subscribe`; ends with `close`, or raises StreamBroken."""
        assert self._subscription is not None
        return self._subscription.batches()

    def send(self, call: bytes) -> asyncio.Future[Response]:
        """Send any other call."""
        return self._pipeline.send(call, self._content_type)

    def close(self) -> None:
        """Close both connections at once."""
        if self._subscription is not None:
            self._subscription.close()
        self._pipeline.close("the subscription ended")


class AgentConnectionActor(Actor):
    """Owns the subscription. Its parent, the executor, gets the events, and `letter` the scheduler's start-up letter."""

    def __init__(
        self,
        environment: AgentEnvironment,
        new_link: Callable[[AgentEnvironment], AgentLink],
        letter: BootSecret,
    ) -> None:
        self._environment = environment
        self._new_link = new_link
        self._letter = letter
        self._life = Machine(SUBSCRIPTION[environment.checkpoint])
        # Both go into every SUBSCRIBE (Executor HTTP API, "SUBSCRIBE"), in the order in which they came: a task until one of
        # its updates is acknowledged; an update, by its uuid, until it is itself.
        self._tasks: dict[TaskId, bytes] = {}
        self._updates: dict[bytes, bytes] = {}
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
        self._apply(ConnectionEvent.DUE)

    def on_stop(self) -> None:
        """Leave no connection open."""
        self._close()

    @receive
    def handle_happened(self, happened: Happened) -> None:
        if happened.attempt == self._attempt:
            self._apply(happened.event, happened.reason)

    @receive
    def handle_recovery_over(self, over: RecoveryOver) -> None:
        self._recovery = None
        seconds = self._environment.recovery_timeout
        self._apply(ConnectionEvent.GAVE_UP, f"the agent did not come back within {seconds:g} s")

    @receive
    def handle_arrived(self, arrived: Arrived) -> None:
        if arrived.attempt != self._attempt:
            return
        event = arrived.event
        match event:
            case executor_events.Subscribed():
                self._apply(ConnectionEvent.SUBSCRIBED, value=event)
            case executor_events.Shutdown():
                self._apply(ConnectionEvent.SHUTDOWN, "the agent said SHUTDOWN", event)
            case executor_events.Error(message):
                logger.error("the agent said ERROR: %s", message)
                self.tell(EXECUTOR, Trouble(f"the agent said: {message}"))
                self._apply(ConnectionEvent.ERROR, f"the agent said: {message}")
            case _:
                self._apply(ConnectionEvent.ARRIVED, value=event)

    @receive
    def handle_send_update(self, update: SendUpdate) -> None:
        self._updates[update.uuid] = update.status
        if self._subscribed:
            self._send_update(update.uuid)
        else:
            self._late.append(update.uuid)

    @receive
    def handle_resend_due(self, due: ResendDue) -> None:
        if self._subscribed and due.attempt == self._attempt:
            self._send_update(due.uuid)

    @receive
    def handle_send_message(self, message: SendMessage) -> None:
        if self._subscribed:
            self._call(executor_calls.message(message.data))
        elif self._life.state is not ConnectionState.ENDED:
            self._kept.append(message.data)

    @receive
    def handle_heartbeat_due(self, due: HeartbeatDue) -> None:
        if self._subscribed:
            self._call(executor_calls.heartbeat())

    @receive
    def handle_leave(self, leave: Leave) -> None:
        self._leaving = True
        self._apply(ConnectionEvent.LEAVE, "the executor ends")
        self._tell_left()

    @property
    def _subscribed(self) -> bool:
        return self._life.state in {ConnectionState.SUBSCRIBED, ConnectionState.LEAVING}

    def _apply(self, event: ConnectionEvent, reason: str = "", value: object = None) -> None:
        before = self._life.state
        state, actions, ignored = self._life.on(event)
        if ignored:
            logger.debug("ignored in state %s: %s %s (%s)", state.value, event.value, reason, ignored)
        if before is not state:
            why = f": {reason}" if reason else ""
            logger.info("agent %s: %s -> %s%s", self._environment.endpoint, before.value, state.value, why)
        for action in actions:
            match action:
                case ConnectionAction.CONNECT:
                    self._connect()
                case ConnectionAction.CLOSE:
                    self._close()
                case ConnectionAction.ANNOUNCE:
                    self._announce(value)
                case ConnectionAction.DELIVER:
                    self._deliver(value)
                case ConnectionAction.TELL_LOST:
                    self.tell(EXECUTOR, AgentLost(reason))
                case ConnectionAction.RETRY:
                    self._retry()
                case ConnectionAction.START_RECOVERY:
                    if self._recovery is None:
                        self._recovery = self.timers.after(self._environment.recovery_timeout, RecoveryOver())
                case ConnectionAction.STOP_RECOVERY:
                    if self._recovery is not None:
                        self._recovery.cancel()
                        self._recovery = None
                case ConnectionAction.END:
                    self._attempt += 1  # nothing that still comes in counts
                    self.tell(EXECUTOR, AgentGone(reason))

    def _connect(self) -> None:
        self._attempt += 1
        self._link = self._new_link(self._environment)
        self._late.clear()
        call = executor_calls.subscribe(
            [pb.mesos.TaskInfo.FromString(task) for task in self._tasks.values()],
            [pb.mesos.TaskStatus.FromString(status) for status in self._updates.values()],
        )
        attempt = self._listen(self._attempt, self._link, self._encode(call))
        self.run_in_background(attempt, name=f"subscription {self._attempt}")

    async def _listen(self, attempt: int, link: AgentLink, call: bytes) -> None:
        """One attempt from its beginning to its end; all that it sees goes through the mailbox."""
        me = self.actor_ref
        try:
            await link.subscribe(call)
            me.tell(Happened(attempt, ConnectionEvent.OPENED))
            async for records in link.batches():
                for record in records:
                    try:
                        event = read_record(record, self._environment.content_type, self._letter)
                    except (ContentError, BadEvent) as error:
                        logger.error("the agent sent an event that cannot be read: %s", error)
                        self.tell(EXECUTOR, Trouble(f"the agent sent an event that cannot be read: {error}"))
                    else:
                        me.tell(Arrived(attempt, event))
        except ApiError as error:
            not_ready = error.retryable or error.status == 404
            what = ConnectionEvent.NOT_READY if not_ready else ConnectionEvent.REFUSED
            me.tell(Happened(attempt, what, str(error)))
        except (TransportError, MesosError) as error:
            me.tell(Happened(attempt, ConnectionEvent.LOST, str(error)))

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
        self.timers.after(self.ids.uniform(0.0, most), Happened(self._attempt, ConnectionEvent.DUE))

    def _announce(self, value: object) -> None:
        self._failures = 0
        self.tell(EXECUTOR, value)
        for uuid in self._late:
            self._send_update(uuid)
        while self._kept:
            self._call(executor_calls.message(self._kept.popleft()))

    def _deliver(self, event: object) -> None:
        match event:
            case executor_events.Acknowledged(task_id, uuid):
                self._tasks.pop(task_id, None)
                if self._updates.pop(uuid, None) is None:
                    logger.debug("an acknowledgement of %s for an update that does not wait", task_id)
                return
            case executor_events.Heartbeat():
                return
            case executor_events.Unknown(name):
                logger.warning("the agent sent an event of a kind that is not known here: %s", name)
                return
            case executor_events.Launch(task, task_id):
                self._tasks.setdefault(task_id, task)
            case executor_events.LaunchGroup(tasks, task_ids):
                for task_id, task in zip(task_ids, tasks, strict=True):
                    self._tasks.setdefault(task_id, task)
            case _:
                pass
        self.tell(EXECUTOR, event)

    def _encode(self, call: pb.executor.Call) -> bytes:
        environment = self._environment
        complete = executor_calls.with_ids(call, environment.framework_id, environment.executor_id)
        return serialize(complete, environment.content_type)

    def _call(self, call: pb.executor.Call, uuid: bytes | None = None) -> None:
        link = self._link
        assert link is not None
        attempt, me = self._attempt, self.actor_ref
        self._calls += 1

        def answered(answer: asyncio.Future[Response]) -> None:
            if self._link is link:  # of an old link nobody wants to know
                me.tell(CallEnded(attempt, uuid, *_outcome(answer)))

        link.send(self._encode(call)).add_done_callback(answered)

    @receive
    def handle_call_ended(self, ended: CallEnded) -> None:
        if ended.attempt != self._attempt or self._link is None:
            return  # of an old link: what matters is kept, and went with the next SUBSCRIBE
        self._calls -= 1
        if ended.error is None:
            pass
        elif ended.uuid is None:
            logger.warning("a message to the scheduler did not get through: %s", ended.error)
        elif ended.again:
            logger.warning("a status update did not get through, and will be sent again: %s", ended.error)
            self.timers.after(RESEND_AFTER, ResendDue(self._attempt, ended.uuid))
        else:
            logger.error("the agent refuses a status update: %s", ended.error)
            self.tell(EXECUTOR, Trouble(f"the agent refuses a status update: {ended.error}"))
            self._updates.pop(ended.uuid, None)  # it would spoil the next SUBSCRIBE
        self._tell_left()

    def _send_update(self, uuid: bytes) -> None:
        if (status := self._updates.get(uuid)) is not None:
            self._call(executor_calls.update(pb.mesos.TaskStatus.FromString(status)), uuid)

    def _tell_left(self) -> None:
        if self._leaving and not self._calls:
            self._leaving = False
            self.tell(EXECUTOR, Left())


def _outcome(answer: asyncio.Future[Response]) -> tuple[str | None, bool]:
    if answer.cancelled():
        return "cancelled", True
    if (broke := answer.exception()) is not None:
        return str(broke), True
    response = answer.result()
    if 200 <= response.status < 300:
        return None, True
    error = ApiError(response.status, response.text)
    return str(error), error.retryable or error.subscription_lost


def read_record(
    record: bytes, content_type: ContentType, letter: BootSecret
) -> executor_events.ExecutorEvent:
    """Read one record (ContentError, BadEvent: it is not an event); the scheduler's start-up letter goes into ``letter``.

    It is `ExecutorInfo.data`, holds a token, and comes with SUBSCRIBED and, in the `TaskInfo`, with each LAUNCH. It is taken
    out here: what is left may be logged and traced.
    """
    event = parse(pb.executor.Event, record, content_type)
    if event.HasField("subscribed"):
        letter.data = event.subscribed.executor_info.data
        _strip(event.subscribed.executor_info)
    # Mesos knows a task that is told again by its id: it needs no ExecutorInfo for that (slave.cpp, subscribe)
    for task in (event.launch.task, *event.launch_group.task_group.tasks):
        if task.HasField("executor"):
            _strip(task.executor)
    return executor_events.read(event)


def _strip(info: pb.mesos.ExecutorInfo) -> None:
    info.ClearField("data")
    info.command.ClearField("environment")
