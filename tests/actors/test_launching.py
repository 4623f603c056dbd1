"""What `launch` takes and refuses, and ids that are used again."""

import math
from dataclasses import replace
from typing import Any

import pytest

from actors.framework_settings import ExecutorSettings, RetryPolicy
from actors.records import MAX_TASK_BYTES
from actors.runtime import ActorSystem, Secret, receive
from actors.runtime.testing import ListTrace
from actors.scheduler import task_book
from actors.scheduler.task_book import TaskBook
from actors.scheduler_actor import SchedulerActor
from mesos_v1.resource import to_millis
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, TaskId
from tests.actors.test_scheduler_actor import Page, Poke, composition, play, seen
from tests.support.simulated_master import simulated_master


@pytest.fixture
async def master():
    async with simulated_master() as running:
        running.plan = seen
        yield running


COMMAND = {"command": "true"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"ports": -1}, "ports must be between 0 and 65536: -1"),
    ({"ports": 1.5}, "ports must be how many ports are wanted, a whole number, not of type float"),
    ({"ports": True}, "ports must be how many"),
    ({"ports": 70_000}, "ports must be between 0 and 65536"),
    ({"timeout": -5}, "timeout must be more than 0 seconds"),
    ({"timeout": 0}, "timeout must be more than 0 seconds"),
    ({"timeout": math.nan}, "timeout must be a finite number, not nan"),
    ({"timeout": math.inf}, "timeout must be a finite number, not inf"),
    ({"timeout": "5"}, "timeout must be a number, not of type str"),
    ({"timeout": 1e300}, "timeout must be more than 0 seconds and at most"),
    ({"cpus": 0, "mem": 0}, "a task must ask for some resource: cpus, mem, disk, gpus and ports are all 0"),
    ({"cpus": -1}, "cpus must not be negative: -1"),
    ({"cpus": 0.0004}, "cpus must be at least 0.0005, or 0: Mesos counts in thousandths, and 0.0004 rounds to 0"),
    ({"mem": 0.0001}, "mem must be at least 0.0005"),
    ({"disk": 1e30}, "disk is more than a resource can have"),
    ({"cpus": 10**400}, "cpus is too large"),
    ({"cpus": None}, "cpus must be a number, not None"),
    ({"gpus": 0.5}, "gpus must be a whole number: 0.5"),
    ({"gpus": 1}, "gpus are offered only to frameworks with the capability GPU_RESOURCES: add it"),
    ({"resources": Resources.of(gpus=1)}, "gpus are offered only to frameworks with"),
    ({"resources": Resources.of(gpus=1.5)}, "gpus must be a whole number: 1.5"),
    ({"resources": Resources()}, "a task must ask for some resource"),
    ({"resources": "cpus:1"}, "resources must be a `Resources`"),
    ({"retry": 3}, "retry must be a `RetryPolicy`, not of type int"),
    ({"kill_grace": -1}, "kill_grace must be at least 0 seconds"),
    ({"kill_grace": math.nan}, "kill_grace must be a finite number"),
    ({"launch_timeout": 0}, "launch_timeout must be at least 1 seconds"),
    ({"unreachable_timeout": -1}, "unreachable_timeout must be at least 0 seconds"),
    ({"environment": {"A": 1}}, "environment['A'] must be a text, not of type int"),
    ({"environment": {"": "x"}}, "the name of environment[0] is empty"),
    ({"environment": {"A=B": "x"}}, "environment['A=B'] cannot be set"),
    ({"environment": {"A": "hidden\0word"}}, "environment['A'] cannot be set"),
    ({"environment": "A=b"}, "environment must be a mapping of texts, or a list of pairs of them, not of type str"),
    ({"environment": [("A", "b", "c")]}, "environment[0] must be a pair of a name and its value, not of type tuple"),
    ({"labels": 5}, "labels must be a mapping of texts"),
    ({"labels": {"k": "\udce9"}}, "labels['k'] holds half a character"),
    ({"attributes": ["rack"]}, "attributes[0] must be a pair"),
    ({"hosts": "h1"}, "hosts must be a list of texts, not of type str"),
    ({"hosts": [b"h1"]}, "hosts[0] must be a text, not of type bytes"),
    ({"uris": {"http://u": ""}}, "uris must be a list of texts, not of type dict"),
    ({"name": 7}, "name must be a text, not of type int"),
    ({"command": b"true"}, "command must be a text, not of type bytes"),
    ({"task_id": 7}, "task_id must be a text, not of type int"),
    ({"role": ["*"]}, "role must be a text, not of type list"),
    ({"payload": object()}, "the payload cannot be sent"),
    ({"payload": b"x" * MAX_TASK_BYTES}, "and 16,777,216 is the most: put large data where its executor can fetch it"),
    ({"payload": (1,) * 1_100_000}, "the payload has 1,100,006 elements in its arrays and maps, and at most 1,048,576"),
    ({"command": None, "payload": Page(1), "environment": {"A": "b"}}, "environment is for commands: executor crawl"),
    ({"command": None, "payload": Page(1), "uris": ["http://u"]}, "uris is for commands: executor crawl"),
]  # fmt: skip


