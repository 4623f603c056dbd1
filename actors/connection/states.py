"""The subscription to the master as a table: (state, event) → next state and what to do.

The actor classifies what happens as a `ConnectionEvent` and carries out the `Action`s. Events carry the number of the attempt
that they belong to, and the actor drops those of an old attempt before it looks here.

Source: Mesos documentation, "Scheduler HTTP API", sections "Disconnections", "Network partitions", "Master detection".
"""

from enum import Enum, StrEnum

from actors.runtime.state_machine import Table


class ConnectionState(StrEnum):
    """Where the subscription is."""

    IDLE = "idle"  # no subscription has been asked for yet
    DETECTING = "detecting"  # who leads is not known
    CONNECTING = "connecting"  # SUBSCRIBE is on its way; redirects are followed here
    SUBSCRIBING = "subscribing"  # the master answered 200; SUBSCRIBED has not come yet
    SUBSCRIBED = "subscribed"
    DISCONNECTED = "disconnected"  # waiting for the next attempt
    ENDING = "ending"  # TEARDOWN is on its way
    ENDED = "ended"  # for good


class ConnectionEvent(StrEnum):
    """What can happen to the subscription."""

    CONNECT_ASKED = "connect asked"
    LEADER_FOUND = "leader found"
    LEADER_LOST = "leader lost"
    OPENED = "opened"  # HTTP 200
    SUBSCRIBED = "subscribed"  # the event
    BROKE = "broke"  # refused, 503, EOF, reset, garbage, a call that says the subscription is gone
    SILENT = "silent"  # no heartbeat for too long, or no SUBSCRIBED
    RETRY_DUE = "retry due"
    REFUSED = "refused"  # the master will never take us: wrong credentials, bad request, ERROR
    TEARDOWN_ASKED = "teardown asked"
    TEARDOWN_ANSWERED = "teardown answered"  # taken; or the master says that the framework is gone
    TEARDOWN_FAILED = "teardown failed"  # no answer in time, or one that means: not now, not here
    TEARDOWN_TIMED_OUT = "teardown timed out"  # for good


class Action(Enum):
    """What the connection does on a transition, in the order listed."""

    DETECT = "find out who leads"
    OPEN = "begin a new attempt: POST SUBSCRIBE"
    AWAIT_SUBSCRIBED = "set the watchdog for SUBSCRIBED"
    ANNOUNCE = "tell the others, start the heartbeat watchdog, send what was kept"
    CLOSE = "close the stream and the call connection"
    LOSE = "tell the others that the subscription is gone"
    BACK_OFF = "set the timer of the next attempt"
    CLOSE_STREAM = "close the stream; the answer to TEARDOWN may still come"
    SEND_TEARDOWN = "send TEARDOWN and set its timer"
    REPORT_ERROR = "tell the scheduler that it cannot continue"
    REPORT_TEARDOWN = "tell the scheduler that the framework is gone"
    REPORT_UNTOLD = "tell the scheduler that the master could not be told of the framework's end"


S, E, A = ConnectionState, ConnectionEvent, Action

_ATTEMPT = (S.CONNECTING, S.SUBSCRIBING)
_WITHOUT_SUBSCRIPTION = (S.IDLE, S.DETECTING, *_ATTEMPT, S.DISCONNECTED)
_SUBSCRIPTION = (E.OPENED, E.SUBSCRIBED, E.BROKE, E.SILENT, E.REFUSED)

