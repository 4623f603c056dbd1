"""Events are read as immutable values; what cannot be is a BadEvent, what is new is Unknown."""

import dataclasses
import enum
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_v1 import content, events, executor_events, pb, values
from mesos_v1.content import ContentError, ContentType
from mesos_v1.errors import BadEvent
from mesos_v1.resources import Resources
from mesos_v1.states import OperationState, TaskState

Event = pb.scheduler.Event


def read(body) -> Any:
    return events.read(content.from_json(Event, body))


def test_there_is_a_value_for_every_event_of_both_schemas():
    for module, schema in ((events, Event), (executor_events, pb.executor.Event)):
        union = get_args(module.SchedulerEvent if module is events else module.ExecutorEvent)
        names = {cls.__name__.upper() for cls in union}
        assert names == {name.replace("_", "") for name in schema.Type.keys()}  # noqa: SIM118


@pytest.mark.parametrize("name", sorted(set(Event.Type.keys()) - {"UNKNOWN", "HEARTBEAT"}))
def test_an_event_without_its_body_is_bad(name):
    with pytest.raises(BadEvent, match=f"{name} without '{name.lower()}'"):
        events.read(Event(type=Event.Type.Value(name)))


@pytest.mark.parametrize(
    "name", sorted(set(pb.executor.Event.Type.keys()) - {"UNKNOWN", "HEARTBEAT", "SHUTDOWN"})
)
def test_an_executors_event_without_its_body_is_bad(name):
    with pytest.raises(BadEvent, match=f"{name} without '{name.lower()}'"):
        executor_events.read(pb.executor.Event(type=pb.executor.Event.Type.Value(name)))


def test_an_event_of_a_newer_mesos_is_unknown_and_no_error():
    for module, cls in ((events, Event), (executor_events, pb.executor.Event)):
        assert module.read(content.from_json(cls, {"type": "SINGING"})) == module.Unknown("UNKNOWN")
        assert module.read(cls.FromString(b"\x08\x7b")) == module.Unknown("UNKNOWN")
        assert module.read(cls()) == module.Unknown("UNKNOWN")


def test_subscribed_says_how_often_heartbeats_come():
    body = {
        "type": "SUBSCRIBED",
        "subscribed": {"framework_id": {"value": "f"}, "heartbeat_interval_seconds": 7.5},
    }
    assert read(body) == events.Subscribed(values.FrameworkId("f"), 7.5, None)


@pytest.mark.parametrize("interval", [None, 0, -1, float("inf"), float("nan")])
def test_a_heartbeat_interval_that_cannot_be_is_the_default(interval):
    event = Event(type=Event.SUBSCRIBED)
    event.subscribed.framework_id.value = "f"
    if interval is not None:
        event.subscribed.heartbeat_interval_seconds = interval
    assert events.read(event) == events.Subscribed(values.FrameworkId("f"), 15, None)


def test_a_recorded_master_says_who_it_is(recorded):
    line = next(line for line in recorded("subscribe_and_heartbeat") if line["kind"] == "event")
    master = read(line["event"]).master
    assert (master.hostname, master.port, master.version) == ("127.0.0.1", 5050, "1.12.0")
    assert master.pid == "master@127.0.0.1:5050"
    assert master.capabilities == ("AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2")


def test_a_master_without_hostname_or_address_still_has_a_place():
    info = pb.mesos.MasterInfo(id="m", ip=1, port=5050)
    assert values.MasterInfo.from_proto(info).hostname == ""
    info.address.ip = "10.0.0.1"
    info.address.port = 80
    info.domain.fault_domain.region.name = "eu"
    info.domain.fault_domain.zone.name = "1"
    read_back = values.MasterInfo.from_proto(info)
    assert (read_back.hostname, read_back.port, read_back.domain) == (
        "10.0.0.1",
        80,
        values.Domain("eu", "1"),
    )
    assert values.Domain.from_proto(pb.mesos.DomainInfo()) is None


OFFER = {
    "id": {"value": "o"},
    "framework_id": {"value": "f"},
    "agent_id": {"value": "a"},
    "hostname": "h",
    "url": {
        "scheme": "https",
        "address": {"ip": "10.0.0.1", "port": 5051},
        "path": "/slave(1)",
        "query": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
        "fragment": "x",
    },
    "domain": {"fault_domain": {"region": {"name": "eu"}, "zone": {"name": "1"}}},
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "allocation_info": {"role": "ads"}},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}, "allocation_info": {"role": "ads"}},
    ],
    "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "r1"}}],
    "executor_ids": [{"value": "e"}],
    "unavailability": {"start": {"nanoseconds": 1_500_000_000}, "duration": {"nanoseconds": 2_000_000_000}},
    "allocation_info": {"role": "ads"},
}


