"""What happens to a task in its executor, on virtual time and over the in-process wire."""

import asyncio

import pytest

from actors.runtime import pack, pack_value, unpack
from actors.runtime.testing import ListTrace
from executor import task_actor
from mesos_v1 import pb
from tests.executor.authors import (
    Add,
    Block,
    EverythingSettings,
    Fail,
    Give,
    Misbehave,
    Nobody,
    Sum,
    Talk,
    Wait,
)
from tests.executor.conftest import on_virtual_time
from tests.support.agent_script import AGENT, EXECUTOR, AgentScript, task_info


@on_virtual_time
async def test_a_task_runs_and_its_result_travels_in_the_last_update(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 2))
        status = await run.script.until_state("t1", "TASK_FINISHED")
        assert run.script.states("t1") == ["TASK_RUNNING", "TASK_FINISHED"]
        assert run.result("t1") == Sum(3)
        assert status.source == pb.mesos.TaskStatus.SOURCE_EXECUTOR
        assert status.executor_id.value == EXECUTOR
        assert len(status.uuid) == 16
        assert status.timestamp > 0
        first, second = run.script.updates("t1")
        assert first.uuid != second.uuid


@on_virtual_time
async def test_settings_reach_the_author(start):
    async with start(settings=pack_value(EverythingSettings(factor=10))) as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 2))
        await run.script.until_state("t1", "TASK_FINISHED")
        assert run.result("t1") == Sum(30)


@on_virtual_time
async def test_many_tasks_run_side_by_side(start):
    async with start() as run:
        await run.script.until_subscribed()
        began = asyncio.get_running_loop().time()
        for n in range(100):
            run.launch(f"t{n}", Wait(10))
        await run.script.until(
            lambda: sum(s.state == pb.mesos.TASK_FINISHED for s in run.script.updates()) == 100
        )
        assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.1)


@on_virtual_time
async def test_a_group_starts_all_its_tasks(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.script.launch_group(task_info("a", pack(Add(1, 1))), task_info("b", pack(Fail("boom"))))
        await run.script.until_state("a", "TASK_FINISHED")
        await run.script.until_state("b", "TASK_FAILED")


@pytest.mark.parametrize(
    ("how", "says", "retry"),
    [
        ("error", "ValueError: two lines", True),
        ("temporary", "try again", True),
        ("permanent", "no such page", False),
        ("exit", "the task called sys.exit(3)", True),
        ("cancel", "its coroutine was cancelled", True),
    ],
)
def test_a_task_that_raises_fails_with_one_line_and_says_whether_to_try_again(start, how, says, retry):
    @on_virtual_time
    async def test():
        async with start() as run:
            await run.script.until_subscribed()
            run.launch("t1", Fail(how))
            status = await run.script.until_state("t1", "TASK_FAILED")
            assert status.message == says
            labels = {label.key: label.value for label in status.labels.labels}
            assert labels == ({} if retry else {"mesostic.retry": "false"})
            run.launch("t2", Add(1, 1))  # and the executor goes on
            await run.script.until_state("t2", "TASK_FINISHED")

    test()


@pytest.mark.parametrize("data", [b"garbage", b"\xff" * 50, pack(Add(1, 2))[:-3], b"\x00"])
def test_garbage_for_a_payload_fails_the_task_and_the_executor_goes_on(start, data):
    @on_virtual_time
    async def test():
        async with start() as run:
            await run.script.until_subscribed()
            run.script.launch("t1", data)
            status = await run.script.until_state("t1", "TASK_FAILED")
            assert status.message.startswith("the task's data cannot be read: ")
            assert run.script.states("t1") == ["TASK_FAILED"]
            assert status.labels.labels[0].key == "mesostic.retry"
            run.launch("t2", Add(1, 1))
            await run.script.until_state("t2", "TASK_FINISHED")

    test()


@on_virtual_time
async def test_a_payload_that_no_method_takes_fails_the_task_and_names_those_there_are(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Nobody())
        status = await run.script.until_state("t1", "TASK_FAILED")
        assert (
            "Everything has no @task method for a payload of type Nobody (it has: Add, Block"
            in status.message
        )


@on_virtual_time
async def test_a_task_without_payload_is_run_by_the_method_without_one(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1")
        await run.script.until_state("t1", "TASK_FINISHED")
        assert run.result("t1") == Talk("no payload")
    async with start("SlowStart") as run:
        await run.script.until_subscribed()
        run.launch("t1")
        status = await run.script.until_state("t1", "TASK_FAILED")
        assert "SlowStart has no @task method for no payload" in status.message


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("list", "the result cannot be sent: result is a list, which can change; use tuple[T, ...]"),
        ("large", "the result has 2,000,"),
        ("deep", "the result cannot be sent: "),
    ],
)
def test_a_result_that_cannot_be_sent_fails_the_task_clearly_and_for_good(start, what, says):
    @on_virtual_time
    async def test():
        async with start() as run:
            await run.script.until_subscribed()
            run.launch("t1", Give(what))
            status = await run.script.until_state("t1", "TASK_FAILED")
            assert says in status.message
            assert status.labels.labels[0].key == "mesostic.retry"
            assert not status.data

    test()


