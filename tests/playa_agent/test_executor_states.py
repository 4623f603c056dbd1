"""What follows what at an agent, spelled out pair by pair."""

import itertools

import pytest

from playa.agent.executors.states import EXECUTOR, TASK, ExecutorEvent, ExecutorState, TaskEvent, TaskPhase

E, S = ExecutorEvent, ExecutorState


def after(table, state, event):
    """What follows, None when nothing does."""
    step = table.get((state, event))
    return None if step is None or step.ignored else step.state


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ExecutorState, ExecutorEvent)))
def test_every_pair_of_executor_state_and_event_leads_where_the_table_says_or_nowhere(state, event):
    following = after(EXECUTOR, state, event)
    if state is S.TERMINATED:
        assert following is None, "nothing happens to an executor that is over"
    elif event is E.EXITED:
        assert following is S.TERMINATED
    elif event is E.SUBSCRIBED:
        assert following is (None if state is S.TERMINATING else S.RUNNING)
    elif event is E.SHUTDOWN:
        assert following is (None if state is S.TERMINATING else S.TERMINATING)
    elif event is E.REGISTRATION_TIMEOUT:
        assert following is (S.TERMINATING if state is S.REGISTERING else None)
    else:
        assert following is (None if state is S.RUNNING else S.TERMINATED)


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(TaskPhase, TaskEvent)))
def test_every_pair_of_task_phase_and_event_leads_where_the_table_says_or_nowhere(phase, event):
    expected = {
        (TaskPhase.QUEUED, TaskEvent.DELIVERED): TaskPhase.LAUNCHED,
        (TaskPhase.QUEUED, TaskEvent.TERMINAL): TaskPhase.TERMINATED,
        (TaskPhase.LAUNCHED, TaskEvent.PROGRESS): TaskPhase.LAUNCHED,
        (TaskPhase.LAUNCHED, TaskEvent.TERMINAL): TaskPhase.TERMINATED,
        (TaskPhase.TERMINATED, TaskEvent.ACKNOWLEDGED): TaskPhase.COMPLETED,
    }
    assert after(TASK, phase, event) is expected.get((phase, event))
