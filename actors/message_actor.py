"""Brings reliable messages to executors and theirs to the scheduler: once, in order, or the sender is told.

One actor for all executors: what there is of one is two short queues, and one timer while something waits. How messages are numbered,
acknowledged and kept in order is in `wire/reliable`, which executors follow too; whom they are addressed to is the table in
`states`. The scheduler stores a message together with what else its hook did, and only then tells this actor; an executor's message
is acknowledged when the author's hook was called and that is stored. While there is no subscription nothing is repeated.
"""

import logging
from dataclasses import dataclass

from actors import messages as m
from actors import records as r
from actors.framework_settings import Composition, seconds
from actors.runtime import Actor, Timer, message, pack, receive, unpack
from actors.runtime.state_machine import Machine
from actors.states import PEER, PeerAction, PeerEvent, PeerState
from mesos_v1.values import AgentId, ExecutorId
from wire import reliable
from wire.reliable import Incoming, Numbered, Outgoing, Taken, WhoIsThere

logger = logging.getLogger("actors.messages")

E = PeerEvent


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """How patient reliable messages are."""

    give_up_after: float = seconds(
        1200.0,
        help="How long an executor may say nothing, while the framework is subscribed, before messages to it count as undelivered.",
    )


@message
class Overdue:
    """It is time to see whether an executor has acknowledged."""

    agent_id: AgentId
    executor_id: ExecutorId


class Peer:
    """One executor of the framework, and both directions of messages."""

    def __init__(self, source: m.MessageSource) -> None:
        self.source = source
        self.life = Machine(PEER)
        self.instance = ""  # that messages are addressed to
        self.former = ""  # instance, of which something may still be on its way
        self.lost, self.reason = 0, ""  # as in the record
        self.outgoing = Outgoing()
        self.incoming: Incoming | None = None
        self.heard_at = 0.0  # when it last said something, or something began to wait for it
        self.timer: Timer | None = None

    @property
    def key(self) -> str:
        return r.pair_key(self.source.agent_id, self.source.executor_id)

    @property
    def record(self) -> m.Record:
        who = self.source.agent_id, self.source.executor_id
        return r.PEER.record(self.key, r.Peer(*who, self.instance, self.lost, self.reason))


