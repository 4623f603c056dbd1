"""The life of an executor's subscription, as two tables: with checkpointing and without.

Two rules of Mesos shape it (Executor HTTP API, "Disconnections"):

* without checkpointing an executor that loses its agent ends;
* with it the executor tries to subscribe again, for MESOS_RECOVERY_TIMEOUT, and ends after that.

An agent that is there but not ready (it recovers: 503; its routes are not set up: 404) is tried again in both cases, as
src/executor/executor.cpp does. Once the end was decided (SHUTDOWN, or by ourselves: `LEAVING`) a lost agent is the end.
"""

from enum import Enum

from actors.runtime.state_machine import Table


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


S, E, A = State, Event, Action

_ATTEMPT = (S.CONNECTING, S.SUBSCRIBING)
_STREAM = (E.SUBSCRIBED, E.ARRIVED, E.SHUTDOWN, E.ERROR)
_ANSWERS = (E.OPENED, E.NOT_READY, E.REFUSED)


def _table(*, checkpoint: bool) -> Table[State, Event, Action]:
    lost: tuple[State, *tuple[Action, ...]] = (S.ENDED, A.CLOSE, A.END)
    lost_in_use = lost
    not_ready: tuple[State, *tuple[Action, ...]] = (S.DISCONNECTED, A.CLOSE, A.RETRY)
    if checkpoint:
        lost = not_ready = (S.DISCONNECTED, A.CLOSE, A.START_RECOVERY, A.RETRY)
        lost_in_use = (S.DISCONNECTED, A.CLOSE, A.TELL_LOST, A.START_RECOVERY, A.RETRY)
    return Table(
        f"an executor's subscription {'with' if checkpoint else 'without'} checkpointing",
        S.DISCONNECTED,
        E,
        [
            (S.DISCONNECTED, E.DUE, S.CONNECTING, A.CONNECT),
            (S.DISCONNECTED, (E.GAVE_UP, E.LEAVE), S.ENDED, A.END),
            (S.CONNECTING, E.OPENED, S.SUBSCRIBING),
            (S.CONNECTING, E.REFUSED, S.ENDED, A.CLOSE, A.END),
            (S.CONNECTING, E.NOT_READY, *not_ready),
            (_ATTEMPT, E.LOST, *lost),
            (_ATTEMPT, (E.GAVE_UP, E.LEAVE), S.ENDED, A.CLOSE, A.END),
            (S.SUBSCRIBING, E.ERROR, *lost),
            (S.SUBSCRIBING, E.SUBSCRIBED, S.SUBSCRIBED, A.STOP_RECOVERY, A.ANNOUNCE),
            # an agent that does not know the executor (or its framework ends) sends SHUTDOWN in place of SUBSCRIBED
            (S.SUBSCRIBING, E.SHUTDOWN, S.LEAVING, A.STOP_RECOVERY, A.DELIVER),
            ((S.SUBSCRIBED, S.LEAVING), E.ARRIVED, None, A.DELIVER),
            (S.SUBSCRIBED, E.SHUTDOWN, S.LEAVING, A.DELIVER),
            (S.SUBSCRIBED, E.LEAVE, S.LEAVING),
            (S.SUBSCRIBED, (E.LOST, E.ERROR), *lost_in_use),
            (S.LEAVING, (E.LOST, E.ERROR), S.ENDED, A.CLOSE, A.END),
        ],
        ignored=[
            (S.DISCONNECTED, (*_STREAM, *_ANSWERS, E.LOST), "comes from an attempt that was given up"),
            (_ATTEMPT, E.DUE, "an attempt is under way"),
            (S.CONNECTING, _STREAM, "before the answer 200 there is no stream"),
            ((S.SUBSCRIBING, S.SUBSCRIBED, S.LEAVING), _ANSWERS, "SUBSCRIBE is answered once"),
            (S.SUBSCRIBING, E.ARRIVED, "an agent says nothing else before SUBSCRIBED"),
            ((S.SUBSCRIBED, S.LEAVING), E.SUBSCRIBED, "SUBSCRIBED comes once a subscription"),
            ((S.SUBSCRIBED, S.LEAVING), (E.DUE, E.GAVE_UP), "a timer that should have been cancelled"),
            (S.LEAVING, (E.SHUTDOWN, E.LEAVE), "the end is decided already"),
            (S.ENDED, E, "it is over"),
        ],
        ends={S.ENDED},
    )


WITH_CHECKPOINT = _table(checkpoint=True)
WITHOUT_CHECKPOINT = _table(checkpoint=False)
