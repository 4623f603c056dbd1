"""The executor over real sockets: what the in-process wire cannot show."""

import asyncio
import os

import pytest

from mesos_http import BearerToken
from tests.executor.authors import Add, Send, Sum, Talk
from tests.support.agent_script import AgentScript, serve
from tests.support.raw_server import raw_server, response


async def test_the_whole_way_over_tcp(start, content_type):
    script = AgentScript(content_type=content_type)
    async with serve(script, cut=3) as endpoint, start(script=script, endpoint=endpoint, token="hush") as run:
        await script.until_subscribed()
        for n in range(50):
            run.launch(f"t{n}", Add(n, n))
        for n in range(50):
            await script.until_state(f"t{n}", "TASK_FINISHED")
            assert run.result(f"t{n}") == Sum(2 * n)
        assert {headers["authorization"] for headers in script.headers} == {"Bearer hush"}
        assert {headers["content-type"] for headers in script.headers} == {content_type.value}
        script.shutdown()
        assert (await run.exit())[0] == 0


async def test_the_whole_way_over_a_domain_socket(start, tmp_path):
    script = AgentScript()
    async with serve(script, socket_path=str(tmp_path / "s")) as endpoint:
        assert endpoint.socket_path
        async with start(script=script, endpoint=endpoint) as run:
            await script.until_subscribed()
            run.launch("t1", Add(1, 1))
            await script.until_state("t1", "TASK_FINISHED")


async def test_an_agent_that_restarts_is_found_again(start):
    script = AgentScript(acknowledge=False)
    async with serve(script) as endpoint:  # noqa: SIM117
        async with start(script=script, endpoint=endpoint, checkpoint=True, backoff_max=0.05) as run:
            await script.until_subscribed()
            run.launch("t1", Add(1, 1))
            await script.until_state("t1", "TASK_FINISHED")
            script.drop()
            call = await script.until_subscribed(2)
            assert len(call.subscribe.unacknowledged_tasks) == 1
            assert len(call.subscribe.unacknowledged_updates) == 2
            script.launch("t2")
            await script.until_state("t2", "TASK_FINISHED")


async def test_the_token_is_in_no_log(start, caplog):
    script = AgentScript()
    script.refusals.append((401, "who are you?"))
    async with serve(script) as endpoint, start(script=script, endpoint=endpoint, token="hush-hush") as run:
        code, reason = await run.exit()
        assert code == 1
        assert "401" in reason
        assert "hush-hush" not in caplog.text + reason


async def test_uploads_go_to_the_server_with_token_and_task(start):
    script = AgentScript()
    failures = [503, 503]

    async def server(request, writer):
        if failures:
            writer.write(response(failures.pop()))
        else:
            body = b'{"url": "http://elsewhere/%s", "name": "kept", "size": %d}' % (b"x", len(request.body))
            writer.write(response(201, body))

    async with raw_server(server) as uploads:
        url = uploads.endpoint.with_path("").url
        async with start(script=script, server_url=url) as run:
            await script.until_subscribed()
            run.launch("t/1", Send("a/b.txt", 10))
            await script.until_state("t/1", "TASK_FINISHED")
            assert run.result("t/1") == Talk("kept http://elsewhere/x 10")
            run.launch("t2", Send("big.file", 3_000_000))
            await script.until_state("t2", "TASK_FINISHED")
            assert run.result("t2") == Talk("kept http://elsewhere/x 3000000")
    first = uploads.requests[0]
    assert len(uploads.requests) == 4
    assert (first.method, first.path) == ("PUT", "/uploads/a/b.txt")
    assert first.headers["authorization"] == BearerToken("run-token").header()
    assert first.headers["mesostic-task"] == "t/1"
    assert first.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(("status", "retry"), [(413, False), (401, False), (404, False)])
async def test_a_refused_upload_fails_the_task_for_good(start, status, retry):
    script = AgentScript()

    async def server(request, writer):
        writer.write(response(status, b"no thanks"))

    async with raw_server(server) as uploads:  # noqa: SIM117
        async with start(script=script, server_url=uploads.endpoint.with_path("").url) as run:
            await script.until_subscribed()
            run.launch("t1", Send("a.txt", 10))
            failed = await script.until_state("t1", "TASK_FAILED")
            assert f"the upload of a.txt was refused: HTTP {status}" in failed.message
            assert "no thanks" in failed.message
            assert "run-token" not in failed.message
            assert bool(failed.labels.labels) is not retry


async def test_an_upload_without_a_server_fails_the_task(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Send("a.txt", 10))
        failed = await run.script.until_state("t1", "TASK_FAILED")
        assert failed.message == "a.txt cannot be uploaded: the framework has no server"


async def test_an_agent_is_not_kept_waiting_by_a_slow_server(start):
    """A task that uploads to a server that hangs can still be killed."""
    script = AgentScript()

    async def server(request, writer):
        await asyncio.sleep(60)

    async with raw_server(server) as uploads:  # noqa: SIM117
        async with start(script=script, server_url=uploads.endpoint.with_path("").url) as run:
            await script.until_subscribed()
            run.launch("t1", Send("a.txt", 10))
            await script.until_state("t1", "TASK_RUNNING")
            while not uploads.requests:
                await asyncio.sleep(0.01)
            script.kill("t1")
            await script.until_state("t1", "TASK_KILLED")


def test_the_tests_leave_no_token_in_this_process():
    assert "MESOS_EXECUTOR_AUTHENTICATION_TOKEN" not in os.environ
