"""Operations on resources: reserving, volumes, resizing, feedback and its acknowledgement, what is refused."""

from typing import Any

import pytest

from mesos_v1 import pb
from playa import messages
from playa.master.agents import admission, liveness
from playa.master.scheduler_api import operations

RESERVED = {"type": "DYNAMIC", "role": "ads", "principal": "p"}


def cpus(amount: float, **more: Any) -> dict[str, Any]:
    return {"name": "cpus", "type": "SCALAR", "scalar": {"value": amount}, **more}


def disk(amount: float, **more: Any) -> dict[str, Any]:
    return {"name": "disk", "type": "SCALAR", "scalar": {"value": amount}, **more}


def volume(amount: float = 100, **more: Any) -> dict[str, Any]:
    persistence = {
        "persistence": {"id": "v", "principal": "p"},
        "volume": {"container_path": "d", "mode": "RW"},
    }
    return disk(amount, reservations=[RESERVED], disk=persistence, **more)


@pytest.fixture
def ads(bench: Any) -> Any:
    """A bench with an agent and a framework in the role `ads`."""
    bench.agent = bench.add_agent(resources="cpus:4;mem:4096;disk:1000")
    bench.framework = bench.subscribe(
        roles=("ads",),
        principal="p",
        capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES"),
    )
    return bench


def apply(bench: Any, *operations: dict[str, Any]) -> None:
    offer = bench.offers(bench.framework)[-1]
    accept = {
        "offer_ids": [{"value": offer.id.value}],
        "operations": list(operations),
        "filters": {"refuse_seconds": 0},
    }
    assert bench.call(bench.framework, type="ACCEPT", accept=accept).status == 202
    bench.pass_time(1)


def outcomes(bench: Any) -> list[tuple[str, str, str]]:
    events = bench.events(bench.framework, "UPDATE_OPERATION_STATUS")
    found = [event.update_operation_status.status for event in events]
    return [(s.operation_id.value, pb.mesos.OperationState.Name(s.state), s.message) for s in found]


def report(
    bench: Any, state: str = "OPERATION_FINISHED", *, uuid: bytes = b"s" * 16
) -> messages.ApplyOperation:
    """The agent reports on the newest operation."""
    asked: messages.ApplyOperation = bench.told(messages.ApplyOperation)[-1]
    status = pb.mesos.OperationStatus(state=pb.mesos.OperationState.Value(state))
    if uuid:
        status.uuid.value = uuid
    status.agent_id.value = bench.agent.id
    data = status.SerializeToString()
    update = messages.OperationUpdate(bench.agent.id, asked.framework_id, asked.operation_uuid, data, data)
    operations.operation_update(bench.state, update)
    return asked


def test_what_is_reserved_is_offered_reserved(ads: Any) -> None:
    apply(ads, {"type": "RESERVE", "reserve": {"resources": [cpus(1, reservations=[RESERVED])]}})
    offered = [(r.name, r.scalar.value, len(r.reservations)) for r in ads.offers(ads.framework)[-1].resources]
    assert offered == [("cpus", 1, 1), ("cpus", 3, 0), ("mem", 4096, 0), ("disk", 1000, 0)]


def test_a_chain_of_operations_sees_what_the_one_before_it_made(ads: Any) -> None:
    task = {
        "name": "t",
        "task_id": {"value": "t"},
        "agent_id": {"value": ads.agent.id},
        "command": {"value": "x"},
        "resources": [cpus(1), volume()],
    }
    apply(
        ads,
        {"type": "RESERVE", "reserve": {"resources": [disk(100, reservations=[RESERVED])]}},
        {"type": "CREATE", "create": {"volumes": [volume()]}},
        {"type": "LAUNCH", "launch": {"task_infos": [task]}},
    )
    assert len(ads.told(messages.RunTask)) == 1
    assert ads.agent.total.persistent_volumes().disk == 100


