"""Draining, deactivating and reactivating agents: offers, states, what is waited for, masters that fail over."""

from typing import Any

import pytest

from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from playa import messages
from playa.master.agents import admission, draining, liveness
from playa.master.agents.registry import load, save
from playa.master.http_site import SiteAnswer
from playa.master.operator_api import endpoints, views
from tests.support.answers import answered

CALLS: dict[str, Any] = {
    "DRAIN_AGENT": draining.drain,
    "DEACTIVATE_AGENT": draining.deactivate,
    "REACTIVATE_AGENT": draining.reactivate,
}
OK = SiteAnswer(200)


def ask(bench: Any, kind: str, agent_id: str = "m-S0", **more: Any) -> SiteAnswer:
    body = {"type": kind, kind.lower(): {"agent_id": {"value": agent_id}, **more}}
    call = content.from_json(pb.master.Call, body)
    with bench.saving():
        return answered(CALLS[kind], bench.state, getattr(call, kind.lower()))


def state(bench: Any) -> str | None:
    info = bench.state.draining.get("m-S0")
    return None if info is None else pb.mesos.DrainState.Name(info.state)


@pytest.fixture
def busy(bench: Any) -> Any:
    """A bench with an agent that runs a task."""
    bench.agent = bench.add_agent()
    bench.framework = bench.subscribe()
    bench.launch(bench.framework, "t")
    bench.update(bench.agent, bench.framework, "t", "TASK_RUNNING")
    bench.pass_time(6)
    return bench


def end(bench: Any) -> dict[str, Any]:
    """The task ends; what the framework has to acknowledge."""
    uuid = bench.update(bench.agent, bench.framework, "t", "TASK_KILLED")
    acknowledge = content.to_json(pb.scheduler.Call.Acknowledge(uuid=uuid))
    return {**acknowledge, "agent_id": {"value": "m-S0"}, "task_id": {"value": "t"}}


def reregister(bench: Any, *tasks: str) -> None:
    info = pb.mesos.AgentInfo(hostname="127.0.0.1", port=5051)
    info.id.value = "m-S0"
    info.resources.extend(Resources.parse("cpus:4;mem:4096").to_proto())
    protos = []
    for task_id in tasks:
        proto = pb.mesos.Task(name=task_id, state=pb.mesos.TASK_RUNNING)
        proto.task_id.value, proto.agent_id.value, proto.framework_id.value = task_id, "m-S0", "m-0000"
        protos.append(proto.SerializeToString())
    framework = pb.mesos.FrameworkInfo(name="f", user="root")
    framework.id.value = "m-0000"
    message = messages.ReregisterAgent(
        "agent:1",
        info.SerializeToString(),
        "slave(1)@127.0.0.1:5051",
        (),
        (framework.SerializeToString(),),
        (),
        tuple(protos),
        (),
    )
    admission.reregister(bench.state, message)


def test_a_draining_agent_is_told_how_and_offers_nothing_any_more(busy: Any) -> None:
    offers = len(busy.offers(busy.framework))
    assert ask(busy, "DRAIN_AGENT", max_grace_period={"seconds": 3, "nanos": 5}) == OK
    (told,) = busy.told(messages.DrainAgent)
    config = pb.mesos.DrainConfig.FromString(told.config)
    assert (config.max_grace_period.nanoseconds, config.mark_gone) == (3_000_000_005, False)
    assert busy.events(busy.framework, "RESCIND")
    busy.pass_time(10)
    assert len(busy.offers(busy.framework)) == offers


