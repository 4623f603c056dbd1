"""Checks and health checks: the judging alone, and a few on a real agent."""

import asyncio
from typing import Any

import pytest

from mesos_v1 import pb
from mesos_v1.content import from_json
from playa.agent.executors.built_in import CheckJudge, HealthJudge, passed, url_of

PASSED, FAILED = from_json(pb.mesos.CheckStatusInfo, {"type": "COMMAND", "command": {"exit_code": 0}}), None
HEALTHY, SICK, DEADLY = (True, False), (False, False), (False, True)


def judging(grace_period, consecutive_failures, started=0.0):
    """A health check's judge: gives whether the task is healthy and whether it is to be killed, if there is news."""
    check = pb.mesos.HealthCheck(grace_period_seconds=grace_period, consecutive_failures=consecutive_failures)
    judge = HealthJudge(check, started)

    def result(outcome, now):
        news = judge.judge(outcome, now)
        if news is None:
            return None
        assert news.reason == news.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
        return news.healthy, judge.deadly

    return result


def test_failures_in_the_grace_period_before_the_first_success_do_not_count():
    result = judging(grace_period=10, consecutive_failures=1, started=100.0)
    assert result(FAILED, 105.0) is None
    assert result(FAILED, 110.0) is None
    assert result(FAILED, 110.1) == DEADLY


def test_without_a_grace_period_the_first_failure_counts():
    assert judging(grace_period=0, consecutive_failures=2, started=100.0)(FAILED, 100.0) == SICK


def test_a_success_ends_the_grace_period():
    result = judging(grace_period=10, consecutive_failures=2)
    assert result(PASSED, 1.0) == HEALTHY
    assert result(FAILED, 2.0) == SICK
    assert result(FAILED, 3.0) == DEADLY


def test_success_is_told_only_when_it_is_news():
    result = judging(grace_period=0, consecutive_failures=3)
    assert result(PASSED, 1.0) == HEALTHY
    assert result(PASSED, 2.0) is None
    assert result(FAILED, 3.0) == SICK
    assert result(PASSED, 4.0) == HEALTHY
    assert result(FAILED, 5.0) == SICK, "counting began again"


def test_a_check_is_told_only_when_its_result_changed():
    judge = CheckJudge(pb.mesos.CheckInfo(type=pb.mesos.CheckInfo.COMMAND))
    four = pb.mesos.CheckStatusInfo(type=pb.mesos.CheckInfo.COMMAND)
    four.command.exit_code = 4
    assert judge.judge(None, 0.0) is None, "empty as at the start"
    news = judge.judge(four, 0.0)
    assert news is not None
    assert (news.check_status, news.reason) == (four, news.REASON_TASK_CHECK_STATUS_UPDATED)
    assert judge.judge(four, 0.0) is None
    empty = judge.judge(None, 0.0)
    assert empty is not None
    assert empty.check_status.HasField("command")
    assert not empty.check_status.command.HasField("exit_code")
    assert not judge.deadly


@pytest.mark.parametrize(
    ("code", "healthy"), [(200, True), (399, True), (400, False), (199, False), (503, False)]
)
def test_http_health_is_200_to_399(code, healthy):
    result = pb.mesos.CheckStatusInfo(type=pb.mesos.CheckInfo.HTTP)
    result.http.status_code = code
    assert passed(result) is healthy


def test_what_an_http_check_asks_for():
    check = from_json(pb.mesos.CheckInfo, {"type": "HTTP", "http": {"port": 80, "path": "/x"}})
    assert url_of(check) == "http://127.0.0.1:80/x"
    health = from_json(pb.mesos.HealthCheck, {"type": "HTTP", "http": {"port": 81, "scheme": "https"}})
    assert url_of(health) == "https://127.0.0.1:81"
    health.http.protocol = pb.mesos.NetworkInfo.IPv6
    assert url_of(health) == "https://[::1]:81"


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


@pytest.mark.parametrize("there", [True, False])
async def test_a_tcp_health_check_is_passed_by_whoever_listens(bench, server, unused_tcp_port, there):
    await bench.start()
    body = health(type="TCP", tcp={"port": server if there else unused_tcp_port})
    bench.run({"command": {"value": "sleep 1000"}, "health_check": body})
    await bench.until(lambda: len(bench.statuses()) == 3)
    assert bench.statuses()[2].healthy is there


@pytest.mark.parametrize(("protocol", "host"), [("IPv4", "127.0.0.1"), ("IPv6", "::1")])
def test_a_health_check_asks_this_machine_by_the_protocol_that_it_names(protocol, host):
    http = {"type": "HTTP", "http": {"port": 7, "protocol": protocol, "scheme": "https", "path": "/p"}}
    shown = f"[{host}]" if protocol == "IPv6" else host
    assert url_of(from_json(pb.mesos.HealthCheck, http)) == f"https://{shown}:7/p"


async def test_a_check_that_is_due_when_its_task_has_ended_does_not_concern_the_rest_of_the_group(bench):
    await bench.start()
    body = check(type="COMMAND", command={"command": {"value": "true"}}, delay_seconds=0.3)
    bench.run_group(
        {"task_id": "short", "command": {"value": "true"}, "check": body},
        {"task_id": "long", "command": {"value": "sleep 0.8"}},
    )
    await bench.ended("short")
    await bench.ended("long")
    assert bench.states("long") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


async def test_a_check_that_hangs_is_cut_off_and_leaves_no_process(bench):
    await bench.start()
    body = check(type="COMMAND", command={"command": {"value": "sleep 1000"}}, timeout_seconds=0.1)
    bench.run({"command": {"value": "sleep 1"}, "check": body})
    await bench.ended()
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