def test_feedback_is_kept_until_it_is_acknowledged(ads: Any) -> None:
    reserve = {
        "type": "RESERVE",
        "id": {"value": "op"},
        "reserve": {"resources": [cpus(1, reservations=[RESERVED])]},
    }
    apply(ads, reserve)
    asked = report(ads)
    assert outcomes(ads) == [("op", "OPERATION_FINISHED", "")]
    acknowledged = {
        "agent_id": {"value": ads.agent.id},
        "uuid": "c3Nzc3Nzc3Nzc3Nzc3Nzcw==",
        "operation_id": {"value": "op"},
    }
    assert ads.framework.operations
    ads.call(ads.framework, type="ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=acknowledged)
    assert ads.told(messages.OperationAcknowledged) == [
        messages.OperationAcknowledged(ads.framework.id, asked.operation_uuid, b"s" * 16)
    ]
    assert not ads.framework.operations
    assert not ads.agent.operations


def test_an_operation_that_never_reached_its_agent_is_dropped_when_the_agent_comes_back(ads: Any) -> None:
    agent = ads.agent
    before = agent.total
    apply(
        ads,
        {
            "type": "RESERVE",
            "id": {"value": "op"},
            "reserve": {"resources": [cpus(1, reservations=[RESERVED])]},
        },
    )
    liveness.disconnected(ads.state, agent.actor)
    back = messages.ReregisterAgent(
        agent=agent.actor,
        agent_info=agent.info.SerializeToString(),
        pid=agent.pid,
        total_resources=tuple(r.SerializeToString() for r in before.to_proto()),
        frameworks=(),
        executors=(),
        tasks=(),
        operations=(),
    )
    admission.reregister(ads.state, back)
    (asked,) = ads.told(messages.ReconcileOperations)
    assert asked.operation_uuids == tuple(ads.framework.operations)
    status = pb.mesos.OperationStatus(state=pb.mesos.OPERATION_DROPPED)
    status.uuid.value, status.agent_id.value = b"s" * 16, agent.id
    data = status.SerializeToString()
    update = messages.OperationUpdate(agent.id, "", asked.operation_uuids[0], data, data)
    operations.operation_update(ads.state, update)
    assert outcomes(ads) == [("op", "OPERATION_DROPPED", "")]
    assert agent.total == before
    ads.pass_time(6)
    offered = [(r.name, r.scalar.value, len(r.reservations)) for r in ads.offers(ads.framework)[-1].resources]
    assert offered == [("cpus", 4, 0), ("mem", 4096, 0), ("disk", 1000, 0)]


def test_a_report_on_an_operation_that_nobody_knows_is_handed_on_if_its_agent_is_known(ads: Any) -> None:
    status = pb.mesos.OperationStatus(state=pb.mesos.OPERATION_DROPPED)
    data = status.SerializeToString()
    for agent_id, framework_id, told in (
        (ads.agent.id, "nobody", 0),
        ("m-S9", ads.framework.id, 0),
        (ads.agent.id, ads.framework.id, 1),
    ):
        update = messages.OperationUpdate(agent_id, framework_id, b"?" * 16, data, data)
        operations.operation_update(ads.state, update)
        assert len(outcomes(ads)) == told


def test_an_acknowledgement_of_something_else_changes_nothing(ads: Any) -> None:
    reserve = {
        "type": "RESERVE",
        "id": {"value": "op"},
        "reserve": {"resources": [cpus(1, reservations=[RESERVED])]},
    }
    apply(ads, reserve)
    report(ads)
    for wrong in (
        {"uuid": "eHh4eHh4eHh4eHh4eHh4eA=="},
        {"operation_id": {"value": "x"}},
        {"agent_id": {"value": "x"}},
    ):
        right = {
            "agent_id": {"value": ads.agent.id},
            "uuid": "c3Nzc3Nzc3Nzc3Nzc3Nzcw==",
            "operation_id": {"value": "op"},
        }
        call = {**right, **wrong}
        ads.call(ads.framework, type="ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=call)
    assert ads.told(messages.OperationAcknowledged) == []
    assert ads.state.counts["invalid_operation_status_update_acknowledgements"] == 3


def test_an_operation_without_an_id_is_forgotten_when_it_is_done(ads: Any) -> None:
    apply(ads, {"type": "RESERVE", "reserve": {"resources": [cpus(1, reservations=[RESERVED])]}})
    report(ads, uuid=b"")
    assert outcomes(ads) == []
    assert not ads.agent.operations


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (
            {"type": "RESERVE", "reserve": {"resources": [cpus(1)]}},
            "Resource cpus(allocated: ads):1 is not dynamically reserved",
        ),
        (
            {
                "type": "RESERVE",
                "reserve": {"resources": [cpus(1, reservations=[{**RESERVED, "role": "other"}])]},
            },
            "A reserve operation was attempted for a resource with role 'other', but the resource was allocated to role",
        ),
        (
            {
                "type": "RESERVE",
                "reserve": {"resources": [cpus(1, reservations=[{**RESERVED, "principal": "q"}])]},
            },
            "A reserve operation was attempted by authenticated principal 'p', which does not match a reserved",
        ),
        (
            {
                "type": "RESERVE",
                "reserve": {"source": [cpus(1)], "resources": [cpus(1, reservations=[RESERVED])]},
            },
            "Operation attempted with invalid resources: Reservation updates are not yet implemented for the scheduler",
        ),
        (
            {"type": "RESERVE"},
            "Operation attempted with invalid resources: A RESERVE offer operation must have the",
        ),
        (
            {"type": "RESERVE", "reserve": {"resources": [cpus(99, reservations=[RESERVED])]}},
            "cpus(allocated: ads):4; mem(allocated: ads):4096; disk(allocated: ads):1000 does not contain cpus",
        ),
        (
            {"type": "CREATE", "create": {"volumes": [disk(100, reservations=[RESERVED])]}},
            "Not a persistent volume: Resource disk(allocated: ads)(reservations: [(DYNAMIC,ads,p)]):100 does not have",
        ),
        (
            {"type": "DESTROY", "destroy": {"volumes": [volume()]}},
            "Persistent volumes not found; on agent m-S0 at slave(1)@",
        ),
        (
            {"type": "SHRINK_VOLUME", "shrink_volume": {"volume": volume(), "subtract": {"value": 100}}},
            "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'",
        ),
        (
            {"type": "CREATE_DISK", "create_disk": {"source": disk(1), "target_type": "MOUNT"}},
            "'source' is not managed by a resource provider; on agent",
        ),
        (
            {"type": "DESTROY_DISK", "destroy_disk": {"source": disk(1)}},
            "'source' is not managed by a resource provider",
        ),
    ],
)
def test_an_operation_that_cannot_be_is_an_error_that_says_why(
    ads: Any, operation: dict[str, Any], text: str
) -> None:
    apply(ads, {"id": {"value": "op"}, **operation})
    ((op, state, message),) = outcomes(ads)
    assert (op, state) == ("op", "OPERATION_ERROR")
    assert message.startswith(text)
    assert ads.told(messages.ApplyOperation) == []
    assert ads.offers(ads.framework)[-1].resources[0].scalar.value == 4  # all of it comes back


