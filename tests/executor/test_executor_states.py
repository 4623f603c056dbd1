import itertools

import pytest

from executor.process.states import IGNORED, SHARES, TABLE, Action, Event, State, transition


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_event_is_answered_in_every_state(state, event):
    after, actions = transition(state, event)
    if (state, event) not in TABLE:
        assert (after, actions) == (state, (Action.IGNORE,))
    reasons = [why for at, events, why in IGNORED if at is state and event in events]
    assert len(reasons) == ((state, event) not in TABLE)  # decided by hand, one way or the other
    assert (Action.EXIT in actions) == (after is State.ENDED and state is not State.ENDED)


def test_every_state_of_the_end_is_limited_in_time_and_leads_to_the_next():
    for state in (State.BROKEN, State.KILLING, State.STOPPING, State.LEAVING):
        assert SHARES[state] > 0
        assert transition(state, Event.PHASE_OVER)[0] is not state


def test_the_end_fits_into_the_grace_period():
    assert sum(SHARES[state] for state in (State.KILLING, State.STOPPING, State.LEAVING)) < 1.0


def test_an_end_is_heard_in_every_state():
    for state in set(State) - {State.ENDED}:
        for _ in range(5):
            for event in (Event.END, Event.PHASE_OVER):
                state, _actions = transition(state, event)  # noqa: PLW2901 - walking
        assert state is State.ENDED
