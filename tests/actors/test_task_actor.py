"""One task in virtual time: attempts, kills, lost launches, partitions, duplicates; stored before acknowledged."""

import asyncio
from dataclasses import replace

import pytest

from actors import messages as m
from actors.framework_settings import RetryPolicy
from actors.messages import Launched, TaskPhase
from actors.records import TaskHistory, TaskProgress, TaskSpec
from actors.runtime import pack, unpack_value
from actors.task_actor import TaskActor
from mesos_v1 import events
from mesos_v1.resources import Resources
from mesos_v1.states import TaskState
from mesos_v1.values import AgentId, ExecutorId, TaskId, TaskStatus
from tests.support.actor_bench import ActorBench, system, virtually

P = TaskPhase
STEADY = RetryPolicy(attempts=3, backoff=10.0, factor=2.0, jitter=0.0, losses=2)


def spec(**changes):
    defaults = {
        "task_id": TaskId("t"),
        "name": "t",
        "order": 1,
        "payload": b"",
        "executor": "crawl",
        "command": "",
        "resources": Resources.of(cpus=1),
        "ports": 0,
        "role": "*",
        "retry": STEADY,
        "launch_timeout": 60.0,
        "unreachable_timeout": 600.0,
    }
    return TaskSpec(**{**defaults, **changes})


class Task(ActorBench):
    def __init__(self, running, history=None, *, store_answers=True, **changes) -> None:
        super().__init__(running, "scheduler", "offers", "connection", "store", "reconciler")
        if store_answers:
            self.answers["store"][m.Write] = lambda write: m.Stored(write.reference)
        history = history or TaskHistory(spec(**changes))
        self.task = running.spawn(TaskActor, history, name="task:t")
        self.uuids = 0

    async def launch(self, attempt=1):
        await self.settle()
        self.task.tell(m.Launched(TaskId(f"t.{attempt}"), AgentId("a"), ExecutorId("crawl-x"), "host"))
        await self.settle()

    async def update(
        self, state, attempt=1, *, uuid=None, data=b"", labels=(), reason="", settle=True, message="said so"
    ):
        self.uuids += 1
        status = TaskStatus(
            TaskId(f"t.{attempt}"),
            TaskState(state),
            message=message,
            reason=reason,
            data=data,
            agent_id=AgentId("a"),
            uuid=f"uuid-{self.uuids:011}".encode() if uuid is None else uuid,
            labels=labels,
        )
        self.task.tell(events.Update(status))
        if settle:
            await self.settle()
        return status

    @property
    def phase(self) -> TaskPhase:
        changed: m.TaskChanged = self.of("scheduler", m.TaskChanged)[-1]
        return changed.phase

    @property
    def done(self):
        return self.of("scheduler", m.TaskDone)

    def progress(self):
        return [
            unpack_value(TaskProgress, record.value)
            for write in self.of("store", m.Write)
            for record in write.records
        ]

    @property
    def acknowledged(self):
        return [call.uuid for call in self.of("connection", m.Acknowledge)]


def scenario(*arguments, **keywords):
    def decorate(test):
        def run():
            async def work():
                async with system() as running:
                    await test(Task(running, *arguments, **keywords))

            virtually(work())

        run.__name__ = test.__name__
        return run

    return decorate


@scenario()
async def test_a_task_demands_launches_runs_and_finishes(task):
    await task.settle()
    (demand,) = task.of("offers", m.Demand)
    assert (demand.attempt_id, demand.executor) == ("t.1", "crawl")
    await task.launch()
    assert task.phase == P.LAUNCHING
    await task.update("TASK_RUNNING")
    assert task.phase == P.RUNNING
    result = pack(7)
    await task.update("TASK_FINISHED", data=result)
    (done,) = task.done
    assert (done.phase, done.result, done.attempts, done.agent_id) == (P.FINISHED, result, 1, "a")
    assert len(task.acknowledged) == 2


@scenario(store_answers=False)
async def test_nothing_is_acknowledged_or_told_before_it_is_stored(task):
    """dcos-commons logs a storage error and acknowledges all the same; mesos-go acknowledges first."""
    await task.launch()
    await task.update("TASK_FINISHED", data=pack(1))
    (write,) = task.of("store", m.Write)
    assert task.acknowledged == []
    assert task.done == []
    task.task.tell(m.Stored(write.reference))
    await task.settle()
    assert len(task.acknowledged) == 1
    assert len(task.done) == 1


