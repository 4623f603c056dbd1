"""Custom executors: real processes that speak the V1 executor API over HTTP to a real agent."""

import asyncio
import base64
import json
import re
import time

import psutil

from mesos_v1 import pb
from playa.agent.messages import LaunchTasks
from playa.messages import (
    AgentUpdate,
    ExecutorMessage,
    ExitedExecutor,
    FrameworkMessage,
    KillTask,
    ShutdownAgent,
    ShutdownExecutor,
    ShutdownFramework,
    UnregisterAgent,
)

F = "M-0000"


async def test_a_custom_executor_runs_tasks_and_its_statuses_look_as_recorded(bench, recorded):
    await bench.start()
    bench.run(bench.custom("finish"))
    await bench.ended()
    running, finished = bench.statuses()
    theirs = [
        line["event"]["update"]["status"]
        for line in recorded("custom_executor")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE"
    ]
    their = next(status for status in theirs if status["task_id"]["value"] == "m1")
    ours = {field.name for field, _ in running.ListFields()}
    assert ours == set(their) - {"data"}
    assert (running.message, finished.data) == ("up", b"result")
    assert not running.HasField("executor_id"), "the executor did not set it"
    assert not bench.of(ExitedExecutor)


async def test_tasks_share_their_executor_and_come_in_order(bench):
    await bench.start()
    for name in ("a", "b", "c"):
        bench.run(bench.custom("finish", task_id=name))
    for name in ("a", "b", "c"):
        await bench.ended(name)
    pids = {bench.statuses(name)[0].container_status.executor_pid for name in ("a", "b", "c")}
    assert len(pids) == 1


async def test_the_environment_of_a_running_executor_is_the_recorded_one(bench, recorded):
    body = next(line["body"] for line in recorded("custom_executor") if line["kind"] == "environment")
    await bench.start()
    bench.run(bench.custom("env"))
    message = (await bench.until(lambda: bench.of(ExecutorMessage)))[0]
    ours = json.loads(message.data)
    names = {name for name in ours if name.startswith(("MESOS_", "LIBPROCESS_"))}
    assert names == set(body)
    same = ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "LIBPROCESS_PORT", "MESOS_CHECKPOINT", "LIBPROCESS_IP")
    assert all(ours[name] == body[name] for name in (*same, "MESOS_HTTP_COMMAND_EXECUTOR"))
    sandbox = ours["MESOS_SANDBOX"]
    assert sandbox == ours["MESOS_DIRECTORY"] == ours["PWD"]
    assert f"/slaves/M-S0/frameworks/{F}/executors/e/runs/" in sandbox


