"""The framework's own server, over real HTTP: artifacts, uploads, traces; and the archive itself."""

import asyncio
import errno
import io
import json
import os
import socket
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from actors import messages as m
from actors import server_actor
from actors.framework_settings import ActorSpec, Composition, ExecutorSettings, FrameworkSettings, Leadership
from actors.runtime import RESTART, Actor, ActorSystem, receive
from actors.server_actor import (
    ArtifactError,
    ServerActor,
    ServerError,
    ServerSettings,
    build_artifact,
    master_host,
    reachable_as,
)
from actors.store_actor import StoreActor, StoreSettings
from mesos_v1 import origins

TOKEN = {"Authorization": "Bearer secret"}


class Listener(Actor):
    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def on_receive(self, message):
        self.heard.append(message)


def names_in(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


class Subscribed(Listener):
    """What the server knows of a scheduler."""

    well = True

    @receive
    def handle_ask_health(self, _asked: m.AskHealth) -> m.Health:
        return m.Health(type(self).well)

    @receive
    def handle_ask_given_up(self, _asked: m.AskGivenUp) -> m.GivenUpTasks:
        return m.GivenUpTasks(())


class SlowStore(StoreActor):
    """A store that keeps who writes waiting, until it is let go."""

    hold = False

    @receive
    async def write_in_time(self, write: m.Write) -> None:
        while type(self).hold:
            await asyncio.sleep(0.001)
        super().handle_write(write)


@pytest.fixture
async def running():
    async with ActorSystem() as system:
        yield system


@pytest.fixture
async def served(running, tmp_path, monkeypatch):
    monkeypatch.setattr(SlowStore, "hold", False)
    monkeypatch.setattr(Subscribed, "well", True)
    heard: list[object] = []
    system = running
    async with aiohttp.ClientSession() as session:
        system.spawn(Subscribed, heard, name="scheduler")
        composition = Composition(
            FrameworkSettings(name="t", master="http://127.0.0.1:5050"),
            executors=(ExecutorSettings(name="e", cls="a:B"), ExecutorSettings(name="f", cls="a:C")),
            trace_file=str(tmp_path / "traces" / "run.trace"),
            token="secret",
        )
        settings = ServerSettings(upload_dir=str(tmp_path / "up"), max_upload=100_000)
        system.spawn(SlowStore, composition, StoreSettings(), name="store")
        server = system.spawn(ServerActor, composition, settings, name="server")
        ready = await server.ask(m.OpenServer(), block=False)
        yield ready, session, heard, tmp_path


async def test_artifacts_are_served_without_a_token(served):
    ready, session, _, _ = served
    assert [name for name, _ in ready.artifacts] == ["e", "f"]
    async with session.get(ready.artifacts[0][1]) as answer:
        names = names_in(await answer.read())
    assert "actors/runtime/__init__.py" in names
    assert "executor/__init__.py" in names
    async with session.get(f"{ready.url}/artifacts/nothing") as answer:
        assert answer.status == 404


async def test_an_upload_is_stored_whole_and_then_told(served):
    ready, session, heard, tmp_path = served
    headers = {**TOKEN, "Mesostic-Task": "t.1", "Content-Type": "image/png"}
    async with session.put(f"{ready.url}/uploads/img/a.png", data=b"x" * 5000, headers=headers) as answer:
        assert answer.status == 201
        assert await answer.json() == {
            "name": "img/a.png",
            "url": f"{ready.url}/uploads/img/a.png",
            "size": 5000,
        }
    (upload,) = [message for message in heard if isinstance(message, m.Uploaded)]
    assert (upload.name, upload.size, upload.content_type, upload.task_id) == (
        "img/a.png",
        5000,
        "image/png",
        "t.1",
    )
    assert (tmp_path / "up" / "img" / "a.png").read_bytes() == b"x" * 5000
    async with session.get(upload.url, headers=TOKEN) as answer:
        assert await answer.read() == b"x" * 5000


async def test_health_says_whether_the_framework_is_subscribed_and_its_store_answers(served, monkeypatch):
    ready, session, _, _ = served

    async def health():
        async with session.get(f"{ready.url}/health") as answer:
            return answer.status, await answer.json()

    fine = {"status": "ok", "framework": "t", "subscribed": True, "store": True}
    assert await health() == (200, fine)
    monkeypatch.setattr(Subscribed, "well", False)
    assert await health() == (503, {**fine, "status": "unwell", "subscribed": False})


async def test_an_upload_is_answered_when_it_is_stored_and_not_before(served, running, monkeypatch):
    ready, session, heard, _ = served
    monkeypatch.setattr(server_actor, "STORE_PATIENCE", 0.05)
    monkeypatch.setattr(SlowStore, "hold", True)
    async with session.put(f"{ready.url}/uploads/a", data=b"x", headers=TOKEN) as answer:
        assert answer.status == 503
        assert await answer.text() == "a is not stored yet: the framework's store cannot write at the moment"
    assert not [message for message in heard if isinstance(message, m.Uploaded)]
    monkeypatch.setattr(server_actor, "STORE_PATIENCE", 20.0)
    monkeypatch.setattr(SlowStore, "hold", False)
    async with session.put(f"{ready.url}/uploads/a", data=b"x", headers=TOKEN) as answer:
        assert answer.status == 201
    (told,) = [message for message in heard if isinstance(message, m.Uploaded)]
    assert told.name == "a"
    store = running.get("store")
    records = (await store.ask(m.Load(), block=False)).records
    assert [record.key for record in records] == [
        told.key
    ]  # nothing is left of the one that was not answered


async def test_a_server_that_is_told_of_a_write_it_knows_nothing_of_goes_on(served, running):
    ready, session, *_ = served
    running.get("server").tell(m.Stored(99))
    async with session.put(f"{ready.url}/uploads/a", data=b"x", headers=TOKEN) as answer:
        assert answer.status == 201


def test_a_server_that_cannot_find_out_its_address_goes_by_the_name_of_the_machine(monkeypatch):
    class Unreachable:
        def __init__(self, *_kinds: object) -> None:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Unreachable)
    monkeypatch.setattr(socket, "gethostname", lambda: "this-machine")
    assert reachable_as("0.0.0.0", "http://10.0.0.1:5050") == "this-machine"


