"""The actor of every task can be an author's subclass, and one that fails does not take the framework with it."""

import time
from dataclasses import replace
from typing import Any

import pytest

from actors import messages as m
from actors.composition import ActorSpec
from actors.messages import Launched, TaskPhase
from actors.runtime import NoSettings, message, pack, receive, unpack
from actors.scheduler_actor import ACTOR_FAILURES, SchedulerActor
from actors.store.backends import SqliteBackend, StorageError
from actors.store_actor import StoreActor
from actors.task_actor import TaskActor
from mesos_v1 import pb
from tests.actors.test_scheduler_actor import composition, play
from tests.support.simulated_master import simulated_master


@message
class Part:
    number: int


class Three(SchedulerActor):
    def on_registered(self, event):
        self.ends: list[str] = []
        for number in range(3):
            self.launch(Part(number), task_id=f"t{number}", cpus=1.0)

    def on_task_finished(self, done):
        self._told(f"{done.task_id} finished")

    def on_task_failed(self, failed):
        self._told(f"{failed.task_id} {failed.message}")

    def _told(self, what):
        self.ends.append(what)
        if len(self.ends) == 3:
            self.finish(0, "; ".join(sorted(self.ends)))


def with_tasks(master: Any, cls: type[TaskActor]) -> Any:
    return composition(master, Three, extra=(ActorSpec("task", cls, NoSettings()),))


def echoes(info):
    number = unpack(info.data).message.number
    return [("TASK_RUNNING", b""), ("TASK_FINISHED", pack(Part(number)))]


async def test_tasks_are_run_by_the_class_that_the_composition_names():
    class Counted(TaskActor):
        updates: list[str] = []  # noqa: RUF012 -- of the test

        async def on_stop(self):
            self.updates.append(self.spec.task_id)

    async with simulated_master() as master:
        master.plan = echoes
        outcome = await play(with_tasks(master, Counted))
    assert outcome.reason == "t0 finished; t1 finished; t2 finished"
    assert sorted(Counted.updates) == ["t0", "t1", "t2"]


async def test_a_task_whose_actor_fails_each_time_has_failed_and_is_killed_and_the_others_go_on():
    class Stumbles(TaskActor):
        @receive
        def on_launched(self, launched: Launched) -> None:
            self.handle_news_of_the_broker(launched)
            if self.spec.task_id == "t1":
                raise RuntimeError("stumbled")

        def on_start(self):
            super().on_start()
            if self.phase is TaskPhase.LAUNCHING:
                raise RuntimeError("stumbled again")

    async with simulated_master() as master:
        master.plan = echoes
        outcome = await play(with_tasks(master, Stumbles))
        kills = [call.kill.task_id.value for call, _ in master.calls if call.type == pb.scheduler.Call.KILL]
    assert outcome.exit_code == 0
    assert outcome.reason == (
        f"t0 finished; t1 its actor failed {ACTOR_FAILURES} times: RuntimeError: stumbled again; t2 finished"
    )
    assert kills == ["t1.1"]


class SlowBackend(SqliteBackend):
    """A disk that lags."""

    def commit(self, writes):
        time.sleep(0.3)
        super().commit(writes)


class SlowStore(StoreActor):
    def __init__(self, composition, settings):
        super().__init__(composition, settings)
        self.backend = SlowBackend(settings.path)


async def test_a_task_whose_actor_fails_while_the_store_lags_goes_on(tmp_path, monkeypatch):
    class FailsAtFirst(TaskActor):
        failed: set[str] = set()  # noqa: RUF012 -- of the test

        def on_start(self):
            super().on_start()
            if self.spec.task_id not in self.failed:
                self.failed.add(self.spec.task_id)
                raise RuntimeError("stumbled")

    monkeypatch.setattr("tests.actors.test_scheduler_actor._store", lambda: SlowStore)
    async with simulated_master() as master:
        master.plan = echoes
        made = composition(
            master,
            Three,
            store=str(tmp_path / "s.db"),
            extra=(ActorSpec("task", FailsAtFirst, NoSettings()),),
        )
        outcome = await play(made)
        launched = [info.task_id.value for info in master.launched]
    assert outcome.reason == "t0 finished; t1 finished; t2 finished"
    assert len(launched) == len(set(launched)) == 3


