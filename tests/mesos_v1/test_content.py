"""Both content types: what is printed, what is read, and what is said of what cannot be read."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_v1 import pb
from mesos_v1.content import ContentError, ContentType, from_json, parse, serialize, to_json

JSON, PROTOBUF = ContentType.JSON, ContentType.PROTOBUF
Call = pb.scheduler.Call


def acknowledge(uuid=b"\x00\xff16 bytes of it."):
    call = Call(type=Call.ACKNOWLEDGE)
    call.framework_id.value = "f-1"
    call.acknowledge.agent_id.value = "a-1"
    call.acknowledge.task_id.value = "t-1"
    call.acknowledge.uuid = uuid
    return call


@pytest.mark.parametrize("content_type", ContentType)
def test_a_message_survives_each_content_type(content_type):
    assert parse(Call, serialize(acknowledge(), content_type), content_type) == acknowledge()


def test_the_media_types_are_those_of_mesos():
    assert [each.value for each in ContentType] == ["application/x-protobuf", "application/json"]


def test_json_has_names_in_snake_case_enums_by_name_and_bytes_in_base64():
    assert json.loads(serialize(acknowledge(b"\x00\xff"), JSON)) == {
        "framework_id": {"value": "f-1"},
        "type": "ACKNOWLEDGE",
        "acknowledge": {"agent_id": {"value": "a-1"}, "task_id": {"value": "t-1"}, "uuid": "AP8="},
    }


def test_64_bit_integers_are_numbers():
    duration = pb.mesos.DurationInfo(nanoseconds=2**62 + 1)
    assert serialize(duration, JSON) == b'{"nanoseconds":4611686018427387905}'
    assert parse(pb.mesos.DurationInfo, serialize(duration, JSON), JSON) == duration


def test_fields_with_a_default_are_printed_unless_they_are_deprecated():
    info = pb.mesos.FrameworkInfo(user="u", name="n")
    assert to_json(info) == {"user": "u", "name": "n", "failover_timeout": 0.0, "checkpoint": False}
    assert to_json(pb.mesos.Environment.Variable(name="A"))["type"] == "VALUE"


def test_repeated_enums_are_lists_of_names():
    info = pb.mesos.CapabilityInfo(capabilities=[pb.mesos.CapabilityInfo.CHOWN, pb.mesos.CapabilityInfo.BPF])
    assert to_json(info) == {"capabilities": ["CHOWN", "BPF"]}
    assert from_json(pb.mesos.CapabilityInfo, {"capabilities": ["CHOWN", "BPF", "NEW"]}) == info
    assert to_json(pb.mesos.CapabilityInfo()) == {}


def test_maps_are_objects_in_the_order_of_their_keys():
    task = pb.mesos.TaskInfo(name="t")
    task.task_id.value = task.agent_id.value = "x"
    task.limits["mem"].value = 64
    task.limits["cpus"].value = 0.5
    printed = to_json(task)
    assert list(printed["limits"].items()) == [("cpus", {"value": 0.5}), ("mem", {"value": 64.0})]
    assert from_json(pb.mesos.TaskInfo, printed) == task


def test_maps_of_text_are_objects_too():
    cls = pb.mesos.Volume.Source.CSIVolume.StaticProvisioning
    value = {
        "volume_id": "v",
        "volume_capability": {"access_mode": {"mode": "SINGLE_NODE_WRITER"}},
        "volume_context": {"a": "b"},
    }
    assert to_json(from_json(cls, value)) == value


def test_an_empty_message_is_told_from_an_absent_one():
    with_body = from_json(Call, {"type": "REVIVE", "revive": {}})
    assert with_body.HasField("revive")
    assert to_json(with_body) == {"type": "REVIVE", "revive": {}}
    assert not from_json(Call, {"type": "REVIVE"}).HasField("revive")


def test_text_of_any_language_is_printed_as_it_is():
    error = pb.scheduler.Event.Error(message="naïve ∀ 🙂")
    assert serialize(error, JSON) == '{"message":"naïve ∀ 🙂"}'.encode()
    assert parse(pb.scheduler.Event.Error, serialize(error, JSON), JSON) == error


@pytest.mark.parametrize(
    "extra",
    [{"new_field": {"deep": [1]}}, {"type": None}, {"acknowledge": None}, {"new": None, "message": None}],
)
def test_unknown_fields_and_nulls_are_ignored(extra):
    assert from_json(Call, {"framework_id": {"value": "f"}, **extra}) == Call(
        framework_id=pb.mesos.FrameworkID(value="f")
    )


def test_an_unknown_enum_value_leaves_its_field_unset():
    assert not from_json(Call, {"type": "DANCE"}).HasField("type")
    assert not from_json(Call, {"type": 4711}).HasField("type")
    assert from_json(Call, {"type": 3}).type == Call.ACCEPT


@pytest.mark.parametrize(("value", "expected"), [(1, 1), (1.0, 1), ("12", 12), (2**32 - 1, 2**32 - 1)])
def test_whole_numbers_are_read_in_each_of_their_forms(value, expected):
    assert from_json(pb.mesos.CheckInfo.Tcp, {"port": value}).port == expected


@pytest.mark.parametrize(
    ("cls", "value", "where", "reason"),
    [
        (pb.mesos.CheckInfo.Tcp, {"port": 1.5}, "port", "Not expecting a JSON number for field 'port'"),
        (pb.mesos.CheckInfo.Tcp, {"port": True}, "port", "Not expecting a JSON boolean for field 'port'"),
        (pb.mesos.CheckInfo.Tcp, {"port": "x"}, "port", "Not expecting a JSON string for field 'port'"),
        (pb.mesos.CheckInfo.Tcp, {"port": -1}, "port", "does not fit"),
        (pb.mesos.CheckInfo.Tcp, {"port": 2**32}, "port", "does not fit"),
        (pb.mesos.CheckInfo.Tcp, {"port": []}, "port", "Not expecting a JSON array for field 'port'"),
        (pb.mesos.Value.Scalar, {"value": "1"}, "value", "Not expecting a JSON string for field 'value'"),
        (pb.mesos.Value.Scalar, {"value": True}, "value", "Not expecting a JSON boolean for field 'value'"),
        (pb.mesos.FrameworkID, {"value": 7}, "value", "Not expecting a JSON number for field 'value'"),
        (pb.mesos.FrameworkID, {"value": {}}, "value", "Not expecting a JSON object for field 'value'"),
        (pb.mesos.FrameworkID, {"value": "\ud800"}, "value", "does not fit"),
        (Call, {"framework_id": "f"}, "framework_id", "Not expecting a JSON string for field 'framework_id'"),
        (Call, {"type": 1.5}, "type", "Not expecting a JSON number for field 'type'"),
        (Call, {"revive": {"roles": "x"}}, "revive.roles", "Not expecting a JSON string for field 'roles'"),
        (Call, {"revive": {"roles": ["\ud800"]}}, "revive.roles[0]", "does not fit"),
        (
            Call,
            {"revive": {"roles": ["x", 1]}},
            "revive.roles",
            "Not expecting a JSON number for field 'roles'",
        ),
        (
            Call,
            {"acknowledge": {"uuid": "*"}},
            "acknowledge.uuid",
            "not base64",
        ),
        (
            Call,
            {"accept": {"operations": [{"launch": {"task_infos": [{"data": 1}]}}]}},
            "accept.operations[0].launch.task_infos[0].data",
            "Not expecting a JSON number for field 'data'",
        ),
        (Call, {"accept": {"offer_ids": ["x"]}}, "accept.offer_ids", "Not expecting a JSON string"),
        (pb.mesos.TaskInfo, {"limits": []}, "limits", "Not expecting a JSON array for field 'limits'"),
        (
            pb.mesos.TaskInfo,
            {"limits": {"mem": 1}},
            "limits",
            "Not expecting a JSON number for field 'limits'",
        ),
        (pb.mesos.TaskInfo, {"limits": {"\ud800": {"value": 1}}}, "limits[\ud800]", "does not fit"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_path(cls, value, where, reason):
    with pytest.raises(ContentError) as caught:
        from_json(cls, value)
    assert caught.value.where == where
    assert reason in caught.value.reason


@pytest.mark.parametrize("body", ["[]", "1", "null", '"x"', "true"])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(ContentError, match="expected a JSON object"):
        parse(Call, body.encode(), JSON)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{nope", "syntax error at line 1 near: nope"),
        (b"", "syntax error at line 1 near: $"),
        (b'{"type":\n\n}', "syntax error at line 3 near: }"),
        (b"\xff\xfe\x00", "not JSON|syntax error"),
        (b'{"type": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_not_json_says_where(body, reason):
    with pytest.raises(ContentError, match=reason):
        parse(Call, body, JSON)


def test_a_deeply_nested_message_is_an_error_and_no_crash():
    deep: dict[str, object] = {"value": "x"}
    for _ in range(50_000):
        deep = {"value": "x", "parent": deep}
    with pytest.raises(ContentError, match="nested too deeply"):
        from_json(pb.mesos.ContainerID, deep)


@pytest.mark.parametrize("content_type", ContentType)
def test_a_missing_required_field_is_named(content_type):
    bodies = {JSON: b'{"type":"KILL","kill":{}}', PROTOBUF: b"\x10\x06\x32\x00"}
    with pytest.raises(ContentError, match="Missing required fields: kill.task_id"):
        parse(Call, bodies[content_type], content_type)
    incomplete = Call(type=Call.KILL)
    incomplete.kill.SetInParent()
    with pytest.raises(ContentError, match="Missing required fields: kill.task_id"):
        serialize(incomplete, content_type)


@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff garbage", b"\x1a\x7fshort", b"\x00"])
def test_garbage_is_not_protobuf(body):
    with pytest.raises(ContentError, match="not the protobuf of a Call"):
        parse(Call, body, PROTOBUF)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_content_error(data):
    for content_type in ContentType:
        try:
            parse(pb.scheduler.Event, data, content_type)
        except ContentError:
            pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([field.name for field in pb.mesos.TaskInfo.DESCRIPTOR.fields])
            | st.sampled_from(["value", "resources", "scalar", "limits", "new"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_a_task_or_a_content_error(value):
    try:
        from_json(pb.mesos.TaskInfo, value)
    except ContentError:
        pass


@given(st.builds(acknowledge, st.binary(max_size=40)))
def test_bytes_survive_json(call):
    data = json.loads(serialize(call, JSON))
    assert base64.b64decode(data["acknowledge"]["uuid"]) == call.acknowledge.uuid
    assert from_json(Call, data) == call


def not_utf8(message):
    """The protobuf of a message in which each ZZ is two bytes that are not UTF-8."""
    return message.SerializeToString().replace(b"ZZ", b"\xff\x00")


def full_of_text():
    task = pb.mesos.TaskInfo(name="nameZZ", data=b"dataZZ")
    task.task_id.value = "idZZ"
    task.agent_id.value = "a"
    task.command.arguments.extend(["one", "twoZZ"])
    task.limits["mem"].value = 2
    task.labels.labels.add(key="keyZZ", value="valueZZ")
    volume = task.container.volumes.add(container_path="p", mode=pb.mesos.Volume.RW)
    task.container.type = pb.mesos.ContainerInfo.MESOS
    csi = volume.source.csi_volume
    csi.plugin_name = "x"
    csi.static_provisioning.volume_id = "v"
    csi.static_provisioning.volume_capability.access_mode.mode = (
        csi.static_provisioning.volume_capability.access_mode.SINGLE_NODE_WRITER
    )
    csi.static_provisioning.volume_context["k"] = "vZZ"
    csi.static_provisioning.volume_context["plain"] = "vZZ"
    return task


def test_text_that_is_not_utf8_is_replaced_wherever_it_is_and_bytes_are_left_alone():
    task = parse(pb.mesos.TaskInfo, not_utf8(full_of_text()), PROTOBUF)
    wrong = "\ufffd\x00"
    assert task.name == "name" + wrong
    assert task.task_id.value == "id" + wrong
    assert task.data == b"data\xff\x00"
    assert list(task.command.arguments) == ["one", "two" + wrong]
    assert task.labels.labels[0].value == "value" + wrong
    context = task.container.volumes[0].source.csi_volume.static_provisioning.volume_context
    assert dict(context) == {"k": "v" + wrong, "plain": "v" + wrong}
    assert to_json(parse(pb.mesos.TaskInfo, serialize(task, JSON), JSON)) == to_json(task)


def test_text_that_is_not_utf8_can_be_printed_as_json_even_when_it_was_not_replaced():
    task = parse(pb.mesos.TaskInfo, not_utf8(full_of_text()), PROTOBUF, clean_text=False)
    printed = to_json(task)
    assert printed["name"] == "name\ufffd\x00"
    assert printed["command"]["arguments"] == ["one", "two\ufffd\x00"]
    assert parse(pb.mesos.TaskInfo, serialize(task, JSON), JSON).name == "name\ufffd\x00"


def test_a_key_of_a_map_that_is_not_utf8_is_an_error_that_names_the_map():
    task = full_of_text()
    task.limits["cpuZZ"].value = 1
    with pytest.raises(ContentError, match="limits: a key is not UTF-8"):
        parse(pb.mesos.TaskInfo, not_utf8(task), PROTOBUF)
    with pytest.raises(ContentError, match="limits: a key is not UTF-8"):
        to_json(parse(pb.mesos.TaskInfo, not_utf8(task), PROTOBUF, clean_text=False))


def test_containers_nested_in_each_other_are_cleaned_to_the_bottom():
    container = from_json(
        pb.mesos.ContainerID, {"value": "a", "parent": {"value": "b", "parent": {"value": "cZZ"}}}
    )
    read = parse(pb.mesos.ContainerID, not_utf8(container), PROTOBUF)
    assert read.parent.parent.value == "c\ufffd\x00"
