"""An author's scheduler that is not as it should be: refused when its class is made, contained when it runs, ended when it ends."""

import asyncio
import logging
import sys

import pytest

from actors import messages as m
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.runtime import message, receive
from actors.scheduler_actor import SchedulerActor
from mesos_v1.resources import Resources
from mesos_v1.task_infos import command_info, task_info
from mesos_v1.values import TaskId
from tests.actors.test_scheduler_actor import composition, play, seen
from tests.support.simulated_master import simulated_master


@message
class Words:
    """Any."""


@message
class Ends:
    """Enough."""


@pytest.fixture
async def master():
    async with simulated_master() as running:
        yield running


# --- the end, whenever it is asked for ---------------------------------------------------------------------------


class FinishesInInit(SchedulerActor):
    def __init__(self, composition, settings):
        super().__init__(composition, settings)
        self.finish(3, "not today")


class FinishesInOnStart(SchedulerActor):
    def on_start(self):
        self.finish(3, "not today")


class FinishesInAsyncOnStart(SchedulerActor):
    async def on_start(self):
        await asyncio.sleep(0)
        self.finish(3, "not today")


class LeavesInInit(SchedulerActor):
    def __init__(self, composition, settings):
        super().__init__(composition, settings)
        self.leave(3, "not today")


class LeavesInOnStart(SchedulerActor):
    def on_start(self):
        super().on_start()
        self.leave(3, "not today")


class LowLevelFinishesInOnStart(LowLevelScheduler):
    def on_start(self):
        self.finish(3, "not today")


@pytest.mark.parametrize(
    "cls",
    [
        FinishesInInit,
        FinishesInOnStart,
        FinishesInAsyncOnStart,
        LeavesInInit,
        LeavesInOnStart,
        LowLevelFinishesInOnStart,
    ],
)
async def test_a_framework_that_is_ended_before_it_is_connected_ends_and_no_master_hears_of_it(master, cls):
    assert await play(composition(master, cls)) == m.Outcome(3, "not today")
    assert master.types == []


@pytest.mark.parametrize(
    ("how", "exit_code", "reason"),
    [("finish", 0, "finished"), ("finish", 2, "failed"), ("leave", 0, "left"), ("leave", 2, "left")],
)
@pytest.mark.parametrize("said", [(), ("",)], ids=["nothing", "empty"])
async def test_an_end_without_a_reason_has_one_all_the_same_and_counts_once(
    master, how, exit_code, reason, said
):
    class Ends(SchedulerActor):
        def on_registered(self, event):
            getattr(self, how)(exit_code, *said)
            self.finish(7, "too late")
            self.leave(8, "too late")

    assert await play(composition(master, Ends)) == m.Outcome(exit_code, reason)
    assert ("TEARDOWN" in master.types) is (how == "finish")


async def test_finish_in_on_start_tears_down_the_framework_that_an_earlier_run_left(master, tmp_path):
    class Leaves(SchedulerActor):
        def on_registered(self, event):
            self.leave()

    store = str(tmp_path / "store.db")
    await play(composition(master, Leaves, store=store))
    assert "TEARDOWN" not in master.types
    assert await play(composition(master, FinishesInOnStart, store=store)) == m.Outcome(3, "not today")
    assert master.types[-1] == "TEARDOWN"


async def test_on_start_need_not_call_its_base(master):
    class Quiet(SchedulerActor):
        def on_start(self):
            self.prepared = True

        def on_registered(self, event):
            assert self.prepared
            self.finish()

    assert await play(composition(master, Quiet)) == m.Outcome(0, "finished")


async def test_an_on_start_that_raises_ends_the_framework_with_one_sentence(master, caplog):
    class Broken(SchedulerActor):
        def on_start(self):
            raise LookupError("no map")

    class BrokenLater(SchedulerActor):
        async def on_start(self):
            await asyncio.sleep(0)
            raise LookupError("no map")

    for cls in (Broken, BrokenLater):
        outcome = await play(composition(master, cls))
        assert outcome == m.Outcome(1, f"{cls.__name__}.on_start raised LookupError: no map")
    told = "".join(record.getMessage() for record in caplog.records)
    assert "raise LookupError" in told
    assert "base_scheduler.py" not in told
    assert "dead letter" not in told


