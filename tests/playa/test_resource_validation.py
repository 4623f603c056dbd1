"""Resources in calls that a master refuses before it looks at anything else, and in which words."""

import math
from typing import Any

import pytest

from mesos_v1 import content, pb
from playa.master.validation import resources as resource_validation

DYNAMIC = {"type": "DYNAMIC", "role": "db"}
STATIC = {"type": "STATIC", "role": "db"}
PERSISTENT = {"persistence": {"id": "v"}, "volume": {"container_path": "d", "mode": "RW"}}


def resource(**fields: Any) -> pb.mesos.Resource:
    amount: dict[str, Any] = {"name": "cpus", "type": "SCALAR"}
    if not {"ranges", "set", "type"} & fields.keys():
        amount["scalar"] = {"value": 1}
    return content.from_json(pb.mesos.Resource, {**amount, **fields})


def ranges(*pairs: tuple[int, int]) -> pb.mesos.Resource:
    listed = [{"begin": begin, "end": end} for begin, end in pairs]
    return resource(name="ports", type="RANGES", ranges={"range": listed})


def disk(**fields: Any) -> pb.mesos.Resource:
    return resource(name="disk", **fields)


@pytest.mark.parametrize("value", [0, 0.0005, 1, 1e12])
def test_a_scalar_is_nothing_or_at_least_half_a_thousandth(value: float) -> None:
    assert resource_validation.of_one(resource(scalar={"value": value})) is None


@pytest.mark.parametrize("value", [0.0004, 0.00049999, -1, -0.0001, math.inf, math.nan, 1e30])
def test_a_scalar_that_counts_as_nothing_or_less_is_refused(value: float) -> None:
    proto = pb.mesos.Resource(name="cpus", type=pb.mesos.Value.SCALAR)
    proto.scalar.value = value
    assert resource_validation.of_one(proto) == "Invalid scalar resource: value <= 0"


@pytest.mark.parametrize(
    ("proto", "text"),
    [
        (resource(scalar={"value": 0.0004}), "cpus:0"),
        (resource(scalar={"value": -1.5}), "cpus:-1.5"),
        (resource(reservations=[DYNAMIC]), "cpus(reservations: [(DYNAMIC,db)]):1"),
        (ranges((5, 4)), "ports:[5-4]"),
        (resource(name="s", type="SET", set={"item": ["a", "a"]}), "s:{a, a}"),
    ],
)
def test_resources_are_printed_though_they_are_not_valid(proto: pb.mesos.Resource, text: str) -> None:
    assert resource_validation.printed(proto) == text


@pytest.mark.parametrize(
    ("proto", "text"),
    [
        (resource(name=""), "Empty resource name"),
        (resource(type="TEXT"), "Unsupported resource type"),
        (resource(type="SCALAR"), "Invalid scalar resource"),
        (resource(type="RANGES", scalar={"value": 1}), "Invalid ranges resource"),
        (resource(type="SET", scalar={"value": 1}, set={}), "Invalid set resource"),
        (ranges((5, 4)), "Invalid ranges resource: begin > end"),
        (ranges((4, 9), (1, 4)), "Invalid ranges resource: overlapping ranges"),
        (
            resource(name="s", type="SET", set={"item": ["a", "a"]}),
            "Invalid set resource: duplicated elements",
        ),
        (resource(disk=PERSISTENT), "DiskInfo should not be set for cpus resource"),
        (
            disk(disk={"source": {"type": "RAW", "mount": {}}}),
            "Mount should not be set for RAW disk source",
        ),
        (
            disk(disk={"source": {"type": "BLOCK", "path": {}}}),
            "Path should not be set for BLOCK disk source",
        ),
        (
            disk(disk={"source": {"type": "UNKNOWN"}}),
            "Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'",
        ),
        (resource(role="/x"), "Role '/x' cannot start with a slash"),
        (resource(reservation={}), 'Invalid reservation: role "*" cannot be dynamically reserved'),
        (
            resource(role="db", reservation={"type": "DYNAMIC"}),
            "'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field",
        ),
        (
            resource(reservations=[{"role": "db"}]),
            "Invalid reservation: 'Resource.ReservationInfo.type' field must be set.",
        ),
        (
            resource(reservations=[{"type": "STATIC", "role": "*"}]),
            'Invalid reservation: role "*" cannot be reserved',
        ),
        (
            resource(reservations=[STATIC, {"type": "STATIC", "role": "db/x"}]),
            "Invalid refined reservation: A refined reservation cannot be STATIC",
        ),
        (
            resource(reservations=[STATIC, {"type": "DYNAMIC", "role": "dbx"}]),
            "Invalid refined reservation: role 'dbx' is not a refinement of 'db'",
        ),
        (
            resource(role="x", reservations=[STATIC]),
            (
                "Invalid resource format: 'Resource.role' field with 'x' does not match the role 'db' in "
                "'Resource.reservations'"
            ),
        ),
        (
            resource(reservation={}, reservations=[STATIC]),
            (
                "Invalid resource format: 'Resource.reservation' must not be set if the single reservation in "
                "'Resource.reservations' is STATIC"
            ),
        ),
        (
            resource(role="db", reservations=[DYNAMIC]),
            (
                "Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or "
                "both not set if the single reservation in 'Resource.reservations' is DYNAMIC"
            ),
        ),
        (
            resource(role="db", reservations=[STATIC, {"type": "DYNAMIC", "role": "db/x"}]),
            (
                "Invalid resource format: 'Resource.role' must not be set if there is more than one reservation "
                "in 'Resource.reservations'"
            ),
        ),
        (resource(shared={}), "Resource cpus cannot be shared"),
        (disk(shared={}), "Only persistent volumes can be shared"),
    ],
)
def test_a_resource_that_is_not_valid_is_refused_in_the_words_of_mesos(
    proto: pb.mesos.Resource, text: str
) -> None:
    assert resource_validation.of_one(proto) == text
    printed = resource_validation.printed(proto)
    assert resource_validation.of_several([resource(), proto]) == f"Resource '{printed}' is invalid: {text}"


