"""What a master finds wrong with a task, its checks, its executor and its group; every rule, and what is just right."""

from typing import Any

import pytest

from mesos_v1 import pb
from mesos_v1.content import from_json
from mesos_v1.resources import Resources
from playa.master.records import Agent, Framework
from playa.master.validation import operations as validation

COMMAND = {"value": "true"}
SECRET = {"type": "VALUE", "value": {"data": "eA=="}}


def scalars(role: str = "*", **amounts: float) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": role}}
        for name, value in amounts.items()
    ]


SHARED = {
    "name": "disk",
    "type": "SCALAR",
    "scalar": {"value": 8},
    "allocation_info": {"role": "*"},
    "reservations": [{"type": "DYNAMIC", "role": "*"}],
    "disk": {
        "persistence": {"id": "p"},
        "volume": {"mode": "RW", "container_path": "p"},
    },
    "shared": {},
}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ({"name": "A", "value": "x"}, None),
        ({"name": "A", "value": ""}, None),
        ({"name": "A"}, "Environment variable 'A' of type 'VALUE' must have a value set"),
        (
            {"name": "A", "value": "x", "secret": SECRET},
            "Environment variable 'A' of type 'VALUE' must not have a secret set",
        ),
        ({"name": "A", "type": "SECRET", "secret": SECRET}, None),
        ({"name": "A", "type": "SECRET"}, "Environment variable 'A' of type 'SECRET' must have a secret set"),
        (
            {"name": "A", "type": "SECRET", "secret": SECRET, "value": "x"},
            "Environment variable 'A' of type 'SECRET' must not have a value set",
        ),
        (
            {"name": "A", "type": "UNKNOWN", "value": "x"},
            "Environment variable of type 'UNKNOWN' is not allowed",
        ),
    ],
)
def test_a_variable_has_what_its_type_needs_and_nothing_else(
    variable: dict[str, Any], text: str | None
) -> None:
    info = from_json(pb.mesos.CommandInfo, {"environment": {"variables": [variable]}})
    assert validation.command(info) == text
    second = from_json(
        pb.mesos.CommandInfo, {"environment": {"variables": [{"name": "B", "value": "b"}, variable]}}
    )
    assert validation.command(second) == text


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ({}, "HealthCheck must specify 'type'"),
        ({"type": "UNKNOWN"}, "'UNKNOWN' is not a valid health check type"),
        ({"type": "COMMAND", "command": COMMAND}, None),
        ({"type": "COMMAND"}, "Expecting 'command' to be set for COMMAND health check"),
        ({"type": "COMMAND", "command": {}}, "Command health check must contain 'shell command'"),
        (
            {"type": "COMMAND", "command": {"shell": False}},
            "Command health check must contain 'executable path'",
        ),
        (
            {"type": "COMMAND", "command": {**COMMAND, "environment": {"variables": [{"name": "A"}]}}},
            (
                "Health check's `CommandInfo` is invalid: "
                "Environment variable 'A' of type 'VALUE' must have a value set"
            ),
        ),
        ({"type": "HTTP", "http": {"port": 1}}, None),
        ({"type": "HTTP", "http": {"port": 1, "scheme": "http", "path": "/x"}}, None),
        ({"type": "HTTP", "http": {"port": 1, "scheme": "https"}}, None),
        ({"type": "HTTP"}, "Expecting 'http' to be set for HTTP health check"),
        (
            {"type": "HTTP", "http": {"port": 1, "scheme": "ftp"}},
            "Unsupported HTTP health check scheme: 'ftp'",
        ),
        (
            {"type": "HTTP", "http": {"port": 1, "path": "x"}},
            "The path 'x' of HTTP health check must start with '/'",
        ),
        ({"type": "TCP", "tcp": {"port": 1}}, None),
        ({"type": "TCP"}, "Expecting 'tcp' to be set for TCP health check"),
        *(
            ({"type": "TCP", "tcp": {"port": 1}, name: seconds}, text)
            for name in ("delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds")
            for seconds, text in [(0, None), (-0.5, f"Expecting '{name}' to be non-negative")]
        ),
    ],
)
def test_a_health_check_has_what_its_type_needs(check: dict[str, Any], text: str | None) -> None:
    assert validation.check(from_json(pb.mesos.HealthCheck, check)) == text


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ({}, "CheckInfo must specify 'type'"),
        ({"type": "UNKNOWN"}, "'UNKNOWN' is not a valid check type"),
        ({"type": "COMMAND", "command": {"command": COMMAND}}, None),
        ({"type": "COMMAND"}, "Expecting 'command' to be set for COMMAND check"),
        ({"type": "COMMAND", "command": {"command": {}}}, "Command check must contain 'shell command'"),
        (
            {"type": "COMMAND", "command": {"command": {"shell": False}}},
            "Command check must contain 'executable path'",
        ),
        (
            {
                "type": "COMMAND",
                "command": {"command": {**COMMAND, "environment": {"variables": [{"name": "A"}]}}},
            },
            "Check's `CommandInfo` is invalid: Environment variable 'A' of type 'VALUE' must have a value set",
        ),
        ({"type": "HTTP", "http": {"port": 1}}, None),
        ({"type": "HTTP", "http": {"port": 1, "path": "/x"}}, None),
        ({"type": "HTTP"}, "Expecting 'http' to be set for HTTP check"),
        (
            {"type": "HTTP", "http": {"port": 1, "path": "x"}},
            "The path 'x' of HTTP check must start with '/'",
        ),
        ({"type": "TCP", "tcp": {"port": 1}}, None),
        ({"type": "TCP"}, "Expecting 'tcp' to be set for TCP check"),
        *(
            ({"type": "TCP", "tcp": {"port": 1}, name: seconds}, text)
            for name in ("delay_seconds", "interval_seconds", "timeout_seconds")
            for seconds, text in [(0, None), (-0.5, f"Expecting '{name}' to be non-negative")]
        ),
    ],
)
def test_a_check_has_what_its_type_needs(check: dict[str, Any], text: str | None) -> None:
    assert validation.check(from_json(pb.mesos.CheckInfo, check)) == text


