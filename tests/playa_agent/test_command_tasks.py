"""Command tasks on a real agent with real processes; states and texts as recorded."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from mesos_v1 import pb
from playa.messages import AgentUpdate, KillTask

SECONDS = 1_000_000_000


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_command_task_starts_runs_and_finishes_as_recorded(bench, recorded):
    await bench.start()
    bench.run({"command": {"value": "echo hello; pwd"}})
    await bench.ended()
    theirs = [
        line["event"]["update"]["status"]
        for line in recorded("command_task_lifecycle")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE"
    ]
    theirs = [status for status in theirs if status["task_id"]["value"] == "t1"]
    assert bench.states() == [status["state"] for status in theirs]
    for ours, their in zip(bench.statuses(), theirs, strict=True):
        assert {field.name for field, _ in ours.ListFields()} == set(their)
        assert ours.message == their.get("message", "")
        assert len(ours.uuid) == 16
        assert ours.container_status.executor_pid > 0
        address = ours.container_status.network_infos[0].ip_addresses[0]
        assert (address.protocol, address.ip_address) == (1, "127.0.0.1")


@pytest.mark.parametrize(
    ("command", "state", "message"),
    [
        ({"value": "exit 3"}, "TASK_FAILED", "Command exited with status 3"),
        ({"value": "kill -9 $$"}, "TASK_FAILED", "Command terminated with signal Killed"),
        (
            {"shell": False, "value": "/no/such/binary", "arguments": ["x"]},
            "TASK_FAILED",
            "Command exited with status 1",
        ),
        (
            {"shell": False, "value": "/bin/sh", "arguments": ["sh", "-c", "exit 0"]},
            "TASK_FINISHED",
            "Command exited with status 0",
        ),
    ],
)
async def test_exit_codes_and_signals_are_states_and_messages(bench, command, state, message):
    await bench.start()
    bench.run({"command": command})
    status = await bench.ended()
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING", state]
    assert status.message == message
    assert not status.HasField("reason")


async def test_a_killed_command_ends_by_sigterm(bench):
    await bench.start()
    bench.run({"command": {"value": "sleep 1000"}})
    await bench.running()
    bench.agent.tell(KillTask(framework_id="M-0000", task_id="t", kill_policy=None))
    status = await bench.ended()
    assert bench.states()[-1] == "TASK_KILLED"
    assert status.message == "Command terminated with signal Terminated"


async def test_a_stubborn_task_is_killed_after_its_grace_period(bench):
    await bench.start()
    command = "trap '' TERM; echo up; while true; do sleep 0.1; done"
    policy = {"grace_period": {"nanoseconds": SECONDS // 5}}
    bench.run({"command": {"value": command}, "kill_policy": policy})
    await bench.running()
    out = next(bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/t/runs/latest/stdout"))
    await bench.until(out.read_text)
    bench.agent.tell(KillTask(framework_id="M-0000", task_id="t", kill_policy=None))
    status = await bench.ended()
    assert bench.states()[-1] == "TASK_KILLED"
    assert status.message == "Command terminated with signal Killed"


async def test_a_framework_that_knows_task_killing_is_told_of_it(bench):
    await bench.start()
    capabilities = [{"type": "TASK_KILLING_STATE"}]
    bench.run({"command": {"value": "sleep 1000"}}, capabilities=capabilities)
    await bench.running()
    bench.agent.tell(KillTask(framework_id="M-0000", task_id="t", kill_policy=None))
    await bench.ended()
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"]


async def test_a_task_that_overruns_its_max_completion_time_fails_with_that_reason(bench):
    await bench.start()
    limit = {"nanoseconds": SECONDS // 5}
    bench.run({"command": {"value": "sleep 1000"}, "max_completion_time": limit})
    status = await bench.ended()
    assert bench.states()[-1] == "TASK_FAILED"
    assert status.reason == pb.mesos.TaskStatus.REASON_MAX_COMPLETION_TIME_REACHED


async def test_output_and_environment_of_a_command_are_in_its_sandbox(bench):
    await bench.start()
    variables = [{"name": "WORD", "value": "hello"}]
    bench.run(
        {"command": {"value": "echo $WORD; pwd; echo oops >&2", "environment": {"variables": variables}}}
    )
    await bench.ended()
    sandbox = next(bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/t/runs/latest"))
    assert (sandbox / "stdout").read_text().splitlines() == ["hello", str(sandbox.resolve())]
    assert (sandbox / "stderr").read_text() == "oops\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a task as somebody else")
async def test_root_runs_a_task_as_the_user_it_asks_for(bench):
    await bench.start()
    bench.run({"command": {"value": "id -un; id -gn; touch mine", "user": "nobody"}})
    assert (await bench.ended()).message == "Command exited with status 0"
    sandbox = next(bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/t/runs/latest"))
    assert (sandbox / "stdout").read_text().split() == ["nobody", "nogroup"]
    assert (sandbox / "mine").owner() == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="others do not switch users")
async def test_a_user_that_there_is_not_fails_the_task_with_the_name(bench):
    await bench.start()
    bench.run({"command": {"value": "true", "user": "no-such-user"}})
    status = await bench.ended()
    assert status.reason == pb.mesos.TaskStatus.REASON_CONTAINER_LAUNCH_FAILED
    assert "Failed to get user information for 'no-such-user'" in status.message


@pytest.mark.parametrize("killed", [False, True])
async def test_a_task_whose_end_nobody_can_know_has_failed_unless_it_was_to_end(bench, killed, tmp_path):
    await bench.start()
    deaf = tmp_path / "deaf"
    bench.run({"command": {"value": f"trap '' TERM; touch {deaf}; while true; do sleep 0.05; done"}})
    await bench.running()
    await bench.until(deaf.exists)
    process = psutil.Process(bench.statuses()[-1].container_status.executor_pid)
    if killed:
        bench.agent.tell(KillTask(framework_id="M-0000", task_id="t", kill_policy=None))
        await asyncio.sleep(0.1)
    supervisor = process.parent()
    assert supervisor is not None
    supervisor.kill()  # it alone would have told
    status = await bench.ended()
    assert (bench.states()[-1], status.message) == (
        ("TASK_KILLED", "Command terminated with signal Killed")
        if killed
        else ("TASK_FAILED", "Failed to get exit status for Command")
    )


async def test_a_commands_uris_are_there_when_it_starts(bench, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\necho fetched\n")
    await bench.start()
    uris = [{"value": str(tmp_path / "tool"), "executable": True}]
    bench.run({"command": {"value": "./tool", "uris": uris}})
    assert (await bench.ended()).state == pb.mesos.TASK_FINISHED


async def test_what_a_command_leaves_running_in_its_group_ends_with_it(bench, tmp_path):
    await bench.start()
    bench.run({"command": {"value": f"sleep 1000 & echo $! > {tmp_path}/pid"}})
    await bench.ended()
    pid = int((tmp_path / "pid").read_text())
    await bench.until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


async def test_an_update_that_nobody_acknowledges_is_sent_again(bench):
    bench.acknowledging = False
    await bench.start(status_update_retry_interval_min=0.2)
    bench.run({"command": {"value": "true"}})
    await bench.until(lambda: len(bench.statuses()) == 3)
    assert bench.states() == ["TASK_STARTING"] * 3
    assert len({status.uuid for status in bench.statuses()}) == 1
    assert bench.of(AgentUpdate)[-1].latest_state == "TASK_FINISHED"


async def test_no_descriptor_is_left_behind(bench):
    await bench.start()
    before = descriptors()
    for n in range(20):
        bench.run({"task_id": f"t{n}", "command": {"value": "true"}})
    for n in range(20):
        await bench.ended(f"t{n}")
    await bench.until(lambda: descriptors() <= before + 1)  # the watcher's pipe
