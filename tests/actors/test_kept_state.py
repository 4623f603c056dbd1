"""`self.state`: what a hook makes of it is stored with the fact that the hook was called, so it happens once, whatever dies."""

from dataclasses import replace
from typing import Any, cast

import pytest

from actors import messages as m
from actors.records import OPERATION, UPLOAD, OperationPhase, OperationRecord
from actors.runtime import ActorSystem, message, receive
from actors.runtime.testing import ListTrace
from actors.scheduler.kept_state import MAX_STATE_BYTES, STATE
from actors.scheduler_actor import SchedulerActor
from actors.store.backends import SqliteBackend
from actors.store_actor import StoreActor
from mesos_v1.states import OperationState
from mesos_v1.values import AgentId, OperationId, OperationStatus
from mesostic.testing import contents
from tests.actors.test_registering import stopped_when, store_of_an_earlier_run
from tests.actors.test_scheduler_actor import Page, composition, play, seen
from tests.support.simulated_master import simulated_master


@message
class Tally:
    count: int = 0
    last: str = ""


@message
class Other:
    count: int = 0


@message
class Add:
    """An author's own message."""


@pytest.fixture
async def master():
    async with simulated_master() as running:
        running.plan = seen
        yield running


class Counts(SchedulerActor):
    """Counts outcomes twice: in its state, and in a list that knows nothing of stores."""

    state = Tally()
    heard: list[str]
    tasks = 5

    def on_registered(self, event):
        for number in range(self.tasks):
            self.launch(Page(number), cpus=1.0)

    def on_task_finished(self, done):
        self.heard.append(done.task_id)
        self.state = Tally(self.state.count + 1, done.task_id)
        if self.state.count == self.tasks:
            self.leave(0, f"counted {self.state.count}")


class Dying(SqliteBackend):
    """Each write is a transaction of its own, and the process dies at one that says that an outcome was told."""

    tellings_left = 0
    died = False

    def commit(self, changes):
        for change in changes:
            if any(record.kind == "task-ended" for record in change.records):
                Dying.tellings_left -= 1
                Dying.died = Dying.died or Dying.tellings_left < 0
            if not Dying.died:
                super().commit([change])


class DyingStore(StoreActor):
    def __init__(self, composition, settings):
        super().__init__(composition, settings)
        self.backend = Dying(settings.path)


def records_of(path, kind):
    backend = SqliteBackend(str(path))
    backend.open()
    try:
        return [record for record in backend.load() if record.kind == kind]
    finally:
        backend.close()


async def test_each_outcome_counts_once_although_its_hook_is_called_again_after_each_death(
    master, tmp_path, monkeypatch
):
    class Twenty(Counts):
        heard = []  # noqa: RUF012
        tasks = 20

    sound = composition(master, Twenty, store=str(tmp_path / "s.db"))
    monkeypatch.setattr("tests.actors.test_scheduler_actor._store", lambda: DyingStore)
    dying = composition(master, Twenty, store=str(tmp_path / "s.db"))
    for tellings in (0, 3, 0, 5):
        Dying.tellings_left, Dying.died = tellings, False
        await stopped_when(dying, lambda: Dying.died)
    assert await play(sound) == m.Outcome(0, "counted 20")
    assert len(Twenty.heard) > 20, "no hook was called twice: the test shows nothing"
    assert set(Twenty.heard) == {f"crawl-{number}" for number in range(1, 21)}


async def test_the_state_stands_in_the_same_write_as_the_outcome_that_was_told(master):
    class Two(Counts):
        heard = []  # noqa: RUF012
        tasks = 2

    trace = ListTrace("t")
    async with ActorSystem("t", trace=trace) as system:
        await play(composition(master, Two), system=system)
    writes = [contents(record) for record in trace.records if record.type == "actors.messages:Write"]
    kinds = [{record["kind"] for record in write["records"]} for write in writes]
    assert [each for each in kinds if STATE in each or "task-ended" in each] == [{"task-ended", STATE}] * 2