def test_a_bad_operation_without_an_id_is_dropped_in_silence(ads: Any) -> None:
    apply(ads, {"type": "RESERVE", "reserve": {"resources": [cpus(1)]}})
    assert outcomes(ads) == []


def make_volume(ads: Any) -> None:
    apply(
        ads,
        {"type": "RESERVE", "reserve": {"resources": [disk(200, reservations=[RESERVED])]}},
        {"type": "CREATE", "create": {"volumes": [volume()]}},
    )


def test_a_volume_is_made_once_under_its_id(ads: Any) -> None:
    make_volume(ads)
    apply(ads, {"type": "CREATE", "id": {"value": "op"}, "create": {"volumes": [volume()]}})
    assert outcomes(ads)[-1][2].startswith("Persistence ID 'v' is not unique")


def test_a_volume_grows_and_shrinks(ads: Any) -> None:
    make_volume(ads)
    grow = {"volume": volume(), "addition": disk(50, reservations=[RESERVED])}
    apply(ads, {"type": "GROW_VOLUME", "grow_volume": grow})
    assert ads.agent.total.persistent_volumes().disk == 150
    apply(ads, {"type": "SHRINK_VOLUME", "shrink_volume": {"volume": volume(150), "subtract": {"value": 30}}})
    assert ads.agent.total.persistent_volumes().disk == 120
    assert ads.agent.total.disk == 1000


def test_a_volume_in_use_is_not_destroyed(ads: Any) -> None:
    make_volume(ads)
    ads.launch(ads.framework, resources=[cpus(1), volume()])
    ads.pass_time(6)
    apply(ads, {"type": "DESTROY", "id": {"value": "op"}, "destroy": {"volumes": [volume()]}})
    assert outcomes(ads)[-1][2].startswith("Persistent volumes in use")


def test_a_reserved_volume_must_be_destroyed_before_it_is_unreserved(ads: Any) -> None:
    make_volume(ads)
    apply(ads, {"type": "UNRESERVE", "id": {"value": "op"}, "unreserve": {"resources": [volume()]}})
    assert "cannot be unreserved directly" in outcomes(ads)[-1][2]
    apply(
        ads,
        {"type": "DESTROY", "destroy": {"volumes": [volume()]}},
        {"type": "UNRESERVE", "unreserve": {"resources": [disk(200, reservations=[RESERVED])]}},
    )
    assert not ads.agent.total.reserved()


def test_a_reservation_can_be_refined_in_the_role_below(bench: Any) -> None:
    bench.agent = bench.add_agent(resources="cpus(ads):4")
    bench.framework = bench.subscribe(
        roles=("ads/sub",), principal="p", capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT")
    )
    above = {"type": "STATIC", "role": "ads"}
    refined = cpus(1, reservations=[above, {**RESERVED, "role": "ads/sub"}])
    apply(bench, {"type": "RESERVE", "reserve": {"resources": [refined]}})
    assert sorted(len(e.facts.reservations) for e in bench.agent.total.reserved()) == [1, 2]


