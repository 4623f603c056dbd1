import itertools

import pytest

from executor.states import (
    WITH_CHECKPOINT,
    WITHOUT_CHECKPOINT,
    ConnectionAction,
    ConnectionEvent,
    ConnectionState,
)

S, E, A = ConnectionState, ConnectionEvent, ConnectionAction


def transition(state, event, *, checkpoint):
    return (WITH_CHECKPOINT if checkpoint else WITHOUT_CHECKPOINT)[state, event][:2]


@pytest.mark.parametrize("checkpoint", [True, False])
@pytest.mark.parametrize(("state", "event"), list(itertools.product(ConnectionState, ConnectionEvent)))
def test_what_follows_leaves_nobody_waiting(state, event, checkpoint):
    after, actions = transition(state, event, checkpoint=checkpoint)
    if after is S.ENDED and state is not S.ENDED:
        assert actions[-1] is A.END  # the executor always hears of it
        assert actions.count(A.END) == 1
    if after is S.DISCONNECTED and state is not S.DISCONNECTED:
        assert actions[0] is A.CLOSE
        assert actions[-1] is A.RETRY  # never stuck
    if state in {S.SUBSCRIBED, S.LEAVING} and after in {S.ENDED, S.DISCONNECTED}:
        assert A.CLOSE in actions
    if after is S.CONNECTING and state is not S.CONNECTING:
        assert actions == (A.CONNECT,)


def test_without_checkpointing_a_lost_agent_is_the_end():
    for state in (S.CONNECTING, S.SUBSCRIBING, S.SUBSCRIBED):
        assert transition(state, E.LOST, checkpoint=False)[0] is S.ENDED


def test_with_checkpointing_a_lost_agent_is_looked_for():
    for state in (S.CONNECTING, S.SUBSCRIBING, S.SUBSCRIBED):
        after, actions = transition(state, E.LOST, checkpoint=True)
        assert after is S.DISCONNECTED
        assert A.START_RECOVERY in actions


def test_an_agent_that_recovers_is_tried_again_in_any_case():
    for checkpoint in (True, False):
        after, actions = transition(S.CONNECTING, E.NOT_READY, checkpoint=checkpoint)
        assert after is S.DISCONNECTED
        assert A.RETRY in actions


def test_after_shutdown_nobody_looks_for_the_agent():
    for checkpoint in (True, False):
        after, _ = transition(S.SUBSCRIBED, E.SHUTDOWN, checkpoint=checkpoint)
        assert after is S.LEAVING
        assert transition(after, E.LOST, checkpoint=checkpoint)[0] is S.ENDED


def test_every_state_can_be_left():
    for checkpoint in (True, False):
        for state in set(ConnectionState) - {S.ENDED}:
            after, _ = transition(state, E.LEAVE, checkpoint=checkpoint)
            assert transition(after, E.LOST, checkpoint=checkpoint)[0] is S.ENDED
