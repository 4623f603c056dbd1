"""The subscription's life in time: lost agents, recovery, what is sent again. Virtual time, in-process wire."""

import asyncio

import pytest

from mesos_v1 import pb
from tests.executor.authors import Add, Wait
from tests.executor.conftest import on_virtual_time
from tests.support.agent_script import AgentScript, TwinLink

Call = pb.executor.Call


def now() -> float:
    return asyncio.get_running_loop().time()


@on_virtual_time
async def test_the_first_subscribe_has_nothing_to_say(start):
    async with start() as run:
        call = await run.script.until_subscribed()
        assert (call.framework_id.value, call.executor_id.value) == ("F-0000", "exec-1")
        assert not call.subscribe.unacknowledged_tasks
        assert not call.subscribe.unacknowledged_updates


@on_virtual_time
async def test_without_checkpointing_a_lost_agent_ends_the_executor(start):
    async with start(checkpoint=False) as run:
        await run.script.until_subscribed()
        run.launch("t1", Wait(1000))
        await run.script.until_state("t1", "TASK_RUNNING")
        run.script.drop()
        code, reason = await run.exit()
        assert code == 1
        assert "dropped the connection" in reason
        assert run.script.subscriptions == 1


@on_virtual_time
async def test_without_checkpointing_an_agent_that_is_not_there_is_the_end(start):
    script = AgentScript()
    script.refusals.append(None)
    async with start(script=script) as run:
        assert await run.exit() == (1, "no connection to the script: nobody listens")


@on_virtual_time
async def test_with_checkpointing_what_is_not_acknowledged_is_told_again(start):
    script = AgentScript(acknowledge=False)
    async with start(script=script, checkpoint=True) as run:
        await script.until_subscribed()
        for name in ("known", "new", "done"):
            run.launch(name, Wait(1000) if name != "done" else Add(1, 1))
        await script.until_state("known", "TASK_RUNNING")
        await script.until_state("done", "TASK_FINISHED")
        known = script.updates("known")[0]
        script.say_acknowledged("known", known.uuid)
        await asyncio.sleep(0.1)
        script.drop()
        call = await script.until_subscribed(2)
        assert [task.task_id.value for task in call.subscribe.unacknowledged_tasks] == ["new", "done"]
        assert [
            (update.status.task_id.value, pb.mesos.TaskState.Name(update.status.state))
            for update in call.subscribe.unacknowledged_updates
        ] == [("new", "TASK_RUNNING"), ("done", "TASK_RUNNING"), ("done", "TASK_FINISHED")]
        assert call.subscribe.unacknowledged_updates[0].status.uuid == script.updates("new")[0].uuid


@on_virtual_time
async def test_tasks_go_on_while_the_agent_is_away_and_their_results_come_with_it(start):
    script = AgentScript()
    async with start(script=script, checkpoint=True) as run:
        await script.until_subscribed()
        run.launch("t1", Wait(20))
        await script.until_state("t1", "TASK_RUNNING")
        await asyncio.sleep(1)
        script.refusals.extend([None] * 25)
        script.drop()
        call = await script.until_subscribed(2)
        assert now() > 21
        (update,) = call.subscribe.unacknowledged_updates
        assert update.status.state == pb.mesos.TASK_FINISHED
        script.say_acknowledged("t1", update.status.uuid)
        await asyncio.sleep(1)
        script.drop()
        call = await script.until_subscribed(3)
        assert not call.subscribe.unacknowledged_updates


@on_virtual_time
async def test_a_result_between_subscribe_and_subscribed_is_sent_once_the_agent_has_answered(start):
    script = AgentScript()
    async with start(script=script, checkpoint=True) as run:
        await script.until_subscribed()
        run.launch("t1", Wait(5))
        await script.until_state("t1", "TASK_RUNNING")
        await asyncio.sleep(1)
        script.answers_subscribed = False
        script.drop()
        call = await script.until_subscribed(2)
        assert not call.subscribe.unacknowledged_updates
        await asyncio.sleep(5)
        assert script.states("t1") == ["TASK_RUNNING"]
        script.say(script.subscribed())
        await asyncio.sleep(1)
        assert script.states("t1") == ["TASK_RUNNING", "TASK_FINISHED"]