def test_an_offer_is_read_in_full():
    (offer,) = read({"type": "OFFERS", "offers": {"offers": [OFFER]}}).offers
    assert offer == values.Offer(
        id=values.OfferId("o"),
        framework_id=values.FrameworkId("f"),
        agent_id=values.AgentId("a"),
        hostname="h",
        resources=Resources.of(cpus=3).allocate("ads"),
        role="ads",
        attributes=(values.Attribute("rack", "TEXT", "r1"),),
        executor_ids=(values.ExecutorId("e"),),
        unavailability=values.Unavailability(1.5, 2.0),
        url="https://10.0.0.1:5051/slave(1)?a=1&b=2#x",
        domain=values.Domain("eu", "1"),
        raw=offer.raw,
    )
    assert pb.mesos.Offer.FromString(offer.raw) == content.from_json(pb.mesos.Offer, OFFER)
    assert offer.attribute("rack") == "r1"
    assert offer.attribute("zone") is None


def test_an_offer_with_a_resource_that_cannot_be_is_a_bad_event():
    bad = {**OFFER, "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": -1}}]}
    with pytest.raises(BadEvent, match="OFFERS with a resource that cannot be"):
        read({"type": "OFFERS", "offers": {"offers": [bad]}})


def test_inverse_offers_are_read(recorded):
    bodies = [
        line["event"]
        for line in recorded("maintenance_inverse_offers")
        if line["kind"] == "event" and line["event"]["type"] == "INVERSE_OFFERS"
    ]
    assert bodies
    (inverse,) = read(bodies[0]).offers
    assert inverse.unavailability.start > 1e9
    assert inverse.agent_id
    sparse = pb.mesos.InverseOffer()
    sparse.id.value = sparse.framework_id.value = "x"
    sparse.unavailability.start.nanoseconds = 0
    assert values.InverseOffer.from_proto(sparse).agent_id is None
    assert values.InverseOffer.from_proto(sparse).unavailability.duration is None


def test_rescinds_name_their_offers():
    assert read({"type": "RESCIND", "rescind": {"offer_id": {"value": "o"}}}) == events.Rescind(
        values.OfferId("o")
    )
    body = {"type": "RESCIND_INVERSE_OFFER", "rescind_inverse_offer": {"inverse_offer_id": {"value": "o"}}}
    assert read(body) == events.RescindInverseOffer(values.OfferId("o"))


