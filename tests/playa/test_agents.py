"""Agents: registering, pings, breaking connections, getting lost and coming back. On a clock set by hand."""

from typing import Any

import pytest

from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from playa import messages
from playa.master.agents import admission, liveness, registry
from playa.master.records import Machine
from playa.master.scheduler_api import tasks


def run_timers(bench: Any, until: float, *, answers: bool) -> None:
    """Let pings time out (or be answered) up to a time."""
    while True:
        due = [(at, m) for at, m in bench.world.timers if m.what == "pong" and at <= until]
        if not due:
            return
        at, message = due[0]
        bench.world.timers.remove((at, message))
        bench.world.time = at
        if answers:
            liveness.pong(bench.state, *message.arguments)
        liveness.ping_timed_out(bench.state, *message.arguments)


def reregistering(agent: Any, *task_states: str, **changes: Any) -> messages.ReregisterAgent:
    """What an agent says that comes back with the tasks it knows."""
    framework_infos = changes.pop("frameworks", ())
    found = []
    for task in list(agent.tasks.values()):
        proto = pb.mesos.Task()
        proto.CopyFrom(task.proto)
        if task_states:
            proto.state = pb.mesos.TaskState.Value(task_states[0])
        found.append(proto.SerializeToString())
    return messages.ReregisterAgent(
        agent=agent.actor,
        agent_info=agent.info.SerializeToString(),
        pid=agent.pid,
        total_resources=tuple(r.SerializeToString() for r in agent.total.to_proto()),
        frameworks=tuple(info.SerializeToString() for info in framework_infos),
        executors=tuple(info.SerializeToString() for info in changes.pop("executors", ())),
        tasks=changes.pop("tasks", tuple(found)),
        operations=tuple(changes.pop("operations", ())),
    )


def executor_of(framework: Any) -> dict[str, Any]:
    """An executor for a task of a framework."""
    scalars = (("cpus", 0.5), ("mem", 32))
    return {
        "type": "CUSTOM",
        "executor_id": {"value": "e"},
        "framework_id": {"value": framework.id},
        "command": {"value": "true"},
        "resources": [{"name": name, "type": "SCALAR", "scalar": {"value": some}} for name, some in scalars],
    }


def last_status(bench: Any, framework: Any) -> pb.mesos.TaskStatus:
    status: pb.mesos.TaskStatus = bench.events(framework, "UPDATE")[-1].update.status
    return status


def test_all_that_a_registry_holds_is_read_again_as_it_was_written(tmp_path: Any) -> None:
    written = registry.Registry(
        agents=[pb.mesos.AgentInfo(hostname="h", port=1, id=pb.mesos.AgentID(value="S0"))],
        unreachable={"S1": 1.5},
        gone={"S2": 2.5},
        schedule=content.from_json(
            pb.maintenance.Schedule,
            {
                "windows": [
                    {"machine_ids": [{"hostname": "h"}], "unavailability": {"start": {"nanoseconds": 7}}}
                ]
            },
        ),
        down_machines={Machine("h", "127.0.0.1")},
        weights={"ads": 2.0},
        draining={
            "S0": pb.mesos.DrainInfo(state=pb.mesos.DRAINING, config=pb.mesos.DrainConfig(mark_gone=True))
        },
        deactivated={"S0"},
        quotas=[pb.quota.QuotaConfig(role="ads", limits={"cpus": pb.mesos.Value.Scalar(value=1)})],
    )
    empty = registry.Registry()
    for name in written.__dataclass_fields__:
        assert getattr(written, name) != getattr(empty, name), f"{name} is tried too"
    for each in (written, empty):
        registry.save(each, tmp_path / "registry.json")
        assert registry.load(tmp_path / "registry.json") == each


def test_an_agent_gets_an_id_and_hears_how_long_to_wait_for_pings(bench: Any) -> None:
    agent = bench.add_agent()
    assert bench.told(messages.AgentRegistered) == [messages.AgentRegistered("m-S0", 75.0)]
    assert bench.told(messages.Ping) == [messages.Ping(True)]
    assert agent.machine == ("127.0.0.1", "127.0.0.1")


def test_an_agent_that_asks_again_gets_the_same_id(bench: Any) -> None:
    assert bench.add_agent() is bench.add_agent()
    assert len(bench.told(messages.AgentRegistered)) == 2


def test_a_new_agent_in_the_place_of_an_old_one_ends_the_old_one(bench: Any) -> None:
    old = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    liveness.disconnected(bench.state, old.actor)
    new = bench.add_agent()
    assert (old.id, new.id) == ("m-S0", "m-S1")
    assert "m-S0" not in bench.state.agents
    assert bench.events(framework, "FAILURE")[-1].failure.agent_id.value == "m-S0"


