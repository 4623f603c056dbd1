"""Tasks: launches that go well and wrong, updates, acknowledgements, kills, reconciliation."""

from typing import Any

import pytest

from mesos_v1 import content, pb
from playa import messages
from playa.master.agents import liveness
from playa.master.scheduler_api import tasks

UUID = "dXV1dXV1dXV1dXV1dXV1dQ=="


def statuses(bench: Any, framework: Any) -> list[pb.mesos.TaskStatus]:
    return [event.update.status for event in bench.events(framework, "UPDATE")]


def last(bench: Any, framework: Any) -> tuple[str, str, str]:
    status = statuses(bench, framework)[-1]
    reason = pb.mesos.TaskStatus.Reason.Name(status.reason) if status.HasField("reason") else ""
    return pb.mesos.TaskState.Name(status.state), reason, status.message


@pytest.fixture
def running(bench: Any) -> Any:
    """A bench with an agent and a framework that launched the task `t`."""
    bench.agent = bench.add_agent()
    bench.framework = bench.subscribe()
    assert bench.launch(bench.framework).status == 202
    return bench


def test_a_launched_task_goes_to_its_agent_with_the_framework(running: Any) -> None:
    (run,) = running.told(messages.RunTask)
    task = pb.mesos.TaskInfo.FromString(run.task)
    assert task.task_id.value == "t"
    assert {r.allocation_info.role for r in task.resources} == {"*"}
    assert pb.mesos.FrameworkInfo.FromString(run.framework_info).id.value == running.framework.id


def test_what_a_launch_leaves_is_refused_for_five_seconds_unless_said_otherwise(running: Any) -> None:
    running.pass_time(4)
    assert len(running.offers(running.framework)) == 1
    running.pass_time(1)
    assert running.offers(running.framework)[-1].resources[0].scalar.value == 3


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ({"resources": []}, "Task uses no resources"),
        ({"task_id": ""}, "ID must not be empty"),
        ({"task_id": "a/b"}, "'a/b' contains invalid characters"),
        ({"agent_id": {"value": "x"}}, "Task uses invalid agent x while agent m-S0 is expected"),
        (
            {"command": None},
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ),
        (
            {"kill_policy": {"grace_period": {"nanoseconds": -1}}},
            "Task's 'kill_policy.grace_period' must be non-negative",
        ),
        (
            {"health_check": {"type": "HTTP"}},
            "Task uses invalid health check: Expecting 'http' to be set for HTTP",
        ),
        (
            {"check": {"type": "COMMAND"}},
            "Task uses invalid check: Expecting 'command' to be set for COMMAND check",
        ),
        (
            {"command": {"value": "x", "environment": {"variables": [{"name": "A", "type": "VALUE"}]}}},
            "Task's `CommandInfo` is invalid: Environment variable 'A' of type 'VALUE' must have a value set",
        ),
        (
            {"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 99}}]},
            (
                "Total resources cpus(allocated: *):99 required by task and its executor is more than available "
                "cpus(allocated: *):4; mem(allocated: *):4096"
            ),
        ),
        (
            {"resources": [{"name": "gpus", "type": "SCALAR", "scalar": {"value": 0.5}}]},
            "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
        ),
        (
            {"executor": {"executor_id": {"value": "e"}}},
            "'ExecutorInfo.command' must be set",
        ),
        (
            {"executor": {"executor_id": {"value": "e"}, "type": "DEFAULT"}},
            "'ExecutorInfo.type' must be 'CUSTOM'",
        ),
    ],
)
def test_a_bad_task_is_an_error_with_a_reason_and_costs_nothing(
    bench: Any, task: dict[str, Any], text: str
) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    bench.launch(framework, **{k: v for k, v in task.items() if v is not None or k == "command"})
    state, reason, message = last(bench, framework)
    assert (state, reason) == ("TASK_ERROR", "REASON_TASK_INVALID")
    assert message.startswith(text)
    assert not statuses(bench, framework)[-1].HasField("uuid")
    assert not agent.tasks
    assert not agent.allocated


