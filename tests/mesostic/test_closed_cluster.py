"""`master = "embedded"` lets nobody in: no other user of the machine, and no page in a browser, gets or changes anything."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from actors.framework_settings import FrameworkSettings
from mesostic.config.compose import load_configuration
from mesostic.credential import PRINCIPAL, closed, logged_in
from mesostic.embedded import EmbeddedCluster
from mesostic.testing import cluster, running
from playa.settings import AgentSettings, ClusterSettings

NOBODY = 65534
CODE = """
import asyncio
from mesostic import Executor, SchedulerActor, message, task

@message
class Work:
    number: int

class Worker(Executor):
    @task
    async def work(self, work: Work) -> None:
        await asyncio.sleep(1000)

class Stays(SchedulerActor):
    def on_registered(self, event):
        self.launch(Work(1), executor="worker")
        self.launch(command="exec sleep 1000")
"""
CONFIG = """
[framework]
name = "stays"
[scheduler]
class = "stays_under_test:Stays"
[executors.worker]
class = "stays_under_test:Worker"
"""

# What somebody else on the machine can do: find every port, and try all that the servers have on it.
ATTACK = """
    import encodings.idna, http.client, json, os, sys  # all of it before the user changes
    uid, ports, files = json.load(sys.stdin)
    if uid:
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
    launch = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "root", "name": "evil"}}}
    status = {"framework_id": {"value": "x"}, "executor_id": {"value": "x"}, "type": "SUBSCRIBE", "subscribe": {}}
    fault = {"fault": "kill_agent"}
    JSON = "application/json"
    tries = [("GET", path, None, JSON) for path in (
        "/", "/state", "/state?jsonp=f", "/master/state", "/tasks", "/frameworks", "/slaves", "/flags", "/containers",
        "/metrics/snapshot", "/playa/faults", "/files/browse?path=/", "/files/read?path=/frameworks&offset=0", "/files/download",
        "/uploads/a", "/traces/a")]
    tries += [("POST", path, body, kind) for kind in (JSON, "text/plain") for path, body in (
        ("/api/v1/scheduler", launch), ("/master/api/v1/scheduler", launch), ("/api/v1", {"type": "GET_STATE"}),
        ("/api/v1", {"type": "LAUNCH_CONTAINER"}), ("/api/v1/executor", status), ("/slave(1)/api/v1/executor", status),
        ("/playa/faults", fault), ("/teardown", {}), ("/machine/down", []))]
    tries += [("PUT", "/uploads/a", {}, JSON), ("PUT", "/traces/a?offset=0", {}, JSON), ("DELETE", "/playa/faults", None, JSON)]
    got = []
    for port in ports:
        own = f"127.0.0.1:{port}"
        for headers in ({"Host": own}, {"Host": "evil.test"}, {"Host": own, "Origin": "http://evil.test"},
                        {"Host": own, "Authorization": "Basic bWVzb3N0aWM6"}, {"Host": own, "Authorization": "Bearer "}):
            for method, path, body, kind in tries:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                data = None if body is None else json.dumps(body)
                connection.request(method, path, data, {**headers, "Content-Type": kind})
                answer = connection.getresponse()
                got.append([answer.status, method, path, port, headers])
                connection.close()
    read = []
    for file in files:
        try:
            os.close(os.open(file, os.O_RDONLY))
        except OSError:
            continue
        read.append(file)
    json.dump([got, read], sys.stdout)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "stays_under_test.py").write_text(CODE)
    (tmp_path / "stays.toml").write_text(CONFIG)
    return tmp_path / "stays.toml"


