"""What the tables of connection and task promise (tests/house/test_state_machines.py walks all pairs)."""

import pytest

from actors.messages import ON_CLUSTER, TERMINAL_PHASES, TaskPhase
from actors.states import (
    CONNECTION,
    EVENT_OF_STATE,
    TASK,
    ConnectionAction,
    ConnectionEvent,
    ConnectionState,
    TaskAction,
    TaskEvent,
)

C, CE = ConnectionState, ConnectionEvent
P, E = TaskPhase, TaskEvent


def test_nothing_follows_an_end_unless_the_store_refuses_the_result():
    for phase in TERMINAL_PHASES:
        for event in set(TaskEvent) - {E.RESULT_REFUSED}:
            assert TASK[phase, event].ignored


@pytest.mark.parametrize(("key", "transition"), TASK.items())
def test_the_outcome_is_told_exactly_when_a_terminal_phase_is_entered(key, transition):
    told = transition.state in TERMINAL_PHASES and not transition.ignored
    assert (TaskAction.DONE in transition.actions) == told


@pytest.mark.parametrize("phase", [p for p in TaskPhase if p not in TERMINAL_PHASES])
def test_a_kill_is_never_ignored_unless_it_is_under_way(phase):
    assert not TASK[phase, E.KILL_ASKED].ignored or phase is P.WITHDRAWING


@pytest.mark.parametrize("phase", sorted(ON_CLUSTER))
@pytest.mark.parametrize("event", [E.FINISHED, E.FAILED_RETRY, E.FAILED_LAST, E.LOST_RETRY, E.LOST_LAST])
def test_terminal_news_of_an_attempt_on_the_cluster_always_ends_that_attempt(phase, event):
    after = TASK[phase, event].state
    assert after in TERMINAL_PHASES | {P.BACKING_OFF}


@pytest.mark.parametrize("state", [C.CONNECTING, C.SUBSCRIBING, C.SUBSCRIBED])
def test_every_break_is_followed_by_a_wait_not_by_a_hot_loop(state):
    """pymesos sent 3,000 SUBSCRIBEs in 3 s to a master that answered 503."""
    transition = CONNECTION[state, CE.BROKE]
    assert transition.state is C.DISCONNECTED
    assert ConnectionAction.BACK_OFF in transition.actions


def test_teardown_is_sent_only_because_somebody_asked_for_it():
    """pymesos tears the framework down on any exception."""
    send = ConnectionAction.SEND_TEARDOWN
    assert {event for (_, event), row in CONNECTION.items() if send in row.actions} == {CE.TEARDOWN_ASKED}


def test_every_mesos_state_is_classified():
    from mesos_v1.states import TaskState

    assert set(EVENT_OF_STATE) == set(TaskState)
