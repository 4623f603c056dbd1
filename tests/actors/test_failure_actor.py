"""What the log says of tasks that fail: once for each kind, with what the executor wrote at last and what to try."""

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from actors import messages as m
from actors.failure_actor import BY_REASON, TABLE, FailureActor, FailureSettings, advise
from actors.framework_settings import Composition, ExecutorSettings, FrameworkSettings
from actors.messages import TaskPhase
from actors.runtime import ActorSystem
from actors.sandbox import Unreadable, last_lines, read_tail
from mesos_http import Credentials
from mesos_v1 import pb
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, TaskId
from tests.support.raw_server import raw_server
from tests.support.virtual import virtual

AGENT = AgentId("S1")
COMPOSITION = Composition(
    FrameworkSettings(name="t", user="ada", master="http://127.0.0.1:1"),
    executors=(ExecutorSettings(name="crawl", cls="x:Y"),),
)


@asynccontextmanager
async def agent(files, status=200, delay=0.0, wants=""):
    """An agent that serves files, to everybody or to who has what it wants; gives the server and the calls it got."""
    calls = []

    async def handle(request, writer):
        call = pb.agent.Call.FromString(request.body)
        calls.append((request.path, request.headers.get("authorization", ""), call.read_file.path))
        await asyncio.sleep(delay)
        data = files.get(call.read_file.path)
        code = status if data is not None else 404
        if wants and request.headers.get("authorization") != wants:
            code = 401
        answer = pb.agent.Response(type=pb.agent.Response.READ_FILE)
        if data is not None:
            start = call.read_file.offset
            answer.read_file.size = len(data)
            answer.read_file.data = data[start : start + call.read_file.length]
        body = answer.SerializeToString() if code == 200 and data is not None else b"no"
        writer.write(
            f"HTTP/1.1 {code} X\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async with raw_server(handle) as server:
        yield f"http://127.0.0.1:{server.endpoint.port}/slave(1)", calls


def done(number, message="Executor terminated", reason="REASON_EXECUTOR_TERMINATED", attempts=5):
    return m.TaskDone(
        TaskId(f"crawl-{number}"),
        f"crawl-{number}",
        TaskPhase.FAILED,
        attempts,
        b"",
        executor="crawl",
        state="TASK_FAILED",
        reason=reason,
        message=message,
        agent_id=AGENT,
        executor_id=ExecutorId("crawl-abc"),
    )


def changed(number, message="Executor terminated", attempt=1):
    return m.TaskChanged(
        TaskId(f"crawl-{number}"),
        TaskId(f"crawl-{number}.{attempt}"),
        attempt,
        TaskPhase.BACKING_OFF,
        "TASK_FAILED",
        "REASON_EXECUTOR_TERMINATED",
        message,
        AGENT,
        ExecutorId("crawl-abc"),
    )


def told(caplog):
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "actors.failures"]


STDERR = "/frameworks/F-1/executors/crawl-abc/runs/latest/stderr"


async def watched(url, *messages, settings=None, composition=COMPOSITION):
    """Tell a failure actor all of it, and stop it."""
    async with ActorSystem("t") as system:
        ref = system.spawn(FailureActor, composition, settings or FailureSettings(), name="failures")
        if url:
            ref.tell(m.AgentsSeen(FrameworkId("F-1"), ((AGENT, "host-1", url),)))
        for each in messages:
            ref.tell(each)
        await ref.stop(block=False)


async def test_a_failure_is_told_with_host_state_reason_attempts_last_words_and_advice(caplog):
    async with agent({STDERR: b"one\nsh: 1: exec: /no/such/python: not found\n"}) as (url, calls):
        await watched(url, done(1))
    ((level, text),) = told(caplog)
    assert level == "ERROR"
    assert text == (
        "task crawl-1 has failed for good, after 5 attempts on host-1: TASK_FAILED, REASON_EXECUTOR_TERMINATED: "
        "Executor terminated\n"
        "  the last lines that executor crawl-abc wrote to standard error:\n"
        "    one\n"
        "    sh: 1: exec: /no/such/python: not found\n"
        "  what to try: there is no /no/such/python on the agent: install Python 3.11 or later there, or say where it "
        'is with executors.crawl.python = "/usr/bin/python3"'
    )
    assert calls == [("/slave(1)/api/v1", "", STDERR)]


