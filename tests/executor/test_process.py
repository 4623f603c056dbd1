"""`python -m executor` as an agent starts it: a process with an environment, signals, an exit code and a stderr."""

import ast
import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors.runtime import pack, read_trace, unpack
from executor.main import main, system_name
from mesos_v1.content import ContentType
from tests.executor.authors import Add, Block, Misbehave, Sum, Wait
from tests.support.agent_script import EXECUTOR, FRAMEWORK, AgentScript, environment, serve
from tests.support.raw_server import raw_server, response
from wire.start_letter import ExecutorBoot

ROOT = Path(__file__).parents[2]
AUTHORS = "tests.executor.authors"
BROKEN = """from executor.author import Executor, task
class Mine(Executor):
    def {}(self):
        1 / 0
    @task
    async def run(self): ...
"""


def variables(port: int, sandbox: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "MESOS_FRAMEWORK_ID": FRAMEWORK,
        "MESOS_EXECUTOR_ID": EXECUTOR,
        "MESOS_SLAVE_ID": "F-S0",
        "MESOS_SLAVE_PID": f"slave(1)@127.0.0.1:{port}",
        "MESOS_AGENT_ENDPOINT": f"127.0.0.1:{port}",
        "MESOS_CHECKPOINT": "0",
        "MESOS_SANDBOX": str(sandbox),
        "MESOS_DIRECTORY": str(sandbox),
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
        **more,
    }


@asynccontextmanager
async def started(script: AgentScript, sandbox: Path, *arguments: str, **more: str):
    async with serve(script) as endpoint:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "executor", *arguments,
            cwd=sandbox, env=variables(endpoint.port, sandbox, **more),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_an_executor_process_runs_tasks_and_ends_on_shutdown(tmp_path):
    script = AgentScript(boot=pack(ExecutorBoot(None, "", b"", f"{AUTHORS}:Everything")))
    async with started(script, tmp_path, f"{AUTHORS}:Everything") as process:
        await script.until_subscribed()
        script.launch("t1", pack(Add(1, 2)))
        status = await script.until_state("t1", "TASK_FINISHED")
        assert unpack(status.data).message == Sum(3)
        script.shutdown()
        _, stderr = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_an_executor_in_order(tmp_path, number):
    script = AgentScript()
    async with started(script, tmp_path, f"{AUTHORS}:Everything") as process:
        await script.until_subscribed()
        script.launch("t1", pack(Wait(1000)))
        await script.until_state("t1", "TASK_RUNNING")
        process.send_signal(number)
        await script.until_state("t1", "TASK_KILLED")
        assert await process.wait() == 0


BLOCKS = """
import time
from executor.author import Executor, task
from tests.executor.authors import Wait

class Blocks(Executor):
    @task
    async def wait(self, wait: Wait) -> None:
        time.sleep(wait.seconds)
"""


async def test_two_signals_end_an_executor_whose_task_blocks_it(tmp_path):
    (tmp_path / "blocks.py").write_text(BLOCKS)
    script = AgentScript()
    async with started(script, tmp_path, "blocks:Blocks") as process:
        await script.until_subscribed()
        script.launch("t1", pack(Wait(1000)))
        assert process.stderr is not None
        told = b""
        while b"has been running" not in told:
            told = await process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, stderr = await process.communicate()
        assert process.returncode == 1
        assert b"in wait" in stderr
        assert b"executor: ended at once" in stderr


async def test_a_thread_that_does_not_end_does_not_keep_the_process(tmp_path):
    script = AgentScript()
    async with started(
        script, tmp_path, f"{AUTHORS}:Everything", MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD="1secs"
    ) as process:
        await script.until_subscribed()
        script.launch("t1", pack(Block(600)))
        await script.until_state("t1", "TASK_RUNNING")
        script.shutdown()
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        assert script.states("t1")[-1] == "TASK_KILLED"


async def test_a_class_that_does_not_import_is_one_line_on_stderr_and_in_the_task(tmp_path):
    script = AgentScript()
    async with started(
        script, tmp_path, "no_such_module:Class", MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD="1secs"
    ) as process:
        await script.until_subscribed()
        script.launch("t1", pack(Add(1, 2)))
        status = await script.until_state("t1", "TASK_FAILED")
        _, stderr = await process.communicate()
        assert process.returncode == 1
        last = stderr.decode().splitlines()[-1]
        assert last == f"executor: {status.message}"
        assert "no_such_module:Class cannot be imported: there is no module 'no_such_module'" in last
        assert b"Traceback" not in stderr


