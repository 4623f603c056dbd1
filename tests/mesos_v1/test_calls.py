"""Every call is built as a real scheduler or executor sent it, or as the schema wants it."""

from typing import Any

import pytest

from mesos_v1 import calls, content, executor_calls, offer_operations, pb, task_infos
from mesos_v1.content import ContentType
from mesos_v1.resources import Reservation, Resources
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, OfferId, OperationId, TaskId

A, T, E, F, OFFER = AgentId("a-1"), TaskId("t-1"), ExecutorId("e-1"), FrameworkId("f-1"), OfferId("o-1")
OP = OperationId("op-1")
INFO = task_infos.framework_info("recorder", "root", capabilities=("MULTI_ROLE", "PARTITION_AWARE"))
TASK = task_infos.task_info(T, A, Resources.of(cpus=1))
CONSTRAINTS = pb.scheduler.OfferConstraints()
CONSTRAINTS.role_constraints["*"].groups.add().attribute_constraints.add(
    selector={"attribute_name": "rack"}, predicate={"text_equals": {"value": "r1"}}
)

CALLS = {
    "SUBSCRIBE": (
        calls.subscribe(INFO, ["ads"], CONSTRAINTS),
        {
            "framework_info": content.to_json(INFO),
            "suppressed_roles": ["ads"],
            "offer_constraints": {
                "role_constraints": {
                    "*": {
                        "groups": [
                            {
                                "attribute_constraints": [
                                    {
                                        "selector": {"attribute_name": "rack"},
                                        "predicate": {"text_equals": {"value": "r1"}},
                                    }
                                ]
                            }
                        ]
                    }
                }
            },
        },
    ),
    "TEARDOWN": (calls.teardown(), None),
    "ACCEPT": (
        calls.accept([OFFER, OfferId("o-2")], [calls.launch([TASK])], 0),
        {
            "offer_ids": [{"value": "o-1"}, {"value": "o-2"}],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [content.to_json(TASK)]}}],
            "filters": {"refuse_seconds": 0.0},
        },
    ),
    "DECLINE": (
        calls.decline([OFFER], refuse_seconds=2.5),
        {"offer_ids": [{"value": "o-1"}], "filters": {"refuse_seconds": 2.5}},
    ),
    "ACCEPT_INVERSE_OFFERS": (
        calls.accept_inverse_offers([OFFER], 1),
        {"inverse_offer_ids": [{"value": "o-1"}], "filters": {"refuse_seconds": 1.0}},
    ),
    "DECLINE_INVERSE_OFFERS": (
        calls.decline_inverse_offers([OFFER]),
        {"inverse_offer_ids": [{"value": "o-1"}]},
    ),
    "REVIVE": (calls.revive(["ads"]), {"roles": ["ads"]}),
    "SUPPRESS": (calls.suppress(["ads"]), {"roles": ["ads"]}),
    "KILL": (
        calls.kill(T, A, 2.5),
        {
            "task_id": {"value": "t-1"},
            "agent_id": {"value": "a-1"},
            "kill_policy": {"grace_period": {"nanoseconds": 2_500_000_000}},
        },
    ),
    "SHUTDOWN": (calls.shutdown(E, A), {"executor_id": {"value": "e-1"}, "agent_id": {"value": "a-1"}}),
    "ACKNOWLEDGE": (
        calls.acknowledge(A, T, b"\xfd\xd5\xa5"),
        {"agent_id": {"value": "a-1"}, "task_id": {"value": "t-1"}, "uuid": "/dWl"},
    ),
    "ACKNOWLEDGE_OPERATION_STATUS": (
        calls.acknowledge_operation_status(OP, b"\xfd\xd5\xa5", A, "rp-1"),
        {
            "agent_id": {"value": "a-1"},
            "resource_provider_id": {"value": "rp-1"},
            "uuid": "/dWl",
            "operation_id": {"value": "op-1"},
        },
    ),
    "RECONCILE": (
        calls.reconcile([(T, A), (TaskId("t-2"), None)]),
        {
            "tasks": [
                {"task_id": {"value": "t-1"}, "agent_id": {"value": "a-1"}},
                {"task_id": {"value": "t-2"}},
            ]
        },
    ),
    "RECONCILE_OPERATIONS": (
        calls.reconcile_operations([(OP, A, "rp-1"), (OperationId("op-2"), None)]),
        {
            "operations": [
                {
                    "operation_id": {"value": "op-1"},
                    "agent_id": {"value": "a-1"},
                    "resource_provider_id": {"value": "rp-1"},
                },
                {"operation_id": {"value": "op-2"}},
            ]
        },
    ),
    "MESSAGE": (
        calls.message(A, E, b"hi"),
        {"agent_id": {"value": "a-1"}, "executor_id": {"value": "e-1"}, "data": "aGk="},
    ),
    "REQUEST": (
        calls.request([(A, Resources.of(cpus=1)), (None, Resources())]),
        {
            "requests": [
                {
                    "agent_id": {"value": "a-1"},
                    "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}}],
                },
                {},
            ]
        },
    ),
    "UPDATE_FRAMEWORK": (
        calls.update_framework(INFO, ["ads"], CONSTRAINTS),
        {"framework_info": content.to_json(INFO), "suppressed_roles": ["ads"], "offer_constraints": ...},
    ),
}


