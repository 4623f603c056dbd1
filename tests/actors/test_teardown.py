"""TEARDOWN until somebody has answered it: a framework ends well only when its master knows that it has ended."""

import asyncio

import pytest

from actors import messages as m
from actors import store_actor
from actors.composition import ActorSpec, Composition, run
from actors.connection_actor import ConnectionActor, ConnectionSettings
from actors.framework_settings import FrameworkSettings
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.runtime import ActorSystem
from actors.scheduler import base_scheduler
from actors.scheduler_actor import SchedulerActor
from actors.store.backends import SqliteBackend, StorageError
from actors.store_actor import StoreActor, StoreSettings
from mesos_http import ConnectFailed
from mesos_v1 import pb
from mesos_v1.errors import ApiError
from mesos_v1.values import FrameworkId
from tests.actors.test_connection_over_http import Bench
from tests.actors.test_connection_timing import scenario
from tests.support.scripted_master import UNAVAILABLE, scripted_master

REMOVED = pb.scheduler.Event(type=pb.scheduler.Event.ERROR)
REMOVED.error.message = "Framework has been removed"
TAKEN_OVER = pb.scheduler.Event(type=pb.scheduler.Event.ERROR)
TAKEN_OVER.error.message = "Framework failed over"


@pytest.fixture
async def master():
    async with scripted_master() as running:
        yield running


@pytest.fixture
async def bench(master):
    async with ActorSystem() as system:
        framework = FrameworkSettings(name="t", user="root", master=master.url)
        settings = ConnectionSettings(backoff=0.02, backoff_cap=0.05, teardown_timeout=8.0)
        yield Bench(system, master, framework, settings)


def told(bench) -> list[m.TeardownDone]:
    done: list[m.TeardownDone] = bench.heard(m.TeardownDone)
    return done


async def test_a_master_that_is_busy_twice_is_told_a_third_time(bench, master):
    await bench.subscribe()
    answers = iter([(503, "busy"), (500, "oops")])
    master.answer_call = lambda _call: next(answers, (202, ""))
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: told(bench))
    assert told(bench) == [m.TeardownDone()]
    assert master.types == ["TEARDOWN"] * 3


async def test_a_master_that_restarts_is_told_when_it_is_back(bench, master):
    await bench.subscribe()
    answers = iter([None])
    master.answer_call = lambda _call: next(answers, (202, ""))
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: master.calls)
    master.answers.extend([UNAVAILABLE] * 3)
    assert master.server is not None
    master.server.drop_connections()
    await bench.until(lambda: told(bench))
    assert told(bench) == [m.TeardownDone()]
    assert master.types == ["TEARDOWN"] * 2
    assert len(master.subscribes) == 5
    assert b"f-1" in master.subscribes[-1].body
    assert (
        len([x for x in bench.offers if isinstance(x, m.Subscribed)]) == 1
    )  # nobody begins anything any more


async def test_a_teardown_goes_where_the_master_redirects_to(bench, master):
    async with scripted_master() as leader:
        await bench.subscribe()
        master.answer_call = lambda _call: (307, "")
        master.answers.append((307, leader.url.removeprefix("http:") + "/api/v1/scheduler", ""))
        bench.connection.tell(m.Teardown())
        await leader.until(lambda: told(bench))
        assert told(bench) == [m.TeardownDone()]
        assert leader.types == ["TEARDOWN"]


async def test_a_stream_that_ends_before_the_answer_is_no_answer(bench, master):
    await bench.subscribe()
    master.answer_call = lambda _call: None
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: master.calls)
    await master.end_stream()
    await asyncio.sleep(0.05)
    assert told(bench) == []
    master.answer_call = lambda _call: (202, "")
    assert master.server is not None
    master.server.drop_connections()
    await bench.until(lambda: told(bench))
    assert told(bench) == [m.TeardownDone()]


@pytest.mark.parametrize("status", [401, 403, 400])
async def test_a_master_that_will_not_take_it_from_us_is_told_on(bench, master, status):
    await bench.subscribe()
    master.answer_call = lambda _call: (status, "Not authorized to teardown framework")
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: told(bench))
    (done,) = told(bench)
    assert not done.answered
    assert done.reason == f"TEARDOWN was answered {status}: Not authorized to teardown framework"


