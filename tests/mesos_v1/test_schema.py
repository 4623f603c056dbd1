"""The generated code says what the table of facts says: every message, field, enum value, oneof and default."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from mesos_v1 import pb

FACTS = Path(__file__).with_name("schema.txt").read_text().splitlines()
FILES = {
    "mesos/v1/mesos.proto": "mesos",
    "mesos/v1/allocator/allocator.proto": "allocator",
    "mesos/v1/maintenance/maintenance.proto": "maintenance",
    "mesos/v1/scheduler/scheduler.proto": "scheduler",
    "mesos/v1/quota/quota.proto": "quota",
    "mesos/v1/master/master.proto": "master",
    "mesos/v1/resource_provider/resource_provider.proto": "resource_provider",
    "mesos/v1/agent/agent.proto": "agent",
    "mesos/v1/executor/executor.proto": "executor",
}
SCALARS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_") and isinstance(value, int)
}


def facts() -> dict[str, dict[str, Any]]:
    """File → what the table says of it, in the form in which `described` says it of a descriptor."""
    files: dict[str, dict[str, Any]] = {}
    things: dict[str, Any] = {}
    name = ""
    for line in FACTS:
        words = line.split()
        if line.startswith("file "):
            _, path, _, package, _, syntax, _, *imports = words
            things = {}
            files[path] = {
                "package": package,
                "syntax": syntax,
                "imports": imports[0].split(",") if imports else [],
                "things": things,
            }
        elif line.startswith("enum "):
            name, _, values = line.removeprefix("enum ").partition(": ")
            things[name] = sorted(tuple(value.split("=")) for value in values.split(", "))
        elif line.startswith("message "):
            name = words[1]
            things[name] = []
        elif line.startswith("  "):
            number, label, kind, field, *options = words
            things[name] = sorted([*things[name], (field, int(number), label, kind, *sorted(options))])
    return files


def described(descriptor: Any) -> dict[str, Any]:
    things: dict[str, Any] = {}
    for enum in (
        descriptor.enum_types_by_name.values() if hasattr(descriptor, "package") else descriptor.enum_types
    ):
        things[enum.full_name] = sorted((value.name, str(value.number)) for value in enum.values)
    nested = (
        descriptor.message_types_by_name.values()
        if hasattr(descriptor, "package")
        else descriptor.nested_types
    )
    for message in nested:
        things[message.full_name] = sorted(described_field(field) for field in message.fields)
        things.update(described(message))
    return things


def described_field(field: Any) -> tuple[Any, ...]:
    label = "required" if field.is_required else "repeated" if field.is_repeated else "optional"
    kind = SCALARS[field.type]
    if field.message_type is not None:
        kind = field.message_type.full_name
    if field.enum_type is not None:
        kind = field.enum_type.full_name
    options = []
    if field.has_default_value and not field.is_repeated:
        default = field.default_value
        if field.enum_type is not None:
            default = field.enum_type.values_by_number[default].name
        elif isinstance(default, bool):
            default = str(default).lower()
        elif isinstance(default, float):
            default = f"{default:g}"
        options.append(f"default={default}")
    if field.GetOptions().deprecated:
        options.append("deprecated")
    if field.containing_oneof is not None:
        options.append(f"oneof={field.containing_oneof.name}")
    return (field.name, field.number, label, kind, *sorted(options))


@pytest.mark.parametrize("path", FILES)
def test_the_generated_code_equals_the_table_of_facts(path):
    descriptor = getattr(pb, FILES[path]).DESCRIPTOR
    expected = facts()[path]
    assert descriptor.name == path
    assert descriptor.package == expected["package"]
    assert sorted(each.name for each in descriptor.dependencies) == sorted(expected["imports"])
    assert described(descriptor) == expected["things"]


def test_the_table_of_facts_is_compared_to_its_last_file():
    assert set(facts()) == set(FILES)
    assert sum(len(each["things"]) for each in facts().values()) == sum(
        line.startswith(("message ", "enum ")) for line in FACTS
    )


def test_a_module_of_pb_is_loaded_when_it_is_first_used_and_others_do_not_exist():
    assert pb.quota.QuotaInfo.DESCRIPTOR.full_name == "mesos.v1.quota.QuotaInfo"
    with pytest.raises(AttributeError, match="no attribute 'marathon'"):
        _ = pb.marathon


def test_unknown_fields_of_a_newer_mesos_are_kept():
    newer = pb.scheduler.Event(type=pb.scheduler.Event.HEARTBEAT).SerializeToString() + b"\xfa\x3f\x03new"
    assert pb.scheduler.Event.FromString(newer).SerializeToString() == newer


def test_an_unknown_enum_value_leaves_the_field_unset_and_survives():
    newer = b"\x08\xe3\x01"  # type = 227
    event = pb.scheduler.Event.FromString(newer)
    assert not event.HasField("type")
    assert event.type == pb.scheduler.Event.UNKNOWN
    assert event.SerializeToString() == newer
