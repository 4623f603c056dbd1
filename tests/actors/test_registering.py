"""`on_registered` once in a framework's life, `on_reregistered` afterwards; what the first one launched is never lost or doubled."""

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest

from actors.composition import run
from actors.messages import TaskPhase
from actors.records import PROGRESS, SPEC, TaskHistory, TaskProgress, TaskSpec
from actors.runtime import ActorSystem, pack
from actors.scheduler_actor import SchedulerActor
from actors.store.backends import SqliteBackend
from actors.store_actor import StoreActor
from mesos_v1.resources import Resources
from mesos_v1.values import TaskId
from tests.actors.test_scheduler_actor import QUICK, Page, composition, play, seen
from tests.support.simulated_master import simulated_master


@pytest.fixture
async def master():
    async with simulated_master() as running:
        running.plan = seen
        yield running


async def stopped_when(made, condition):
    """Run a framework, and end its process in the middle of whatever it does, without a farewell."""
    system = ActorSystem("t")
    task = asyncio.ensure_future(run(made, system=system))
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    await system.stop()


class Remembers(SchedulerActor):
    heard: list[str]

    def on_registered(self, event):
        self.heard.append(f"registered {event.resumed}")
        for number in range(3):
            self.launch(Page(number), cpus=1.0)

    def on_reregistered(self, event):
        self.heard.append(f"reregistered {event.resumed}")

    def on_task_finished(self, done):
        self.heard.append(done.task_id)
        if not self.active_tasks:
            self.finish(0)


async def test_a_restarted_scheduler_is_registered_again_not_for_the_first_time(master, tmp_path):
    class Two(Remembers):
        heard = []  # noqa: RUF012

    made = composition(master, Two, store=str(tmp_path / "s.db"))
    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    await stopped_when(made, lambda: master.types.count("ACKNOWLEDGE") == 3)
    assert Two.heard == ["registered 0"]
    master.plan = seen
    for task, updates in master.known.items():
        updates.append(("TASK_FINISHED", pack(Page(0)), task.encode().rjust(16, b"x")))
    assert (await play(made)).exit_code == 0
    assert Two.heard[:2] == ["registered 0", "reregistered 3"]
    assert sorted(Two.heard[2:]) == ["crawl-1", "crawl-2", "crawl-3"]


async def test_tasks_in_a_store_of_the_first_layout_say_that_the_scheduler_has_been_registered(
    master, tmp_path
):
    class Three(Remembers):
        heard = []  # noqa: RUF012

    path = tmp_path / "s.db"
    made = composition(master, Three, store=str(path))
    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    await stopped_when(made, lambda: master.types.count("ACKNOWLEDGE") == 3)
    with (
        closing(sqlite3.connect(path)) as connection,
        connection,
    ):  # as that layout was: no checksum, no such record
        connection.execute("ALTER TABLE records DROP COLUMN checksum")
        connection.execute("DELETE FROM records WHERE key = 'registered'")
        connection.execute("PRAGMA application_id=0")
        connection.execute("PRAGMA user_version=1")
    await stopped_when(made, lambda: len(Three.heard) == 2)
    assert Three.heard == ["registered 0", "reregistered 3"]
    assert len(master.launched) == 3


async def test_without_a_hook_for_it_a_restart_launches_nothing_again(master, tmp_path):
    class Plain(SchedulerActor):
        def on_registered(self, event):
            self.launch(Page(1), cpus=1.0)

        def on_task_finished(self, done):
            self.finish(0)

    made = composition(master, Plain, store=str(tmp_path / "s.db"))
    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    await stopped_when(made, lambda: "ACKNOWLEDGE" in master.types)
    for task, updates in master.known.items():
        updates.append(("TASK_FINISHED", pack(Page(0)), task.encode().rjust(16, b"x")))
    assert (await play(made)).exit_code == 0
    assert [info.task_id.value for info in master.launched] == ["crawl-1.1"]


class Stuck(SqliteBackend):
    """Takes no write that holds what the first hook launched: the process dies before it is on disk."""

    gate = threading.Event()
    stuck = threading.Event()

    def commit(self, writes):
        if any(record.kind == "task-spec" for write in writes for record in write.records):
            self.stuck.set()
            self.gate.wait(10)
            return
        super().commit(writes)