async def test_a_framework_that_another_scheduler_has_taken_over_is_not_ended_by_us(bench, master):
    await bench.subscribe()
    master.answer_call = lambda _call: None
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: master.calls)
    await master.send(TAKEN_OVER)
    await bench.until(lambda: told(bench))
    assert told(bench) == [m.TeardownDone(answered=False, reason="Framework failed over")]


@pytest.mark.parametrize("when", ["while it waits for the answer", "when it comes back"])
async def test_a_master_that_says_the_framework_is_gone_has_answered(bench, master, when):
    await bench.subscribe()
    master.answer_call = lambda _call: None
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: master.calls)
    if when == "when it comes back":
        master.greets = False
        assert master.server is not None
        master.server.drop_connections()
        await bench.until(lambda: len(master.stream_ids) == 2)
    await master.send(REMOVED)
    await bench.until(lambda: told(bench))
    assert told(bench) == [m.TeardownDone()]


async def test_a_framework_that_never_was_has_nothing_to_tear_down(bench, master):
    master.answers.extend([UNAVAILABLE] * 1000)
    bench.connection.tell(m.Connect())
    await bench.until(lambda: master.subscribes)
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: told(bench), 6.0)  # less than it would go on asking
    assert told(bench) == [m.TeardownDone()]


@pytest.mark.parametrize("first", ["connect", "teardown"])
async def test_a_framework_of_an_earlier_run_is_subscribed_to_be_ended(bench, master, first):
    asked = [m.Connect(FrameworkId("f-1")), m.Teardown()]
    for message in asked if first == "connect" else reversed(asked):
        bench.connection.tell(message)
    await bench.until(lambda: told(bench))
    assert master.types == ["TEARDOWN"]


@scenario([(1.0, ConnectFailed("refused"))] * 3, teardown_timeout=30.0)
async def test_a_framework_whose_first_subscription_fails_after_its_end_was_asked_for_has_nothing_to_tear_down(
    bench,
):
    await bench.connect()
    bench.ref.tell(m.Teardown())
    await bench.settle(1.5)
    assert bench.of("scheduler", m.TeardownDone) == [m.TeardownDone()]


@scenario(teardown_timeout=30.0)
async def test_a_master_that_says_nothing_is_told_again_until_the_time_is_over(bench):
    await bench.connect()
    bench.twin.answers_calls = False
    bench.ref.tell(m.Teardown())
    await bench.settle(29.9)
    assert bench.of("scheduler", m.TeardownDone) == []
    assert 3 <= len(bench.twin.calls) <= 6
    await bench.settle(0.2)
    (done,) = bench.of("scheduler", m.TeardownDone)
    assert not done.answered
    assert "no answer to TEARDOWN within 5 s" in done.reason


@scenario(teardown_timeout=30.0)
async def test_the_time_for_one_teardown_is_not_taken_from_the_next(bench):
    await bench.connect()
    bench.ref.tell(m.Teardown())
    await bench.settle(20)
    assert bench.take("scheduler", m.TeardownDone) == [m.TeardownDone()]
    await bench.connect()
    bench.twin.answers_calls = False
    bench.ref.tell(m.Teardown())
    await bench.settle(29)
    assert bench.of("scheduler", m.TeardownDone) == []
    await bench.settle(1.1)
    assert [done.answered for done in bench.of("scheduler", m.TeardownDone)] == [False]


@scenario()
async def test_what_a_master_answers_is_told_but_no_book(bench):
    await bench.connect()
    bench.twin.answers = [(400, b"x" * 10_000)]
    bench.ref.tell(m.Teardown())
    await bench.settle()
    (done,) = bench.of("scheduler", m.TeardownDone)
    assert done.reason == f"TEARDOWN was answered 400: {'x' * 500}"


@scenario([None] + [ConnectFailed("refused")] * 8, teardown_timeout=30.0)
async def test_a_master_that_is_away_for_a_while_is_told_when_it_listens_again(bench):
    await bench.connect()
    bench.twin.streams[0].queue.put_nowait(None)
    await bench.settle()
    bench.ref.tell(m.Teardown())
    await bench.settle(20)
    assert bench.of("scheduler", m.TeardownDone) == [m.TeardownDone()]