class Tries(SchedulerActor):
    answers: list[str]

    def on_registered(self, event):
        for arguments, _ in REFUSED:
            try:
                self.launch(**{**COMMAND, **arguments})
            except ValueError as error:
                self.answers.append(str(error))
            else:
                self.answers.append("taken")
        for grace in (-1, math.nan, "now"):
            try:
                self.kill("nobody", grace)  # type: ignore[arg-type]
            except ValueError as error:
                self.answers.append(str(error))
        try:
            self.send_message(AgentId("a"), ExecutorId("e"), b"x" * 5_000_000)
        except ValueError as error:
            self.answers.append(str(error))
        self.launch(command="true", cpus=0, mem=0, ports=1)  # which is something
        self.finish(0, str(self.active_tasks))


async def test_each_argument_that_cannot_be_is_refused_by_name_and_nothing_is_launched(master):
    Tries.answers = []
    outcome = await play(composition(master, Tries), seconds=60.0)
    assert outcome.reason == "{'waiting': 1}"
    for (arguments, words), answer in zip(REFUSED, Tries.answers, strict=False):
        assert words in answer, arguments
        assert "hidden" not in answer
    assert [answer.partition(" must be")[0] for answer in Tries.answers[len(REFUSED) : -1]] == ["grace"] * 3
    assert "the message has 5,000,010 bytes, and at most 4,198,400 are taken" in Tries.answers[-1]
    assert master.launched == []


async def test_an_id_that_the_author_has_taken_is_passed_over_and_no_other(master):
    class Choosy(SchedulerActor):
        def on_registered(self, event):
            first = self.launch(command="x")
            name, _, number = first.rpartition("-")
            taken = [f"{name}-{int(number) + more}" for more in (2, 3)]
            for task_id in taken:
                self.launch(command="x", task_id=task_id)
            self.finish(0, f"{number} {self.launch(command='x').removeprefix(name)}")

    outcome = await play(composition(master, Choosy))
    number, drawn = outcome.reason.split()
    assert drawn == f"-{int(number) + 4}"


async def test_ids_that_later_runs_draw_say_which_run_drew_them(master, tmp_path):
    drawn = []

    class Draws(SchedulerActor):
        def on_registered(self, event):
            self.draw()

        def on_reregistered(self, event):
            self.draw()

        def draw(self):
            drawn.append(self.launch(command="x"))
            self.leave()

    for _ in range(3):
        await play(composition(master, Draws, store=str(tmp_path / "s.db")))
    first, second, third = drawn
    assert first.startswith("task-")
    assert second.startswith("task-r2-")
    assert third.startswith("task-r3-")


