"""Runs what the author wrote for the executor as a whole: `on_start`, `on_message`, `on_stop`, one at a time.

An actor of its own, so that a slow hook holds up only the next hook, never a KILL or an acknowledgement.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any, ClassVar

from actors.runtime import Actor, current_message_id, pack, receive
from executor.author import Executor, TaskFailed
from executor.messages import (
    AuthorFailed,
    AuthorStarted,
    AuthorStopped,
    ForAuthor,
    SendMessage,
    StartAuthor,
    StopAuthor,
)
from executor.statuses import one_line

logger = logging.getLogger(__name__)


class AuthorActor(Actor):
    """Owns the author's instance."""

    stop_grace: ClassVar[float] = 0.2  # what hangs has had its share of the executor's grace period

    def __init__(self, author: Executor, executor: str, connection: str, *, raw: bool) -> None:
        super().__init__()
        self._author = author
        self._executor = executor
        self._connection = connection
        self._raw = raw
        author._send = self._send

    def _send(self, message: object) -> None:
        """`Executor.send`; from any thread."""
        data = message if self._raw and isinstance(message, bytes) else pack(message, id=current_message_id())
        connection = self.ref(self._connection)
        if connection.is_alive():
            connection.tell(SendMessage(data))

    @receive
    async def on_start_author(self, start: StartAuthor) -> None:
        """Run `on_start`."""
        name = type(self._author).__name__
        try:
            await _finished(self._author.on_start())
        except Exception as error:
            if not isinstance(error, TaskFailed):
                logger.exception("%s.on_start failed", name)
            text = error.message if isinstance(error, TaskFailed) else one_line(error)
            self.tell(self._executor, AuthorFailed(f"{name} could not be started: {text}"))
        else:
            self.tell(self._executor, AuthorStarted())

    @receive
    async def on_message_for_author(self, arrived: ForAuthor) -> None:
        """Run `on_message`."""
        try:
            await _finished(self._author.on_message(arrived.message))
        except Exception:
            logger.exception("%s.on_message failed for %r", type(self._author).__name__, arrived.message)

    @receive
    async def on_stop_author(self, stop: StopAuthor) -> None:
        """Run `on_stop`."""
        try:
            await _finished(self._author.on_stop())
        except Exception:
            logger.exception("%s.on_stop failed", type(self._author).__name__)
        self.tell(self._executor, AuthorStopped())


async def _finished(result: Any) -> None:
    """A hook may be a coroutine or a plain method."""
    if inspect.isawaitable(result):
        await result
