"""The state machines of the executor's side as tables: (state, event) → next state and what to do.

Each actor classifies what happens as an event of its table, and carries out the actions in the order given.
"""

from enum import Enum

from actors.runtime.state_machine import Table

# The subscription. Without checkpointing an executor that loses its agent ends; with it the executor tries to subscribe again,
# for MESOS_RECOVERY_TIMEOUT, and ends after that (Executor HTTP API, "Disconnections"). An agent that is there but not ready
# (it recovers: 503; its routes are not set up: 404) is tried again in both cases, as src/executor/executor.cpp does. Once the
# end was decided (SHUTDOWN, or by ourselves: `LEAVING`) a lost agent is the end.


class ConnectionState(Enum):
    """Where a subscription is."""

    DISCONNECTED = "disconnected"  # waiting for the moment of the next attempt
    CONNECTING = "connecting"  # an attempt is under way
    SUBSCRIBING = "subscribing"  # 200 was answered; the SUBSCRIBED event is still to come
    SUBSCRIBED = "subscribed"
    LEAVING = "leaving"  # still subscribed, and there is no way back
    ENDED = "ended"


class ConnectionEvent(Enum):
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


class ConnectionAction(Enum):
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


CS, CE, CA = ConnectionState, ConnectionEvent, ConnectionAction

_ATTEMPT = (CS.CONNECTING, CS.SUBSCRIBING)
_STREAM = (CE.SUBSCRIBED, CE.ARRIVED, CE.SHUTDOWN, CE.ERROR)
_ANSWERS = (CE.OPENED, CE.NOT_READY, CE.REFUSED)


def _connection(*, checkpoint: bool) -> Table[ConnectionState, ConnectionEvent, ConnectionAction]:
    lost: tuple[ConnectionState, *tuple[ConnectionAction, ...]] = (CS.ENDED, CA.CLOSE, CA.END)
    lost_in_use = lost
    not_ready: tuple[ConnectionState, *tuple[ConnectionAction, ...]] = (CS.DISCONNECTED, CA.CLOSE, CA.RETRY)
    if checkpoint:
        lost = not_ready = (CS.DISCONNECTED, CA.CLOSE, CA.START_RECOVERY, CA.RETRY)
        lost_in_use = (CS.DISCONNECTED, CA.CLOSE, CA.TELL_LOST, CA.START_RECOVERY, CA.RETRY)
    return Table(
        f"an executor's subscription {'with' if checkpoint else 'without'} checkpointing",
        CS.DISCONNECTED,
        CE,
        [
            (CS.DISCONNECTED, CE.DUE, CS.CONNECTING, CA.CONNECT),
            (CS.DISCONNECTED, (CE.GAVE_UP, CE.LEAVE), CS.ENDED, CA.END),
            (CS.CONNECTING, CE.OPENED, CS.SUBSCRIBING),
            (CS.CONNECTING, CE.REFUSED, CS.ENDED, CA.CLOSE, CA.END),
            (CS.CONNECTING, CE.NOT_READY, *not_ready),
            (_ATTEMPT, CE.LOST, *lost),
            (_ATTEMPT, (CE.GAVE_UP, CE.LEAVE), CS.ENDED, CA.CLOSE, CA.END),
            (CS.SUBSCRIBING, CE.ERROR, *lost),
            (CS.SUBSCRIBING, CE.SUBSCRIBED, CS.SUBSCRIBED, CA.STOP_RECOVERY, CA.ANNOUNCE),
            # an agent that does not know the executor (or its framework ends) sends SHUTDOWN in place of SUBSCRIBED
            (CS.SUBSCRIBING, CE.SHUTDOWN, CS.LEAVING, CA.STOP_RECOVERY, CA.DELIVER),
            ((CS.SUBSCRIBED, CS.LEAVING), CE.ARRIVED, None, CA.DELIVER),
            (CS.SUBSCRIBED, CE.SHUTDOWN, CS.LEAVING, CA.DELIVER),
            (CS.SUBSCRIBED, CE.LEAVE, CS.LEAVING),
            (CS.SUBSCRIBED, (CE.LOST, CE.ERROR), *lost_in_use),
            (CS.LEAVING, (CE.LOST, CE.ERROR), CS.ENDED, CA.CLOSE, CA.END),
        ],
        ignored=[
            (CS.DISCONNECTED, (*_STREAM, *_ANSWERS, CE.LOST), "comes from an attempt that was given up"),
            (_ATTEMPT, CE.DUE, "an attempt is under way"),
            (CS.CONNECTING, _STREAM, "before the answer 200 there is no stream"),
            ((CS.SUBSCRIBING, CS.SUBSCRIBED, CS.LEAVING), _ANSWERS, "SUBSCRIBE is answered once"),
            (CS.SUBSCRIBING, CE.ARRIVED, "an agent says nothing else before SUBSCRIBED"),
            ((CS.SUBSCRIBED, CS.LEAVING), CE.SUBSCRIBED, "SUBSCRIBED comes once a subscription"),
            ((CS.SUBSCRIBED, CS.LEAVING), (CE.DUE, CE.GAVE_UP), "a timer that should have been cancelled"),
            (CS.LEAVING, (CE.SHUTDOWN, CE.LEAVE), "the end is decided already"),
            (CS.ENDED, CE, "it is over"),
        ],
        ends={CS.ENDED},
    )


