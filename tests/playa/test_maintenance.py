"""Maintenance: schedules, inverse offers and their answers, machines that go down and come back."""

from typing import Any

import pytest

from mesos_v1 import content, pb
from playa import messages
from playa.master.agents import admission, maintenance
from playa.master.http_site import SiteAnswer
from playa.master.records import Machine
from tests.support.answers import answered

HERE = {"hostname": "127.0.0.1", "ip": "127.0.0.1"}


def schedule(*machines: dict[str, str], start: int = 7, duration: int = 5) -> pb.maintenance.Schedule:
    unavailability = {"start": {"nanoseconds": start}, "duration": {"nanoseconds": duration}}
    window = {"machine_ids": list(machines), "unavailability": unavailability}
    return content.from_json(pb.maintenance.Schedule, {"windows": [window]})


def ids(*machines: dict[str, str]) -> list[pb.mesos.MachineID]:
    return [content.from_json(pb.mesos.MachineID, machine) for machine in machines]


@pytest.fixture
def draining(bench: Any) -> Any:
    """A framework with a task on a machine that is in the schedule."""
    bench.agent = bench.add_agent()
    bench.framework = bench.subscribe()
    bench.launch(bench.framework)
    with bench.saving():
        maintenance.update_schedule(bench.state, schedule(HERE))
    return bench


def inverse(bench: Any) -> list[pb.mesos.InverseOffer]:
    return [
        o for e in bench.events(bench.framework, "INVERSE_OFFERS") for o in e.inverse_offers.inverse_offers
    ]


def answer(bench: Any, kind: str, seconds: float) -> None:
    payload = {
        "inverse_offer_ids": [{"value": inverse(bench)[-1].id.value}],
        "filters": {"refuse_seconds": seconds},
    }
    bench.call(bench.framework, type=kind, **{kind.lower(): payload})


def test_who_has_something_on_a_draining_machine_is_asked_to_leave(draining: Any) -> None:
    (offer,) = inverse(draining)
    assert (offer.agent_id.value, offer.unavailability.start.nanoseconds) == ("m-S0", 7)


def test_who_has_nothing_there_is_not_asked(bench: Any) -> None:
    bench.add_agent()
    bench.framework = bench.subscribe(suppressed=("*",))
    maintenance.update_schedule(bench.state, schedule(HERE))
    assert inverse(bench) == []


def test_outstanding_offers_are_replaced_by_ones_that_tell_of_the_maintenance(bench: Any) -> None:
    bench.add_agent()
    bench.framework = bench.subscribe()
    maintenance.update_schedule(bench.state, schedule(HERE))
    assert bench.events(bench.framework, "RESCIND")[0].rescind.offer_id.value == "m-O0"
    assert bench.offers(bench.framework)[-1].unavailability.start.nanoseconds == 7


def test_an_answer_is_asked_for_again_after_its_filter(draining: Any) -> None:
    answer(draining, "ACCEPT_INVERSE_OFFERS", 3)
    draining.pass_time(2)
    assert len(inverse(draining)) == 1
    draining.pass_time(1)
    assert len(inverse(draining)) == 2


@pytest.mark.parametrize(
    ("kind", "status"), [("ACCEPT_INVERSE_OFFERS", "ACCEPT"), ("DECLINE_INVERSE_OFFERS", "DECLINE")]
)
def test_the_status_shows_what_frameworks_answered(draining: Any, kind: str, status: str) -> None:
    answer(draining, kind, 60)
    (machine,) = maintenance.status(draining.state).draining_machines
    names = pb.allocator.InverseOfferStatus.Status
    assert [(names.Name(s.status), s.framework_id.value) for s in machine.statuses] == [(status, "m-0000")]


def test_inverse_offers_are_rescinded_when_the_schedule_is_called_off(draining: Any) -> None:
    with draining.saving():
        maintenance.update_schedule(draining.state, pb.maintenance.Schedule())
    (event,) = draining.events(draining.framework, "RESCIND_INVERSE_OFFER")
    assert event.rescind_inverse_offer.inverse_offer_id.value == inverse(draining)[0].id.value


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (schedule(), "List of machines in the maintenance window is empty"),
        (schedule(HERE, HERE), "appears more than once in the schedule"),
        (schedule({}), "Both 'hostname' and 'ip' for a machine are empty"),
        (schedule({"ip": "nope"}), "Failed to parse IP address 'nope'"),
        (schedule(HERE, duration=-1), "Unavailability 'duration' is negative"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(bench: Any, wrong: pb.maintenance.Schedule, text: str) -> None:
    assert text in answered(maintenance.update_schedule, bench.state, wrong).text
    assert not bench.state.unavailability


def test_a_machine_that_goes_down_takes_its_agent_with_it_and_lets_none_in(draining: Any) -> None:
    with draining.saving():
        maintenance.start(draining.state, ids(HERE))
    assert draining.told(messages.ShutdownAgent) == [
        messages.ShutdownAgent("Operator initiated 'Machine DOWN'")
    ]
    assert not draining.state.agents
    info = pb.mesos.AgentInfo(hostname="127.0.0.1")
    again = messages.RegisterAgent("agent:1", info.SerializeToString(), "slave(1)@127.0.0.1:5051")
    admission.register(draining.state, again)
    assert not draining.state.agents
    assert [m.hostname for m in maintenance.status(draining.state).down_machines] == ["127.0.0.1"]


def test_a_machine_comes_back_and_leaves_the_schedule(draining: Any) -> None:
    maintenance.start(draining.state, ids(HERE))
    maintenance.stop(draining.state, ids(HERE))
    assert not draining.state.registry.schedule.windows
    draining.add_agent(2)
    assert draining.state.agents


def test_only_the_machine_that_comes_back_leaves_the_schedule(bench: Any) -> None:
    there = {"hostname": "there", "ip": "127.0.0.2"}
    maintenance.update_schedule(bench.state, schedule(HERE, there))
    maintenance.start(bench.state, ids(HERE))
    maintenance.stop(bench.state, ids(HERE))
    assert bench.state.registry.schedule == schedule(there)


def test_what_is_not_scheduled_does_not_go_down_and_what_is_up_does_not_come_up(bench: Any) -> None:
    assert "is not part of a maintenance schedule" in answered(maintenance.start, bench.state, ids(HERE)).text
    assert "is not in DOWN mode" in answered(maintenance.stop, bench.state, ids(HERE)).text
    assert answered(maintenance.start, bench.state, []) == SiteAnswer(400, "List of machines is empty")


def test_a_machine_that_is_down_stays_in_the_schedule(draining: Any) -> None:
    maintenance.start(draining.state, ids(HERE))
    answer = answered(maintenance.update_schedule, draining.state, pb.maintenance.Schedule())
    assert "is deactivated and cannot be removed from the schedule" in answer.text


def test_a_new_master_knows_what_drains_and_what_is_down(draining: Any, new_bench: Any) -> None:
    maintenance.start(draining.state, ids(HERE))
    after = new_bench(registry=admission.current_registry(draining.state))
    admission.recover(after.state)
    assert after.state.down_machines == {Machine("127.0.0.1", "127.0.0.1")}
    assert list(after.state.unavailability) == [Machine("127.0.0.1", "127.0.0.1")]