def test_without_a_grace_period_each_task_has_its_own(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT")
    (told,) = busy.told(messages.DrainAgent)
    assert not pb.mesos.DrainConfig.FromString(told.config).HasField("max_grace_period")


def test_it_is_drained_only_when_the_end_of_its_tasks_is_acknowledged(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT")
    acknowledge = end(busy)
    assert state(busy) == "DRAINING"
    assert ask(busy, "REACTIVATE_AGENT") == SiteAnswer(400, "Agent is still in the DRAINING state")
    busy.call(busy.framework, type="ACKNOWLEDGE", acknowledge=acknowledge)
    assert state(busy) == "DRAINED"
    assert ask(busy, "REACTIVATE_AGENT") == OK
    assert state(busy) is None
    before = len(busy.offers(busy.framework))
    busy.pass_time(1)
    assert len(busy.offers(busy.framework)) == before + 1


def test_an_operation_is_waited_for_too(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe(roles=("a",))
    offer = bench.offers(framework)[-1]
    reserved = {
        "name": "cpus",
        "type": "SCALAR",
        "scalar": {"value": 1},
        "reservations": [{"type": "DYNAMIC", "role": "a"}],
    }
    reserve = {"id": {"value": "op"}, "type": "RESERVE", "reserve": {"resources": [reserved]}}
    accept = {"offer_ids": [{"value": offer.id.value}], "operations": [reserve]}
    bench.call(framework, type="ACCEPT", accept=accept)
    ask(bench, "DRAIN_AGENT")
    assert state(bench) == "DRAINING"
    from tests.playa.test_operations import report

    bench.agent = agent
    report(bench)
    assert state(bench) == "DRAINING"
    acknowledge = {
        "agent_id": {"value": agent.id},
        "uuid": "c3Nzc3Nzc3Nzc3Nzc3Nzcw==",
        "operation_id": {"value": "op"},
    }
    bench.call(framework, type="ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=acknowledge)
    assert state(bench) == "DRAINED"


def test_an_empty_agent_is_drained_at_once(bench: Any) -> None:
    bench.add_agent()
    assert ask(bench, "DRAIN_AGENT") == OK
    assert state(bench) == "DRAINED"


def test_draining_again_replaces_how(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT", max_grace_period={"seconds": 3})
    assert ask(busy, "DRAIN_AGENT", mark_gone=True) == OK
    config = busy.state.draining["m-S0"].config
    assert config.mark_gone
    assert not config.HasField("max_grace_period")
    assert len(busy.told(messages.DrainAgent)) == 2


def test_a_torn_down_framework_ends_the_draining_only_when_it_is_asked_for_again(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT")
    busy.call(busy.framework, type="TEARDOWN")
    assert state(busy) == "DRAINING"  # so does Mesos
    ask(busy, "DRAIN_AGENT")
    assert state(busy) == "DRAINED"


def test_an_agent_that_is_to_be_marked_gone_is_gone_when_it_has_drained(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT", mark_gone=True)
    assert busy.told(messages.ShutdownAgent) == []
    busy.call(busy.framework, type="ACKNOWLEDGE", acknowledge=end(busy))
    assert busy.state.agents == {}
    assert "m-S0" in busy.state.gone_agents
    assert len(busy.told(messages.ShutdownAgent)) == 1
    assert ask(busy, "DRAIN_AGENT") == SiteAnswer(400, "Unknown agent")
    assert admission.current_registry(busy.state).draining == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("DRAIN_AGENT", "Unknown agent"),
        ("DEACTIVATE_AGENT", "Unknown agent"),
        ("REACTIVATE_AGENT", "Agent is not deactivated"),
    ],
)
def test_an_agent_that_nobody_knows_is_refused(bench: Any, kind: str, text: str) -> None:
    assert ask(bench, kind, "x") == SiteAnswer(400, text)


def test_a_deactivated_agent_keeps_its_tasks_and_offers_nothing(busy: Any) -> None:
    offers = len(busy.offers(busy.framework))
    assert ask(busy, "DEACTIVATE_AGENT") == OK
    assert busy.events(busy.framework, "RESCIND")
    busy.pass_time(10)
    assert len(busy.offers(busy.framework)) == offers
    assert busy.told(messages.DrainAgent) == []
    assert "t" in busy.framework.tasks
    assert ask(busy, "REACTIVATE_AGENT") == OK
    assert ask(busy, "REACTIVATE_AGENT") == SiteAnswer(400, "Agent is not deactivated")


def test_an_agent_under_a_maintenance_schedule_is_not_drained(busy: Any) -> None:
    busy.state.unavailability[busy.agent.machine] = pb.mesos.Unavailability()
    text = "Agent m-S0 is part of a maintenance schedule under Machine 127.0.0.1 (127.0.0.1)"
    assert ask(busy, "DRAIN_AGENT") == SiteAnswer(400, text)


def test_it_is_still_deactivated_when_it_registers_again(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT")
    offers = len(busy.offers(busy.framework))
    reregister(busy, "t")
    assert not busy.agent.active
    assert len(busy.told(messages.DrainAgent)) == 2
    busy.pass_time(10)
    assert len(busy.offers(busy.framework)) == offers


def test_an_agent_that_is_unreachable_drains_when_it_is_back(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT")
    liveness.mark_unreachable(busy.state, busy.agent, "away")
    assert state(busy) == "DRAINING"
    assert ask(busy, "REACTIVATE_AGENT").status == 400
    reregister(busy)
    assert state(busy) == "DRAINED"
    assert not busy.state.agents["m-S0"].active


def test_an_agent_that_is_not_here_can_be_drained_and_reactivated(busy: Any) -> None:
    liveness.mark_unreachable(busy.state, busy.agent, "away")
    assert ask(busy, "DRAIN_AGENT") == OK
    assert busy.told(messages.DrainAgent) == []
    ask(busy, "DEACTIVATE_AGENT")
    busy.state.draining["m-S0"].state = pb.mesos.DRAINED
    assert ask(busy, "REACTIVATE_AGENT") == SiteAnswer(409, "Agent removed while processing the call")
    assert state(busy) is None


def test_a_new_master_knows_which_agents_drain(busy: Any, new_bench: Any, tmp_path: Any) -> None:
    ask(busy, "DRAIN_AGENT", max_grace_period={"seconds": 3})
    path = tmp_path / "registry.json"
    save(admission.current_registry(busy.state), path)
    successor = new_bench(registry=load(path))
    admission.recover(successor.state)
    assert ask(successor, "REACTIVATE_AGENT") == SiteAnswer(400, "Agent is still in the DRAINING state")
    reregister(successor, "t")
    assert not successor.state.agents["m-S0"].active
    (told,) = successor.told(messages.DrainAgent)
    assert pb.mesos.DrainConfig.FromString(told.config).max_grace_period.nanoseconds == 3 * 10**9
    assert state(successor) == "DRAINING"


def test_a_new_master_knows_which_agents_are_deactivated(bench: Any, new_bench: Any, tmp_path: Any) -> None:
    bench.add_agent()
    ask(bench, "DEACTIVATE_AGENT")
    path = tmp_path / "registry.json"
    save(admission.current_registry(bench.state), path)
    successor = new_bench(registry=load(path))
    admission.recover(successor.state)
    framework = successor.subscribe()
    reregister(successor)
    assert successor.offers(framework) == []
    assert ask(successor, "REACTIVATE_AGENT") == OK
    successor.pass_time(1)
    assert len(successor.offers(framework)) == 1


def test_operators_see_how_an_agent_drains(busy: Any) -> None:
    ask(busy, "DRAIN_AGENT")
    started = busy.agent.drain_started
    shown = views.agent(busy.state, busy.agent)
    assert (shown.deactivated, shown.active) == (True, False)
    assert shown.drain_info.state == pb.mesos.DRAINING
    assert shown.estimated_drain_start_time.nanoseconds == int(started) * 10**9
    (slave,) = endpoints.agents(busy.state)["slaves"]
    assert slave["drain_info"] == {"state": "DRAINING", "config": {"mark_gone": False}}
    assert slave["estimated_drain_start_time_seconds"] == started
    (slave,) = endpoints.state(busy.state)["slaves"]
    assert slave["deactivated"]
