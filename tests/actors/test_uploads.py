"""Uploads from their first byte to the author's hook: told until the hook has run, whatever happens to the scheduler."""

import asyncio
import errno
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from actors import messages as m
from actors.composition import ActorSpec, Composition, run
from actors.framework_settings import ExecutorSettings, FrameworkSettings
from actors.records import UPLOAD
from actors.runtime import ActorSystem
from actors.scheduler_actor import SchedulerActor
from actors.server_actor import ServerActor
from actors.store.backends import SqliteBackend
from actors.store_actor import StoreActor, StoreSettings
from executor.author import TaskFailed
from executor.framework_server import FrameworkServer
from mesos_v1.values import TaskId
from tests.support.simulated_master import simulated_master

TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
async def master():
    async with simulated_master() as running:
        yield running


def composition(master, cls, store):
    return Composition(
        FrameworkSettings(name="t", user="u", master=master.url),
        (ActorSpec("scheduler", cls, None), ActorSpec("store", StoreActor, StoreSettings(str(store)))),
        (ExecutorSettings(name="crawl", cls="x:Y"),),
        token="secret",
    )


def url_of(scheduler):
    server: m.ServerReady = scheduler._server
    return server.url


async def put(url, name, data):
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{url}/uploads/{quote(name)}", data=data, headers=TOKEN) as answer,
    ):
        return answer.status


def records_of(store):
    backend = SqliteBackend(str(store))
    backend.open()
    try:
        return backend.load()
    finally:
        backend.close()


async def play(made):
    async with asyncio.timeout(20):
        return await run(made)


class Gallery(SchedulerActor):
    """Uploads a picture to itself, and says what it is told."""

    told: list[str]
    stuck = True
    stop_grace = 0.1

    def on_registered(self, _event):
        self.told.append("registered")
        self._upload = asyncio.ensure_future(put(url_of(self), "img/a.png", b"picture"))

    def on_reregistered(self, _event):
        self.told.append("registered again")

    async def on_uploaded(self, upload):
        self.told.append(f"{upload.name}: {await asyncio.to_thread(Path(upload.path).read_text)}")
        assert upload.url == f"{url_of(self)}/uploads/{upload.name}"
        if self.stuck:
            await asyncio.Event().wait()
        self.launch(command="true", task_id="next")
        self.leave(3)


async def killed_when(made, condition):
    """Run a framework until then; then it is gone, without a farewell."""
    async with ActorSystem("t") as system:
        task = asyncio.ensure_future(run(made, system=system))
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])


async def test_an_upload_is_told_again_until_its_hook_has_run(master, tmp_path):
    class Runs(Gallery):
        told = []  # noqa: RUF012

    store = tmp_path / "s.db"
    await killed_when(composition(master, Runs, store), lambda: len(Runs.told) == 2)
    assert Runs.told == ["registered", "img/a.png: picture"]
    assert [record.kind for record in records_of(store)].count(UPLOAD.name) == 1

    Runs.stuck = False
    Runs.told.clear()
    assert (await play(composition(master, Runs, store))).exit_code == 3
    assert Runs.told == ["registered again", "img/a.png: picture"]
    kinds = {(record.kind, record.key) for record in records_of(store)}
    assert (
        "task-spec",
        "next",
    ) in kinds  # what the hook launched is stored together with its having been called
    assert UPLOAD.name not in {kind for kind, _ in kinds}
    assert (Path(f"{store}.uploads") / "img" / "a.png").read_bytes() == b"picture"


async def test_what_is_left_of_uploads_cut_off_by_a_kill_is_removed_at_the_next_start(master, tmp_path):
    folder = tmp_path / "s.db.uploads"
    folder.mkdir()
    (folder / ".upload-abc").write_bytes(b"half of it")

    class Ends(SchedulerActor):
        def on_registered(self, _event):
            assert folder.stat().st_mode & 0o077 == 0o055  # the folder was the user's own
            self.finish(0)

    assert (await play(composition(master, Ends, tmp_path / "s.db"))).exit_code == 0
    assert not folder.exists()  # nothing is in it