def test_a_task_id_is_used_once_at_a_time(running: Any) -> None:
    running.pass_time(5)
    running.launch(running.framework)
    assert last(running, running.framework) == (
        "TASK_ERROR",
        "REASON_TASK_INVALID",
        "Task has duplicate ID: t",
    )


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        ({"command": {"value": "true"}}, "COMMAND"),
        ({"http": {"port": 1}}, "HTTP"),
        ({"command": {"value": "true"}, "http": {"port": 1}}, None),
        ({"tcp": {"port": 1}}, None),
        ({"type": "TCP", "tcp": {"port": 1}}, "TCP"),
        ({"type": "HTTP", "http": {"port": 1}}, "HTTP"),
    ],
)
def test_the_kind_of_a_health_check_may_be_left_out_where_it_is_plain(
    running: Any, check: dict[str, Any], kind: str | None
) -> None:
    running.pass_time(6)
    running.launch(running.framework, "checked", health_check=check)
    if kind is None:
        _, reason, message = last(running, running.framework)
        assert (reason, message) == (
            "REASON_TASK_INVALID",
            "Task uses invalid health check: HealthCheck must specify 'type'",
        )
    else:
        sent = pb.mesos.TaskInfo.FromString(running.told(messages.RunTask)[-1].task)
        assert sent.task_id.value == "checked"
        assert pb.mesos.HealthCheck.Type.Name(sent.health_check.type) == kind


def test_the_limits_of_a_task_are_shown(running: Any) -> None:
    running.pass_time(6)
    limits = {"cpus": {"value": 2}, "mem": {"value": 512}}
    running.launch(running.framework, "limited", limits=limits)
    task = running.framework.tasks["limited"].proto
    assert {name: limit.value for name, limit in task.limits.items()} == {"cpus": 2.0, "mem": 512.0}


def test_an_offer_is_accepted_once(running: Any) -> None:
    running.launch(running.framework, "again")
    state, reason, message = last(running, running.framework)
    assert (state, reason) == ("TASK_DROPPED", "REASON_INVALID_OFFERS")
    assert message == "Task launched with invalid offers: Offer m-O0 is no longer valid"


def test_a_framework_that_knows_no_partitions_is_told_lost_for_dropped(bench: Any) -> None:
    bench.add_agent()
    framework = bench.subscribe(capabilities=("MULTI_ROLE",))
    bench.launch(framework)
    bench.launch(framework, "again")
    assert last(bench, framework)[0] == "TASK_LOST"


def test_offers_of_two_agents_cannot_be_accepted_together(bench: Any) -> None:
    bench.add_agent(1)
    bench.add_agent(2)
    framework = bench.subscribe()
    ids = [{"value": offer.id.value} for offer in bench.offers(framework)]
    operation = {"type": "RESERVE", "id": {"value": "op"}, "reserve": {"resources": []}}
    bench.call(framework, type="ACCEPT", accept={"offer_ids": ids, "operations": [operation]})
    status = bench.events(framework, "UPDATE_OPERATION_STATUS")[-1].update_operation_status.status
    assert status.message.startswith(
        "Operation attempted with invalid offers: Aggregated offers must belong to one single agent."
    )


def test_an_executor_is_counted_once_for_all_its_tasks(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe()
    executor = {
        "executor_id": {"value": "e"},
        "command": {"value": "x"},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}}],
    }
    bench.launch(framework, "a", executor=executor)
    bench.pass_time(5)
    assert [e.value for e in bench.offers(framework)[-1].executor_ids] == ["e"]
    bench.launch(framework, "b", executor=executor)
    assert agent.allocated[framework.id].cpus == 2.5
    tasks.exited_executor(bench.state, messages.ExitedExecutor(agent.id, framework.id, "e", 256))
    failure = bench.events(framework, "FAILURE")[-1].failure
    assert (failure.executor_id.value, failure.status) == ("e", 256)
    assert agent.allocated[framework.id].cpus == 2


