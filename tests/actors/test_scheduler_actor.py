"""Whole frameworks against a simulated master: hooks, commands, ends, restarts of the scheduler process."""

import asyncio
import contextlib
from typing import Any

import pytest

from actors import messages as m
from actors.composition import ActorSpec, Composition, run
from actors.connection_actor import ConnectionSettings
from actors.framework_settings import ExecutorSettings, FrameworkSettings, RetryPolicy
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.offer_actor import OfferActor, OfferSettings
from actors.runtime import Actor, ActorSystem, message, pack, receive, unpack
from actors.runtime.testing import ListTrace
from actors.scheduler_actor import SchedulerActor
from actors.server_actor import ServerActor, ServerSettings
from actors.store_actor import StoreSettings
from mesos_v1 import events, pb
from mesos_v1.resources import Resources
from mesos_v1.task_infos import command_info, task_info
from mesos_v1.values import AgentId, ExecutorId, TaskId
from tests.support.actor_bench import ActorBench, system, virtually
from tests.support.simulated_master import simulated_master

QUICK = RetryPolicy(attempts=2, backoff=0.01, cap=0.02)


@message
class Page:
    number: int


@message
class Seen:
    number: int


@message
class Poke:
    text: str


@pytest.fixture
async def master():
    async with simulated_master() as running:
        yield running


def composition(master, cls, *, store="", extra=(), settings=None, **server):
    actors = (
        ActorSpec("scheduler", cls, settings),
        ActorSpec("connection", _connection(), ConnectionSettings(backoff=0.02, backoff_cap=0.05)),
        ActorSpec("store", _store(), StoreSettings(store)),
        ActorSpec("server", _server(), ServerSettings(**server)),
        *extra,
    )
    return Composition(FrameworkSettings(name="t", user="u", master=master.url), actors, EXECUTORS)


EXECUTORS = (ExecutorSettings(name="crawl", cls="x:Y"),)


def _connection():
    from actors.connection_actor import ConnectionActor

    return ConnectionActor


def _store():
    from actors.store_actor import StoreActor

    return StoreActor


def _server():
    from actors.server_actor import ServerActor

    return ServerActor


async def play(made, seconds=10.0, **keywords):
    return await asyncio.wait_for(run(made, **keywords), seconds)


class Crawl(SchedulerActor):
    """Launches ten pages, and ends when each has its result."""

    count = 10

    def on_registered(self, event):
        self.registered = event
        self.results = []
        for number in range(self.count):
            self.launch(Page(number), cpus=1.0, retry=QUICK)

    def on_task_finished(self, done):
        self.results.append((done.payload.number, done.result.number))
        if len(self.results) == self.count:
            self.finish(7, "all seen")

    def on_task_failed(self, failed):
        self.finish(1, failed.message)


def seen(info):
    from actors.runtime import unpack

    number = unpack(info.data).message.number
    return [("TASK_RUNNING", b""), ("TASK_FINISHED", pack(Seen(number)))]


async def test_a_framework_runs_from_registration_to_teardown_with_its_exit_code(master):
    master.plan = seen
    outcome = await play(composition(master, Crawl))
    assert outcome == m.Outcome(7, "all seen")
    assert len(master.launched) == 10
    assert master.types.count("ACKNOWLEDGE") == 20
    assert master.types[-1] == "TEARDOWN"
    executor = master.launched[0].executor
    assert executor.executor_id.value.startswith("crawl-")
    assert "exec " in executor.command.value
    assert executor.command.uris[0].value.endswith(".tar.gz")


async def test_the_upload_token_reaches_executors_but_stands_in_no_message(master, tmp_path):
    trace = ListTrace("t")
    master.plan = seen
    async with ActorSystem("t", trace=trace) as system:
        await play(composition(master, Crawl, store=str(tmp_path / "s.db")), system=system)
    token = unpack(master.launched[0].executor.data).message.token
    assert (tmp_path / "s.db.token").read_text() == token
    assert (tmp_path / "s.db.token").stat().st_mode & 0o077 == 0
    assert len(token) >= 32
    assert not any(token.encode() in (record.payload or b"") for record in trace.records)