TABLE = Table[ConnectionState, ConnectionEvent, Action](
    "a subscription",
    S.IDLE,
    E,
    [
        ((S.IDLE, S.ENDED), E.CONNECT_ASKED, S.DETECTING, A.DETECT),
        (S.DISCONNECTED, E.RETRY_DUE, S.DETECTING, A.DETECT),
        ((S.DETECTING, S.DISCONNECTED), E.LEADER_FOUND, S.CONNECTING, A.OPEN),
        ((*_ATTEMPT, S.ENDING), E.LEADER_FOUND, S.CONNECTING, A.CLOSE, A.OPEN),
        (S.SUBSCRIBED, E.LEADER_FOUND, S.CONNECTING, A.CLOSE, A.LOSE, A.OPEN),
        (_ATTEMPT, E.LEADER_LOST, S.DETECTING, A.CLOSE),
        (S.CONNECTING, E.OPENED, S.SUBSCRIBING, A.AWAIT_SUBSCRIBED),
        (S.SUBSCRIBING, E.SUBSCRIBED, S.SUBSCRIBED, A.ANNOUNCE),
        (S.SUBSCRIBED, E.SUBSCRIBED, S.SUBSCRIBED, A.ANNOUNCE),
        (S.CONNECTING, E.BROKE, S.DISCONNECTED, A.CLOSE, A.BACK_OFF),
        (S.SUBSCRIBING, (E.BROKE, E.SILENT), S.DISCONNECTED, A.CLOSE, A.BACK_OFF),
        (S.SUBSCRIBED, (E.BROKE, E.SILENT), S.DISCONNECTED, A.CLOSE, A.LOSE, A.BACK_OFF),
        (_ATTEMPT, E.REFUSED, S.ENDED, A.CLOSE, A.REPORT_ERROR),
        (S.SUBSCRIBED, E.REFUSED, S.ENDED, A.CLOSE, A.LOSE, A.REPORT_ERROR),
        (S.SUBSCRIBED, E.TEARDOWN_ASKED, S.ENDING, A.SEND_TEARDOWN),
        (S.ENDING, E.BROKE, S.ENDING, A.CLOSE_STREAM),  # a master closes it before it answers, or dies
        # Subscribe again, and send it again.
        (S.ENDING, (E.TEARDOWN_FAILED, E.SILENT), S.DISCONNECTED, A.CLOSE, A.BACK_OFF),
        (S, E.TEARDOWN_ANSWERED, S.ENDED, A.CLOSE, A.REPORT_TEARDOWN),
        ((*_WITHOUT_SUBSCRIPTION, S.ENDING), E.TEARDOWN_TIMED_OUT, S.ENDED, A.CLOSE, A.REPORT_UNTOLD),
        # Another scheduler has taken over; or we may not end it.
        (S.ENDING, E.REFUSED, S.ENDED, A.CLOSE, A.REPORT_UNTOLD),
        (S.ENDED, E.TEARDOWN_ASKED, S.ENDED, A.CLOSE, A.REPORT_UNTOLD),
    ],
    ignored=[
        ((S.IDLE, S.DETECTING), _SUBSCRIPTION, "there is no attempt that could say anything"),
        (S.DISCONNECTED, _SUBSCRIPTION, "the attempt is over"),
        (S.ENDED, _SUBSCRIPTION, "the framework has ended"),
        (S.CONNECTING, (E.SUBSCRIBED, E.SILENT), "silence before the answer is a failure to open"),
        ((S.SUBSCRIBING, S.SUBSCRIBED), E.OPENED, "SUBSCRIBE is answered once"),
        (S.ENDING, (E.OPENED, E.SUBSCRIBED), "once is enough"),
        ((S.IDLE, S.ENDED), (E.LEADER_FOUND, E.LEADER_LOST), "no subscription is wanted"),
        # A leader that steps down closes the stream itself; that ZooKeeper has lost it is not a reason to act earlier.
        ((S.SUBSCRIBED, S.ENDING), E.LEADER_LOST, "the leader closes the stream itself"),
        ((S.DETECTING, S.DISCONNECTED), E.LEADER_LOST, "none is known"),
        (set(S) - {S.IDLE, S.ENDED}, E.CONNECT_ASKED, "asked once is enough"),
        (set(S) - {S.DISCONNECTED}, E.RETRY_DUE, "the next attempt has begun, or none is wanted"),
        (_WITHOUT_SUBSCRIPTION, E.TEARDOWN_ASKED, "it is remembered, and its timer runs"),
        (S.ENDING, E.TEARDOWN_ASKED, "once is enough"),
        (set(S) - {S.ENDING}, E.TEARDOWN_FAILED, "none is on its way"),
        # A TEARDOWN that is due is sent in the turn in which the subscription begins, so its timer finds ENDING.
        ((S.SUBSCRIBED, S.ENDED), E.TEARDOWN_TIMED_OUT, "it has been sent, or answered"),
    ],
)
