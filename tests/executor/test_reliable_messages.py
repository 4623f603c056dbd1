"""Reliable messages of a whole executor: said until the scheduler has them, over lost agents and up to the end."""

import asyncio
from typing import Any

import pytest

from actors.runtime import pack, unpack
from tests.executor.authors import Speaks, Talk
from tests.executor.conftest import AUTHORS, Running, on_virtual_time
from tests.support.agent_script import AgentScript
from wire.reliable import Numbered, Taken, WhoIsThere
from wire.start_letter import ExecutorBoot


def script(*, reliable: bool = True) -> AgentScript:
    return AgentScript(boot=pack(ExecutorBoot(None, "", b"", f"{AUTHORS}:Speaks", reliable=reliable)))


def said(run: Running, kind: type = Numbered) -> list[Any]:
    return [each for each in run.heard() if isinstance(each, kind)]


@on_virtual_time
async def test_a_message_is_said_again_until_the_scheduler_has_it(start):
    async with start("Speaks", script=script()) as run:
        await run.script.until_subscribed()
        run.launch("t1", Talk("hello"))
        await run.script.until_state("t1", "TASK_FINISHED")
        await asyncio.sleep(5)
        assert len(said(run)) == 3  # at once, after 1 s, after 2 s more
        (first, *again) = said(run)
        assert unpack(first.data).message == Talk("hello")
        assert unpack(first.data).cause == "launch-t1"
        assert again == [first, first]
        run.script.message(pack(Taken(first.instance, 1)))
        await asyncio.sleep(60)
        assert len(said(run)) == 3


@on_virtual_time
async def test_the_scheduler_is_heard_once_and_answered_when_the_author_has_heard(start):
    async with start("Speaks", script=script()) as run:
        await run.script.until_subscribed()
        run.script.message(pack(WhoIsThere()))
        await run.script.until(lambda: said(run, Taken))
        (here,) = said(run, Taken)
        assert here.number == 0
        for _ in range(3):
            run.script.message(pack(Numbered(here.instance, 7, 0, pack(Talk("once")))))
        run.script.message(pack(Numbered("of another process", 8, 0, pack(Talk("never")))))
        await asyncio.sleep(0.5)
        assert [unpack(each.data).message for each in said(run)] == [Talk("once")]
        assert said(run, Taken)[-1] == Taken(here.instance, 7)


@on_virtual_time
async def test_what_was_said_is_said_again_when_the_agent_is_back_and_not_while_it_is_away(start):
    async with start("Speaks", script=script(), checkpoint=True) as run:
        await run.script.until_subscribed()
        run.launch("t1", Talk("hello"))
        await run.script.until_state("t1", "TASK_FINISHED")
        before = len(said(run))
        run.script.refusals.extend([None] * 30)
        run.script.drop()
        await run.script.until_subscribed(2)
        await asyncio.sleep(0.5)
        assert len(said(run)) == before + 1


@pytest.mark.parametrize("answers", [True, False])
def test_the_end_waits_a_moment_for_the_scheduler_and_the_log_says_what_is_left(start, answers, caplog):
    @on_virtual_time
    async def test():
        async with start("Speaks", script=script(), grace=5.0) as run:
            await run.script.until_subscribed()
            run.launch("t1", Talk("hello"))
            await run.script.until_state("t1", "TASK_FINISHED")
            (first,) = said(run)
            run.script.shutdown()
            if answers:
                await asyncio.sleep(0.3)
                run.script.message(pack(Taken(first.instance, 1)))
            assert (await run.exit())[0] == 0

    test()
    left = "the scheduler has not acknowledged the last 1 of its reliable messages"
    assert (left in caplog.text) is not answers


@on_virtual_time
async def test_a_task_that_has_ended_and_a_scheduler_that_does_not_answer_are_mistakes_that_are_said(start):
    async with start("Speaks", script=script()) as run:
        await run.script.until_subscribed()
        run.launch("t1", Talk("hello"))
        await run.script.until_state("t1", "TASK_FINISHED")
        await asyncio.sleep(0.5)
        with pytest.raises(ValueError, match="task t1 has ended"):
            Speaks.contexts.pop().send(Talk("late"), reliable=True)
    async with start("Speaks", script=script(reliable=False)) as run:
        await run.script.until_subscribed()
        run.launch("t1", Talk("hello"))
        status = await run.script.until_state("t1", "TASK_FAILED")
        assert "ValueError: the scheduler of this framework acknowledges no messages" in status.message
