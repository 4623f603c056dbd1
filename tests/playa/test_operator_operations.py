"""The operator's own operations on resources: what they do to offers, agents and frameworks, and what is refused."""

from typing import Any

import pytest

from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from playa import messages
from playa.master.http_site import SiteAnswer
from playa.master.operator_api import calls
from playa.master.scheduler_api import operations
from playa.master.validation import calls as validation
from tests.support.answers import answered

DB = {"type": "DYNAMIC", "role": "db", "principal": "ops"}


def cpus(amount: float, **more: Any) -> dict[str, Any]:
    return {"name": "cpus", "type": "SCALAR", "scalar": {"value": amount}, "reservations": [DB], **more}


def disk(amount: float, **more: Any) -> dict[str, Any]:
    return cpus(amount, name="disk", **more)


def volume(amount: float = 100, **more: Any) -> dict[str, Any]:
    where = {"persistence": {"id": "v"}, "volume": {"container_path": "data", "mode": "RW"}}
    return disk(amount, disk=where, **more)


def ask(bench: Any, kind: str, *, principal: str | None = None, agent: str = "", **body: Any) -> SiteAnswer:
    of_agent = {"agent_id": {"value": agent or next(iter(bench.state.agents))}}
    call = content.from_json(pb.master.Call, {"type": kind, kind.lower(): {**of_agent, **body}})
    assert validation.operator_call(call) is None
    return answered(calls.carry_out, bench.state, call, principal)


def statuses(*answers: SiteAnswer) -> list[int]:
    return [answer.status for answer in answers]


@pytest.fixture
def db(bench: Any) -> Any:
    bench.agent = bench.add_agent(resources="cpus:4;mem:4096;disk:1000")
    return bench