async def test_a_name_that_is_a_folder_or_lies_below_a_file_is_in_conflict(served):
    ready, session, _, tmp_path = served
    for name, status in (("a", 201), ("a/b", 409), ("c/d/e", 201), ("c/d", 409), ("c", 409), ("a", 201)):
        async with session.put(f"{ready.url}/uploads/{name}", data=b"x", headers=TOKEN) as answer:
            assert answer.status == status, name
            if status == 409:
                assert f"{name} cannot be uploaded: " in await answer.text()
    assert {
        str(path.relative_to(tmp_path / "up")) for path in (tmp_path / "up").rglob("*") if path.is_file()
    } == {
        "a",
        "c/d/e",
    }


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (errno.ENOSPC, (507, "the framework's server has no room: No space left on device")),
        (errno.EIO, (503, "the framework's server cannot do this now: Input/output error")),
    ],
)
async def test_a_disk_that_fails_is_told_to_who_uploads_and_nothing_is_left(
    served, monkeypatch, caplog, error, answered
):
    ready, session, heard, tmp_path = served

    def full(*_arguments: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(ServerActor, "_put_in_place", full)
        async with session.put(f"{ready.url}/uploads/a", data=b"x", headers=TOKEN) as answer:
            assert (answer.status, await answer.text()) == answered
    assert list((tmp_path / "up").iterdir()) == []
    assert not [message for message in heard if isinstance(message, m.Uploaded)]
    assert "Traceback" not in caplog.text


async def test_the_name_of_the_task_arrives_as_it_is(served):
    ready, session, heard, _ = served
    headers = {**TOKEN, "Mesostic-Task": quote("tâche 1")}
    async with session.put(f"{ready.url}/uploads/a", data=b"x", headers=headers) as answer:
        assert answer.status == 201
    assert [message.task_id for message in heard if isinstance(message, m.Uploaded)] == ["tâche 1"]


async def test_what_is_written_is_for_its_user_alone(served):
    ready, session, _, tmp_path = served
    for url in ("/uploads/img/a.png", "/traces/crawl-1?offset=0"):
        async with session.put(ready.url + url, data=b"x", headers=TOKEN) as answer:
            assert answer.status in {201, 204}
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    del modes["traces"]  # as the user's umask has it: the file of the trace lies there
    assert modes == {
        "up": "0o700",
        "img": "0o700",
        "a.png": "0o600",
        "run.trace.executors": "0o700",
        "crawl-1.trace": "0o600",
    }


HOSTILE = (
    "9" * 5000, "-1", "1e9", "٣", "%00", "a%00b", "%ff%fe", "%2e%2e", "..", ".", "a" * 3000, "a%2fb", "%2f",
    "a%0d%0aX: y", "%ed%a0%80", "?", "#", "a?offset=" + "9" * 5000, "a?offset=-1", "a?offset=%00", "a?offset=",
    "a?offset=0&offset=x", "a?=&&", "a/" * 200 + "b", "con\\x", "a?offset=9e999", "e.trace/x", "a%20b", "%",
    "%zz", "*", "a;b", "a" * 200 + "/" + "b" * 200,
)  # fmt: skip
HEADERS: tuple[tuple[str, bytes], ...] = (
    ("Content-Length", b"9" * 5000),
    ("Content-Length", b"-1"),
    ("Content-Length", b"0x10"),
    ("Transfer-Encoding", b"chunked"),
    ("Transfer-Encoding", b"gzip"),
    ("Content-Encoding", b"gzip"),
    ("Content-Encoding", b"br"),
    ("Content-Type", b"\xff\xfe/\xfd"),
    ("Content-Type", b"a/b; charset=no-such-thing"),
    ("Content-Type", b";" * 4000),
    ("Mesostic-Task", b"\xff%00%ed%a0%80%zz"),
    ("Range", b"bytes=" + b"9" * 5000 + b"-"),
    ("Range", b"bytes=5-1"),
    ("Range", b"bytes=--1"),
    ("If-Modified-Since", b"Mon, 99 Xxx 99999999999 99:99:99 GMT"),
    ("If-Modified-Since", b"Sun, 06 Nov 9999999999 08:49:37 GMT"),
    ("If-Unmodified-Since", b"\xff"),
    ("If-Range", b"Sun, 06 Nov 0000 08:49:37 GMT"),
    ("If-None-Match", b'"' * 50),
    ("If-Match", b"\xff\x01"),
    ("Authorization", b"Bearer \xff\xfe"),
    ("Authorization", b"Bearer " + b"9" * 5000),
    ("Host", b"\xff"),
    ("Host", b"[::1"),
    ("Host", b"127.0.0.1:" + b"9" * 5000),
    ("Origin", b"http://[::1"),
    ("Origin", b"\xff\xfe"),
    ("Origin", b"http://127.0.0.1:" + b"9" * 5000),
    ("Sec-Fetch-Site", b"\xff"),
    ("Expect", b"something-else"),
    ("Cookie", b"=;=;\xff=" * 20),
    ("Connection", b"upgrade"),
)


async def answer_to(ready, method, target, headers=(), body=b"x"):
    """The status of the answer to these very bytes; 0 if it hangs up."""
    host, port = ready.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = {
            "Host": f"{host}:{port}".encode(),
            "Authorization": b"Bearer secret",
            "Content-Length": str(len(body)).encode(),
        }
        lines.update(headers)
        if "Transfer-Encoding" in lines:
            del lines["Content-Length"]
        head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in lines.items())
        writer.write(f"{method} {target} HTTP/1.1\r\n".encode() + head + b"\r\n" + body)
        answer = asyncio.ensure_future(reader.readline())
        await asyncio.wait((answer,), timeout=0.5)
        if not answer.done():  # it waits for more than it is going to get
            writer.write_eof()
        async with asyncio.timeout(20):
            line = await answer
        return int(line.split()[1]) if line else 0
    except ConnectionError:
        return 0
    finally:
        writer.close()


