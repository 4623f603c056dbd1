"""Whatever a newcomer gets wrong: within seconds a sentence names the cause, and no traceback of ours is shown.

All mistakes run at once, a few at a time, against one cluster; then each is judged by itself.
"""

import asyncio
import os
import re
import signal
import socket
import ssl
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.newcomer.mistakes import ALL, CODE, CONFIG, Mistake
from tests.support.raw_server import raw_server

TEST = "test_a_first_mistake_is_named_within_seconds"
AT_ONCE = 6
LIMIT = 40.0  # ten seconds are promised; the machine of the tests is busy
PATIENCE = 90.0
ROOT = Path(__file__).resolve().parents[2]
OURS = re.compile(rf'"(?:{re.escape(str(ROOT))}/)?(?:actors|executor|mesos_http|mesos_v1|mesostic|playa)/')
TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n((?: +.*\n)*)")


@dataclass
class Seen:
    """What became of one command."""

    output: str = ""
    after: float | None = None  # seconds until the words were there
    code: int | None = None


@dataclass
class Around:
    """What the mistakes have to do with."""

    replacements: dict[str, str]
    folder: Path


@asynccontextmanager
async def cluster(folder: Path, *arguments: str):
    """A cluster of its own process; gives the master's address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "mesostic", "cluster", "--port", "0", *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        text = ""
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(r"(http://127\.0\.0\.1:\d+)", text)):
                line = (await process.stdout.readline()).decode()
                assert line, text
                text += line
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(20):
                await process.communicate()
        except TimeoutError:
            process.kill()


async def see(mistake: Mistake, folder: Path, around: Around) -> Seen:
    """Make the mistake, and watch."""
    says = prepared(mistake, folder, around)
    arguments = mistake.arguments or ("hello.toml",)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)}
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "mesostic", "run", *arguments,
        cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    seen = Seen()
    words = re.compile(says, re.DOTALL)
    try:
        async with asyncio.timeout(PATIENCE):
            while line := await process.stdout.readline():
                seen.output += line.decode(errors="replace")
                if seen.after is None and words.search(seen.output):
                    seen.after = time.monotonic() - started
                    if mistake.ends is None:
                        break
            if mistake.ends is None and process.returncode is None:
                seen.output += await interrupt(process)
            seen.code = await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return seen


def prepared(mistake: Mistake, folder: Path, around: Around) -> str:
    """Write the files of a mistake; gives what it has to say."""

    def filled(text: str) -> str:
        for word, value in around.replacements.items():
            text = text.replace(word, value)
        return text

    folder.mkdir()
    (folder / "hello.py").write_text(changed(CODE, mistake.code))
    (folder / "hello.toml").write_text(filled(changed(CONFIG, mistake.config)))
    for name, text in mistake.files.items():
        (folder / name).write_text(text)
    return filled(mistake.says)


async def interrupt(process: asyncio.subprocess.Process) -> str:
    """Ctrl-C, and again where that is not enough; gives what is said meanwhile."""
    assert process.stdout is not None
    said = ""
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(5):
                while line := await process.stdout.readline():
                    said += line.decode(errors="replace")
                return said
        except TimeoutError:
            continue
    return said


def changed(text: str, change: tuple[tuple[str, str], ...] | str) -> str:
    if isinstance(change, str):
        return change
    for old, new in change:
        assert old in text, old
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def surroundings(folder: Path, tls: ssl.SSLContext):
    """Masters and things that are none, a Python without packages, a port in use."""
    async with AsyncExitStack() as stack:
        (folder / "credentials.json").write_text(
            '{"credentials": [{"principal": "ada", "secret": "countess"}]}'
        )
        master = await stack.enter_async_context(cluster(folder))
        closed = await stack.enter_async_context(
            cluster(folder, "--credentials", str(folder / "credentials.json"))
        )
        web = await stack.enter_async_context(raw_server(not_found))
        silent = await stack.enter_async_context(raw_server(say_nothing))
        secret = await stack.enter_async_context(raw_server(not_found, tls=tls))
        used = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        bare = folder / "bare-python"
        bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
        bare.chmod(0o755)
        yield Around(
            {
                "%HTTPS_MASTER%": master.replace("http:", "https:"),
                "%PLAIN_TLS%": f"http://127.0.0.1:{secret.endpoint.port}",
                "%TLS%": f"https://127.0.0.1:{secret.endpoint.port}",
                "%MASTER%": master,
                "%CLOSED%": closed,
                "%WEB%": f"http://127.0.0.1:{web.endpoint.port}",
                "%SILENT%": f"http://127.0.0.1:{silent.endpoint.port}",
                "%AGENT%": await agent_of(master),
                "%USED_PORT%": str(used.getsockname()[1]),
                "%BARE_PYTHON%": str(bare),
            },
            folder,
        )


async def not_found(request, writer):
    writer.write(b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 9\r\n\r\nnot found")


async def say_nothing(request, writer):
    await asyncio.sleep(3600)


async def agent_of(master: str) -> str:
    """Where the master's agent answers."""
    import json

    from mesos_http import Endpoint, exchange

    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await exchange("GET", Endpoint.parse(f"{master}/slaves"))
            agents = json.loads(answer.body)["slaves"]
            if agents:
                return "http://" + str(agents[0]["pid"]).partition("@")[2]
            await asyncio.sleep(0.1)


async def see_all(names: list[str], folder: Path, tls: ssl.SSLContext) -> dict[str, Seen]:
    gate = asyncio.Semaphore(AT_ONCE)
    async with surroundings(folder, tls) as around:

        async def one(number: int, name: str) -> tuple[str, Seen]:
            async with gate:
                return name, await see(ALL[name], folder / f"m{number}", around)

        return dict(await asyncio.gather(*(one(number, name) for number, name in enumerate(names))))


@pytest.fixture(scope="module")
def results(request, tmp_path_factory, certificates):
    names = [item.callspec.params["name"] for item in request.session.items if item.originalname == TEST]
    tls = certificates.server_context(certificates.server)
    return asyncio.run(see_all(names, tmp_path_factory.mktemp("mistakes"), tls))


def test_there_are_more_than_forty():
    assert len(ALL) > 40


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ALL)
def test_a_first_mistake_is_named_within_seconds(results, name):
    mistake, seen = ALL[name], results[name]
    assert seen.after is not None, seen.output
    assert seen.after < LIMIT, seen.output
    if mistake.ends is not None:
        assert seen.code == mistake.ends, seen.output
    for frames in TRACEBACK.findall(seen.output):
        assert not OURS.search(frames), seen.output
    assert "a bug" not in seen.output
