"""What an author's executor hears of its agent: registered, registered again, disconnected, wrong, and the end; whatever a hook raises."""

from collections.abc import Iterator

import pytest

from actors.runtime import pack_value
from executor.author import Executor, Registration
from executor.testing import ExecutorUnderTest
from tests.executor.authors import Listener, Wait
from tests.executor.conftest import on_virtual_time
from tests.support.agent_script import AGENT, EXECUTOR, FRAMEWORK, AgentScript

INFO = Registration(AGENT, "localhost", FRAMEWORK, "test", EXECUTOR)
LIFE = ["on_start", "on_registered", "on_disconnected", "on_reregistered", "on_shutdown", "on_stop"]


@pytest.fixture(autouse=True)
def calls() -> Iterator[list[tuple[str, object]]]:
    Listener.calls.clear()
    yield Listener.calls
    Listener.calls.clear()


@pytest.mark.parametrize("raises", ["", *LIFE[1:]])
def test_an_executor_hears_of_its_agent_from_the_first_subscription_to_the_end(start, calls, raises, caplog):
    @on_virtual_time
    async def test():
        script, settings = AgentScript(), pack_value(Listener.Settings(raises))
        async with start("Listener", script=script, checkpoint=True, settings=settings) as run:
            await script.until_subscribed()
            run.launch("t1", Wait(20))
            await script.until_state("t1", "TASK_RUNNING")
            script.drop()
            await script.until_subscribed(2)
            await script.until_state("t1", "TASK_FINISHED")
            script.shutdown()
            assert (await run.exit())[0] == 0

    test()
    assert [name for name, _ in calls] == LIFE
    heard = dict(calls)
    assert heard["on_registered"] == heard["on_reregistered"] == INFO
    assert "dropped the connection" in heard["on_disconnected"]
    assert heard["on_shutdown"] == "the agent said SHUTDOWN"
    assert ("failed" in caplog.text) == bool(raises)


@on_virtual_time
async def test_an_agent_that_does_not_come_back_is_the_end(start, calls):
    script = AgentScript()
    async with start("Listener", script=script, checkpoint=True, recovery_timeout=10.0) as run:
        await script.until_subscribed()
        run.launch("t1", Wait(1000))
        await script.until_state("t1", "TASK_RUNNING")
        script.refusals.extend([None] * 1000)
        script.drop()
        assert (await run.exit())[0] == 1
    assert [name for name, _ in calls] == [
        "on_start", "on_registered", "on_disconnected", "on_shutdown", "on_stop"
    ]  # fmt: skip
    assert dict(calls)["on_shutdown"] == "the agent did not come back within 10 s"


@on_virtual_time
async def test_what_is_wrong_between_executor_and_agent_is_told(start, calls):
    script = AgentScript()
    async with start("Listener", script=script, checkpoint=True) as run:
        await script.until_subscribed()
        script.call_answers.append((400, "no such task"))
        run.launch("t1", Wait(0))
        await script.until_state("t1", "TASK_FINISHED")
        script.message(b"garbage that is no message")
        script.error("subscribe again")
        await script.until_subscribed(2)
        script.shutdown()
        await run.exit()
    errors = [str(text) for name, text in calls if name == "on_error"]
    refused, unread, said = errors
    assert refused == "the agent refuses a status update: HTTP 400, the request is invalid: no such task"
    assert unread.startswith("the scheduler sent a message that cannot be read: ")
    assert said == "the agent said: subscribe again"


@on_virtual_time
async def test_an_executor_that_could_not_be_started_hears_of_nothing_more(start, calls):
    settings = pack_value(Listener.Settings("on_start"))
    async with start("Listener", settings=settings) as run:
        await run.script.until_subscribed()
        assert (await run.exit())[0] == 1
    assert [name for name, _ in calls] == ["on_start"]


async def test_all_hooks_have_defaults_that_do_nothing_and_a_test_harness_calls_those_that_come_in_any_run(
    calls,
):
    for name in ("on_registered", "on_reregistered", "on_disconnected", "on_shutdown", "on_error"):
        assert await getattr(Executor, name)(object(), INFO) is None
    async with ExecutorUnderTest(Listener) as under_test:
        assert await under_test.run(Wait(0)) is None
    assert [name for name, _ in calls] == ["on_start", "on_registered", "on_shutdown", "on_stop"]