async def test_a_task_whose_actor_cannot_even_be_made_has_failed():
    class Unmade(TaskActor):
        def __init__(self, history):
            if history.spec.task_id == "t1":
                raise RuntimeError("not this one")
            super().__init__(history)

    async with simulated_master() as master:
        master.plan = echoes
        outcome = await play(with_tasks(master, Unmade))
    assert (
        "t0 finished; t1 its actor failed 5 times: RuntimeError: not this one; t2 finished" in outcome.reason
    )


async def test_a_task_of_which_nothing_is_stored_has_failed_and_is_told():
    class Forgetful(StoreActor):
        @receive
        async def handle_load(self, asked: m.Load) -> m.Loaded:
            return m.Loaded(())

    class Stumbles(TaskActor):
        def on_start(self):
            raise RuntimeError("stumbled")

    async with simulated_master() as master:
        made = with_tasks(master, Stumbles)
        actors = tuple(
            ActorSpec("store", Forgetful, each.settings) if each.name == "store" else each
            for each in made.actors
        )
        outcome = await play(replace(made, actors=actors))
    assert outcome.reason.startswith(
        "t0 its actor failed, and nothing is stored of it: RuntimeError: stumbled"
    )


async def test_a_kill_asked_for_while_the_tasks_actor_is_started_again_is_not_lost():
    class FailsOnce(TaskActor):
        demanded: list[str] = []  # noqa: RUF012 -- of the test

        def on_start(self):
            super().on_start()
            self.demanded.append(self.mesos_id)
            if len(self.demanded) == 1:
                raise RuntimeError("stumbled")

    class Kills(SchedulerActor):
        def on_registered(self, event):
            self.launch(Part(0), task_id="t", cpus=100.0)

        def on_error(self, message):
            assert self.kill("t")

        def on_task_killed(self, killed):
            self.finish(0, killed.task_id)

    async with simulated_master() as master:
        made = composition(master, Kills, extra=(ActorSpec("task", FailsOnce, NoSettings()),))
        assert (await play(made)).reason == "t"
    assert FailsOnce.demanded == ["t.1", "t.2"]  # the broker might have launched the first


async def test_failures_of_its_actor_are_forgotten_when_a_task_has_ended():
    class Clumsy(TaskActor):
        started = 0

        def on_start(self):
            type(self).started += 1
            if self.started % 4:
                raise RuntimeError("stumbled")
            super().on_start()

    class Twice(SchedulerActor):
        def on_registered(self, event):
            self.launch(Part(0), task_id="t", cpus=1.0)

        def on_task_finished(self, done):
            if Clumsy.started == 4:
                self.launch(Part(1), task_id="t", cpus=1.0)
            else:
                self.finish(0, "twice")

        def on_task_failed(self, failed):
            self.finish(1, failed.message)

    async with simulated_master() as master:
        master.plan = echoes
        made = composition(master, Twice, extra=(ActorSpec("task", Clumsy, NoSettings()),))
        assert (await play(made)).reason == "twice"


async def test_a_store_that_cannot_be_read_for_a_while_delays_a_task_and_loses_none(caplog):
    class Unread(StoreActor):
        refusals = 1

        @receive
        async def handle_load(self, asked: m.Load) -> m.Loaded:
            if asked.key is not None and self.refusals:
                self.refusals -= 1
                raise StorageError("the disk is away")
            return await super().handle_load(asked)

    class FailsOnce(TaskActor):
        failed = False

        def on_start(self):
            if not type(self).failed:
                type(self).failed = True
                raise RuntimeError("stumbled")
            super().on_start()

    async with simulated_master() as master:
        master.plan = echoes
        made = with_tasks(master, FailsOnce)
        actors = tuple(
            ActorSpec("store", Unread, each.settings) if each.name == "store" else each
            for each in made.actors
        )
        outcome = await play(replace(made, actors=actors))
    assert outcome.reason == "t0 finished; t1 finished; t2 finished"
    assert "task t0 waits for the store, which cannot be read: the disk is away" in caplog.text


def test_a_method_with_an_inner_name_of_the_scheduler_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match=r"Own\._end has the name of an inner method of BaseScheduler"):

        class Own(SchedulerActor):
            def _end(self, what):  # type: ignore[override]
                """Mine, I thought."""
