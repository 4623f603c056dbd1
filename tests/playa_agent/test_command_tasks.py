"""Command tasks on a real agent with real processes; states and texts as recorded."""

import pytest

from playa.messages import KillTask

SECONDS = 1_000_000_000


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