async def test_the_first_hook_and_what_it_keeps_are_stored_together(master, tmp_path):
    class First(SchedulerActor):
        state = Tally()
        heard = []  # noqa: RUF012

        def on_registered(self, event):
            self.state = replace(self.state, count=self.state.count + 1)
            self.heard.append(f"registered {self.state.count}")
            self.leave(0)
            raise RuntimeError("a mistake, after it kept something")

        def on_reregistered(self, event):
            self.heard.append(f"reregistered {self.state.count}")
            self.finish(0)

    for _ in range(2):
        assert (await play(composition(master, First, store=str(tmp_path / "s.db")))).exit_code == 0
    assert First.heard == ["registered 1", "reregistered 1"]


async def test_what_a_hook_kept_before_it_raised_stands_and_its_outcome_is_not_told_again(master, tmp_path):
    class Raises(Counts):
        heard = []  # noqa: RUF012
        tasks = 1

        def on_task_finished(self, done):
            super().on_task_finished(done)
            raise RuntimeError("a mistake, after it counted")

        def on_reregistered(self, event):
            self.finish(0, f"counted {self.state.count}")

    made = composition(master, Raises, store=str(tmp_path / "s.db"))
    assert (await play(made)).exit_code == 0
    assert await play(made) == m.Outcome(0, "counted 1")
    assert Raises.heard == ["crawl-1"]


async def test_what_is_assigned_in_a_handler_is_stored_by_itself_and_back_before_the_hook_of_a_restart(
    master, tmp_path
):
    class Handles(SchedulerActor):
        state = Tally()

        def on_registered(self, event):
            for _ in range(3):
                self.tell(self.actor_ref, Add())

        @receive
        def handle_add(self, _add: Add):
            self.state = Tally(self.state.count + 1)
            if self.state.count == 3:
                self.leave(0)

        def on_reregistered(self, event):
            self.finish(0, f"counted {self.state.count}")

    made = composition(master, Handles, store=str(tmp_path / "s.db"))
    assert (await play(made)).exit_code == 0
    assert len(records_of(tmp_path / "s.db", STATE)) == 1
    assert await play(made) == m.Outcome(0, "counted 3")


async def test_an_async_hook_keeps_what_it_assigned_before_and_after_it_waited(master, tmp_path):
    class Waits(Counts):
        heard = []  # noqa: RUF012
        tasks = 2

        async def on_task_finished(self, done):
            import asyncio

            self.state = Tally(self.state.count + 10)
            await asyncio.sleep(0.01)
            self.state = Tally(self.state.count - 9)
            if self.state.count == 2:
                self.leave(0)

        def on_reregistered(self, event):
            self.finish(0, f"counted {self.state.count}")

    made = composition(master, Waits, store=str(tmp_path / "s.db"))
    assert (await play(made)).exit_code == 0
    assert await play(made) == m.Outcome(0, "counted 2")


@pytest.mark.parametrize("kind", ["upload", "operation"])
async def test_uploads_and_operations_that_are_told_again_count_once(master, tmp_path, kind):
    class Hears(SchedulerActor):
        state = Tally()

        def on_uploaded(self, upload):
            self.state = Tally(self.state.count + 1, upload.name)
            self.leave(0)

        def on_operation_update(self, status):
            self.state = Tally(self.state.count + 1, status.operation_id)
            self.leave(0)

    path = tmp_path / "s.db"
    store_of_an_earlier_run(path)
    backend = SqliteBackend(str(path))
    backend.open()
    status = OperationStatus(OperationId("o-1"), OperationState.OPERATION_FINISHED)
    record = {
        "upload": UPLOAD.record("k", m.Uploaded("x", "", 1, "", "", key="k")),
        "operation": OPERATION.record(
            "o-1", OperationRecord(OperationId("o-1"), AgentId("a"), OperationPhase.FINISHED, status)
        ),
    }[kind]
    backend.commit([m.Write((record,))])
    backend.close()
    assert (await play(composition(master, Hears, store=str(path)))).exit_code == 0
    assert not records_of(path, record.kind), "it will be told again"
    assert len(records_of(path, STATE)) == 1


