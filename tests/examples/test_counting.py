"""The example that counts, killed again and again: its state is exact, and what it does elsewhere is not."""

import asyncio
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mesostic.testing import cluster
from tests.examples.conftest import EXAMPLES

pytestmark = pytest.mark.slow
TASKS, KILLS, PATIENCE = 200, 5, 60.0


async def test_killed_again_and_again_it_counts_each_outcome_once(tmp_path: Path) -> None:
    book, terminal = tmp_path / "book", tmp_path / "terminal"

    async def start(url: str) -> asyncio.subprocess.Process:
        sets = {
            "framework.master": url,
            "store.path": tmp_path / "s.db",
            "scheduler.tasks": TASKS,
            "scheduler.seconds": "0.5s",
            "scheduler.book": book,
            "reconciler.first_wait": "0.3s",
        }
        options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
        command = "-m", "mesostic", "run", str(EXAMPLES / "counting" / "counting.toml"), *options
        with terminal.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
            )

    def size() -> int:
        return book.stat().st_size if book.exists() else 0

    async with cluster(agents=2, credentials=()) as mesos:
        process = await start(mesos.url)
        try:
            for _ in range(KILLS):
                before, end = size(), time.monotonic() + PATIENCE
                while size() < before + 300 and process.returncode is None:
                    assert time.monotonic() < end, terminal.read_text()
                    await asyncio.sleep(0.001)
                if process.returncode is not None:
                    break
                process.kill()
                await process.wait()
                process = await start(mesos.url)
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    text = terminal.read_text()
    assert process.returncode == 0, text
    assert "Traceback" not in text
    exact = f"self.state has {TASKS} outcomes that earned {sum(range(TASKS)):,}"
    assert set(re.findall(r"self\.state has .*", text)) == {exact}
    told = Counter(book.read_text().split())
    assert len(told) == TASKS
    found = re.findall(r"an attribute has (\d+), the file (\d+)", text)
    attribute, lines = map(int, found[-1])
    assert attribute <= TASKS < lines == told.total(), "no hook was called twice: the test shows nothing"
