import itertools

import pytest

from executor.states import EXECUTOR, SHARES, ExecutorAction, ExecutorEvent, ExecutorState


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ExecutorState, ExecutorEvent)))
def test_the_process_exits_exactly_when_the_end_is_reached(state, event):
    after, actions, _ = EXECUTOR[state, event]
    assert (ExecutorAction.EXIT in actions) == (
        after is ExecutorState.ENDED and state is not ExecutorState.ENDED
    )


def test_every_state_of_the_end_is_limited_in_time_and_leads_to_the_next():
    for state in (ExecutorState.BROKEN, ExecutorState.KILLING, ExecutorState.STOPPING, ExecutorState.LEAVING):
        assert SHARES[state] > 0
        assert EXECUTOR[state, ExecutorEvent.PHASE_OVER].state is not state


def test_the_end_fits_into_the_grace_period():
    assert (
        sum(SHARES[state] for state in (ExecutorState.KILLING, ExecutorState.STOPPING, ExecutorState.LEAVING))
        < 1.0
    )


def test_an_end_is_heard_in_every_state():
    for state in set(ExecutorState) - {ExecutorState.ENDED}:
        for _ in range(5):
            for event in (ExecutorEvent.END, ExecutorEvent.PHASE_OVER):
                state = EXECUTOR[state, event].state  # noqa: PLW2901 - walking
        assert state is ExecutorState.ENDED