@pytest.fixture
def agent(bench: Any) -> Any:
    return bench.add_agent()


@pytest.fixture
def framework(bench: Any, agent: Agent) -> Any:
    return bench.subscribe()


def executor_info(framework: Framework, **more: Any) -> dict[str, Any]:
    own = {"executor_id": {"value": "e"}, "framework_id": {"value": framework.id}, "command": COMMAND}
    return {name: value for name, value in {**own, **more}.items() if value is not None}


def task_info(agent: Agent, **more: Any) -> pb.mesos.TaskInfo:
    own = {
        "name": "t",
        "task_id": {"value": "t"},
        "agent_id": {"value": agent.id},
        "resources": scalars(cpus=1, mem=64),
    }
    body = {name: value for name, value in {**own, **more}.items() if value is not None}
    return from_json(pb.mesos.TaskInfo, body)


AVAILABLE = Resources.from_proto(
    [from_json(pb.mesos.Resource, each) for each in scalars(cpus=4, mem=4096, disk=100, gpus=2)]
)


def wrong_with_task(framework: Framework, agent: Agent, **task: Any) -> str | None:
    info = task_info(agent, **({} if "executor" in task else {"command": COMMAND}) | task)
    return validation.task(info, framework, agent, AVAILABLE)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ({}, None),
        ({"resources": scalars(cpus=4, mem=4096, disk=100, gpus=2)}, None),
        ({"resources": scalars(gpus=1.5)}, "Task uses invalid resources: Invalid 'gpus' resource: "),
        (
            {"resources": scalars(cpus=4.5)},
            "Total resources cpus(allocated: *):4.5 required by task and its executor is more than available ",
        ),
        (
            {"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}]},
            "Invalid task resources: The resources are not allocated to a role",
        ),
        (
            {"resources": [*scalars(cpus=1), *scalars("b", mem=1)]},
            (
                "Invalid task resources: The resources have multiple allocation roles ('b' and '*') "
                "but only one allocation role is allowed"
            ),
        ),
        (
            {"resources": [{"name": "cpus", "type": "RANGES", "scalar": {"value": 1}}]},
            "Task uses invalid resources: Invalid resources: ",
        ),
        ({"max_completion_time": {"nanoseconds": 0}}, None),
        ({"max_completion_time": {"nanoseconds": -1}}, "Task's `max_completion_time` must be non-negative"),
        ({"kill_policy": {"grace_period": {"nanoseconds": 0}}}, None),
        ({"check": {"type": "TCP", "tcp": {"port": 1}}}, None),
        ({"check": {"type": "TCP"}}, "Task uses invalid check: Expecting 'tcp' "),
        ({"health_check": {"type": "TCP", "tcp": {"port": 1}}}, None),
        ({"health_check": {}}, "Task uses invalid health check: HealthCheck must specify 'type'"),
        (
            {"container": {"type": "MESOS", "linux_info": {"share_cgroups": False}}},
            "Only tasks in a task group may have 'share_cgroups' set to 'false'",
        ),
        ({"container": {"type": "MESOS", "linux_info": {"share_cgroups": True}}}, None),
        ({"container": {"type": "MESOS"}}, None),
        ({"container": {"type": "DOCKER", "docker": {"image": "x"}}}, None),
        (
            {"container": {"type": "DOCKER"}},
            (
                "Task's `ContainerInfo` is invalid: "
                "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
            ),
        ),
        (
            {
                "container": {
                    "type": "MESOS",
                    "volumes": [
                        {"mode": "RW", "container_path": "a", "host_path": "b"},
                        {"mode": "RW", "container_path": "a", "host_path": "b", "image": {"type": "DOCKER"}},
                    ],
                }
            },
            (
                "Task's `ContainerInfo` is invalid: "
                "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'"
            ),
        ),
        ({"limits": {"cpus": {"value": 1}, "mem": {"value": 64}}}, None),
        (
            {"limits": {"cpus": {"value": 0.5}}},
            "The cpu limit must be greater than or equal to the cpu request",
        ),
        (
            {"limits": {"mem": {"value": 63}}},
            "The memory limit must be greater than or equal to the memory request",
        ),
        (
            {"limits": {"disk": {"value": 1}}},
            "Only cpus and mem may be included in a task's resource limits",
        ),
        (
            {"limits": {"cpus": {"value": 1}}, "resources": scalars(mem=1)},
            "When a CPU limit is specified, a CPU request must also be specified",
        ),
        (
            {"limits": {"mem": {"value": 1}}, "resources": scalars(cpus=1)},
            "When a memory limit is specified, a memory request must also be specified",
        ),
    ],
)
def test_a_task_is_right_or_wrong_in_the_words_of_mesos(
    framework: Framework, agent: Agent, task: dict[str, Any], text: str | None
) -> None:
    found = wrong_with_task(framework, agent, **task)
    assert found == text if text is None else found is not None and found.startswith(text)