@scenario()
async def test_an_update_that_comes_again_is_acknowledged_again_and_changes_nothing(task):
    await task.launch()
    await task.update("TASK_RUNNING", uuid=b"same")
    writes = len(task.of("store", m.Write))
    await task.update("TASK_RUNNING", uuid=b"same")
    assert task.acknowledged == [b"same", b"same"]
    assert len(task.of("store", m.Write)) == writes


@scenario(store_answers=False)
async def test_an_update_that_comes_again_while_it_is_being_stored_is_acknowledged_once_stored(task):
    await task.launch()
    await task.update("TASK_RUNNING", uuid=b"same")
    await task.update("TASK_RUNNING", uuid=b"same")
    assert task.acknowledged == []
    task.task.tell(m.Stored(task.of("store", m.Write)[0].reference))
    await task.settle()
    assert task.acknowledged == [b"same"]


@scenario(store_answers=False)
async def test_the_end_of_an_attempt_is_acknowledged_once_stored_also_when_the_next_has_begun(task):
    """The store hangs for longer than the backoff, and the agent sends again what it was not answered."""
    await task.launch()
    await task.update("TASK_FAILED", uuid=b"same")
    await asyncio.sleep(11.0)  # the backoff
    assert [demand.attempt_id for demand in task.of("offers", m.Demand)] == ["t.1", "t.2"]
    await task.update("TASK_FAILED", uuid=b"same")
    assert task.acknowledged == []
    task.task.tell(m.Stored(task.of("store", m.Write)[0].reference))
    await task.settle()
    assert task.acknowledged == [b"same"]
    await task.update("TASK_FAILED", uuid=b"same")
    assert task.acknowledged == [b"same", b"same"]


@scenario()
async def test_an_update_without_uuid_is_never_acknowledged(task):
    await task.launch()
    await task.update("TASK_RUNNING", uuid=b"", reason="REASON_RECONCILIATION")
    assert task.acknowledged == []
    assert task.phase == P.RUNNING


@scenario()
async def test_the_masters_word_that_a_task_has_ended_is_no_result(task):
    await task.launch()
    for state in ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"):
        for reason in ("REASON_RECONCILIATION", "REASON_AGENT_REREGISTERED"):
            await task.update(state, uuid=b"", reason=reason)
    assert not task.done
    status = await task.update("TASK_FINISHED", data=pack(7))
    (done,) = task.done
    assert done.result == pack(7)
    assert task.acknowledged == [status.uuid]


@scenario()
async def test_a_failed_attempt_is_tried_again_under_a_new_id_after_a_growing_wait(task):
    await task.launch()
    await task.update("TASK_FAILED")
    assert task.phase == P.BACKING_OFF
    await task.settle(9.9)
    assert len(task.of("offers", m.Demand)) == 1
    await task.settle(0.2)
    assert task.of("offers", m.Demand)[1].attempt_id == "t.2"
    await task.launch(2)
    await task.update("TASK_FAILED", 2)
    await task.settle(19.9)
    assert len(task.of("offers", m.Demand)) == 2
    await task.settle(0.2)
    assert task.of("offers", m.Demand)[2].attempt_id == "t.3"
    await task.launch(3)
    await task.update("TASK_FAILED", 3)
    (done,) = task.done
    assert (done.phase, done.attempts, done.message, done.state) == (P.FAILED, 3, "said so", "TASK_FAILED")


@scenario()
async def test_a_failure_marked_as_permanent_is_not_tried_again(task):
    await task.launch()
    await task.update("TASK_FAILED", labels=(("mesostic.retry", "false"),))
    assert task.done[0].phase is P.FAILED


@scenario()
async def test_attempts_lost_by_the_cluster_are_counted_apart_and_bounded(task):
    for attempt, state in ((1, "TASK_LOST"), (2, "TASK_DROPPED"), (3, "TASK_GONE")):
        await task.launch(attempt)
        assert task.done == []
        await task.update(state, attempt)
        await task.settle(60)
    assert task.done[0].phase is P.FAILED
    assert task.done[0].attempts == 3