class MessageActor(Actor):
    """See the head of this module."""

    Settings = MessageSettings

    def __init__(self, composition: Composition, settings: MessageSettings) -> None:
        self.settings = settings
        self._peers: dict[tuple[AgentId, ExecutorId], Peer] = {}
        self._writes: r.Writes[tuple[Peer, str]] = r.Writes(self)  # whose instance is being stored
        self._subscribed = False
        self._resumed = False

    def on_start(self) -> None:
        """Announce itself; the scheduler answers with what is stored."""
        self.tell("scheduler", m.ActorStarted("messages"))

    @receive
    def handle_resume_messages(self, known: m.ResumeMessages) -> None:
        for stored in r.PEER.read(known.records).values():
            peer = self._peer(stored.agent_id, stored.executor_id)
            peer.instance, peer.lost, peer.reason = stored.instance, stored.lost, stored.reason
            if stored.instance:
                peer.life = Machine(PEER, PeerState.KNOWN)
        for told in r.HEARD.read(known.records).values():
            peer = self._peer(told.source.agent_id, told.source.executor_id)
            peer.incoming = Incoming(told.instance, told.number)
        for each in r.MESSAGE.read(known.records).values():
            peer = self._peer(each.agent_id, each.executor_id)
            if each.number <= peer.lost:
                self.tell("scheduler", m.Undelivered(each.number, peer.source, peer.reason, each.data))
            else:
                peer.outgoing.add(each.number, each.data)
        self._resumed = True
        if known.subscribed:
            self._begin_again()

    @receive
    def handle_subscribed(self, _news: m.Subscribed) -> None:
        self._begin_again()

    @receive
    def handle_disconnected(self, _news: m.Disconnected) -> None:
        self._subscribed = False

    def _begin_again(self) -> None:
        """Repeat what waits: the master may have lost it with the subscription before."""
        self._subscribed = True
        for peer in self._peers.values():
            if peer.outgoing:
                peer.heard_at, peer.outgoing.repeats = self.clock.now(), 0
                self._apply(peer, E.OVERDUE)

    # --- to executors ---------------------------------------------------------------------------------------------

    @receive
    def handle_send_reliably(self, asked: m.SendReliably) -> None:
        """A message is stored: send it, if there is room; before `ResumeMessages` it is among what is stored."""
        if not self._resumed:
            return
        peer = self._peer(asked.agent_id, asked.executor_id)
        if len(peer.outgoing.waiting) >= reliable.MAX_WAITING:
            reason = f"{reliable.MAX_WAITING:,} messages to it wait already for their acknowledgement"
            self.tell("scheduler", m.Undelivered(asked.number, peer.source, reason, asked.data))
            return
        if not peer.outgoing:
            peer.heard_at = self.clock.now()
        peer.outgoing.add(asked.number, asked.data)
        self._apply(peer, E.WANTED)

    @receive
    def handle_stored(self, stored: m.Stored) -> None:
        found = self._writes.answered(stored)
        if found is not None and found[0].instance == found[1]:
            self._apply(found[0], E.STORED)

    @receive
    def handle_overdue(self, due: Overdue) -> None:
        peer = self._peer(due.agent_id, due.executor_id)
        peer.timer = None
        if not self._subscribed or not peer.outgoing:
            return
        silent = self.clock.now() - peer.heard_at
        if silent >= self.settings.give_up_after:
            self._lose(peer, f"nothing was heard of its executor for {silent:.0f} s")
        else:
            self._apply(peer, E.OVERDUE)

    @receive
    def handle_executor_lost(self, lost: m.ExecutorLost) -> None:
        peer = self._peers.get((lost.agent_id, lost.executor_id))
        if peer is not None:
            self._end(peer, "its executor has ended")

    @receive
    def handle_agent_lost(self, lost: m.AgentLost) -> None:
        """Give up what waits for its executors; they may come back with it, and go on with their own numbers."""
        for peer in self._peers.values():
            if peer.source.agent_id == lost.agent_id:
                self._lose(peer, "its agent is lost")

    @receive
    def handle_executors_gone(self, gone: m.ExecutorsGone) -> None:
        for peer in [*self._peers.values()]:
            self._end(peer, gone.reason)

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> None:
        """What was not taken now is repeated; what the master refuses for good is told."""
        call = failed.call
        if failed.fate is not m.CallFate.REFUSED or not isinstance(call, m.SendMessage):
            return
        peer = self._peers.get((call.agent_id, call.executor_id))
        said = unpack(call.data).message
        if peer is not None and isinstance(said, Numbered) and said.number in peer.outgoing.waiting:
            reason = f"the master refuses it: {failed.reason}"
            self._undelivered(peer, said.number, peer.outgoing.waiting.pop(said.number), reason)

    # --- from executors -------------------------------------------------------------------------------------------

    @receive
    def handle_from_executor(self, arrived: m.FromExecutor) -> None:
        """An executor speaks; before `ResumeMessages` it is not heard, and repeats itself."""
        said, source = arrived.said, arrived.source
        peer = self._peer(source.agent_id, source.executor_id)
        if not self._resumed or said.instance == peer.former:
            return
        peer.heard_at = self.clock.now()
        if peer.instance not in {"", said.instance}:
            peer.reason = "another process of its executor has taken its place"
            peer.former, peer.instance = peer.instance, said.instance
            self._apply(peer, E.OTHER)
        elif not peer.instance and peer.outgoing:
            peer.instance = said.instance
            self._apply(peer, E.MET)
        if isinstance(said, Taken):
            self._acknowledged(peer, said)
        else:
            self._numbered(peer, said)

    def _acknowledged(self, peer: Peer, taken: Taken) -> None:
        if taken.instance != peer.instance:
            return
        for number, reason in taken.refused:
            if (data := peer.outgoing.waiting.pop(number, None)) is not None:
                self._undelivered(peer, number, data, f"the executor cannot read it: {reason}")
        gone = peer.outgoing.taken(taken.number)
        if gone:
            self.tell("store", m.Write((), tuple(r.MESSAGE.key(str(number)) for number in gone)))
            if peer.timer is not None:  # those that are on their way have their time from now on
                peer.timer.cancel()
                peer.timer = None
            if peer.outgoing:
                self._apply(peer, E.WANTED)

    def _numbered(self, peer: Peer, said: Numbered) -> None:
        if peer.incoming is None or peer.incoming.instance != said.instance:
            peer.former = peer.former if peer.incoming is None else peer.incoming.instance
            peer.incoming = Incoming(said.instance)
        ready = peer.incoming.arrived(said)
        for each in ready:
            self.tell("scheduler", m.ReliableMessage(peer.source, each.instance, each.number, each.data))
        if not ready:  # it is repeated: perhaps the acknowledgement was lost
            self._say(peer, peer.incoming.answer())

    @receive
    def handle_message_told(self, told: m.MessageTold) -> None:
        peer = self._peer(told.source.agent_id, told.source.executor_id)
        if peer.incoming is not None and peer.incoming.instance == told.instance:
            peer.incoming.told(told.number, told.refusal)
            self._say(peer, peer.incoming.answer())

    # --- carrying the table out -------------------------------------------------------------------------------------

    def _apply(self, peer: Peer, event: PeerEvent) -> None:
        _, actions, _ = peer.life.on(event)
        for action in actions:
            match action:
                case PeerAction.ASK:
                    peer.outgoing.repeats += 1
                    self._say(peer, WhoIsThere())
                case PeerAction.STORE:
                    peer.outgoing.repeats = 0
                    self._writes.store(peer.record, then=(peer, peer.instance))
                case PeerAction.SEND:
                    for each in peer.outgoing.unsent(peer.instance):
                        self._say(peer, each)
                case PeerAction.REPEAT:
                    for each in peer.outgoing.again(peer.instance):
                        self._say(peer, each)
                case PeerAction.GIVE_UP:
                    self._give_up(peer)
        if peer.outgoing and peer.timer is None:
            who = peer.source.agent_id, peer.source.executor_id
            peer.timer = self.timers.after(peer.outgoing.wait, Overdue(*who))

    def _lose(self, peer: Peer, reason: str) -> None:
        peer.reason, peer.instance = reason, ""
        self._apply(peer, E.LOST)

    def _end(self, peer: Peer, reason: str) -> None:
        """There will be nothing of this instance any more."""
        self._lose(peer, reason)
        self.tell("store", m.Write((), (r.HEARD.key(peer.key),)))
        peer.incoming = None
        if not peer.lost:  # else it has to be known until the author was told
            del self._peers[peer.source.agent_id, peer.source.executor_id]

    def _give_up(self, peer: Peer) -> None:
        """Store that what waits is undelivered, so that a later run tells it too should this one not come to it."""
        waiting, peer.outgoing = peer.outgoing.waiting, Outgoing()
        if waiting:
            peer.lost = max(waiting)
            self.tell("store", m.Write((peer.record,)))
        else:
            self.tell("store", m.Write((), (r.PEER.key(peer.key),)))
        for number, data in waiting.items():
            self._undelivered(peer, number, data, peer.reason)

    def _undelivered(self, peer: Peer, number: int, data: bytes, reason: str) -> None:
        self.tell("scheduler", m.Undelivered(number, peer.source, reason, data))

    def _say(self, peer: Peer, said: reliable.Said) -> None:
        if self._subscribed:
            where = peer.source.agent_id, peer.source.executor_id
            self.tell("connection", m.SendMessage(*where, pack(said)))

    def _peer(self, agent_id: AgentId, executor_id: ExecutorId) -> Peer:
        known = self._peers.get((agent_id, executor_id))
        if known is None:
            source = m.source_of(agent_id, executor_id)
            known = self._peers[agent_id, executor_id] = Peer(source)
        return known