async def test_mappings_and_lists_are_taken(master):
    class Takes(SchedulerActor):
        def on_registered(self, event):
            self.launch(
                command="true",
                environment={"A": "b"},
                labels=[("k", "v")],
                uris=["http://u"],
                hosts=["h"],
                attributes={},
                cpus=0.0005,
                mem=1,
                timeout=5,
                kill_grace=0,
            )

        def on_task_finished(self, done):
            self.finish(0)

    master.plan = lambda _info: [("TASK_FINISHED", b"")]
    assert (await play(composition(master, Takes))).exit_code == 0
    (info,) = master.launched
    assert [(each.name, each.value) for each in info.command.environment.variables] == [("A", "b")]
    assert [(each.key, each.value) for each in info.labels.labels] == [("k", "v")]
    assert [each.value for each in info.command.uris] == ["http://u"]
    assert {each.name: each.scalar.value for each in info.resources} == {"cpus": 0.001, "mem": 1.0}


async def test_a_task_is_launched_only_where_it_may_be(master):
    class Choosy(SchedulerActor):
        def on_registered(self, event):
            self.launch(command="true", task_id="elsewhere", hosts=["other"])
            self.launch(command="true", task_id="racked", attributes={"rack": "r1"})
            self.launch(command="true", task_id="here", hosts=["other", "h"])

        def on_task_finished(self, done):
            self.finish(0, done.task_id)

    master.plan = lambda _info: [("TASK_FINISHED", b"")]
    assert (await play(composition(master, Choosy))).reason == "here"
    assert [info.task_id.value for info in master.launched] == ["here.1"]


async def test_a_secret_reaches_a_commands_environment_and_nothing_that_is_written(master, tmp_path, caplog):
    class Hides(SchedulerActor):
        def on_registered(self, event):
            variables: dict[str, str | Secret] = {"TOKEN": Secret("hunter-22"), "A": "b"}
            self.launch(command="true", task_id="t", environment=variables)

        def on_task_finished(self, done):
            self.finish(0)

    trace = ListTrace("t")
    master.plan = lambda _info: [("TASK_FINISHED", b"")]
    async with ActorSystem("t", trace=trace) as system:
        outcome = await play(composition(master, Hides, store=str(tmp_path / "s.db")), system=system)
    assert outcome.exit_code == 0
    (info,) = master.launched
    assert [(each.name, each.value) for each in info.command.environment.variables] == [
        ("TOKEN", "hunter-22"),
        ("A", "b"),
    ]
    assert not any(b"hunter-22" in (record.payload or b"") for record in trace.records)
    assert "hunter-22" not in caplog.text


async def test_gpus_are_asked_for_with_the_capability_for_them(master):
    class Gpus(SchedulerActor):
        def on_registered(self, event):
            self.launch(command="true", gpus=2, cpus=0.1)

        def on_task_finished(self, done):
            self.finish(0)

    master.plan = lambda _info: [("TASK_FINISHED", b"")]
    master.gpus = 4.0
    made = composition(master, Gpus)
    made = replace(made, framework=replace(made.framework, capabilities=("PARTITION_AWARE", "GPU_RESOURCES")))
    assert (await play(made)).exit_code == 0
    (info,) = master.launched
    assert {each.name: each.scalar.value for each in info.resources}["gpus"] == 2.0


@pytest.mark.parametrize("value", [0.0004, 1e-9])
def test_an_executor_that_would_get_nothing_of_what_it_asks_for_is_refused(value):
    with pytest.raises(ValueError, match=r"cpus must be at least 0\.0005"):
        ExecutorSettings(name="e", cpus=value)


@pytest.mark.parametrize(
    ("value", "millis"),
    [(0.0004, 0), (0.0005, 1), (0.0015, 2), (0.00049999999999999994, 0), (1.0004999, 1000), (4503599627370.497, 4503599627370497)],
)  # fmt: skip
def test_scalars_are_rounded_to_thousandths_half_away_from_zero(value, millis):
    assert to_millis(value) == millis


class Again(SchedulerActor):
    """Launches a task again under its id, in the hook that tells its end."""

    def on_registered(self, event):
        self.told = []
        self.launch(Page(0), task_id="again", cpus=1.0)

    def on_task_finished(self, done):
        self.told.append(done.attempts)
        if done.payload.number == 2:
            self.finish(0, str(self.told))
        else:
            self.launch(Page(done.payload.number + 1), task_id="again", cpus=1.0)