@scenario()
async def test_an_agent_that_cannot_make_a_sandbox_fails_the_attempt_and_loses_nothing(task):
    """An unknown user: the same twenty times over, with pauses of up to a minute, helps nobody."""
    said = "Failed to create executor directory '/x': Failed to chown directory to 'nobodyhere': No such user 'nobodyhere'"
    for attempt in (1, 2, 3):
        await task.launch(attempt)
        assert task.done == []
        await task.update("TASK_DROPPED", attempt, reason="REASON_EXECUTOR_TERMINATED", message=said)
        await task.settle(60)
    assert (task.done[0].phase, task.done[0].attempts) == (P.FAILED, 3)
    assert task.progress()[-1].losses == 0


@scenario()
async def test_a_launch_that_nothing_is_heard_of_is_reconciled_then_tried_again(task):
    """mesos-compose and USI never notice a lost ACCEPT."""
    await task.launch()
    await task.settle(59.9)
    assert task.of("reconciler", m.Suspect) == []
    await task.settle(0.2)
    assert task.of("reconciler", m.Suspect) == [m.Suspect(TaskId("t.1"), AgentId("a"))]
    await task.update("TASK_UNKNOWN", uuid=b"", reason="REASON_RECONCILIATION")
    await task.settle(10.1)
    assert task.of("offers", m.Demand)[-1].attempt_id == "t.2"


@scenario()
async def test_an_uncertain_launch_is_reconciled_at_once(task):
    await task.launch()
    task.task.tell(m.LaunchUncertain(TaskId("t.1"), "the connection broke"))
    await task.settle()
    assert len(task.of("reconciler", m.Suspect)) == 1
    assert task.phase == P.LAUNCHING


@scenario()
async def test_a_launch_that_came_to_nothing_demands_again_under_the_same_id(task):
    await task.launch()
    task.task.tell(m.NotLaunched(TaskId("t.1"), "expired"))
    await task.settle()
    assert [d.attempt_id for d in task.of("offers", m.Demand)] == ["t.1", "t.1"]


@scenario()
async def test_news_of_a_launch_thought_lost_withdraws_the_new_demand(task):
    await task.launch()
    task.task.tell(m.NotLaunched(TaskId("t.1"), "expired"))
    await task.update("TASK_RUNNING")
    assert task.of("offers", m.Withdraw) == [m.Withdraw(TaskId("t.1"))]
    assert task.phase == P.RUNNING


@scenario()
async def test_a_restarted_broker_is_told_again_what_is_needed(task):
    await task.settle()
    task.task.tell(m.BrokerRestarted())
    await task.settle()
    assert len(task.of("offers", m.Demand)) == 2
    await task.launch()
    task.task.tell(m.BrokerRestarted())
    await task.settle()
    assert len(task.of("offers", m.Demand)) == 2


@scenario()
async def test_killing_a_waiting_task_waits_for_the_brokers_word(task):
    await task.settle()
    task.task.tell(m.KillTask())
    await task.settle()
    assert task.of("offers", m.Withdraw)
    assert task.done == []
    task.task.tell(m.Withdrawn(TaskId("t.1")))
    await task.settle()
    assert task.done[0].phase is P.KILLED
    assert task.of("connection", m.Kill) == []


@scenario()
async def test_a_kill_that_crosses_its_launch_kills_what_was_launched(task):
    await task.settle()
    task.task.tell(m.KillTask())
    await task.launch()
    assert task.of("connection", m.Kill) == [m.Kill(TaskId("t.1"), AgentId("a"), None)]
    await task.update("TASK_KILLED")
    assert task.done[0].phase is P.KILLED


