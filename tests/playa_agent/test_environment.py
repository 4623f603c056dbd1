import pytest

from mesos_v1 import pb
from playa.agent.executors.environment import (
    ExecutorPlace,
    executor_environment,
    nested_environment,
    task_environment,
)


def place(**changes) -> ExecutorPlace:
    values = {
        "framework_id": "F",
        "executor_id": "exec-1",
        "agent_id": "S0",
        "agent_pid": "slave(1)@127.0.0.1:5051",
        "agent_endpoint": "127.0.0.1:5051",
        "ip": "127.0.0.1",
        "sandbox": "/sandbox",
        "checkpoint": False,
        "recovery_timeout": 900.0,
        "subscription_backoff_max": 2.0,
        "shutdown_grace_period": 5.0,
    }
    return ExecutorPlace(**{**values, **changes})


def test_an_executor_gets_the_recorded_variables_and_a_path(recorded):
    body = next(line["body"] for line in recorded("custom_executor") if line["kind"] == "environment")
    sandbox = body["MESOS_SANDBOX"]
    ours = executor_environment(
        place(framework_id=body["MESOS_FRAMEWORK_ID"], agent_id=body["MESOS_SLAVE_ID"], sandbox=sandbox)
    )
    path = ours.pop("PATH")
    assert ours == body
    assert "/usr/bin" in path.split(":")


def test_an_executor_of_a_checkpointing_framework_is_told_how_long_to_wait_for_its_agent():
    ours = executor_environment(place(checkpoint=True))
    assert ours["MESOS_CHECKPOINT"] == "1"
    assert ours["MESOS_RECOVERY_TIMEOUT"] == "15mins"
    assert ours["MESOS_SUBSCRIPTION_BACKOFF_MAX"] == "2secs"


def test_the_cluster_s_own_environment_does_not_leak(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_CLUSTER", "1")
    assert "SECRET_OF_THE_CLUSTER" not in executor_environment(place())


def test_variables_of_the_command_win_over_those_for_the_whole_agent():
    environment = pb.mesos.Environment()
    environment.variables.add(name="A", value="mine")
    environment.variables.add(name="PATH", value="/only/here")
    ours = executor_environment(place(), agent_wide=(("A", "theirs"), ("B", "b")), command=environment)
    assert (ours["A"], ours["B"], ours["PATH"]) == ("mine", "b", "/only/here")


def test_a_secret_variable_is_left_out_since_there_is_no_resolver():
    environment = pb.mesos.Environment()
    environment.variables.add(name="TOKEN", type=pb.mesos.Environment.Variable.SECRET)
    assert "TOKEN" not in executor_environment(place(), command=environment)


@pytest.fixture
def task() -> pb.mesos.TaskInfo:
    task = pb.mesos.TaskInfo()
    task.command.environment.variables.add(name="X", value="1")
    task.resources.add(name="cpus").allocation_info.role = "ads"
    return task


def test_a_command_task_has_its_executors_variables_its_own_and_its_role(task):
    ours = task_environment({"MESOS_SANDBOX": "/s", "X": "0"}, task)
    assert ours == {"MESOS_SANDBOX": "/s", "X": "1", "MESOS_ALLOCATION_ROLE": "ads"}


def test_a_task_of_a_group_has_a_sandbox_an_address_and_nothing_of_its_executor(task):
    ours = nested_environment(task, sandbox="/n", ip="127.0.0.1")
    del ours["PATH"]
    assert ours == {
        "MESOS_SANDBOX": "/n",
        "MESOS_CONTAINER_IP": "127.0.0.1",
        "MESOS_ALLOCATION_ROLE": "ads",
        "X": "1",
    }