def test_resources_are_free_with_the_newest_state_not_the_acknowledged_one(running: Any) -> None:
    framework, agent = running.framework, running.agent
    running.update(agent, framework, "t", "TASK_RUNNING", latest="TASK_FINISHED")
    assert not agent.allocated
    assert "t" in framework.tasks


@pytest.mark.parametrize(
    ("state", "counted"),
    [
        ("TASK_FINISHED", True),
        ("TASK_FAILED", True),
        ("TASK_KILLED", True),
        ("TASK_LOST", True),
        ("TASK_ERROR", True),
        ("TASK_DROPPED", True),
        ("TASK_GONE", True),
        ("TASK_GONE_BY_OPERATOR", True),
        ("TASK_UNREACHABLE", False),
        ("TASK_RUNNING", False),
    ],
)
def test_a_framework_s_tasks_are_counted_by_the_state_that_they_end_in(
    running: Any, state: str, counted: bool
) -> None:
    for _ in range(2):
        running.update(running.agent, running.framework, "t", state)
    ended = {name: n for name, n in running.framework.counts.items() if name.startswith("tasks/terminal/")}
    assert ended == ({f"tasks/terminal/{state.lower()}": 1} if counted else {})


def test_a_task_is_forgotten_when_its_end_is_acknowledged(running: Any) -> None:
    framework, agent = running.framework, running.agent
    running.update(agent, framework, "t", "TASK_RUNNING")
    uuid = running.update(agent, framework, "t", "TASK_FINISHED")
    call = pb.scheduler.Call.Acknowledge(uuid=uuid)
    call.agent_id.value, call.task_id.value = agent.id, "t"
    tasks.acknowledge(running.state, framework, call)
    assert running.told(messages.UpdateAcknowledged)[-1] == messages.UpdateAcknowledged(
        framework.id, "t", uuid
    )
    assert (framework.tasks, len(framework.completed_tasks)) == ({}, 1)


def test_an_acknowledgement_of_what_was_never_sent_goes_nowhere(running: Any) -> None:
    call = pb.scheduler.Call.Acknowledge(uuid=b"0" * 16)
    call.agent_id.value, call.task_id.value = running.agent.id, "t"
    tasks.acknowledge(running.state, running.framework, call)
    assert running.told(messages.UpdateAcknowledged) == []
    assert running.state.counts["invalid_status_update_acknowledgements"] == 1


def test_only_so_many_ended_tasks_are_remembered(new_bench: Any) -> None:
    bench = new_bench(max_completed_tasks_per_framework=2)
    bench.add_agent()
    framework = bench.subscribe()
    for number in range(3):
        bench.launch(framework, f"t{number}", kill_policy={})
        agent = next(iter(bench.state.agents.values()))
        bench.update(agent, framework, f"t{number}", "TASK_FINISHED")
        tasks.remove_task(bench.state, framework.tasks[f"t{number}"])
        bench.pass_time(6)
    assert [task.id for task in framework.completed_tasks] == ["t1", "t2"]


def test_killing_goes_to_the_agent_with_its_policy(running: Any) -> None:
    policy = {"grace_period": {"nanoseconds": 5}}
    running.call(running.framework, type="KILL", kill={"task_id": {"value": "t"}, "kill_policy": policy})
    (kill,) = running.told(messages.KillTask)
    assert pb.mesos.KillPolicy.FromString(kill.kill_policy).grace_period.nanoseconds == 5


def test_a_kill_for_another_agent_than_the_task_s_is_dropped(running: Any) -> None:
    kill = {"task_id": {"value": "t"}, "agent_id": {"value": "x"}}
    running.call(running.framework, type="KILL", kill=kill)
    assert running.told(messages.KillTask) == []


