"""The life of an executor's subscription, as a table. Pure: no clock, no socket, no actor.

Two rules of Mesos shape it (Executor HTTP API, "Disconnections"):

* without checkpointing an executor that loses its agent ends;
* with it the executor tries to subscribe again, for MESOS_RECOVERY_TIMEOUT, and ends after that.

An agent that is there but not ready (it recovers: 503; its routes are not set up: 404) is tried again in both cases, as
src/executor/executor.cpp does. Once the end was decided (SHUTDOWN, or by ourselves: `LEAVING`) a lost agent is the end.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a subscription is."""

    DISCONNECTED = "disconnected"  # waiting for the moment of the next attempt
    CONNECTING = "connecting"  # an attempt is under way
    SUBSCRIBING = "subscribing"  # 200 was answered; the SUBSCRIBED event is still to come
    SUBSCRIBED = "subscribed"
    LEAVING = "leaving"  # still subscribed, and there is no way back
    ENDED = "ended"


class Event(Enum):
    """What can happen to a subscription."""

    DUE = "due"  # the moment of the next attempt has come
    OPENED = "opened"  # 200
    SUBSCRIBED = "subscribed"  # the SUBSCRIBED event
    ARRIVED = "arrived"  # any other event but the next two
    SHUTDOWN = "shutdown"  # the SHUTDOWN event
    ERROR = "error"  # the ERROR event: subscribe again, says the documentation
    NOT_READY = "not ready"  # 503, 404 and their like
    LOST = "lost"  # no connection, or it broke
    REFUSED = "refused"  # 400, 401, 403: trying again changes nothing
    GAVE_UP = "gave up"  # the recovery timeout is over
    LEAVE = "leave"  # we are about to end


class Action(Enum):
    """What to do about it, in the order given."""

    CONNECT = "connect"
    CLOSE = "close"
    ANNOUNCE = "announce"  # tell the executor that it is subscribed
    DELIVER = "deliver"  # tell the executor what arrived
    TELL_LOST = "tell lost"
    RETRY = "retry"  # wait, then DUE
    START_RECOVERY = "start recovery"  # start the recovery timeout, unless it runs
    STOP_RECOVERY = "stop recovery"
    END = "end"  # tell the executor that there is no agent any more
    IGNORE = "ignore"


Transition = tuple[State, tuple[Action, ...]]
Table = dict[tuple[State, Event], Transition]

_COMMON: Table = {
    (State.DISCONNECTED, Event.DUE): (State.CONNECTING, (Action.CONNECT,)),
    (State.DISCONNECTED, Event.GAVE_UP): (State.ENDED, (Action.END,)),
    (State.DISCONNECTED, Event.LEAVE): (State.ENDED, (Action.END,)),
    (State.CONNECTING, Event.OPENED): (State.SUBSCRIBING, ()),
    (State.CONNECTING, Event.REFUSED): (State.ENDED, (Action.CLOSE, Action.END)),
    (State.CONNECTING, Event.GAVE_UP): (State.ENDED, (Action.CLOSE, Action.END)),
    (State.CONNECTING, Event.LEAVE): (State.ENDED, (Action.CLOSE, Action.END)),
    (State.SUBSCRIBING, Event.SUBSCRIBED): (State.SUBSCRIBED, (Action.STOP_RECOVERY, Action.ANNOUNCE)),
    # an agent that does not know the executor (or its framework ends) sends SHUTDOWN in place of SUBSCRIBED
    (State.SUBSCRIBING, Event.SHUTDOWN): (State.LEAVING, (Action.STOP_RECOVERY, Action.DELIVER)),
    (State.SUBSCRIBING, Event.GAVE_UP): (State.ENDED, (Action.CLOSE, Action.END)),
    (State.SUBSCRIBING, Event.LEAVE): (State.ENDED, (Action.CLOSE, Action.END)),
    (State.SUBSCRIBED, Event.ARRIVED): (State.SUBSCRIBED, (Action.DELIVER,)),
    (State.SUBSCRIBED, Event.SHUTDOWN): (State.LEAVING, (Action.DELIVER,)),
    (State.SUBSCRIBED, Event.LEAVE): (State.LEAVING, ()),
    (State.LEAVING, Event.ARRIVED): (State.LEAVING, (Action.DELIVER,)),
    (State.LEAVING, Event.ERROR): (State.ENDED, (Action.CLOSE, Action.END)),
    (State.LEAVING, Event.LOST): (State.ENDED, (Action.CLOSE, Action.END)),
}