ROUTES = ("/health", "/given-up", "/artifacts/{}", "/uploads/{}", "/traces/{}", "/{}")


@pytest.mark.parametrize("route", ROUTES)
async def test_no_target_whatever_it_is_made_of_is_an_error_of_the_servers(served, route, caplog):
    ready, *_ = served
    for method in ("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"):
        for hostile in HOSTILE:
            status = await answer_to(ready, method, route.format(hostile))
            assert status < 500, (method, route, hostile[:60])
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "target", ["/health", "/given-up", "/artifacts/a", "/uploads/a", "/traces/a?offset=0"]
)
async def test_no_header_whatever_it_is_made_of_is_an_error_of_the_servers(served, target, caplog):
    ready, *_ = served
    assert await answer_to(ready, "PUT", "/uploads/a") == 201
    for method in ("GET", "PUT", "HEAD"):
        for name, value in HEADERS:
            for body in (b"", b"x", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n"):
                status = await answer_to(ready, method, target, ((name, value),), body)
                assert status < 500, (method, target, name, value[:60], body)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic c2VjcmV0"}]
)
@pytest.mark.parametrize("path", ["/uploads/a", "/traces/e"])
async def test_nothing_is_taken_without_the_token(served, headers, path):
    ready, session, heard, _ = served
    async with session.put(ready.url + path, data=b"x", headers=headers) as answer:
        assert answer.status == 401
    assert not [message for message in heard if isinstance(message, m.Uploaded)]