def test_there_is_a_builder_for_every_call_of_the_schema():
    assert set(CALLS) == set(pb.scheduler.Call.Type.keys()) - {"UNKNOWN"}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_built_as_the_schema_wants_it(name):
    call, body = CALLS[name]
    printed = content.to_json(call)
    assert printed.pop("type") == name
    if body is None:
        assert printed == {}
    else:
        found = printed[name.lower()]
        assert {key: ... if body.get(key) is ... else value for key, value in found.items()} == body


@pytest.mark.parametrize("content_type", ContentType)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_with_the_id_of_its_framework_can_be_sent(name, content_type):
    call = pb.scheduler.Call.FromString(CALLS[name][0].SerializeToString())
    assert calls.with_framework_id(call, F) is call
    data = content.serialize(call, content_type)
    assert content.parse(pb.scheduler.Call, data, content_type).framework_id.value == "f-1"


def test_calls_that_mean_everything_have_no_body_or_an_empty_one():
    assert content.to_json(calls.revive()) == {"type": "REVIVE"}
    assert content.to_json(calls.suppress()) == {"type": "SUPPRESS"}
    assert content.to_json(calls.reconcile()) == {"type": "RECONCILE", "reconcile": {}}
    assert content.to_json(calls.reconcile_operations())["reconcile_operations"] == {}
    assert not calls.decline([OFFER]).decline.HasField("filters")
    assert not calls.accept([OFFER]).accept.HasField("filters")


def test_a_re_subscription_carries_its_id_in_both_places():
    call = calls.with_framework_id(calls.subscribe(INFO), F)
    assert call.framework_id.value == call.subscribe.framework_info.id.value == "f-1"
    again = calls.subscribe(call.subscribe.framework_info)
    assert again.framework_id.value == "f-1"
    update = calls.with_framework_id(calls.update_framework(INFO), F)
    assert update.update_framework.framework_info.id.value == "f-1"
    assert calls.update_framework(call.subscribe.framework_info).framework_id.value == "f-1"
    assert not INFO.HasField("id")


def test_a_kill_takes_a_policy_a_grace_period_or_neither():
    policy = pb.mesos.KillPolicy(grace_period=pb.mesos.DurationInfo(nanoseconds=5))
    assert calls.kill(T, kill_policy=policy).kill.kill_policy == policy
    assert not calls.kill(T).kill.HasField("kill_policy")
    assert calls.kill(T, kill_policy=0).kill.kill_policy.HasField("grace_period")


def recorded_calls(recorded, *, executors):
    for line in recorded():
        if line["kind"] != "request" or not isinstance(line.get("body"), dict):
            continue
        if executors == (line.get("side") == "executor") and not line["conn"].startswith("operator"):
            yield line["body"]