class StuckStore(StoreActor):
    def __init__(self, composition, settings):
        super().__init__(composition, settings)
        self.backend = Stuck(settings.path)


async def test_a_scheduler_that_dies_before_its_launches_are_stored_is_registered_for_the_first_time_again(
    master, tmp_path, monkeypatch
):
    class Dies(Remembers):
        heard = []  # noqa: RUF012

    made = composition(master, Dies, store=str(tmp_path / "s.db"))
    with monkeypatch.context() as patched:
        patched.setattr("tests.actors.test_scheduler_actor._store", lambda: StuckStore)
        stuck = composition(master, Dies, store=str(tmp_path / "s.db"))
    threading.Timer(0.5, Stuck.gate.set).start()
    await stopped_when(stuck, Stuck.stuck.is_set)
    assert master.launched == []
    assert (await play(made)).exit_code == 0
    assert Dies.heard[:2] == ["registered 0", "registered 0"]
    assert len(master.launched) == 3


@pytest.mark.parametrize("launches", [False, True])
async def test_a_first_hook_that_raises_is_called_again_by_the_next_run_unless_it_launched_something(
    master, tmp_path, launches
):
    class Raises(SchedulerActor):
        heard: list[str] = []  # noqa: RUF012

        def on_registered(self, event):
            self.heard.append("registered")
            if launches:
                self.launch(Page(1), cpus=100.0)
            self.leave(0)
            raise RuntimeError("a mistake")

        def on_reregistered(self, event):
            self.heard.append(f"reregistered {event.resumed}")
            self.finish(0)

    Raises.heard = []
    made = composition(master, Raises, store=str(tmp_path / "s.db"))
    for _ in range(2):
        assert (await play(made)).exit_code == 0
    assert Raises.heard == ["registered", "reregistered 1" if launches else "registered"]


def history(name, order, progress=None):
    spec = TaskSpec(
        TaskId(name),
        name,
        order,
        pack(Page(order)),
        "crawl",
        "",
        Resources.of(cpus=1, mem=10),
        0,
        "*",
        QUICK,
    )
    return TaskHistory(spec, None, progress)


def store_of_an_earlier_run(path, *histories):
    from actors.messages import Record, Write

    backend = SqliteBackend(str(path))
    backend.open()
    records = [Record("framework", "id", b"f-1"), Record("framework", "registered", b"1")]
    for each in histories:
        records.append(SPEC.record(each.spec.task_id, each.spec))
        if each.progress is not None:
            records.append(PROGRESS.record(each.spec.task_id, each.progress))
    backend.commit([Write(tuple(records))])
    backend.close()


async def test_outcomes_that_an_earlier_run_left_untold_are_told_after_the_registration(master, tmp_path):
    class Orderly(SchedulerActor):
        heard: list[str] = []  # noqa: RUF012

        def on_reregistered(self, event):
            self.heard.append(f"reregistered {event.resumed}")

        def on_task_finished(self, done):
            self.heard.append(f"{done.task_id} {done.result}")
            self.finish(0)

    finished = TaskProgress(1, TaskPhase.FINISHED, result=pack(Page(7)))
    store_of_an_earlier_run(tmp_path / "s.db", history("old", 1, finished))
    assert (await play(composition(master, Orderly, store=str(tmp_path / "s.db")))).exit_code == 0
    assert Orderly.heard == ["reregistered 1", "old Page(number=7)"]


async def test_tasks_of_an_earlier_run_come_before_new_ones(tmp_path):
    class Later(SchedulerActor):
        def on_reregistered(self, event):
            for number in range(3):
                self.launch(Page(number), task_id=f"new-{number}", cpus=1.0)

        def on_task_finished(self, done):
            if not self.active_tasks:
                self.finish(0)

    store_of_an_earlier_run(tmp_path / "s.db", *(history(f"old-{order}", order) for order in (5, 6, 7)))
    async with simulated_master(cpus=1.1) as master:  # one at a time
        master.plan = seen
        assert (await play(composition(master, Later, store=str(tmp_path / "s.db")))).exit_code == 0
        launched = [info.task_id.value for info in master.launched]
    assert launched == ["old-5.1", "old-6.1", "old-7.1", "new-0.1", "new-1.1", "new-2.1"]
