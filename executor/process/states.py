"""The life of an executor, as a table.

The end has an order: tasks are killed and report, the author's `on_stop` runs, calls on their way are answered and the
trace is shipped, then the process exits. Each part has its share of the shutdown grace period (`SHARES`), because
the agent kills what is left when the period is over, and nothing of it is reported then.
"""

from enum import Enum

from actors.runtime.state_machine import Table


class State(Enum):
    """Where an executor is."""

    WAITING = "waiting"  # for the first SUBSCRIBED
    STARTING = "starting"  # on_start runs; tasks wait
    READY = "ready"
    BROKEN = "broken"  # it could not be started: tasks are told so, then it ends
    KILLING = "killing"  # tasks end
    STOPPING = "stopping"  # on_stop runs
    LEAVING = "leaving"  # the last calls and the trace go out
    ENDED = "ended"


class Event(Enum):
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


class Action(Enum):
    """What to do about it, in the order given."""

    LOAD = "load"  # import and make the author's class, and run its on_start
    START_TASKS = "start tasks"
    REFUSE_TASKS = "refuse tasks"
    KILL_TASKS = "kill tasks"
    STOP_AUTHOR = "stop author"
    LEAVE = "leave"
    EXIT = "exit"


S, E, A = State, Event, Action

SHARES = {S.BROKEN: 1.0, S.KILLING: 0.6, S.STOPPING: 0.2, S.LEAVING: 0.1}
"""The part of the grace period that each state may last; a tenth is left for the process to exit."""

_START = (E.SUBSCRIBED, E.STARTED, E.START_FAILED)

TABLE = Table[State, Event, Action](
    "an executor",
    S.WAITING,
    E,
    [
        (S.WAITING, E.SUBSCRIBED, S.STARTING, A.LOAD),
        (S.WAITING, E.END, S.ENDED, A.EXIT),
        (S.STARTING, E.STARTED, S.READY, A.START_TASKS),
        (S.STARTING, E.START_FAILED, S.BROKEN, A.REFUSE_TASKS),
        ((S.STARTING, S.READY), E.END, S.KILLING, A.KILL_TASKS),
        # time for launches that are on their way, so that each is told why
        (S.BROKEN, (E.PHASE_OVER, E.END), S.LEAVING, A.LEAVE),
        (S.KILLING, (E.NO_TASKS, E.PHASE_OVER), S.STOPPING, A.STOP_AUTHOR),
        (S.STOPPING, (E.AUTHOR_STOPPED, E.PHASE_OVER), S.LEAVING, A.LEAVE),
        (S.LEAVING, (E.LEFT, E.PHASE_OVER), S.ENDED, A.EXIT),
        (set(S) - {S.ENDED}, E.CUT_OFF, S.ENDED, A.EXIT),
    ],
    ignored=[
        (S.WAITING, set(E) - {E.SUBSCRIBED, E.END, E.CUT_OFF}, "nothing has been started"),
        (S.STARTING, E.SUBSCRIBED, "a new subscription starts nothing"),
        ((S.READY, S.BROKEN), _START, "it is started once"),
        ((S.STARTING, S.READY), E.NO_TASKS, "tasks come and go"),
        ((S.STARTING, S.READY), (E.AUTHOR_STOPPED, E.LEFT, E.PHASE_OVER), "no end was asked for"),
        (S.BROKEN, E.NO_TASKS, "more launches may be on their way, to be told why"),
        (S.BROKEN, (E.AUTHOR_STOPPED, E.LEFT), "nothing was asked to stop"),
        ((S.KILLING, S.STOPPING, S.LEAVING), (*_START, E.END), "the end has begun"),
        ((S.STOPPING, S.LEAVING), E.NO_TASKS, "the end has begun"),
        (S.LEAVING, E.AUTHOR_STOPPED, "the end has begun"),
        (S.KILLING, (E.AUTHOR_STOPPED, E.LEFT), "its turn comes later"),
        (S.STOPPING, E.LEFT, "its turn comes later"),
        (S.ENDED, E, "it is over"),
    ],
    ends={S.ENDED},
)
