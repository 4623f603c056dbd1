"""Runs what the author wrote for the executor as a whole, its hooks from `on_start` to `on_stop`, one at a time.

An actor of its own, so that a slow hook holds up only the next hook, never a KILL or an acknowledgement.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, ClassVar

from actors.runtime import Actor, ActorDeadError, current_message_id, pack_message, receive
from executor import messages as m
from executor.author import Executor, TaskFailed
from executor.message_actor import Room
from executor.messages import CONNECTION, EXECUTOR, MESSAGES
from wire.author_code import call, finish, one_line, text_of, traceback_below

logger = logging.getLogger(__name__)


class AuthorActor(Actor):
    """Owns the author's instance."""

    stop_grace: ClassVar[float] = 0.2  # what hangs has had its share of the executor's grace period

    def __init__(self, author: Executor, room: Room, *, raw: bool) -> None:
        self._author = author
        self._room = room
        self._raw = raw
        self._started = False  # and not stopped
        author._send = self._send

    def _send(self, message: object, reliable: bool) -> None:
        """`Executor.send`; from any thread."""
        raw = self._raw and isinstance(message, bytes)
        data: Any = message if raw else pack_message(message, id=current_message_id())
        if reliable:
            self._room.take(data)
        try:
            if reliable:
                self.ref(MESSAGES).tell(m.SendReliably(data))
            else:
                self.ref(CONNECTION).tell(m.SendMessage(data))
        except ActorDeadError:
            pass  # the executor has ended, and nobody is left to bring it

    @receive
    async def handle_start_author(self, start: m.StartAuthor) -> None:
        error = await self._run("on_start", self._author.on_start)
        if error is None:
            self._started = True
            self.tell(EXECUTOR, m.AuthorStarted())
        else:
            text = text_of(error) if isinstance(error, TaskFailed) else one_line(error)
            name = type(self._author).__name__
            self.tell(EXECUTOR, m.AuthorFailed(f"{name} could not be started: {text}"))

    @receive
    async def handle_for_author(self, arrived: m.ForAuthor) -> None:
        await self._run("on_message", self._author.on_message, arrived.message)
        if arrived.number:
            self.tell(MESSAGES, m.Heard(arrived.number))

    @receive
    def handle_heard(self, refused: m.Heard) -> None:
        """One that cannot be read; it comes this way so that nothing overtakes what is before it."""
        self.tell(MESSAGES, refused)

    @receive
    async def handle_call_hook(self, asked: m.CallHook) -> None:
        if self._started:
            await self._run(asked.name, getattr(self._author, asked.name), asked.argument)

    @receive
    async def handle_stop_author(self, stop: m.StopAuthor) -> None:
        self._started = False
        await self._run("on_stop", self._author.on_stop)
        self.tell(EXECUTOR, m.AuthorStopped())

    async def _run(self, name: str, hook: Callable[..., Any], *arguments: object) -> BaseException | None:
        """Run a hook, a coroutine or a plain method, and give what it raised, which is logged.

        It has an asyncio task of its own, so that cancelling the current one ends the hook and not this actor.
        """
        outcomes: list[BaseException | None] = []

        async def running() -> None:
            outcomes.append((await finish(call(hook, *arguments))).error)

        await asyncio.wait([self.run_in_background(running(), name=name)])
        error = outcomes[0] if outcomes else asyncio.CancelledError("it cancelled itself")
        if error is not None:
            where = f"{type(self._author).__name__}.{name}"
            shown = "" if isinstance(error, TaskFailed) else traceback_below(error)
            logger.error("%s failed: %s%s", where, one_line(error), shown)
        return error