@pytest.mark.parametrize(
    "name", ["..%2fescape", "a/..%2f..%2fb", ".hidden", "a%00b", "a//b", "%2fetc%2fpasswd"]
)
async def test_a_name_cannot_lead_out_of_the_folder(served, name):
    from yarl import URL

    ready, session, _, tmp_path = served
    async with session.put(
        URL(f"{ready.url}/uploads/{name}", encoded=True), data=b"x", headers=TOKEN
    ) as answer:
        assert answer.status in {400, 404}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(served, chunked):
    ready, session, _, tmp_path = served

    async def chunks():
        for _ in range(20):
            yield b"x" * 10_000

    data = chunks() if chunked else b"x" * 200_000
    try:
        async with session.put(f"{ready.url}/uploads/big", data=data, headers=TOKEN) as answer:
            assert answer.status == 413
    except aiohttp.ClientError:
        pass  # it may hang up while we still send
    await asyncio.sleep(0.05)
    assert [path for path in (tmp_path / "up").iterdir() if path.is_file()] == []


async def test_traces_are_appended_at_their_offset(served):
    ready, session, _, tmp_path = served
    url = f"{ready.url}/traces/crawl-1"
    for offset, data, status in ((0, b"abc", 204), (3, b"def", 204), (3, b"def", 204), (99, b"x", 409)):
        async with session.put(f"{url}?offset={offset}", data=data, headers=TOKEN) as answer:
            assert answer.status == status
            if status == 409:
                assert json.loads(await answer.text()) == {"offset": 6}
    assert (tmp_path / "traces" / "run.trace.executors" / "crawl-1.trace").read_bytes() == b"abcdef"


async def test_a_piece_of_a_trace_that_is_too_large_is_refused(served):
    ready, session, _, tmp_path = served
    for size, status in ((100_000, 204), (100_001, 413)):
        async with session.put(f"{ready.url}/traces/e?offset=0", data=b"x" * size, headers=TOKEN) as answer:
            assert answer.status == status
    assert (tmp_path / "traces" / "run.trace.executors" / "e.trace").stat().st_size == 100_000


