"""Reservations and volumes at the agent: applied, reported until acknowledged, kept over a restart."""

import os
import shutil
from typing import Any

import pytest

from mesos_v1 import pb
from mesos_v1.content import from_json
from mesos_v1.resources import Resources
from playa.agent.containers.sandbox import link_volume, make_sandbox
from playa.messages import (
    ApplyOperation,
    OperationAcknowledged,
    OperationUpdate,
    ReconcileOperations,
    ReregisterAgent,
)

F = "M-0000"
RESERVED = {
    "name": "disk",
    "type": "SCALAR",
    "scalar": {"value": 100},
    "allocation_info": {"role": "ads"},
    "reservations": [{"type": "DYNAMIC", "role": "ads", "principal": "p"}],
}
VOLUME = {
    **RESERVED,
    "disk": {
        "persistence": {"id": "vol", "principal": "p"},
        "volume": {"container_path": "data", "mode": "RW"},
    },
}


def operation(kind: str, resources: list[Any], *, number: int, name: str = "") -> ApplyOperation:
    key = "volumes" if kind in {"CREATE", "DESTROY"} else "resources"
    body: dict[str, Any] = {"type": kind, kind.lower(): {key: resources}}
    if name:
        body["id"] = {"value": name}
    info = from_json(pb.mesos.Offer.Operation, body)
    return ApplyOperation(
        framework_id=F, operation=info.SerializeToString(), operation_uuid=bytes([number]) * 16
    )


def status_of(update: OperationUpdate) -> pb.mesos.OperationStatus:
    return pb.mesos.OperationStatus.FromString(update.status)


