"""The framework's own server, over real HTTP: artifacts, uploads, traces; and the archive itself."""

import asyncio
import io
import json
import tarfile

import aiohttp
import pytest

from actors import messages as m
from actors.artifacts import ArtifactError, build_artifact
from actors.runtime import Actor, ActorSystem
from actors.server_actor import ServerActor, ServerError, ServerSettings, master_host, master_is_local
from actors.settings import Composition, ExecutorSettings, FrameworkSettings

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


@pytest.fixture
async def served(tmp_path):
    heard: list[object] = []
    async with ActorSystem() as system, aiohttp.ClientSession() as session:
        system.spawn(Listener, heard, name="scheduler")
        composition = Composition(
            FrameworkSettings(name="t", master="http://127.0.0.1:5050"),
            executors=(ExecutorSettings(name="e", cls="a:B"), ExecutorSettings(name="f", cls="a:C")),
            trace_file=str(tmp_path / "run.trace"),
            token="secret",
        )
        settings = ServerSettings(upload_dir=str(tmp_path / "up"), max_upload=100_000)
        server = system.spawn(ServerActor, composition, settings, name="server")
        ready = await server.ask(m.OpenServer(), block=False)
        yield ready, session, heard, tmp_path


async def test_health_and_artifacts_are_served_without_a_token(served):
    ready, session, _, _ = served
    async with session.get(f"{ready.url}/health") as answer:
        assert (await answer.json())["status"] == "ok"
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
    assert (tmp_path / "run.trace.executors" / "crawl-1.trace").read_bytes() == b"abcdef"


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
        ("http://[::1]:5050", "::1", True),
    ],
)
def test_where_the_master_is(master, host, local):
    assert master_host(master) == host
    assert master_is_local(master) is local
