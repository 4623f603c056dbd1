import itertools

import pytest

from executor.tasks.states import IGNORED, TABLE, TERMINAL, Action, Event, State, transition


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_event_is_answered_in_every_state(state, event):
    after, actions = transition(state, event)
    if (state, event) not in TABLE:
        assert (after, actions) == (state, (Action.IGNORE,))
    reasons = [why for at, events, why in IGNORED if at is state and event in events]
    assert len(reasons) == ((state, event) not in TABLE)  # decided by hand, one way or the other
    if state in TERMINAL:
        assert (after, actions) == (state, (Action.IGNORE,))  # one terminal update, never two
    elif after in TERMINAL:
        assert actions[-1] is Action.REPORT
    else:
        assert Action.REPORT not in actions


def test_every_living_state_ends_when_killed_and_out_of_grace():
    for state in set(State) - TERMINAL:
        after, _ = transition(state, Event.KILL)
        after, _ = transition(after, Event.GRACE_OVER)
        assert after is State.KILLED


def test_a_task_that_is_killed_is_reported_as_killed_whatever_it_returns():
    for event in (Event.RETURNED, Event.RAISED, Event.CANCELLED):
        assert transition(State.KILLING, event)[0] is State.KILLED


def test_a_second_kill_changes_nothing():
    assert transition(State.KILLING, Event.KILL) == (State.KILLING, (Action.IGNORE,))
