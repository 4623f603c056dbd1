"""One chaos run: starts everything as processes, carries out the plan of a seed, waits for the end, and judges.

The processes are those that a user has: `mesostic cluster` (master and agents; the cluster's fault API kills those one by one, a
signal all of them at once), `mesostic run` (one, or two where the store lets one stand by), the executors that agents start,
and the store's server. Each scheduler speaks to the master through a tap. Who ends is started again, as a service manager would.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from actors.runtime import read_trace
from mesos_v1.states import TaskState, is_terminal
from tests.chaos.judge import Broken, evidence, judge
from tests.chaos.plan import HALF_A_MINUTE, SQLITE, Fault, plan_of
from tests.chaos.tap import Tap
from tests.support.servers import Etcd, Server, ZooKeeper

CONFIG = Path(__file__).with_name("books.toml")
AGENTS = 3
SLOTS = AGENTS * 40  # tasks that run at a time
STUCK = 30.0  # seconds without a result, when nothing is wrong any more
LEASE = 3.0  # seconds, of a leader that says nothing
SERVER_OF: dict[str, type[Server]] = {"etcd": Etcd, "zookeeper": ZooKeeper}
CLUSTER = {
    "agents": AGENTS,
    "resources": "cpus:4;mem:4096;disk:10000;ports:[31000-32000]",
    "allocation-interval": "100ms",
    "heartbeat-interval": "500ms",
    "offer-timeout": "2secs",
    "agent-ping-timeout": "300ms",
    "max-agent-ping-timeouts": 4,
    "max-completed-tasks-per-framework": 1_000_000,
    "registration-backoff-factor": "100ms",
    "status-update-retry-interval-min": "500ms",
    "executor-reregistration-timeout": "3secs",
    "executor-shutdown-grace-period": "1secs",
    "log-level": "warning",
}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Part:
    """A process that may be killed, stopped, and started again; `command` makes its command line, by how often it was started."""

    name: str
    folder: Path
    command: Callable[[int], list[str]]
    starts: int = 0
    wanted: bool = False  # whether whoever ends is started again
    ends: list[tuple[int, int]] = field(
        default_factory=list
    )  # exit statuses of those that ended by themselves, and which
    process: asyncio.subprocess.Process | None = None
    _keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.wanted = True
        self.starts += 1
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(self.starts), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        self._keeper = asyncio.create_task(self._keep(self.process, self.starts))

    async def _keep(self, process: asyncio.subprocess.Process, start: int) -> None:
        status = await process.wait()
        if status != -signal.SIGKILL:
            self.ends.append((status, start))
        while self.wanted and self.process is process:
            await asyncio.sleep(0.3)
            if self.wanted and self.process is process:
                await self.start()

    async def kill(self) -> None:
        self.wanted = False
        self.signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Run:
    """A run in its folder; `run` returns what was broken."""

    def __init__(self, folder: Path, seed: int, store: str, *, seconds: float, tasks: int) -> None:
        self.folder, self.store, self.tasks = folder, store, tasks
        self.longest = round(
            seconds * SLOTS / tasks, 3
        )  # so that there is work for half of the time at least
        self.plan = plan_of(seed, store, seconds)
        self.done: list[Fault] = []
        self.complaints: list[str] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.cluster = Part("cluster", folder, self._cluster_command)
        self.schedulers: list[Part] = []
        self.server: Server | None = None  # of the store, where it has one
        self._parts = [self.cluster]
        self._at_work: set[asyncio.Task[None]] = set()
        self._traces: list[tuple[str, int]] = []  # by scheduler and start

    async def run(self) -> list[Broken]:
        (self.folder / "traces").mkdir(parents=True)
        (self.folder / "plan").write_text("".join(f"{fault}\n" for fault in self.plan))
        master: list[dict[str, Any]] = []
        async with AsyncExitStack() as stack:
            await self._start(stack)
            if await self._until(lambda: self._lines("effects") > 0, "a task runs", 30.0):
                await self._suffer()
                await self._heal()
                if await self._all_told():
                    master = await self._at_rest()
                await self._end()
        about = {"tasks": self.tasks, "master": master, "complaints": self.complaints}
        (self.folder / "run.json").write_text(json.dumps(about))
        return judge(evidence(self.folder))

    def summary(self) -> str:
        starts = ", ".join(f"{part.name} started {part.starts} times" for part in self._parts)
        return f"{self.tasks} tasks, {len(self.done)} faults, {starts}"

    # --- the parts ------------------------------------------------------------------------------------------------

    def _cluster_command(self, _starts: int) -> list[str]:
        flags = {"port": self.port, "work-dir": self.folder / "cluster", **CLUSTER}
        return [
            sys.executable,
            "-m",
            "mesostic",
            "cluster",
            *(f"--{name}={value}" for name, value in flags.items()),
        ]

    def _scheduler_command(self, name: str, tap: Tap) -> Callable[[int], list[str]]:
        def command(starts: int) -> list[str]:
            self._traces.append((name, starts))
            sets = {
                "framework.master": f"http://127.0.0.1:{tap.port}",
                "scheduler.folder": str(self.folder),
                "scheduler.tasks": self.tasks,
                "scheduler.longest": self.longest,
                "trace.file": str(self._trace_of(name, starts)),
                **self._store_settings(),
            }
            options = [
                part for key, value in sets.items() for part in ("--set", f"{key}={json.dumps(value)}")
            ]
            return [sys.executable, "-m", "mesostic", "run", str(CONFIG), "--master-timeout=0", *options]

        return command

    def _trace_of(self, name: str, start: int) -> Path:
        return self.folder / "traces" / f"{self._traces.index((name, start)) + 1:03}-{name}.trace"

    def _store_settings(self) -> dict[str, Any]:
        if self.server is None:
            return {"store.path": str(self.folder / "store.db")}
        scheme = "etcd" if self.store == "etcd" else "zk"
        url = f"{scheme}://{self.server.address}/chaos"
        return {"store.url": url, "store.lease": LEASE, "framework.standby": True}

    async def _start(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self._kill_all)
        if self.store in SERVER_OF:
            self.server = await asyncio.to_thread(SERVER_OF[self.store], self.folder / self.store)
            stack.callback(self.server.kill)
        await self.cluster.start()
        for name in ("a",) if self.server is None else ("a", "b"):
            tap = await stack.enter_async_context(Tap(name, self.port, self.folder / "wire"))
            scheduler = Part(f"scheduler-{name}", self.folder, self._scheduler_command(name, tap))
            self.schedulers.append(scheduler)
            self._parts.append(scheduler)
            await scheduler.start()

    async def _kill_all(self) -> None:
        for part in self._parts:
            await part.kill()
        for process in self._executors():
            process.kill()

    def _executors(self) -> list[psutil.Process]:
        """All that the agents have started, whoever their parent is now."""
        inside, found = f"{os.path.realpath(self.folder / 'cluster')}/", []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if f"{os.path.realpath(process.cwd())}/".startswith(inside):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    # --- the faults -----------------------------------------------------------------------------------------------

    async def _suffer(self) -> None:
        began = time.monotonic()
        for fault in self.plan:
            await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
            task = asyncio.create_task(self._one(fault))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        if self._at_work:
            await asyncio.wait(self._at_work)

    async def _one(self, fault: Fault) -> None:
        met = await getattr(self, f"_{fault.kind.replace(' ', '_')}")(fault)
        if met is not False:
            self.done.append(fault)
        with (self.folder / "faults").open("a") as book:
            book.write(f"{time.time():.3f} {fault}{'' if met is not False else ': there was no victim'}\n")

    def _scheduler(self, fault: Fault) -> Part:
        return self.schedulers[fault.target % len(self.schedulers)]

    async def _kill_scheduler(self, fault: Fault) -> None:
        await self._killed(self._scheduler(fault), fault.seconds)

    async def _stop_scheduler(self, fault: Fault) -> None:
        await self._stopped(self._scheduler(fault), fault.seconds)

    async def _kill_cluster(self, fault: Fault) -> None:
        await self._killed(self.cluster, fault.seconds)

    async def _stop_cluster(self, fault: Fault) -> None:
        await self._stopped(self.cluster, fault.seconds)

    async def _killed(self, part: Part, seconds: float) -> None:
        if part.wanted:  # else it is dead already, and whoever killed it starts it again
            await part.kill()
            await asyncio.sleep(seconds)
            await part.start()

    async def _stopped(self, part: Part, seconds: float) -> None:
        process = part.process
        part.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        if part.process is process:
            part.signal(signal.SIGCONT)

    async def _kill_executor(self, fault: Fault) -> bool:
        return self._signalled(self._victim(fault), signal.SIGKILL)

    async def _stop_executor(self, fault: Fault) -> bool:
        victim = self._victim(fault)
        met = self._signalled(victim, signal.SIGSTOP)
        await asyncio.sleep(fault.seconds)
        self._signalled(victim, signal.SIGCONT)
        return met

    def _victim(self, fault: Fault) -> psutil.Process | None:
        alive = self._executors()
        return alive[fault.target % len(alive)] if alive else None

    def _signalled(self, process: psutil.Process | None, number: int) -> bool:
        if process is None:
            return False
        try:
            process.send_signal(number)
        except psutil.Error:
            return False
        return True

    async def _kill_agent(self, fault: Fault) -> bool:
        return await self._order("kill_agent", agent=self._agent(fault), restart_after=fault.seconds)

    async def _silence_agent(self, fault: Fault) -> bool:
        return await self._order("silence_agent", agent=self._agent(fault), seconds=fault.seconds)

    def _agent(self, fault: Fault) -> int:
        return 1 + fault.target % AGENTS

    async def _kill_master(self, fault: Fault) -> bool:
        return await self._order("restart_master", after=fault.seconds)

    async def _freeze_master(self, fault: Fault) -> bool:
        return await self._misbehave(fault.seconds, half_open=True)

    async def _drop_updates(self, fault: Fault) -> bool:
        return await self._order("plan", drop_updates=fault.amount)

    async def _duplicate_updates(self, fault: Fault) -> bool:
        return await self._order("plan", duplicate_updates=fault.amount)

    async def _delay_updates(self, fault: Fault) -> bool:
        return await self._misbehave(fault.seconds, delay_updates=(fault.target % 10) / 10)

    async def _lose_accepts(self, fault: Fault) -> bool:
        return await self._order("plan", lose_accepts=1 + fault.amount % 3)

    async def _rescind_offers(self, _fault: Fault) -> bool:
        return await self._order("rescind_offers")

    async def _cut_streams(self, fault: Fault) -> bool:
        return await self._order("close_streams", abort=fault.target % 2 == 0)

    async def _misbehave(self, seconds: float, **how: Any) -> bool:
        met = await self._order("plan", **how)
        await asyncio.sleep(seconds)
        await self._order("plan", **{name: type(value)() for name, value in how.items()})
        return met

    async def _kill_store(self, fault: Fault) -> None:
        assert self.server is not None
        await asyncio.to_thread(self.server.kill)
        await asyncio.sleep(fault.seconds)
        if self.server.process is None:
            self.server.start_only()

    async def _stop_store(self, fault: Fault) -> bool:
        assert self.server is not None
        process = self.server.process
        if process is None:
            return False
        self.server.freeze()
        await asyncio.sleep(fault.seconds)
        if self.server.process is process:
            self.server.thaw()
        return True

    async def _lock_store(self, fault: Fault) -> None:
        """Somebody else writes: no transaction of ours succeeds."""
        lock = sqlite3.connect(self.folder / "store.db", isolation_level=None, timeout=1.0)
        with contextlib.closing(lock), contextlib.suppress(sqlite3.Error):
            await asyncio.to_thread(lock.execute, "BEGIN IMMEDIATE")
            await asyncio.sleep(fault.seconds)
            lock.execute("ROLLBACK")

    async def _order(self, name: str, **what: Any) -> bool:
        """Have the cluster do it; one that is dead, or stopped, is asked again for a while."""
        for _ in range(10):
            with contextlib.suppress(OSError, ValueError):
                said = await asyncio.to_thread(self._ask, "/playa/faults", {"fault": name, **what})
                return said.get("result") is not False
            await asyncio.sleep(0.3)
        return False

    def _ask(self, path: str, order: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        data = None if order is None else json.dumps(order).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=1.0) as answer:
            return json.load(answer)

    # --- the end --------------------------------------------------------------------------------------------------

    async def _heal(self) -> None:
        if self.server is not None:
            self.server.thaw()
            await asyncio.to_thread(self.server.until_it_answers)
        for part in self._parts:
            part.signal(signal.SIGCONT)
        for process in self._executors():
            self._signalled(process, signal.SIGCONT)
        await self._order("plan", half_open=False, delay_updates=0.0, drop_updates=0, lose_accepts=0)
        for index in range(1, AGENTS + 1):
            await self._order("silence_agent", agent=index, seconds=0.01)

    def _lines(self, book: str) -> int:
        path = self.folder / book
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def _told(self) -> int:
        path = self.folder / "told"
        return len({line.split()[1] for line in path.read_text().splitlines()}) if path.exists() else 0

    async def _until(self, condition: Callable[[], Any], what: str, patience: float) -> Any:
        end = time.monotonic() + patience
        while not (met := condition()):
            if time.monotonic() > end:
                self.complaints.append(f"not in {patience:g} s: {what}")
                return met
            await asyncio.sleep(0.1)
        return met

    async def _all_told(self) -> bool:
        told, since = -1, time.monotonic()
        while (now := self._told()) < self.tasks:
            if now != told:
                told, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK:
                self.complaints.append(f"it hangs: {now} of {self.tasks} are told")
                return False
            await asyncio.sleep(0.2)
        return True

    async def _at_rest(self) -> list[dict[str, Any]]:
        """What the master knows, as soon as nothing runs there; or after a while all the same, for the judge."""
        tasks: list[dict[str, Any]] = []
        for _ in range(75):
            with contextlib.suppress(OSError, ValueError):
                tasks = (await asyncio.to_thread(self._ask, "/tasks?limit=1000000"))["tasks"]
                if all(is_terminal(TaskState(task["state"])) for task in tasks):
                    return tasks
            await asyncio.sleep(0.2)
        return tasks

    def _never_began(self, scheduler: Part, status: int, start: int) -> bool:
        """Whether a process said that it cannot reach its store, and ended, without ever having led."""
        trace = self._trace_of(scheduler.name.removeprefix("scheduler-"), start)
        led = any(record.type.endswith(":Won") for record in read_trace(trace)) if trace.exists() else False
        return self.server is not None and status == 2 and not led

    async def _end(self) -> None:
        for part in self._parts:
            part.wanted = False
        (self.folder / "end").touch()
        for scheduler in self.schedulers:
            assert scheduler.process is not None
            try:
                await asyncio.wait_for(scheduler.process.wait(), 30.0)
            except TimeoutError:
                self.complaints.append(f"{scheduler.name} does not end")
                return
            early = [(status, start) for status, start in scheduler.ends[:-1] if status]
            wrong = [status for status, start in early if not self._never_began(scheduler, status, start)]
            if wrong or scheduler.process.returncode:
                self.complaints.append(
                    f"{scheduler.name} ended by itself: {wrong}, at last {scheduler.process.returncode}"
                )
        await self._until(lambda: not self._executors(), "the executors end", 15.0)


async def chaos(
    folder: Path,
    seed: int,
    store: str = SQLITE,
    *,
    seconds: float = HALF_A_MINUTE,
    tasks: int = 2000,
) -> tuple[Run, list[Broken]]:
    """Do one run in a new folder; returns it with what was broken."""
    run = Run(folder, seed, store, seconds=seconds, tasks=tasks)
    return run, await run.run()
