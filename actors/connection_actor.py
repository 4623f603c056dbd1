"""The one actor that talks to the master: owns the subscription, sends every call, hands events on.

Each attempt to subscribe has a number. A background coroutine opens the stream and posts what happens to the actor's own
mailbox, marked with that number; what belongs to an older attempt is dropped.

A failed call is reported to the actor that sent it and ends nothing; only TEARDOWN asked by the author, and a master that
refuses for good, end the framework; TEARDOWN is repeated until it is answered or its time is over, and its outcome is told;
every failure to connect is followed by a wait (exponential, full jitter), so a refusing master never sees a storm. Sources:
Mesos documentation, "Scheduler HTTP API".

Where several processes share a store, only the leader may speak: from the time on before which its lease certainly holds,
nothing is written to a socket, whatever waits to be; the subscription is given up, and comes back when the lease is renewed.
Each SUBSCRIBE, which would take the framework away from another leader, is preceded by a renewal of the lease.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from actors import messages as m
from actors.connection.calls import RULES, CallEnded, Fate, KeptCallsDue, Outbox, UpdateTaken
from actors.connection.detector import Detector, LeaderFound, LeaderLost, detector_for
from actors.framework_settings import Composition, seconds
from actors.runtime import Actor, Backoff, Timer, carrier, message, receive, setting
from actors.runtime.state_machine import Machine
from actors.states import CONNECTION, ConnectionAction, ConnectionEvent, ConnectionState
from mesos_http import (
    CallPipeline,
    Endpoint,
    NotSent,
    Peer,
    Response,
    StreamBroken,
    Subscription,
    Timeouts,
    TransportError,
    who_answers,
)
from mesos_v1 import events
from mesos_v1.content import serialize
from mesos_v1.errors import ApiError, BadEvent, ContentError, classify
from mesos_v1.values import AgentId, FrameworkId, Offer

logger = logging.getLogger("actors.connection")

S, E = ConnectionState, ConnectionEvent

TEARDOWN_PATIENCE = 5.0
"""Seconds that one TEARDOWN, and each step on the way to the next one, may take while the framework ends."""
TEARDOWN_PAUSE = 2.0  # upper bound, in seconds, of the waits between attempts while the framework ends

API_PATH = "/api/v1/scheduler"


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How patient the connection is."""

    missed_heartbeats: float = setting(
        5.0, help="How many announced heartbeat intervals of silence mean that the master is gone."
    )
    subscribe_timeout: float = seconds(15.0, help="Longest wait for an answer to SUBSCRIBE.")
    connect_timeout: float = seconds(5.0, help="Longest wait for a connection.")
    backoff: float = seconds(0.5, help="Upper bound of the first wait before a new attempt.")
    backoff_cap: float = seconds(30.0, help="Upper bound of every wait before a new attempt.")
    stable_after: float = seconds(
        10.0, help="How long a subscription must have lasted for the waits to start small again."
    )
    teardown_timeout: float = seconds(
        30.0,
        help="How long TEARDOWN is repeated until a master answers it; after that the framework ends with a failure.",
    )
    max_in_flight: int = setting(1024, help="Calls that may be on their way at once.")


@message
class StreamOpened:
    """The attempt was answered with 200."""

    attempt: int
    endpoint: str
    stream_id: str


@message
class RecordsArrived:
    """Records of an attempt's stream, in order."""

    attempt: int
    records: tuple[bytes, ...] = carrier(lambda records: [m.size_only(record) for record in records])


@message
class StreamEnded:
    """The attempt's stream is over, or never came to be."""

    attempt: int
    reason: str
    fatal: bool = False


@message
class TeardownEnded:
    """TEARDOWN was answered, or (status 0) was not."""

    attempt: int
    status: int
    reason: str


@message
class RetryDue:
    """Time for the next attempt."""

    attempt: int


@message
class WatchdogDue:
    """Time to see whether the stream still lives."""

    attempt: int


@message
class LeaseDue:
    """Time to see whether this process may still speak."""


@message
class TeardownOverdue:
    """Nobody will answer TEARDOWN any more."""

    number: int