async def test_an_on_start_that_exits_ends_the_framework_with_that_code(master):
    class Exits(SchedulerActor):
        def on_start(self):
            sys.exit(4)

    class ExitsLater(SchedulerActor):
        async def on_start(self):
            await asyncio.sleep(0)
            sys.exit(4)

    for cls in (Exits, ExitsLater):
        assert await play(composition(master, cls)) == m.Outcome(4, "on_start called sys.exit(4)")


async def test_an_init_that_forgets_its_base_is_named(master):
    class Forgets(SchedulerActor):
        def __init__(self, composition, settings):
            self.mine = 1

    outcome = await play(composition(master, Forgets))
    assert outcome.exit_code == 1
    assert "Forgets.__init__ does not call super().__init__(composition, settings)" in outcome.reason


async def test_sys_exit_in_a_hook_ends_the_framework_with_its_code(master):
    class Exits(SchedulerActor):
        def on_registered(self, event):
            raise SystemExit(5)

    class ExitsWithWords(SchedulerActor):
        async def on_registered(self, event):
            raise SystemExit("no more coffee")

    assert await play(composition(master, Exits)) == m.Outcome(5, "on_registered called sys.exit(5)")
    assert master.types[-1] == "TEARDOWN"
    assert await play(composition(master, ExitsWithWords)) == m.Outcome(1, "no more coffee")


@pytest.mark.parametrize("code", [-1, 256, 300, "x", 1.0, True, None])
async def test_an_exit_code_that_no_process_can_have_is_refused(master, caplog, code):
    class Ends(SchedulerActor):
        def on_registered(self, event):
            try:
                self.finish(code)
            except ValueError as error:
                self.finish(9, str(error))

    outcome = await play(composition(master, Ends))
    assert outcome == m.Outcome(9, f"an exit code is a number from 0 to 255, not {code!r}")


async def test_a_failing_end_is_called_failed(master):
    class Fails(SchedulerActor):
        def on_registered(self, event):
            self.finish(1)

    assert await play(composition(master, Fails)) == m.Outcome(1, "failed")


# --- async hooks ------------------------------------------------------------------------------------------------


class Waits(SchedulerActor):
    """Every hook waits in the middle, so that any other message would overtake it."""

    def on_start(self):
        self.order = []

    async def step(self, what):
        self.order.append(f"{what} begins")
        await asyncio.sleep(0.005)
        self.order.append(f"{what} ends")

    async def on_registered(self, event):
        await self.step("registered")
        for number in range(3):
            self.launch(command=f"echo {number}", task_id=f"t{number}")

    async def on_task_update(self, update):
        await self.step(f"{update.task_id} update")

    async def on_task_finished(self, done):
        await self.step(f"{done.task_id} finished")
        if not self.active_tasks:
            assert [word for each in self.order for word in each.split()[-1:]] == ["begins", "ends"] * (
                len(self.order) // 2
            )
            await self.step("finish")
            self.finish(0, f"{sum(each.endswith('finished ends') for each in self.order)} finished")


async def test_async_hooks_are_awaited_and_nothing_overtakes_them(master):
    master.plan = lambda _info: [("TASK_RUNNING", b""), ("TASK_FINISHED", b"")]
    assert await play(composition(master, Waits)) == m.Outcome(0, "3 finished")


async def test_what_an_async_outcome_hook_launches_is_stored_with_the_fact_that_it_was_called(
    master, tmp_path
):
    class Chain(SchedulerActor):
        async def on_registered(self, event):
            self.launch(command="echo", task_id="first")

        async def on_task_finished(self, done):
            await asyncio.sleep(0.005)
            if done.task_id == "first":
                self.launch(command="echo", task_id="second")
                await asyncio.sleep(0.005)
                return
            self.finish()

    written = []

    from actors.store_actor import StoreActor

    class Watched(StoreActor):
        @receive
        def handle_write(self, write: m.Write):
            written.append([record.key for record in write.records])
            return super().handle_write(write)

    from dataclasses import replace

    made = composition(master, Chain, store=str(tmp_path / "s.db"))
    actors = tuple(replace(spec, cls=Watched) if spec.name == "store" else spec for spec in made.actors)
    master.plan = lambda _info: [("TASK_FINISHED", b"")]
    assert await play(replace(made, actors=actors)) == m.Outcome(0, "finished")
    assert any("first" in "".join(keys) and "second" in "".join(keys) for keys in written)