async def test_each_task_in_flight_has_an_actor_of_its_own(master):
    trace = ListTrace("t")
    master.plan = seen
    async with ActorSystem("t", trace=trace) as system:
        await play(composition(master, Crawl), system=system)
    started = {record.receiver for record in trace.records if record.kind == "started"}
    assert {f"task:crawl-{n}" for n in range(1, 11)} <= started
    assert {"connection", "offers", "reconciler", "store", "server", "scheduler"} <= started


async def test_a_hook_that_raises_ends_neither_framework_nor_task(master, caplog):
    """pymesos tears the whole framework down, and kills every task of it."""

    class Clumsy(Crawl):
        def on_registered(self, event):
            super().on_registered(event)
            raise RuntimeError("registered badly")

        def on_task_update(self, update):
            raise KeyError(update.task_id)

        def on_task_finished(self, done):
            super().on_task_finished(done)
            raise ValueError("clumsy")

    master.plan = seen
    assert (await play(composition(master, Clumsy))).exit_code == 7
    assert "registered badly" in caplog.text


async def test_an_authors_own_handler_that_raises_is_contained_too(master):
    class Poked(Crawl):
        def on_registered(self, event):
            self.tell(self.actor_ref, Poke("me"))
            super().on_registered(event)

        @receive
        def on_poke(self, poke: Poke):
            raise RuntimeError(poke.text)

    master.plan = seen
    assert (await play(composition(master, Poked))).exit_code == 7


async def test_a_failing_task_is_retried_and_its_last_failure_told(master):
    class Failing(Crawl):
        count = 1

        def on_task_failed(self, failed):
            self.finish(failed.attempts, f"{failed.payload} {failed.state} {failed.message}")

    master.plan = lambda _info: [("TASK_FAILED", b"")]
    outcome = await play(composition(master, Failing))
    assert outcome == m.Outcome(2, "Page(number=0) TASK_FAILED TASK_FAILED it is")
    assert [info.task_id.value for info in master.launched] == ["crawl-1.1", "crawl-1.2"]


async def test_the_executor_of_a_task_that_failed_and_is_tried_again_stays(master):
    class Retried(Crawl):
        count = 1

    plans = iter([[("TASK_RUNNING", b""), ("TASK_FAILED", b"")]])
    master.plan = lambda info: next(plans, seen(info))
    assert (await play(composition(master, Retried))).exit_code == 7
    launches = [number for number, kind in enumerate(master.types) if kind == "ACCEPT"]
    assert len(master.launched) == 2
    assert "SHUTDOWN" not in master.types[: launches[-1]]


async def test_a_killed_task_is_told_as_killed(master):
    class Killer(Crawl):
        count = 1

        def on_task_update(self, update):
            if update.phase.value == "running":
                assert self.kill(update.task_id)
                assert not self.kill("nobody")

        def on_task_killed(self, killed):
            self.finish(0 if killed.killed else 1, str(self.active_tasks))

    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    assert await play(composition(master, Killer)) == m.Outcome(0, "{}")


class Mistaken(SchedulerActor):
    """Collects what is said to mistakes of the author."""

    def on_registered(self, event):
        said = []
        mistakes: tuple[dict[str, Any], ...] = (
            {"executor": "nobody"},
            {"executor": "crawl", "command": "x"},
            {"command": "x", "task_id": "a/b"},
            {"command": "x", "task_id": ""},
            {"command": "x", "role": "ads"},
        )
        for arguments in mistakes:
            try:
                self.launch(**arguments)
            except ValueError as error:
                said.append(str(error))
        self.launch(command="x", task_id="twice")
        try:
            self.launch(command="x", task_id="twice")
        except ValueError as error:
            said.append(str(error))
        self.finish(0, " | ".join(said))


async def test_mistakes_of_the_author_are_one_sentence_each(master):
    outcome = await play(composition(master, Mistaken))
    assert outcome.reason.split(" | ") == [
        "there is no executor 'nobody' (there are: crawl)",
        "a task has either a command or an executor, not both",
        "a task id must not hold slashes, spaces or control characters: 'a/b'",
        "a task id must have 1 to 200 characters, not 0",
        "the framework has no role 'ads' (it has *)",
        "there is a task twice already",
    ]


def _event(kind):
    return pb.scheduler.Event(type=kind)