WITH_CHECKPOINT = _connection(checkpoint=True)
WITHOUT_CHECKPOINT = _connection(checkpoint=False)
SUBSCRIPTION = {True: WITH_CHECKPOINT, False: WITHOUT_CHECKPOINT}  # by whether the framework checkpoints


# The executor. Its end has an order: tasks are killed and report, the author's `on_stop` runs, calls on their way are answered and the
# trace is shipped, then the process exits. Each part has its share of the shutdown grace period (`SHARES`), because
# the agent kills what is left when the period is over, and nothing of it is reported then.


class ExecutorState(Enum):
    """Where an executor is."""

    WAITING = "waiting"  # for the first SUBSCRIBED
    STARTING = "starting"  # on_start runs; tasks wait
    READY = "ready"
    BROKEN = "broken"  # it could not be started: tasks are told so, then it ends
    KILLING = "killing"  # tasks end
    STOPPING = "stopping"  # on_stop runs
    LEAVING = "leaving"  # the last calls and the trace go out
    ENDED = "ended"


class ExecutorEvent(Enum):
    """What can happen to an executor."""

    SUBSCRIBED = "subscribed"  # for the first time
    STARTED = "started"
    START_FAILED = "start failed"
    END = "end"  # SHUTDOWN, a signal, the agent is gone
    NO_TASKS = "no tasks"  # the last task has ended
    AUTHOR_STOPPED = "author stopped"
    LEFT = "left"
    CUT_OFF = "cut off"  # the connection broke and cannot be made again: nothing more can be told
    PHASE_OVER = "phase over"  # the time for this part of the end is over


class ExecutorAction(Enum):
    """What to do about it, in the order given."""

    LOAD = "load"  # import and make the author's class, and run its on_start
    START_TASKS = "start tasks"
    REFUSE_TASKS = "refuse tasks"
    KILL_TASKS = "kill tasks"
    STOP_AUTHOR = "stop author"
    LEAVE = "leave"
    EXIT = "exit"


ES, EE, EA = ExecutorState, ExecutorEvent, ExecutorAction

SHARES = {ES.BROKEN: 1.0, ES.KILLING: 0.6, ES.STOPPING: 0.2, ES.LEAVING: 0.1}
"""The part of the grace period that each state may last; a tenth is left for the process to exit."""

STARTED = frozenset({ES.STARTING, ES.READY})
ENDING = frozenset({ES.KILLING, ES.STOPPING, ES.LEAVING, ES.ENDED})
_START = (EE.SUBSCRIBED, EE.STARTED, EE.START_FAILED)

