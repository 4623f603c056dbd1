"""The one actor that talks to the master: owns the subscription, sends every call, hands events on as messages.

Theory of operation. Each attempt to subscribe has a number. A background coroutine opens the stream and posts what
happens to the actor's own mailbox, marked with that number; the actor drops what belongs to an older attempt, so
nothing that an old stream still says can be taken for news. What follows what is the table in `connection/states.py`;
which call survives a disconnection is the table in `call_table`; how HTTP works is `mesos_http`'s business.

Guarantees: a failed call is reported to the actor that sent it and ends nothing; only TEARDOWN asked by the author, and
a master that refuses for good, end the framework; TEARDOWN is repeated until it is answered or its time is over, and what
came of it is told; every failure to connect is followed by a wait (exponential, full jitter), so a refusing master never
sees a storm. Sources: Mesos documentation, "Scheduler HTTP API".
"""

from __future__ import annotations

import asyncio
import logging

from actors import messages as m
from actors.connection.calls import ConnectionCalls
from actors.connection.detector import Detector, detector_for
from actors.connection.event_routes import EventRouter
from actors.connection.framework_info import subscribe_call
from actors.connection.leader import LeaderFound, LeaderLost
from actors.connection.parts import (
    ConnectionSettings,
    RecordsArrived,
    RetryDue,
    StreamEnded,
    StreamOpened,
    TeardownEnded,
    TeardownOverdue,
    WatchdogDue,
    endpoint_of,
)
from actors.connection.states import Action, ConnectionEvent, ConnectionState
from actors.runtime import receive
from actors.settings import Composition
from mesos_http import (
    CallPipeline,
    Credentials,
    Endpoint,
    Peer,
    Response,
    StreamBroken,
    Subscription,
    Timeouts,
    TlsSettings,
    TransportError,
    who_answers,
)
from mesos_v1 import events
from mesos_v1.content import serialize
from mesos_v1.errors import ApiError, BadEvent, ContentError, classify

logger = logging.getLogger("actors.connection")

S, E = ConnectionState, ConnectionEvent

NOT_HTTP = "not an HTTP response"
TEARDOWN_PATIENCE = 5.0
"""Seconds that one TEARDOWN, and each step on the way to the next one, may take while the framework ends."""
TEARDOWN_PAUSE = 2.0
"""Upper bound, in seconds, of the waits between attempts while the framework ends."""