@on_virtual_time
async def test_a_plain_value_is_a_result_too(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Give("text"))
        await run.script.until_state("t1", "TASK_FINISHED")
        assert run.result("t1") == "just text"


@on_virtual_time
async def test_no_result_is_no_data(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Give("nothing"))
        assert not (await run.script.until_state("t1", "TASK_FINISHED")).HasField("data")


@on_virtual_time
async def test_a_task_sends_messages_and_reports_progress_at_most_once_a_second(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Talk("hello"))
        await run.script.until_state("t1", "TASK_FINISHED")
        assert run.heard() == [Talk("t1 task t1 {'color': 'red'}: hello")]
        first, second, third, last = run.script.updates("t1")
        assert (first.message, second.message) == ("", "10%")
        assert unpack(third.data).message == Sum(40)  # the newest; what was between was left out
        assert third.timestamp - second.timestamp == pytest.approx(1.0, abs=0.01)
        assert last.state == pb.mesos.TASK_FINISHED


@on_virtual_time
async def test_a_killed_coroutine_is_cancelled_and_reported_as_killed(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(1000))
        await run.script.until_state("t1", "TASK_RUNNING")
        run.script.kill("t1")
        status = await run.script.until_state("t1", "TASK_KILLED")
        assert status.message == "killed"
        assert run.script.states("t1") == ["TASK_RUNNING", "TASK_KILLED"]
        assert asyncio.get_running_loop().time() < 100


@pytest.mark.parametrize(
    ("policy", "kill", "seconds"), [(None, None, 3.0), (7.0, None, 7.0), (7.0, 2.0, 2.0), (None, 0.0, 0.0)]
)
def test_a_coroutine_that_refuses_to_end_is_reported_as_killed_after_its_grace_period(
    start, policy, kill, seconds
):
    @on_virtual_time
    async def test():
        async with start() as run:
            await run.script.until_subscribed()
            run.launch("t1", Wait(1000, stubborn=True), grace=policy)
            await run.script.until_state("t1", "TASK_RUNNING")
            before = asyncio.get_running_loop().time()
            run.script.kill("t1", kill)
            status = await run.script.until_state("t1", "TASK_KILLED")
            assert asyncio.get_running_loop().time() - before == pytest.approx(seconds, abs=0.01)
            assert status.message == "killed; it did not end within its grace period"

    test()


@on_virtual_time
async def test_a_second_kill_changes_nothing(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(1000, stubborn=True))
        await run.script.until_state("t1", "TASK_RUNNING")
        run.script.kill("t1", 5.0)
        run.script.kill("t1", 1.0)
        await run.script.until_state("t1", "TASK_KILLED")
        run.script.kill("t1")
        await asyncio.sleep(60)
        assert run.script.states("t1") == ["TASK_RUNNING", "TASK_KILLED"]


