"""Whatever an author's code does, each task ends in a state that the agent is told, and harms no other. Virtual time."""

import asyncio

import pytest

from actors.runtime import ActorSystem, ChildFailed, pack, pack_value, unpack
from executor import messages as m
from executor.executor_actor import SUPERVISION, ExecutorActor
from executor.messages import EXECUTOR
from mesos_v1 import pb
from tests.executor.authors import (
    ENDINGS,
    Add,
    Misbehave,
    MisbehaveInThread,
    MisbehavingHooks,
    Picky,
    Sum,
    Talk,
)
from tests.executor.conftest import on_virtual_time
from tests.support.agent_script import AgentScript, TwinLink, environment

SAYS = {
    "surrogate": "bad � name",
    "surrogate in an error": "ValueError: bad � name",
    "number": "404",
    "forgetful": "TaskFailed",
    "text raises": "TextRaises: (no text: its __str__ raises Unforeseen)",
    "text of TaskFailed raises": "(no text: its __str__ raises Unforeseen)",
    "base": "Unforeseen: quite so",
    "generator exit": "GeneratorExit",
    "keyboard": "KeyboardInterrupt",
    "exit with an object": "the task called sys.exit((no text: its __str__ raises Unforeseen))",
    "stop iteration": "StopIteration: 1",
    "cancelled": "its coroutine was cancelled",
    "group": "BaseExceptionGroup: several (1 sub-exception)",
    "long": "ValueError: " + "x" * 1987 + "…",
}
IN_A_COROUTINE = SAYS | {"stop iteration": "RuntimeError: coroutine raised StopIteration"}


async def others_are_unharmed(run) -> None:
    run.launch("other", Add(1, 1))
    await run.script.until_state("other", "TASK_FINISHED")
    assert run.result("other") == Sum(2)
    await run.script.until_state("bystander", "TASK_RUNNING")
    run.script.kill("bystander")
    await run.script.until_state("bystander", "TASK_KILLED")


@pytest.mark.parametrize("how", ENDINGS)
def test_a_coroutine_that_ends_in_an_unforeseen_way_fails_its_task_and_no_other(start, how):
    @on_virtual_time
    async def test():
        async with start("Misbehaving") as run:
            await run.script.until_subscribed()
            run.launch("bystander", Misbehave("waits"))
            run.launch("t1", Misbehave(how))
            status = await run.script.until_state("t1", "TASK_FAILED")
            assert status.message == IN_A_COROUTINE[how]
            run.script.kill("t1")
            await others_are_unharmed(run)

    test()


@pytest.mark.parametrize("how", ENDINGS)
async def test_a_function_in_a_thread_that_ends_in_an_unforeseen_way_fails_its_task_and_no_other(start, how):
    async with start("Misbehaving") as run:
        await run.script.until_subscribed()
        run.launch("bystander", Misbehave("waits"))
        run.launch("t1", MisbehaveInThread(how))
        status = await run.script.until_state("t1", "TASK_FAILED")
        assert status.message == SAYS[how]
        run.script.kill("t1")
        await others_are_unharmed(run)


@pytest.mark.parametrize(
    ("how", "state", "says"),
    [
        ("cancels itself", "TASK_FAILED", "its coroutine was cancelled"),
        ("cancels itself and returns", "TASK_FINISHED", ""),
        ("progress with a surrogate", "TASK_FINISHED", ""),
        ("progress too large", "TASK_FAILED", "ValueError: the progress has 2,000,"),
        ("message too large", "TASK_FAILED", "ValueError: the message has 5,000,"),
        ("message of too many", "TASK_FAILED", "ValueError: the message has 60,0"),
        ("surrogates everywhere", "TASK_FINISHED", ""),
        (
            "blocks its own loop",
            "TASK_FAILED",
            "RuntimeError: upload_blocking waits for the loop that calls it",
        ),
        (
            "uploads a name",
            "TASK_FAILED",
            "TypeError: upload(name, source): the source is bytes, or a pathlib.Path",
        ),
    ],
)
def test_text_sizes_and_cancellations_of_an_author_never_silence_a_task(start, how, state, says):
    @on_virtual_time
    async def test():
        async with start("Misbehaving") as run:
            await run.script.until_subscribed()
            run.launch("bystander", Misbehave("waits"))
            run.launch("t1", Misbehave(how))
            status = await run.script.until_state("t1", state)
            assert status.message.startswith(says)
            if how == "progress with a surrogate":
                assert run.script.updates("t1")[1].message == "�%"
            if how == "surrogates everywhere":
                assert run.result("t1") == Talk("\udce9")
            await others_are_unharmed(run)

    test()


