"""Every state of the API is in the sets it belongs to."""

import pytest

from mesos_v1 import pb, states
from mesos_v1.states import OperationState, TaskState


def test_the_states_are_those_of_the_schema():
    assert {state.value for state in TaskState} == set(pb.mesos.TaskState.keys())
    assert {state.value for state in OperationState} == set(pb.mesos.OperationState.keys())


@pytest.mark.parametrize("state", TaskState)
def test_a_task_is_live_over_or_unknown_and_never_two_of_them(state):
    groups = [states.LIVE_STATES, states.TERMINAL_STATES, states.RECOVERABLE_STATES]
    assert sum(state in group for group in groups) == 1
    assert states.is_live(state) == (state in states.LIVE_STATES)
    assert states.is_terminal(state) == (state in states.TERMINAL_STATES)


@pytest.mark.parametrize("state", TaskState)
def test_without_partition_awareness_a_framework_sees_task_lost(state):
    seen = states.without_partition_awareness(state)
    assert seen == (TaskState.TASK_LOST if state in states.PARTITION_STATES else state)


def test_what_never_ran_is_over():
    assert states.NEVER_RAN_STATES < states.TERMINAL_STATES


def test_a_state_from_the_future_is_unknown_and_no_error():
    assert TaskState("TASK_TELEPORTED") is TaskState.TASK_UNKNOWN
    assert OperationState("OPERATION_DREAMT") is OperationState.OPERATION_UNSUPPORTED
    assert str(TaskState.TASK_RUNNING) == "TASK_RUNNING"


@pytest.mark.parametrize("state", OperationState)
def test_an_operation_ends_in_the_states_that_mesos_calls_terminal(state):
    over = {"FINISHED", "FAILED", "ERROR", "DROPPED", "GONE_BY_OPERATOR"}
    assert states.is_terminal_operation(state) == (state.removeprefix("OPERATION_") in over)
