"""How an executor ends: in order, in time, whatever hangs. Virtual time, in-process wire."""

import asyncio

import pytest

from executor.messages import EXECUTOR, AgentGone, EndRequested
from executor.states import ExecutorState
from tests.executor.authors import Add, Talk, Wait
from tests.executor.conftest import on_virtual_time
from tests.support.agent_script import AgentScript


def now() -> float:
    return asyncio.get_running_loop().time()


@on_virtual_time
async def test_shutdown_kills_the_tasks_tells_so_and_exits_in_order(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(1000))
        run.launch("t2", Wait(1000))
        await run.script.until_state("t2", "TASK_RUNNING")
        run.script.shutdown()
        assert await run.exit() == (0, "the agent said SHUTDOWN")
        assert run.script.states("t1") == run.script.states("t2") == ["TASK_RUNNING", "TASK_KILLED"]


@on_virtual_time
async def test_an_idle_executor_ends_at_once_and_runs_on_stop(start):
    async with start("SlowStart") as run:
        await run.script.until_subscribed()
        await asyncio.sleep(11)
        before = now()
        run.script.shutdown()
        assert (await run.exit())[0] == 0
        assert now() == before
        assert run.heard() == [Talk("stopped")]


@on_virtual_time
async def test_an_executor_that_has_nothing_more_to_send_waits_for_no_answer(start):
    async with start("Misbehaving") as run:
        await run.script.until_subscribed()
        await asyncio.sleep(1)
        before = now()
        run.script.shutdown()
        assert (await run.exit())[0] == 0
        assert now() == before


@on_virtual_time
async def test_a_signal_is_a_shutdown(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(1000))
        await run.script.until_state("t1", "TASK_RUNNING")
        run.system.get("executor").tell(EndRequested("SIGTERM received"))
        assert await run.exit() == (0, "SIGTERM received")
        assert run.script.states("t1")[-1] == "TASK_KILLED"


@pytest.mark.parametrize("grace", [2.0, 5.0, 60.0])
def test_stubborn_tasks_and_a_slow_on_stop_do_not_exceed_the_grace_period(start, grace):
    @on_virtual_time
    async def test():
        async with start("SlowStop", grace=grace) as run:
            await run.script.until_subscribed()
            run.launch("t1", Wait(1000))
            await run.script.until_state("t1", "TASK_RUNNING")
            before = now()
            run.script.shutdown()
            assert (await run.exit())[0] == 0
            assert now() - before < grace
            assert run.script.states("t1")[-1] == "TASK_KILLED"

    test()


@on_virtual_time
async def test_a_stubborn_task_is_reported_as_killed_before_the_end(start):
    async with start(grace=10.0) as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(1000, stubborn=True))
        await run.script.until_state("t1", "TASK_RUNNING")
        before = now()
        run.script.shutdown()
        await run.exit()
        assert run.script.states("t1")[-1] == "TASK_KILLED"
        assert now() - before < 10.0


@on_virtual_time
async def test_an_on_stop_that_raises_is_logged_and_the_end_goes_on(start, caplog):
    async with start("BadStop") as run:
        await run.script.until_subscribed()
        run.script.shutdown()
        assert (await run.exit())[0] == 0
        assert "BadStop.on_stop failed" in caplog.text


@on_virtual_time
async def test_a_second_shutdown_and_a_dropped_stream_change_nothing(start):
    async with start("SlowStop") as run:
        await run.script.until_subscribed()
        run.script.shutdown()
        run.script.shutdown()
        await asyncio.sleep(0.1)
        run.script.drop()
        assert (await run.exit())[0] == 0
        assert run.script.subscriptions == 1


@on_virtual_time
async def test_a_launch_during_the_end_is_refused(start):
    async with start("SlowStop") as run:
        await run.script.until_subscribed()
        run.script.shutdown()
        run.launch("late", Wait(1))
        status = await run.script.until_state("late", "TASK_FAILED")
        assert status.message == "the executor ends: the agent said SHUTDOWN"
        await run.exit()


@on_virtual_time
async def test_an_executor_that_cannot_start_fails_its_tasks_with_the_reason_and_ends(start):
    async with start("BrokenStart") as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        status = await run.script.until_state("t1", "TASK_FAILED")
        assert status.message == "BrokenStart could not be started: OSError: no Chromium here"
        code, reason = await run.exit()
        assert (code, reason) == (1, status.message)
        assert now() < 6


@on_virtual_time
async def test_a_class_that_cannot_be_used_fails_its_tasks_with_the_reason_and_ends(start):
    async with start("no_such_module:Class") as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        status = await run.script.until_state("t1", "TASK_FAILED")
        assert (
            "no_such_module:Class cannot be imported: there is no module 'no_such_module'" in status.message
        )
        code, reason = await run.exit()
        assert (code, reason) == (1, status.message)


@on_virtual_time
async def test_a_shutdown_before_the_start_is_done_ends_the_executor(start):
    async with start("SlowStart") as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        await asyncio.sleep(1)
        run.script.shutdown()
        assert (await run.exit())[0] == 0
        assert run.script.states("t1") == ["TASK_KILLED"]


@on_virtual_time
async def test_a_signal_before_the_subscription_is_the_end(start):
    script = AgentScript()
    script.refusals.extend([(503, "")] * 1000)
    async with start(script=script) as run:
        await asyncio.sleep(5)
        run.system.get("executor").tell(EndRequested("SIGTERM received"))
        assert await run.exit() == (0, "SIGTERM received")


@on_virtual_time
async def test_the_last_updates_are_answered_before_the_process_ends(start):
    script = AgentScript(acknowledge=False)
    async with start(script=script) as run:
        await script.until_subscribed()
        for n in range(50):
            run.launch(f"t{n}", Wait(1000))
        await script.until_state("t49", "TASK_RUNNING")
        script.shutdown()
        await run.exit()
        assert all(script.states(f"t{n}")[-1] == "TASK_KILLED" for n in range(50))


@on_virtual_time
async def test_an_agent_that_goes_after_the_end_was_decided_changes_nothing_about_it(start):
    async with start() as run:
        await run.script.until_subscribed()
        executor = run.system.get(EXECUTOR)
        run.launch("t1", Wait(1000))
        await run.script.until_state("t1", "TASK_RUNNING")
        run.script.shutdown()
        while executor._actor._life.state is not ExecutorState.KILLING:
            await asyncio.sleep(0)
        executor.tell(AgentGone("it went away"))
        assert await run.exit() == (0, "the agent said SHUTDOWN")