@on_virtual_time
async def test_an_agent_that_does_not_come_back_in_time_ends_the_executor(start):
    script = AgentScript()
    async with start(script=script, checkpoint=True, recovery_timeout=60.0) as run:
        await script.until_subscribed()
        run.launch("t1", Wait(1000))
        await script.until_state("t1", "TASK_RUNNING")
        script.refusals.extend([None] * 1000)
        lost = now()
        script.drop()
        code, reason = await run.exit()
        assert now() - lost == pytest.approx(60, abs=1)
        assert (code, reason) == (1, "the agent did not come back within 60 s")


@on_virtual_time
async def test_the_recovery_timeout_begins_anew_with_each_loss(start):
    script = AgentScript()
    async with start(script=script, checkpoint=True, recovery_timeout=10.0) as run:
        for times in range(1, 6):
            await script.until_subscribed(times)
            await asyncio.sleep(8)
            script.refusals.extend([None] * 3)
            script.drop()
        await script.until_subscribed(6)
        assert not run.exited.done()


@on_virtual_time
async def test_attempts_are_spread_at_random_up_to_the_announced_maximum(start):
    script = AgentScript()
    async with start(script=script, checkpoint=True, recovery_timeout=1000.0, backoff_max=4.0):
        await script.until_subscribed()
        script.refusals.extend([None] * 100)
        began = now()
        script.drop()
        while script.refusals:
            await asyncio.sleep(1)
        mean = (now() - began) / 100
        assert 1.0 < mean < 3.0  # uniform in [0, 4]


@on_virtual_time
@pytest.mark.parametrize("checkpoint", [True, False])
async def test_an_agent_that_recovers_is_asked_again(start, checkpoint):
    script = AgentScript()
    script.refusals.extend([(503, "Agent has not finished recovery")] * 5 + [(404, "")])
    async with start(script=script, checkpoint=checkpoint) as run:
        await script.until_subscribed()
        assert now() < 15
        run.launch("t1", Add(1, 1))
        await script.until_state("t1", "TASK_FINISHED")


@pytest.mark.parametrize(
    ("status", "body"), [(401, ""), (403, "Not authorized"), (400, "Framework cannot be found")]
)
def test_an_agent_that_refuses_is_not_asked_again(start, status, body):
    @on_virtual_time
    async def test():
        script = AgentScript()
        script.refusals.append((status, body))
        async with start(script=script, checkpoint=True) as run:
            code, reason = await run.exit()
            assert code == 1
            assert f"HTTP {status}" in reason
            assert body in reason

    test()


@on_virtual_time
async def test_an_error_event_makes_a_new_subscription(start):
    script = AgentScript()
    async with start(script=script, checkpoint=True) as run:
        await script.until_subscribed()
        script.error("something is wrong")
        await script.until_subscribed(2)
        run.launch("t1", Add(1, 1))
        await script.until_state("t1", "TASK_FINISHED")