async def test_messages_of_executors_are_decoded_and_garbage_is_only_an_error(master):
    class Hearing(SchedulerActor):
        def on_registered(self, event):
            self.errors = []

        def on_error(self, message):
            self.errors.append(message)

        def on_message(self, message, source):
            self.finish(0, f"{message} {source.executor} {len(self.errors)} {self.hook_failures}")

    running = asyncio.ensure_future(play(composition(master, Hearing)))
    await master.until(lambda: bool(master.subscribes))
    await asyncio.sleep(0.05)
    for data in (b"\xc1\x00garbage", b"", pack(Poke("hello"))):
        event = _event(pb.scheduler.Event.MESSAGE)
        event.message.agent_id.value, event.message.executor_id.value, event.message.data = (
            "a",
            "crawl-12ab",
            data,
        )
        await master.send(event)
    assert await running == m.Outcome(0, "Poke(text='hello') crawl 2 0")


async def test_a_message_to_an_executor_goes_out_packed_and_what_cannot_go_is_a_mistake_of_the_author(master):
    said = []

    class Talks(SchedulerActor):
        def on_registered(self, event):
            for executor, mistake in (("e", [1]), ("e", b"x" * 5_000_000), ("\udcff", Poke("hello"))):
                try:
                    self.send_message(AgentId("a"), ExecutorId(executor), mistake)
                except ValueError as error:
                    said.append(str(error))
            self.send_message(AgentId("a"), ExecutorId("crawl-12ab"), Poke("hello"))
            self.finish()

    await play(composition(master, Talks))
    for error, words in zip(
        said, ("neither a message", "at most 4,198,400", "executor_id holds half"), strict=True
    ):
        assert words in error
    (call,) = [call for call, _ in master.calls if call.type == pb.scheduler.Call.MESSAGE]
    assert (call.message.agent_id.value, call.message.executor_id.value) == ("a", "crawl-12ab")
    assert unpack(call.message.data).message == Poke("hello")


async def test_an_attempt_that_turns_up_after_its_task_has_ended_is_killed(master):
    class Watches(SchedulerActor):
        def on_registered(self, event):
            self.launch(command="x", task_id="t")

        def on_unknown_task(self, status):
            self.finish(1, "it is known")

    running = asyncio.ensure_future(play(composition(master, Watches)))
    await master.until(lambda: master.launched and not master.known)
    for state in ("TASK_RUNNING", "TASK_FAILED"):
        await master.say("t.1", state, uuid=state.encode().rjust(16))
    await master.until(lambda: "KILL" in master.types)
    acknowledged = [call.acknowledge.uuid for call, _ in master.calls if call.HasField("acknowledge")]
    assert acknowledged[-2:] == [b"TASK_RUNNING".rjust(16), b"TASK_FAILED".rjust(16)]
    assert master.types.count("KILL") == 1
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


class FragileOffers(OfferActor):
    @receive
    def on_poke(self, poke: Poke) -> None:
        raise RuntimeError("a bug")


async def test_tasks_are_launched_again_after_the_actor_of_the_offers_has_failed(master):
    class Goes(SchedulerActor):
        def on_registered(self, event):
            self.launch(command="x", task_id="before", cpus=1000.0)  # waits
            self.tell("offers", Poke("fail"))

        def on_start(self):
            self.timers.after(0.3, Poke("launch"))

        @receive
        def on_poke(self, poke: Poke) -> None:
            self.launch(command="x", task_id="after")

        def on_task_finished(self, done):
            self.finish(0, done.task_id)

    extra = (ActorSpec("offers", FragileOffers, OfferSettings()),)
    assert await play(composition(master, Goes, extra=extra)) == m.Outcome(0, "after")


async def test_unknown_tasks_are_told_acknowledged_and_not_killed(master):
    """USI drops the update of an unknown task unacknowledged, so it comes for ever."""

    class Puzzled(SchedulerActor):
        def on_unknown_task(self, status):
            self.finish(0, status.task_id)

    running = asyncio.ensure_future(play(composition(master, Puzzled)))
    await master.until(lambda: bool(master.subscribes))
    await asyncio.sleep(0.05)
    await master.say("whose?", "TASK_RUNNING", uuid=b"u" * 16)
    assert (await running).reason == "whose?"
    assert "KILL" not in master.types
    assert "ACKNOWLEDGE" in master.types


