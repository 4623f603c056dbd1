import itertools

import pytest

from executor.states import TASK, TERMINAL, TaskAction, TaskEvent, TaskPhase


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TaskPhase, TaskEvent)))
def test_an_end_is_reported_once(state, event):
    after, actions, ignored = TASK[state, event]
    if state in TERMINAL:
        assert ignored  # one terminal update, never two
    elif after in TERMINAL:
        assert actions[-1] is TaskAction.REPORT
    else:
        assert TaskAction.REPORT not in actions


def test_every_living_state_ends_when_killed_and_out_of_grace():
    for state in set(TaskPhase) - TERMINAL:
        after = TASK[state, TaskEvent.KILL].state
        assert TASK[after, TaskEvent.GRACE_OVER].state is TaskPhase.KILLED


def test_a_task_that_is_killed_is_reported_as_killed_whatever_it_returns():
    for event in (TaskEvent.RETURNED, TaskEvent.RAISED, TaskEvent.CANCELLED):
        assert TASK[TaskPhase.KILLING, event].state is TaskPhase.KILLED


def test_a_second_kill_changes_nothing():
    assert TASK[TaskPhase.KILLING, TaskEvent.KILL].ignored