def test_a_task_has_a_command_or_an_executor_and_an_id_that_nobody_else_uses(
    framework: Framework, agent: Agent
) -> None:
    both = "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    executor = executor_info(framework)
    assert wrong_with_task(framework, agent, executor=executor) is None
    assert wrong_with_task(framework, agent, executor=executor, command=COMMAND) == both
    assert wrong_with_task(framework, agent, command=None) == both


EXECUTORS: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"executor_id": {"value": "a/b"}}, "'a/b' contains invalid characters"),
    ({"shutdown_grace_period": {"nanoseconds": 0}}, None),
    (
        {"shutdown_grace_period": {"nanoseconds": -1}},
        "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
    ),
    (
        {"command": {**COMMAND, "environment": {"variables": [{"name": "A"}]}}},
        "Executor's `CommandInfo` is invalid: Environment variable 'A' of type 'VALUE' must have a value set",
    ),
    (
        {"container": {"type": "DOCKER"}},
        "Executor's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
    ),
    (
        {"resources": [{"name": "cpus", "type": "RANGES", "scalar": {"value": 1}}]},
        "Executor uses invalid resources: Invalid resources: ",
    ),
    (
        {"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}]},
        "Invalid executor resources: The resources are not allocated to a role",
    ),
    (
        {"resources": [*scalars(cpus=1), *scalars("b", mem=1)]},
        "Invalid executor resources: The resources have multiple allocation roles ('b' and '*') ",
    ),
    ({"framework_id": None}, "'ExecutorInfo.framework_id' must be set"),
    (
        {"framework_id": {"value": "x"}},
        "ExecutorInfo has an invalid FrameworkID (Actual: x vs Expected: ",
    ),
]


