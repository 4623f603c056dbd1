"""Where sandboxes and volumes are: as in Mesos, and never outside of the work directory, whatever clients call things."""

from pathlib import Path

import pytest

from mesos_v1 import pb
from playa.agent.containers.sandbox import sandbox_path, volume_path
from playa.agent.messages import ExecutorRun

WORK = Path("/work")
SEGMENTS = [
    ("plain", "plain"),
    ("with.dots-and_more", "with.dots-and_more"),
    ("...", "..."),
    ("", "%"),
    (".", "%2e"),
    ("..", "%2e%2e"),
    ("../../etc", "%2e%2e%2f%2e%2e%2fetc"),
    ("a/b", "a%2fb"),
    ("a\0b.c", "a%00b%2ec"),
]


def volume(name: str, **roles: str) -> pb.mesos.Resource:
    resource = pb.mesos.Resource(name="disk", type=pb.mesos.Value.SCALAR)
    resource.disk.persistence.id = name
    for role in roles.values():
        resource.reservations.add(role=role, type=pb.mesos.Resource.ReservationInfo.DYNAMIC)
    return resource


@pytest.mark.parametrize(("name", "segment"), SEGMENTS)
def test_an_id_is_one_segment_of_a_path_whatever_is_in_it(name, segment):
    assert volume_path(WORK, volume(name, role="ads")) == WORK / "volumes" / "roles" / "ads" / segment
    run = ExecutorRun(name, name, "c")
    assert sandbox_path(WORK, "S0", run) == (
        WORK / "slaves" / "S0" / "frameworks" / segment / "executors" / segment / "runs" / "c"
    )


def test_a_volume_is_kept_by_the_innermost_role_that_it_is_reserved_for():
    assert volume_path(WORK, volume("v", outer="a", inner="a/b")) == WORK / "volumes" / "roles" / "a b" / "v"
    static = volume("v")
    static.role = "db"
    assert volume_path(WORK, static) == WORK / "volumes" / "roles" / "db" / "v"