def rebuild(body):
    """Build a recorded call again with our functions."""
    call = content.from_json(pb.scheduler.Call, body)
    kind = body["type"]
    inner: Any = getattr(call, kind.lower(), None)
    filters = inner.filters.refuse_seconds if "filters" in body.get(kind.lower(), {}) else None
    match kind:
        case "ACCEPT":
            built = calls.accept([OfferId(each.value) for each in inner.offer_ids], inner.operations, filters)
        case "DECLINE":
            built = calls.decline([OfferId(each.value) for each in inner.offer_ids], filters)
        case "KILL":
            agent = AgentId(inner.agent_id.value) if inner.HasField("agent_id") else None
            policy = inner.kill_policy if inner.HasField("kill_policy") else None
            built = calls.kill(TaskId(inner.task_id.value), agent, policy)
        case "ACKNOWLEDGE":
            built = calls.acknowledge(AgentId(inner.agent_id.value), TaskId(inner.task_id.value), inner.uuid)
        case "RECONCILE":
            built = calls.reconcile(
                (
                    TaskId(each.task_id.value),
                    AgentId(each.agent_id.value) if each.HasField("agent_id") else None,
                )
                for each in inner.tasks
            )
        case "RECONCILE_OPERATIONS":
            built = calls.reconcile_operations(
                (
                    OperationId(each.operation_id.value),
                    AgentId(each.agent_id.value) if each.HasField("agent_id") else None,
                )
                for each in inner.operations
            )
        case "MESSAGE":
            built = calls.message(
                AgentId(inner.agent_id.value), ExecutorId(inner.executor_id.value), inner.data
            )
        case "SHUTDOWN":
            built = calls.shutdown(ExecutorId(inner.executor_id.value), AgentId(inner.agent_id.value))
        case "ACCEPT_INVERSE_OFFERS":
            built = calls.accept_inverse_offers(
                [OfferId(each.value) for each in inner.inverse_offer_ids], filters
            )
        case "DECLINE_INVERSE_OFFERS":
            built = calls.decline_inverse_offers(
                [OfferId(each.value) for each in inner.inverse_offer_ids], filters
            )
        case "ACKNOWLEDGE_OPERATION_STATUS":
            operation = OperationId(inner.operation_id.value)
            built = calls.acknowledge_operation_status(operation, inner.uuid, AgentId(inner.agent_id.value))
        case "SUBSCRIBE" | "UPDATE_FRAMEWORK":
            build = calls.subscribe if kind == "SUBSCRIBE" else calls.update_framework
            constraints = inner.offer_constraints if inner.HasField("offer_constraints") else None
            built = build(inner.framework_info, inner.suppressed_roles, constraints)
        case _:
            built = {"TEARDOWN": calls.teardown, "REVIVE": calls.revive, "SUPPRESS": calls.suppress}[kind]()
    if call.HasField("framework_id"):
        calls.with_framework_id(built, FrameworkId(call.framework_id.value))
    return call, built


def test_every_recorded_call_can_be_built_with_these_functions(recorded):
    known = set(pb.scheduler.Call.Type.keys()) - {"UNKNOWN", "REQUEST"}
    bodiless = {"TEARDOWN", "REVIVE", "SUPPRESS"}
    seen = set()
    for body in recorded_calls(recorded, executors=False):
        kind = body.get("type", "")
        if kind not in known or not (kind in bodiless or kind.lower() in body):
            continue  # wrong on purpose
        call, built = rebuild(body)
        if kind == "SUBSCRIBE":  # some ids are wrong on purpose
            built.framework_id.CopyFrom(call.framework_id)
            call.framework_id.SetInParent()
            built.subscribe.framework_info.CopyFrom(call.subscribe.framework_info)
        assert built == call, body
        seen.add(kind)
    assert len(seen) >= 12, seen


EXECUTOR_CALLS = {
    "SUBSCRIBE": executor_calls.subscribe(
        [TASK], [executor_calls.status(T, "TASK_RUNNING", b"u" * 16, timestamp=1.5)]
    ),
    "UPDATE": executor_calls.update(
        executor_calls.status(
            T,
            "TASK_FAILED",
            b"u" * 16,
            timestamp=1.5,
            message="no",
            data=b"d",
            reason="REASON_TASK_INVALID",
            healthy=False,
            labels=[("k", "v"), ("w", None)],
            agent_id=A,
            executor_id=E,
        )
    ),
    "MESSAGE": executor_calls.message(b"hi"),
    "HEARTBEAT": executor_calls.heartbeat(),
}