async def test_inverse_offers_are_answered_by_the_author(master):
    class Stubborn(SchedulerActor):
        def on_inverse_offer(self, offer):
            self.timers.after(0.05, Poke("done"))
            return offer.id == "i1"

        @receive
        def on_poke(self, poke: Poke):
            self.finish(0)

    running = asyncio.ensure_future(play(composition(master, Stubborn)))
    await master.until(lambda: bool(master.subscribes))
    await asyncio.sleep(0.05)
    event = _event(pb.scheduler.Event.INVERSE_OFFERS)
    for name in ("i1", "i2"):
        offer = event.inverse_offers.inverse_offers.add()
        offer.id.value, offer.framework_id.value = name, "f-1"
        offer.unavailability.start.nanoseconds = 1
    await master.send(event)
    await running
    answers = [
        (kind, call) for kind, (call, _) in zip(master.types, master.calls, strict=True) if "INVERSE" in kind
    ]
    assert [kind for kind, _ in answers] == ["ACCEPT_INVERSE_OFFERS", "DECLINE_INVERSE_OFFERS"]


async def test_an_operations_update_is_acknowledged_with_agent_id_and_raw_uuid(master):
    """pymesos sends an object for the bytes; mesos-go leaves the agent id out: both are refused by a real master."""

    class Reserving(SchedulerActor):
        def on_operation_update(self, status):
            self.finish(0, f"{status.operation_id} {status.state}")

    running = asyncio.ensure_future(play(composition(master, Reserving)))
    await master.until(lambda: bool(master.subscribes))
    await asyncio.sleep(0.05)
    event = _event(pb.scheduler.Event.UPDATE_OPERATION_STATUS)
    status = event.update_operation_status.status
    status.operation_id.value, status.agent_id.value, status.uuid.value = "op", "a", b"u" * 16
    status.state = pb.mesos.OPERATION_FINISHED
    await master.send(event)
    assert (await running).reason == "op OPERATION_FINISHED"
    (call,) = [
        call for call, _ in master.calls if call.type == pb.scheduler.Call.ACKNOWLEDGE_OPERATION_STATUS
    ]
    body = call.acknowledge_operation_status
    assert (body.agent_id.value, body.uuid, body.operation_id.value) == ("a", b"u" * 16, "op")


async def test_an_executor_and_an_agent_that_are_lost_reach_their_hooks_and_no_other(master):
    class Mourning(SchedulerActor):
        def on_registered(self, event):
            self.lost = []

        def on_executor_lost(self, lost):
            self.lost.append(f"executor {lost.executor_id} on {lost.agent_id} with {lost.status}")
            raise RuntimeError("which is contained")

        def on_agent_lost(self, lost):
            self.finish(9, "; ".join([*self.lost, f"agent {lost.agent_id}"]))

    running = asyncio.ensure_future(play(composition(master, Mourning)))
    await master.until(lambda: bool(master.subscribes))
    executor = _event(pb.scheduler.Event.FAILURE)
    executor.failure.agent_id.value, executor.failure.executor_id.value = "a", "e"
    executor.failure.status = 139
    agent = _event(pb.scheduler.Event.FAILURE)
    agent.failure.agent_id.value = "a"
    await master.send(executor)
    await master.send(agent)
    assert await running == m.Outcome(9, "executor e on a with 139; agent a")


class AwayTooLong(Crawl):
    count = 3

    def on_reregistered(self, event):
        self.reregistered = event


async def test_a_framework_that_was_away_for_too_long_goes_on_as_a_new_one_and_its_tasks_run_again(master):
    """Without a store the master keeps it for no time at all, so one broken connection is enough."""
    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    running = asyncio.ensure_future(play(composition(master, AwayTooLong)))
    await master.until(lambda: len(master.known) == 3)
    master.known.clear()
    master._used.clear()
    master._busy, master.greets = 0.0, False
    await master.end_stream()
    await master.until(lambda: len(master.stream_ids) == 2)
    event = pb.scheduler.Event(type=pb.scheduler.Event.ERROR)
    event.error.message = "Framework has been removed"
    master.framework_id, master.greets = "f-2", True
    master.plan = lambda _info: [("TASK_RUNNING", b""), ("TASK_FINISHED", pack(Seen(1)))]
    await master.send(event)
    outcome = await running
    assert outcome.exit_code == 7
    assert len(master.launched) == 6
    subscribes = [request.body for request in master.subscribes]
    assert [b"f-1" in body for body in subscribes] == [False, True, False]