async def test_a_port_in_use_is_one_sentence():
    async with ActorSystem() as system:
        system.spawn(Listener, [], name="scheduler")
        taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        composition = Composition(FrameworkSettings(master="http://localhost:1"))
        server = system.spawn(ServerActor, composition, ServerSettings(port=port), name="server")
        with pytest.raises(ServerError, match=rf"cannot listen on 127.0.0.1:{port}.*\[server\] port"):
            await server.ask(m.OpenServer(), block=False)
        again = system.spawn(ServerActor, composition, ServerSettings(), name="other")
        ready = await again.ask(m.OpenServer(port), block=False)  # an earlier run's port, taken by now
        assert ready.port != port
        taken.close()
        await taken.wait_closed()


class Crash:
    """Makes the server's actor fail."""


class Fragile(ServerActor):
    @receive
    def crash(self, _asked: Crash) -> None:
        raise RuntimeError("boom")


async def test_a_server_whose_actor_fails_comes_back_at_its_port_with_its_uploads(running):
    heard: list[object] = []
    running.spawn(Subscribed, heard, name="scheduler")
    made = Composition(FrameworkSettings(master="http://localhost:1"), token="secret")
    running.spawn(SlowStore, made, StoreSettings(), name="store")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = running.spawn(Fragile, made, ServerSettings(port=port), name="server", supervision=RESTART)
    ready = await server.ask(m.OpenServer(), block=False)
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{ready.url}/uploads/a", data=b"x", headers=TOKEN) as answer:
            assert answer.status == 201
        server.tell(Crash())
        again = await server.ask(m.OpenServer(port), block=False)
        assert again == ready
        async with session.get(f"{again.url}/uploads/a", headers=TOKEN) as answer:
            assert await answer.read() == b"x"


async def test_an_upload_that_waits_when_the_servers_actor_fails_can_come_again_at_once(running, monkeypatch):
    monkeypatch.setattr(SlowStore, "hold", True)
    running.spawn(Subscribed, [], name="scheduler")
    made = Composition(FrameworkSettings(master="http://localhost:1"), token="secret")
    running.spawn(SlowStore, made, StoreSettings(), name="store")
    server = running.spawn(Fragile, made, ServerSettings(), name="server", supervision=RESTART)
    ready = await server.ask(m.OpenServer(), block=False)

    async def put():
        async with (
            aiohttp.ClientSession() as session,
            session.put(f"{ready.url}/uploads/a", data=b"x", headers=TOKEN) as answer,
        ):
            return answer.status

    upload = asyncio.ensure_future(put())
    await asyncio.to_thread(_until_there, f"{ready.upload_dir}/a")
    server.tell(Crash())
    async with asyncio.timeout(server_actor.STORE_PATIENCE / 2):
        with pytest.raises(aiohttp.ClientConnectionError):
            await upload
        monkeypatch.setattr(SlowStore, "hold", False)
        await server.ask(m.OpenServer(ready.port), block=False)
        assert await put() == 201


def _until_there(path):
    while not Path(path).exists():
        time.sleep(0.01)


async def test_health_is_told_under_whatever_name_it_was_asked(served):
    ready, *_ = served
    assert await answer_to(ready, "GET", "/health", (("Host", b"balancer.example"),)) == 200
    assert await answer_to(ready, "GET", "/artifacts/a", (("Host", b"balancer.example"),)) == 403


async def test_code_that_cannot_be_shipped_is_one_sentence(running):
    running.spawn(Listener, [], name="scheduler")
    made = Composition(
        FrameworkSettings(master="http://localhost:1"),
        executors=(ExecutorSettings(name="e", cls="a:B", packages=("no_such_package",)),),
    )
    server = running.spawn(ServerActor, made, ServerSettings(), name="server")
    with pytest.raises(ServerError, match="the package no_such_package to ship to executors cannot be found"):
        await server.ask(m.OpenServer(), block=False)