def test_what_an_operator_reserves_is_offered_to_that_role_only(db: Any) -> None:
    assert ask(db, "RESERVE_RESOURCES", resources=[cpus(3)]) == SiteAnswer(202)
    other = db.subscribe("other", roles=("other",))
    (offer,) = db.offers(other)
    assert Resources.from_proto(offer.resources).cpus == 1
    framework = db.subscribe("db", roles=("db",), capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT"))
    (offer,) = db.offers(framework)
    assert [r.reservations[-1].principal for r in offer.resources] == ["ops"]


def test_the_cluster_has_as_much_as_before(db: Any) -> None:
    before = dict(db.state.allocator.totals)
    ask(db, "RESERVE_RESOURCES", resources=[cpus(3)])
    assert dict(db.state.allocator.totals) == before


def test_the_agent_is_told_and_its_report_ends_the_operation(db: Any) -> None:
    ask(db, "RESERVE_RESOURCES", resources=[cpus(1)])
    (asked,) = db.told(messages.ApplyOperation)
    assert asked.framework_id == ""
    assert list(db.agent.operations) == [asked.operation_uuid]
    done = pb.mesos.OperationStatus(state=pb.mesos.OPERATION_FINISHED).SerializeToString()
    update = messages.OperationUpdate(db.agent.id, "", asked.operation_uuid, done, done)
    operations.operation_update(db.state, update)
    assert not db.agent.operations


def test_reserving_making_resizing_destroying_and_unreserving_lead_back_to_the_start(db: Any) -> None:
    before = db.agent.total
    answers = [
        ask(db, "RESERVE_RESOURCES", resources=[disk(500)]),
        ask(db, "CREATE_VOLUMES", volumes=[volume(100)]),
        ask(db, "GROW_VOLUME", volume=volume(100), addition=disk(50)),
        ask(db, "SHRINK_VOLUME", volume=volume(150), subtract={"value": 120}),
        ask(db, "DESTROY_VOLUMES", volumes=[volume(30)]),
    ]
    assert statuses(*answers) == [202] * 5
    assert str(db.agent.total.reserved()) == "disk(reservations: [(DYNAMIC,db,ops)]):500"
    assert ask(db, "UNRESERVE_RESOURCES", resources=[disk(500)]) == SiteAnswer(202)
    assert db.agent.total == before


def test_one_reservation_can_become_another(db: Any) -> None:
    ask(db, "RESERVE_RESOURCES", resources=[cpus(1)])
    refined = cpus(1, reservations=[DB, {**DB, "role": "db/x"}])
    assert ask(db, "RESERVE_RESOURCES", source=[cpus(1)], resources=[refined]) == SiteAnswer(202)
    assert [len(r.facts.reservations) for r in db.agent.total.reserved()] == [2]


def test_offers_are_taken_back_for_what_is_needed_and_not_offered_again_at_once(db: Any) -> None:
    framework = db.subscribe()
    (offer,) = db.offers(framework)
    assert ask(db, "RESERVE_RESOURCES", resources=[cpus(1)]) == SiteAnswer(202)
    (rescinded,) = db.events(framework, "RESCIND")
    assert rescinded.rescind.offer_id == offer.id
    db.pass_time(4)
    assert len(db.offers(framework)) == 1
    db.pass_time(2)
    assert Resources.from_proto(db.offers(framework)[-1].resources).cpus == 3


def test_offers_of_other_resources_stay_out(db: Any) -> None:
    ask(db, "RESERVE_RESOURCES", resources=[cpus(4)])
    framework = db.subscribe()  # is offered mem and disk
    ask(db, "UNRESERVE_RESOURCES", resources=[cpus(4)])
    assert db.events(framework, "RESCIND") == []


def test_no_more_offers_are_taken_back_than_suffice(new_bench: Any) -> None:
    bench = new_bench(min_allocatable_resources="")
    bench.add_agent(resources="cpus:4;cpus(a):4")
    framework = bench.subscribe("a", roles=("a",))
    bench.launch(framework)
    other = bench.subscribe("b", roles=("b",))
    bench.pass_time(6)
    assert len(bench.state.offers) >= 1
    ask(bench, "RESERVE_RESOURCES", resources=[cpus(0.5)])
    assert len(bench.events(framework, "RESCIND")) + len(bench.events(other, "RESCIND")) == 1


def test_what_a_task_uses_cannot_be_unreserved(db: Any) -> None:
    ask(db, "RESERVE_RESOURCES", resources=[cpus(1)])
    framework = db.subscribe("db", roles=("db",), capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT"))
    used = [{**cpus(1), "allocation_info": {"role": "db"}}]
    db.launch(framework, resources=used)
    answer = ask(db, "UNRESERVE_RESOURCES", resources=[cpus(1)])
    assert answer.status == 409
    assert answer.text.endswith("does not contain cpus(reservations: [(DYNAMIC,db,ops)]):1")
    assert db.agent.total.reserved().cpus == 1


AT = "on agent m-S0 at slave(1)@127.0.0.1:5051 (127.0.0.1): "


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        (
            "RESERVE_RESOURCES",
            {"resources": [cpus(1, allocation_info={"role": "db"})]},
            (
                f"Invalid RESERVE operation {AT}A reserve operation was attempted with an allocated resource, but "
                "the operator API only allows reservations to be made to unallocated resources"
            ),
        ),
        (
            "RESERVE_RESOURCES",
            {"resources": [cpus(1)], "source": [cpus(2, reservations=[])]},
            (
                f"Invalid RESERVE operation {AT}Source and target resources should refer to identical resource "
                "quantities: cpus:2 vs. cpus:1"
            ),
        ),
        (
            "RESERVE_RESOURCES",
            {"resources": [], "source": [cpus(2)]},
            f"Invalid RESERVE operation {AT}Invalid resources: Resource cannot be empty",
        ),
        (
            "CREATE_VOLUMES",
            {"volumes": [disk(1)]},
            (
                f"Invalid CREATE operation {AT}Not a persistent volume: Resource "
                "disk(reservations: [(DYNAMIC,db,ops)]):1 does not have DiskInfo"
            ),
        ),
        (
            "UNRESERVE_RESOURCES",
            {},
            "Invalid UNRESERVE operation: Invalid resources: The resources have multiple resource providers: ",
        ),
        (
            "DESTROY_VOLUMES",
            {"volumes": [volume()]},
            "Invalid DESTROY operation: Persistent volumes not found",
        ),
        (
            "UNRESERVE_RESOURCES",
            {"resources": [cpus(1, reservations=[])]},
            "Invalid UNRESERVE operation: Resource cpus:1 is not dynamically reserved",
        ),
        (
            "GROW_VOLUME",
            {"volume": volume(), "addition": cpus(1)},
            (
                f"Invalid GROW_VOLUME operation {AT}Incompatible resources in the 'GrowVolume.volume' and "
                "'GrowVolume.addition' fields"
            ),
        ),
        (
            "SHRINK_VOLUME",
            {"volume": volume(), "subtract": {"value": 0.0004}},
            f"Invalid SHRINK_VOLUME operation {AT}Value of 'ShrinkVolume.subtract' must be greater than zero",
        ),
        ("CREATE_VOLUMES", {"volumes": [volume(0.0001)]}, "Resource 'disk(reservations: [(DYNAMIC,db,ops)])"),
        ("GROW_VOLUME", {"volume": volume(), "addition": cpus(-1)}, "Invalid scalar resource: value <= 0"),
    ],
)
def test_what_cannot_be_is_refused_in_the_words_of_mesos(
    db: Any, kind: str, body: dict[str, Any], text: str
) -> None:
    answer = ask(db, kind, **body)
    assert answer.status == 400
    assert answer.text.startswith(text)
    assert db.told(messages.ApplyOperation) == []


