"""Who gets in: every route of master and agent asks for what it is said to ask for, and no web page gets anywhere."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from playa import AgentSettings, Cluster, ClusterSettings
from playa.agent.executors import tokens
from playa.settings import SettingsError
from playa.web import Site

OPEN = ClusterSettings(agents=(AgentSettings(),), allocation_interval=0.05)
CLOSED = replace(OPEN, credentials=(("alice", "secret"), ("bob", "other")))
OF_NO_USE_TO_ANYBODY = {
    "/health",
    "/version",
    "/redirect",
}  # without credentials on a real master and agent, too
FAULTS = "/playa/faults"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as one:
        yield one


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[tuple[str, str, str]]]:
    """All (method, base URL, path) that the servers of the test have, as they list them themselves."""
    served: list[tuple[Site, web.Application]] = []
    original = Site.__init__

    def noting(self: Site, app: web.Application, ip: str, port: int) -> None:
        served.append((self, app))
        original(self, app, ip, port)

    monkeypatch.setattr(Site, "__init__", noting)

    def listed() -> list[tuple[str, str, str]]:
        found = set()
        for site, app in served:
            for route in app.router.routes():
                info = route.resource.get_info() if route.resource is not None else {}
                path = str(info.get("path") or info.get("formatter", "")).replace("{agent}", "slave(1)")
                methods = ("GET", "POST") if route.method in {"*", "GET"} else (route.method,)
                found |= {(m, f"http://127.0.0.1:{site._port}", path) for m in methods if m != "HEAD"}
        return sorted(found)

    return listed


async def answer(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> tuple[int, str]:
    async with session.request(method, url, allow_redirects=False, **more) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
        body = b"" if response.status == 200 and "/files/" in url else await response.read()
        return response.status, body.decode()


async def test_with_credentials_every_route_of_master_and_agent_asks_for_them(routes, session) -> None:
    async with Cluster(CLOSED) as cluster:
        everything = routes()
        assert len(everything) > 80
        for method, base, path in everything:
            for given in (None, "alice:other", "alice:", "mallory:secret", "alice", ":"):
                headers = {"Authorization": f"Basic {b64encode(given.encode()).decode()}"} if given else {}
                status, text = await answer(session, method, base + path, headers=headers)
                if path.rpartition("/")[2].removesuffix(".json") in {p[1:] for p in OF_NO_USE_TO_ANYBODY}:
                    assert status in {200, 307, 405}, (method, path)
                else:
                    assert (status, text) == (401, "401 Unauthorized."), (method, base, path)
        for path in ("/", "/state", FAULTS):
            status, _ = await answer(session, "GET", cluster.url + path, headers=cluster.headers)
            assert status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test:5050"},
        {"Host": "127.0.0.1.evil.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_every_route_refuses_what_a_web_page_may_have_sent(routes, session, headers) -> None:
    async with Cluster(OPEN):
        for method, base, path in routes():
            status, text = await answer(session, method, base + path, headers=headers, data=b"{}")
            assert status == 403, (method, base, path)
            assert text.endswith("."), text
        status, _ = await answer(session, "OPTIONS", base + "/state", headers=headers)
        assert status == 403, "a preflight is not answered either"


async def test_what_changes_something_asks_even_where_reading_does_not(session) -> None:
    async with Cluster(replace(CLOSED, authenticate_http_readonly=False)) as cluster:
        assert (await answer(session, "GET", f"{cluster.url}/state"))[0] == 200
        for path in ("/maintenance/schedule", "/machine/down", "/machine/up", "/quota", "/teardown"):
            assert (await answer(session, "POST", cluster.url + path))[0] == 401, path


async def test_a_page_of_the_clusters_own_may_use_it(session) -> None:
    async with Cluster(OPEN) as cluster:
        own = {"Origin": cluster.url, "Sec-Fetch-Site": "same-origin"}
        assert (await answer(session, "GET", f"{cluster.url}/state", headers=own))[0] == 200
        local = {"Host": f"localhost:{cluster.port}"}
        assert (await answer(session, "GET", f"{cluster.url}/state", headers=local))[0] == 200


async def test_a_cluster_answers_to_the_name_it_was_given(session) -> None:
    agent = AgentSettings(hostname="machine.example")
    async with Cluster(replace(OPEN, agents=(agent,))) as cluster:
        async with session.get(f"{cluster.url}/slaves") as response:
            port = (await response.json())["slaves"][0]["port"]
        for name, status in (("machine.example", 200), ("other.example", 403)):
            url = f"http://127.0.0.1:{port}/state"
            assert (await answer(session, "GET", url, headers={"Host": f"{name}:{port}"}))[0] == status


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None],
)
async def test_a_fault_is_asked_for_in_json_or_not_at_all(session, content_type) -> None:
    body = json.dumps({"fault": "plan", "silent": True}).encode()
    headers = {"Content-Type": content_type} if content_type else {}
    async with Cluster(OPEN) as cluster:
        status, text = await answer(
            session,
            "POST",
            cluster.url + FAULTS,
            data=body,
            headers=headers,
            skip_auto_headers=["Content-Type"],
        )
        assert (status, text) == (415, "Expecting 'Content-Type' of application/json")
        assert not (await cluster.faults.plan()).silent


# --- executors --------------------------------------------------------------------------------------------------


async def test_an_executor_speaks_for_itself_alone(bench_with_two_executors) -> None:
    """Its token says whose it is, as a Mesos agent's tokens do: the agent's signature and the claims fid, eid and cid."""
    call, key, ids = bench_with_two_executors
    mine, other = ids
    token = tokens.sign(key, mine)
    header, payload, _ = token.split(".")
    assert await call(token, mine) == (202, "")
    status, text = await call(token, other)
    assert (status, "'eid' claim" in text) == (403, True)
    status, text = await call(tokens.sign(key, {**mine, "cid": "of an earlier run"}), mine)
    assert (status, "'cid' claim" in text) == (403, True)
    status, text = await call(tokens.sign(key, {**mine, "fid": "another"}), mine)
    assert (status, "'fid' claim" in text) == (403, True)
    for bad in (None, "", "x", "a.b.c", f"{header}.{payload}.", tokens.sign(b"x" * 32, mine), token[:-2]):
        status, text = await call(bad, mine)
        assert (status, text) == (401, "401 Unauthorized."), bad


@pytest.fixture
async def bench_with_two_executors(session, tmp_path) -> Any:
    agent = AgentSettings(work_dir=str(tmp_path / "agent"))
    async with Cluster(replace(CLOSED, agents=(agent,))) as cluster:
        async with session.get(f"{cluster.url}/slaves", headers=cluster.headers) as response:
            listed = (await response.json())["slaves"][0]
        info: dict[str, Any] = {"user": "", "name": "f", "principal": "alice", "roles": ["*"]}
        info["capabilities"] = [{"type": "MULTI_ROLE"}]
        subscribe = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        url = f"{cluster.url}/api/v1/scheduler"
        stream = await session.post(url, json=subscribe, headers=cluster.headers)
        events = Records(stream)
        framework = (await events.wait("SUBSCRIBED"))["subscribed"]["framework_id"]
        offer = (await events.wait("OFFERS"))["offers"]["offers"][0]
        tasks = [
            {
                "name": name, "task_id": {"value": name}, "agent_id": offer["agent_id"],
                "executor": {
                    "executor_id": {"value": name}, "type": "CUSTOM", "framework_id": framework,
                    "command": {"value": "exec sleep 1000"}, "resources": amounts(),
                },
                "resources": amounts(),
            }
            for name in ("mine", "other")
        ]  # fmt: skip
        accept = {
            "type": "ACCEPT", "framework_id": framework,
            "accept": {"offer_ids": [offer["id"]], "operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]},
        }  # fmt: skip
        headers = {**cluster.headers, "Mesos-Stream-Id": stream.headers["Mesos-Stream-Id"]}
        async with session.post(url, json=accept, headers=headers) as response:
            assert response.status == 202
        base = tmp_path / "agent" / "slaves" / listed["id"] / "frameworks" / framework["value"] / "executors"
        async with asyncio.timeout(10):
            while len(list(base.glob("*/runs/latest/stdout"))) < 2:
                await asyncio.sleep(0.01)
        ids = [
            {"fid": framework["value"], "eid": name, "cid": (base / name / "runs" / "latest").readlink().name}
            for name in ("mine", "other")
        ]

        async def call(token: str | None, whose: dict[str, str]) -> tuple[int, str]:
            body = {"type": "SUBSCRIBE", "subscribe": {}}
            body |= {"framework_id": {"value": whose["fid"]}, "executor_id": {"value": whose["eid"]}}
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            url = f"http://127.0.0.1:{listed['port']}/slave(1)/api/v1/executor"
            async with session.post(url, json=body, headers=headers) as response:
                if response.status == 200:
                    return 202, ""
                if response.status == 401:
                    assert 'realm="mesos-agent-executor"' in response.headers["WWW-Authenticate"]
                return response.status, await response.text()

        yield call, (tmp_path / "agent" / "meta" / "jwt_secret_key").read_bytes(), ids
        stream.close()


def amounts() -> list[dict[str, Any]]:
    return [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
    ]


class Records:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        assert response.status == 200
        self._response = response

    async def wait(self, kind: str) -> dict[str, Any]:
        while True:
            length = int(await self._response.content.readline())
            event: dict[str, Any] = json.loads(await self._response.content.readexactly(length))
            if event["type"] == kind:
                return event


def test_what_is_kept_is_for_its_owners_eyes_only(tmp_path) -> None:
    key = tokens.key_of(tmp_path / "meta")
    assert len(key) >= 32
    assert tokens.key_of(tmp_path / "meta") == key
    assert (tmp_path / "meta" / "jwt_secret_key").stat().st_mode & 0o077 == 0
    (tmp_path / "meta" / "jwt_secret_key").write_bytes(b"")  # a disk that was full
    assert len(tokens.key_of(tmp_path / "meta")) >= 32


async def test_sandboxes_volumes_and_checkpoints_are_readable_by_their_owner_alone(
    bench_with_two_executors, tmp_path
):
    agent = tmp_path / "agent"
    sandboxes = [
        path for path in agent.glob("slaves/*/frameworks/*/executors/*/runs/*") if not path.is_symlink()
    ]
    assert len(sandboxes) == 2
    for path in (*sandboxes, agent / "meta", agent / "meta" / "ledger"):
        assert path.stat().st_mode & 0o077 == 0, path


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [{"ip": "0.0.0.0"}, {"agents": (AgentSettings(ip="0.0.0.0"),)}], ids=str)
async def test_nobody_opens_a_cluster_to_a_network_by_accident(where) -> None:
    with pytest.raises(SettingsError, match=r"on 0\.0\.0\.0 .* give it credentials .* or use --insecure"):
        await Cluster(ClusterSettings(**where)).__aenter__()
    for enough in ({"insecure": True}, {"credentials": (("alice", "secret"),)}):
        async with Cluster(ClusterSettings(**where, **enough), wait_for_agents=False):
            pass


def test_flags_that_are_given_decide_and_those_that_are_not_follow_the_credentials() -> None:
    for flag in ("authenticate_http_frameworks", "authenticate_http_readonly", "authenticate_http_readwrite"):
        assert not OPEN.asks(getattr(OPEN, flag))
        assert CLOSED.asks(getattr(CLOSED, flag))
        no: dict[str, Any] = {flag: False}
        chosen = replace(CLOSED, **no)
        assert not chosen.asks(getattr(chosen, flag))
    agent = CLOSED.agent(1)
    assert agent.http_credentials == CLOSED.credentials
    assert agent.authenticate_http_readonly
    assert agent.authenticate_http_readwrite
    assert agent.authenticate_http_executors
    own = AgentSettings(http_credentials=(("carol", "x"),), authenticate_http_readonly=False)
    of_its_own = replace(OPEN, agents=(own,)).agent(1)
    assert (of_its_own.authenticate_http_readonly, of_its_own.authenticate_http_readwrite) == (False, True)
    with pytest.raises(SettingsError, match="an agent requires credentials, but there are none"):
        ClusterSettings(agents=(AgentSettings(authenticate_http_readwrite=True),))