@scenario([None] + [ApiError(503, "recovering")] * 10_000, teardown_timeout=30.0)
async def test_a_master_that_never_recovers_is_given_up_after_the_time(bench):
    await bench.connect()
    bench.twin.streams[0].queue.put_nowait(None)
    await bench.settle()
    bench.ref.tell(m.Teardown())
    await bench.settle(29)
    assert bench.of("scheduler", m.TeardownDone) == []
    assert len(bench.twin.attempts) > 10
    await bench.settle(2)
    (done,) = bench.of("scheduler", m.TeardownDone)
    assert "recovering" in done.reason


# --- whole frameworks -------------------------------------------------------------------------------------------------


class Done(SchedulerActor):
    def on_registered(self, event):
        self.finish(0, f"all done as {event.framework_id}")


class LowDone(LowLevelScheduler):
    def registered(self, event):
        self.finish(0, f"all done as {event.framework_id}")


def composition(master, cls, store="", patience=20.0):
    actors = (
        ActorSpec("scheduler", cls, None),
        ActorSpec(
            "connection",
            ConnectionActor,
            ConnectionSettings(backoff=0.02, backoff_cap=0.05, teardown_timeout=patience),
        ),
        ActorSpec("store", StoreActor, StoreSettings(str(store))),
    )
    return Composition(FrameworkSettings(name="t", user="u", master=master.url), actors)


@pytest.mark.parametrize("cls", [Done, LowDone])
async def test_a_framework_whose_master_could_not_be_told_does_not_end_well(master, cls):
    master.answer_call = lambda call: (503, "busy") if call.type == pb.scheduler.Call.TEARDOWN else (202, "")
    outcome = await asyncio.wait_for(run(composition(master, cls, patience=0.3)), 10)
    assert outcome.exit_code == 1
    assert "framework f-1 and its tasks may still be there" in outcome.reason
    assert "503: busy" in outcome.reason


@pytest.mark.parametrize("cls", [Done, LowDone])
async def test_the_next_run_ends_what_the_one_before_could_not_and_starts_as_a_new_framework(
    master, tmp_path, cls
):
    store = tmp_path / "store.db"
    master.answer_call = lambda call: (503, "busy") if call.type == pb.scheduler.Call.TEARDOWN else (202, "")
    outcome = await asyncio.wait_for(run(composition(master, cls, store, patience=0.3)), 10)
    assert outcome.exit_code == 1
    assert "the next run with that store ends it first" in outcome.reason
    ended: list[str] = []

    def answer(call):
        if call.type == pb.scheduler.Call.TEARDOWN:
            ended.append(call.framework_id.value)
            master.framework_id = "f-2"
        return 202, ""

    master.answer_call = answer
    outcome = await asyncio.wait_for(run(composition(master, cls, store)), 10)
    assert outcome == m.Outcome(0, "all done as f-2")
    assert ended == ["f-1", "f-2"]


@pytest.mark.parametrize(("failures", "exit_code"), [(2, 0), (10_000, 1)])
async def test_a_framework_whose_store_could_not_be_cleared_does_not_end_well(
    master, tmp_path, monkeypatch, failures, exit_code
):
    class FullDisk(SqliteBackend):
        def commit(self, changes):
            nonlocal failures
            if failures and any(isinstance(change, m.ClearStore) for change in changes):
                failures -= 1
                raise StorageError("the disk is full")
            super().commit(changes)

    monkeypatch.setattr(store_actor, "SqliteBackend", FullDisk)
    monkeypatch.setattr(base_scheduler, "CLEAR_PATIENCE", 3.0)
    outcome = await asyncio.wait_for(run(composition(master, Done, tmp_path / "store.db")), 20)
    assert outcome.exit_code == exit_code
    assert ("the store could not be cleared" in outcome.reason) == bool(exit_code)
    assert outcome.reason.startswith("all done as f-1")
    assert master.types.count("TEARDOWN") == 1


@pytest.mark.parametrize("asked", [True, False])
async def test_a_framework_without_a_store_asks_the_master_for_no_patience_unless_it_says_so(
    master, tmp_path, asked
):
    from dataclasses import replace

    for store, default in (("", 0.0), (tmp_path / "store.db", 7 * 24 * 3600.0)):
        made = composition(master, Done, store)
        expected = 42.0 if asked else default
        if asked:
            made = replace(made, framework=replace(made.framework, failover_timeout=expected))
        await asyncio.wait_for(run(made), 10)
        call = pb.scheduler.Call.FromString(master.subscribes[-1].body)
        assert call.subscribe.framework_info.failover_timeout == expected