async def test_a_removed_framework_ends_with_the_masters_words(master):
    running = asyncio.ensure_future(play(composition(master, SchedulerActor)))
    await master.until(lambda: bool(master.subscribes))
    await asyncio.sleep(0.05)
    event = _event(pb.scheduler.Event.ERROR)
    event.error.message = "Framework has been removed"
    await master.send(event)
    assert await running == m.Outcome(1, "the master refuses the framework: Framework has been removed")


@pytest.mark.parametrize("durable", [True, False])
async def test_a_shutdown_request_leaves_a_durable_framework_and_ends_any_other(master, tmp_path, durable):
    async with ActorSystem() as system:
        made = composition(master, SchedulerActor, store=str(tmp_path / "s.db") if durable else "")
        running = asyncio.ensure_future(play(made, system=system))
        await master.until(lambda: bool(master.subscribes))
        await asyncio.sleep(0.05)
        system.get("scheduler").tell(m.ShutdownRequested("SIGINT"))
        outcome = await running
        assert outcome.exit_code == 0
        assert "SIGINT" in outcome.reason
    await master.until(master.is_alone)  # what was sent has been heard then
    assert ("TEARDOWN" in master.types) is not durable


async def test_a_port_in_use_ends_the_start_with_one_sentence(master):
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    outcome = await play(composition(master, Crawl, port=port))
    assert outcome.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in outcome.reason
    taken.close()
    await taken.wait_closed()
    assert master.subscribes == []


async def test_further_actors_are_there_and_can_talk_to_the_scheduler(master):
    class Helper(Actor):
        def __init__(self, composition, settings):
            super().__init__()
            self.settings = settings

        @receive
        def on_poke(self, poke: Poke) -> None:
            self.tell("scheduler", Seen(int(poke.text) + self.settings))

    class Asking(SchedulerActor):
        def on_registered(self, event):
            self.tell("helper", Poke("40"))

        @receive
        def on_seen(self, seen: Seen) -> None:
            self.finish(seen.number)

    made = composition(master, Asking, extra=(ActorSpec("helper", Helper, 2),))
    assert (await play(made)).exit_code == 42


class Counting(SchedulerActor):
    """A framework that is killed and started again; each page must be accounted for exactly once."""

    total = 30
    seen: list[int]  # over all runs, as a disk would have it

    def on_registered(self, event):
        for number in range(self.total):
            self.launch(Page(number), cpus=0.5, retry=RetryPolicy(attempts=5, backoff=0.01))

    def on_reregistered(self, event):
        if len(set(self.seen)) == self.total:  # killed between its last result and its end
            self.finish(0, "complete")

    def on_task_finished(self, done):
        type(self).seen.append(done.payload.number)
        if len(set(self.seen)) == self.total:
            self.finish(0, "complete")


async def test_a_killed_scheduler_goes_on_from_its_store_and_accounts_for_every_task(master, tmp_path):
    class Durable(Counting):
        seen = []  # noqa: RUF012

    master.plan = seen
    path = str(tmp_path / "s.db")
    outcome = None
    for attempt in range(40):
        made = composition(master, Durable, store=path)
        system = ActorSystem("t")
        task = asyncio.ensure_future(run(made, system=system))
        heard = len(Durable.seen)  # killed after a few outcomes more, in the middle of whatever comes then
        while not task.done() and len(Durable.seen) < heard + 1 + attempt:
            await asyncio.sleep(0)
        if task.done():
            outcome = task.result()
            await system.stop()
            break
        task.cancel()  # no farewell, no TEARDOWN: as when the process dies
        await asyncio.wait([task])
        await system.stop()
    assert outcome == m.Outcome(0, "complete")
    assert sorted(set(Durable.seen)) == list(range(30))
    assert any(b"f-1" in subscribe.body for subscribe in master.subscribes)
    assert master.types[-1] == "TEARDOWN"


