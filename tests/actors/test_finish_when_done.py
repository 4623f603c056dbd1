"""A framework that ends by itself when nothing is left to do, with an exit code that says how it went."""

import pytest

from actors import messages as m
from actors.scheduler_actor import SchedulerActor
from tests.actors.test_scheduler_actor import QUICK, composition, play
from tests.support.simulated_master import simulated_master


@pytest.fixture
async def master():
    async with simulated_master() as running:
        running.plan = plan
        yield running


def plan(info):
    if info.name.startswith("bad"):
        return [("TASK_FAILED", b"")]
    if info.name.startswith("slow"):
        return [("TASK_RUNNING", b"")]
    return [("TASK_RUNNING", b""), ("TASK_FINISHED", b"")]


class Some(SchedulerActor):
    names: tuple[str, ...] = ("a", "b")

    def on_registered(self, event):
        for name in self.names:
            self.launch(command="x", task_id=name, retry=QUICK)
        self.finish_when_done()


async def test_all_finished_is_exit_code_0(master):
    assert await play(composition(master, Some)) == m.Outcome(0, "all tasks have ended: 2 finished")
    assert master.types[-1] == "TEARDOWN"


async def test_one_that_failed_for_good_is_exit_code_1(master, caplog):
    class Bad(Some):
        names = ("a", "bad")

    outcome = await play(composition(master, Bad))
    assert outcome.exit_code == 1
    assert set(outcome.reason.removeprefix("all tasks have ended: ").split(", ")) == {
        "1 finished",
        "1 failed",
    }
    told = [record.getMessage() for record in caplog.records if record.name == "actors.failures"]
    assert told[0].startswith("task bad failed in attempt 1 on ")
    assert told[1].startswith("task bad has failed for good, after 2 attempts on ")


async def test_one_that_was_killed_by_request_is_no_failure(master):
    class Killer(Some):
        names = ("slow",)

        def on_task_update(self, update):
            if update.phase == "running":
                self.kill(update.task_id)

    assert await play(composition(master, Killer)) == m.Outcome(0, "all tasks have ended: 1 killed")


async def test_what_hooks_launch_later_counts_too(master):
    class Chain(SchedulerActor):
        async def on_registered(self, event):
            self.finish_when_done()  # before there is anything to do: the hook has not returned yet
            self.launch(command="x", task_id="1")

        async def on_task_finished(self, done):
            if int(done.task_id) < 5:
                self.launch(command="x", task_id=str(int(done.task_id) + 1))

    assert await play(composition(master, Chain)) == m.Outcome(0, "all tasks have ended: 5 finished")


@pytest.mark.parametrize("where", ["__init__", "on_start"])
async def test_it_may_be_asked_for_before_there_is_a_subscription(master, where):
    class Early(SchedulerActor):
        def __init__(self, composition, settings):
            super().__init__(composition, settings)
            if where == "__init__":
                self.finish_when_done()

        def on_start(self):
            if where == "on_start":
                self.finish_when_done()

        def on_registered(self, event):
            self.launch(command="x")

    assert await play(composition(master, Early)) == m.Outcome(0, "all tasks have ended: 1 finished")


async def test_no_task_at_all_ends_too_and_says_so(master, caplog):
    class Nothing(SchedulerActor):
        def on_registered(self, event):
            self.finish_when_done()

    assert (await play(composition(master, Nothing))).exit_code == 0
    assert "no task was launched: the framework ends" in caplog.text


@pytest.mark.parametrize("how", ["finish", "leave"])
async def test_an_end_that_was_asked_for_is_not_taken_for_one_without_tasks(master, caplog, how):
    class Both(SchedulerActor):
        def on_registered(self, event):
            self.finish_when_done()
            getattr(self, how)(3, "enough")

    assert await play(composition(master, Both)) == m.Outcome(3, "enough")
    assert "no task was launched" not in caplog.text


async def test_a_later_run_knows_that_it_is_to_end_and_what_failed_before(master, tmp_path):
    class First(Some):
        names = ("bad", "slow")

        def on_task_failed(self, failed):
            self.leave()

    class Second(First):
        def on_registered(self, event):
            raise AssertionError("called once in the framework's life")

        def on_reregistered(self, event):
            self.kill("slow")

        def on_task_failed(self, failed):
            """It may be told again."""

    store = str(tmp_path / "s.db")
    await play(composition(master, First, store=store))
    outcome = await play(composition(master, Second, store=store))
    assert outcome.exit_code == 1
    assert outcome.reason in {
        "all tasks have ended: 1 failed, 1 killed",
        "all tasks have ended: 1 killed, 1 failed",
    }