def test_an_agent_that_answers_stays(bench: Any) -> None:
    agent = bench.add_agent()
    run_timers(bench, bench.world.time + 1000, answers=True)
    assert agent.id in bench.state.agents


def test_an_agent_that_misses_five_pings_is_unreachable_after_75_seconds(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    start = bench.world.time
    run_timers(bench, start + 74, answers=False)
    assert agent.id in bench.state.agents
    run_timers(bench, start + 75, answers=False)
    status = last_status(bench, framework)
    assert (status.state, status.message) == (pb.mesos.TASK_UNREACHABLE, "health check timed out")
    assert status.unreachable_time.nanoseconds == int((start + 75) * 1e9)
    assert bench.events(framework, "FAILURE")[-1].failure.agent_id.value == agent.id
    assert bench.state.unreachable_agents == {agent.id: start + 75}
    assert list(framework.unreachable_tasks) == ["t"]


def test_one_answer_starts_the_count_again(bench: Any) -> None:
    agent = bench.add_agent()
    start = bench.world.time
    run_timers(bench, start + 60, answers=False)
    liveness.pong(bench.state, agent.id)
    run_timers(bench, start + 120, answers=False)
    assert agent.id in bench.state.agents


def test_a_broken_connection_takes_offers_back_at_once(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe(checkpoint=True)
    liveness.disconnected(bench.state, agent.actor)
    assert bench.events(framework, "RESCIND")[0].rescind.offer_id.value == "m-O0"
    bench.pass_time(5)
    assert len(bench.offers(framework)) == 1


def test_tasks_of_frameworks_that_do_not_checkpoint_are_lost_with_the_connection(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    liveness.disconnected(bench.state, agent.actor)
    status = last_status(bench, framework)
    assert pb.mesos.TaskState.Name(status.state) == "TASK_LOST"
    assert status.message == "Agent 127.0.0.1 disconnected"
    assert pb.mesos.TaskStatus.Reason.Name(status.reason) == "REASON_AGENT_DISCONNECTED"


def test_a_broken_connection_loses_the_tasks_of_those_alone_that_do_not_checkpoint(bench: Any) -> None:
    agent = bench.add_agent()
    keeps = bench.subscribe("keeps", checkpoint=True)
    bench.launch(keeps, "kept", executor=executor_of(keeps))
    loses = bench.subscribe("loses")
    bench.pass_time(1)
    bench.launch(loses, "lost", executor=executor_of(loses))
    assert sorted(agent.executors) == sorted([(keeps.id, "e"), (loses.id, "e")])
    liveness.disconnected(bench.state, agent.actor)
    assert list(agent.executors) == [(keeps.id, "e")]
    assert list(agent.allocated) == [keeps.id]
    assert last_status(bench, loses).task_id.value == "lost"
    assert bench.events(keeps, "UPDATE") == []
    assert list(agent.tasks) == [(keeps.id, "kept")]


def test_tasks_of_frameworks_that_checkpoint_wait_for_their_agent(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe(checkpoint=True)
    bench.launch(framework)
    liveness.disconnected(bench.state, agent.actor)
    assert bench.events(framework, "UPDATE") == []
    admission.reregister(bench.state, reregistering(agent))
    assert bench.told(messages.AgentReregistered) == [messages.AgentReregistered(agent.id, 75.0, ())]
    assert "t" in framework.tasks


def test_an_agent_is_asked_for_tasks_that_it_did_not_name(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe(checkpoint=True)
    bench.launch(framework)
    liveness.disconnected(bench.state, agent.actor)
    admission.reregister(bench.state, reregistering(agent, tasks=()))
    (answer,) = bench.told(messages.AgentReregistered)
    assert answer.reconcile == ((framework.id, "t"),)


def test_a_disconnected_agent_has_ten_minutes_to_come_back(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe(checkpoint=True)
    bench.launch(framework)
    liveness.disconnected(bench.state, agent.actor)
    at, message = next((t, m) for t, m in bench.world.timers if m.what == "reregistration")
    assert at - bench.world.time == 600.0
    liveness.reregister_timed_out(bench.state, *message.arguments)
    assert (
        last_status(bench, framework).message == "agent did not reregister within 10mins after disconnecting"
    )


def test_an_unreachable_agent_comes_back_with_its_tasks(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    message = reregistering(agent, "TASK_RUNNING")
    liveness.mark_unreachable(bench.state, agent, "health check timed out")
    admission.reregister(bench.state, message)
    status = last_status(bench, framework)
    assert status.message == "Unreachable agent re-reregistered"
    assert pb.mesos.TaskStatus.Reason.Name(status.reason) == "REASON_AGENT_REREGISTERED"
    assert list(framework.tasks) == ["t"]
    assert not framework.unreachable_tasks
    assert bench.state.agents[agent.id].allocated[framework.id].cpus >= 1


def test_an_agent_that_comes_back_has_less_to_offer_by_its_tasks_and_their_executors(bench: Any) -> None:
    agent = bench.add_agent(resources="cpus:4;mem:4096")
    framework = bench.subscribe()
    bench.launch(framework)
    executor = pb.mesos.ExecutorInfo()
    executor.executor_id.value, executor.framework_id.value = "e", framework.id
    for resource in Resources.parse("cpus:0.5;mem:32").to_proto():
        resource.allocation_info.role = "*"
        executor.resources.append(resource)
    message = reregistering(agent, "TASK_RUNNING", executors=(executor,))
    liveness.mark_unreachable(bench.state, agent, "health check timed out")
    admission.reregister(bench.state, message)
    left = Resources.from_proto(bench.offers(framework)[-1].resources)
    assert (left.cpus, left.mem) == (2.5, 4000)


def executor_info(framework: Any) -> pb.mesos.ExecutorInfo:
    return content.from_json(pb.mesos.ExecutorInfo, executor_of(framework))


def test_executors_leave_with_their_agent_and_come_back_only_for_a_framework_that_is_there(
    bench: Any,
) -> None:
    agent = bench.add_agent()
    stays, goes = bench.subscribe("stays"), bench.subscribe("goes", failover_timeout=0.0)
    bench.launch(stays, executor=executor_of(stays))
    message = reregistering(agent, "TASK_RUNNING", executors=(executor_info(stays), executor_info(goes)))
    liveness.mark_unreachable(bench.state, agent, "x")
    assert not stays.executors
    bench.call(goes, type="TEARDOWN")
    admission.reregister(bench.state, message)
    assert list(bench.state.agents[agent.id].executors) == [(stays.id, "e")]
    assert list(stays.executors) == [(agent.id, "e")]


def test_an_agent_that_was_only_disconnected_says_what_it_still_has(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe(checkpoint=True)
    bench.launch(framework, "kept", executor=executor_of(framework))
    message = reregistering(agent, "TASK_RUNNING")
    tasks.remove_task(bench.state, agent.tasks[framework.id, "kept"])  # the master does not know it any more
    liveness.disconnected(bench.state, agent.actor)
    admission.reregister(bench.state, message)
    assert list(framework.tasks) == ["kept"]
    assert not agent.executors, "it did not name the executor"
    assert Resources.from_proto(bench.offers(framework)[-1].resources).cpus == 3


def test_operations_come_back_with_their_agent(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    body = {
        "info": {"type": "RESERVE", "id": {"value": "op"}, "reserve": {"resources": []}},
        "framework_id": {"value": framework.id},
        "agent_id": {"value": agent.id},
        "uuid": {"value": "eHh4eHh4eHh4eHh4eHh4eA=="},
        "latest_status": {"state": "OPERATION_FINISHED"},
    }
    operation = content.from_json(pb.mesos.Operation, body)
    message = reregistering(agent, operations=(operation.SerializeToString(),))
    liveness.mark_unreachable(bench.state, agent, "x")
    admission.reregister(bench.state, message)
    assert [record.id for record in framework.operations.values()] == ["op"]
    assert [record.id for record in bench.state.agents[agent.id].operations.values()] == ["op"]


def test_only_so_many_unreachable_tasks_are_remembered_the_newest(new_bench: Any) -> None:
    bench = new_bench(max_unreachable_tasks_per_framework=2)
    agent = bench.add_agent()
    framework = bench.subscribe()
    for name in "abc":
        bench.launch(framework, name)
        bench.pass_time(6)
    liveness.mark_unreachable(bench.state, agent, "x")
    assert list(framework.unreachable_tasks) == ["b", "c"]


def test_pings_of_an_agent_that_has_gone_are_nobodys(bench: Any) -> None:
    agent = bench.add_agent()
    liveness.unregister(bench.state, agent.id)
    told = len(bench.world.told)
    liveness.ping_timed_out(bench.state, agent.id)
    liveness.pong(bench.state, agent.id)
    assert (len(bench.world.told), dict(bench.state.agents)) == (told, {})


def test_a_framework_that_is_gone_is_shut_down_on_an_agent_that_comes_back(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    message = reregistering(agent, frameworks=(framework.info,))
    liveness.mark_unreachable(bench.state, agent, "x")
    bench.call(framework, type="TEARDOWN")
    admission.reregister(bench.state, message)
    assert bench.told(messages.ShutdownFramework)[-1] == messages.ShutdownFramework(framework.id)
    assert not bench.state.agents[agent.id].tasks


def test_a_new_master_waits_for_the_agents_of_the_old_and_takes_their_frameworks(new_bench: Any) -> None:
    before = new_bench()
    agent = before.add_agent()
    framework = before.subscribe(checkpoint=True)
    before.launch(framework)
    message = reregistering(agent, "TASK_RUNNING", frameworks=(framework.info,))
    after = new_bench(registry=admission.current_registry(before.state))
    admission.recover(after.state)
    assert list(after.state.recovered_agents) == [agent.id]
    admission.reregister(after.state, message)
    recovered = after.state.frameworks[framework.id]
    assert (recovered.recovered, recovered.connected, list(recovered.tasks)) == (True, False, ["t"])
    again = after.subscribe(id=framework.id, stream="again")
    assert again is recovered
    assert after.events(again, "UPDATE") == []
    assert after.offers(again)[0].resources[0].scalar.value == 3


def test_agents_that_do_not_come_back_to_a_new_master_are_unreachable(new_bench: Any) -> None:
    before = new_bench()
    agent = before.add_agent()
    after = new_bench(registry=admission.current_registry(before.state))
    admission.recover(after.state)
    framework = after.subscribe()
    assert any(m.what == "recovery" for _, m in after.world.timers)
    admission.recovery_timed_out(after.state)
    assert list(after.state.unreachable_agents) == [agent.id]
    assert after.events(framework, "FAILURE")[0].failure.agent_id.value == agent.id


def test_an_agent_that_is_gone_must_not_come_back(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    message = reregistering(agent)
    assert liveness.mark_gone(bench.state, agent.id)
    status = last_status(bench, framework)
    assert pb.mesos.TaskState.Name(status.state) == "TASK_GONE_BY_OPERATOR"
    assert bench.told(messages.ShutdownAgent) == [messages.ShutdownAgent("Agent has been marked gone")]
    admission.reregister(bench.state, message)
    assert len(bench.told(messages.ShutdownAgent)) == 2
    assert not bench.state.agents


def test_unreachable_tasks_are_gone_when_their_agent_is(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    liveness.mark_unreachable(bench.state, agent, "x")
    assert liveness.mark_gone(bench.state, agent.id)
    assert pb.mesos.TaskState.Name(last_status(bench, framework).state) == "TASK_GONE_BY_OPERATOR"
    assert not framework.unreachable_tasks


def test_nobody_can_be_marked_gone_who_was_never_there(bench: Any) -> None:
    assert not liveness.mark_gone(bench.state, "x")


def test_an_agent_that_leaves_in_order_is_removed(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework)
    liveness.unregister(bench.state, agent.id)
    assert last_status(bench, framework).message == "Agent 127.0.0.1 removed: the agent unregistered"
    assert not bench.state.agents


def test_every_change_of_what_a_new_master_has_to_know_is_saved(new_bench: Any) -> None:
    bench = new_bench()
    m, agent, other, third = bench.state, *(bench.add_agent(number) for number in (1, 2, 3))
    back = reregistering(agent)
    steps = [
        lambda: liveness.mark_unreachable(m, agent, "x"),
        lambda: admission.reregister(m, back),
        lambda: liveness.unregister(m, agent.id),
        lambda: liveness.mark_gone(m, other.id),
        lambda: liveness.mark_unreachable(m, third, "x"),
        lambda: liveness.mark_gone(m, third.id),
    ]
    for step in steps:
        before = admission.current_registry(m)
        with bench.saving():
            step()
        assert admission.current_registry(m) != before
    bench = new_bench(registry=before)
    admission.recover(bench.state)
    with bench.saving():
        admission.recovery_timed_out(bench.state)
    assert bench.state.unreachable_agents


def test_the_registry_says_the_same_after_it_was_written_and_read(bench: Any, tmp_path: Any) -> None:
    agent = bench.add_agent()
    bench.add_agent(2)
    liveness.mark_unreachable(bench.state, agent, "x")
    known = admission.current_registry(bench.state)
    registry.save(known, tmp_path / "r.json")
    assert registry.load(tmp_path / "r.json") == known
    assert registry.load(tmp_path / "none.json") == registry.Registry()


def test_a_file_that_is_no_registry_is_refused_with_its_name(tmp_path: Any) -> None:
    (tmp_path / "r.json").write_text('{"agents": 7}')
    with pytest.raises(registry.RegistryError, match=r"r\.json is not a registry"):
        registry.load(tmp_path / "r.json")
