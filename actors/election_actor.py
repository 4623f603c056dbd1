"""Which of several processes leads their framework, where they share a store: one at a time, for as long as its lease holds.

The leader holds a key under a lease, which it renews all the time; the others wait for the key to go. All that is written is
conditional on the key's version (its epoch), so a leader that woke up late writes nothing. And the election tells connection and
server until when the lease certainly holds, counted from before it was asked for; they look at the clock, which goes on while a
process is stopped, so it sends and answers nothing either. What a leader remembers ends with its lead: the root stops the
store and the scheduler, and starts new ones when it is elected again.

Every call to the servers is made in a thread that does nothing else, so that no other blocking work delays a renewal.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple

import msgspec

from actors import messages as m
from actors.framework_settings import Composition
from actors.runtime import Actor, DecodeError, Secret, message, receive, unpack_value
from actors.runtime.state_machine import Machine
from actors.states import ELECTION, ElectionAction, ElectionEvent, ElectionState
from actors.store.backends import StorageError, described, who_we_are
from actors.store.coordination import (
    ABSENT,
    ENDED,
    LEADER,
    TOKEN,
    Batch,
    ConflictError,
    Coordinator,
    LeaseLostError,
    Versioned,
)

logger = logging.getLogger("actors.election")

S, E = ElectionState, ElectionEvent
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

GATES = ("connection", "server")
"""The actors that send nothing and answer nothing after the time that `Leading` tells them."""
GRACE = 2.0
"""Seconds beyond the lease in which a standby has taken over, and for which one that is not to stand by waits."""
MARGIN = 0.05  # of the lease: clocks that do not run alike, and the time from looking at the clock to sending
RENEWALS = 3  # in the time of one lease
SLICE = 1.0  # seconds of one wait for the leader's key, so that this process can be asked to end in between
SAY_AGAIN = 60.0  # seconds


@message
class Step:
    """Go on with the election; one of an earlier step is void."""

    number: int


class ElectionActor(Actor):
    """Stands for election, and keeps the lead; see the head of this module.

    Args:
        token: what executors are to show when they upload, unless an earlier leader has drawn one.
    """

    def __init__(self, composition: Composition, lease: float, token: Secret) -> None:
        assert composition.coordinate is not None
        self._connect: Callable[[], Coordinator] = composition.coordinate
        self._stands_by = composition.framework.standby
        self._lease = lease
        self._token = token
        self._life = Machine(ELECTION)
        self._thread = ThreadPoolExecutor(1, "election")
        self._coordinator: Coordinator | None = None
        self._epoch = ABSENT  # the key's version: ours while we lead, the leader's while we follow
        self._until = 0.0
        self._end_before: int | None = None  # the version of how a framework ended before this process came
        self._leader = ""  # who leads, in words, while it is another
        self._since = 0.0  # when this process began to stand for election
        self._followed = False  # whether another one has led since
        self._steps = 0
        self._told = 0.0  # when something was last said of waiting
        self._reached = False  # whether the servers have ever answered
        self._silent = False  # whether it was said that the lease could not be renewed in time
        self._reason = ""
        self._outcome = m.Outcome(0, "")

    @property
    def state(self) -> ElectionState:
        return self._life.state

    def on_start(self) -> None:
        """Stand for election."""
        self._since = self.clock.now()
        self._step()

    async def on_stop(self) -> None:
        """Resign, so that another process takes over at once."""
        if self._coordinator is not None:
            await self._in_own_thread(
                _resign, self._coordinator, self._epoch if self.state is S.LEADING else None
            )
        self._thread.shutdown(wait=False)

    @receive
    async def handle_step(self, due: Step) -> None:
        """Do what the state asks for; the servers are asked in a thread, and nothing else happens meanwhile."""
        if due.number != self._steps:
            return
        try:
            await _STEPS[self.state](self)
        except LeaseLostError as error:
            self._lost(str(error))
        except StorageError as error:
            self._away(str(error))

    @receive
    def handle_fenced(self, fenced: m.Fenced) -> None:
        if self.state is S.LEADING and fenced.epoch == self._epoch:
            self._lost(fenced.reason)

    @receive
    async def handle_ask_leading(self, asked: m.AskLeading) -> m.Leading:
        """Renew at once (StorageError: this process does not lead in that epoch, or cannot be sure that it does)."""
        if self.state is S.LEADING and asked.epoch == self._epoch:
            try:
                await self._renew()
            except LeaseLostError as error:
                self._lost(str(error))
                raise
            return m.Leading(self._epoch, self._until)
        raise LeaseLostError("this process leads no more")

    # --- the steps --------------------------------------------------------------------------------------------

    async def _stand(self) -> None:
        if self._coordinator is None:
            fresh = self._connect()
            await self._in_own_thread(fresh.open)
            self._coordinator = fresh
        held, ended = await self._in_own_thread(_look, self._coordinator)
        self._reached = True
        if self._end_before is None:
            self._end_before = ended.version if ended is not None else ABSENT
        if ended is not None and ended.version != self._end_before:
            self._outcome = _outcome_of(ended)
            self._apply(E.FRAMEWORK_ENDED)
            return
        if held is None:
            asked = self.clock.now()
            try:
                self._epoch, seconds, token = await self._in_own_thread(
                    _take, self._coordinator, self._lease, self._end_before, self._token.reveal()
                )
            except ConflictError:  # another one was faster
                self._step()
                return
            self._until = asked + seconds * (1 - MARGIN)
            self._token = Secret(token)
            self._apply(E.WON)
            return
        self._epoch, self._leader, self._followed = held.version, described(held.value), True
        self._apply(E.BEATEN)

    async def _follow(self) -> None:
        assert self._coordinator is not None
        if await self._in_own_thread(self._coordinator.wait, LEADER, self._epoch, SLICE):
            self._apply(E.MOVED)
            return
        self._see_if_patient()

    async def _renew(self) -> None:
        assert self._coordinator is not None
        asked = self.clock.now()
        seconds = await self._in_own_thread(_extend, self._coordinator, self._lease, self._epoch)
        self._until = asked + seconds * (1 - MARGIN)
        if self._silent:
            self._silent = False
            logger.warning("the store answers again, and this process still leads: it goes on")
        self._tell_gates(self._until)
        self._step(max(0.0, asked + self._lease / RENEWALS - self.clock.now()))

    def _see_if_patient(self) -> None:
        """Go on waiting, unless this process is not to stand by and the leader is not just an old one that was killed."""
        waited = self.clock.now() - self._since
        if waited < self._lease + GRACE or (self._stands_by and self._reached):
            if self.state is S.FOLLOWING and self.clock.now() >= self._told + SAY_AGAIN:
                self._say_who_leads()
            self._step(0.0 if self.state is S.FOLLOWING else self._pause)
            return
        self._outcome = m.Outcome(
            2,
            f"another process leads this framework: {self._leader}. To have this one wait, and take over from it, set "
            "standby = true in [framework]"
            if self.state is S.FOLLOWING
            else self._reason,
        )
        self._apply(E.PATIENCE_OVER)

    # --- carrying the table out -------------------------------------------------------------------------------

    def _apply(self, event: ElectionEvent) -> None:
        _, actions, _ = self._life.on(event)
        for action in actions:
            _CARRY_OUT[action](self)

    def _lost(self, reason: str) -> None:
        self._reason = reason
        self._apply(E.LOST)

    def _away(self, reason: str) -> None:
        """The servers do not answer: say so once, or once a minute while nothing is led."""
        self._reason = reason
        now = self.clock.now()
        if self.state is S.LEADING:
            if now >= self._until and not self._silent:
                self._silent = True
                logger.error(
                    "the lease could not be renewed (%s): nothing is sent or acknowledged until the store answers",
                    reason,
                )
        elif not self._told or now >= self._told + SAY_AGAIN:
            self._told = now
            logger.warning("cannot stand for election (%s); trying on", reason)
        self._apply(E.AWAY)

    def _step_later(self) -> None:
        if self.state is S.STANDING and not self._reached:
            self._see_if_patient()
        else:
            self._step(self._pause)

    def _disconnect(self) -> None:
        """Let go of the connection, and with it of the lease; its end is not waited for."""
        if self._coordinator is not None:
            self._thread.submit(self._coordinator.close)
            self._coordinator = None

    def _lead(self) -> None:
        waited = self.clock.now() - self._since
        logger.warning("this process leads the framework now (it has waited %.1f s)", waited)
        won = m.Won(self._epoch, self._until, waited, self._followed, self._token)
        self.tell("framework", won)
        self._step(self._lease / RENEWALS)

    def _say_who_leads(self) -> None:
        self._told = self.clock.now()
        logger.warning(
            "another process leads the framework: %s; this one %s",
            self._leader,
            "stands by"
            if self._stands_by
            else f"waits {self._lease + GRACE:g} s, should that one just have died",
        )

    def _depose(self) -> None:
        logger.error("this process leads the framework no more: %s", self._reason)
        self._tell_gates(0.0)
        self.tell("framework", m.Deposed(self._epoch, self._reason))
        self._since = self.clock.now()
        self._silent = self._followed = False

    def _give_up(self) -> None:
        if not self._outcome.exit_code:  # else it is said with the exit code
            logger.warning("%s", self._outcome.reason)
        self.tell("framework", self._outcome)

    @property
    def _pause(self) -> float:
        return min(1.0, self._lease / 10)

    def _tell_gates(self, until: float) -> None:
        for name in GATES:
            if self.system.find(name) is not None:
                self.tell(name, m.Leading(self._epoch, until))

    def _step(self, after: float = 0.0) -> None:
        self._steps += 1
        if after:
            self.timers.after(after, Step(self._steps))
        else:
            self.tell(self.actor_ref, Step(self._steps))

    async def _in_own_thread(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)


_STEPS: Mapping[ElectionState, Callable[[ElectionActor], Any]] = {
    S.STANDING: ElectionActor._stand,
    S.FOLLOWING: ElectionActor._follow,
    S.LEADING: ElectionActor._renew,
}
_CARRY_OUT: Mapping[ElectionAction, Callable[[ElectionActor], None]] = {
    ElectionAction.STEP: ElectionActor._step,
    ElectionAction.STEP_LATER: ElectionActor._step_later,
    ElectionAction.DISCONNECT: ElectionActor._disconnect,
    ElectionAction.LEAD: ElectionActor._lead,
    ElectionAction.FOLLOW: ElectionActor._say_who_leads,
    ElectionAction.DEPOSE: ElectionActor._depose,
    ElectionAction.GIVE_UP: ElectionActor._give_up,
}


# --- what runs in the thread ------------------------------------------------------------------------------------


def _look(coordinator: Coordinator) -> tuple[Versioned | None, Versioned | None]:
    """Who leads, and how the last framework ended; in this order, as a leader says how before it goes."""
    return coordinator.get(LEADER), coordinator.get(ENDED)


def _take(coordinator: Coordinator, lease: float, ended: int, token: str) -> tuple[int, float, str]:
    """Become the leader (ConflictError: another one is, or the framework has ended); the epoch, the lease, the token."""
    seconds = coordinator.lease(lease)
    batch = Batch(
        conditions={LEADER: ABSENT, ENDED: ended},
        puts={LEADER: msgspec.json.encode(who_we_are())},
        leased=frozenset({LEADER}),
    )
    epoch = coordinator.commit(batch)[LEADER]
    kept = coordinator.get(TOKEN)
    if kept is not None:
        return epoch, seconds, kept.value.decode()
    coordinator.commit(Batch({LEADER: epoch, TOKEN: ABSENT}, {TOKEN: token.encode()}))
    return epoch, seconds, token


def _extend(coordinator: Coordinator, lease: float, epoch: int) -> float:
    """Renew the lease, and see that the key is still ours (LeaseLostError): an operator may have deleted it."""
    seconds = coordinator.lease(lease)
    held = coordinator.get(LEADER)
    if held is None or held.version != epoch:
        raise LeaseLostError("the leader's key in the store is not this process's any more")
    return seconds


def _resign(coordinator: Coordinator, epoch: int | None) -> None:
    try:
        if epoch is not None:
            coordinator.commit(Batch({LEADER: epoch}, deletes=(LEADER,)))
    except StorageError as error:
        logger.warning("could not resign (%s): a standby takes over when the lease is over", error)
    finally:
        coordinator.close()


def _outcome_of(ended: Versioned) -> m.Outcome:
    try:
        outcome = unpack_value(m.Outcome, ended.value)
    except DecodeError as error:
        return m.Outcome(1, f"the framework has ended; how cannot be read: {error}")
    return m.Outcome(outcome.exit_code, f"the framework has ended: {outcome.reason}")
