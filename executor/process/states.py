"""The life of an executor, as a table. Pure: no clock, no actor.

The end has an order: tasks are killed and report, the author's `on_stop` runs, calls on their way are answered and the
trace is shipped, then the process exits. Each part has its share of the shutdown grace period (`SHARES`), because
the agent kills what is left when the period is over, and nothing of it is reported then.
"""

from __future__ import annotations

from enum import Enum


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
    IGNORE = "ignore"


Transition = tuple[State, tuple[Action, ...]]

SHARES = {State.BROKEN: 1.0, State.KILLING: 0.6, State.STOPPING: 0.2, State.LEAVING: 0.1}
"""The part of the grace period that each state may last; a tenth is left for the process to exit."""

TABLE: dict[tuple[State, Event], Transition] = {
    (State.WAITING, Event.SUBSCRIBED): (State.STARTING, (Action.LOAD,)),
    (State.WAITING, Event.END): (State.ENDED, (Action.EXIT,)),
    (State.STARTING, Event.STARTED): (State.READY, (Action.START_TASKS,)),
    (State.STARTING, Event.START_FAILED): (State.BROKEN, (Action.REFUSE_TASKS,)),
    (State.STARTING, Event.END): (State.KILLING, (Action.KILL_TASKS,)),
    (State.READY, Event.END): (State.KILLING, (Action.KILL_TASKS,)),
    # time for launches that are on their way, so that each is told why
    (State.BROKEN, Event.PHASE_OVER): (State.LEAVING, (Action.LEAVE,)),
    (State.BROKEN, Event.END): (State.LEAVING, (Action.LEAVE,)),
    (State.KILLING, Event.NO_TASKS): (State.STOPPING, (Action.STOP_AUTHOR,)),
    (State.KILLING, Event.PHASE_OVER): (State.STOPPING, (Action.STOP_AUTHOR,)),
    (State.STOPPING, Event.AUTHOR_STOPPED): (State.LEAVING, (Action.LEAVE,)),
    (State.STOPPING, Event.PHASE_OVER): (State.LEAVING, (Action.LEAVE,)),
    (State.LEAVING, Event.LEFT): (State.ENDED, (Action.EXIT,)),
    (State.LEAVING, Event.PHASE_OVER): (State.ENDED, (Action.EXIT,)),
    **{(state, Event.CUT_OFF): (State.ENDED, (Action.EXIT,)) for state in State if state is not State.ENDED},
}
"""What is not in the table changes nothing (see `IGNORED`)."""

_START = frozenset({Event.SUBSCRIBED, Event.STARTED, Event.START_FAILED})

IGNORED: tuple[tuple[State, frozenset[Event], str], ...] = (
    (
        State.WAITING,
        frozenset(Event) - {Event.SUBSCRIBED, Event.END, Event.CUT_OFF},
        "nothing has been started",
    ),
    (State.STARTING, frozenset({Event.SUBSCRIBED}), "a new subscription starts nothing"),
    (State.STARTING, frozenset({Event.NO_TASKS}), "tasks come and go"),
    (State.STARTING, frozenset({Event.AUTHOR_STOPPED, Event.LEFT, Event.PHASE_OVER}), "no end was asked for"),
    (State.READY, _START, "it is started once"),
    (State.READY, frozenset({Event.NO_TASKS}), "tasks come and go"),
    (State.READY, frozenset({Event.AUTHOR_STOPPED, Event.LEFT, Event.PHASE_OVER}), "no end was asked for"),
    (State.BROKEN, _START, "it is started once"),
    (State.BROKEN, frozenset({Event.NO_TASKS}), "more launches may be on their way, to be told why"),
    (State.BROKEN, frozenset({Event.AUTHOR_STOPPED, Event.LEFT}), "nothing was asked to stop"),
    (State.KILLING, _START | {Event.END}, "the end has begun"),
    (State.KILLING, frozenset({Event.AUTHOR_STOPPED, Event.LEFT}), "its turn comes later"),
    (State.STOPPING, _START | {Event.END, Event.NO_TASKS}, "the end has begun"),
    (State.STOPPING, frozenset({Event.LEFT}), "its turn comes later"),
    (State.LEAVING, _START | {Event.END, Event.NO_TASKS, Event.AUTHOR_STOPPED}, "the end has begun"),
    (State.ENDED, frozenset(Event), "it is over"),
)
"""What changes nothing, by state, and why."""


def transition(state: State, event: Event) -> Transition:
    """What follows from ``event`` in ``state``."""
    return TABLE.get((state, event), (state, (Action.IGNORE,)))