@on_virtual_time
async def test_a_kill_of_an_unknown_task_is_logged(start, caplog):
    async with start() as run:
        await run.script.until_subscribed()
        run.script.kill("nobody")
        run.launch("t1", Add(1, 1))
        await run.script.until_state("t1", "TASK_FINISHED")
        run.script.kill("t1")
        await asyncio.sleep(1)
        assert "asked to kill task nobody, which is not known here" in caplog.text
        assert "asked to kill task t1, which has ended already" in caplog.text
        assert run.script.states("nobody") == []


@on_virtual_time
async def test_a_second_launch_of_a_task_is_ignored(start, caplog):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(5))
        run.launch("t1", Wait(5))
        await run.script.until_state("t1", "TASK_FINISHED")
        run.launch("t1", Wait(5))
        await asyncio.sleep(60)
        assert run.script.states("t1") == ["TASK_RUNNING", "TASK_FINISHED"]
        assert "task t1 was launched before; ignored" in caplog.text


@on_virtual_time
async def test_a_kill_before_the_executor_has_started_ends_the_task_at_once(start):
    async with start("SlowStart") as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        run.launch("t2", Add(1, 1))
        run.script.kill("t1")
        await run.script.until_state("t1", "TASK_KILLED")
        assert run.script.states("t2") == []
        await run.script.until_state("t2", "TASK_FINISHED")  # when on_start is done
        assert run.script.states("t1") == ["TASK_KILLED"]


@on_virtual_time
async def test_messages_of_the_scheduler_reach_the_author_one_after_another(start, caplog):
    async with start() as run:
        await run.script.until_subscribed()
        for text in ("one", "raise", "two"):
            run.script.message(pack(Talk(text)))
        run.script.message(b"garbage")
        run.script.message(pack(Talk("three")))
        await run.script.until(lambda: len(run.script.messages()) == 3)
        heard = [message.text for message in run.heard()]
        assert [text.partition("text=")[2] for text in heard] == ["'one')", "'two')", "'three')"]
        assert "Everything.on_message failed" in caplog.text
        assert "the scheduler sent a message that cannot be read" in caplog.text


@on_virtual_time
async def test_a_foreign_scheduler_gets_and_gives_plain_bytes(start):
    async with start("Raw", boot=False) as run:
        await run.script.until_subscribed()
        run.script.launch("m1", b"message")
        run.script.launch("m2", b"finish")
        assert (await run.script.until_state("m2", "TASK_FINISHED")).data == b"done"
        run.script.message(b"from scheduler")
        await run.script.until(lambda: len(run.script.messages()) == 2)
        assert run.script.messages() == [b"from executor", b"from scheduler"]


@on_virtual_time
async def test_a_message_too_large_fails_the_task_that_sends_it_to_a_foreign_scheduler_too(start):
    async with start("Raw", boot=False) as run:
        await run.script.until_subscribed()
        run.script.launch("m1", b"too large")
        status = await run.script.until_state("m1", "TASK_FAILED")
        assert "the message has 5,000,025 bytes, and at most 4,198,400 are taken" in status.message
        assert run.script.messages() == []


@on_virtual_time
async def test_bytes_for_a_scheduler_of_ours_are_packed_like_any_other_value(start):
    async with start("Misbehaving") as run:
        await run.script.until_subscribed()
        run.launch("t1", Misbehave("bytes"))
        await run.script.until_state("t1", "TASK_FINISHED")
        assert run.heard() == [b"of the executor", b"of the task"]
        assert run.result("t1") == b"as a result"


async def test_a_plain_function_runs_in_a_thread_beside_the_others(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Block(0.6))
        run.launch("t2", Block(0.6))
        run.launch("t3", Add(1, 1))
        await run.script.until_state("t3", "TASK_FINISHED")
        assert run.script.states("t1") == ["TASK_RUNNING"]
        await run.script.until_state("t1", "TASK_FINISHED")
        await run.script.until_state("t2", "TASK_FINISHED")
        assert run.heard() == [Talk("main thread: False")] * 2
        first, second = (run.script.updates(name)[-1].timestamp for name in ("t1", "t2"))
        assert abs(first - second) < 0.5


