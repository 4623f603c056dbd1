"""Two processes of one framework that share a store, with real servers: one leads, the other takes over, and what woke late has no say.

What each process sends to the master goes through a wire that is listened to: it shows what has left, whatever anybody says.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from actors.runtime import TraceRecord, read_trace
from mesostic.testing import AgentSettings, Cluster
from mesostic.testing import cluster as mesos_cluster
from tests.support.servers import Etcd, Server, ZooKeeper, missing
from tests.system.conftest import Ledger, tasks_of, until

pytestmark = pytest.mark.slow
logger = logging.getLogger(__name__)  # what was measured: pytest --log-cli-level=info

LEASE = 6.0  # what ZooKeeper grants begins at 4
GRACE = 2.0 + 1.5  # seconds; the promise is 2, on a machine that has nothing else to do


class Wire:
    """A way to the master that notes when its client has sent something."""

    def __init__(self, master: str) -> None:
        parts = urlsplit(master)
        self._master = (parts.hostname, parts.port)
        self.sent: list[tuple[float, bytes]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, calls = await asyncio.open_connection(*self._master)

        async def pass_on(data: asyncio.StreamReader, to: asyncio.StreamWriter, *, noted: bool) -> None:
            try:
                while chunk := await data.read(65536):
                    if noted:
                        self.sent.append((time.time(), chunk))
                    to.write(chunk)
                    await to.drain()
            except OSError:
                pass
            finally:
                to.close()

        await asyncio.gather(pass_on(reader, calls, noted=True), pass_on(answers, writer, noted=False))

    def between(self, start: float, end: float) -> list[bytes]:
        return [chunk for at, chunk in self.sent if start <= at < end]


class Candidate(Ledger):
    """One of the processes; all keep the same books, each has a terminal and a trace of its own."""

    def __init__(self, name: str, books: Path, url: str, settings: dict[str, object]) -> None:
        self.name = name
        self.trace = books / f"trace-{name}"
        super().__init__(books, url, {"store.path": "", "trace.file": str(self.trace), **settings})

    @property
    def terminal(self) -> Path:
        return self.folder / f"terminal-{self.name}"

    def signal(self, number: int) -> float:
        before = time.time()
        self.process.send_signal(number)
        return before

    @property
    def reigns(self) -> list[list[str]]:
        """What its author was told: elected (epoch, pid, tasks taken over) or deposed (epoch, pid)."""
        notes = self.lines("notes")
        return [
            note for note in notes if note[0] in {"elected", "deposed"} and note[2] == str(self.process.pid)
        ]

    def traced(self) -> list[TraceRecord]:
        return list(read_trace(self.trace))

    async def until_leads(self, times: int = 1) -> float:
        await self.until(
            lambda: sum(note[0] == "elected" for note in self.reigns) == times, f"{self.name}'s lead"
        )
        return time.time()

    async def until_stands_by(self) -> None:
        await self.until(lambda: "stands by" in self.terminal.read_text(), f"{self.name} to stand by")

    async def ended(self) -> int:
        async with asyncio.timeout(30.0):
            return await self.process.wait()


class Setting:
    """A cluster, servers of the store, and the candidates on them."""

    def __init__(self, folder: Path, mesos: Cluster, server: Server) -> None:
        self.folder, self.mesos, self.server = folder, mesos, server
        self.candidates: list[Candidate] = []
        scheme = {Etcd: "etcd", ZooKeeper: "zk"}[type(server)]
        self.store = f"{scheme}://{server.address}/ledger"

    async def start(self, name: str, url: str = "", **settings: object) -> Candidate:
        common = {
            "store.url": self.store,
            "store.lease": LEASE,
            "framework.standby": True,
            "scheduler.commands": 0,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        candidate = Candidate(name, self.folder, url or self.mesos.url, common)
        await candidate.start()
        self.candidates.append(candidate)
        return candidate


@pytest.fixture(params=[Etcd, ZooKeeper], ids=lambda kind: kind.name)
async def setting(request, tmp_path):
    if why := missing(request.param):
        pytest.skip(why)
    agent = AgentSettings(resources="cpus:1;mem:4096;disk:10000;ports:[31000-32000]")
    books = tmp_path / "books"
    books.mkdir()
    server = request.param(tmp_path / "server")
    try:
        # heartbeats are rare, so that a leader that was frozen does not miss them: its lease alone is to keep it from speaking
        async with mesos_cluster((agent,), credentials=(), heartbeat_interval=15.0) as mesos:
            made = Setting(books, mesos, server)
            try:
                yield made
            finally:
                for candidate in made.candidates:
                    await candidate.kill()
    finally:
        server.kill()


async def test_a_leader_that_was_frozen_reaches_neither_mesos_nor_the_store(setting):
    wire = Wire(setting.mesos.url)
    async with wire.open() as url:
        wanted = {"scheduler__tasks": 60, "scheduler__gated": True}
        one = await setting.start("one", url, **wanted)
        await one.until_leads()
        other = await setting.start("other", **wanted)
        await other.until_stands_by()
        await one.until_effects(10)

        frozen = one.signal(signal.SIGSTOP)
        one.open_gate()  # tasks finish, and others are due
        took_over = await other.until_leads() - frozen
        await other.until_told(15)
        logger.info("%s: seconds until a standby led: %s", setting.server.name, round(took_over, 1))
        logger.info(
            "%s: seconds until it had told 15 outcomes: %s",
            setting.server.name,
            round(time.time() - frozen, 1),
        )
        assert took_over < LEASE + GRACE

        woken = one.signal(signal.SIGCONT)
        await one.until(lambda: len(one.reigns) == 2, "the end of the first reign")
        await one.until_stands_by()
        assert [note[0] for note in one.reigns] == ["elected", "deposed"]

        killed = time.time()
        await other.kill()
        took_over = await one.until_leads(2) - killed
        logger.info("%s: seconds until the first led again: %s", setting.server.name, round(took_over, 1))
        assert took_over < LEASE + GRACE
        assert await one.ended() == 0, one.story()

    one.audit(once=False)
    traced = one.traced()
    again = next(each.time for each in traced if each.type.endswith(":Won") and each.time > woken)
    assert wire.between(frozen - 1.0, frozen), "the wire hears what is sent"
    assert not wire.between(woken, again), "it sent something although it did not lead"
    tasks = await asyncio.to_thread(tasks_of, setting.mesos.url)
    assert len({each["framework_id"] for each in tasks}) == 1
    epochs = [int(note[1]) for note in one.lines("notes") if note[0] == "elected"]
    assert epochs == sorted(set(epochs))
    assert len(epochs) == 3
    names = {each.type.rpartition(":")[2] for each in traced if woken <= each.time < again}
    assert "Deposed" in names, "the trace tells of it"
    assert not names & {"Stored", "Subscribed", "Launched", "TaskFinished"}, "it did something"


async def test_a_leader_that_wakes_up_late_says_nothing_before_it_is_elected_again(setting):
    """Nobody else has led, so the master still takes what it says: only its own clock keeps it from speaking."""
    wire = Wire(setting.mesos.url)
    async with wire.open() as url:
        one = await setting.start("one", url, scheduler__tasks=20, scheduler__gated=True)
        await one.until_leads()
        await one.until_effects(10)
        one.signal(signal.SIGSTOP)
        one.open_gate()
        await asyncio.sleep(LEASE + 2.0)  # it is to be late
        woken = one.signal(signal.SIGCONT)
        await one.until_leads(2)
        assert await one.ended() == 0, one.story()
    one.audit(once=False)
    again = next(each.time for each in one.traced() if each.type.endswith(":Won") and each.time > woken)
    assert not wire.between(woken, again), "it spoke although its lease was over"
    assert wire.between(again, again + 60.0)


async def test_a_leader_that_leaves_is_followed_at_once(setting):
    one = await setting.start("one", scheduler__tasks=20, scheduler__gated=True)
    await one.until_leads()
    other = await setting.start("other", scheduler__tasks=20, scheduler__gated=True)
    await other.until_stands_by()
    await one.until_effects(5)
    left = one.signal(signal.SIGTERM)
    assert await one.ended() == 0
    followed = await other.until_leads() - left
    logger.info("%s: seconds until the other led: %s", setting.server.name, round(followed, 1))
    assert followed < LEASE / 2, "it did not wait for the lease to end"
    one.open_gate()
    assert await other.ended() == 0, other.story()
    other.audit()


async def test_a_standby_ends_with_the_framework_and_with_ctrl_c(setting):
    one = await setting.start("one", scheduler__tasks=10, scheduler__gated=True)
    await one.until_leads()
    other, third = [
        await setting.start(name, scheduler__tasks=10, scheduler__gated=True) for name in ("other", "third")
    ]
    await other.until_stands_by()
    await third.until_stands_by()
    third.signal(signal.SIGINT)
    assert await third.ended() == 0
    assert "it did not lead the framework" in third.terminal.read_text()
    one.open_gate()
    assert await one.ended() == 0, one.story()
    assert await other.ended() == 0
    assert "the framework has ended: finished" in other.terminal.read_text()
    one.audit()
    assert all("Traceback" not in each.terminal.read_text() for each in setting.candidates)


async def test_a_second_process_that_is_not_to_stand_by_says_who_leads(setting):
    one = await setting.start("one", scheduler__tasks=5, scheduler__gated=True)
    await one.until_leads()
    other = await setting.start("other", framework__standby=False)
    assert await other.ended() == 2
    said = other.terminal.read_text()
    assert f"another process leads this framework: process {one.process.pid} on " in said
    assert "standby = true" in said
    one.open_gate()
    assert await one.ended() == 0, one.story()


async def test_a_leader_whose_store_is_away_sends_nothing_and_goes_on_when_it_is_back(setting):
    wire = Wire(setting.mesos.url)
    async with wire.open() as url:
        one = await setting.start("one", url, scheduler__tasks=30, scheduler__gated=True)
        await one.until_leads()
        await one.until_effects(5)
        await asyncio.to_thread(setting.server.kill)
        away = time.time()
        one.open_gate()
        await one.until(
            lambda: "nothing is sent or acknowledged" in one.terminal.read_text(), "the end of the lease"
        )
        silent = time.time()
        assert silent - away < LEASE + GRACE
        await asyncio.sleep(2.0)
        back = time.time()
        assert not wire.between(silent, back)
        await asyncio.to_thread(setting.server.restart)
        assert await one.ended() == 0, one.story()
    one.audit(once=False)
    assert one.terminal.read_text().count("nothing is sent or acknowledged") == 1
    await until(lambda: wire.between(back, time.time()), "what it sent afterwards")