async def test_after_a_lost_subscription_tasks_are_reconciled_and_go_on(master):
    class Patient(Crawl):
        count = 3
        lost = 0

        def on_disconnected(self, event):
            self.lost += 1

        def on_reregistered(self, event):
            self.back = True

        def on_task_finished(self, done):
            self.results.append(done.result)
            if len(self.results) == 3:
                self.finish(self.lost * 10 + self.back)

    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    running = asyncio.ensure_future(play(composition(master, Patient)))
    await master.until(lambda: master.types.count("ACKNOWLEDGE") == 3)
    await asyncio.sleep(0.05)
    master.abort_stream()
    await master.until(lambda: "RECONCILE" in master.types)
    for number in range(1, 4):
        task = f"crawl-{number}.1"
        master.known[task].append(("TASK_FINISHED", pack(Seen(number)), f"{task}-x".encode().rjust(16)))
        await master._say_next(task)
    assert (await running).exit_code == 11


class InHand(LowLevelScheduler):
    """Takes the first offer, declines the others; clumsy at first."""

    heard: list[str]

    def registered(self, event):
        type(self).heard = ["registered"]
        self.launched = False
        self.clumsy = True

    def resource_offers(self, offers):
        if self.launched:
            self.decline([offer.id for offer in offers])
            return
        self.launched = True
        (offer,) = offers
        taken = offer.resources.take(Resources.of(cpus=1, mem=10))
        self.launch_tasks(
            [offer.id], [task_info(TaskId("t1"), offer.agent_id, taken, command=command_info("true"))]
        )

    def status_update(self, status):
        type(self).heard.append(str(status.state))
        if self.clumsy and status.state == "TASK_RUNNING":
            self.clumsy = False
            raise RuntimeError("not stored")
        if status.state == "TASK_FINISHED":
            self.timers.after(0.05, Poke("x"))

    @receive
    def on_poke(self, poke: Poke):
        self.finish(3)


async def test_a_scheduler_with_offers_in_hand_acknowledges_only_what_its_callback_took(master):
    running = asyncio.ensure_future(play(composition(master, InHand)))
    await master.until(lambda: bool(master.launched))
    await asyncio.sleep(0.1)
    assert "ACKNOWLEDGE" not in master.types  # its callback raised
    await master._say_next("t1")  # so the agent sends it again
    assert (await running).exit_code == 3
    assert InHand.heard == ["registered", "TASK_RUNNING", "TASK_RUNNING", "TASK_FINISHED"]
    assert master.types.count("ACKNOWLEDGE") == 2


class Sturdy(Crawl):
    """Is hit by a bug of its own framework after the first result."""

    told: list[int]
    registrations: list[int]

    def on_registered(self, event):
        self.registrations.append(event.resumed)
        for number in range(10):
            self.launch(Page(number), cpus=1.0)

    def on_reregistered(self, event):
        self.registrations.append(event.resumed)

    def on_task_finished(self, done):
        self.told.append(done.payload.number)
        if len(self.told) == 3:
            broken: Any = None
            self.tell(self.actor_ref, events.Update(broken))  # fails in code that is not the author's
        if len(set(self.told)) == 10:
            self.finish(0)


async def test_a_scheduler_that_fails_itself_is_restarted_and_goes_on_with_its_tasks(master, caplog):
    Sturdy.told, Sturdy.registrations = [], []
    master.plan = seen
    assert (await play(composition(master, Sturdy))).exit_code == 0
    assert len(Sturdy.registrations) == 2
    assert Sturdy.registrations[1] > 0
    assert "scheduler" in caplog.text
    assert sorted(set(Sturdy.told)) == list(range(10))


async def test_a_kill_that_the_master_refuses_is_told_to_the_author(master):
    class Told(SchedulerActor):
        def on_registered(self, event):
            self.launch(command="sleep 100", task_id="t")

        def on_task_update(self, update):
            if update.phase == "running":
                self.kill("t")

        def on_error(self, message):
            self.finish(0, message)

    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    master.answer_call = lambda call: (403, "not yours") if call.type == call.KILL else (202, "")
    outcome = await play(composition(master, Told))
    assert outcome.reason.startswith("Kill of task t.1 failed: ")
    assert "not yours" in outcome.reason


class Sleepy(Actor):
    """A store on a disk that answers late, and then not well."""

    @receive
    async def handle_load(self, asked: m.Load) -> m.Loaded:
        await asyncio.sleep(25)
        raise OSError("the disk is away")


