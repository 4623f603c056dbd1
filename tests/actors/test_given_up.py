"""Which tasks failed for good, when and why: remembered for a while, over restarts, for the author and for operators."""

from dataclasses import replace
from typing import Any

import aiohttp

from actors import messages as m
from actors.framework_settings import FrameworkSettings
from actors.messages import TaskPhase
from actors.records import GIVEN_UP
from actors.runtime import ActorSystem
from actors.runtime.testing import ListTrace
from actors.scheduler.task_book import LONGEST_MESSAGE, GivenUpTasks
from actors.scheduler_actor import SchedulerActor
from mesos_v1.values import AgentId, TaskId
from mesostic.testing import contents
from tests.actors.test_kept_state import records_of
from tests.actors.test_scheduler_actor import QUICK, Page, composition, play
from tests.support.simulated_master import simulated_master

MINUTE, WEEK = 60.0, 7 * 24 * 3600.0


def failed(number, message="it is said why"):
    what = TaskId(f"t-{number}"), f"page {number}", TaskPhase.FAILED, 3, b""
    why = "TASK_FAILED", "REASON_COMMAND_EXECUTOR_FAILED", message
    return m.TaskDone(*what, b"", "crawl", *why, AgentId("a"), None, last_attempt=number)


def test_the_oldest_are_forgotten_where_they_are_too_many_or_too_old():
    kept = GivenUpTasks(3, WEEK)
    for number in range(1, 6):
        record = kept.add(failed(number), number * MINUTE)
        gone = kept.forget(number * MINUTE)
        assert (record.kind, record.key) == ("given-up", f"t-{number}.{number}")
        assert gone == ((("given-up", f"t-{number - 3}.{number - 3}"),) if number > 3 else ())
    assert [each.task_id for each in kept.lately(5 * MINUTE)] == ["t-3", "t-4", "t-5"]
    assert [each.task_id for each in kept.lately(3 * MINUTE + WEEK)] == ["t-4", "t-5"]
    kept.add(failed(6), 4 * MINUTE + WEEK)
    assert kept.forget(4 * MINUTE + WEEK) == (("given-up", "t-3.3"), ("given-up", "t-4.4"))


def test_a_long_story_of_a_failure_is_cut_and_all_else_is_told():
    kept = GivenUpTasks(3, WEEK)
    kept.add(failed(1, "x" * 100_000), 5.0)
    (told,) = kept.lately(6.0)
    assert told == m.GivenUp(
        TaskId("t-1"),
        "page 1",
        3,
        "TASK_FAILED",
        "REASON_COMMAND_EXECUTOR_FAILED",
        "x" * LONGEST_MESSAGE,
        "crawl",
        AgentId("a"),
        5.0,
    )


class Fails(SchedulerActor):
    """Leaves when both of its tasks have failed; asks its own server what is known."""

    heard: list[Any]

    def on_registered(self, event):
        for number in range(2):
            self.launch(Page(number), cpus=1.0, retry=QUICK, name=f"page {number}")

    async def on_reregistered(self, event):
        self.heard.append(self.given_up())
        async with aiohttp.ClientSession() as session:
            assert self._server is not None
            url = f"{self._server.url}/given-up"
            token = self.composition.token
            for headers in ({}, {"Authorization": f"Bearer {token}"}):
                async with session.get(url, headers=headers) as answer:
                    self.heard.append(answer.status)
                    last = answer
                    self.heard.append(await answer.json() if answer.status == 200 else None)
            assert last.content_type == "application/json"
        self.finish(0)

    def on_task_failed(self, failed):
        self.heard.append(tuple(each.task_id for each in self.given_up()))
        if not self.active_tasks:
            self.leave(0)


async def test_what_was_given_up_is_known_in_its_hook_after_a_restart_and_to_an_operator(tmp_path):
    class Two(Fails):
        heard = []  # noqa: RUF012

        def on_reregistered(self, event):
            # outside of the scheduler's turn: the server asks the scheduler
            self.run_in_background(super().on_reregistered(event), name="ask")

    trace = ListTrace("t")
    async with simulated_master() as master:
        master.plan = lambda _info: [("TASK_FAILED", b"")]
        made = composition(master, Two, store=str(tmp_path / "s.db"))
        async with ActorSystem("t", trace=trace) as system:
            assert (await play(made, system=system)).exit_code == 0
        first, both = Two.heard
        assert first == both[:1]
        assert set(both) == {"crawl-1", "crawl-2"}
        Two.heard.clear()
        assert (await play(made)).exit_code == 0
    known, denied, _, granted, told = Two.heard
    assert [(each.task_id, each.attempts, each.state, each.message) for each in known] == [
        (task_id, 2, "TASK_FAILED", "TASK_FAILED it is") for task_id in both
    ]
    assert (denied, granted) == (401, 200)
    assert [each["task_id"] for each in told["given_up"]] == list(both)
    assert told["given_up"][0]["when"].endswith("+00:00")
    assert told["given_up"][0]["agent_id"] == "a"
    writes = [contents(each) for each in trace.records if each.type == "actors.messages:Write"]
    together = [
        {each["kind"] for each in write["records"]} for write in writes if "given-up" in str(write["records"])
    ]
    assert together
    assert all("task-ended" in kinds for kinds in together), "a death in between would lose one"


async def test_so_many_as_the_settings_say_are_stored(tmp_path):
    class Bounded(Fails):
        heard = []  # noqa: RUF012

    async with simulated_master() as master:
        master.plan = lambda _info: [("TASK_FAILED", b"")]
        made = composition(master, Bounded, store=str(tmp_path / "s.db"))
        framework = FrameworkSettings(name="t", user="u", master=master.url, given_up_most=1)
        assert (await play(replace(made, framework=framework))).exit_code == 0
    (kept,) = GIVEN_UP.read(records_of(tmp_path / "s.db", "given-up")).values()
    assert kept.task_id == Bounded.heard[-1][-1]