@pytest.mark.parametrize(
    ("name", "told_as"),
    [("", "task crawl-1 has"), ("crawl-1", "task crawl-1 has"), ("a", "task crawl-1 (a) has")],
)
async def test_a_task_is_called_by_its_name_too_where_that_says_more(caplog, name, told_as):
    await watched("", replace(done(1), name=name))
    ((_, text),) = told(caplog)
    assert text.startswith(told_as)


@pytest.mark.parametrize(("length", "shown"), [(600, 600), (601, 600), (9_000, 600)])
async def test_a_long_message_is_cut_and_says_so(caplog, length, shown):
    await watched("", done(1, message="z" * length))
    ((_, text),) = told(caplog)
    (message,) = re.findall(r"z+…?", text)
    assert len(message) == shown
    assert message.endswith("…") is (length > shown)


@pytest.mark.parametrize(
    ("state", "reads"),
    [
        ("TASK_FAILED", True),
        ("TASK_LOST", True),
        ("TASK_KILLED", True),
        ("TASK_ERROR", False),
        ("TASK_DROPPED", False),
        ("TASK_GONE", False),
        ("TASK_GONE_BY_OPERATOR", False),
        ("TASK_UNREACHABLE", False),
        ("TASK_UNKNOWN", False),
    ],
)
async def test_an_agent_is_asked_for_last_words_only_where_something_ran(caplog, state, reads):
    async with agent({STDERR: b"last words\n"}) as (url, calls):
        await watched(url, replace(done(1), state=state))
    ((_, text),) = told(caplog)
    assert ("last words" in text) == reads
    assert len(calls) == reads


async def test_a_first_failed_attempt_is_a_shorter_warning(caplog):
    async with agent({STDERR: b"".join(b"line %d\n" % n for n in range(100))}) as (url, _):
        await watched(url, changed(1))
    ((level, text),) = told(caplog)
    assert level == "WARNING"
    assert text.startswith("task crawl-1 failed in attempt 1 on host-1 and will be tried again: TASK_FAILED")
    assert [line.strip() for line in text.splitlines() if "    line" in line] == [
        f"line {n}" for n in range(96, 100)
    ]


@pytest.mark.parametrize(
    ("state", "reason", "message", "why"),
    [
        (
            "TASK_KILLED",
            "moved",
            "moved: its agent goes down for maintenance",
            "its agent goes down for maintenance",
        ),
        (
            "TASK_FAILED",
            "moved",
            "moved: its agent goes down for maintenance",
            "its agent goes down for maintenance",
        ),
        (
            "TASK_KILLED",
            "REASON_AGENT_DRAINING",
            "killed from outside: killed",
            "its agent is being drained",
        ),
        ("TASK_GONE_BY_OPERATOR", "REASON_AGENT_DRAINING", "killed", "its agent is being drained"),
    ],
)
async def test_a_task_that_is_moved_is_not_said_to_have_failed(caplog, state, reason, message, why):
    moves = [replace(changed(n, message), state=state, reason=reason) for n in (1, 2, 3)]
    async with agent({STDERR: b"nothing of interest"}) as (url, calls):
        await watched(url, *moves)
    assert told(caplog) == [
        ("WARNING", f"task crawl-1 on host-1 is moved, to run again where it can: {why}"),
        ("WARNING", f"2 more tasks were moved like crawl-1 ({why}); the last was crawl-3"),
    ]
    assert calls == []


async def test_a_thousand_tasks_that_fail_alike_are_one_paragraph_and_one_line_of_summary(caplog):
    async with agent({STDERR: b"boom\n"}) as (url, calls):
        await watched(
            url,
            *(changed(n, f"no page {n}") for n in range(1000)),
            *(done(n, f"no page {n}") for n in range(1000)),
        )
    texts = [text for _, text in told(caplog)]
    assert len(texts) == 3
    assert texts[2] == (
        "999 more tasks failed for good like crawl-0 (TASK_FAILED, REASON_EXECUTOR_TERMINATED: no page 0); "
        "the last was crawl-999"
    )
    assert len(calls) <= 2 * 2  # two paragraphs; each may be read again when the actor stops


