"""Running the examples as a user does: `mesostic run`, in a process of its own, on the embedded cluster."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from examples.rendler.site_server import SiteServer

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass
class Run:
    """What a run came to."""

    exit_code: int
    text: str
    seconds: float
    peak_bytes: int
    output: Path
    started: float = field(default=0.0)

    @property
    def pages(self):
        with (self.output / "pages.jsonl").open() as lines:
            return [json.loads(line) for line in lines]

    @property
    def rate(self):
        found = re.search(r"\((\d+) a second\)", self.text)
        assert found is not None, self.text
        return float(found[1])


async def run_command(*command, output, interrupt_when=None, meanwhile=None, limit=100.0):
    """Runs a command; `interrupt_when` is a pattern upon which Ctrl-C is sent, `meanwhile` a coroutine given the process's id."""
    started, clock = time.time(), time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    peak, lines = 0, []

    async def read():
        nonlocal interrupt_when
        assert process.stdout is not None
        async for line in process.stdout:
            lines.append(line.decode())
            if interrupt_when is not None and re.search(interrupt_when, lines[-1]):
                interrupt_when = None
                os.killpg(process.pid, signal.SIGINT)

    async def watch():
        nonlocal peak
        with contextlib.suppress(psutil.Error):
            while True:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
                await asyncio.sleep(0.1)

    try:
        async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            if meanwhile is not None:
                group.create_task(meanwhile(process.pid))
            await read()
            exit_code = await process.wait()
            watching.cancel()
    except TimeoutError:
        raise AssertionError(f"still running after {limit} s:\n" + "".join(lines)) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return Run(exit_code, "".join(lines), time.monotonic() - clock, peak, output, started)


@pytest.fixture
def rendler(tmp_path):
    """Runs RENDLER with settings given as keyword arguments (`scheduler__seed=…`)."""

    async def run(
        *options, config="rendler.toml", interrupt_when=None, meanwhile=None, limit=100.0, **settings
    ):
        output = tmp_path / "results"
        settings = {"scheduler__output": output, **settings}
        sets = [
            part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")
        ]
        command = ("-m", "mesostic", "run", EXAMPLES / "rendler" / config, *sets, *options)
        return await run_command(
            *command, output=output, interrupt_when=interrupt_when, meanwhile=meanwhile, limit=limit
        )

    return run


@pytest.fixture
def example(tmp_path):
    """Runs another example: its configuration's path below examples/, and settings."""

    async def run(config, *options, meanwhile=None, **settings):
        sets = [
            part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")
        ]
        command = ("-m", "mesostic", "run", EXAMPLES / config, *sets, *options)
        return await run_command(*command, output=tmp_path, meanwhile=meanwhile)

    return run


@pytest.fixture
async def site():
    """The demo's site, with everything that is wrong with it."""
    async with SiteServer() as server:
        yield server


@pytest.fixture
def python_docs_folder():
    """Where Debian's package python3.11-doc puts Python's documentation."""
    folder = Path("/usr/share/doc/python3.11/html")
    if not folder.is_dir():
        pytest.skip("needs Debian's package python3.11-doc")
    return folder


@pytest.fixture
async def python_docs(python_docs_folder):
    """Python's documentation, served."""
    async with SiteServer(python_docs_folder, misbehave=False) as server:
        yield server
