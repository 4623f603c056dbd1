import itertools

import pytest

from executor.tasks.states import TABLE, TERMINAL, Action, Event, State


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_an_end_is_reported_once(state, event):
    after, actions, ignored = TABLE[state, event]
    if state in TERMINAL:
        assert ignored  # one terminal update, never two
    elif after in TERMINAL:
        assert actions[-1] is Action.REPORT
    else:
        assert Action.REPORT not in actions


def test_every_living_state_ends_when_killed_and_out_of_grace():
    for state in set(State) - TERMINAL:
        after = TABLE[state, Event.KILL].state
        assert TABLE[after, Event.GRACE_OVER].state is State.KILLED


def test_a_task_that_is_killed_is_reported_as_killed_whatever_it_returns():
    for event in (Event.RETURNED, Event.RAISED, Event.CANCELLED):
        assert TABLE[State.KILLING, event].state is State.KILLED


def test_a_second_kill_changes_nothing():
    assert TABLE[State.KILLING, Event.KILL].ignored