@pytest.mark.parametrize("cls", [SchedulerActor, LowLevelScheduler])
def test_it_is_said_who_is_waited_for(cls, caplog):
    async def work():
        async with system() as running:
            bench = ActorBench(running, "framework")
            running.spawn(Sleepy, name="store")
            running.spawn(cls, Composition(FrameworkSettings()), name="scheduler").tell(m.Begin())
            await bench.settle(30)
            assert bench.of("framework", m.Outcome) == [m.Outcome(2, "the disk is away")]

    virtually(work())
    said = [record.message for record in caplog.records if "waiting for" in record.message]
    assert said == [f"waiting for the store, which has not answered Load for {s} s" for s in (10, 20)]


class OpensOnce(ServerActor):
    """Loses its port to somebody else when it fails."""

    opened = 0

    @receive
    async def handle_open_server(self, asked: m.OpenServer) -> m.ServerReady:
        type(self).opened += 1
        if self.opened > 1:
            raise OSError("port 1 is taken")
        return await super().handle_open_server(asked)

    @receive
    def on_poke(self, poke: Poke) -> None:
        raise RuntimeError("a bug")


async def test_a_server_that_cannot_be_opened_again_ends_the_framework_with_a_sentence(master, monkeypatch):
    class Breaks(SchedulerActor):
        def on_registered(self, event):
            self.tell("server", Poke("fail"))

    monkeypatch.setattr("tests.actors.test_scheduler_actor._server", lambda: OpensOnce)
    outcome = await play(composition(master, Breaks))
    assert outcome == m.Outcome(1, "the server failed, and cannot be opened again: port 1 is taken")


async def test_nothing_more_is_launched_or_said_to_have_failed_while_the_framework_ends(
    master, monkeypatch, caplog
):
    phases = []

    class Ends(SchedulerActor):
        failed = 0

        def on_registered(self, event):
            for number in range(2):
                self.launch(Page(number), cpus=3.0, retry=QUICK)

        def on_task_update(self, update):
            phases.append(update.phase)
            if update.phase == "running":
                self.finish(0)

        def on_task_failed(self, failed):
            type(self).failed += 1

    async def shut_down(call):
        if call.type != call.SHUTDOWN:
            await act(call)
            return
        (task,) = master.known
        master.known[task].append(("TASK_KILLED", b"", task.encode().rjust(16)))
        await master._say_next(task)  # its resources are offered when that is acknowledged

    act = master._act
    monkeypatch.setattr(master, "_act", shut_down)
    monkeypatch.setattr("actors.scheduler_actor.EXECUTOR_PATIENCE", 0.5)
    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    assert (await play(composition(master, Ends))).exit_code == 0
    assert [info.task_id.value for info in master.launched] == ["crawl-1.1"]
    assert "TEARDOWN" in master.types
    assert Ends.failed == 0
    assert "backing off" not in phases
    assert [each for each in caplog.records if each.name == "actors.failures"] == []


async def test_tasks_of_a_drained_agent_run_again_and_their_executor_is_ended_with_the_last_of_them(master):
    class Drained(Crawl):
        count = 2

    master.plan = lambda _info: [("TASK_RUNNING", b"")]
    master.reasons = {"TASK_KILLED": "REASON_AGENT_DRAINING"}
    running = asyncio.ensure_future(play(composition(master, Drained)))
    await master.until(lambda: master.types.count("ACKNOWLEDGE") == 2)
    master.plan = seen
    for number in (1, 2):
        assert "SHUTDOWN" not in master.types
        await master._kill(f"crawl-{number}.1")
        await master.until(lambda: len(master.launched) == 2 + number)  # noqa: B023 - awaited at once
    assert (await running).exit_code == 7
    assert master.types.count("SHUTDOWN") >= 1


async def test_what_waits_is_launched_as_soon_as_a_task_that_ended_has_made_room(master):
    """Without a REVIVE the master would offer what is free again only when the refusal of the rest is over."""

    class Large(Crawl):
        def on_registered(self, event):
            self.results = []
            for number in range(self.count):
                self.launch(Page(number), cpus=3.0)

    def plan(info):
        master.suppressed = True  # a filter: nothing is offered until it is asked for
        return seen(info)

    master.plan = plan
    Large.count = 3
    assert (await play(composition(master, Large))).exit_code == 7
    assert master.types.count("REVIVE") >= 2