def test_there_is_a_builder_for_every_call_of_an_executor():
    assert set(EXECUTOR_CALLS) == set(pb.executor.Call.Type.keys()) - {"UNKNOWN"}


@pytest.mark.parametrize("content_type", ContentType)
@pytest.mark.parametrize("name", EXECUTOR_CALLS)
def test_an_executors_call_with_its_ids_can_be_sent(name, content_type):
    call = executor_calls.with_ids(EXECUTOR_CALLS[name], F, E)
    again = content.parse(pb.executor.Call, content.serialize(call, content_type), content_type)
    assert again == call
    assert pb.executor.Call.Type.Name(again.type) == name
    assert (again.framework_id.value, again.executor_id.value) == ("f-1", "e-1")


def test_a_status_says_all_that_it_was_given():
    status = EXECUTOR_CALLS["UPDATE"].update.status
    assert content.to_json(status) == {
        "task_id": {"value": "t-1"},
        "state": "TASK_FAILED",
        "message": "no",
        "source": "SOURCE_EXECUTOR",
        "reason": "REASON_TASK_INVALID",
        "data": "ZA==",
        "agent_id": {"value": "a-1"},
        "executor_id": {"value": "e-1"},
        "timestamp": 1.5,
        "uuid": "dXV1dXV1dXV1dXV1dXV1dQ==",
        "healthy": False,
        "labels": {"labels": [{"key": "k", "value": "v"}, {"key": "w"}]},
    }
    with pytest.raises(ValueError, match="TASK_DANCING"):
        executor_calls.status(T, "TASK_DANCING", b"", timestamp=0)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("caf\udce9", "caf\ufffd"),
        ("\ud800\udfff", "\ufffd\ufffd"),
        ("caf\u00e9 \U0001f600", "caf\u00e9 \U0001f600"),
    ],
)
def test_text_for_people_is_sent_whatever_is_in_it(text, sent):
    labels = [(text, text), ("b", None)]
    status = executor_calls.status(T, "TASK_FAILED", b"u" * 16, timestamp=0, message=text, labels=labels)
    task = task_infos.task_info(T, A, Resources.of(cpus=1), name=text, labels=labels)
    framework = task_infos.framework_info(text, "user", labels=labels)
    executor = task_infos.executor_info(ExecutorId("e"), name=text, labels=labels)
    assert (status.message, task.name, framework.name, executor.name) == (sent,) * 4
    for described in (status, task, framework, executor):
        assert [(label.key, label.value) for label in described.labels.labels] == [(sent, sent), ("b", "")]


def test_an_executors_first_subscription_is_the_recorded_one(recorded):
    first = next(recorded_calls(recorded, executors=True))
    built = executor_calls.with_ids(
        executor_calls.subscribe(),
        FrameworkId(first["framework_id"]["value"]),
        ExecutorId(first["executor_id"]["value"]),
    )
    assert built == content.from_json(pb.executor.Call, first)


# -- infos --


def test_a_framework_is_described_as_given():
    info = task_infos.framework_info(
        "crawler",
        "nobody",
        roles=["ads", "web"],
        framework_id=F,
        failover_timeout=604800,
        checkpoint=True,
        hostname="h",
        principal="p",
        webui_url="http://h:1",
        labels=[("k", None)],
    )
    assert content.to_json(info) == {
        "user": "nobody",
        "name": "crawler",
        "id": {"value": "f-1"},
        "failover_timeout": 604800.0,
        "checkpoint": True,
        "roles": ["ads", "web"],
        "hostname": "h",
        "principal": "p",
        "webui_url": "http://h:1",
        "capabilities": [{"type": each} for each in task_infos.DEFAULT_CAPABILITIES],
        "labels": {"labels": [{"key": "k"}]},
    }
    old = task_infos.framework_info("n", "u", roles=["ads"], capabilities=[])
    assert (old.role, list(old.roles)) == ("ads", [])
    with pytest.raises(ValueError, match="FLYING"):
        task_infos.framework_info("n", "u", capabilities=["FLYING"])