async def test_messages_go_both_ways(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    await bench.running()
    bench.agent.tell(FrameworkMessage(framework_id=F, executor_id="e", data=b"hello"))
    bench.agent.tell(FrameworkMessage(framework_id=F, executor_id="nosuch", data=b"lost"))
    message = (await bench.until(lambda: bench.of(ExecutorMessage)))[0]
    assert (message.executor_id, message.data) == ("e", b"echo hello")


async def test_an_executor_that_exits_fails_its_tasks_after_the_failure_is_told(bench):
    await bench.start()
    bench.run(bench.custom("run", task_id="a"))
    await bench.running("a")
    bench.run(bench.custom("exit 7", task_id="b"))
    status = await bench.ended("a")
    await bench.ended("b")
    exited = bench.of(ExitedExecutor)
    assert [(e.executor_id, e.status) for e in exited] == [("e", 1792)]
    assert status.message == "Executor terminated"
    assert status.reason == pb.mesos.TaskStatus.REASON_EXECUTOR_TERMINATED
    assert status.source == pb.mesos.TaskStatus.SOURCE_AGENT
    assert status.executor_id.value == "e"
    assert not status.HasField("container_status")
    first_failed = next(
        n for n in bench.notes if isinstance(n, AgentUpdate) and b"Executor terminated" in n.status
    )
    assert bench.notes.index(exited[0]) < bench.notes.index(first_failed)


async def test_an_executor_told_to_shut_down_ends_and_its_task_fails(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    await bench.running()
    bench.agent.tell(ShutdownExecutor(framework_id=F, executor_id="e"))
    status = await bench.ended()
    assert status.message == "Executor terminated"
    assert bench.of(ExitedExecutor)[0].status == 0


async def test_an_executor_that_does_not_end_in_its_grace_period_is_killed(bench):
    await bench.start(environment=(("STUBBORN", "1"),), executor_shutdown_grace_period=0.3)
    bench.run(bench.custom("run"))
    await bench.running()
    bench.agent.tell(ShutdownExecutor(framework_id=F, executor_id="e"))
    await bench.ended()
    assert bench.of(ExitedExecutor)[0].status == 9


async def test_a_kill_reaches_the_executor_with_its_policy(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    await bench.running()
    policy = pb.mesos.KillPolicy()
    policy.grace_period.nanoseconds = 5
    bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=policy.SerializeToString()))
    status = await bench.ended()
    assert bench.states()[-1] == "TASK_KILLED"
    assert json.loads(status.message) == {"grace_period": {"nanoseconds": 5}}


async def test_a_kill_of_an_unknown_task_is_answered_by_the_agent(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    await bench.running()
    bench.agent.tell(KillTask(framework_id=F, task_id="ghost", kill_policy=None))
    status = await bench.ended("ghost")
    assert (status.message, bench.states("ghost")) == ("Cannot find executor", ["TASK_DROPPED"])


async def test_a_kill_for_a_framework_that_is_not_here_is_nobodys(bench, caplog):
    await bench.start()
    bench.agent.tell(KillTask(framework_id="nobody", task_id="t", kill_policy=None))
    bench.run(bench.custom("finish"))
    await bench.ended()
    assert bench.states() == ["TASK_RUNNING", "TASK_FINISHED"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_task_killed_before_its_executor_is_there_never_reaches_it(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=None))
    status = await bench.ended()
    assert bench.states() == ["TASK_KILLED"]
    assert status.message == "Killed before delivery to the executor"
    assert status.reason == pb.mesos.TaskStatus.REASON_TASK_KILLED_DURING_LAUNCH
    await bench.until(lambda: bench.of(ExitedExecutor))


async def test_an_executor_that_never_subscribes_is_killed_and_its_task_fails(bench):
    await bench.start(executor_registration_timeout=0.3)
    task = bench.custom("run")
    task["executor"]["command"] = {"value": "sleep 1000"}
    bench.run(task)
    status = await bench.ended()
    assert bench.states() == ["TASK_FAILED"]
    assert status.reason == pb.mesos.TaskStatus.REASON_EXECUTOR_REGISTRATION_TIMEOUT
    assert status.message == "Executor did not register within 300ms"
    assert bench.of(ExitedExecutor)[0].status == 9


async def test_an_executor_that_crashes_at_once_fails_its_task(bench):
    await bench.start()
    task = bench.custom("run")
    task["executor"]["command"] = {"value": "exit 4"}
    bench.run(task)
    status = await bench.ended()
    assert (bench.states(), status.message) == (["TASK_FAILED"], "Executor terminated")
    assert bench.of(ExitedExecutor)[0].status == 4 << 8


async def test_a_bad_update_is_answered_400_and_one_of_an_unknown_task_is_forwarded(bench):
    await bench.start()
    bench.run(bench.custom("bad", task_id="a"))
    message = (await bench.until(lambda: bench.of(ExecutorMessage)))[0]
    status, text = json.loads(message.data)
    assert (status, text) == (400, "Failed to validate Executor::Call: Expecting 'update' to be present")
    bench.run(bench.custom("unknown", task_id="b"))
    await bench.until(lambda: bench.statuses("nosuchtask"))
    assert not bench.statuses("nosuchtask")[0].HasField("container_status")


async def test_teardown_shuts_executors_down_and_says_nothing_more(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    await bench.running()
    bench.agent.tell(ShutdownFramework(framework_id=F))
    await bench.until(lambda: bench.of(ExitedExecutor))
    assert bench.states() == ["TASK_RUNNING"]


async def test_a_failed_fetch_fails_the_task_in_the_words_of_mesos_with_the_cause_in_its_stderr(bench):
    await bench.start()
    task = bench.custom("run")
    task["executor"]["command"]["uris"] = [{"value": "/no/such/file"}]
    bench.run(task)
    status = await bench.ended()
    assert bench.states() == ["TASK_FAILED"]
    assert status.reason == pb.mesos.TaskStatus.REASON_CONTAINER_LAUNCH_FAILED
    text = r"Failed to launch container: Failed to fetch all URIs for container '[^']+': exited with status 1"
    assert re.fullmatch(text, status.message)
    (errors,) = bench.directory.rglob("stderr")
    assert errors.read_text() == "Failed to fetch '/no/such/file': No such file or directory\n"


async def test_an_executor_needs_its_token_where_the_agent_asks_for_one(bench):
    await bench.start(authenticate_http_executors=True)
    bench.run(bench.custom("finish"))
    await bench.ended()
    assert bench.states()[-1] == "TASK_FINISHED"


async def test_a_task_that_wants_an_image_is_refused_as_by_an_agent_without_that_isolator(bench):
    await bench.start()
    image = {"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "busybox"}}}}
    bench.run({"command": {"value": "true"}, "container": image})
    status = await bench.ended()
    assert status.message == "Failed to launch container: Unsupported container image type: DOCKER"
    assert status.reason == pb.mesos.TaskStatus.REASON_CONTAINER_LAUNCH_FAILED


async def test_a_bug_in_one_executor_s_actor_fails_its_tasks_and_leaves_the_others_alone(bench):
    await bench.start()
    for name in ("a", "b"):
        bench.run({"task_id": name, "command": {"value": "sleep 1000"}})
        await bench.running(name)
    pid = bench.statuses("a")[0].container_status.executor_pid
    broken = next(ref for ref in bench.system.actors() if ref.name.startswith("agent:0/a/"))
    broken.tell(LaunchTasks((b"\xff",)))
    status = await bench.ended("a")
    assert (status.state, status.message) == (pb.mesos.TASK_FAILED, "Executor terminated")
    await bench.until(lambda: not psutil.pid_exists(pid))
    assert bench.states("b") == ["TASK_STARTING", "TASK_RUNNING"]


async def test_the_sandbox_of_an_executor_that_ended_is_removed_after_the_delay(bench):
    await bench.start(gc_delay=0.2)
    bench.run({"command": {"value": "true"}})
    await bench.ended()
    await bench.until(
        lambda: not list(bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/t/runs/*-*"))
    )


async def test_data_of_a_task_comes_to_the_executor_unchanged(bench):
    await bench.start()
    task = bench.custom("finish")
    assert base64.b64decode(task["data"]) == b"finish"
    bench.run(task)
    assert (await bench.ended()).data == b"result"


async def test_an_executor_that_has_not_subscribed_has_its_grace_period_too(bench, caplog):
    await bench.start(executor_shutdown_grace_period=0.5)
    task = bench.custom("run")
    task["executor"]["command"] = {"value": "sleep 1000"}
    bench.run(task)
    await bench.until(lambda: [c for c in psutil.Process().children(True) if "1000" in c.cmdline()])
    began = time.monotonic()
    bench.agent.tell(ShutdownExecutor(framework_id=F, executor_id="e"))
    (exited,) = await bench.until(lambda: bench.of(ExitedExecutor))
    assert exited.status == 9
    assert time.monotonic() - began >= 0.5
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]


async def test_an_agent_that_shuts_down_ends_when_what_it_was_about_to_launch_cannot_be(bench):
    asked, over = asyncio.Event(), asyncio.Event()

    async def serve(_reader, writer):
        asked.set()
        await over.wait()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await bench.start(executor_shutdown_grace_period=1000.0)
        task = bench.custom("run")
        port = server.sockets[0].getsockname()[1]
        task["executor"]["command"]["uris"] = [{"value": f"http://127.0.0.1:{port}/x"}]
        bench.run(task)
        await asyncio.wait_for(asked.wait(), 10)
        bench.agent.tell(ShutdownAgent(reason="test"))
        await bench.until(lambda: bench.of(UnregisterAgent))
        assert bench.agent.is_alive()
        over.set()
        await bench.until(lambda: not bench.agent.is_alive())


async def test_an_agent_that_shuts_down_ends_when_all_that_ran_on_it_has_ended(bench):
    await bench.start()
    bench.run(bench.custom("run"))
    await bench.running()
    bench.run({"task_id": "c", "command": {"value": "sleep 1000"}}, id={"value": "M-0001"})
    await bench.running("c")
    bench.agent.tell(ShutdownAgent(reason="test"))
    await bench.until(lambda: not bench.agent.is_alive())
    assert bench.of(UnregisterAgent)


async def test_what_was_due_in_an_earlier_run_of_an_executor_does_not_concern_the_next(bench):
    await bench.start(executor_registration_timeout=1.5)
    first, second = bench.custom("run", task_id="a"), bench.custom("run", task_id="b")
    first["executor"]["command"], second["executor"]["command"] = (
        {"value": "sleep 0.7"},
        {"value": "sleep 1000"},
    )
    bench.run(first)
    await bench.ended("a")
    await bench.until(lambda: bench.of(ExitedExecutor))
    began = time.monotonic()
    bench.run(second)
    status = await bench.ended("b")
    assert status.reason == pb.mesos.TaskStatus.REASON_EXECUTOR_REGISTRATION_TIMEOUT
    assert time.monotonic() - began >= 1.5
