"""The wire between an executor and its agent: one subscription, and calls beside it. I/O only, no decisions.

The connection actor makes one link for each attempt to subscribe and throws it away with the attempt, so nothing of an old
connection can come in through a new one. `HttpAgentLink` is the real one; tests on virtual time have a twin in the
same process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from executor.process.environment import AgentEnvironment
from mesos_http import CallPipeline, Response, Subscription, Timeouts
from mesos_v1.content import ContentType

MAX_RECORD = 256 * 1024 * 1024  # a task group's tasks come in one record


class AgentLink(Protocol):
    """One attempt to be subscribed."""

    async def subscribe(self, call: bytes) -> None:
        """Send SUBSCRIBE; done when the agent has answered 200.

        Raises:
            ConnectFailed: There is no agent.
            ApiError: It answers something else.
            StreamBroken: The connection broke.
        """

    def batches(self) -> AsyncIterator[tuple[bytes, ...]]:
        """The events as they come, after `subscribe`; ends with `close`.

        Raises:
            StreamBroken: The agent, or the network, ended the stream.
        """

    def send(self, call: bytes) -> asyncio.Future[Response]:
        """Send any other call."""

    def close(self) -> None:
        """Close both connections at once."""


class HttpAgentLink:
    """The link over HTTP: TCP, TLS or the agent's domain socket."""

    def __init__(self, environment: AgentEnvironment, content_type: ContentType) -> None:
        self._environment = environment
        self._content_type = content_type.value
        self._subscription: Subscription | None = None
        self._pipeline: CallPipeline | None = None

    async def subscribe(self, call: bytes) -> None:
        """See `AgentLink`."""
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
        """See `AgentLink`."""
        assert self._subscription is not None
        return self._subscription.batches()

    def send(self, call: bytes) -> asyncio.Future[Response]:
        """See `AgentLink`."""
        assert self._pipeline is not None
        return self._pipeline.send(call, self._content_type)

    def close(self) -> None:
        """See `AgentLink`."""
        if self._subscription is not None:
            self._subscription.close()
        if self._pipeline is not None:
            self._pipeline.close("the subscription ended")
