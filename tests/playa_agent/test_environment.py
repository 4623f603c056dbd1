from collections import deque
from typing import Any

import pytest

from mesos_v1 import pb
from mesos_v1.content import from_json
from playa.agent.executors.environment import (
    executor_environment,
    nested_environment,
    task_environment,
)
from playa.agent.messages import ExecutorRun
from playa.agent.records import ExecutorRecord, FrameworkRecord, Kind
from playa.settings import AgentSettings


def environment_of(
    command: dict[str, Any] | None = None,
    *,
    framework_id: str = "F",
    agent_id: str = "S0",
    sandbox: str = "/sandbox",
    checkpoint: bool = False,
    **settings: Any,
) -> dict[str, str]:
    """The environment of an executor with such a command, on an agent with such settings."""
    framework = FrameworkRecord(pb.mesos.FrameworkInfo(), deque())
    run = ExecutorRun(framework_id, "exec-1", "c")
    info = from_json(pb.mesos.ExecutorInfo, {"executor_id": {"value": "exec-1"}, "command": command or {}})
    executor = ExecutorRecord(info, framework, run, Kind.CUSTOM, False, sandbox, checkpoint, "")
    return executor_environment(executor, AgentSettings(**settings), agent_id=agent_id, port=5051)


def test_an_executor_gets_the_recorded_variables_and_a_path(recorded):
    body = next(line["body"] for line in recorded("custom_executor") if line["kind"] == "environment")
    ours = environment_of(
        framework_id=body["MESOS_FRAMEWORK_ID"],
        agent_id=body["MESOS_SLAVE_ID"],
        sandbox=body["MESOS_SANDBOX"],
    )
    path = ours.pop("PATH")
    assert ours == body
    assert "/usr/bin" in path.split(":")


def test_an_executor_of_a_checkpointing_framework_is_told_how_long_to_wait_for_its_agent():
    ours = environment_of(checkpoint=True)
    assert ours["MESOS_CHECKPOINT"] == "1"
    assert ours["MESOS_RECOVERY_TIMEOUT"] == "15mins"
    assert ours["MESOS_SUBSCRIPTION_BACKOFF_MAX"] == "2secs"


def test_the_cluster_s_own_environment_does_not_leak(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_CLUSTER", "1")
    assert "SECRET_OF_THE_CLUSTER" not in environment_of()


def test_variables_of_the_command_win_over_those_for_the_whole_agent():
    variables = [{"name": "A", "value": "mine"}, {"name": "PATH", "value": "/only/here"}]
    command = {"environment": {"variables": variables}}
    ours = environment_of(command, executor_environment=(("A", "theirs"), ("B", "b")))
    assert (ours["A"], ours["B"], ours["PATH"]) == ("mine", "b", "/only/here")


def test_a_secret_variable_is_left_out_since_there_is_no_resolver():
    variable = {"name": "TOKEN", "type": "SECRET", "secret": {"type": "VALUE", "value": {"data": "eA=="}}}
    assert "TOKEN" not in environment_of({"environment": {"variables": [variable]}})


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
    ours = nested_environment(task, AgentSettings(), "/n")
    del ours["PATH"]
    assert ours == {
        "MESOS_SANDBOX": "/n",
        "MESOS_CONTAINER_IP": "127.0.0.1",
        "MESOS_ALLOCATION_ROLE": "ads",
        "X": "1",
    }