@on_virtual_time
async def test_an_error_event_without_checkpointing_is_the_end(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.script.error("something is wrong")
        assert await run.exit() == (1, "the agent said: something is wrong")


@on_virtual_time
async def test_shutdown_in_place_of_subscribed_ends_the_executor(start):
    script = AgentScript()
    script.answers_subscribed = False
    async with start(script=script) as run:
        await script.until_subscribed()
        script.shutdown()
        assert (await run.exit())[0] == 0


@on_virtual_time
async def test_an_update_that_got_lost_is_sent_again(start):
    script = AgentScript()
    script.call_answers.extend([None, (503, "busy"), (403, "Executor is not subscribed"), (202, "")])
    async with start(script=script) as run:
        await script.until_subscribed()
        run.launch("t1", Wait(1000))
        await script.until(lambda: len(script.updates("t1")) == 4)
        assert len({status.uuid for status in script.updates("t1")}) == 1
        await asyncio.sleep(60)
        assert len(script.updates("t1")) == 4


@on_virtual_time
async def test_an_update_that_the_agent_refuses_is_withdrawn(start, caplog):
    script = AgentScript()
    script.call_answers.append((400, "Failed to validate Executor::Call: Expecting 'uuid' to be present"))
    async with start(script=script, checkpoint=True) as run:
        await script.until_subscribed()
        run.launch("t1", Wait(1000))
        await script.until_state("t1", "TASK_RUNNING")
        await asyncio.sleep(5)
        assert len(script.updates("t1")) == 1
        assert "the agent refuses a status update: HTTP 400" in caplog.text
        script.drop()
        call = await script.until_subscribed(2)
        assert not call.subscribe.unacknowledged_updates


@on_virtual_time
async def test_messages_made_while_the_agent_is_away_are_sent_when_it_is_back(start):
    script = AgentScript()
    async with start("SlowStart", script=script, checkpoint=True) as run:
        await script.until_subscribed()
        script.refusals.extend([None] * 5)
        script.drop()
        await asyncio.sleep(0)
        author = run.system.get("author")._actor._author
        for n in range(300):
            author.send(Add(n, n))
        await script.until_subscribed(2)
        await script.until(lambda: len(script.messages()) == 256)
        assert run.heard()[0] == Add(44, 44)  # the newest are kept
        assert run.heard()[-1] == Add(299, 299)


@on_virtual_time
async def test_a_lost_message_is_not_sent_twice(start, caplog):
    script = AgentScript()
    async with start("SlowStart", script=script) as run:
        await script.until_subscribed()
        script.call_answers.append(None)
        await asyncio.sleep(1)
        run.system.get("author")._actor._author.send(Add(1, 1))
        await script.until(script.messages)
        await asyncio.sleep(60)
        assert len(script.messages()) == 1
        assert "a message to the scheduler did not get through" in caplog.text


@on_virtual_time
async def test_a_heartbeat_is_sent_each_half_hour(start):
    async with start() as run:
        await run.script.until_subscribed()
        await asyncio.sleep(2 * 3600 + 1)
        assert sum(call.type == Call.HEARTBEAT for call in run.script.calls) == 4


@on_virtual_time
async def test_events_that_cannot_be_read_are_logged_and_the_stream_goes_on(start, caplog):
    async with start() as run:
        await run.script.until_subscribed()
        run.script.stream(b"3\n\xff\xff\xff")
        run.script.say(pb.executor.Event(type=pb.executor.Event.LAUNCH))
        run.script.say(pb.executor.Event(type=pb.executor.Event.HEARTBEAT))
        run.script.say(pb.executor.Event())
        run.launch("t1", Add(1, 1))
        await run.script.until_state("t1", "TASK_FINISHED")
        assert caplog.text.count("the agent sent an event that cannot be read") == 2
        assert "of a kind that is not known here: UNKNOWN" in caplog.text


@on_virtual_time
async def test_an_acknowledgement_of_nothing_is_harmless(start):
    async with start() as run:
        await run.script.until_subscribed()
        run.script.say_acknowledged("nobody", b"0123456789abcdef")
        run.launch("t1", Add(1, 1))
        await run.script.until_state("t1", "TASK_FINISHED")


@on_virtual_time
async def test_garbage_in_the_stream_itself_is_a_lost_agent(start):
    script = AgentScript()
    async with start(script=script, checkpoint=True):
        await script.until_subscribed()
        assert script.stream
        script.stream(b"what is this\n")
        await script.until_subscribed(2)


@pytest.mark.parametrize("checkpoint", [True, False])
def test_each_connection_is_closed_once_it_is_of_no_more_use(start, checkpoint):
    @on_virtual_time
    async def test():
        script = AgentScript()
        links: list[TwinLink] = []

        def connect(_: object) -> TwinLink:
            links.append(TwinLink(script))
            return links[-1]

        async with start(script=script, checkpoint=checkpoint, new_link=connect) as run:
            await script.until_subscribed()
            script.drop()
            if checkpoint:
                await script.until_subscribed(2)
                assert [link.closed for link in links] == [True, False]
                script.shutdown()
            await run.exit()
            await asyncio.sleep(1)
        assert all(link.closed for link in links)

    test()
