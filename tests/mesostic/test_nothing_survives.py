"""A process that a task or an executor started ends with it, wherever it has hidden: the task, its executor, the framework, the
cluster, also by `kill -9`."""

import asyncio
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from mesostic.config.compose import load_configuration
from mesostic.credential import closed
from mesostic.embedded import EmbeddedCluster
from mesostic.testing import running

DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(0, 100)
os.environ.clear()
with open(sys.argv[1] + ".new", "w") as out:
    out.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
"""
CODE = """
import asyncio, subprocess, sys
from dataclasses import dataclass
from mesostic import Executor, SchedulerActor, message, task

@message
class Work:
    folder: str

class Worker(Executor):
    @task
    async def work(self, work: Work) -> None:
        subprocess.run([sys.executable, work.folder + "/daemon.py", work.folder + "/of_executor"], check=True)
        await asyncio.sleep(1000)

@dataclass(frozen=True, slots=True)
class LeavesSettings:
    folder: str = ""

class Leaves(SchedulerActor):
    Settings = LeavesSettings

    def on_registered(self, event):
        folder = self.settings.folder
        self.launch(Work(folder), executor="worker")
        self.launch(command=f"{sys.executable} -S {folder}/daemon.py {folder}/of_command; exec sleep 1000")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "daemon.py").write_text(DAEMON)
    (tmp_path / "leaves_under_test.py").write_text(CODE)
    (tmp_path / "leaves.toml").write_text(
        '[framework]\nname = "leaves"\n[executors.worker]\nclass = "leaves_under_test:Worker"\n'
        f'[scheduler]\nclass = "leaves_under_test:Leaves"\nfolder = "{tmp_path}"\n'
        "[cluster]\nexecutor_shutdown_grace_period = '500ms'\n"
    )
    return tmp_path / "leaves.toml"


async def daemon_of(folder: Path, name: str) -> psutil.Process:
    async with asyncio.timeout(30):
        while not os.access(folder / name, os.R_OK):
            await asyncio.sleep(0.02)
    return psutil.Process(int(await asyncio.to_thread((folder / name).read_text)))


async def ended(*processes: psutil.Process) -> None:
    async with asyncio.timeout(30):
        while any(process.is_running() for process in processes):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["process killed", "framework torn down", "cluster ended", "cluster killed"])
async def test_no_daemon_outlives_what_started_it(project: Path, tmp_path: Path, how: str) -> None:
    configuration = load_configuration(project)
    assert configuration.cluster is not None
    settings = closed(configuration.cluster, configuration.composition.framework)
    embedded = EmbeddedCluster.launch()
    try:
        on: Any = SimpleNamespace(url=await embedded.start(settings), settings=settings)
        async with running(project, on) as framework:
            of_command = await daemon_of(tmp_path, "of_command")
            of_executor = await daemon_of(tmp_path, "of_executor")
            assert os.getsid(of_command.pid) != os.getsid(0)
            if how == "process killed":
                for daemon in (of_command, of_executor):
                    supervisor = psutil.Process(daemon.ppid())
                    mains = [child for child in supervisor.children() if child.pid != daemon.pid]
                    assert len(mains) == 1
                    mains[0].kill()
                await ended(of_command, of_executor)
            elif how == "framework torn down":
                framework.ask_to_end()
                assert (await framework.outcome()).exit_code == 0
                await ended(of_command, of_executor)
            elif how == "cluster killed":
                os.kill(embedded._process.pid, signal.SIGKILL)
                await ended(of_command, of_executor)
            if how == "cluster ended":
                await embedded.stop()
                await ended(of_command, of_executor)
    finally:
        await embedded.stop(at_once=True)
        embedded.folder.remove()