async def test_an_id_may_be_used_again_in_the_hook_that_tells_its_end(master):
    outcome = await play(composition(master, Again))
    assert outcome.reason == "[1, 1, 1]"
    assert [info.task_id.value for info in master.launched] == ["again.1", "again.2", "again.3"]


async def test_an_id_may_be_used_again_later_and_its_attempts_have_other_numbers(master):
    class Later(SchedulerActor):
        def on_registered(self, event):
            self.launch(Page(0), task_id="later", cpus=1.0, retry=RetryPolicy(attempts=2, backoff=0.01))

        def on_task_failed(self, failed):
            self.timers.after(0.05, Poke(str(failed.attempts)))

        def on_task_finished(self, done):
            self.finish(done.attempts)

        @receive
        def on_poke(self, poke: Poke) -> None:
            self.launch(Page(1), task_id="later", cpus=1.0)

    master.plan = lambda info: (
        [("TASK_FAILED", b"")] if info.task_id.value in {"later.1", "later.2"} else seen(info)
    )
    assert (await play(composition(master, Later))).exit_code == 1
    assert [info.task_id.value for info in master.launched] == ["later.1", "later.2", "later.3"]


async def test_an_id_that_was_used_before_a_restart_goes_on_with_other_numbers(master, tmp_path):
    class Twice(SchedulerActor):
        def on_registered(self, event):
            self.launch(Page(0), task_id="twice", cpus=1.0)

        def on_reregistered(self, event):
            self.launch(Page(1), task_id="twice", cpus=1.0)

        def on_task_finished(self, done):
            self.leave(0) if done.payload.number == 0 else self.finish(0)

    made = composition(master, Twice, store=str(tmp_path / "s.db"))
    for _ in range(2):
        assert (await play(made)).exit_code == 0
    assert [info.task_id.value for info in master.launched] == ["twice.1", "twice.2"]


async def test_what_was_launched_under_the_id_of_a_task_that_ended_is_stored(master, tmp_path):
    class Leaves(SchedulerActor):
        resumed = 0

        def on_registered(self, event):
            self.launch(Page(0), task_id="x", cpus=1.0)

        def on_reregistered(self, event):
            self.resumed = event.resumed

        def on_task_finished(self, done):
            if done.payload.number:
                self.finish(self.resumed)
            else:
                self.launch(Page(1), task_id="x", cpus=1.0)
                self.leave(0)

    made = composition(master, Leaves, store=str(tmp_path / "s.db"))
    assert (await play(made)).exit_code == 0
    assert (await play(made)).exit_code == 1
    launched = [info.task_id.value for info in master.launched]
    assert launched[0] == "x.1"
    assert len(launched) == len(set(launched)) > 1


async def test_a_drawn_id_keeps_clear_of_the_authors_own(master):
    class Drawn(SchedulerActor):
        def on_registered(self, event):
            self.launch(Page(0), task_id="crawl-2", cpus=1.0)
            self.finish(0, self.launch(Page(1), cpus=1.0))

    assert (await play(composition(master, Drawn))).reason == "crawl-3"


def test_attempts_of_tasks_that_are_no_longer_remembered_are_not_repeated_either(monkeypatch):
    monkeypatch.setattr(task_book, "ENDED_KEPT", 2)
    book = TaskBook()
    assert book.end(TaskId("a"), 4) is None
    assert book.end(TaskId("b"), 1) is None
    assert book.end(TaskId("a"), 5) is None
    assert book.first_attempt(TaskId("a")) == 6
    assert book.first_attempt(TaskId("new")) == 1
    assert book.end(TaskId("c"), 1) == "b"
    assert book.end(TaskId("d"), 1) == "a"
    assert book.first_attempt(TaskId("a")) == 6
    assert book.first_attempt(TaskId("c")) == 2
    later = TaskBook()
    later.ended[TaskId("c")], later.attempts_forgotten = 1, book.attempts_forgotten
    assert later.first_attempt(TaskId("a")) == 6