@scenario(kill_grace=0.0)
async def test_a_kill_is_sent_again_with_growing_waits_until_the_task_is_dead(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    task.task.tell(m.KillTask(2.0))
    await task.settle()
    assert task.of("connection", m.Kill)[0].grace == 2.0
    await task.settle(7.1)
    assert len(task.of("connection", m.Kill)) == 2
    await task.settle(11.0)
    assert len(task.of("connection", m.Kill)) == 2
    await task.settle(1.1)
    assert [kill.grace for kill in task.of("connection", m.Kill)] == [2.0] * 3
    phases = [news.phase for news in task.of("scheduler", m.TaskChanged)]
    assert phases == [P.LAUNCHING, P.RUNNING, P.KILLING]  # a KILL that is sent again is no news
    await task.update("TASK_KILLED")
    assert task.done[0].message == "said so"
    await task.settle(1000)
    assert len(task.of("connection", m.Kill)) == 3
    assert task.done[0].phase is P.KILLED


@scenario()
async def test_a_task_killed_while_it_waits_for_its_next_attempt_is_killed(task):
    await task.launch()
    await task.update("TASK_FAILED")
    task.task.tell(m.KillTask())
    await task.settle(100)
    assert task.done[0].phase is P.KILLED
    assert len(task.of("offers", m.Demand)) == 1


@scenario()
async def test_a_task_killed_by_somebody_else_is_run_again_and_why_is_told(task):
    await task.launch()
    await task.update("TASK_KILLED", reason="REASON_AGENT_DRAINING")
    news = task.of("scheduler", m.TaskChanged)[-1]
    assert (news.phase, news.state, news.reason) == (P.BACKING_OFF, "TASK_KILLED", "REASON_AGENT_DRAINING")
    assert news.message == "killed from outside: said so"
    await task.settle(11)
    assert task.of("offers", m.Demand)[-1].attempt_id == "t.2"


@scenario()
async def test_kills_from_outside_count_as_losses_not_as_failed_attempts(task):
    for attempt in (1, 2, 3):
        assert task.done == []
        await task.launch(attempt)
        await task.update("TASK_KILLED", attempt)
        await task.settle(60)
    (done,) = task.done
    assert (done.phase, done.attempts, done.message) == (P.FAILED, 3, "killed from outside: said so")
    (progress,) = task.progress()[-1:]
    assert (progress.failures, progress.losses) == (0, 3)


@pytest.mark.parametrize("state", ["TASK_LOST", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_DROPPED"])
def test_what_the_cluster_loses_runs_again(state):
    async def work():
        async with system() as running:
            task = Task(running)
            await task.launch()
            await task.update(state, reason="REASON_AGENT_REMOVED_BY_OPERATOR")
            assert task.phase is P.BACKING_OFF
            assert task.of("scheduler", m.TaskChanged)[-1].reason == "REASON_AGENT_REMOVED_BY_OPERATOR"

    virtually(work())


@scenario(timeout=30.0)
async def test_a_timeout_of_one_attempt_says_nothing_of_the_next(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    await task.settle(31)
    await task.update("TASK_KILLED")
    assert task.progress()[-1].reason == "timeout"
    await task.settle(11)
    await task.launch(2)
    await task.update("TASK_KILLED", 2)
    assert (task.progress()[-1].failures, task.progress()[-1].losses) == (1, 1)
    assert task.progress()[-1].message == "killed from outside: said so"


@pytest.mark.parametrize("meanwhile", ["TASK_UNREACHABLE", "TASK_STAGING"])
def test_a_run_timeout_that_rings_while_the_attempt_is_away_is_set_again_when_it_runs(meanwhile):
    async def work():
        async with system() as running:
            task = Task(running, timeout=30.0)
            await task.launch()
            await task.update("TASK_RUNNING")
            await task.update("TASK_UNREACHABLE")
            await task.update(meanwhile)
            await task.settle(40)
            assert task.of("connection", m.Kill) == []
            await task.update("TASK_RUNNING")
            await task.settle(29)
            assert task.of("connection", m.Kill) == []
            await task.settle(2)
            assert len(task.of("connection", m.Kill)) == 1

    virtually(work())


@scenario(timeout=30.0)
async def test_an_attempt_that_ran_too_long_is_killed_again_when_it_comes_back_from_a_partition(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    await task.settle(31)
    await task.update("TASK_UNREACHABLE")
    await task.settle(100)
    assert len(task.of("connection", m.Kill)) == 1
    await task.update("TASK_RUNNING")
    assert len(task.of("connection", m.Kill)) == 2
    await task.update("TASK_RUNNING")
    assert len(task.of("connection", m.Kill)) == 2


@scenario(unreachable_timeout=2000.0)
async def test_hearing_again_that_an_attempt_is_unreachable_does_not_prolong_the_wait(task):
    await task.launch()
    for _ in range(3):
        await task.update("TASK_UNREACHABLE", uuid=b"", reason="REASON_RECONCILIATION")
        await task.settle(900)
    assert task.of("offers", m.Demand)[-1].attempt_id == "t.2"


@scenario()
async def test_the_authors_kill_is_stored(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    task.task.tell(m.KillTask())
    await task.settle()
    assert (task.progress()[-1].phase, task.progress()[-1].killed) == (P.KILLING, True)


@scenario(store_answers=False)
async def test_an_update_that_comes_again_while_something_else_is_being_stored_is_acknowledged_at_once(task):
    await task.launch()
    running = await task.update("TASK_RUNNING")
    for write in task.take("store", m.Write):
        task.say("store", "task:t", m.Stored(write.reference))
    await task.settle()
    assert task.acknowledged == [running.uuid]
    task.task.tell(m.KillTask())
    await task.settle()
    assert task.progress()[-1].phase is P.KILLING  # on its way to the store
    await task.update("TASK_RUNNING", uuid=running.uuid)
    assert task.acknowledged == [running.uuid, running.uuid]


@scenario()
async def test_the_authors_kill_of_a_waiting_task_is_stored(task):
    await task.settle()
    task.task.tell(m.KillTask())
    await task.settle()
    assert (task.progress()[-1].phase, task.progress()[-1].killed) == (P.WITHDRAWING, True)


@scenario()
async def test_a_call_that_the_master_refuses_is_told_and_one_without_a_master_is_not(task):
    await task.launch()
    kill = m.Kill(TaskId("t.1"))
    task.task.tell(m.CallFailed(kill, "there is no subscription"))
    task.task.tell(m.CallFailed(kill, "not authorized", 403))
    await task.settle()
    assert [failed.reason for failed in task.of("scheduler", m.CallFailed)] == ["not authorized"]


@scenario(TaskHistory(spec(), demanded=1))
async def test_after_a_failure_of_its_actor_a_waiting_task_demands_under_a_number_that_was_not_used(task):
    await task.settle()
    assert task.of("offers", m.Withdraw) == [m.Withdraw(TaskId("t.1"))]
    assert [demand.attempt_id for demand in task.of("offers", m.Demand)] == ["t.2"]
    await task.update("TASK_RUNNING", 1)  # it had been launched all the same
    assert task.of("connection", m.Kill) == [m.Kill(TaskId("t.1"), AgentId("a"))]


@scenario(TaskHistory(spec(), None, TaskProgress(1, P.BACKING_OFF, failures=1), demanded=2))
async def test_after_a_failure_of_its_actor_a_waiting_retry_demands_under_a_number_that_was_not_used(task):
    await task.settle(11)
    assert task.of("offers", m.Withdraw) == [m.Withdraw(TaskId("t.2"))]
    assert [demand.attempt_id for demand in task.of("offers", m.Demand)] == ["t.3"]


@scenario(TaskHistory(spec(), Launched(TaskId("t.1"), AgentId("a"), ExecutorId("e"), "h"), demanded=1))
async def test_after_a_failure_of_its_actor_a_launched_task_goes_on_with_its_attempt(task):
    await task.settle()
    assert task.of("offers", m.Withdraw) == []
    await task.update("TASK_FINISHED", data=pack(1))
    assert task.done[0].attempts == 1


@scenario(first_attempt=4)
async def test_a_task_under_an_id_that_was_used_before_counts_its_own_attempts(task):
    await task.settle()
    assert task.of("offers", m.Demand)[0].attempt_id == "t.4"
    await task.launch(4)
    await task.update("TASK_FAILED", 4)
    assert task.of("scheduler", m.TaskChanged)[-1].attempt == 1
    await task.settle(11)
    await task.launch(5)
    await task.update("TASK_FINISHED", 5, data=pack(1))
    assert (task.done[0].attempts, task.done[0].last_attempt) == (2, 5)


@scenario(store_answers=False)
async def test_what_the_store_confirms_to_an_actor_that_failed_is_no_word_to_its_successor(task):
    await task.launch()
    await task.update("TASK_FINISHED", data=pack(1))
    task.task.tell(m.Stored(1))
    await task.settle()
    assert task.acknowledged == []


@scenario(timeout=30.0)
async def test_an_attempt_that_runs_too_long_is_killed_and_tried_again(task):
    await task.launch()
    await task.update("TASK_RUNNING")
    await task.settle(29.9)
    assert task.of("connection", m.Kill) == []
    await task.settle(0.2)
    assert len(task.of("connection", m.Kill)) == 1
    await task.update("TASK_KILLED")
    await task.settle(11)
    assert task.of("offers", m.Demand)[-1].attempt_id == "t.2"


@scenario()
async def test_an_unreachable_attempt_is_waited_for(task):
    """USI counts unreachable as ended; others kill what is only partitioned away."""
    await task.launch()
    await task.update("TASK_RUNNING")
    await task.update("TASK_UNREACHABLE")
    assert task.phase == P.UNREACHABLE
    await task.settle(500)
    await task.update("TASK_RUNNING")
    assert task.phase == P.RUNNING
    await task.settle(500)
    assert len(task.of("offers", m.Demand)) == 1


@scenario()
async def test_an_attempt_unreachable_for_too_long_is_replaced_and_killed_when_it_comes_back(task):
    await task.launch()
    await task.update("TASK_UNREACHABLE")
    await task.settle(611)
    assert task.of("offers", m.Demand)[-1].attempt_id == "t.2"
    await task.update("TASK_RUNNING", 1)
    assert task.of("connection", m.Kill) == [m.Kill(TaskId("t.1"), AgentId("a"))]
    assert len(task.acknowledged) == 2


@scenario()
async def test_late_news_of_an_old_attempt_is_acknowledged_and_changes_nothing(task):
    await task.launch()
    await task.update("TASK_FAILED")
    await task.settle(11)
    await task.update("TASK_FINISHED", 1, data=pack(1))
    assert task.done == []
    assert len(task.acknowledged) == 2


@scenario()
async def test_a_result_that_cannot_be_read_is_a_failed_attempt_not_a_crash(task):
    await task.launch()
    await task.update("TASK_FINISHED", data=b"\xc1garbage")
    assert task.phase == P.BACKING_OFF
    assert "cannot be read" in task.of("scheduler", m.TaskChanged)[-1].message


@scenario(store_answers=False)
async def test_a_result_that_can_never_be_stored_is_a_failure_that_says_so(task):
    await task.launch()
    status = await task.update("TASK_FINISHED", data=pack(7))
    write = task.of("store", m.Write)[-1]
    task.task.tell(m.WriteRefused(write.reference, "the task-progress of t is not stored: too large"))
    await task.settle()
    assert (task.done, task.acknowledged) == ([], [])  # not before that is stored
    task.task.tell(m.Stored(task.of("store", m.Write)[-1].reference))
    await task.settle()
    (done,) = task.done
    assert (done.phase, done.result, done.message) == (
        P.FAILED,
        b"",
        "the task-progress of t is not stored: too large",
    )
    assert task.acknowledged == [status.uuid]


@scenario(executor="", command="true")
async def test_a_commands_data_is_never_decoded(task):
    await task.launch()
    await task.update("TASK_FINISHED", data=b"\xc1garbage")
    assert task.done[0].result == b"\xc1garbage"


@scenario(TaskHistory(spec(), Launched(TaskId("t.2"), AgentId("a"), ExecutorId("e"), "h")))
async def test_a_task_with_an_intent_goes_on_as_launching_after_a_restart(task):
    """USI: a record without a status means sent, no answer yet."""
    await task.settle()
    assert task.of("offers", m.Demand) == []
    assert task.of("scheduler", m.TaskChanged) == []  # it knows from the store, too
    await task.settle(60)
    assert task.of("reconciler", m.Suspect) == [m.Suspect(TaskId("t.2"), AgentId("a"))]
    await task.update("TASK_FINISHED", 2, data=pack(1))
    assert task.done[0].phase is P.FINISHED


@scenario(TaskHistory(spec(), None, TaskProgress(1, P.FINISHED, result=pack(5))))
async def test_an_outcome_that_was_stored_but_not_processed_is_told_after_a_restart(task):
    await task.settle()
    assert task.done[0].result == pack(5)


@scenario(TaskHistory(spec(), None, TaskProgress(2, P.KILLING, agent_id=AgentId("a"), killed=True)))
async def test_a_kill_that_was_under_way_goes_on_after_a_restart(task):
    await task.settle()
    assert task.of("connection", m.Kill) == [m.Kill(TaskId("t.2"), AgentId("a"), None)]


@scenario(
    TaskHistory(
        spec(),
        Launched(TaskId("t.1"), AgentId("a"), ExecutorId("e"), "h"),
        TaskProgress(1, P.WITHDRAWING, killed=True),
    )
)
async def test_a_kill_that_crossed_its_launch_is_carried_out_after_a_restart(task):
    await task.settle()
    assert task.done == []
    assert task.of("connection", m.Kill) == [m.Kill(TaskId("t.1"), AgentId("a"), None)]


@scenario(TaskHistory(spec(), None, TaskProgress(1, P.BACKING_OFF, failures=1)))
async def test_a_wait_for_the_next_attempt_goes_on_after_a_restart(task):
    await task.settle(10.1)
    assert task.of("offers", m.Demand)[0].attempt_id == "t.2"


@pytest.mark.parametrize(("away", "left"), [(4.0, 6.0), (500.0, 0.0), (-500.0, 10.0)])
def test_a_wait_for_the_next_attempt_ends_when_it_was_due_before_the_restart(away, left):
    """Also when somebody has set the clock back meanwhile: it is never longer than a whole one."""

    async def work():
        async with system() as running:
            task = Task(running)
            await task.launch()
            await task.update("TASK_FAILED")
            stored = task.progress()[-1]
        await asyncio.sleep(max(0.0, away))
        async with system() as running:
            again = Task(
                running, TaskHistory(spec(), None, replace(stored, due=stored.due - min(away, 0.0) * 2))
            )
            await again.settle(max(0.0, left - 0.1))
            assert len(again.of("offers", m.Demand)) == (0 if left else 1)
            await again.settle(0.2)
            assert again.of("offers", m.Demand)[0].attempt_id == "t.2"

    virtually(work())


@pytest.mark.parametrize(("away", "left"), [(100.0, 500.0), (5000.0, 0.0)])
def test_an_unreachable_attempt_is_given_up_when_it_was_due_before_the_restart(away, left):
    async def work():
        async with system() as running:
            task = Task(running)
            await task.launch()
            await task.update("TASK_UNREACHABLE", uuid=b"")
            stored = task.progress()[-1]
        await asyncio.sleep(away)
        async with system() as running:
            again = Task(running, TaskHistory(spec(), None, stored))
            for _ in range(2):  # reconciliation tells it repeatedly
                await again.update("TASK_UNREACHABLE", uuid=b"")
            await again.settle(max(0.0, left - 1))
            assert again.phase is (P.UNREACHABLE if left else P.BACKING_OFF)
            await again.settle(2)
            assert again.phase is P.BACKING_OFF

    virtually(work())


@scenario(
    TaskHistory(
        spec(timeout=30.0),
        Launched(TaskId("t.2"), AgentId("a"), ExecutorId("e"), "h"),
        TaskProgress(1, P.BACKING_OFF, failures=1, running_since=1.0, due=2.0),
    )
)
async def test_what_was_stored_of_an_attempt_says_nothing_of_the_next_one_after_a_restart(task):
    await task.update("TASK_RUNNING", 2)
    await task.settle(29)
    assert task.of("connection", m.Kill) == [], "it was thought to run since 1970"
    await task.update("TASK_FAILED", 2)
    await task.settle(19.9)
    assert task.of("offers", m.Demand) == [], "it was thought to be due since 1970"
    await task.settle(0.2)
    assert task.of("offers", m.Demand)[0].attempt_id == "t.3"


WEEKLY = RetryPolicy(
    attempts=5, losses=3, backoff=1.0, factor=2.0, cap=1000.0, jitter=0.0, within=24 * 3600.0
)
WEEK = 7 * 24 * 3600.0


@pytest.mark.parametrize("state", ["TASK_FAILED", "TASK_LOST"])
def test_what_fails_or_is_lost_once_a_week_is_not_given_up_where_it_counts_within_a_day(state):
    async def work():
        history = None
        for week in range(1, 21):
            async with system() as running:
                task = Task(running, history or TaskHistory(spec(retry=WEEKLY)))
                await task.settle()
                await task.launch(week)
                await task.update(state, week)
                assert not task.done
                await task.settle(1.1)
                assert task.of("offers", m.Demand)[-1].attempt_id == f"t.{week + 1}", (
                    "it waits longer each time"
                )
                stored = task.progress()[-1]
                assert stored.failures + stored.losses == len(stored.setbacks) == 1
            history = TaskHistory(spec(retry=WEEKLY), None, stored)
            await asyncio.sleep(WEEK)

    virtually(work())


@pytest.mark.parametrize(("state", "most"), [("TASK_FAILED", 5), ("TASK_LOST", 4)])
def test_what_fails_or_is_lost_too_often_within_the_time_is_given_up_over_restarts_too(state, most):
    async def work():
        history = TaskHistory(spec(retry=WEEKLY))
        for attempt in range(1, most + 1):
            async with system() as running:
                task = Task(running, history)
                await task.settle(3600.0)
                await task.launch(attempt)
                await task.update(state, attempt)
                assert bool(task.done) is (attempt == most)
                history = TaskHistory(spec(retry=WEEKLY), None, task.progress()[-1])
        assert task.done[0].phase is P.FAILED
        assert task.done[0].attempts == most

    virtually(work())


def test_a_budget_per_time_is_more_than_nothing_and_of_failures_that_can_be_remembered():
    for within in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="within must be more than 0 seconds"):
            RetryPolicy(within=within)
    for attempts, losses in ((1001, 1), (1, 1001)):
        with pytest.raises(ValueError, match="at most 1,000"):
            RetryPolicy(attempts, losses=losses, within=1.0)
    assert RetryPolicy(attempts=10**6).within is None


@scenario(TaskHistory(spec(), None, TaskProgress(1, P.WITHDRAWING, killed=True)))
async def test_a_kill_of_a_task_that_was_never_launched_is_over_after_a_restart(task):
    await task.settle()
    assert task.done[0].phase is P.KILLED
    assert task.of("connection", m.Kill) == []


@scenario(TaskHistory(spec(), Launched(TaskId("t.1"), AgentId("a"), ExecutorId("e"), "h")))
async def test_a_launch_before_a_restart_that_nothing_is_heard_of_is_reconciled(task):
    await task.settle(61)
    assert task.of("reconciler", m.Suspect) == [m.Suspect(TaskId("t.1"), AgentId("a"))]


@scenario()
async def test_waits_grow_with_failures_and_losses_together(task):
    await task.launch()
    await task.update("TASK_FAILED")
    await task.settle(10.1)
    await task.launch(2)
    await task.update("TASK_LOST", 2)
    await task.settle(19.9)
    assert len(task.of("offers", m.Demand)) == 2
    await task.settle(0.2)
    assert len(task.of("offers", m.Demand)) == 3


@scenario()
async def test_an_update_that_changes_nothing_any_more_is_acknowledged(task):
    await task.launch()
    await task.update("TASK_FAILED")
    await task.update("TASK_FAILED")
    assert len(task.acknowledged) == 2
    assert task.progress()[-1].failures == 1


@pytest.mark.parametrize("state", list(TaskState))
def test_every_mesos_state_leads_somewhere_from_launching(state):
    async def work():
        async with system() as running:
            task = Task(running)
            await task.launch()
            await task.update(state)
            assert len(task.acknowledged) == 1
            assert task.done or task.phase in {P.STAGING, P.RUNNING, P.UNREACHABLE, P.BACKING_OFF}

    virtually(work())


def test_the_waits_between_attempts_grow_to_a_cap_and_are_jittered():
    policy = RetryPolicy(backoff=1.0, factor=2.0, cap=10.0, jitter=0.5)
    assert [policy.delay(n, 1.0) for n in (1, 2, 3, 4, 5, 100)] == [1, 2, 4, 8, 10, 10]
    assert policy.delay(1, 0.0) == 0.5


@pytest.mark.parametrize(("away", "left"), [(20.0, 10.0), (500.0, 0.0)])
def test_a_run_timeout_goes_on_where_it_was_when_the_scheduler_is_back(away, left):
    async def work():
        async with system() as running:
            task = Task(running, timeout=30.0)
            await task.launch()
            await task.update("TASK_RUNNING")
            stored = task.progress()[-1]
        await asyncio.sleep(away)
        async with system() as running:
            again = Task(running, TaskHistory(spec(timeout=30.0), None, stored))
            await again.settle(max(0.0, left - 0.5))
            if left:
                assert again.of("connection", m.Kill) == []
            await again.update("TASK_RUNNING")
            await again.settle(1)
            assert len(again.of("connection", m.Kill)) == 1

    virtually(work())


@pytest.mark.parametrize(
    "least",
    [{"attempts": 1}, {"losses": 0}, {"backoff": 0.0}, {"cap": 0.0}, {"factor": 1.0}, {"jitter": 0.0}],
)
def test_a_retry_policy_takes_the_least_that_makes_sense_and_nothing_below(least):
    ((name, value),) = least.items()
    assert getattr(RetryPolicy(**least), name) == value
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: value - 1})


@scenario(unreachable_timeout=600.0)
async def test_how_long_an_agent_may_be_away_counts_from_when_it_went_last(task):
    await task.launch()
    for away in (500, 500, 500):
        await task.update("TASK_RUNNING")
        await task.update("TASK_UNREACHABLE", uuid=b"")
        await task.settle(away)
        assert task.phase is TaskPhase.UNREACHABLE