async def test_failures_in_a_thousand_different_ways_do_not_flood_the_log_either(caplog):
    words = [f"{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}{chr(97 + n // 676)}" for n in range(1000)]
    await watched("", *(done(n, f"cannot {word}") for n, word in enumerate(words)))
    texts = [text for _, text in told(caplog)]
    assert len(texts) == 11
    assert texts[-1] == "990 more tasks failed for good in many other ways; the last was crawl-999"


@virtual
async def test_what_was_only_counted_is_summed_up_now_and_then(caplog, system):
    ref = system.spawn(FailureActor, COMPOSITION, FailureSettings(read_sandboxes=False), name="failures")
    for number in range(3):
        ref.tell(done(number))
    await asyncio.sleep(29)
    assert len(told(caplog)) == 1
    await asyncio.sleep(2)
    assert told(caplog)[1][1].startswith("2 more tasks failed for good like crawl-0")
    await asyncio.sleep(100)
    assert len(told(caplog)) == 2
    ref.tell(done(7))
    await asyncio.sleep(31)
    assert told(caplog)[2][1].startswith("1 more task failed for good like crawl-0")


async def test_a_sandbox_that_cannot_be_read_is_said_in_few_words(caplog):
    async with agent({}) as (url, _):
        await watched(url, done(1))
    async with agent({STDERR: b"x"}, delay=5.0) as (url, _):
        await watched(url, done(1, "slow"), settings=FailureSettings(read_timeout=0.05))
    async with agent({STDERR: b"x"}, status=401) as (url, _):
        await watched(url, done(1, "secret"))
    await watched("http://127.0.0.1:1", done(1, "gone"))
    await watched("", done(1, "unknown"))
    said = [text.splitlines()[1].strip() for _, text in told(caplog)]
    assert said[0] == "its standard error could not be read: there is none in its sandbox"
    assert said[1] == "its standard error could not be read: the agent did not answer within 0.05 s"
    assert said[2].startswith(
        "its standard error could not be read: HTTP 401, credentials are missing or wrong"
    )
    assert said[3].startswith("its standard error could not be read: no connection to 127.0.0.1:1")
    assert said[4] == "its standard error could not be read: the address of its agent is not known"


async def test_an_agent_is_asked_with_the_frameworks_own_credentials(caplog):
    known = replace(COMPOSITION.framework, principal="ada", secret="countess")
    header = Credentials("ada", "countess").header()
    async with agent({STDERR: b"boom\n"}, wants=header) as (url, calls):
        await watched(url, done(1), composition=replace(COMPOSITION, framework=known))
    assert "wrote to standard error:\n    boom" in told(caplog)[0][1]
    assert [authorization for _, authorization, _ in calls[:2]] == ["", header]


async def test_an_agent_that_asks_nobody_is_told_no_credentials():
    known = replace(COMPOSITION.framework, principal="ada", secret="countess")
    async with agent({STDERR: b"boom\n"}) as (url, calls):
        await watched(url, done(1), composition=replace(COMPOSITION, framework=known))
    assert {authorization for _, authorization, _ in calls} == {""}


@pytest.mark.parametrize("masters", ["https://m:5050", ("http://a:5050", "https://m:5050")])
async def test_credentials_of_a_master_behind_tls_go_to_no_agent_without_it(caplog, masters):
    known = replace(COMPOSITION.framework, master=masters, principal="ada", secret="countess")
    async with agent({STDERR: b"boom\n"}, wants=Credentials("ada", "countess").header()) as (url, calls):
        await watched(url, done(1), composition=replace(COMPOSITION, framework=known))
    assert {authorization for _, authorization, _ in calls} == {""}
    assert "its standard error could not be read: HTTP 401" in told(caplog)[0][1]


