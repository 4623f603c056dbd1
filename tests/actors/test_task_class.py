"""The actor of every task can be an author's subclass, and one that fails does not take the framework with it."""

from typing import Any

import pytest

from actors.composition import ActorSpec
from actors.messages import Launched
from actors.runtime import NoSettings, message, pack, receive, unpack
from actors.scheduler_actor import ACTOR_FAILURES, SchedulerActor
from actors.task_actor import TaskActor
from actors.task_states import TaskPhase
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
            self.launched(launched)
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


def test_a_method_with_an_inner_name_of_the_scheduler_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match=r"Own\._end has the name of an inner method of BaseScheduler"):

        class Own(SchedulerActor):
            def _end(self, what):  # type: ignore[override]
                """Mine, I thought."""