async def test_an_async_hook_that_raises_ends_nothing(master, caplog):
    class Raises(SchedulerActor):
        async def on_registered(self, event):
            self.launch(command="echo", task_id="t")
            await asyncio.sleep(0)
            raise LookupError("no map")

        async def on_task_finished(self, done):
            self.finish(0, f"{self.hook_failures} failure")

    master.plan = lambda _info: [("TASK_FINISHED", b"")]
    assert await play(composition(master, Raises)) == m.Outcome(0, "1 failure")
    assert "on_registered raised; continuing" in caplog.text
    assert "LookupError: no map" in caplog.text


async def test_an_async_callback_with_offers_in_hand_is_awaited_before_the_acknowledgement(master):
    class InHand(LowLevelScheduler):
        async def registered(self, event):
            self.told = False

        async def resource_offers(self, offers):
            await asyncio.sleep(0.005)
            taken = offers[0].resources.take(Resources.of(cpus=0.1, mem=1))
            if self.told or taken is None:
                self.decline([offer.id for offer in offers])
                return
            self.told = True
            info = task_info(TaskId("t"), offers[0].agent_id, taken, command=command_info("echo"))
            self.launch_tasks([offers[0].id], [info])

        async def status_update(self, status):
            before = master.types.count("ACKNOWLEDGE")
            await asyncio.sleep(0.02)
            assert master.types.count("ACKNOWLEDGE") == before
            if status.state == "TASK_FINISHED":
                self.finish()

    master.plan = lambda _info: [("TASK_RUNNING", b""), ("TASK_FINISHED", b"")]
    assert await play(composition(master, InHand)) == m.Outcome(0, "finished")
    assert "ACKNOWLEDGE" in master.types


@pytest.mark.parametrize("waits", [True, False])
async def test_what_an_author_s_handler_raises_is_contained(master, caplog, waits):
    class Begins(SchedulerActor):
        def on_registered(self, event):
            self.tell(self.actor_ref, Words())
            self.tell(self.actor_ref, Ends())

        @receive
        def ends(self, ends: Ends):
            self.finish(0, f"{self.hook_failures} failure")

    class Raises(Begins):
        @receive
        def words(self, words: Words):
            raise LookupError("no map")

    class RaisesLater(Begins):
        @receive
        async def words(self, words: Words):
            await asyncio.sleep(0)
            raise LookupError("no map")

    raises = RaisesLater if waits else Raises
    assert await play(composition(master, raises)) == m.Outcome(0, "1 failure")
    assert "words raised; continuing" in caplog.text
    assert "LookupError: no map" in caplog.text


# --- what is refused when the class is made ----------------------------------------------------------------------


def test_a_hook_that_is_a_generator_is_refused_when_the_class_is_made():
    with pytest.raises(TypeError, match=r"Yields\.on_task_finished is a generator .* would never run"):

        class Yields(SchedulerActor):
            def on_task_finished(self, done):
                yield done

    with pytest.raises(TypeError, match=r"Offers\.resource_offers is a generator"):

        class Offers(LowLevelScheduler):
            async def resource_offers(self, offers):
                yield offers


def test_a_handler_that_is_a_generator_is_refused_when_the_class_is_made():
    with pytest.raises(TypeError, match="is a generator"):

        class Yields(SchedulerActor):
            @receive
            def words(self, words: m.Begin):
                yield words


def test_a_hook_with_other_arguments_is_refused_when_the_class_is_made():
    with pytest.raises(TypeError, match=r"write def on_registered\(self, event\)"):

        class Bare(SchedulerActor):
            def on_registered(self):  # type: ignore[override]
                pass

    class Fine(SchedulerActor):
        def on_registered(self, *anything):
            pass

        def on_task_failed(self, failure, extra=None):
            pass


def test_a_misspelt_hook_is_named(caplog):
    caplog.set_level(logging.WARNING)

    class Misspelt(SchedulerActor):
        def on_task_finishd(self, done):
            pass

        def tell_everybody(self):
            pass

    assert "Misspelt.on_task_finishd is not a hook, and is never called: did you mean on_task_finished?" in (
        caplog.text
    )
    assert "tell_everybody" not in caplog.text


class Forward(SchedulerActor):
    """A handler whose message is declared further down."""

    def on_registered(self, event):
        self.tell(self.actor_ref, Later("hello"))

    @receive
    def later(self, later: "Later"):
        self.finish(0, later.text)


@message
class Later:
    text: str


async def test_a_handler_may_name_a_message_that_is_declared_further_down(master):
    master.plan = seen
    assert await play(composition(master, Forward)) == m.Outcome(0, "hello")