async def test_only_the_end_of_a_long_file_is_read():
    async with agent({"/f": b"".join(b"%07d\n" % n for n in range(100_000))}) as (url, calls):
        data = await read_tail(url, "/f", seconds=5.0)
    assert len(data) == 16 * 1024
    assert data.endswith(b"0099999\n")
    assert len(calls) == 2


async def test_an_address_that_is_none_is_unreadable():
    with pytest.raises(Unreadable):
        await read_tail("ftp://x", "/f", seconds=1.0)


def test_last_lines_are_fit_for_a_terminal():
    data = (
        b"I1121 13:34:41.123456  4711 fetcher.cpp:564] Fetched\n\x1b[31mred\x1b[0m\tand\x07 bell\r\n\xff\xfe\n\n"
        + b"x" * 999
    )
    assert last_lines(data, 5) == ("red and� bell", "��", "x" * 299 + "…")
    assert last_lines(b"\n\n", 5) == ()


def test_last_lines_show_the_authors_frames_only():
    sandbox = "/var/lib/mesos/slaves/S1/frameworks/F1/executors/crawl-1/runs/b301339f"
    data = f"""\
2026-11-21 13:38:02,550 INFO executor.executor_actor: executor: waiting -> starting
2026-11-21 13:38:02,551 ERROR executor.task_actor: task crawl-1.1 failed
Traceback (most recent call last):
  File "{sandbox}/executor/task_actor.py", line 197, in _work
    result = await function()
             ^^^^^^^^^^^^^^^^
  File "{sandbox}/crawl.py", line 9, in go
    raise ValueError("no")
ValueError: no
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "{sandbox}/actors/runtime/pykka_seam.py", line 12, in <module>
    from pykka import Actor
ModuleNotFoundError: No module named 'pykka'
"""
    assert last_lines(data.encode(), 12) == (
        "2026-11-21 13:38:02,551 ERROR executor.task_actor: task crawl-1.1 failed",
        "Traceback (most recent call last):",
        '  File "crawl.py", line 9, in go',
        '    raise ValueError("no")',
        "ValueError: no",
        "ModuleNotFoundError: No module named 'pykka'",
    )


@pytest.mark.parametrize(
    ("message", "tail", "words"),
    [
        ("", "sh: 1: exec: /no/such/python: not found", "there is no /no/such/python on the agent"),
        (
            "",
            "bash: line 1: /opt/python3.11: No such file or directory",
            "there is no /opt/python3.11 on the agent",
        ),
        ("", "sh: 1: exec: /etc/passwd: Permission denied", "/etc/passwd may not be run"),
        ("", "ModuleNotFoundError: No module named 'pykka'", "install mesostic for it"),
        ("", "ModuleNotFoundError: No module named 'PIL.Image'", 'executors.crawl.packages = ["PIL"]'),
        ("x:Y cannot be imported: there is no module 'numpy'; install it", "", '["numpy"]'),
        ("Failed to prepare sandbox: Failed to get user information for 'bob'", "", "no user ada"),
        ("Failed to fetch all URIs for container", "", "server.advertise"),
        (
            "No executor is expected to launch and there is none running",
            "",
            "what is said of that one helps this one, too",
        ),
        ("Memory limit exceeded: Requested: 32MB", "", "launch(mem=…)"),
        ("crawl: OSError: [Errno 28] No space left on device", "", "disk is full"),
    ],
)
def test_what_is_known_to_help_is_said(message, tail, words):
    said = advise(
        reason="REASON_EXECUTOR_TERMINATED", message=message, tail=tail, executor="crawl", user="ada"
    )
    assert words in said


def test_what_a_living_executor_wrote_before_says_nothing_of_a_task():
    tail = "ModuleNotFoundError: No module named 'pykka'"
    assert advise(reason="", message="ValueError: no", tail=tail, executor="crawl", user="") == ""


def test_each_row_of_advice_has_words_or_a_reason_and_can_be_filled():
    assert all(row.words for row in TABLE)
    for advice in [*(row.advice for row in TABLE), *BY_REASON.values()]:
        assert "{" not in advice.replace("{executor}", "").replace("{user}", "").replace("{0}", "")