def test_a_kill_while_the_agent_is_away_is_told_when_it_is_back(new_bench: Any) -> None:
    bench = new_bench()
    agent = bench.add_agent()
    framework = bench.subscribe(checkpoint=True)
    bench.launch(framework)
    liveness.disconnected(bench.state, agent.actor)
    bench.call(framework, type="KILL", kill={"task_id": {"value": "t"}})
    assert bench.told(messages.KillTask) == []
    from playa.master.agents import admission

    message = messages.ReregisterAgent(
        agent.actor,
        agent.info.SerializeToString(),
        agent.pid,
        (),
        (),
        (),
        (agent.tasks[framework.id, "t"].proto.SerializeToString(),),
        (),
    )
    admission.reregister(bench.state, message)
    assert bench.told(messages.KillTask) == [messages.KillTask(framework.id, "t", None)]


def test_reconciliation_tells_the_state_that_the_scheduler_was_told_not_the_newest(running: Any) -> None:
    framework = running.framework
    running.call(framework, type="RECONCILE", reconcile={"tasks": [{"task_id": {"value": "t"}}]})
    assert last(running, framework)[0] == "TASK_STAGING"
    running.update(running.agent, framework, "t", "TASK_RUNNING", latest="TASK_FINISHED")
    running.call(framework, type="RECONCILE", reconcile={"tasks": [{"task_id": {"value": "t"}}]})
    assert last(running, framework)[:2] == ("TASK_RUNNING", "REASON_RECONCILIATION")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"healthy": True},
        {"healthy": False},
        {"check_status": {"type": "COMMAND", "command": {"exit_code": 0}}},
        {"container_status": {"executor_pid": 7}},
    ],
    ids=str,
)
def test_reconciliation_repeats_what_was_said_last_of_health_check_and_container(
    running: Any, said: dict[str, Any]
) -> None:
    framework = running.framework
    status = content.from_json(
        pb.mesos.TaskStatus, {"task_id": {"value": "t"}, "state": "TASK_RUNNING", "uuid": UUID, **said}
    )
    update = messages.AgentUpdate(
        running.agent.id, framework.id, "", status.SerializeToString(), "TASK_RUNNING"
    )
    tasks.status_update(running.state, update)
    running.call(framework, type="RECONCILE", reconcile={"tasks": [{"task_id": {"value": "t"}}]})
    told = content.to_json(statuses(running, framework)[-1])
    assert told["reason"] == "REASON_RECONCILIATION"
    names = ("healthy", "check_status", "container_status")
    assert {name: told[name] for name in names if name in told} == said


@pytest.mark.parametrize(
    ("where", "aware", "plain", "text"),
    [
        ("registered", "TASK_GONE", "TASK_LOST", "Reconciliation: Task is unknown to the agent"),
        ("unreachable", "TASK_UNREACHABLE", "TASK_LOST", "Reconciliation: Task is unreachable"),
        ("gone", "TASK_GONE_BY_OPERATOR", "TASK_LOST", "Reconciliation: Task is gone"),
        ("unknown", "TASK_UNKNOWN", "TASK_LOST", "Reconciliation: Task is unknown"),
    ],
)
def test_tasks_nobody_knows_are_reconciled_by_their_agent(
    bench: Any, where: str, aware: str, plain: str, text: str
) -> None:
    bench.add_agent()
    bench.state.unreachable_agents["lost"] = 5.0
    bench.state.gone_agents["gone"] = 5.0
    agent_id = {"registered": "m-S0", "unreachable": "lost", "gone": "gone", "unknown": "x"}[where]
    asked = {"tasks": [{"task_id": {"value": "ghost"}, "agent_id": {"value": agent_id}}]}
    for capabilities, expected in ((("MULTI_ROLE", "PARTITION_AWARE"), aware), (("MULTI_ROLE",), plain)):
        framework = bench.subscribe(expected, capabilities=capabilities)
        bench.call(framework, type="RECONCILE", reconcile=asked)
        assert last(bench, framework) == (expected, "REASON_RECONCILIATION", text)


def test_nobody_is_told_of_a_task_whose_agent_may_still_come_back(bench: Any) -> None:
    bench.state.recovered_agents["S0"] = pb.mesos.AgentInfo(hostname="h")
    framework = bench.subscribe()
    for task in ({"task_id": {"value": "t"}}, {"task_id": {"value": "t"}, "agent_id": {"value": "S0"}}):
        bench.call(framework, type="RECONCILE", reconcile={"tasks": [task]})
    assert statuses(bench, framework) == []


