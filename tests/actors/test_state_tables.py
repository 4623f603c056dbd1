"""What the tables of connection and task promise (tests/house/test_state_machines.py walks all pairs)."""

import pytest

from actors.connection import states as connection_states
from actors.connection.states import ConnectionEvent, ConnectionState
from actors.messages import ON_CLUSTER, TERMINAL_PHASES, TaskPhase
from actors.tasks import states as task_states
from actors.tasks.states import Action, TaskEvent

C, CE = ConnectionState, ConnectionEvent
P, E = TaskPhase, TaskEvent


def test_nothing_follows_an_end_unless_the_store_refuses_the_result():
    for phase in TERMINAL_PHASES:
        for event in set(TaskEvent) - {E.RESULT_REFUSED}:
            assert task_states.TABLE[phase, event].ignored


@pytest.mark.parametrize(("key", "transition"), task_states.TABLE.items())
def test_the_outcome_is_told_exactly_when_a_terminal_phase_is_entered(key, transition):
    told = transition.state in TERMINAL_PHASES and not transition.ignored
    assert (Action.DONE in transition.actions) == told


@pytest.mark.parametrize("phase", [p for p in TaskPhase if p not in TERMINAL_PHASES])
def test_a_kill_is_never_ignored_unless_it_is_under_way(phase):
    assert not task_states.TABLE[phase, E.KILL_ASKED].ignored or phase is P.WITHDRAWING


@pytest.mark.parametrize("phase", sorted(ON_CLUSTER))
@pytest.mark.parametrize("event", [E.FINISHED, E.FAILED_RETRY, E.FAILED_LAST, E.LOST_RETRY, E.LOST_LAST])
def test_terminal_news_of_an_attempt_on_the_cluster_always_ends_that_attempt(phase, event):
    after = task_states.TABLE[phase, event].state
    assert after in TERMINAL_PHASES | {P.BACKING_OFF}


@pytest.mark.parametrize("state", [C.CONNECTING, C.SUBSCRIBING, C.SUBSCRIBED])
def test_every_break_is_followed_by_a_wait_not_by_a_hot_loop(state):
    """pymesos sent 3,000 SUBSCRIBEs in 3 s to a master that answered 503."""
    transition = connection_states.TABLE[state, CE.BROKE]
    assert transition.state is C.DISCONNECTED
    assert connection_states.Action.BACK_OFF in transition.actions


def test_teardown_is_sent_only_because_somebody_asked_for_it():
    """pymesos tears the framework down on any exception."""
    send = connection_states.Action.SEND_TEARDOWN
    assert {event for (_, event), row in connection_states.TABLE.items() if send in row.actions} == {
        CE.TEARDOWN_ASKED
    }


def test_every_mesos_state_is_classified():
    from mesos_v1.states import TaskState

    assert set(task_states.EVENT_OF_STATE) == set(TaskState)