async def test_a_killed_plain_function_is_reported_when_it_returns(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Block(30, polite=True))
        await run.script.until_state("t1", "TASK_RUNNING")
        run.script.kill("t1", 20.0)
        status = await run.script.until_state("t1", "TASK_KILLED")
        assert status.message == "killed"
        assert not status.data


async def test_a_killed_plain_function_that_goes_on_is_reported_after_its_grace_period(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Block(0.5))
        await run.script.until_state("t1", "TASK_RUNNING")
        run.script.kill("t1", 0.05)
        status = await run.script.until_state("t1", "TASK_KILLED")
        assert "did not end within its grace period" in status.message
        await asyncio.sleep(0.6)
        assert run.script.states("t1") == ["TASK_RUNNING", "TASK_KILLED"]


@on_virtual_time
async def test_a_result_knows_the_message_that_caused_its_task(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.script.launch("t1", pack(Talk("x"), id="scheduler#17"))
        await run.script.until_state("t1", "TASK_FINISHED")
        assert {unpack(data).cause for data in run.script.messages()} == {"scheduler#17"}
        run.script.launch("t2", pack(Add(1, 1), id="scheduler#18"))
        await run.script.until_state("t2", "TASK_FINISHED")
        assert unpack(run.script.updates("t2")[-1].data).cause == "scheduler#18"


@on_virtual_time
async def test_one_actor_lives_for_each_running_task(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(5))
        await run.script.until_state("t1", "TASK_RUNNING")
        assert {"executor", "agent", "author", "task:t1"} <= {ref.name for ref in run.system.actors()}
        await run.script.until_state("t1", "TASK_FINISHED")
        await asyncio.sleep(5)
        assert "task:t1" not in {ref.name for ref in run.system.actors()}
        assert run.system.dead_letters.count == 0


@on_virtual_time
async def test_the_token_of_the_start_up_letter_is_in_no_log_and_no_message(start, caplog):
    trace = ListTrace()
    async with start() as run:
        run.system.trace_to(trace)
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        run.script.launch_group(task_info("t2", pack(Add(1, 1))))
        await run.script.until_state("t2", "TASK_FINISHED")
    assert "run-token" not in caplog.text
    assert len(trace.records) > 10
    assert all(b"run-token" not in (record.payload or b"") for record in trace.records)


def test_the_script_speaks_of_one_agent():
    assert AgentScript().subscribed().subscribed.agent_info.id.value == AGENT


async def until(condition):
    """What a thread does wakes nobody."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_plain_function_that_finds_no_thread_says_so(start, monkeypatch, caplog):
    monkeypatch.setattr(task_actor, "MAX_THREADS", 1)
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("holds", Block(3.0))
        await run.script.until_state("holds", "TASK_RUNNING")
        threads = run.system.get("executor")._actor._threads
        await until(lambda: set(threads._running) == {"holds"})
        run.launch("waits", Block(0.0))
        await until(lambda: "task waits waits for a thread: 1 plain functions run, 0 of" in caplog.text)
        await run.script.until_state("waits", "TASK_FINISHED")
        run.script.kill("holds", 0.01)
        await run.script.until_state("holds", "TASK_KILLED")
        run.launch("refused", Block(0.0))
        status = await run.script.until_state("refused", "TASK_FAILED")
        assert status.message.startswith(
            "its executor has no thread left: all 1 are held by functions of tasks"
        )
        run.launch("t1", Add(1, 2))  # a coroutine needs none
        await run.script.until_state("t1", "TASK_FINISHED")
        await until(lambda: not threads._running)
        run.launch("later", Block(0.0))  # it has returned after all
        await run.script.until_state("later", "TASK_FINISHED")