@pytest.mark.parametrize(
    ("text", "says"), [("exit", "SystemExit: 4"), ("raise", "RuntimeError: not this one")]
)
def test_a_payload_whose_own_check_fails_where_it_is_unpacked_fails_its_task(start, text, says):
    data = pack(Picky("fine")).replace(b"\xa4fine", bytes([0xA0 + len(text)]) + text.encode())

    @on_virtual_time
    async def test():
        async with start("Misbehaving") as run:
            await run.script.until_subscribed()
            run.launch("bystander", Misbehave("waits"))
            run.script.launch("t1", data)
            status = await run.script.until_state("t1", "TASK_FAILED")
            assert says in status.message
            run.script.message(data)  # and a message is no task: it is logged
            await others_are_unharmed(run)

    test()


@pytest.mark.parametrize("then", ["kill", "nothing"])
def test_a_task_whose_actor_fails_is_told_as_failed_and_its_kill_harms_nobody(start, then):
    @on_virtual_time
    async def test():
        async with start("Misbehaving") as run:
            await run.script.until_subscribed()
            run.launch("bystander", Misbehave("waits"))
            run.launch("t1", Misbehave("waits"))
            await run.script.until_state("t1", "TASK_RUNNING")
            run.system.get("task:t1").tell(m.KillTask("soon"))  # type: ignore[arg-type]
            if then == "kill":
                run.script.kill("t1")
            status = await run.script.until_state("t1", "TASK_FAILED")
            assert status.message.startswith("the executor failed at the task: TypeError: ")
            assert len(status.uuid) == 16
            assert status.source == pb.mesos.TaskStatus.SOURCE_EXECUTOR
            run.script.kill("t1")
            await others_are_unharmed(run)
            assert run.script.states("t1") == ["TASK_RUNNING", "TASK_FAILED"]
            run.script.shutdown()  # which waits for no task that has gone
            assert (await run.exit())[0] == 0

    test()


@pytest.mark.parametrize(
    "how", ["base", "keyboard", "generator exit", "exit with an object", "cancels itself"]
)
def test_an_on_start_that_ends_in_an_unforeseen_way_fails_the_tasks_and_ends_the_executor(start, how, caplog):
    @on_virtual_time
    async def test():
        settings = pack_value(MisbehavingHooks.Settings("on_start", how))
        async with start("MisbehavingHooks", settings=settings) as run:
            await run.script.until_subscribed()
            run.launch("t1", Add(1, 1))
            if how == "cancels itself":  # which it does too late to be noticed: its hook was over
                await run.script.until_state("t1", "TASK_FINISHED")
                return
            status = await run.script.until_state("t1", "TASK_FAILED")
            assert status.message.startswith("MisbehavingHooks could not be started: ")
            code, reason = await run.exit()
            assert (code, reason) == (1, status.message)

    test()


@pytest.mark.parametrize(
    "how", ["base", "keyboard", "generator exit", "exit with an object", "cancels itself"]
)
def test_an_on_message_that_ends_in_an_unforeseen_way_is_logged_and_the_next_is_heard(start, how, caplog):
    @on_virtual_time
    async def test():
        settings = pack_value(MisbehavingHooks.Settings("on_message", how))
        async with start("MisbehavingHooks", settings=settings) as run:
            await run.script.until_subscribed()
            run.script.message(pack(Talk("now")))
            run.script.message(pack(Talk("then")))
            await run.script.until(lambda: len(run.script.messages()) >= 1)
            assert ("MisbehavingHooks.on_message failed" in caplog.text) == (how != "cancels itself")

    test()