def listening(*roots: psutil.Process) -> list[int]:
    """The ports at which processes and their descendants listen."""
    ports = set()
    for root in roots:
        for process in (root, *root.children(recursive=True)):
            ports |= {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return sorted(ports)


async def test_somebody_else_on_the_machine_gets_nothing_and_changes_nothing(project: Path) -> None:
    configuration = load_configuration(project)
    assert configuration.cluster is not None
    settings = closed(configuration.cluster, configuration.composition.framework)
    secret = dict(settings.credentials)[PRINCIPAL]
    embedded = EmbeddedCluster.launch()
    try:
        url = await embedded.start(settings)
        on: Any = SimpleNamespace(url=url, settings=settings)
        async with running(project, on) as framework:
            await framework.wait_for("TaskChanged", contains="running", count=2)
            mine = psutil.Process()
            server: str = framework.system.get("server")._actor.url  # type: ignore[union-attr]
            ports = [*listening(psutil.Process(embedded._process.pid)), int(server.rpartition(":")[2])]
            assert len(ports) >= 3, "master, agent, the framework's server"
            files = [str(path) for path in embedded.work_dir.rglob("*") if path.is_file()]
            assert any(file.endswith("stderr") for file in files)
            uid = NOBODY if os.geteuid() == 0 else 0
            done = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", textwrap.dedent(ATTACK)], input=json.dumps([uid, ports, files]),
                capture_output=True, text=True, check=True, timeout=100, cwd="/",
            )  # fmt: skip
            got, read = json.loads(done.stdout)
            let_in = [line for line in got if line[0] not in {401, 403, 404, 405}]
            assert not let_in
            of_the_cluster = [line for line in got if line[0] in {401, 403}]
            assert len(of_the_cluster) > 200
            if uid:
                assert read == [], "and no file of the cluster can be read"
            kept = [
                p
                for p in embedded.work_dir.rglob("*")
                if p.is_file() and secret in p.read_text(errors="replace")
            ]
            assert not kept, "the secret is in no file, and in no log"
            for process in mine.children(recursive=True):
                assert secret not in " ".join(process.cmdline())
                assert secret not in str(process.environ())
        assert stat.S_IMODE(embedded.work_dir.stat().st_mode) & 0o066 == 0
    finally:
        await embedded.stop(at_once=True)
        embedded.folder.remove()


async def test_the_cluster_of_tests_asks_for_a_credential_unless_it_is_told_not_to() -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with cluster(agents=0) as mesos:
            for headers, status in (({}, 401), (mesos.headers, 200)):
                async with session.get(f"{mesos.url}/state", headers=headers) as answer:
                    assert answer.status == status
        async with cluster(agents=0, credentials=()) as mesos, session.get(f"{mesos.url}/state") as answer:
            assert mesos.headers == {}
            assert answer.status == 200


def test_every_run_has_a_secret_of_its_own_and_it_is_asked_for_everywhere() -> None:
    framework = FrameworkSettings(name="f")
    lax = ClusterSettings(
        agents=(AgentSettings(authenticate_http_readonly=False, authenticate_http_executors=False),),
        authenticate_http_frameworks=False,
        authenticate_http_readonly=False,
    )
    one, two = closed(lax, framework), closed(lax, framework)
    assert one.credentials != two.credentials
    assert one.authenticate_http_frameworks
    assert one.authenticate_http_readonly
    assert one.authenticate_http_readwrite
    assert one.agent(1).authenticate_http_readonly
    assert one.agent(1).authenticate_http_executors
    assert (logged_in(framework, one).principal, logged_in(framework, one).secret) == one.credentials[0]


def test_credentials_of_the_configuration_stay_valid_beside_the_one_that_is_drawn() -> None:
    given = ClusterSettings(credentials=(("me", "known"),))
    settings = closed(given, FrameworkSettings(name="f"))
    assert dict(settings.credentials)["me"] == "known"
    assert len(settings.credentials) == 2
    own = FrameworkSettings(name="f", principal="me", secret="known")
    assert dict(closed(given, own).credentials) == {"me": "known"}
    assert logged_in(own, closed(given, own)) is own
    named = FrameworkSettings(name="f", principal="me")
    assert logged_in(named, closed(given, named)).secret == "known"


async def test_an_agent_that_cannot_write_any_more_is_told_to_the_user(project: Path) -> None:
    """As on a full disk: here no file of the cluster may grow from some moment on."""
    configuration = load_configuration(project, ["framework.checkpoint=true"])
    assert configuration.cluster is not None
    settings = closed(configuration.cluster, configuration.composition.framework)
    embedded = EmbeddedCluster.launch()
    heard: asyncio.Queue[str] = asyncio.Queue()
    try:
        on: Any = SimpleNamespace(url=await embedded.start(settings), settings=settings)
        listening = asyncio.ensure_future(embedded.wait(heard.put_nowait))
        psutil.Process(embedded._process.pid).rlimit(psutil.RLIMIT_FSIZE, (0, 0))
        async with running(project, on, sets=["framework.checkpoint=true"]):
            told = await asyncio.wait_for(heard.get(), 30)
        assert "failed and is started again: OSError" in told
        assert "\n" not in told
        listening.cancel()
    finally:
        await embedded.stop(at_once=True)
        embedded.folder.remove()