_AGAIN = (Action.CLOSE, Action.START_RECOVERY, Action.RETRY)
_LOST_AGAIN = (Action.CLOSE, Action.TELL_LOST, Action.START_RECOVERY, Action.RETRY)
_OVER = (Action.CLOSE, Action.END)

WITH_CHECKPOINT: Table = _COMMON | {
    (State.CONNECTING, Event.NOT_READY): (State.DISCONNECTED, _AGAIN),
    (State.CONNECTING, Event.LOST): (State.DISCONNECTED, _AGAIN),
    (State.SUBSCRIBING, Event.LOST): (State.DISCONNECTED, _AGAIN),
    (State.SUBSCRIBING, Event.ERROR): (State.DISCONNECTED, _AGAIN),
    (State.SUBSCRIBED, Event.LOST): (State.DISCONNECTED, _LOST_AGAIN),
    (State.SUBSCRIBED, Event.ERROR): (State.DISCONNECTED, _LOST_AGAIN),
}
"""The table of an executor whose framework checkpoints."""

WITHOUT_CHECKPOINT: Table = _COMMON | {
    (State.CONNECTING, Event.NOT_READY): (State.DISCONNECTED, (Action.CLOSE, Action.RETRY)),
    (State.CONNECTING, Event.LOST): (State.ENDED, _OVER),
    (State.SUBSCRIBING, Event.LOST): (State.ENDED, _OVER),
    (State.SUBSCRIBING, Event.ERROR): (State.ENDED, _OVER),
    (State.SUBSCRIBED, Event.LOST): (State.ENDED, _OVER),
    (State.SUBSCRIBED, Event.ERROR): (State.ENDED, _OVER),
}
"""The table of an executor whose framework does not."""


_STREAM = frozenset({Event.SUBSCRIBED, Event.ARRIVED, Event.SHUTDOWN, Event.ERROR})
_ANSWERS = frozenset({Event.OPENED, Event.NOT_READY, Event.REFUSED})

IGNORED: tuple[tuple[State, frozenset[Event], str], ...] = (
    (State.DISCONNECTED, _STREAM | _ANSWERS | {Event.LOST}, "comes from an attempt that was given up"),
    (State.CONNECTING, frozenset({Event.DUE}), "an attempt is under way"),
    (State.CONNECTING, _STREAM, "before the answer 200 there is no stream"),
    (State.SUBSCRIBING, frozenset({Event.DUE}), "an attempt is under way"),
    (State.SUBSCRIBING, _ANSWERS, "SUBSCRIBE is answered once"),
    (State.SUBSCRIBING, frozenset({Event.ARRIVED}), "an agent says nothing else before SUBSCRIBED"),
    (State.SUBSCRIBED, _ANSWERS, "SUBSCRIBE is answered once"),
    (State.SUBSCRIBED, frozenset({Event.SUBSCRIBED}), "SUBSCRIBED comes once a subscription"),
    (State.SUBSCRIBED, frozenset({Event.DUE, Event.GAVE_UP}), "a timer that should have been cancelled"),
    (State.LEAVING, _ANSWERS, "SUBSCRIBE is answered once"),
    (State.LEAVING, frozenset({Event.SUBSCRIBED}), "SUBSCRIBED comes once a subscription"),
    (State.LEAVING, frozenset({Event.SHUTDOWN, Event.LEAVE}), "the end is decided already"),
    (State.LEAVING, frozenset({Event.DUE, Event.GAVE_UP}), "a timer that should have been cancelled"),
    (State.ENDED, frozenset(Event), "it is over"),
)
"""What changes nothing, by state, and why."""


def transition(state: State, event: Event, *, checkpoint: bool) -> Transition:
    """What follows from ``event`` in ``state``.

    What is not in the table changes nothing (see `IGNORED`).
    """
    table = WITH_CHECKPOINT if checkpoint else WITHOUT_CHECKPOINT
    return table.get((state, event), (state, (Action.IGNORE,)))