@pytest.mark.parametrize(
    ("code", "says", "shown"),
    [
        ("import sys\nsys.exit('no licence')\n", "mine raises SystemExit: no licence", "mine.py"),
        ("def broken(:\n", "cannot be imported: invalid syntax", ""),
        ("import no_such_thing\n", "there is no module 'no_such_thing'; mine imports it", "mine.py"),
        ("class Mine: pass\n", "mine:Mine is not an executor: write class Mine(Executor)", ""),
        (
            "from executor.author import Executor\nclass Mine(Executor): pass\n",
            "Mine has no @task method",
            "",
        ),
        (
            BROKEN.format("__init__"),
            "mine:Mine cannot be made: ZeroDivisionError: division by zero",
            "mine.py",
        ),
        (
            BROKEN.format("on_start"),
            "Mine could not be started: ZeroDivisionError: division by zero",
            "mine.py",
        ),
    ],
)
async def test_what_is_wrong_with_an_executor_is_one_sentence_and_the_authors_own_frames(
    tmp_path, code, says, shown
):
    (tmp_path / "mine.py").write_text(code)
    script = AgentScript()
    async with started(
        script, tmp_path, "mine:Mine", MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD="1secs"
    ) as process:
        await script.until_subscribed()
        script.launch("t1")
        status = await script.until_state("t1", "TASK_FAILED")
        _, stderr = await process.communicate()
        assert process.returncode == 1
        text = stderr.decode()
        assert text.splitlines()[-1] == f"executor: {status.message}"
        assert says in status.message
        frames = [line for line in text.splitlines() if line.startswith('  File "')]
        assert all(str(tmp_path) in line for line in frames), text
        assert bool(frames) == bool(shown)


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (
            "sys.version_info = (3, 9, 2)",
            "is Python 3.9, and executors need Python 3.11 or newer: install it",
        ),
        ("sys.modules['msgpack'] = None", "has no module 'msgpack', which every executor needs: install it"),
        (
            "import google.protobuf.runtime_version as r; r.MAJOR = 4",
            "cannot load what every executor needs (VersionError: Detected incompatible Protobuf",
        ),
    ],
)
def test_a_python_that_cannot_run_executors_says_so_in_one_line(tmp_path, before, says):
    code = f"import sys; {before}; import runpy; runpy.run_module('executor', run_name='__main__')"
    made = subprocess.run(
        [sys.executable, "-c", code, "a:B"],
        env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert made.returncode == 1
    assert made.stderr.count("\n") == 1, made.stderr
    assert made.stderr.startswith(f"executor: {sys.executable} {says}")


@pytest.mark.parametrize("name", ["__init__", "__main__"])
def test_what_an_old_python_reads_first_is_written_for_it(name):
    tree = ast.parse((ROOT / "executor" / f"{name}.py").read_text(), feature_version=(3, 6))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "__future__" not in imported


def test_a_wrong_level_of_the_log_is_one_line(tmp_path):
    made = subprocess.run(
        [sys.executable, "-m", "executor", "a:B"],
        env={"PYTHONPATH": str(ROOT), "MESOSTIC_LOG_LEVEL": "LOUD"},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert made.returncode == 2
    assert made.stderr == (
        "executor: MESOSTIC_LOG_LEVEL: Unknown level: 'LOUD'; use DEBUG, INFO, WARNING or ERROR\n"
    )


@pytest.mark.parametrize("how", ["exits beside itself", "exits in a callback"])
async def test_an_exit_beside_a_task_ends_no_other(tmp_path, how):
    script = AgentScript()
    async with started(script, tmp_path, f"{AUTHORS}:Misbehaving") as process:
        await script.until_subscribed()
        script.launch("bystander", pack(Misbehave("waits")))
        script.launch("t1", pack(Misbehave(how)))
        if how == "exits beside itself":
            status = await script.until_state("t1", "TASK_FAILED")
            assert status.message == "the task called sys.exit(5)"
        else:
            await script.until_state("t1", "TASK_FINISHED")
        script.launch("t2", pack(Add(1, 2)))
        await script.until_state("t2", "TASK_FINISHED")
        script.shutdown()
        _, stderr = await process.communicate()
        assert process.returncode == 0
        assert script.states("bystander")[-1] == "TASK_KILLED"
        assert b"something raised SystemExit: 5 outside of its task" in stderr


async def test_a_module_in_the_sandbox_is_found(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from executor.author import Executor, task\n"
        "class Mine(Executor):\n"
        "    @task\n"
        "    async def run(self, data: bytes) -> bytes:\n"
        "        return data[::-1]\n"
    )
    script = AgentScript()
    async with started(script, tmp_path, "mine:Mine"):
        await script.until_subscribed()
        script.launch("t1", b"abc")
        assert (await script.until_state("t1", "TASK_FINISHED")).data == b"cba"


async def test_an_agent_that_is_gone_ends_the_process_with_a_reason(tmp_path):
    script = AgentScript()
    async with started(script, tmp_path, f"{AUTHORS}:Everything") as process:
        await script.until_subscribed()
        script.drop()
        _, stderr = await process.communicate()
        assert process.returncode == 1
        assert stderr.decode().splitlines()[-1].startswith("executor: ")
        assert b"Traceback" not in stderr


async def test_the_authentication_token_is_used_and_is_not_left_in_the_environment(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os, subprocess\nfrom executor.author import Executor, task\n"
        "class Mine(Executor):\n"
        "    @task\n"
        "    def run(self, data: bytes) -> bytes:\n"
        "        return subprocess.check_output(['env'])\n"
    )
    script = AgentScript()
    async with started(script, tmp_path, "mine:Mine", MESOS_EXECUTOR_AUTHENTICATION_TOKEN="hush-hush"):
        await script.until_subscribed()
        script.launch("t1", b"abc")
        seen = (await script.until_state("t1", "TASK_FINISHED")).data
        assert b"MESOS_EXECUTOR_ID" in seen
        assert b"hush-hush" not in seen
        assert {headers["authorization"] for headers in script.headers} == {"Bearer hush-hush"}


async def test_the_agents_domain_socket_is_used_where_there_is_one(tmp_path):
    script = AgentScript(content_type=ContentType.JSON)
    path = str(tmp_path / "agent.sock")
    async with serve(script, socket_path=path):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "executor", f"{AUTHORS}:Everything",
            cwd=tmp_path,
            env=variables(1, tmp_path, MESOS_DOMAIN_SOCKET=path, MESOSTIC_CONTENT_TYPE="json"),
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await script.until_subscribed()
        script.launch("t1", pack(Add(1, 2)))
        await script.until_state("t1", "TASK_FINISHED")
        script.shutdown()
        assert await process.wait() == 0


async def test_the_trace_is_shipped_to_the_server_while_it_grows_and_at_the_end(tmp_path):
    received = bytearray()
    offsets = []
    forgetful = [True]

    async def server(request, writer):
        offset = int(request.path.partition("?offset=")[2])
        offsets.append((request.path.partition("?")[0], offset))
        if offset and forgetful and forgetful.pop():  # as if the framework had been restarted
            received.clear()
        if offset > len(received):
            writer.write(response(409, b'{"offset": %d}' % len(received)))
        else:
            received[offset:] = request.body
            writer.write(response(204))

    sandbox = tmp_path / "runs" / "0f0f0f0f-1111-2222-3333-444444444444"
    sandbox.mkdir(parents=True)
    async with raw_server(server) as uploads:
        url = uploads.endpoint.with_path("").url
        boot = ExecutorBoot(url, "run-token", b"", f"{AUTHORS}:Everything", trace=True)
        script = AgentScript(boot=pack(boot))
        async with started(script, sandbox, f"{AUTHORS}:Everything") as process:
            await script.until_subscribed()
            script.launch("t1", pack(Add(1, 2), id="main#42"))
            status = await script.until_state("t1", "TASK_FINISHED")
            result = unpack(status.data)
            script.say(script.subscribed())  # brings the start-up letter, with its token, once more
            assert result.cause == "main#42"
            while not received:
                await asyncio.sleep(0.02)
            assert process.returncode is None
            script.launch("t2", pack(Wait(1.2)))
            await script.until_state("t2", "TASK_FINISHED")
            script.shutdown()
            await process.wait()
    assert {path for path, _ in offsets} == {"/traces/exec-1.0f0f0f0f"}
    assert {request.headers["authorization"] for request in uploads.requests} == {"Bearer run-token"}
    path = tmp_path / "shipped.trace"
    path.write_bytes(received)
    records = list(read_trace(path))
    assert path.read_bytes() == (sandbox / "mesostic.trace").read_bytes()[: len(received)]
    by_id = {record.id: record for record in records}
    start = by_id[by_id[result.id].cause]
    assert start.type.endswith("StartTask")
    assert start.cause == "main#42"  # the scheduler's trace and the executor's join here
    assert result.id.startswith("exec-1.0f0f0f0f#")
    assert b"run-token" not in received


def test_a_wrong_call_shows_how_to_call_it(capsys):
    assert main([]) == 2
    assert main(["-x"]) == 2
    assert main(["--help"]) == 0
    assert "usage: python -m executor module:Class" in capsys.readouterr().err


def test_outside_of_an_agent_it_says_so_in_one_line(capsys, monkeypatch):
    monkeypatch.delenv("MESOS_FRAMEWORK_ID", raising=False)
    assert main(["a:B"]) == 2
    err = capsys.readouterr().err
    assert (
        err
        == "executor: MESOS_FRAMEWORK_ID is not set: an executor is started by a Mesos agent, which sets it\n"
    )


def test_a_run_has_a_name_of_its_own(tmp_path):
    run = tmp_path / "49639f77-ea39-4ee0-8a76-8abc36aa8a77"
    assert system_name(environment(run)) == "exec-1.49639f77"