def test_a_command_is_described_as_given():
    command = task_infos.command_info(
        "echo",
        arguments=["echo", "hi"],
        shell=False,
        environment={"A": "1"},
        uris=[
            "http://h/x.tgz",
            task_infos.Uri("/opt/y", executable=True, extract=False, cache=True, output_file="z"),
        ],
        user="nobody",
    )
    assert content.to_json(command) == {
        "uris": [
            {"value": "http://h/x.tgz", "executable": False, "extract": True},
            {"value": "/opt/y", "executable": True, "extract": False, "cache": True, "output_file": "z"},
        ],
        "environment": {"variables": [{"name": "A", "type": "VALUE", "value": "1"}]},
        "shell": False,
        "value": "echo",
        "arguments": ["echo", "hi"],
        "user": "nobody",
    }
    assert task_infos.command_info("x", environment=[("B", "2")]).environment.variables[0].name == "B"


def test_an_executor_is_custom_with_a_command_and_default_without():
    custom = task_infos.executor_info(
        E,
        task_infos.command_info("run"),
        resources=Resources.of(cpus=0.1),
        name="n",
        data=b"d",
        framework_id=F,
        shutdown_grace_period=1.5,
        labels=[("k", "v")],
    )
    assert content.to_json(custom) == {
        "type": "CUSTOM",
        "executor_id": {"value": "e-1"},
        "framework_id": {"value": "f-1"},
        "command": {"shell": True, "value": "run"},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
        "name": "n",
        "data": "ZA==",
        "shutdown_grace_period": {"nanoseconds": 1_500_000_000},
        "labels": {"labels": [{"key": "k", "value": "v"}]},
    }
    assert task_infos.executor_info(E).type == pb.mesos.ExecutorInfo.DEFAULT


def test_a_task_is_described_as_given():
    task = task_infos.task_info(
        T,
        A,
        Resources.of(cpus=1),
        name="n",
        executor=task_infos.executor_info(E),
        command=task_infos.command_info("run"),
        container=pb.mesos.ContainerInfo(type=pb.mesos.ContainerInfo.MESOS),
        data=b"d",
        labels=[("k", "v")],
        kill_grace_period=1,
        max_completion_time=2,
        health_check=pb.mesos.HealthCheck(type=pb.mesos.HealthCheck.COMMAND),
        check=pb.mesos.CheckInfo(type=pb.mesos.CheckInfo.COMMAND),
    )
    printed = content.to_json(task)
    assert set(printed) == {
        "name", "task_id", "agent_id", "resources", "executor", "command", "container", "health_check",
        "check", "kill_policy", "data", "labels", "max_completion_time",
    }  # fmt: skip
    assert printed["max_completion_time"] == {"nanoseconds": 2_000_000_000}
    assert TASK.name == "t-1"


def test_operations_are_built_as_recorded(recorded):
    built = {}
    ads = Reservation("ads", principal="ads-principal")
    (cpus, disk) = Resources.of(cpus=1, disk=100).push_reservation(ads).allocate("ads").entries
    volume = offer_operations.volume(disk, "vol-1", "data", principal="ads-principal")
    built["RESERVE"] = calls.reserve(Resources((cpus, disk)), operation_id=OperationId("op-reserve"))
    built["CREATE"] = calls.create(Resources((volume,)), OperationId("op-create"))
    built["DESTROY"] = calls.destroy(Resources((volume,)))
    built["UNRESERVE"] = calls.unreserve(Resources((cpus, disk)))
    seen = set()
    for line in recorded("reservations_and_volumes"):
        for operation in (
            (line.get("body") or {}).get("accept", {}).get("operations", [])
            if line["kind"] == "request"
            else ()
        ):
            if operation["type"] in built and operation.get("id", {}).get("value") != "op-bad":
                expected = content.from_json(pb.mesos.Offer.Operation, operation)
                assert built[operation["type"]] == expected
                seen.add(operation["type"])
    assert seen == set(built)