@pytest.mark.parametrize(
    ("executor", "text"),
    [
        *EXECUTORS,
        ({"type": "CUSTOM"}, None),
        ({"type": "CUSTOM", "command": None}, "'ExecutorInfo.command' must be set for 'CUSTOM' executor"),
        ({"command": None}, "'ExecutorInfo.command' must be set"),
        ({"type": "UNKNOWN"}, "'ExecutorInfo.type' must be 'CUSTOM'"),
        ({"type": "DEFAULT", "command": None}, "'ExecutorInfo.type' must be 'CUSTOM'"),
        ({"type": "DEFAULT"}, "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"),
        ({"resources": scalars(cpus=3)}, None),
        (
            {"resources": scalars(cpus=3.5)},
            "Total resources cpus(allocated: *):4.5; mem(allocated: *):64 required by task and its executor",
        ),
        ({"resources": [SHARED]}, "Executor resources "),
        ({"container": {"type": "MESOS", "linux_info": {"share_cgroups": False}}}, None),
        (
            {"container": {"type": "MESOS", "linux_info": {"share_cgroups": True}}},
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ),
    ],
)
def test_an_executor_of_a_task_is_right_or_wrong_in_the_words_of_mesos(
    framework: Framework, agent: Agent, executor: dict[str, Any], text: str | None
) -> None:
    found = wrong_with_task(framework, agent, executor=executor_info(framework, **executor))
    assert found == text if text is None else found is not None and found.startswith(text)


OWN = scalars(cpus=0.01, mem=32, disk=1)


