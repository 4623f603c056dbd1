import pytest

from mesos_v1 import pb
from mesos_v1.content import from_json
from playa.agent.executors.calls import command_executor, refusal, unsupported


def recorded_calls(lines):
    """Executor's calls with the answers they got, in order on their connection."""
    waiting = None
    for line in lines:
        if line.get("side") != "executor" or line.get("conn") != "executor.call":
            continue
        if line["kind"] == "request":
            waiting = line["body"]
        elif line["kind"] == "response":
            yield waiting, line["status"], line["body"]


def test_the_recorded_calls_are_refused_with_the_recorded_texts(recorded):
    seen = 0
    for body, status, text in recorded_calls(recorded("custom_executor")):
        call = from_json(pb.executor.Call, body)
        assert refusal(call) == (text if status == 400 else None)
        seen += status == 400
    assert seen == 5


def call(**changes) -> pb.executor.Call:
    body = {
        "type": "UPDATE",
        "framework_id": {"value": "F"},
        "executor_id": {"value": "E"},
        "update": {
            "status": {
                "task_id": {"value": "t"},
                "state": "TASK_RUNNING",
                "source": "SOURCE_EXECUTOR",
                "uuid": "aZZFm1RFSqiQhwFkdB2EOQ==",
                **changes.pop("status", {}),
            }
        },
        **changes,
    }
    return from_json(pb.executor.Call, body)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"executor_id": {"value": "X"}}, "ExecutorID in Call: E does not match ExecutorID in TaskStatus: X"),
        (
            {"source": "SOURCE_MASTER"},
            "Received Call from executor E of framework F with invalid source, expecting 'SOURCE_EXECUTOR'",
        ),
        ({"uuid": "AAAA"}, "Not a valid UUID"),
    ],
)
def test_other_bad_updates_are_refused_in_mesos_words(status, text):
    assert refusal(call(status=status)) == f"Failed to validate Executor::Call: {text}"


def test_a_good_update_is_not_refused():
    assert refusal(call()) is None


def test_a_message_without_its_part_is_refused():
    empty = pb.executor.Call(type=pb.executor.Call.MESSAGE)
    empty.executor_id.value = "E"
    empty.framework_id.value = "F"
    assert refusal(empty) == "Failed to validate Executor::Call: Expecting 'message' to be present"


def test_the_executor_of_a_command_task_looks_as_recorded(recorded):
    body = next(
        line["body"]["get_executors"]["executors"][0]["executor_info"]
        for line in recorded("operator_api")
        if line["kind"] == "response"
        and isinstance(line.get("body"), dict)
        and line["body"].get("get_executors", {}).get("executors")
    )
    task = pb.mesos.TaskInfo()
    task.task_id.value = "t1"
    task.command.value = "sleep 1000"
    task.resources.add(name="cpus").allocation_info.role = "*"
    ours = command_executor(body["framework_id"]["value"], task)
    assert ours == from_json(pb.mesos.ExecutorInfo, body)


def test_the_executor_of_a_command_task_takes_over_what_concerns_it():
    body = {
        "name": "n",
        "task_id": {"value": "t"},
        "agent_id": {"value": "S"},
        "command": {
            "value": "true",
            "user": "ann",
            "uris": [{"value": "/a"}, {"value": "/b", "extract": False}],
            "environment": {"variables": [{"name": "X", "value": "1"}]},
        },
        "container": {"type": "MESOS"},
        "labels": {"labels": [{"key": "k", "value": "v"}]},
        "discovery": {"visibility": "CLUSTER", "name": "d"},
        "kill_policy": {"grace_period": {"nanoseconds": 7_000_000_000}},
    }
    task = from_json(pb.mesos.TaskInfo, body)
    task.resources.add(name="cpus").allocation_info.role = "ads"
    info = command_executor("F", task)
    assert (info.container, info.labels, info.discovery) == (task.container, task.labels, task.discovery)
    assert (list(info.command.uris), info.command.environment) == (
        list(task.command.uris),
        task.command.environment,
    )
    assert (info.command.user, info.executor_id.value, info.source) == ("ann", "t", "t")
    assert info.shutdown_grace_period.nanoseconds == 9_000_000_000
    assert {each.allocation_info.role for each in info.resources} == {"ads"}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Expecting 'type' to be present"),
        ({"type": "UNKNOWN"}, "Expecting 'type' to be present"),
        ({"type": "SUBSCRIBE"}, "Expecting 'subscribe' to be present"),
        ({"type": "UPDATE"}, "Expecting 'update' to be present"),
        ({"type": "MESSAGE"}, "Expecting 'message' to be present"),
        ({"type": "HEARTBEAT"}, None),
    ],
)
def test_a_call_has_a_type_and_the_part_of_its_name(body, text):
    ids = {"framework_id": {"value": "F"}, "executor_id": {"value": "E"}}
    why = refusal(from_json(pb.executor.Call, {**ids, **body}))
    assert why == (None if text is None else f"Failed to validate Executor::Call: {text}")


def test_a_long_command_is_shortened_in_the_executors_name():
    task = pb.mesos.TaskInfo()
    task.task_id.value = "t"
    task.command.value = "0123456789abcdefgh"
    assert command_executor("F", task).name == "Command Executor (Task: t) (Command: sh -c '0123456789ab...')"
    task.command.shell = False
    task.command.value = "/bin/echo"
    task.command.arguments.extend(["echo", "a"])
    assert command_executor("F", task).name == "Command Executor (Task: t) (Command: [/bin/echo, e...])"


def test_containers_that_need_an_isolator_are_refused_as_by_an_agent_without_it():
    image = pb.mesos.ContainerInfo(type=pb.mesos.ContainerInfo.MESOS)
    image.mesos.image.type = pb.mesos.Image.DOCKER
    assert unsupported(image) == "Unsupported container image type: DOCKER"
    volumes = pb.mesos.ContainerInfo(type=pb.mesos.ContainerInfo.MESOS)
    volumes.volumes.add(container_path="/x", mode=pb.mesos.Volume.RW)
    assert unsupported(volumes) == "Volumes in ContainerInfo is not supported"
    network = pb.mesos.ContainerInfo(type=pb.mesos.ContainerInfo.MESOS)
    network.network_infos.add()
    assert unsupported(network) is None
    network.network_infos.add(name="net")
    assert unsupported(network) == "Unknown CNI network 'net'"
    assert unsupported(pb.mesos.ContainerInfo(type=pb.mesos.ContainerInfo.DOCKER)) == ""
    assert unsupported(pb.mesos.ContainerInfo(type=pb.mesos.ContainerInfo.MESOS)) is None