class ConnectionActor(Actor):
    """Keeps the framework subscribed and carries its calls; see the head of this module."""

    Settings = ConnectionSettings

    def __init__(self, composition: Composition, settings: ConnectionSettings) -> None:
        self.framework = composition.framework
        self.settings = settings
        self._life = Machine(CONNECTION)
        self._calls = Outbox(self, composition)
        self._offers_to = "offers"
        self._agents: dict[AgentId, tuple[str, str]] = {}
        self._detector: Detector | None = None
        self._leader = ""
        self._reason = "not subscribed yet"
        self._failures = 0
        self._flaps = 0
        self._subscribed_at = 0.0
        self._subscribed_before = False
        self._heartbeat_interval = 0.0
        self._last_heard = 0.0
        self._reader: asyncio.Task[None] | None = None
        self._teardown_wanted = False
        self._teardowns = 0
        self._teardown_until = 0.0
        self._gone = False
        self._coming_back = False
        self._leadership = composition.leadership
        self._leads_until = math.inf if self._leadership is None else self._leadership.until
        self._lease_timer: Timer | None = None

    @property
    def state(self) -> ConnectionState:
        return self._life.state

    @property
    def framework_id(self) -> FrameworkId | None:
        return self._calls.framework_id

    @property
    def _attempt(self) -> int:
        return self._calls.attempt

    def on_start(self) -> None:
        """Report that a connection has started; the scheduler answers with `Connect`."""
        if self._leadership is not None:
            self.handle_lease_due(LeaseDue())
        self.tell("scheduler", m.ActorStarted("connection"))

    def on_stop(self) -> None:
        """Close the stream without a word: the master keeps the framework for its failover timeout."""
        self._close()
        if self._detector is not None:
            self._detector.stop()

    @receive
    def handle_connect(self, asked: m.Connect) -> None:
        if self.state in {S.IDLE, S.ENDED}:
            self._calls.framework_id = asked.framework_id
            self._offers_to = asked.offers_to
            self._subscribed_before = asked.framework_id is not None
            if self.state is S.ENDED:
                self._teardown_wanted = self._gone = False
            nothing_to_end = self._teardown_wanted and asked.framework_id is None
            self._apply(E.TEARDOWN_ANSWERED if nothing_to_end else E.CONNECT_ASKED)

    @receive
    def handle_teardown(self, _asked: m.Teardown) -> None:
        """End the framework: as soon as a master answers TEARDOWN, or says that it does not know the framework."""
        if not self._teardown_wanted:
            self._teardown_wanted = True
            self._teardowns += 1
            self._teardown_until = self.clock.now() + self.settings.teardown_timeout
            self.timers.after(self.settings.teardown_timeout, TeardownOverdue(self._teardowns))
        unknown = self.framework_id is None and self.state in {S.DETECTING, S.DISCONNECTED}
        if unknown or (self.state is S.ENDED and self._gone):
            self._apply(E.TEARDOWN_ANSWERED)
        else:
            self._apply(E.TEARDOWN_ASKED)

    @receive
    def handle_leader_found(self, found: LeaderFound) -> None:
        if found.url != self._leader or self.state not in {S.SUBSCRIBED, S.ENDING}:
            self._leader = found.url
            self._apply(E.LEADER_FOUND)

    @receive
    def handle_leader_lost(self, _lost: LeaderLost) -> None:
        self._apply(E.LEADER_LOST)

    # --- whether this process may speak -----------------------------------------------------------------------

    def leads(self) -> bool:
        """Whether the lease certainly holds, if there is one; asked before anything is written."""
        return self._leads_until == math.inf or self.clock.now() < self._leads_until

    @receive
    def handle_leading(self, leading: m.Leading) -> None:
        """The lease was renewed; a subscription that was given up comes back."""
        if self._leadership is None or leading.epoch != self._leadership.version:
            return
        was_over, self._leads_until = not self.leads(), leading.until
        if self.leads() and was_over:
            self.handle_lease_due(LeaseDue())
            self._apply(E.RETRY_DUE)
        elif not self.leads():
            self._give_way()

    @receive
    def handle_lease_due(self, _due: LeaseDue) -> None:
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        if self.leads():
            self._lease_timer = self.timers.after(self._leads_until - self.clock.now(), LeaseDue())
        else:
            self._give_way()

    def _give_way(self) -> None:
        self._break("this process may lead no more")

    # --- what the present attempt says ------------------------------------------------------------------------

    @receive
    def handle_stream_opened(self, opened: StreamOpened) -> None:
        """200: the calls go where the stream came from in the end, and carry its id."""
        if opened.attempt != self._attempt:
            return
        self._calls.pipeline = self.open_pipeline(Endpoint.parse(opened.endpoint), opened.stream_id)
        self._apply(E.OPENED)

    @receive
    def handle_records_arrived(self, arrived: RecordsArrived) -> None:
        """Decode events and hand them on; a record that cannot be read ends the stream, never the framework."""
        if arrived.attempt != self._attempt or self._reader is None:
            return
        self._last_heard = self.clock.now()
        for record in arrived.records:
            try:
                event = events.parse(record, self._calls.content)
            except ContentError as error:
                self._break(f"an event that cannot be read: {error}")
                return
            except BadEvent as error:
                logger.warning("an event was skipped: %s", error)
                continue
            if isinstance(event, events.Subscribed):
                self._subscribed(event)
            elif isinstance(event, events.Error):
                self._refused(event.message, gone=event.framework_gone)
                return
            else:
                self._hand_on(event)

    @receive
    def handle_stream_ended(self, ended: StreamEnded) -> None:
        if ended.attempt != self._attempt:
            return
        if ended.fatal:
            self._refused(ended.reason)
        else:
            self._break(ended.reason)

    @receive
    def handle_retry_due(self, due: RetryDue) -> None:
        if due.attempt == self._attempt:
            self._apply(E.RETRY_DUE)

    @receive
    def handle_watchdog_due(self, due: WatchdogDue) -> None:
        """Reconnect when nothing was heard for too long, whatever TCP believes."""
        if due.attempt != self._attempt or self._reader is None:
            return
        left = self._last_heard + self._patience() - self.clock.now()
        if left > 0:
            self.timers.after(left, WatchdogDue(self._attempt))
            return
        self._reason = f"nothing was heard from the master for {self._patience():g} s"
        self._apply(E.SILENT)

    @receive
    def handle_teardown_ended(self, ended: TeardownEnded) -> None:
        """The framework is gone; or TEARDOWN must be sent again; or the master does not accept it from us."""
        if ended.attempt != self._attempt or self.state is not S.ENDING:
            return
        if 200 <= ended.status < 300:
            self._apply(E.TEARDOWN_ANSWERED)
            return
        answered = f"TEARDOWN was answered {ended.status}: " if ended.status else ""
        self._reason = answered + ended.reason
        meaning = classify(ended.status, ended.reason)
        if not ended.status or meaning.retryable or meaning.not_leader or meaning.subscription_lost:
            left = self._teardown_until - self.clock.now()
            logger.warning("TEARDOWN was not taken (%s); it is repeated for %.0f s more", self._reason, left)
            self._apply(E.TEARDOWN_FAILED)
        else:
            self._apply(E.REFUSED)

    @receive
    def handle_teardown_overdue(self, due: TeardownOverdue) -> None:
        if due.number == self._teardowns and self._teardown_wanted:
            self._apply(E.TEARDOWN_TIMED_OUT)

    # --- calls --------------------------------------------------------------------------------------------------

    @receive
    def handle_call(self, call: m.Call) -> None:
        sender = self.sender.name if self.sender is not None else ""
        call = self._calls.completed(call)
        if not self.leads():
            self._give_way()
        if self.state is S.SUBSCRIBED:
            self._calls.send(call, sender)
        elif self.state in {S.ENDED, S.ENDING}:
            self._calls.report(call, sender, f"the framework has ended: {self._reason}")
        else:
            self._calls.put_off(call, sender, self._reason, uncertain=False)

    @receive
    def handle_call_ended(self, ended: CallEnded) -> None:
        """A call was not taken: report it or keep it; the subscription ends only if the answer says that it has."""
        meaning = classify(ended.status, ended.reason)
        if not ended.status:
            self._calls.put_off(ended.call, ended.sender, self._reason, uncertain=ended.sent)
            self._calls.send_kept_later(0.1 if ended.sent else 1.0)
        elif meaning.subscription_lost or meaning.not_leader:
            self._calls.put_off(ended.call, ended.sender, self._reason, uncertain=False)
            if ended.attempt == self._attempt:
                self._break(f"a call was answered {ended.status}: {ended.reason}")
        elif meaning.retryable and RULES[type(ended.call)].fate is Fate.KEPT:
            self._calls.keep(ended.call, ended.sender)
            self._calls.send_kept_later(1.0)
        else:
            self._calls.report(ended.call, ended.sender, ended.reason, ended.status)

    @receive
    def handle_kept_calls_due(self, due: KeptCallsDue) -> None:
        if due.attempt == self._attempt and self.state is S.SUBSCRIBED:
            self._calls.send_kept()

    @receive
    def handle_update_taken(self, taken: UpdateTaken) -> None:
        self._calls.taken(taken.call)

    # --- carrying the table out -------------------------------------------------------------------------------

    def _apply(self, event: ConnectionEvent) -> None:
        before = self.state
        state, actions, ignored = self._life.on(event)
        if not ignored:
            logger.debug("%s: %s -> %s", event.value, before.value, state.value)
            # At the end of the framework, or of the lead, calls that come to nothing are expected.
            over = state in {S.ENDING, S.ENDED} or not self.leads()
            self._calls.level = logging.DEBUG if over else logging.WARNING
        for action in actions:
            _CARRY_OUT[action](self)

    def _detect(self) -> None:
        if self._detector is None:
            self._detector = detector_for(self.framework, self)
        self._detector.detect()

    def _open(self) -> None:
        self._calls.attempt += 1
        try:
            endpoint = endpoint_of(self._leader)
            body = serialize(self._calls.subscribe(), self._calls.content)
        except (ValueError, ContentError) as error:
            self.tell(self.actor_ref, StreamEnded(self._attempt, str(error), fatal=True))
            return
        attempt = self._attempt
        reading = self._read_stream(attempt, endpoint, body)
        self._reader = self.run_in_background(reading, name=f"subscription {attempt}")

    async def _read_stream(self, attempt: int, endpoint: Endpoint, body: bytes) -> None:
        """Make one attempt to subscribe, beside the actor's turns: open the stream and post all that it says, to its end.

        Nothing of the actor is touched from here but its mailbox and how it opens streams; cancelling this closes the stream.
        """
        tell = self.actor_ref.tell
        try:
            await self._confirm_lead()
            stream = await self.open_stream(endpoint, body)
        except ApiError as error:
            never = not (error.retryable or error.not_leader or error.status == 404)
            if error.retryable or error.not_leader or error.unauthorized:
                tell(StreamEnded(attempt, f"{endpoint}: {error}", fatal=never))
            else:
                tell(await self._explained(attempt, endpoint, str(error), fatal=never))
            return
        except TransportError as error:
            said = f"{endpoint}: {error}"
            if "not an HTTP response" in said:
                said = f"{endpoint.authority} does not speak HTTP, as a Mesos master does ({error}): is it the right port?"
            tell(StreamEnded(attempt, said))
            return
        try:
            if not stream.stream_id:
                said = "it answered SUBSCRIBE without a Mesos-Stream-Id"
                tell(await self._explained(attempt, stream.endpoint, said, fatal=True))
                return
            tell(StreamOpened(attempt, str(stream.endpoint), stream.stream_id))
            async for records in stream.batches():
                tell(RecordsArrived(attempt, records))
            tell(StreamEnded(attempt, "the stream was closed"))
        except StreamBroken as broken:
            tell(StreamEnded(attempt, broken.reason))
        finally:
            stream.close()

    async def _confirm_lead(self) -> None:
        """Have the lease renewed (NotSent: it is not)."""
        if self._leadership is None:
            return
        try:
            await self.ref("election").ask(m.AskLeading(self._leadership.version), block=False)
        except Exception as error:
            raise NotSent(str(error)) from None

    async def _explained(self, attempt: int, asked: Endpoint, error: str, *, fatal: bool) -> StreamEnded:
        """Say what is wrong with the address, where that is what is wrong; another one of a list may be right."""
        peer = await self.identify(asked)
        if peer is None or peer is Peer.MASTER:
            return StreamEnded(attempt, f"{asked}: {error}", fatal)
        masters = self.framework.masters()
        only_one = len(masters) == 1 and not masters[0].startswith("zk://")
        mend = "give the address of the master (its port is 5050, unless set otherwise)"
        said = f"{asked.authority} is {peer.value}: {mend}. It said: {error}"
        return StreamEnded(attempt, said, fatal=only_one and (fatal or peer is Peer.AGENT))

    async def identify(self, endpoint: Endpoint) -> Peer | None:
        """Find out who answers there; a seam for transports of another kind."""
        return await who_answers(endpoint, tls=self.framework.tls, seconds=self.settings.connect_timeout)

    async def open_stream(self, endpoint: Endpoint, body: bytes) -> Subscription:
        """Open the subscription's stream; a seam for transports of another kind."""
        waits = self.settings.connect_timeout, self.settings.subscribe_timeout
        masters = [master for master in self.framework.masters() if not master.startswith("zk://")]
        return await Subscription.open(
            endpoint,
            body,
            content_type=self._calls.content.value,
            timeouts=Timeouts(*map(self._in_time, waits)),
            tls=self.framework.tls,
            credentials=self.framework.credentials,
            trusted=frozenset(endpoint_of(master).host for master in masters),
            may_write=self.leads,
        )

    def open_pipeline(self, endpoint: Endpoint, stream_id: str) -> CallPipeline:
        """Make the connection that calls go over; a seam for transports of another kind."""
        return CallPipeline(
            endpoint,
            headers=(("Mesos-Stream-Id", stream_id),),
            tls=self.framework.tls,
            credentials=self.framework.credentials,
            max_in_flight=self.settings.max_in_flight,
            timeouts=Timeouts(self.settings.connect_timeout, self.settings.subscribe_timeout),
            may_write=self.leads,
        )

    def _await_subscribed(self) -> None:
        self._heartbeat_interval = 0.0
        self._last_heard = self.clock.now()
        self.timers.after(self._patience(), WatchdogDue(self._attempt))

    def _subscribed(self, event: events.Subscribed) -> None:
        self._calls.framework_id = event.framework_id
        self._heartbeat_interval = event.heartbeat_interval
        self._subscribed_at = self.clock.now()
        news = m.Subscribed(
            event.framework_id,
            event.heartbeat_interval,
            event.master,
            reregistered=self._subscribed_before,
            suppressed_roles=tuple(sorted(self._calls.suppressed)),
        )
        self._subscribed_before = True
        if self._teardown_wanted:  # nothing is to begin any more; the id is worth remembering
            self.tell("scheduler", news)
        else:
            self._tell_all(news)
        self._apply(E.SUBSCRIBED)

    def _hand_on(self, event: events.SchedulerEvent) -> None:
        where = m.ROUTES.get(type(event))
        if where is not None:
            if isinstance(event, events.Offers) and self._offers_to == "offers":
                self._see_agents(event.offers)
            self.tell(self._offers_to if where == "offers" else where, event)
        elif isinstance(event, events.Failure):
            if event.executor_id is not None and event.agent_id is not None:
                status = -1 if event.status is None else event.status
                self.tell("scheduler", m.ExecutorLost(event.agent_id, event.executor_id, status))
            elif event.agent_id is not None:
                self.tell("scheduler", m.AgentLost(event.agent_id))
        elif isinstance(event, events.Unknown):
            logger.warning("ignoring an event of unknown type: %s", event.type_name)

    def _see_agents(self, offers: tuple[Offer, ...]) -> None:
        """Tell where agents answer, once per agent: what failed there is read from there."""
        told = ((offer.agent_id, offer.hostname, offer.url) for offer in offers)
        new = tuple(each for each in told if self._agents.get(each[0]) != each[1:])
        if new:
            self._agents.update((agent_id, (hostname, url)) for agent_id, hostname, url in new)
            self.tell("failures", m.AgentsSeen(offers[0].framework_id, new))

    def _tell_all(self, news: m.Subscribed | m.Disconnected) -> None:
        """Tell the actor that gets the offers, then the scheduler, if that is another one."""
        for name in dict.fromkeys((self._offers_to, "scheduler")):
            self.tell(name, news)

    def _announce(self) -> None:
        self.timers.after(self._patience(), WatchdogDue(self._attempt))
        self._calls.send_kept()
        if self._teardown_wanted:
            self._apply(E.TEARDOWN_ASKED)

    def _close(self) -> None:
        self._calls.close()
        self._close_stream()
        self._reader = None

    def _close_stream(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    def _lose(self) -> None:
        logger.warning("the subscription is gone: %s", self._reason)
        self._tell_all(m.Disconnected(self._reason))

    def _back_off(self) -> None:
        if self._subscribed_at:  # what failed before that subscription is over; that it did not last counts
            if self.clock.now() - self._subscribed_at >= self.settings.stable_after:
                self._flaps = 0
            self._failures, self._flaps = self._flaps, self._flaps + 1
        self._subscribed_at = 0.0
        cap = self.settings.backoff_cap
        cap = min(TEARDOWN_PAUSE, cap) if self._teardown_wanted else cap
        self._failures += 1
        wait = self.ids.uniform(0.0, Backoff(self.settings.backoff, 2.0, cap).delay(self._failures))
        if self.leads():  # else `Leading` is what ends the wait
            logger.warning("not connected (%s); next attempt in %.1f s", self._reason, wait)
            self.timers.after(wait, RetryDue(self._attempt))
        if self._detector is not None:
            self._detector.failed()
        if self._teardown_wanted and self.framework_id is None:  # asked for during the attempt
            self._apply(E.TEARDOWN_ANSWERED)

    def _send_teardown(self) -> None:
        attempt = self._attempt
        answer = self._calls.post(m.Teardown())
        answer.add_done_callback(lambda done: self._teardown_sent(attempt, done))
        unanswered = TeardownEnded(attempt, 0, f"no answer to TEARDOWN within {TEARDOWN_PATIENCE:g} s")
        self.timers.after(TEARDOWN_PATIENCE, unanswered)

    def _teardown_sent(self, attempt: int, done: asyncio.Future[Response]) -> None:
        """Post the outcome to the actor's own mailbox; runs outside its turn, so it only tells."""
        if done.cancelled() or not self.actor_ref.is_alive():
            return
        error = done.exception()
        if error is not None:
            self.actor_ref.tell(TeardownEnded(attempt, 0, str(error)))
        else:
            answer = done.result()
            self.actor_ref.tell(TeardownEnded(attempt, answer.status, answer.text[:500]))

    def _report_error(self) -> None:
        if self._teardown_wanted:
            self._report_untold()
        else:
            self.tell("scheduler", m.FrameworkError(self._reason, self._gone, self._coming_back))

    def _report_teardown(self) -> None:
        self.tell("scheduler", m.TeardownDone())

    def _report_untold(self) -> None:
        self.tell("scheduler", m.TeardownDone(answered=False, reason=self._reason))

    def _break(self, reason: str) -> None:
        self._reason = reason
        self._apply(E.BROKE)

    def _refused(self, reason: str, *, gone: bool = False) -> None:
        self._reason, self._gone = reason, gone
        self._coming_back = self.state is not S.SUBSCRIBED
        self._apply(E.TEARDOWN_ANSWERED if gone and self._teardown_wanted else E.REFUSED)

    def _in_time(self, seconds: float) -> float:
        """While the framework ends, no single step may take all the time that there is."""
        return min(TEARDOWN_PATIENCE, seconds) if self._teardown_wanted else seconds

    def _patience(self) -> float:
        if self._heartbeat_interval > 0:
            return self._heartbeat_interval * self.settings.missed_heartbeats
        return self._in_time(self.settings.subscribe_timeout)


_CARRY_OUT: Mapping[ConnectionAction, Callable[[ConnectionActor], None]] = {
    action: getattr(ConnectionActor, f"_{action.name.lower()}") for action in ConnectionAction
}


def endpoint_of(master: str) -> Endpoint:
    """Return the scheduler API's address on a master given as `host:port` or as a URL, with or without a path (ValueError)."""
    endpoint = Endpoint.parse(master if "://" in master else f"http://{master}")
    return endpoint.with_path(API_PATH) if endpoint.path in {"", "/"} else endpoint
