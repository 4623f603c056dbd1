"""The wire between an executor and its agent: one subscription, and calls beside it; and how its records are read.

The connection actor makes one link for each attempt to subscribe and throws it away with the attempt, so nothing of an old
connection can come in through a new one. Tests on virtual time have a twin in the same process.

`ExecutorInfo.data` holds the scheduler's start-up letter, and that a token. It comes with SUBSCRIBED and, in the `TaskInfo`,
with each LAUNCH. It is taken out when a record is read: what is left may be logged and traced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from executor.environment import AgentEnvironment
from mesos_http import CallPipeline, Response, Subscription, Timeouts
from mesos_v1 import executor_events, pb
from mesos_v1.content import ContentType, parse
from wire.start_letter import BootSecret

MAX_RECORD = 256 * 1024 * 1024  # a task group's tasks come in one record


class AgentLink:
    """One attempt to be subscribed, over TCP, TLS or the agent's domain socket."""

    def __init__(self, environment: AgentEnvironment, content_type: ContentType) -> None:
        self._environment = environment
        self._content_type = content_type.value
        self._subscription: Subscription | None = None
        self._pipeline: CallPipeline | None = None

    async def subscribe(self, call: bytes) -> None:
        """Send SUBSCRIBE; done when the agent has answered 200.

        Raises:
            ConnectFailed: There is no agent.
            ApiError: It answers something else.
            StreamBroken: The connection broke.
        """
        environment = self._environment
        self._subscription = await Subscription.open(
            environment.endpoint,
            call,
            content_type=self._content_type,
            tls=environment.tls,
            credentials=environment.token,
            timeouts=Timeouts(connect=5.0, response=15.0),
            follow_redirects=0,
            max_record_bytes=MAX_RECORD,
        )
        self._pipeline = CallPipeline(
            environment.endpoint,
            headers=(("Accept", self._content_type),),
            tls=environment.tls,
            credentials=environment.token,
        )

    def batches(self) -> AsyncIterator[tuple[bytes, ...]]:
        """The events as they come, after `subscribe`; ends with `close`.

        Raises:
            StreamBroken: The agent, or the network, ended the stream.
        """
        assert self._subscription is not None
        return self._subscription.batches()

    def send(self, call: bytes) -> asyncio.Future[Response]:
        """Send any other call."""
        assert self._pipeline is not None
        return self._pipeline.send(call, self._content_type)

    def close(self) -> None:
        """Close both connections at once."""
        if self._subscription is not None:
            self._subscription.close()
        if self._pipeline is not None:
            self._pipeline.close("the subscription ended")


def read_record(
    record: bytes, content_type: ContentType, letter: BootSecret
) -> executor_events.ExecutorEvent:
    """Read one record; what is secret goes into ``letter``.

    Raises:
        ContentError: It is not an event.
        BadEvent: It lacks what its type promises.
    """
    event = parse(pb.executor.Event, record, content_type)
    if event.HasField("subscribed"):
        letter.data = event.subscribed.executor_info.data
        event.subscribed.executor_info.ClearField("data")
        event.subscribed.executor_info.command.ClearField("environment")
    if event.HasField("launch"):
        _strip(event.launch.task)
    if event.HasField("launch_group"):
        for task in event.launch_group.task_group.tasks:
            _strip(task)
    return executor_events.read(event)


def _strip(task: pb.mesos.TaskInfo) -> None:
    """Mesos knows a task that is told again by its id: it needs no ExecutorInfo for that (slave.cpp, subscribe)."""
    if task.HasField("executor"):
        task.executor.ClearField("data")
        task.executor.command.ClearField("environment")