EXECUTOR = Table[ExecutorState, ExecutorEvent, ExecutorAction](
    "an executor",
    ES.WAITING,
    EE,
    [
        (ES.WAITING, EE.SUBSCRIBED, ES.STARTING, EA.LOAD),
        (ES.WAITING, EE.END, ES.ENDED, EA.EXIT),
        (ES.STARTING, EE.STARTED, ES.READY, EA.START_TASKS),
        (ES.STARTING, EE.START_FAILED, ES.BROKEN, EA.REFUSE_TASKS),
        ((ES.STARTING, ES.READY), EE.END, ES.KILLING, EA.KILL_TASKS),
        # time for launches that are on their way, so that each is told why
        (ES.BROKEN, (EE.PHASE_OVER, EE.END), ES.LEAVING, EA.LEAVE),
        (ES.KILLING, (EE.NO_TASKS, EE.PHASE_OVER), ES.STOPPING, EA.STOP_AUTHOR),
        (ES.STOPPING, (EE.AUTHOR_STOPPED, EE.PHASE_OVER), ES.LEAVING, EA.LEAVE),
        (ES.LEAVING, (EE.LEFT, EE.PHASE_OVER), ES.ENDED, EA.EXIT),
        (set(ES) - {ES.ENDED}, EE.CUT_OFF, ES.ENDED, EA.EXIT),
    ],
    ignored=[
        (ES.WAITING, set(EE) - {EE.SUBSCRIBED, EE.END, EE.CUT_OFF}, "nothing has been started"),
        (ES.STARTING, EE.SUBSCRIBED, "a new subscription starts nothing"),
        ((ES.READY, ES.BROKEN), _START, "it is started once"),
        ((ES.STARTING, ES.READY), EE.NO_TASKS, "tasks come and go"),
        ((ES.STARTING, ES.READY), (EE.AUTHOR_STOPPED, EE.LEFT, EE.PHASE_OVER), "no end was asked for"),
        (ES.BROKEN, EE.NO_TASKS, "more launches may be on their way, to be told why"),
        (ES.BROKEN, (EE.AUTHOR_STOPPED, EE.LEFT), "nothing was asked to stop"),
        ((ES.KILLING, ES.STOPPING, ES.LEAVING), (*_START, EE.END), "the end has begun"),
        ((ES.STOPPING, ES.LEAVING), EE.NO_TASKS, "the end has begun"),
        (ES.LEAVING, EE.AUTHOR_STOPPED, "the end has begun"),
        (ES.KILLING, EE.AUTHOR_STOPPED, "its turn comes later"),
        ((ES.KILLING, ES.STOPPING), EE.LEFT, "its turn comes later"),
        (ES.ENDED, EE, "it is over"),
    ],
    ends={ES.ENDED},
)


# A task. One that is being killed is reported as killed, whatever its function still returns: the scheduler has asked for an
# end, and gets one answer for it. A function that does not end within the grace period (a thread cannot be
# interrupted, a coroutine can refuse) is then reported as killed, and what it does afterwards is ignored.


class TaskPhase(Enum):
    """Where a task is."""

    LAUNCHED = "launched"  # it waits: for its executor's start, or for its own turn
    RUNNING = "running"
    KILLING = "killing"  # asked to end
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


class TaskEvent(Enum):
    """What can happen to a task."""

    START = "start"
    REFUSED = "refused"  # it cannot be started: garbage for a payload, no function for it, executor broken
    RETURNED = "returned"
    RAISED = "raised"
    CANCELLED = "cancelled"  # its coroutine ended by cancellation
    KILL = "kill"
    GRACE_OVER = "grace over"


class TaskAction(Enum):
    """What to do about it, in the order given."""

    RUN = "run"
    REPORT_RUNNING = "report running"
    INTERRUPT = "interrupt"  # cancel the coroutine, or tell the thread; start the grace period
    REPORT = "report"  # the terminal update of the new state
    ABANDON = "abandon"  # leave the function to itself


TP, TE, TA = TaskPhase, TaskEvent, TaskAction

TERMINAL = frozenset({TP.FINISHED, TP.FAILED, TP.KILLED})
_ENDS = (TE.RETURNED, TE.RAISED, TE.CANCELLED)

TASK = Table[TaskPhase, TaskEvent, TaskAction](
    "a task in its executor",
    TP.LAUNCHED,
    TE,
    [
        (TP.LAUNCHED, TE.START, TP.RUNNING, TA.REPORT_RUNNING, TA.RUN),
        (TP.LAUNCHED, TE.REFUSED, TP.FAILED, TA.REPORT),
        (TP.LAUNCHED, TE.KILL, TP.KILLED, TA.REPORT),
        (TP.RUNNING, TE.RETURNED, TP.FINISHED, TA.REPORT),
        (TP.RUNNING, (TE.RAISED, TE.CANCELLED), TP.FAILED, TA.REPORT),  # it cancelled itself
        (TP.RUNNING, TE.KILL, TP.KILLING, TA.INTERRUPT),
        (TP.KILLING, _ENDS, TP.KILLED, TA.REPORT),
        (TP.KILLING, TE.GRACE_OVER, TP.KILLED, TA.ABANDON, TA.REPORT),
    ],
    ignored=[
        (TP.LAUNCHED, (*_ENDS, TE.GRACE_OVER), "its function does not run"),
        ((TP.RUNNING, TP.KILLING), (TE.START, TE.REFUSED), "it runs already"),
        (TP.RUNNING, TE.GRACE_OVER, "it was not killed"),
        (TP.KILLING, TE.KILL, "a second KILL does not change the first one's grace period"),
        (TERMINAL, TE, "it has reported its end"),  # an abandoned function may still do what it likes
    ],
    ends=TERMINAL,
)