@pytest.mark.parametrize("how", ["base", "keyboard", "generator exit", "cancels itself", "hangs"])
def test_an_on_stop_that_ends_in_an_unforeseen_way_does_not_keep_the_executor(start, how):
    @on_virtual_time
    async def test():
        settings = pack_value(MisbehavingHooks.Settings("on_stop", how))
        async with start("MisbehavingHooks", settings=settings, grace=5.0) as run:
            await run.script.until_subscribed()
            run.launch("t1", Add(1, 1))
            await run.script.until_state("t1", "TASK_FINISHED")
            before = asyncio.get_running_loop().time()
            run.script.shutdown()
            assert (await run.exit())[0] == 0
            assert asyncio.get_running_loop().time() - before == pytest.approx(
                1.0 if how == "hangs" else 0, abs=0.1
            )

    test()


@on_virtual_time
async def test_an_on_start_that_hangs_is_named_with_the_tasks_that_wait_for_it(start, caplog):
    settings = pack_value(MisbehavingHooks.Settings("on_start", "hangs"))
    async with start("MisbehavingHooks", settings=settings) as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        await run.script.until_state("t1", "TASK_FINISHED")
        said = "MisbehavingHooks.on_start has not ended; 1 tasks wait for it"
        assert caplog.text.count(said) == 1
        await asyncio.sleep(100)
        assert caplog.text.count(said) == 1


@on_virtual_time
async def test_an_author_whose_actor_has_gone_keeps_no_executor_from_ending(start):
    async with start("Misbehaving") as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        await run.script.until_state("t1", "TASK_FINISHED")
        await run.system.get("author").stop(block=False)
        run.script.message(pack(Talk("to nobody")))
        run.script.shutdown()
        before = asyncio.get_running_loop().time()
        assert (await run.exit())[0] == 0
        assert asyncio.get_running_loop().time() - before < 0.5


@on_virtual_time
async def test_an_author_whose_actor_fails_while_it_starts_fails_the_tasks(start):
    async with start("SlowStart") as run:
        await run.script.until_subscribed()
        run.launch("t1", Add(1, 1))
        await asyncio.sleep(1)
        run.system.get(EXECUTOR).tell(ChildFailed("author", "OSError: gone", ""))
        status = await run.script.until_state("t1", "TASK_FAILED")
        assert status.message == "the executor could not be started: OSError: gone"
        assert (await run.exit())[0] == 1


@on_virtual_time
async def test_a_connection_that_fails_for_good_ends_the_executor_with_a_reason(start):
    def no_link(_):
        raise OSError("no file descriptors")

    async with start("Misbehaving", new_link=no_link) as run:
        code, reason = await run.exit()
        assert code == 70
        assert reason == "the connection to the agent failed: OSError: no file descriptors"


@on_virtual_time
async def test_an_executor_whose_root_fails_ends_its_process(tmp_path):
    """The agent reports the tasks of a process that has ended, and never those of one that hangs."""

    def on_exit(code: int, reason: str) -> None:
        raise RuntimeError("as asked")

    script = AgentScript()
    name = "tests.executor.authors:Misbehaving"
    async with ActorSystem("executor") as system:
        system.spawn(
            ExecutorActor,
            environment(tmp_path),
            name,
            on_exit,
            new_link=lambda _: TwinLink(script),
            name=EXECUTOR,
            supervision=SUPERVISION,
        )
        await script.until_subscribed()
        script.shutdown()
        await system.join()
        assert str(system.failure) == "as asked"


def test_a_result_that_the_codec_takes_arrives_as_it_was():
    assert unpack(pack(Talk("\udce9"))).message == Talk("\udce9")
