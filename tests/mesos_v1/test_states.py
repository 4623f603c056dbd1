"""Every state of the API is in the sets it belongs to."""

import pytest

from mesos_v1 import pb, states
from mesos_v1.states import OperationState, TaskState


def test_the_states_are_those_of_the_schema():
    assert {state.value for state in TaskState} == set(pb.mesos.TaskState.keys())
    assert {state.value for state in OperationState} == set(pb.mesos.OperationState.keys())


@pytest.mark.parametrize("state", TaskState)
def test_a_task_ends_in_the_states_that_mesos_calls_terminal(state):
    over = {"FINISHED", "FAILED", "KILLED", "ERROR", "LOST", "DROPPED", "GONE", "GONE_BY_OPERATOR"}
    assert states.is_terminal(state) == (state.removeprefix("TASK_") in over)
    assert states.is_terminal(state) == (state in states.TERMINAL_STATES)


def test_a_state_from_the_future_is_unknown_and_no_error():
    assert TaskState("TASK_TELEPORTED") is TaskState.TASK_UNKNOWN
    assert OperationState("OPERATION_DREAMT") is OperationState.OPERATION_UNSUPPORTED
    assert str(TaskState.TASK_RUNNING) == "TASK_RUNNING"