def test_a_principal_reserves_and_creates_in_its_own_name(db: Any) -> None:
    answer = ask(db, "RESERVE_RESOURCES", principal="me", resources=[cpus(1)])
    assert "by authenticated principal 'me', which does not match" in answer.text
    nameless = [cpus(1, reservations=[{"type": "DYNAMIC", "role": "db"}])]
    answer = ask(db, "RESERVE_RESOURCES", principal="me", resources=nameless)
    assert "no principal set" in answer.text
    assert ask(db, "RESERVE_RESOURCES", principal="ops", resources=[disk(200)]).status == 202
    answer = ask(db, "CREATE_VOLUMES", principal="ops", volumes=[volume()])
    assert "no principal set in 'disk.persistence'" in answer.text
    others = volume()
    others["disk"] = {**others["disk"], "persistence": {"id": "v", "principal": "me"}}
    answer = ask(db, "CREATE_VOLUMES", principal="ops", volumes=[others])
    assert (
        "principal 'ops', which does not match a volume in the operation with principal 'me'" in answer.text
    )


def test_an_agent_that_is_not_there_has_no_resources(db: Any) -> None:
    answer = ask(db, "RESERVE_RESOURCES", agent="x", resources=[cpus(1)])
    assert answer == SiteAnswer(400, "No agent found with specified ID")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"type": "GROW_VOLUME", "grow_volume": {"volume": volume(), "addition": disk(1)}},
            "Expecting 'agent_id' to be present; only agent default resources are supported right now",
        ),
        (
            {
                "type": "RESERVE_RESOURCES",
                "reserve_resources": {"agent_id": {"value": "x"}, "resources": [cpus(0.0004)]},
            },
            "Resource 'cpus(reservations: [(DYNAMIC,db,ops)]):0' is invalid: Invalid scalar resource: value <= 0",
        ),
    ],
)
def test_a_call_that_cannot_be_right_is_refused_before_its_agent_is_looked_for(
    body: dict[str, Any], text: str
) -> None:
    assert validation.operator_call(content.from_json(pb.master.Call, body)) == text