@pytest.mark.parametrize("way", ["finish", "leave", "raise"])
async def test_without_a_store_the_folder_of_uploads_ends_with_the_framework(
    master, tmp_path, monkeypatch, way
):
    class Ends(SchedulerActor):
        async def on_registered(self, _event):
            assert await put(url_of(self), "a", b"x") == 201
            assert [path.name for path in tmp_path.glob("*/uploads/*")] == ["a"]
            if way == "raise":
                self.leave(0)
                raise RuntimeError("boom")
            getattr(self, way)(0)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await play(composition(master, Ends, ""))
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_for_uploads_that_cannot_be_used_is_one_sentence(master, tmp_path):
    (tmp_path / "s.db.uploads").write_text("")
    outcome = await play(composition(master, Gallery, tmp_path / "s.db"))
    assert outcome.exit_code == 2
    assert "the folder for uploads cannot be used: " in outcome.reason
    assert "s.db.uploads" in outcome.reason


SERVE = """
import asyncio, sys
from actors import messages as m
from actors.runtime import Actor, ActorSystem
from actors.server_actor import ServerActor
from actors.framework_settings import Composition, FrameworkSettings
from actors.composition import ActorSpec
from actors.store_actor import StoreActor, StoreSettings

class Anybody(Actor):
    def on_receive(self, message):
        pass

async def main():
    settings = StoreSettings(sys.argv[1])
    made = Composition(
        FrameworkSettings(master="http://127.0.0.1:1"), (ActorSpec("store", StoreActor, settings),), token="secret"
    )
    async with ActorSystem() as system:
        system.spawn(Anybody, name="scheduler")
        system.spawn(StoreActor, made, settings, name="store")
        server = system.spawn(ServerActor, made, ServerActor.Settings(), name="server")
        print((await server.ask(m.OpenServer(), block=False)).url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def served_by_a_process(store):
    return subprocess.Popen([sys.executable, "-c", SERVE, str(store)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("answers", [1, 7, 20])
async def test_what_was_answered_as_stored_is_there_after_a_kill(tmp_path, answers):
    """Kill -9 in the middle of many uploads: each that was answered 201 is whole, and will be told."""
    store = tmp_path / "s.db"
    process = served_by_a_process(store)
    answered: set[str] = set()
    try:
        assert process.stdout is not None
        url = (await asyncio.to_thread(process.stdout.readline)).strip()

        async def upload(number):
            name = f"deep/{number % 5}/{number}"
            try:
                status = await put(url, name, name.encode() * 5000)
            except (aiohttp.ClientError, OSError):
                return
            assert status == 201
            answered.add(name)
            if len(answered) == answers:
                process.send_signal(signal.SIGKILL)

        async with asyncio.timeout(60):
            await asyncio.gather(*(upload(number) for number in range(40)))
    finally:
        process.kill()
        process.communicate()
    assert answers <= len(answered)
    stored = {record.value for record in records_of(store) if record.kind == UPLOAD.name}
    for name in answered:
        assert (Path(f"{store}.uploads") / name).read_bytes() == name.encode() * 5000
        assert any(name.encode() in value for value in stored), name


async def test_an_upload_by_the_executor_survives_a_disk_that_is_full_for_a_moment(tmp_path, monkeypatch):
    times = 2
    real = ServerActor._put_in_place

    def full(*arguments: object) -> None:
        nonlocal times
        if times:
            times -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ServerActor, "_put_in_place", full)
    monkeypatch.setattr("executor.framework_server.FIRST_PAUSE", 0.01)
    settings = StoreSettings(str(tmp_path / "s.db"))
    made = Composition(
        FrameworkSettings(master="http://127.0.0.1:1"),
        (ActorSpec("store", StoreActor, settings),),
        token="secret",
    )
    async with ActorSystem() as system:
        system.spawn(StoreActor, made, settings, name="store")
        server = system.spawn(ServerActor, made, ServerActor.Settings(), name="server")
        ready = await server.ask(m.OpenServer(), block=False)
        known = FrameworkServer(ready.url, "secret")
        uploaded = await known.upload("a", b"xyz", "text/plain", TaskId("t"))
        assert (uploaded.name, uploaded.size) == ("a", 3)
        times = 9
        with pytest.raises(
            TaskFailed, match="the upload of a failed after 5 attempts: .*507.*no room: No space"
        ):
            await known.upload("a", b"xyz", "text/plain", TaskId("t"))
        times = 0
        with pytest.raises(TaskFailed, match="the upload of a/b was refused: .*in its way"):
            await known.upload("a/b", b"xyz", "text/plain", TaskId("t"))
