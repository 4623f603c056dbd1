"""Crashes at every step: a scheduler that dies before or after the n-th thing that it writes or sends, and is started again.

`Crashes` plays the cluster and has schedulers run in processes that a small one forks, with everything imported. Each scheduler
counts its writes and calls (a store and a connection of the composition do that), notes them in the book `points`, and dies
(`os._exit`) at the one that it was told. Where the records are in memory, its system is dropped instead, with whatever is still
under way in it, and another is built over the records in the same process.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from actors.composition import ActorSpec, Composition, run
from actors.connection_actor import ConnectionActor, ConnectionSettings
from actors.framework_settings import ExecutorSettings, FrameworkSettings
from actors.messages import ClearStore
from actors.offer_actor import OfferActor, OfferSettings
from actors.reconciler_actor import ReconcilerActor, ReconcilerSettings
from actors.runtime import Actor, pack, unpack
from actors.server_actor import ServerActor, ServerSettings
from actors.store.backends import MemoryBackend
from actors.store_actor import StoreActor, StoreSettings
from mesos_v1 import pb
from mesos_v1.content import ContentType, parse
from tests.chaos.books import Books, BooksSettings, Done, kind_of, write_line
from tests.chaos.judge import Broken, Evidence, judge, read_book
from tests.chaos.tap import described
from tests.support.raw_server import raw_server
from tests.support.servers import Etcd, Server
from tests.support.simulated_master import FINISHES, SimulatedMaster

TASKS = 8  # the kinds that `books.kind_of` makes of these numbers, and t-1, whose first attempt fails
ROLE = "crashing"
LEASE = 2.0  # seconds
DIED = 77
HANGS = 20  # seconds
CLEARED = "after the store was cleared"  # the framework has ended: whoever starts another begins a new one
Call = pb.scheduler.Call


# --- the scheduler's process ---------------------------------------------------------------------------------------


class Points:
    """Counts what is written and sent, and lets the scheduler die at one of them; nothing has an effect afterwards."""

    def __init__(self, at: int, book: Path, die: Callable[[], None]) -> None:
        self.dead = False
        self._at, self._book, self._die = at, book, die
        self._count = 0
        self._lock = threading.Lock()

    def reach(self, where: str) -> None:
        with self._lock:
            if self.dead:
                return
            self._count += 1
            write_line(self._book, where)
            if self._count == self._at:
                self.dead = True
                self._die()


POINTS: Points
KEPT: dict[tuple[str, str], bytes] = {}


class WatchedBackend:
    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def commit(self, changes: Any) -> None:
        cleared = any(isinstance(change, ClearStore) for change in changes)
        POINTS.reach("before a write")
        if not POINTS.dead:
            self._backend.commit(changes)
        POINTS.reach(CLEARED if cleared else "after a write")

    def close(self, last: Any = ()) -> None:
        self._backend.close(() if POINTS.dead else last)


class WatchedStore(StoreActor):
    def __init__(self, composition: Composition, settings: StoreSettings) -> None:
        super().__init__(composition, settings)
        if isinstance(self.backend, MemoryBackend):
            self.backend = MemoryBackend(KEPT)
        self.backend = WatchedBackend(self.backend)

    def _written(self) -> None:
        if not POINTS.dead:  # else nobody may hear of it
            super()._written()


class WatchedPipeline:
    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def send(self, body: bytes, content_type: str) -> asyncio.Future[Any]:
        name = Call.Type.Name(parse(Call, body, ContentType(content_type)).type)
        POINTS.reach(f"before {name}")
        if POINTS.dead:
            return asyncio.get_running_loop().create_future()
        answer: asyncio.Future[Any] = self._pipeline.send(body, content_type)
        answer.add_done_callback(lambda _: POINTS.reach(f"after {name}"))
        return answer


class WatchedConnection(ConnectionActor):
    async def open_stream(self, *arguments: Any) -> Any:
        POINTS.reach("before SUBSCRIBE")
        if POINTS.dead:
            await asyncio.Event().wait()
        stream = await super().open_stream(*arguments)
        POINTS.reach("after SUBSCRIBE")
        return stream

    def open_pipeline(self, *arguments: Any) -> Any:
        return WatchedPipeline(super().open_pipeline(*arguments))


class PromptServer(ServerActor):
    stop_grace = 0.1


class ShortBooks(Books):
    """Ends by itself when it has been told all."""

    def note(self, line: str) -> None:
        if not POINTS.dead:
            super().note(line)

    def launch_one(self, number: int) -> None:
        if not POINTS.dead:
            super().launch_one(number)

    def tell_book(self, *words: str) -> None:
        if not POINTS.dead:
            super().tell_book(*words)
            self.end_if_all_is_told()

    def on_registered(self, event: object) -> None:
        super().on_registered(event)
        if not POINTS.dead:
            self.reserve(cpus=0.1)

    def on_operation_finished(self, done: Any) -> None:
        self.note(f"reserved {done.operation_id}")
        self.end_if_all_is_told()

    def on_operation_failed(self, failed: Any) -> None:
        self.note(f"refused {failed}")

    def on_uploaded(self, upload: Any) -> None:
        self.note(f"uploaded {upload.name}")
        self.end_if_all_is_told()

    def on_reregistered(self, event: object) -> None:
        self.end_if_all_is_told()

    def end_if_all_is_told(self) -> None:
        if POINTS.dead or self.state.outcomes < self.settings.tasks:
            return
        if {"uploaded", "reserved"} <= {
            line.split()[0] for line in read_book(Path(self.settings.folder) / "notes")
        }:
            self.leave_notes()
            self.finish(0)


def composition_of(master: str, folder: str, store: dict[str, Any]) -> Composition:
    actors: tuple[tuple[str, type[Actor], object], ...] = (
        ("scheduler", ShortBooks, BooksSettings(folder=folder, tasks=TASKS)),
        ("store", WatchedStore, StoreSettings(retry_after=0.05, **store)),
        ("connection", WatchedConnection, ConnectionSettings(backoff=0.05, backoff_cap=0.1)),
        ("offers", OfferActor, OfferSettings(refuse_seconds=0.05)),
        ("server", PromptServer, ServerSettings(upload_dir=f"{folder}/uploads")),
        ("reconciler", ReconcilerActor, ReconcilerSettings(first_wait=0.1, longest_wait=0.2)),
    )
    framework = {"name": "crashing", "user": "u", "master": master, "roles": (ROLE,)}
    return Composition(
        # one that finds the lease of the one that died waits until it is over
        FrameworkSettings(**framework, failover_timeout=1000.0, standby="url" in store),  # type: ignore[arg-type]
        tuple(ActorSpec(*each) for each in actors),
        (ExecutorSettings(name="worker", cls="tests.chaos.books:BooksExecutor"),),
        token="" if store else "a token for as long as the records are kept",
    )


async def one_life(composition: Composition, at: int, points: Path) -> int:
    """Run a scheduler until it ends, or is dropped; its exit status."""
    global POINTS
    loop, dropped = asyncio.get_running_loop(), asyncio.Event()
    in_memory = not composition.store_path and not composition.spec("store").settings.url  # type: ignore[union-attr]

    def die() -> None:
        if not in_memory:
            os._exit(DIED)
        loop.call_soon_threadsafe(dropped.set)

    POINTS = Points(at, points, die)
    running, end = asyncio.ensure_future(run(composition)), asyncio.ensure_future(dropped.wait())
    await asyncio.wait((running, end), return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not POINTS.dead:
        return (await running).exit_code
    running.cancel()
    if read_book(points)[-1] == CLEARED:
        return 0
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return await one_life(composition, 0, points)


def fork_schedulers() -> None:
    """Read orders, one JSON object a line; answer each with the exit status of the process that carried it out."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.alarm(HANGS)
            output = os.open(f"{order['folder']}/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            made = composition_of(order["master"], order["folder"], order["store"])
            status = 1
            try:
                status = asyncio.run(one_life(made, order["at"], Path(order["folder"]) / "points"))
            finally:
                os._exit(status)
        _, ended = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        sys.stdout.flush()


# --- the cluster, and the sweep -------------------------------------------------------------------------------------


class Cluster(SimulatedMaster):
    """Runs the tasks of the books, uploads what one of them uploads, and forgets frameworks that were torn down."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = self.plan_of
        self.effects: list[tuple[int, str, str]] = []
        self.gone: set[str] = set()
        self.frameworks = 0
        self.uploading: asyncio.Task[None] | None = None
        self.role = ROLE
        self.reservations: list[str] = []  # by the operations that made them
        self.untold: dict[str, bytes] = {}  # uuids of operations' outcomes that are not acknowledged

    def plan_of(self, info: pb.mesos.TaskInfo) -> Any:
        task, _, attempt = info.task_id.value.rpartition(".")
        number = int(task[2:])
        token = f"token-{len(self.effects)}"
        self.effects.append((number, info.task_id.value, token))
        if number == 0 and self.uploading is None:
            self.uploading = asyncio.ensure_future(upload(info.executor.data))
        kind = kind_of(number)
        if kind == "killed":
            return FINISHES[:1]
        if kind == "failing" or (number == 1 and attempt == "1"):
            return [FINISHES[0], ("TASK_FAILED", b"")]
        return FINISHES if kind == "command" else [FINISHES[0], ("TASK_FINISHED", pack(Done(number, token)))]

    async def _subscribe(self, request: Any, writer: Any) -> None:
        info = parse(
            Call, request.body, ContentType(request.headers["content-type"])
        ).subscribe.framework_info
        self.greets = info.id.value not in self.gone
        if not info.id.value:
            self.frameworks += 1
            self.framework_id = f"f-{self.frameworks}"
        await super()._subscribe(request, writer)
        for operation_id, uuid in self.untold.items():
            await self.say_reserved(operation_id, uuid)
        if not self.greets:
            error = pb.scheduler.Event(type=pb.scheduler.Event.ERROR)
            error.error.message = "Framework has been removed"
            await self.send(error)
            await self.end_stream()

    async def _act(self, call: Call) -> None:
        if call.type == Call.TEARDOWN:
            self.gone.add(call.framework_id.value)
        elif call.type == Call.ACCEPT:
            for operation in call.accept.operations:
                if operation.type == pb.mesos.Offer.Operation.RESERVE:
                    self.reservations.append(operation.id.value)
                    self.untold[operation.id.value] = uuid = os.urandom(16)
                    await self.say_reserved(operation.id.value, uuid)
        elif call.type == Call.RECONCILE_OPERATIONS:
            for asked in call.reconcile_operations.operations:
                known = asked.operation_id.value in self.reservations
                await self.say_reserved(asked.operation_id.value, b"", "FINISHED" if known else "UNKNOWN")
        elif call.type == Call.ACKNOWLEDGE_OPERATION_STATUS:
            self.untold.pop(call.acknowledge_operation_status.operation_id.value, None)
        await super()._act(call)

    async def say_reserved(self, operation_id: str, uuid: bytes, state: str = "FINISHED") -> None:
        event = pb.scheduler.Event(type=pb.scheduler.Event.UPDATE_OPERATION_STATUS)
        status = event.update_operation_status.status
        status.operation_id.value, status.agent_id.value = operation_id, "a"
        status.state = pb.mesos.OperationState.Value(f"OPERATION_{state}")
        if uuid:
            status.uuid.value = uuid
        await self.send(event)


async def upload(letter: bytes) -> None:
    """As an executor does: until it is answered."""
    boot = unpack(letter).message
    headers = {"Authorization": f"Bearer {boot.token}"}
    patience = aiohttp.ClientTimeout(total=1.0)
    async with aiohttp.ClientSession(headers=headers, timeout=patience) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.put(f"{boot.server_url}/uploads/picture", data=b"x") as answer:
                    if answer.status < 300:
                        return
            await asyncio.sleep(0.02)


Stores = Callable[[Path], dict[str, Any]]


def stores_on(server: Server | None) -> Stores:
    """Fresh stores on a server; in a file where there is none."""
    if server is None:
        return lambda folder: {"path": str(folder / "store.db")}
    scheme = "etcd" if isinstance(server, Etcd) else "zk"
    return lambda folder: {
        "url": f"{scheme}://{server.address}/crashes/{folder.parent.name}-{folder.name}",
        "lease": LEASE,
    }


class Crashes:
    """Schedulers on one kind of store; `store_of` makes the settings of a fresh one from a folder."""

    def __init__(self, forkers: list[asyncio.subprocess.Process], folder: Path, store_of: Stores) -> None:
        self._folder, self._store_of = folder, store_of
        self._idle: asyncio.LifoQueue[asyncio.subprocess.Process] = asyncio.LifoQueue()
        for forker in forkers:
            self._idle.put_nowait(forker)
        self._lanes = asyncio.Semaphore(len(forkers))
        self.runs = 0

    async def points(self) -> list[str]:
        """What an undisturbed scheduler writes and sends."""
        folder, broken = await self._run(0)
        assert not broken, broken
        return read_book(folder / "points")

    async def at(self, point: int) -> list[Broken]:
        """Let one die at a point, and another continue; what was broken."""
        async with self._lanes:
            _, broken = await self._run(point)
            return broken

    async def sweep(self, every: int = 1) -> dict[int, list[Broken]]:
        """Crash at each point, or at each n-th, several at a time; what was broken, by point.

        Which come is known from a run without a crash. They do not always come in the same order, so it goes a little further.
        """
        count = len(await self.points())
        tried = range(every, count + 1 + every, every)
        found = zip(tried, await asyncio.gather(*map(self.at, tried)), strict=True)
        return {point: broken for point, broken in found if broken}

    async def _run(self, point: int) -> tuple[Path, list[Broken]]:
        self.runs += 1
        folder = self._folder / f"{self.runs}-{point}"
        folder.mkdir(parents=True)
        cluster, complaints = Cluster(), []
        async with raw_server(cluster.handle) as cluster.server:
            order = {
                "folder": str(folder),
                "master": cluster.url,
                "store": self._store_of(folder),
                "at": point,
            }
            status = await self._order(order)
            if status == DIED and read_book(folder / "points")[-1] == CLEARED:
                status = 0
            elif status == DIED:
                cluster.server.drop_connections()
                status = await self._order(order | {"at": 0})
            if status:
                complaints.append(f"it ended with {status}: {(folder / 'log').read_text()[-2000:]}")
            if cluster.uploading is not None:  # whose answer may have gone with the one that died
                cluster.uploading.cancel()
            if len(cluster.reservations) != 1 or cluster.untold:
                complaints.append(
                    f"reserved by {cluster.reservations}, not acknowledged: {set(cluster.untold)}"
                )
        seen = Evidence(
            tasks=TASKS,
            effects=cluster.effects,
            told=[
                (outcome, task, token)
                for outcome, task, token, *_ in map(str.split, read_book(folder / "told"))
            ],
            notes=read_book(folder / "notes"),
            wire=[described(call) for call, _ in cluster.calls],
            master=[(task, cluster.states[task]) for task in cluster.known],
            complaints=complaints,
        )
        return folder, judge(seen)

    async def _order(self, order: dict[str, Any]) -> int:
        forker = await self._idle.get()
        assert forker.stdin is not None
        assert forker.stdout is not None
        forker.stdin.write(json.dumps(order).encode() + b"\n")
        status = int(await forker.stdout.readline())
        self._idle.put_nowait(forker)
        return status


@asynccontextmanager
async def crashes(folder: Path, store_of: Stores, *, at_a_time: int = 4) -> Any:
    command, pipe, root = (
        (sys.executable, "-m", "tests.chaos.crashes"),
        asyncio.subprocess.PIPE,
        Path(__file__).parents[2],
    )
    forkers = [  # several, as a crash is mostly waiting
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=root)
        for _ in range(at_a_time)
    ]
    try:
        yield Crashes(forkers, folder, store_of)
    finally:
        for forker in forkers:
            assert forker.stdin is not None
            forker.stdin.close()
            await forker.wait()


if __name__ == "__main__":
    from tests.chaos import crashes as itself  # so that its classes have one name

    itself.fork_schedulers()
