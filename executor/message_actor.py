"""Reliable messages on the executor's side.

Those of its author and tasks are repeated until the scheduler has them; the scheduler's are handed to the author once and in order,
and acknowledged when its `on_message` is done. How that goes is in `wire/reliable`. Nothing of it is on disk: another process of this executor is another instance.
"""

import logging
from threading import Semaphore

from actors.runtime import (
    Actor,
    ActorDeadError,
    DecodeError,
    Timer,
    message,
    pack,
    receive,
    unpack_message,
)
from executor import messages as m
from executor.messages import AUTHOR, CONNECTION, EXECUTOR
from wire import reliable
from wire.reliable import Incoming, Numbered, Outgoing, Taken, WhoIsThere

logger = logging.getLogger(__name__)


@message
class Overdue:
    """It is time to see whether the scheduler has acknowledged."""


class Room:
    """How many more reliable messages can be sent, if any (`offered`); asked for from any thread."""

    def __init__(self) -> None:
        self.offered = False
        self._free = Semaphore(reliable.MAX_WAITING)

    def take(self, data: bytes) -> None:
        """Take the room of one message (ValueError: it is too large, there is none left, or the scheduler would not answer)."""
        if not self.offered:
            raise ValueError(
                "the scheduler of this framework acknowledges no messages: it is none of Mesostic's SchedulerActors, or one "
                "of an older version; send it without reliable=True"
            )
        reliable.check_message(data)
        if not self._free.acquire(blocking=False):
            raise ValueError(
                f"{reliable.MAX_WAITING:,} messages wait already for the scheduler's acknowledgement: send fewer, or later"
            )

    def give(self, messages: int) -> None:
        """Give it back."""
        if messages:
            self._free.release(messages)


class MessageActor(Actor):
    """Both directions; see the head of this module."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._incoming = Incoming(self.ids.uuid())
        self._outgoing = Outgoing()
        self._number = 0
        self._connected = True
        self._leaving = False
        self._timer: Timer | None = None

    def on_stop(self) -> None:
        """Log what nobody will know of."""
        if self._outgoing:
            logger.warning(
                "the executor ends, and the scheduler has not acknowledged the last %d of its reliable messages",
                len(self._outgoing.waiting),
            )

    @receive
    def handle_send_reliably(self, send: m.SendReliably) -> None:
        self._number += 1
        self._outgoing.add(self._number, send.data)
        self._send_unsent()

    @receive
    def handle_numbered(self, said: Numbered) -> None:
        """A message of the scheduler; one for an instance before this one is answered with who is here."""
        ready = self._incoming.arrived(said) if said.instance == self._incoming.instance else []
        for each in ready:
            try:
                envelope = unpack_message(each.data)
            except DecodeError as error:
                reason = f"the scheduler sent a message that cannot be read: {error}"
                logger.error("%s", reason)
                self.tell(EXECUTOR, m.Trouble(reason))
                self.tell(AUTHOR, m.Heard(each.number, str(error) or "it is no message"))
            else:
                try:
                    self.ref(AUTHOR).tell_caused(m.ForAuthor(envelope.message, each.number), envelope.id)
                except ActorDeadError:
                    pass  # it has failed: nobody is left to hear it, and it is not acknowledged
        if not ready:
            self._say(self._incoming.answer())

    @receive
    def handle_who_is_there(self, _asked: WhoIsThere) -> None:
        self._say(self._incoming.answer())

    @receive
    def handle_taken(self, taken: Taken) -> None:
        if taken.instance != self._incoming.instance:
            return
        gone = self._outgoing.taken(taken.number)
        for number, reason in taken.refused:
            if number in gone:
                text = f"the scheduler cannot read a message of this executor: {reason}"
                logger.error("%s", text)
                self.tell(EXECUTOR, m.Trouble(text))
        if gone:
            self._room.give(len(gone))
            if self._timer is not None:  # those that are on their way have their time from now on
                self._timer.cancel()
                self._timer = None
        self._send_unsent()
        self._tell_left()

    @receive
    def handle_heard(self, heard: m.Heard) -> None:
        self._incoming.told(heard.number, heard.refusal)
        self._say(self._incoming.answer())

    @receive
    def handle_agent_lost(self, _lost: m.AgentLost) -> None:
        self._connected = False

    @receive
    def handle_agent_back(self, _back: m.AgentBack) -> None:
        """Say again what waits: what was on its way may be lost."""
        self._connected = True
        self._outgoing.repeats = 0
        self._again()

    @receive
    def handle_overdue(self, _due: Overdue) -> None:
        self._timer = None
        if self._connected:
            self._again()

    @receive
    def handle_leave(self, _asked: m.Leave) -> None:
        self._leaving = True
        self._tell_left()

    def _again(self) -> None:
        for each in self._outgoing.again(self._incoming.instance):
            self._say(each)
        self._wait()

    def _send_unsent(self) -> None:
        for each in self._outgoing.unsent(self._incoming.instance):
            self._say(each)
        self._wait()

    def _wait(self) -> None:
        if self._outgoing and self._timer is None:
            self._timer = self.timers.after(self._outgoing.wait, Overdue())

    def _say(self, said: reliable.Said) -> None:
        if self._connected:
            self.tell(CONNECTION, m.SendMessage(pack(said)))

    def _tell_left(self) -> None:
        if self._leaving and not self._outgoing:
            self._leaving = False
            self.tell(EXECUTOR, m.Left())
