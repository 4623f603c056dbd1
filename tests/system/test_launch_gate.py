"""The scheduler is killed, the master restarted, and an agent is away: nothing is launched before its tasks are accounted for."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from actors.runtime import TraceRecord, read_trace
from mesostic.testing import AgentSettings
from mesostic.testing import cluster as mesos_cluster
from tests.system.conftest import tasks_of, until

pytestmark = pytest.mark.slow
COUNTING = Path(__file__).parents[2] / "examples" / "counting" / "counting.toml"
TASKS = 50


async def test_after_a_kill_new_tasks_wait_for_those_of_an_agent_that_is_away(tmp_path: Path) -> None:
    agent = AgentSettings(resources="cpus:1.2;mem:4096", registration_backoff_factor=0.1)
    impatient: dict[str, Any] = {"agent_ping_timeout": 0.3, "max_agent_ping_timeouts": 4}
    terminal = tmp_path / "terminal"

    async def start(url: str, trace: str) -> asyncio.subprocess.Process:
        sets = {
            "framework.master": url,
            "store.path": tmp_path / "s.db",
            "scheduler.tasks": TASKS,
            "scheduler.seconds": "2s",
            "scheduler.book": tmp_path / "book",
            "reconciler.first_wait": "0.2s",
            "reconciler.longest_wait": "0.5s",
        }
        options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
        options += ["--trace", str(tmp_path / trace), "--log-level", "info"]
        with terminal.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mesostic", "run", str(COUNTING), *options, stdout=output, stderr=output
            )

    def said(words: str) -> bool:
        return words in terminal.read_text()

    async with mesos_cluster((agent, agent), credentials=(), **impatient) as mesos:
        process = await start(mesos.url, "first.trace")
        try:
            book = tmp_path / "book"
            await until(lambda: book.exists() and book.stat().st_size, "an outcome", 60)
            process.kill()
            await process.wait()
            await mesos.faults.kill_master()
            await mesos.faults.kill_agent(1)
            await mesos.faults.start_master()
            process = await start(mesos.url, "second.trace")
            await until(lambda: said("launches wait until the master has answered for"), "the gate", 60)
            before = {task["id"] for task in await asyncio.to_thread(tasks_of, mesos.url)}
            await until(lambda: said("tasks wait, "), "word of what waits", 60)  # after ten seconds
            assert not said("launches go on")
            assert {task["id"] for task in await asyncio.to_thread(tasks_of, mesos.url)} <= before
            await mesos.faults.start_agent(1)
            await until(lambda: said("launches go on: the master has answered for"), "its opening", 60)
            async with asyncio.timeout(60):
                assert await process.wait() == 0, terminal.read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    text = terminal.read_text()
    assert f"self.state has {TASKS} outcomes that earned {sum(range(TASKS)):,}" in text
    assert "until the master has said what became of the tasks of an earlier run" in text
    records = list(read_trace(tmp_path / "second.trace"))
    accepts, openings = ([each.seq for each in records if is_(each, name)] for name in ("Accept", "OpenGate"))
    assert len(openings) == 1
    assert accepts
    assert min(accepts) > openings[0]


def is_(record: TraceRecord, name: str) -> bool:
    return record.kind == "message" and record.type == f"actors.messages:{name}"
