"""Whole frameworks of which one leads, in one process: what its author is told, and what is made anew with each reign."""

import asyncio
import time

import pytest

from actors import messages as m
from actors.composition import ActorSpec, Composition, run
from actors.connection_actor import ConnectionActor, ConnectionSettings
from actors.framework_settings import FrameworkSettings
from actors.runtime import ActorSystem
from actors.scheduler_actor import SchedulerActor
from actors.server_actor import ServerActor, ServerSettings
from actors.store.coordination import LEADER, Batch
from actors.store_actor import StoreActor, StoreSettings
from tests.support.coordination import Servers
from tests.support.simulated_master import simulated_master

LEASE = 2.0


class Diary(SchedulerActor):
    """Writes down what it is told, in a list that outlives it; ends when its five tasks have."""

    def __init__(self, composition, settings):
        super().__init__(composition, settings)
        self.diary = settings
        self.note("made")

    def note(self, *words):
        self.diary.append((*words,))

    def on_elected(self, event):
        self.note("elected", event.epoch, event.resumed, self.system.find("connection"))

    def on_deposed(self, event):
        self.note("deposed", event.epoch)
        self.launch(command="true", task_id=f"too late {event.epoch}")

    def on_stop(self):
        self.note("stopped")

    def on_registered(self, event):
        self.note("registered", event.framework_id)
        for number in range(5):
            self.launch(command="true", task_id=f"t-{number}")

    def on_reregistered(self, event):
        self.note("reregistered", event.framework_id)

    def on_task_finished(self, done):
        self.note("finished", done.task_id)
        if sum(note[0] == "finished" for note in self.diary) == 5:
            self.finish(3, "all done")


class Process:
    """One of the processes that share a store."""

    def __init__(self, master, servers, name, *, standby=True, cls=Diary):
        self.diary: list[tuple[object, ...]] = []
        self.system = ActorSystem(name)
        actors = (
            ActorSpec("scheduler", cls, self.diary),
            ActorSpec(
                "connection",
                ConnectionActor,
                ConnectionSettings(backoff=0.02, backoff_cap=0.05, teardown_timeout=2.0),
            ),
            ActorSpec("store", StoreActor, StoreSettings(url="etcd://nowhere/t", lease=LEASE)),
            ActorSpec("server", ServerActor, ServerSettings()),
        )
        framework = FrameworkSettings(name="t", user="u", master=master.url, standby=standby)
        self.composition = Composition(framework, actors, coordinate=servers.connect)

    async def __aenter__(self):
        await self.system.__aenter__()
        self.outcome = asyncio.ensure_future(run(self.composition, system=self.system))
        return self

    async def __aexit__(self, *error):
        self.outcome.cancel()
        await asyncio.wait([self.outcome])
        await self.system.__aexit__(*error)

    def told(self, what):
        return [note for note in self.diary if note[0] == what]

    async def until(self, what, times=1):
        async with asyncio.timeout(10.0):
            while len(self.told(what)) < times:
                await asyncio.sleep(0.01)

    async def ended(self):
        return await asyncio.wait_for(asyncio.shield(self.outcome), 15.0)


@pytest.fixture
async def master():
    async with simulated_master() as running:
        running.plan = lambda _info: [("TASK_RUNNING", b"")]
        yield running


@pytest.fixture
def servers():
    return Servers(clock=time.monotonic)


async def test_a_process_that_stands_by_has_an_election_and_nothing_else(master, servers):
    async with Process(master, servers, "one") as one:
        await one.until("registered")
        async with Process(master, servers, "other") as other:
            await asyncio.sleep(0.5)
            assert not other.diary
            names = {"store", "scheduler", "connection", "server", "offers"}
            assert not [name for name in names if other.system.find(name) is not None]
            assert other.system.find("election") is not None


async def test_the_author_is_told_before_anything_is_launched_and_a_standby_takes_everything_over(
    master, servers
):
    async with Process(master, servers, "one") as one:
        await one.until("registered")
        assert [note[0] for note in one.diary] == ["made", "elected", "registered"]
        assert one.diary[1][2:] == (0, None), "no connection was there yet"
        while len(master.launched) < 5:
            await asyncio.sleep(0.01)
        async with Process(master, servers, "other") as other:
            one.system.tell("framework", m.ShutdownRequested("SIGTERM"))
            assert (await one.ended()).exit_code == 0
            await other.until("reregistered")
            [elected] = other.told("elected")
            assert elected[2] == 5, "five tasks were taken over"
            assert elected[1] > one.diary[1][1]
            assert other.told("reregistered")[0][1] == one.told("registered")[0][1], "the same framework"
            assert not one.told("deposed"), "it resigned"


async def test_a_deposed_leader_is_stopped_and_made_anew_when_it_leads_again(master, servers):
    async with Process(master, servers, "one") as one:
        await one.until("registered")
        while len(master.launched) < 5:
            await asyncio.sleep(0.01)
        servers.apply(Batch(deletes=(LEADER,)), 0)
        await one.until("reregistered")
        assert [note[0] for note in one.diary] == [
            "made", "elected", "registered", "deposed", "stopped", "made", "elected", "reregistered",
        ]  # fmt: skip
        first, again = (note[1] for note in one.told("elected"))
        assert again > first
        assert one.told("elected")[1][2] == 5, "what the deposed one launched too late is not among them"
        assert "TEARDOWN" not in master.types


async def test_when_the_framework_ends_those_who_stand_by_end_as_it_did(master, servers):
    master.plan = lambda _info: [("TASK_RUNNING", b""), ("TASK_FINISHED", b"")]
    async with Process(master, servers, "one") as one:
        await one.until("made")
        async with Process(master, servers, "other") as other:
            assert await one.ended() == m.Outcome(3, "all done")
            assert await other.ended() == m.Outcome(3, "the framework has ended: all done")
            assert not other.diary
        async with Process(master, servers, "later") as later:
            await later.until("registered")  # it begins anew


async def test_who_takes_over_from_a_leader_that_could_not_end_the_framework_ends_it(master, servers):
    master.plan = lambda _info: [("TASK_RUNNING", b""), ("TASK_FINISHED", b"")]
    master.answer_call = lambda call: (503, "") if call.type == call.TEARDOWN else (202, "")
    async with Process(master, servers, "one") as one:
        await one.until("made")
        async with Process(master, servers, "other") as other:
            outcome = await one.ended()
            assert "all done, but the master could not be told" in outcome.reason
            master.answer_call = lambda _call: (202, "")
            assert await other.ended() == m.Outcome(3, "all done")
            assert not other.told("registered"), "it began no new framework"


async def test_a_process_that_stands_by_ends_when_it_is_asked_to(master, servers):
    async with Process(master, servers, "one") as one:
        await one.until("made")
        async with Process(master, servers, "other") as other:
            while other.system.find("election") is None:
                await asyncio.sleep(0.01)
            other.system.tell("framework", m.ShutdownRequested("Ctrl-C"))
            assert await other.ended() == m.Outcome(0, "Ctrl-C")
        assert not one.outcome.done()


async def test_a_store_that_is_away_when_a_leader_begins_has_it_stand_again(master, servers):
    class Slow(Diary):
        def on_start(self):
            if not self.told_before:
                servers.down = True

        @property
        def told_before(self):
            return len([note for note in self.diary if note[0] == "made"]) > 1

    async with Process(master, servers, "one", cls=Slow) as one:
        await one.until("made")
        await asyncio.sleep(1.0)
        servers.down = False
        await one.until("registered")
        assert not one.outcome.done()