@pytest.mark.parametrize(
    ("executor", "text"),
    [
        *EXECUTORS,
        ({"type": None}, "'ExecutorInfo.type' must be set"),
        ({"type": "UNKNOWN"}, "Unknown executor type"),
        ({"type": "CUSTOM", "command": None}, "'ExecutorInfo.command' must be set for 'CUSTOM' executor"),
        ({"type": "DEFAULT"}, "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"),
        ({"type": "DEFAULT", "command": None}, None),
        ({"type": "DEFAULT", "command": None, "container": {"type": "MESOS"}}, None),
        (
            {
                "type": "DEFAULT",
                "command": None,
                "container": {"type": "DOCKER", "docker": {"image": "x"}},
            },
            "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
        ),
        (
            {
                "type": "DEFAULT",
                "command": None,
                "container": {"type": "MESOS", "mesos": {"image": {"type": "DOCKER"}}},
            },
            "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
        ),
        (
            {"container": {"type": "DOCKER", "docker": {"image": "x"}}},
            "Docker ContainerInfo is not supported on the executor",
        ),
        (
            {"resources": scalars(cpus=0.005, mem=32, disk=1)},
            "Executor 'e' uses less CPUs (0.005) than the minimum required (0.01)",
        ),
        (
            {"resources": scalars(mem=32, disk=1)},
            "Executor 'e' uses less CPUs (None) than the minimum required (0.01)",
        ),
        (
            {"resources": scalars(cpus=1, mem=31, disk=1)},
            "Executor 'e' uses less memory (31MB) than the minimum required (32MB)",
        ),
        (
            {"resources": scalars(cpus=1, disk=1)},
            "Executor 'e' uses less memory (None) than the minimum required (32MB)",
        ),
        ({"resources": scalars(cpus=1, mem=32)}, "Executor 'e' uses no disk"),
        ({"resources": scalars(cpus=2, mem=32, disk=1)}, None),
        (
            {"resources": scalars(cpus=2.5, mem=32, disk=1)},
            (
                "Total resources cpus(allocated: *):4.5; mem(allocated: *):160; disk(allocated: *):1 required by "
                "task group and its executor are more than available "
            ),
        ),
    ],
)
def test_an_executor_of_a_group_is_right_or_wrong_in_the_words_of_mesos(
    framework: Framework, agent: Agent, executor: dict[str, Any], text: str | None
) -> None:
    info = executor_info(framework, **{"type": "CUSTOM", "resources": OWN, **executor})
    group = [task_info(agent, task_id={"value": name}, executor=info) for name in ("t1", "t2")]
    launch = pb.mesos.Offer.Operation.LaunchGroup(
        executor=from_json(pb.mesos.ExecutorInfo, info), task_group=pb.mesos.TaskGroupInfo(tasks=group)
    )
    found = validation.group(launch, framework, agent, AVAILABLE)
    assert found == text if text is None else found is not None and found.startswith(text)


@pytest.mark.parametrize(
    ("second", "text"),
    [
        ({}, None),
        ({"task_id": {"value": ""}}, "Task '' is invalid: ID must not be empty"),
        ({"executor": None}, "Task 't2' is invalid: 'TaskInfo.executor' must be set"),
        ({"container": {"type": "MESOS", "linux_info": {"share_cgroups": False}}}, None),
        (
            {"container": {"type": "DOCKER", "docker": {"image": "x"}}},
            "Task 't2' is invalid: Docker ContainerInfo is not supported on the task",
        ),
        (
            {"executor": {"executor_id": {"value": "other"}}},
            "The `ExecutorInfo` of task 't2' is different from executor 'e'",
        ),
    ],
)
def test_every_task_of_a_group_is_right_or_wrong_in_the_words_of_mesos(
    framework: Framework, agent: Agent, second: dict[str, Any], text: str | None
) -> None:
    info = executor_info(framework, type="CUSTOM", resources=OWN)
    first = task_info(agent, task_id={"value": "t1"}, executor=info)
    other = task_info(agent, **{"task_id": {"value": "t2"}, "executor": info, **second})
    launch = pb.mesos.Offer.Operation.LaunchGroup(
        executor=from_json(pb.mesos.ExecutorInfo, info),
        task_group=pb.mesos.TaskGroupInfo(tasks=[first, other]),
    )
    found = validation.group(launch, framework, agent, AVAILABLE)
    assert found == text


def test_an_executor_that_runs_costs_nothing_again_and_stays_as_it_is(
    bench: Any, framework: Framework
) -> None:
    agent = next(iter(bench.state.agents.values()))
    info = executor_info(framework, resources=scalars(cpus=3))
    assert bench.launch(framework, command=None, executor=info).status == 202
    assert wrong_with_task(framework, agent, task_id={"value": "t2"}, executor=info) is None
    more = {"resources": scalars(cpus=4), "task_id": {"value": "t2"}}
    assert wrong_with_task(framework, agent, executor=info, **more) is None, (
        "the executor's own are not counted"
    )
    other = wrong_with_task(framework, agent, task_id={"value": "t2"}, executor={**info, "name": "other"})
    assert other is not None
    assert other.startswith("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.")