class ConnectionActor(ConnectionCalls):
    """Keeps the framework subscribed and carries its calls; see the head of this module."""

    Settings = ConnectionSettings

    def __init__(self, composition: Composition, settings: ConnectionSettings) -> None:
        super().__init__(composition)
        self.settings = settings
        self.stream_id = ""
        self._router = EventRouter(self)
        self._detector: Detector | None = None
        self._leader = ""
        self._failures = 0
        self._flaps = 0
        self._subscribed_at = 0.0
        self._subscribed_before = False
        self._heartbeat_interval = 0.0
        self._last_heard = 0.0
        self._stream: Subscription | None = None
        self._reader: asyncio.Task[None] | None = None
        self._teardown_wanted = False
        self._teardowns = 0
        self._teardown_until = 0.0
        self._gone = False
        self._coming_back = False

    # --- what others ask --------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Say that a connection is there (again); the scheduler answers with `Connect`."""
        self.tell("scheduler", m.ActorStarted("connection"))

    def on_stop(self) -> None:
        """Close the stream without a word: the master keeps the framework for its failover timeout."""
        self._close()
        if self._detector is not None:
            self._detector.stop()

    @receive
    def handle_connect(self, asked: m.Connect) -> None:
        """Begin to subscribe, as a framework that was there before if an id is given."""
        if self.state in {S.IDLE, S.ENDED}:
            self.framework_id = asked.framework_id
            self._router.offers_to = asked.offers_to
            self._subscribed_before = asked.framework_id is not None
            if self.state is S.ENDED:
                self._teardown_wanted = self._gone = False
            nothing_to_end = self._teardown_wanted and asked.framework_id is None
            self._happen(E.TEARDOWN_ANSWERED if nothing_to_end else E.CONNECT_ASKED)

    @receive
    def handle_teardown(self, _asked: m.Teardown) -> None:
        """End the framework: as soon as a master answers TEARDOWN, or says that there is no such framework."""
        if not self._teardown_wanted:
            self._teardown_wanted = True
            self._teardowns += 1
            self._teardown_until = self.clock.now() + self.settings.teardown_timeout
            self.timers.after(self.settings.teardown_timeout, TeardownOverdue(self._teardowns))
        never_was = self.framework_id is None and self.state in {S.DETECTING, S.DISCONNECTED}
        if never_was or (self.state is S.ENDED and self._gone):
            self._happen(E.TEARDOWN_ANSWERED)
        else:
            self._happen(E.TEARDOWN_ASKED)

    # --- leader detection -------------------------------------------------------------------------------------

    @receive
    def handle_leader_found(self, found: LeaderFound) -> None:
        """Somebody leads; when it is somebody else, go there."""
        if found.url != self._leader or self.state not in {S.SUBSCRIBED, S.ENDING}:
            self._leader = found.url
            self._happen(E.LEADER_FOUND)

    @receive
    def handle_leader_lost(self, _lost: LeaderLost) -> None:
        """Nobody leads for now."""
        self._happen(E.LEADER_LOST)

    # --- what the present attempt says ------------------------------------------------------------------------

    @receive
    def handle_stream_opened(self, opened: StreamOpened) -> None:
        """200: the calls go where the stream came from in the end, and carry its id."""
        if opened.attempt != self._attempt:
            return
        self.stream_id = opened.stream_id
        self._pipeline = self.open_pipeline(Endpoint.parse(opened.endpoint), opened.stream_id)
        self._happen(E.OPENED)

    @receive
    def handle_records_arrived(self, arrived: RecordsArrived) -> None:
        """Decode events and hand them on; a record that cannot be read ends the stream, never the framework."""
        if arrived.attempt != self._attempt or self._stream is None:
            return
        self._last_heard = self.clock.now()
        for record in arrived.records:
            try:
                event = events.parse(record, self._content)
            except ContentError as error:
                self._break(f"an event that cannot be read: {error}")
                return
            except BadEvent as error:
                logger.warning("an event was skipped: %s", error)
                continue
            if isinstance(event, events.Subscribed):
                self._subscribed(event)
            elif isinstance(event, events.Error):
                self._refused(event.message)
                return
            else:
                self._router.route(event)

    @receive
    def handle_stream_ended(self, ended: StreamEnded) -> None:
        """The stream broke, or the master would not have us."""
        if ended.attempt != self._attempt:
            return
        if ended.fatal:
            self._refused(ended.reason)
        else:
            self._break(ended.reason)

    @receive
    def handle_retry_due(self, due: RetryDue) -> None:
        """Next attempt; or, with a negative number, calls that were kept although the subscription lives."""
        if due.attempt == self._attempt:
            self._happen(E.RETRY_DUE)
        elif due.attempt == -self._attempt and self.state is S.SUBSCRIBED:
            self._send_kept()

    @receive
    def handle_watchdog_due(self, due: WatchdogDue) -> None:
        """Reconnect when nothing was heard for too long, whatever TCP believes."""
        if due.attempt != self._attempt or self._stream is None:
            return
        left = self._last_heard + self._patience() - self.clock.now()
        if left > 0:
            self.timers.after(left, WatchdogDue(self._attempt))
            return
        self._why = f"nothing was heard from the master for {self._patience():g} s"
        self._happen(E.SILENT)

    @receive
    def handle_teardown_ended(self, ended: TeardownEnded) -> None:
        """The framework is gone; or TEARDOWN must be sent again; or the master does not accept it from us."""
        if ended.attempt != self._attempt or self.state is not S.ENDING:
            return
        if 200 <= ended.status < 300:
            self._happen(E.TEARDOWN_ANSWERED)
            return
        self._why = f"TEARDOWN was answered {ended.status}: {ended.reason}" if ended.status else ended.reason
        meaning = classify(ended.status, ended.reason)
        if not ended.status or meaning.retryable or meaning.not_leader or meaning.subscription_lost:
            left = self._teardown_until - self.clock.now()
            logger.warning("TEARDOWN was not taken (%s); it is repeated for %.0f s more", self._why, left)
            self._happen(E.TEARDOWN_FAILED)
        else:
            self._happen(E.REFUSED)

    @receive
    def handle_teardown_overdue(self, due: TeardownOverdue) -> None:
        """Give up telling the master."""
        if due.number == self._teardowns and self._teardown_wanted:
            self._happen(E.TEARDOWN_TIMED_OUT)

    # --- carrying the table out -------------------------------------------------------------------------------

    def _happen(self, event: ConnectionEvent) -> None:
        before = self.state
        state, actions, ignored = self._life.on(event)
        if not ignored:
            logger.debug("%s: %s -> %s", event.value, before.value, state.value)
        for action in actions:
            self._carry_out[action](self)

    def _detect(self) -> None:
        if self._detector is None:
            self._detector = detector_for(self.framework, self)
        self._detector.detect()

    def _open(self) -> None:
        self._attempt += 1
        try:
            endpoint = endpoint_of(self._leader)
            suppressed = tuple(sorted(self._suppressed))
            call = subscribe_call(self.framework, self.framework_id, suppressed, self._updated)
            body = serialize(call, self._content)
        except (ValueError, ContentError) as error:
            self.tell(self.actor_ref, StreamEnded(self._attempt, str(error), fatal=True))
            return
        self._reader = self.run_in_background(
            self._read(self._attempt, endpoint, body), name=f"subscription {self._attempt}"
        )

    async def _read(self, attempt: int, endpoint: Endpoint, body: bytes) -> None:
        """Open the stream and post everything it says; runs beside the actor and touches none of its state."""
        me = self.actor_ref
        try:
            stream = await self.open_stream(endpoint, body)
        except ApiError as error:
            never = not (error.retryable or error.not_leader or error.status == 404)
            if error.retryable or error.not_leader or error.unauthorized:
                me.tell(StreamEnded(attempt, f"{endpoint}: {error}", fatal=never))
            else:
                me.tell(await self._explained(attempt, endpoint, str(error), fatal=never))
            return
        except TransportError as error:
            said = f"{endpoint}: {error}"
            if NOT_HTTP in said:
                said = f"{endpoint.authority} does not speak HTTP, as a Mesos master does ({error}): is it the right port?"
            me.tell(StreamEnded(attempt, said))
            return
        if not stream.stream_id:
            stream.close()
            said = "it answered SUBSCRIBE without a Mesos-Stream-Id"
            me.tell(await self._explained(attempt, stream.endpoint, said, fatal=True))
            return
        try:
            if attempt == self._attempt:
                self._stream = stream
                me.tell(StreamOpened(attempt, str(stream.endpoint), stream.stream_id))
                async for records in stream.batches():
                    me.tell(RecordsArrived(attempt, records))
                me.tell(StreamEnded(attempt, "the stream was closed"))
        except StreamBroken as broken:
            me.tell(StreamEnded(attempt, broken.reason))
        finally:
            stream.close()

    async def _explained(self, attempt: int, endpoint: Endpoint, error: str, *, fatal: bool) -> StreamEnded:
        """Say what is wrong with the address, where that is what is wrong; another one of a list may be right."""
        peer = await self.identify(endpoint)
        if peer is None or peer is Peer.MASTER:
            return StreamEnded(attempt, f"{endpoint}: {error}", fatal)
        only_one = len(self.framework.masters()) == 1 and not self._leader_is_detected()
        mend = "give the address of the master (its port is 5050, unless set otherwise)"
        said = f"{endpoint.authority} is {peer.value}: {mend}. It said: {error}"
        return StreamEnded(attempt, said, fatal=only_one and (fatal or peer is Peer.AGENT))

    def _leader_is_detected(self) -> bool:
        return any(master.startswith("zk://") for master in self.framework.masters())

    async def identify(self, endpoint: Endpoint) -> Peer | None:
        """Find out who answers there; a seam for transports of another kind."""
        return await who_answers(endpoint, tls=self._tls(), seconds=self.settings.connect_timeout)

    async def open_stream(self, endpoint: Endpoint, body: bytes) -> Subscription:
        """Open the subscription's stream; a seam for transports of another kind."""
        media = self._content.value
        return await Subscription.open(
            endpoint,
            body,
            content_type=media,
            accept=media,
            timeouts=Timeouts(
                self._in_time(self.settings.connect_timeout), self._in_time(self.settings.subscribe_timeout)
            ),
            tls=self._tls(),
            credentials=self._credentials(),
            trusted=frozenset(
                endpoint_of(master).host
                for master in self.framework.masters()
                if not master.startswith("zk://")
            ),
        )

    def open_pipeline(self, endpoint: Endpoint, stream_id: str) -> CallPipeline:
        """Make the connection that calls go over; a seam for transports of another kind."""
        return CallPipeline(
            endpoint,
            headers=(("Mesos-Stream-Id", stream_id),),
            tls=self._tls(),
            credentials=self._credentials(),
            max_in_flight=self.settings.max_in_flight,
            timeouts=Timeouts(self.settings.connect_timeout, self.settings.subscribe_timeout),
        )

    def _await_subscribed(self) -> None:
        self._heartbeat_interval = 0.0
        self._last_heard = self.clock.now()
        self.timers.after(self._patience(), WatchdogDue(self._attempt))

    def _subscribed(self, event: events.Subscribed) -> None:
        self.framework_id = event.framework_id
        self._heartbeat_interval = event.heartbeat_interval
        self._subscribed_at = self.clock.now()
        news = m.Subscribed(
            event.framework_id,
            event.heartbeat_interval,
            event.master,
            reregistered=self._subscribed_before,
            suppressed_roles=tuple(sorted(self._suppressed)),
        )
        self._subscribed_before = True
        if self._teardown_wanted:  # nobody is to begin anything any more; the id is worth remembering
            self.tell("scheduler", news)
        else:
            self._router.subscribed(news)
        self._happen(E.SUBSCRIBED)

    def _announce(self) -> None:
        self.timers.after(self._patience(), WatchdogDue(self._attempt))
        self._send_kept()
        if self._teardown_wanted:
            self._happen(E.TEARDOWN_ASKED)

    def _close(self) -> None:
        """Drop the stream and the call connection; calls in flight come back as `CallEnded`."""
        if self._pipeline is not None:
            self._pipeline.close()
        if self._stream is not None:
            self._stream.close()
        if self._reader is not None:
            self._reader.cancel()
        self._pipeline = self._stream = self._reader = None
        self.stream_id = ""

    def _lose(self) -> None:
        logger.warning("the subscription is gone: %s", self._why)
        self._router.disconnected(m.Disconnected(self._why))

    def _back_off(self) -> None:
        if self._subscribed_at:  # what failed before that subscription is over; that it did not last counts
            if self.clock.now() - self._subscribed_at >= self.settings.stable_after:
                self._flaps = 0
            self._failures, self._flaps = self._flaps, self._flaps + 1
        self._subscribed_at = 0.0
        cap = (
            min(TEARDOWN_PAUSE, self.settings.backoff_cap)
            if self._teardown_wanted
            else self.settings.backoff_cap
        )
        bound = min(cap, self.settings.backoff * 2.0 ** min(self._failures, 32))
        self._failures += 1
        wait = self.ids.uniform(0.0, bound)
        logger.warning("not connected (%s); next attempt in %.1f s", self._why, wait)
        if self._detector is not None:
            self._detector.failed(self._leader)
        self.timers.after(wait, RetryDue(self._attempt))

    def _send_teardown(self) -> None:
        attempt = self._attempt
        answer = self._post(m.Teardown())
        answer.add_done_callback(lambda done: self._teardown_sent(attempt, done))
        unanswered = TeardownEnded(attempt, 0, f"no answer to TEARDOWN within {TEARDOWN_PATIENCE:g} s")
        self.timers.after(TEARDOWN_PATIENCE, unanswered)

    def _teardown_sent(self, attempt: int, done: asyncio.Future[Response]) -> None:
        """Post what became of it to the actor's own mailbox; runs outside its turn, so it only tells."""
        if done.cancelled() or not self.actor_ref.is_alive():
            return
        error = done.exception()
        if error is not None:
            self.actor_ref.tell(TeardownEnded(attempt, 0, str(error)))
        else:
            answer = done.result()
            self.actor_ref.tell(TeardownEnded(attempt, answer.status, answer.text[:500]))

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _report_error(self) -> None:
        if self._teardown_wanted:
            self._report_untold()
            return
        self.tell("scheduler", m.FrameworkError(self._why, self._gone, self._coming_back))

    def _report_teardown(self) -> None:
        self.tell("scheduler", m.TeardownDone())

    def _report_untold(self) -> None:
        self.tell("scheduler", m.TeardownDone(answered=False, reason=self._why))

    def _break(self, reason: str) -> None:
        self._why = reason
        self._happen(E.BROKE)

    def _refused(self, reason: str) -> None:
        self._why = reason
        self._gone = "removed" in reason.lower() or "not found" in reason.lower()
        self._coming_back = self.state is not S.SUBSCRIBED
        self._happen(E.TEARDOWN_ANSWERED if self._gone and self._teardown_wanted else E.REFUSED)

    # --- odds and ends ----------------------------------------------------------------------------------------

    def _in_time(self, seconds: float) -> float:
        """While the framework ends, no single step may take all the time that there is."""
        return min(TEARDOWN_PATIENCE, seconds) if self._teardown_wanted else seconds

    def _patience(self) -> float:
        if self._heartbeat_interval > 0:
            return self._heartbeat_interval * self.settings.missed_heartbeats
        return self._in_time(self.settings.subscribe_timeout)

    def _tls(self) -> TlsSettings:
        asked = self.framework
        return TlsSettings(asked.ca or None, asked.cert or None, asked.key or None, asked.verify_hostname)

    def _credentials(self) -> Credentials | None:
        if not self.framework.principal or not self.framework.secret:
            return None
        return Credentials(self.framework.principal, self.framework.secret)

    _carry_out = {  # noqa: RUF012 - a table of methods, never changed
        Action.DETECT: _detect,
        Action.OPEN: _open,
        Action.AWAIT_SUBSCRIBED: _await_subscribed,
        Action.ANNOUNCE: _announce,
        Action.CLOSE: _close,
        Action.LOSE: _lose,
        Action.BACK_OFF: _back_off,
        Action.CLOSE_STREAM: _close_stream,
        Action.SEND_TEARDOWN: _send_teardown,
        Action.REPORT_ERROR: _report_error,
        Action.REPORT_TEARDOWN: _report_teardown,
        Action.REPORT_UNTOLD: _report_untold,
    }