def test_resources_allocated_to_a_role_cannot_be_reserved_for_the_role_below(ads: Any) -> None:
    below = cpus(1, reservations=[{**RESERVED, "role": "ads/sub"}])
    apply(ads, {"id": {"value": "op"}, "type": "RESERVE", "reserve": {"resources": [below]}})
    ((_, state, message),) = outcomes(ads)
    assert state == "OPERATION_ERROR"
    assert "with role 'ads/sub', but the resource was allocated to role 'ads'" in message


@pytest.mark.parametrize(
    ("agent_id", "state", "text"),
    [
        ("m-S0", "OPERATION_UNKNOWN", "Reconciliation: Operation is unknown"),
        ("lost", "OPERATION_UNREACHABLE", "Reconciliation: Agent is unreachable"),
        ("gone", "OPERATION_GONE_BY_OPERATOR", "Reconciliation: Agent marked gone by operator"),
        ("old", "OPERATION_RECOVERING", "Reconciliation: Agent is recovered but has not re-registered"),
        ("x", "OPERATION_UNKNOWN", "Reconciliation: Both operation and agent are unknown"),
        ("", "OPERATION_UNKNOWN", "Reconciliation: Operation is unknown and no 'agent_id' was provided"),
    ],
)
def test_operations_nobody_knows_are_reconciled_by_their_agent(
    ads: Any, agent_id: str, state: str, text: str
) -> None:
    ads.state.unreachable_agents["lost"] = 1.0
    ads.state.gone_agents["gone"] = 1.0
    ads.state.recovered_agents["old"] = pb.mesos.AgentInfo(hostname="h")
    asked: dict[str, Any] = {"operation_id": {"value": "op"}}
    if agent_id:
        asked["agent_id"] = {"value": agent_id}
    ads.call(ads.framework, type="RECONCILE_OPERATIONS", reconcile_operations={"operations": [asked]})
    assert outcomes(ads) == [("op", state, text)]


def test_without_names_all_operations_are_reconciled(ads: Any) -> None:
    reserve = {
        "type": "RESERVE",
        "id": {"value": "op"},
        "reserve": {"resources": [cpus(1, reservations=[RESERVED])]},
    }
    apply(ads, reserve)
    ads.call(ads.framework, type="RECONCILE_OPERATIONS", reconcile_operations={})
    assert outcomes(ads) == [("op", "OPERATION_PENDING", "")]


def test_operations_on_a_lost_agent_are_unreachable(ads: Any) -> None:
    from playa.master.agents import liveness

    reserve = {
        "type": "RESERVE",
        "id": {"value": "op"},
        "reserve": {"resources": [cpus(1, reservations=[RESERVED])]},
    }
    apply(ads, reserve)
    liveness.mark_unreachable(ads.state, ads.agent, "health check timed out")
    assert outcomes(ads) == [("op", "OPERATION_UNREACHABLE", "Agent was marked unreachable")]
    assert not ads.framework.operations


def test_a_volume_whose_tasks_have_all_ended_is_destroyed_although_nobody_has_acknowledged_their_ends(
    ads: Any,
) -> None:
    make_volume(ads)
    ads.launch(ads.framework, resources=[cpus(1), volume()])
    ads.update(ads.agent, ads.framework, "t", "TASK_RUNNING", latest="TASK_FINISHED")
    ads.pass_time(6)
    assert ads.agent.tasks
    apply(ads, {"type": "DESTROY", "destroy": {"volumes": [volume()]}})
    assert not ads.agent.total.persistent_volumes()


def test_the_master_acknowledges_what_a_framework_that_was_removed_had_asked_for(new_bench: Any) -> None:
    bench = new_bench(max_completed_frameworks=0)  # so that it may come back under its old id
    bench.agent = bench.add_agent()
    info = {"roles": ("ads",), "principal": "p", "capabilities": ("MULTI_ROLE", "RESERVATION_REFINEMENT")}
    bench.framework = bench.subscribe(**info)
    reserve = {"resources": [cpus(1, reservations=[RESERVED])]}
    apply(bench, {"type": "RESERVE", "id": {"value": "op"}, "reserve": reserve})
    bench.call(bench.framework, type="TEARDOWN")
    bench.framework = bench.subscribe(id=bench.framework.id, stream="again", **info)
    asked = report(bench)
    assert outcomes(bench) == []
    acknowledged = messages.OperationAcknowledged(asked.framework_id, asked.operation_uuid, b"s" * 16)
    assert bench.told(messages.OperationAcknowledged) == [acknowledged]
    assert not bench.agent.operations
