"""The ledger framework as a process of its own, a cluster with little patience, and the audit of both books."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from mesos_v1.states import TaskState, is_terminal
from mesostic.testing import AgentSettings, Cluster
from mesostic.testing import cluster as mesos_cluster

HERE = Path(__file__).parent
PATIENCE = 20.0  # on a busy machine; most take 3 s
FAILING = 7


async def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about in {patience:g} s"
        await asyncio.sleep(0.01)


class Ledger:
    """The framework: its process, which may die and be started again, and its books."""

    configuration = HERE / "ledger.toml"

    def __init__(self, folder: Path, url: str, settings: dict[str, Any]) -> None:
        self.folder, self.url = folder, url
        self.settings = {"scheduler.tasks": 100, "store.path": str(folder / "store.db"), **settings}
        self.process: asyncio.subprocess.Process
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1
        sets = {
            "framework.master": self.url,
            "scheduler.folder": str(self.folder),
            **self.settings,
        }
        arguments = [part for key, value in sets.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        with self.terminal.open("ab") as terminal:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mesostic", "run", self.configuration, *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=terminal, stderr=terminal,
            )  # fmt: skip

    async def kill(self) -> None:
        """kill -9."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    @property
    def terminal(self) -> Path:
        return self.folder / "terminal"

    def lines(self, book: str) -> list[list[str]]:
        path = self.folder / book
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def told(self) -> Counter[tuple[str, str]]:
        return Counter((task_id, outcome) for outcome, task_id, *_ in self.lines("told"))

    def effects(self) -> Counter[int]:
        return Counter(int(number) for number, _ in self.lines("effects"))

    def pids(self) -> list[int]:
        """Processes of executors that have run tasks, and live."""
        return [pid for pid in {int(pid) for _, pid in self.lines("effects")} if psutil.pid_exists(pid)]

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    async def until_effects(self, count: int) -> None:
        await self.until(lambda: len(self.effects()) >= count, f"{count} tasks")

    async def until_told(self, count: int) -> None:
        await self.until(lambda: len(self.told()) >= count, f"{count} outcomes")

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        def met() -> Any:
            assert self.process.returncode in {None, 0, -signal.SIGKILL}, self.story()
            return condition()

        try:
            await until(met, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None

    async def end(self) -> None:
        """Wait until it has ended by itself, with exit 0."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()
        except TimeoutError:
            missing = {f"t-{n}" for n in range(self.settings["scheduler.tasks"])} - {
                t for t, _ in self.told()
            }
            raise AssertionError(f"it hangs; {sorted(missing)} are not told\n{self.story()}") from None
        assert self.process.returncode == 0, self.story()

    def story(self) -> str:
        return f"{len(self.told())} told, {len(self.effects())} tried; its terminal:\n{self.terminal.read_text()[-4000:]}"

    def audit(self, *, once: bool = True, traceback: bool = False) -> None:
        """Each task was told as what it is, and has done what it says; no hook came twice, if `once`."""
        tasks = self.settings["scheduler.tasks"]
        told = self.told()
        wanted = {(f"t-{n}", "failed" if n % 10 == FAILING else "finished") for n in range(tasks)}
        assert set(told) == wanted, (set(told) ^ wanted, self.story())
        assert set(self.effects()) == set(range(tasks)), "a task was told of that never ran"
        if once:
            assert set(told.values()) == {1}, [each for each, times in told.items() if times > 1]
        assert traceback or "Traceback" not in self.terminal.read_text(), self.story()


@pytest.fixture
def ledger_on(tmp_path: Path) -> Any:
    """`async with ledger_on(cluster settings) as (ledger, cluster):`; audited for what it leaves behind."""

    @asynccontextmanager
    async def made(
        *,
        made_by: type[Ledger] = Ledger,
        agents: int = 2,
        agent: dict[str, Any] | None = None,
        cluster: dict[str, Any] | None = None,
        **settings: Any,
    ) -> AsyncIterator[tuple[Ledger, Cluster]]:
        each = AgentSettings(
            resources="cpus:4;mem:4096;disk:10000;ports:[31000-32000]",
            registration_backoff_factor=0.1,
            status_update_retry_interval_min=0.5,
            executor_reregistration_timeout=3.0,
            executor_shutdown_grace_period=1.0,
            **(agent or {}),
        )  # fmt: skip
        impatient: dict[str, Any] = {
            "heartbeat_interval": 0.5,
            "agent_ping_timeout": 0.3,
            "max_agent_ping_timeouts": 4,
        }
        # open, as Mesos is: the ledger sends garbage with an HTTP client of its own
        async with mesos_cluster(
            (each,) * agents, credentials=(), **{**impatient, **(cluster or {})}
        ) as mesos:
            ledger = made_by(tmp_path, mesos.url, {k.replace("__", "."): v for k, v in settings.items()})
            await ledger.start()
            try:
                yield ledger, mesos
                await ledger.end()
                await until(lambda: not processes_in(mesos.directory), "the end of all executors", 15)
                tasks = await asyncio.to_thread(tasks_of, mesos.url)
                alive = [task for task in tasks if not is_terminal(TaskState(task["state"]))]
                assert not alive, alive
            finally:
                await ledger.kill()

    return made


def processes_in(directory: Path) -> list[int]:
    """Processes whose working directory is in the cluster's."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.path.realpath(process.cwd()).startswith(f"{os.path.realpath(directory)}/"):
                found.append(process.pid)
        except psutil.Error:
            pass
    return found


def tasks_of(url: str) -> list[dict[str, Any]]:
    """The master's /tasks."""
    with urllib.request.urlopen(f"{url}/tasks?limit=10000", timeout=10) as answer:
        tasks: list[dict[str, Any]] = json.load(answer)["tasks"]
        return tasks