STATUS = {
    "task_id": {"value": "t"},
    "state": "TASK_FAILED",
    "message": "no",
    "source": "SOURCE_AGENT",
    "reason": "REASON_CONTAINER_LIMITATION_MEMORY",
    "data": "ZA==",
    "agent_id": {"value": "a"},
    "executor_id": {"value": "e"},
    "timestamp": 1.5,
    "uuid": "dXU=",
    "healthy": False,
    "check_status": {"type": "COMMAND", "command": {"exit_code": 0}},
    "labels": {"labels": [{"key": "k", "value": "v"}, {"key": "w"}]},
    "container_status": {
        "container_id": {"value": "c", "parent": {"value": "p"}},
        "network_infos": [{"ip_addresses": [{"ip_address": "10.0.0.1"}, {}]}],
    },
    "unreachable_time": {"nanoseconds": 500_000_000},
    "limitation": {"resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 32}}]},
}


def test_a_status_is_read_in_full():
    status = read({"type": "UPDATE", "update": {"status": STATUS}}).status
    assert status == values.TaskStatus(
        task_id=values.TaskId("t"),
        state=TaskState.TASK_FAILED,
        message="no",
        source="SOURCE_AGENT",
        reason="REASON_CONTAINER_LIMITATION_MEMORY",
        data=b"d",
        agent_id=values.AgentId("a"),
        executor_id=values.ExecutorId("e"),
        timestamp=1.5,
        uuid=b"uu",
        healthy=False,
        labels=(("k", "v"), ("w", None)),
        check_status=values.CheckStatus("COMMAND", exit_code=0),
        unreachable_time=0.5,
        limitation=Resources.of(mem=32),
        container_ids=(values.ContainerId("c"), values.ContainerId("p")),
        ip_addresses=("10.0.0.1",),
        raw=status.raw,
    )
    assert status.must_be_acknowledged
    assert status.label("k") == "v"
    assert status.label("w") is None
    assert status.label("x") is None


def test_a_status_with_nothing_optional_has_nothing():
    status = read(
        {"type": "UPDATE", "update": {"status": {"task_id": {"value": "t"}, "state": "TASK_LOST"}}}
    ).status
    assert status == values.TaskStatus(values.TaskId("t"), TaskState.TASK_LOST, raw=status.raw)
    assert not status.must_be_acknowledged


def test_the_other_kinds_of_checks_are_read():
    http = content.from_json(pb.mesos.CheckStatusInfo, {"type": "HTTP", "http": {"status_code": 200}})
    assert values.CheckStatus.from_proto(http) == values.CheckStatus("HTTP", http_status=200)
    tcp = content.from_json(pb.mesos.CheckStatusInfo, {"type": "TCP", "tcp": {"succeeded": False}})
    assert values.CheckStatus.from_proto(tcp) == values.CheckStatus("TCP", tcp_succeeded=False)
    assert values.CheckStatus.from_proto(pb.mesos.CheckStatusInfo()) == values.CheckStatus("UNKNOWN")


def test_a_state_source_or_reason_of_a_newer_mesos_does_not_break_a_status():
    proto = content.from_json(pb.mesos.TaskStatus, {"task_id": {"value": "t"}, "state": "TASK_LOST"})
    for field, number in (("state", 2), ("source", 9), ("reason", 10)):
        newer = pb.mesos.TaskStatus()
        newer.CopyFrom(proto)
        newer.ClearField(cast("Any", field))
        newer = pb.mesos.TaskStatus.FromString(newer.SerializePartialToString() + bytes([number << 3, 0x7F]))
        status = values.TaskStatus.from_proto(newer)
        assert (status.source, status.reason) == ("", "")
        assert status.state == (TaskState.TASK_UNKNOWN if field == "state" else TaskState.TASK_LOST)


def test_an_operations_status_is_read_in_full():
    body = {
        "operation_id": {"value": "op"},
        "state": "OPERATION_FINISHED",
        "message": "m",
        "converted_resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 32}}],
        "uuid": {"value": "dXU="},
        "agent_id": {"value": "a"},
        "resource_provider_id": {"value": "rp"},
    }
    status = read({"type": "UPDATE_OPERATION_STATUS", "update_operation_status": {"status": body}}).status
    assert status == values.OperationStatus(
        operation_id=values.OperationId("op"),
        state=OperationState.OPERATION_FINISHED,
        message="m",
        converted_resources=Resources.of(mem=32),
        uuid=b"uu",
        agent_id=values.AgentId("a"),
        resource_provider_id="rp",
        raw=status.raw,
    )
    assert status.must_be_acknowledged
    bare = values.OperationStatus.from_proto(pb.mesos.OperationStatus(state=pb.mesos.OPERATION_PENDING))
    assert (bare.operation_id, bare.agent_id, bare.uuid) == (None, None, b"")
    assert not bare.must_be_acknowledged
    newer = values.OperationStatus.from_proto(pb.mesos.OperationStatus.FromString(b"\x10\x7f"))
    assert newer.state is OperationState.OPERATION_UNSUPPORTED


def test_messages_failures_errors_and_heartbeats_are_read():
    body = {"agent_id": {"value": "a"}, "executor_id": {"value": "e"}, "data": "aGk="}
    a, e = values.AgentId("a"), values.ExecutorId("e")
    assert read({"type": "MESSAGE", "message": body}) == events.Message(a, e, b"hi")
    failure = {"agent_id": {"value": "a"}, "executor_id": {"value": "e"}, "status": 1792}
    assert read({"type": "FAILURE", "failure": failure}) == events.Failure(a, e, 1792)
    assert read({"type": "FAILURE", "failure": {}}) == events.Failure(None, None, None)
    assert read({"type": "ERROR", "error": {"message": "Framework removed"}}) == events.Error(
        "Framework removed"
    )
    assert read({"type": "HEARTBEAT"}) == events.Heartbeat()


def read_executor(body) -> Any:
    return executor_events.read(content.from_json(pb.executor.Event, body))


TASK = {"name": "n", "task_id": {"value": "t"}, "agent_id": {"value": "a"}}


def test_an_executors_events_are_read():
    task = content.from_json(pb.mesos.TaskInfo, TASK).SerializeToString()
    t = values.TaskId("t")
    assert read_executor({"type": "LAUNCH", "launch": {"task": TASK}}) == executor_events.Launch(task, t)
    group = {"type": "LAUNCH_GROUP", "launch_group": {"task_group": {"tasks": [TASK, TASK]}}}
    assert read_executor(group) == executor_events.LaunchGroup((task, task), (t, t))
    kill = {"task_id": {"value": "t"}}
    assert read_executor({"type": "KILL", "kill": kill}) == executor_events.Kill(t, None)
    policy = {"kill_policy": {"grace_period": {"nanoseconds": 2_500_000_000}}}
    assert read_executor({"type": "KILL", "kill": {**kill, **policy}}) == executor_events.Kill(t, 2.5)
    acknowledged = {"type": "ACKNOWLEDGED", "acknowledged": {"task_id": {"value": "t"}, "uuid": "dXU="}}
    assert read_executor(acknowledged) == executor_events.Acknowledged(t, b"uu")
    assert read_executor({"type": "MESSAGE", "message": {"data": "aGk="}}) == executor_events.Message(b"hi")
    assert read_executor({"type": "SHUTDOWN"}) == executor_events.Shutdown()
    assert read_executor({"type": "ERROR", "error": {"message": "m"}}) == executor_events.Error("m")
    assert read_executor({"type": "HEARTBEAT"}) == executor_events.Heartbeat()


def test_an_executors_subscription_says_who_it_is(recorded):
    line = next(
        line
        for line in recorded("custom_executor")
        if line.get("side") == "executor"
        and line["kind"] == "event"
        and line["event"]["type"] == "SUBSCRIBED"
    )
    event = read_executor(line["event"])
    body = line["event"]["subscribed"]
    assert event.executor_id == "exec-1"
    assert event.framework_id == body["framework_info"]["id"]["value"]
    assert event.agent_id == body["agent_info"]["id"]["value"]
    assert (
        pb.mesos.ExecutorInfo.FromString(event.executor_info).command.value
        == "/usr/bin/python3 recorder_executor.py"
    )
    assert event.container_id == body.get("container_id", {}).get("value")


def test_what_is_read_is_immutable_all_the_way_down():
    allowed = (str, bytes, int, float, bool, type(None), enum.Enum)

    def check(value: Any) -> None:
        if isinstance(value, tuple):
            for item in value:
                check(item)
        elif dataclasses.is_dataclass(value):
            with pytest.raises((dataclasses.FrozenInstanceError, TypeError, AttributeError)):
                setattr(value, "anything", 1)  # noqa: B010
            for field in dataclasses.fields(value):
                check(getattr(value, field.name))
        else:
            assert isinstance(value, allowed), type(value)

    check(read({"type": "OFFERS", "offers": {"offers": [OFFER]}}))
    check(read({"type": "UPDATE", "update": {"status": STATUS}}))
    check(read_executor({"type": "LAUNCH", "launch": {"task": TASK}}))


@given(st.binary(max_size=300))
def test_any_bytes_are_an_event_or_a_known_error(data):
    for module, cls in ((events, Event), (executor_events, pb.executor.Event)):
        try:
            module.read(content.parse(cls, data, ContentType.PROTOBUF))
        except (ContentError, BadEvent):
            pass


def all_text(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if "str" in str(field.type) or field.type is str:
                found = getattr(value, field.name)
                assert not isinstance(found, bytes), field.name
            all_text(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            all_text(item)


@pytest.mark.parametrize("read", ["parse", "read"])
def test_text_that_is_not_utf8_costs_neither_the_event_nor_the_stream(read):
    def spoil(node):
        if isinstance(node, dict):
            return {key: value if key in ENUMS else spoil(value) for key, value in node.items()}
        if isinstance(node, list):
            return [spoil(item) for item in node]
        return f"{node}ZZ" if isinstance(node, str) else node

    ENUMS = {"type", "state", "source", "reason", "data", "uuid"}  # noqa: N806
    for body in (
        {"type": "OFFERS", "offers": {"offers": [spoil(OFFER)]}},
        {"type": "UPDATE", "update": {"status": spoil(STATUS)}},
    ):
        body_bytes = content.from_json(Event, body).SerializeToString().replace(b"ZZ", b"\xff\x00")
        if read == "parse":
            event: Any = events.parse(body_bytes, ContentType.PROTOBUF)
        else:
            event = events.read(Event.FromString(body_bytes))
        all_text(event)
        if "offers" in body:
            assert event.offers[0].id == "o\ufffd\x00"
            assert event.offers[0].resources.names() == ("cpus\ufffd\x00",)
            assert event.offers[0].role == "ads\ufffd\x00"
            assert event.offers[0].resources.entries[0].facts.allocated_to == "ads\ufffd\x00"
        else:
            assert event.status.message == "no\ufffd\x00"
            assert event.status.labels[0] == ("k\ufffd\x00", "v\ufffd\x00")