@pytest.mark.parametrize(
    "proto",
    [
        resource(reservations=[STATIC, {"type": "DYNAMIC", "role": "db/x"}]),
        resource(role="db", reservation={"principal": "p"}),
        resource(role="db", reservation={}, reservations=[DYNAMIC]),
        ranges((1, 3), (4, 5)),
        disk(shared={}, disk=PERSISTENT, reservations=[DYNAMIC]),
    ],
)
def test_a_resource_that_is_valid_is_taken(proto: pb.mesos.Resource) -> None:
    assert resource_validation.of_several([proto]) is None


@pytest.mark.parametrize(
    ("proto", "text"),
    [
        (
            resource(name="gpus", scalar={"value": 0.5}),
            "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
        ),
        (
            disk(disk=PERSISTENT),
            "Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources",
        ),
        (
            disk(disk=PERSISTENT, reservations=[DYNAMIC], revocable={}),
            "Invalid DiskInfo: Persistent volumes cannot be created from revocable resources",
        ),
        (
            disk(disk={"persistence": {"id": "v"}}, reservations=[DYNAMIC]),
            "Invalid DiskInfo: Expecting 'volume' to be set for persistent volume",
        ),
        (
            disk(
                disk={**PERSISTENT, "volume": {**PERSISTENT["volume"], "host_path": "/x"}},
                reservations=[DYNAMIC],
            ),
            "Invalid DiskInfo: Expecting 'host_path' to be unset for persistent volume",
        ),
        (
            disk(disk={**PERSISTENT, "persistence": {"id": "a/b"}}, reservations=[DYNAMIC]),
            "Invalid DiskInfo: Invalid persistence ID for persistent volume: 'a/b' contains invalid characters",
        ),
        (
            disk(disk={"volume": PERSISTENT["volume"]}),
            "Invalid DiskInfo: Non-persistent volume not supported",
        ),
        (disk(disk={}), "Invalid DiskInfo: DiskInfo is set but empty"),
        (
            resource(reservations=[DYNAMIC], revocable={}),
            (
                "Invalid ReservationInfo: Dynamically reserved resource "
                "cpus(reservations: [(DYNAMIC,db)]){REV}:1 cannot be created from revocable resources"
            ),
        ),
    ],
)
def test_an_operation_wants_more_of_its_resources(proto: pb.mesos.Resource, text: str) -> None:
    assert resource_validation.of_several([proto]) is None
    assert resource_validation.of_operation([proto]) == text


@pytest.mark.parametrize(
    ("providers", "text"),
    [
        (["", ""], None),
        (["p", "p"], None),
        ([], "The resources have multiple resource providers: "),
        (["p", "q"], "The resources have multiple resource providers: p, q"),
        (["p", ""], "Some resources have a resource provider and some do not"),
    ],
)
def test_the_resources_of_an_operation_have_one_provider(providers: list[str], text: str | None) -> None:
    protos = [resource(**({"provider_id": {"value": p}} if p else {})) for p in providers]
    assert resource_validation.of_one_provider(protos) == text