def test_messages_go_both_ways_and_are_lost_where_nobody_is(running: Any) -> None:
    framework, agent = running.framework, running.agent
    message = {"agent_id": {"value": agent.id}, "executor_id": {"value": "e"}, "data": "aGk="}
    running.call(framework, type="MESSAGE", message=message)
    running.call(framework, type="MESSAGE", message={**message, "agent_id": {"value": "x"}})
    assert running.told(messages.FrameworkMessage) == [messages.FrameworkMessage(framework.id, "e", b"hi")]
    tasks.executor_message(running.state, messages.ExecutorMessage(agent.id, framework.id, "e", b"yo"))
    tasks.executor_message(running.state, messages.ExecutorMessage(agent.id, "nobody", "e", b"yo"))
    (event,) = running.events(framework, "MESSAGE")
    assert event.message.data == b"yo"


def test_operators_see_tasks_come_and_change(running: Any) -> None:
    running.update(running.agent, running.framework, "t", "TASK_RUNNING")
    running.update(running.agent, running.framework, "t", "TASK_RUNNING")  # sent again: nothing new
    names = [pb.master.Event.Type.Name(event.type) for event in running.world.published]
    assert names == ["AGENT_ADDED", "FRAMEWORK_ADDED", "TASK_ADDED", "TASK_UPDATED"]


GROUP: dict[str, dict[str, Any]] = {
    "executor": {
        "type": "DEFAULT",
        "executor_id": {"value": "pod"},
        "resources": [{"name": name, "type": "SCALAR", "scalar": {"value": 32}} for name in ("mem", "disk")]
        + [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
    },
    "task_group": {"tasks": []},
}


def launch_group(
    bench: Any, framework: Any, *, executor: dict[str, Any] | None = None, agent: str = "m-S0"
) -> None:
    resources = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.2}}]
    infos = [
        {
            "name": n,
            "task_id": {"value": n},
            "agent_id": {"value": agent},
            "resources": resources,
            "command": {"value": "x"},
        }
        for n in ("a", "b")
    ]
    group = {
        **GROUP,
        "executor": {"framework_id": {"value": framework.id}, **(executor or GROUP["executor"])},
    }
    operation = {"type": "LAUNCH_GROUP", "launch_group": {**group, "task_group": {"tasks": infos}}}
    offer = bench.offers(framework)[-1]
    bench.call(
        framework, type="ACCEPT", accept={"offer_ids": [{"value": offer.id.value}], "operations": [operation]}
    )


def test_a_task_group_goes_to_its_agent_as_one(bench: Any) -> None:
    agent = bench.add_agent(resources="cpus:4;mem:4096;disk:1000")
    framework = bench.subscribe()
    launch_group(bench, framework)
    (run,) = bench.told(messages.RunTaskGroup)
    group = pb.mesos.TaskGroupInfo.FromString(run.task_group)
    assert [task.executor.executor_id.value for task in group.tasks] == ["pod", "pod"]
    assert agent.allocated[framework.id].cpus == 0.5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"resources": []}, "Executor 'pod' uses less CPUs (None) than the minimum required (0.01)"),
        ({"type": "UNKNOWN"}, "Unknown executor type"),
        ({"command": {"value": "x"}}, "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"),
    ],
)
def test_a_bad_group_fails_as_a_whole(bench: Any, change: dict[str, Any], text: str) -> None:
    bench.add_agent(resources="cpus:4;mem:4096;disk:1000")
    framework = bench.subscribe()
    launch_group(bench, framework, executor={**GROUP["executor"], **change})
    told = [
        (s.task_id.value, pb.mesos.TaskStatus.Reason.Name(s.reason), s.message)
        for s in statuses(bench, framework)
    ]
    assert told == [(n, "REASON_TASK_GROUP_INVALID", text) for n in ("a", "b")]