async def test_a_scheduler_that_is_restarted_in_its_process_has_its_state_back(master, caplog):
    class Fails(Counts):
        heard = []  # noqa: RUF012
        tasks = 3
        failed = False

        def on_task_finished(self, done):
            super().on_task_finished(done)
            if self.state.count == 1 and not Fails.failed:
                Fails.failed = True
                self.timers.after(0.0, object())  # what the runtime itself trips over

        def handle_child_failed(self, failure):
            raise AssertionError(failure)

        def on_receive(self, message):
            if type(message) is object:
                raise RuntimeError("not contained")
            return super().on_receive(message)

    outcome = await play(composition(master, Fails))
    assert outcome == m.Outcome(0, "counted 3")
    assert "not contained" in caplog.text
    assert len(Fails.heard) == 3


def test_what_cannot_be_a_state_is_refused_when_the_class_is_made():
    wrongs: list[Any] = [0, {}, Tally, [Tally()], property(repr)]
    for wrong in wrongs:
        with pytest.raises(TypeError, match=r"self\.state must be an instance of a @message class, not "):
            type("Wrong", (SchedulerActor,), {"state": wrong, "__module__": __name__})


def test_classes_that_inherit_have_their_own_first_value_or_that_of_their_base():
    class Other(Counts):
        state = Tally(7)

    class Same(Counts):
        pass

    assert (Other._first_state, Same._first_state, SchedulerActor._first_state) == (Tally(7), Tally(), None)


async def test_mistakes_with_a_state_are_one_sentence_each(master):
    said = []

    class Mistaken(SchedulerActor):
        state = Tally()

        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.attempt(Tally(1))

        def on_registered(self, event):
            for value in (Other(1), None, 5, Tally(1, "x" * MAX_STATE_BYTES), Tally(cast("Any", "1"))):
                self.attempt(value)
            assert self.state == Tally(), "what was refused is not the state"
            self.finish(0)

        def attempt(self, value):
            try:
                self.state = value
            except (TypeError, ValueError, RuntimeError) as error:
                said.append(str(error))

    assert (await play(composition(master, Mistaken))).exit_code == 0
    assert len(said) == 6
    assert "once the store has been read" in said[0]
    assert "self.state must be a Tally, not a Other" in said[1]
    assert "not None" in said[2]
    assert "not a int" in said[3]
    assert f"{MAX_STATE_BYTES:,} is the most" in said[4]
    assert "cannot be stored" in said[5]
    assert not any("\n" in each for each in said)


async def test_a_scheduler_that_declares_no_state_is_told_so(master):
    class Stateless(SchedulerActor):
        def on_registered(self, event):
            for act in (lambda: self.state, lambda: setattr(self, "state", Tally())):
                with pytest.raises(
                    AttributeError, match="declares no state: write its first value in the class"
                ):
                    act()
            self.finish(0, "told")

    assert (await play(composition(master, Stateless))) == m.Outcome(0, "told")


async def test_a_stored_state_of_another_type_ends_the_start_in_a_sentence(master, tmp_path):
    class One(SchedulerActor):
        state = Tally()

        def on_registered(self, event):
            self.state = Tally(1)
            self.leave(0)

    class Changed(SchedulerActor):
        state = Other()

    path = str(tmp_path / "s.db")
    assert (await play(composition(master, One, store=path))).exit_code == 0
    outcome = await play(composition(master, Changed, store=path))
    assert outcome.exit_code == 2
    assert (
        "the scheduler's state in the store cannot be read: it is a Tally, and the class declares a Other"
        in outcome.reason
    )
