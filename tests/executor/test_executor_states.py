import itertools

import pytest

from executor.process.states import SHARES, TABLE, Action, Event, State


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_the_process_exits_exactly_when_the_end_is_reached(state, event):
    after, actions, _ = TABLE[state, event]
    assert (Action.EXIT in actions) == (after is State.ENDED and state is not State.ENDED)


def test_every_state_of_the_end_is_limited_in_time_and_leads_to_the_next():
    for state in (State.BROKEN, State.KILLING, State.STOPPING, State.LEAVING):
        assert SHARES[state] > 0
        assert TABLE[state, Event.PHASE_OVER].state is not state


def test_the_end_fits_into_the_grace_period():
    assert sum(SHARES[state] for state in (State.KILLING, State.STOPPING, State.LEAVING)) < 1.0


def test_an_end_is_heard_in_every_state():
    for state in set(State) - {State.ENDED}:
        for _ in range(5):
            for event in (Event.END, Event.PHASE_OVER):
                state = TABLE[state, event].state  # noqa: PLW2901 - walking
        assert state is State.ENDED