def test_the_archive_is_the_same_bytes_each_time(tmp_path):
    package = tmp_path / "mine"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("x = 1\n")
    (package / "data.txt").write_text("y")
    (package / "__pycache__" / "junk.pyc").write_bytes(b"junk")
    (tmp_path / "single.py").write_text("z = 2\n")
    wanted = (str(package), str(tmp_path / "single.py"))
    first = build_artifact(wanted)
    (package / "__init__.py").touch()
    assert build_artifact(wanted) == first
    names = names_in(first.data)
    assert {"mine/__init__.py", "mine/data.txt", "single.py"} <= set(names)
    assert not any("__pycache__" in name for name in names)
    (package / "data.txt").write_text("changed")
    assert build_artifact(wanted).name != first.name


def test_a_package_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ArtifactError, match="no_such_package"):
        build_artifact(["no_such_package"])
    with pytest.raises(ArtifactError, match=r"nowhere\.py"):
        build_artifact([str(tmp_path / "nowhere.py")])


@pytest.mark.parametrize(
    ("master", "host", "local"),
    [
        ("http://127.0.0.1:5050", "127.0.0.1", True),
        ("localhost:5050", "localhost", True),
        ("https://mesos.example.org/x", "mesos.example.org", False),
        ("zk://u:p@10.0.0.1:2181,10.0.0.2:2181/mesos", "10.0.0.1", False),
        ("zk://one,two:2181/mesos", "one", False),
        ("http://[::1]:5050", "::1", True),
    ],
)
def test_where_the_master_is(master, host, local):
    assert master_host(master) == host
    assert origins.is_loopback(master_host(master)) is local


@pytest.mark.parametrize("where", ["as_set", "beside_the_store", "temporary"])
async def test_a_folder_for_uploads_is_made_for_its_user_alone_wherever_it_is_to_be(
    running, tmp_path, monkeypatch, where
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "deep" / "up"
    store = StoreSettings(str(folder / "s.db") if where == "beside_the_store" else "")
    actors = (ActorSpec("store", SlowStore, store),)
    composition = Composition(
        FrameworkSettings(name="t", master="http://127.0.0.1:5050"), actors, token="secret"
    )
    running.spawn(Subscribed, [], name="scheduler")
    running.spawn(SlowStore, composition, StoreSettings(), name="store")
    settings = ServerSettings(upload_dir=str(folder) if where == "as_set" else "")
    server = running.spawn(ServerActor, composition, settings, name="server")
    ready = await server.ask(m.OpenServer(), block=False)
    if where == "as_set":
        assert ready.upload_dir == str(folder)
    made = await asyncio.to_thread(os.stat, ready.upload_dir)
    assert made.st_mode & 0o777 == 0o700


async def test_a_process_that_leads_no_more_takes_nothing_and_another_port_if_its_own_is_taken(running):
    running.spawn(Listener, [], name="scheduler")
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    composition = Composition(
        FrameworkSettings(master="http://localhost:1"),
        token="secret",
        trace_file="run.trace",
        leadership=Leadership(7, running.clock.now() + 60.0),
    )
    running.spawn(StoreActor, replace(composition, leadership=None), StoreSettings(), name="store")
    server = running.spawn(ServerActor, composition, ServerSettings(port=port), name="server")
    ready = await server.ask(m.OpenServer(), block=False)
    assert ready.port != port, "a frozen leader of the same machine may have it"
    async with aiohttp.ClientSession() as session:

        async def put(path):
            async with session.put(f"{ready.url}/{path}", data=b"x", headers=TOKEN) as answer:
                return answer.status

        assert await put("uploads/a") == 201
        server.tell(m.Leading(7, 0.0))
        assert [await put("uploads/b"), await put("traces/e")] == [503, 503]
        server.tell(m.Leading(8, running.clock.now() + 60.0))
        assert await put("uploads/b") == 503, "that is another reign"
    taken.close()
    await taken.wait_closed()