async def test_a_volume_keeps_its_data_from_one_task_to_the_next_until_destroyed(bench):
    await bench.start()
    bench.agent.tell(operation("RESERVE", [RESERVED], number=1))
    bench.agent.tell(operation("CREATE", [VOLUME], number=2))
    bench.run({"task_id": "w", "resources": [VOLUME], "command": {"value": "echo hi > data/file"}})
    assert (await bench.ended("w")).state == pb.mesos.TASK_FINISHED
    bench.run({"task_id": "r", "resources": [VOLUME], "command": {"value": "grep hi data/file"}})
    assert (await bench.ended("r")).state == pb.mesos.TASK_FINISHED
    bench.agent.tell(operation("DESTROY", [VOLUME], number=3))
    bench.agent.tell(operation("UNRESERVE", [RESERVED], number=4))
    await bench.until(lambda: len(bench.of(OperationUpdate)) == 4)
    assert not list(bench.directory.glob("agents/0/volumes/roles/ads/*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a task as somebody else")
def test_a_volume_belongs_to_the_user_of_the_task_that_uses_it(tmp_path):
    sandbox, volume = tmp_path / "sandbox", tmp_path / "volume"
    for owner in (65534, 0):
        make_sandbox(sandbox, "", ())
        os.chown(sandbox, owner, owner)
        link_volume(volume, sandbox, "a/data")
        found = volume.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (owner, owner, 0o700)
        assert (sandbox / "a" / "data").resolve() == volume
        shutil.rmtree(sandbox)
        (tmp_path / "latest").unlink()


async def test_a_group_s_tasks_see_the_volume_too(bench):
    await bench.start()
    bench.agent.tell(operation("RESERVE", [RESERVED], number=1))
    bench.agent.tell(operation("CREATE", [VOLUME], number=2))
    bench.run_group({"task_id": "w", "resources": [VOLUME], "command": {"value": "echo hi > data/file"}})
    assert (await bench.ended("w")).state == pb.mesos.TASK_FINISHED
    assert next(bench.directory.glob("agents/0/volumes/roles/ads/vol/file")).read_text() == "hi\n"


async def test_a_volume_appears_in_the_sandbox_of_an_executor_that_is_there_already(bench):
    await bench.start()
    bench.run(bench.custom("run", task_id="first"))
    await bench.running("first")
    bench.agent.tell(operation("RESERVE", [RESERVED], number=1))
    bench.agent.tell(operation("CREATE", [VOLUME], number=2))
    bench.run({**bench.custom("run", task_id="second"), "resources": [VOLUME]})
    await bench.running("second")
    (sandbox,) = bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/e/runs/latest")
    (volume,) = bench.directory.glob("agents/0/volumes/roles/ads/vol")
    assert (sandbox / "data").resolve() == volume.resolve()


async def test_an_operation_with_an_id_is_reported_until_acknowledged(bench, recorded):
    await bench.start(status_update_retry_interval_min=0.1)
    bench.agent.tell(operation("RESERVE", [RESERVED], number=1, name="op-reserve"))
    await bench.until(lambda: len(bench.of(OperationUpdate)) >= 2)
    first, second = bench.of(OperationUpdate)[:2]
    assert status_of(first) == status_of(second)
    their = next(
        line["event"]["update_operation_status"]["status"]
        for line in recorded("reservations_and_volumes")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE_OPERATION_STATUS"
    )
    ours = status_of(first)
    assert {field.name for field, _ in ours.ListFields()} == set(their)
    assert ours.state == pb.mesos.OPERATION_FINISHED
    bench.agent.tell(
        OperationAcknowledged(framework_id=F, operation_uuid=b"\1" * 16, status_uuid=ours.uuid.value)
    )
    bench.agent.tell(ReconcileOperations(operation_uuids=(b"\1" * 16,)))
    await bench.until(lambda: status_of(bench.of(OperationUpdate)[-1]).state == pb.mesos.OPERATION_DROPPED)


async def test_an_operation_that_was_acknowledged_is_forgotten_even_over_a_restart(bench):
    await bench.start()
    for number, name in ((1, "told"), (2, "open")):
        bench.agent.tell(operation("RESERVE", [RESERVED], number=number, name=name))
    told, _ = await bench.until(lambda: len(bench.of(OperationUpdate)) == 2 and bench.of(OperationUpdate))
    uuid = status_of(told).uuid.value
    bench.agent.tell(OperationAcknowledged(framework_id=F, operation_uuid=b"\1" * 16, status_uuid=uuid))
    bench.agent.tell(ReconcileOperations(operation_uuids=(b"\1" * 16,)))
    await bench.until(lambda: len(bench.of(OperationUpdate)) == 3)
    await bench.die()
    await bench.start()
    (kept,) = bench.of(ReregisterAgent)[0].operations
    assert pb.mesos.Operation.FromString(kept).info.id.value == "open"


async def test_an_operation_that_does_not_fit_fails_with_the_reason(bench):
    await bench.start()
    bench.agent.tell(operation("UNRESERVE", [RESERVED], number=1, name="op-bad"))
    update = (await bench.until(lambda: bench.of(OperationUpdate)))[0]
    assert status_of(update).state == pb.mesos.OPERATION_FAILED
    assert "does not contain" in status_of(update).message


async def test_reservations_and_open_operations_survive_a_restart(bench):
    await bench.start()
    bench.agent.tell(operation("RESERVE", [RESERVED], number=1, name="op"))
    await bench.until(lambda: bench.of(OperationUpdate))
    await bench.die()
    await bench.start()
    again = bench.of(ReregisterAgent)[0]
    total = Resources.from_proto(pb.mesos.Resource.FromString(r) for r in again.total_resources)
    assert total.reserved("ads").disk == 100.0
    kept = pb.mesos.Operation.FromString(again.operations[0])
    told = status_of(bench.of(OperationUpdate)[0])
    assert (kept.info.id.value, kept.framework_id.value, kept.agent_id.value) == ("op", F, "M-S0")
    assert (kept.uuid.value, list(kept.statuses), kept.latest_status) == (b"\1" * 16, [told], told)
    await bench.until(lambda: len(bench.of(OperationUpdate)) == 2)


async def test_a_task_with_a_volume_that_the_agent_does_not_have_is_dropped(bench):
    await bench.start()
    bench.run({"resources": [VOLUME], "command": {"value": "true"}})
    status = await bench.ended()
    assert status.state == pb.mesos.TASK_DROPPED
    assert status.reason == pb.mesos.TaskStatus.REASON_RESOURCES_UNKNOWN
