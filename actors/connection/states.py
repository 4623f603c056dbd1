"""The subscription to the master as a table: (state, event) → next state and what to do.

Rules of this file: the actor classifies what happens as a `ConnectionEvent` and carries out the `Action`s; what is in
neither the table nor `IGNORED` does not exist (a test walks all pairs). Events carry the number of the attempt that
they belong to, and the actor drops those of an old attempt before it looks here.

Source: Mesos documentation, "Scheduler HTTP API", sections "Disconnections", "Network partitions", "Master detection".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import NamedTuple


class ConnectionState(StrEnum):
    """Where the subscription is."""

    IDLE = "idle"  # nobody has asked for a subscription yet
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
    TEARDOWN_ANSWERED = (
        "teardown answered"  # taken; or the master says that there is no such framework any more
    )
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
    REPORT_ERROR = "tell the scheduler that there is no way on"
    REPORT_TEARDOWN = "tell the scheduler that the framework is gone"
    REPORT_UNTOLD = "tell the scheduler that the master could not be told of the framework's end"


class Transition(NamedTuple):
    """The state that follows, and the actions on the way there."""

    state: ConnectionState
    actions: tuple[Action, ...] = ()


S, E, A = ConnectionState, ConnectionEvent, Action

_DOWN = Transition(S.DISCONNECTED, (A.CLOSE, A.BACK_OFF))
_LOST = Transition(S.DISCONNECTED, (A.CLOSE, A.LOSE, A.BACK_OFF))
_REFUSED = Transition(S.ENDED, (A.CLOSE, A.REPORT_ERROR))
_GONE = Transition(S.ENDED, (A.CLOSE, A.REPORT_TEARDOWN))
_UNTOLD = Transition(S.ENDED, (A.CLOSE, A.REPORT_UNTOLD))

TABLE: Mapping[tuple[ConnectionState, ConnectionEvent], Transition] = {
    (S.IDLE, E.CONNECT_ASKED): Transition(S.DETECTING, (A.DETECT,)),
    (S.IDLE, E.TEARDOWN_ANSWERED): _GONE,
    (S.IDLE, E.TEARDOWN_TIMED_OUT): _UNTOLD,
    (S.DETECTING, E.LEADER_FOUND): Transition(S.CONNECTING, (A.OPEN,)),
    (S.DETECTING, E.TEARDOWN_ANSWERED): _GONE,
    (S.DETECTING, E.TEARDOWN_TIMED_OUT): _UNTOLD,
    (S.CONNECTING, E.OPENED): Transition(S.SUBSCRIBING, (A.AWAIT_SUBSCRIBED,)),
    (S.CONNECTING, E.BROKE): _DOWN,
    (S.CONNECTING, E.REFUSED): _REFUSED,
    (S.CONNECTING, E.LEADER_FOUND): Transition(S.CONNECTING, (A.CLOSE, A.OPEN)),
    (S.CONNECTING, E.LEADER_LOST): Transition(S.DETECTING, (A.CLOSE,)),
    (S.CONNECTING, E.TEARDOWN_ANSWERED): _GONE,
    (S.CONNECTING, E.TEARDOWN_TIMED_OUT): _UNTOLD,
    (S.SUBSCRIBING, E.SUBSCRIBED): Transition(S.SUBSCRIBED, (A.ANNOUNCE,)),
    (S.SUBSCRIBING, E.BROKE): _DOWN,
    (S.SUBSCRIBING, E.SILENT): _DOWN,
    (S.SUBSCRIBING, E.REFUSED): _REFUSED,
    (S.SUBSCRIBING, E.LEADER_FOUND): Transition(S.CONNECTING, (A.CLOSE, A.OPEN)),
    (S.SUBSCRIBING, E.LEADER_LOST): Transition(S.DETECTING, (A.CLOSE,)),
    (S.SUBSCRIBING, E.TEARDOWN_ANSWERED): _GONE,
    (S.SUBSCRIBING, E.TEARDOWN_TIMED_OUT): _UNTOLD,
    (S.SUBSCRIBED, E.SUBSCRIBED): Transition(S.SUBSCRIBED, (A.ANNOUNCE,)),
    (S.SUBSCRIBED, E.BROKE): _LOST,
    (S.SUBSCRIBED, E.SILENT): _LOST,
    (S.SUBSCRIBED, E.REFUSED): Transition(S.ENDED, (A.CLOSE, A.LOSE, A.REPORT_ERROR)),
    (S.SUBSCRIBED, E.LEADER_FOUND): Transition(S.CONNECTING, (A.CLOSE, A.LOSE, A.OPEN)),
    # A leader that steps down closes the stream itself; that ZooKeeper forgot it is no reason to hurry it.
    (S.SUBSCRIBED, E.TEARDOWN_ASKED): Transition(S.ENDING, (A.SEND_TEARDOWN,)),
    (S.SUBSCRIBED, E.TEARDOWN_ANSWERED): _GONE,
    (S.DISCONNECTED, E.RETRY_DUE): Transition(S.DETECTING, (A.DETECT,)),
    (S.DISCONNECTED, E.LEADER_FOUND): Transition(S.CONNECTING, (A.OPEN,)),
    (S.DISCONNECTED, E.TEARDOWN_ANSWERED): _GONE,
    (S.DISCONNECTED, E.TEARDOWN_TIMED_OUT): _UNTOLD,
    (S.ENDING, E.TEARDOWN_ANSWERED): _GONE,
    (S.ENDING, E.TEARDOWN_TIMED_OUT): _UNTOLD,
    (S.ENDING, E.TEARDOWN_FAILED): _DOWN,  # subscribe again, and send it again
    (S.ENDING, E.BROKE): Transition(
        S.ENDING, (A.CLOSE_STREAM,)
    ),  # a master closes it before it answers, or dies
    (S.ENDING, E.SILENT): _DOWN,
    (S.ENDING, E.LEADER_FOUND): Transition(S.CONNECTING, (A.CLOSE, A.OPEN)),
    (S.ENDING, E.REFUSED): _UNTOLD,  # another scheduler has taken over; or we may not end it
    (S.ENDED, E.CONNECT_ASKED): Transition(S.DETECTING, (A.DETECT,)),
    (S.ENDED, E.TEARDOWN_ASKED): _UNTOLD,
    (S.ENDED, E.TEARDOWN_ANSWERED): _GONE,
}

_SUBSCRIPTION = {E.OPENED, E.SUBSCRIBED, E.BROKE, E.SILENT, E.REFUSED}
_DETECTION = {E.LEADER_FOUND, E.LEADER_LOST}
# A TEARDOWN that is asked for without a subscription is remembered, and its timer runs; none is on its way.
_TEARDOWN = {E.TEARDOWN_ASKED, E.TEARDOWN_FAILED}

# What means nothing in a state, with the reason.
IGNORED: Mapping[ConnectionState, frozenset[ConnectionEvent]] = {
    # There is no attempt that could say anything.
    S.IDLE: frozenset(_SUBSCRIPTION | _DETECTION | _TEARDOWN | {E.RETRY_DUE}),
    # Asked once is enough.
    S.DETECTING: frozenset(_SUBSCRIPTION | _TEARDOWN | {E.CONNECT_ASKED, E.LEADER_LOST, E.RETRY_DUE}),
    # SUBSCRIBED cannot come before the answer, and silence before it is a failure to open.
    S.CONNECTING: frozenset(_TEARDOWN | {E.CONNECT_ASKED, E.SUBSCRIBED, E.SILENT, E.RETRY_DUE}),
    S.SUBSCRIBING: frozenset(_TEARDOWN | {E.CONNECT_ASKED, E.OPENED, E.RETRY_DUE}),
    # A TEARDOWN that is due is sent in the turn in which the subscription begins, so its timer finds ENDING.
    S.SUBSCRIBED: frozenset(
        {E.CONNECT_ASKED, E.LEADER_LOST, E.OPENED, E.RETRY_DUE, E.TEARDOWN_FAILED, E.TEARDOWN_TIMED_OUT}
    ),
    # The attempt is over, and the next one begins by the timer or when somebody else leads.
    S.DISCONNECTED: frozenset(_SUBSCRIPTION | _TEARDOWN | {E.CONNECT_ASKED, E.LEADER_LOST}),
    # Once is enough.
    S.ENDING: frozenset(
        {E.LEADER_LOST, E.CONNECT_ASKED, E.OPENED, E.SUBSCRIBED, E.RETRY_DUE, E.TEARDOWN_ASKED}
    ),
    S.ENDED: frozenset(_SUBSCRIPTION | _DETECTION | {E.RETRY_DUE, E.TEARDOWN_FAILED, E.TEARDOWN_TIMED_OUT}),
}


def follow(state: ConnectionState, event: ConnectionEvent) -> Transition | None:
    """Return what follows, or None when the event means nothing in that state."""
    return TABLE.get((state, event))
