"""Checks and health checks: the judging alone, and a few on a real agent."""

import asyncio
from typing import Any

import pytest

from mesos_v1 import pb
from playa.agent.built_in.checks import (
    CheckJudge,
    HealthJudge,
    Verdict,
    passed,
    plan_of_check,
    plan_of_health_check,
)

HEALTHY, SICK, DEADLY = Verdict(True, False), Verdict(False, False), Verdict(False, True)


def test_failures_in_the_grace_period_before_the_first_success_do_not_count():
    judge = HealthJudge(grace_period=10, consecutive_failures=1, started=100.0)
    assert judge.result(ok=False, now=105.0) is None
    assert judge.result(ok=False, now=110.0) is None
    assert judge.result(ok=False, now=110.1) == DEADLY


def test_a_success_ends_the_grace_period():
    judge = HealthJudge(grace_period=10, consecutive_failures=2, started=0.0)
    assert judge.result(ok=True, now=1.0) == HEALTHY
    assert judge.result(ok=False, now=2.0) == SICK
    assert judge.result(ok=False, now=3.0) == DEADLY


def test_success_is_told_only_when_it_is_news():
    judge = HealthJudge(grace_period=0, consecutive_failures=3, started=0.0)
    assert judge.result(ok=True, now=1.0) == HEALTHY
    assert judge.result(ok=True, now=2.0) is None
    assert judge.result(ok=False, now=3.0) == SICK
    assert judge.result(ok=True, now=4.0) == HEALTHY
    assert judge.result(ok=False, now=5.0) == SICK, "counting began anew"


def test_a_check_is_told_only_when_its_result_changed():
    check = pb.mesos.CheckInfo(type=pb.mesos.CheckInfo.COMMAND)
    judge = CheckJudge(check)
    four = pb.mesos.CheckStatusInfo(type=pb.mesos.CheckInfo.COMMAND)
    four.command.exit_code = 4
    assert judge.result(None) is None, "empty as at the start"
    assert judge.result(four) == four
    assert judge.result(four) is None
    empty = judge.result(None)
    assert empty is not None
    assert empty.HasField("command")
    assert not empty.command.HasField("exit_code")


@pytest.mark.parametrize(
    ("code", "healthy"), [(200, True), (399, True), (400, False), (199, False), (503, False)]
)
def test_http_health_is_200_to_399(code, healthy):
    result = pb.mesos.CheckStatusInfo(type=pb.mesos.CheckInfo.HTTP)
    result.http.status_code = code
    assert passed(result) is healthy


def test_the_defaults_of_a_health_check_are_mesos_s():
    plan = plan_of_health_check(pb.mesos.HealthCheck(type=pb.mesos.HealthCheck.COMMAND))
    assert (plan.delay, plan.interval, plan.timeout) == (15.0, 10.0, 20.0)
    check = pb.mesos.CheckInfo(type=pb.mesos.CheckInfo.HTTP)
    check.http.port, check.http.path = 80, "/x"
    check.timeout_seconds = 0
    assert plan_of_check(check).url == "http://127.0.0.1:80/x"
    assert plan_of_check(check).timeout is None


def check(**more) -> dict[str, Any]:
    return {"delay_seconds": 0, "interval_seconds": 0.1, "timeout_seconds": 5, **more}


def health(**more) -> dict[str, Any]:
    return check(consecutive_failures=2, grace_period_seconds=0.05, **more)


async def test_a_healthy_task_says_so_once(bench, recorded):
    await bench.start()
    body = health(type="COMMAND", command={"value": "true"})
    bench.run({"command": {"value": "sleep 1000"}, "health_check": body})
    await bench.until(lambda: len(bench.statuses()) == 3)
    await asyncio.sleep(0.3)
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_RUNNING"]
    status = bench.statuses()[-1]
    assert status.healthy
    assert status.reason == pb.mesos.TaskStatus.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
    theirs = [
        line["event"]["update"]["status"]
        for line in recorded("health_checks")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE"
    ]
    their = next(s for s in theirs if s["task_id"]["value"] == "healthy" and "healthy" in s)
    assert {field.name for field, _ in status.ListFields()} == set(their)


async def test_a_sick_task_is_killed_after_so_many_failures_as_recorded(bench, recorded):
    await bench.start()
    body = health(type="COMMAND", command={"value": "false"})
    bench.run({"command": {"value": "sleep 1000"}, "health_check": body})
    await bench.ended()
    theirs = [
        line["event"]["update"]["status"]
        for line in recorded("health_checks")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE"
    ]
    theirs = [s for s in theirs if s["task_id"]["value"] == "sick"]
    ours = bench.statuses()
    assert bench.states() == [s["state"] for s in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert {field.name for field, _ in our.ListFields()} == set(their)
        assert our.message == their.get("message", "")
        assert our.healthy == their.get("healthy", False)


async def test_a_check_tells_its_exit_code_as_recorded(bench, recorded):
    await bench.start()
    body = check(type="COMMAND", command={"command": {"value": "exit 4"}})
    bench.run({"command": {"value": "sleep 1000"}, "check": body})
    await bench.until(lambda: len(bench.statuses()) == 3)
    theirs = [
        line["event"]["update"]["status"]
        for line in recorded("health_checks")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE"
    ]
    theirs = [s for s in theirs if s["task_id"]["value"] == "checked"]
    for our, their in zip(bench.statuses(), theirs, strict=True):
        assert {field.name for field, _ in our.ListFields()} == set(their)
        assert our.check_status.command.exit_code == their["check_status"]["command"].get("exit_code", 0)


async def test_a_check_whose_command_is_killed_has_no_result(bench):
    await bench.start()
    body = check(type="COMMAND", command={"command": {"value": "kill -9 $$"}}, interval_seconds=0.05)
    bench.run({"command": {"value": "sleep 0.7"}, "check": body})
    await bench.ended()
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
    assert not any(s.check_status.command.HasField("exit_code") for s in bench.statuses())


@pytest.fixture
async def server():
    """A server that answers every HTTP request with 418."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def test_an_http_check_tells_the_status_code(bench, server):
    await bench.start()
    body = check(type="HTTP", http={"port": server, "path": "/"})
    bench.run({"command": {"value": "sleep 1000"}, "check": body})
    await bench.until(lambda: len(bench.statuses()) == 3)
    assert bench.statuses()[-1].check_status.http.status_code == 418


async def test_an_http_health_check_outside_200_to_399_is_sick(bench, server):
    await bench.start()
    body = health(type="HTTP", http={"port": server, "path": "/"})
    bench.run({"command": {"value": "sleep 1000"}, "health_check": body})
    assert (await bench.ended()).healthy is False


async def test_a_tcp_check_tells_whether_it_connected(bench, unused_tcp_port):
    await bench.start()
    body = check(type="TCP", tcp={"port": unused_tcp_port})
    bench.run({"command": {"value": "sleep 1000"}, "check": body})
    await bench.until(lambda: len(bench.statuses()) == 3)
    assert bench.statuses()[-1].check_status.tcp.HasField("succeeded")
    assert not bench.statuses()[-1].check_status.tcp.succeeded


async def test_a_check_that_hangs_is_cut_off_and_leaves_no_process(bench):
    await bench.start()
    body = check(type="COMMAND", command={"command": {"value": "sleep 1000"}}, timeout_seconds=0.1)
    bench.run({"command": {"value": "sleep 1"}, "check": body})
    await bench.ended()
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
