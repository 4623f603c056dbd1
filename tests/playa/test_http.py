"""The master behind real HTTP: paths, content types, credentials, limits, subscribers that do not read, other endpoints."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from mesos_v1 import content, pb
from mesos_v1.content import ContentType
from mesos_v1.recordio import Decoder
from playa import AgentSettings, Cluster, ClusterSettings

SIMULATED = ClusterSettings(agents=(AgentSettings(simulate=True),))
INFO = {"user": "root", "name": "f", "roles": ["*"], "capabilities": [{"type": "MULTI_ROLE"}]}
SUBSCRIBE = {"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO}}
JSON = {"Accept": "application/json"}
ALICE = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}


class Client:
    """Plain HTTP, as any framework would speak it."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.session = session
        self.framework_id = ""
        self.stream_id = ""
        self.response: aiohttp.ClientResponse
        self._decoder = Decoder()
        self._records: list[bytes] = []

    async def subscribe(self, **info: Any) -> None:
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {**INFO, **info}}}
        if "id" in info:
            call["framework_id"] = info["id"]
        self._decoder, self._records = Decoder(), []
        self.response = await self.session.post(
            f"{self.cluster.url}/api/v1/scheduler", json=call, headers=JSON
        )
        assert self.response.status == 200, await self.response.text()
        self.stream_id = self.response.headers["Mesos-Stream-Id"]
        self.framework_id = (await self.wait("SUBSCRIBED"))["subscribed"]["framework_id"]["value"]

    async def event(self) -> dict[str, Any]:
        while not self._records:
            chunk = await self.response.content.readany()
            if not chunk:
                raise EOFError
            self._records += self._decoder.feed(chunk)
        result: dict[str, Any] = json.loads(self._records.pop(0))
        return result

    async def wait(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while (event := await self.event())["type"] != kind:
                pass
        return event

    async def call(self, **fields: Any) -> tuple[int, str]:
        body = {"framework_id": {"value": self.framework_id}, **fields}
        headers = {"Mesos-Stream-Id": self.stream_id}
        url = f"{self.cluster.url}/api/v1/scheduler"
        async with self.session.post(url, json=body, headers=headers) as response:
            return response.status, await response.text()

    async def get(self, path: str, **options: Any) -> aiohttp.ClientResponse:
        response = await self.session.get(self.cluster.url + path, allow_redirects=False, **options)
        await response.read()
        return response

    async def operate(self, **call: Any) -> tuple[int, Any]:
        async with self.session.post(f"{self.cluster.url}/api/v1", json=call, headers=JSON) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith("{") else text


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


@pytest.fixture
async def client(session: aiohttp.ClientSession) -> AsyncIterator[Client]:
    async with Cluster(SIMULATED) as cluster:
        yield Client(cluster, session)


async def test_both_content_types_say_the_same(client: Client) -> None:
    message = content.from_json(pb.scheduler.Call, SUBSCRIBE)
    headers = {"Content-Type": "application/x-protobuf", "Accept": "application/x-protobuf"}
    url = f"{client.cluster.url}/api/v1/scheduler"
    response = await client.session.post(url, data=message.SerializeToString(), headers=headers)
    decoder = Decoder()
    records: list[bytes] = []
    while len(records) < 3:
        records += decoder.feed(await response.content.readany())
    binary = [content.to_json(content.parse(pb.scheduler.Event, r, ContentType.PROTOBUF)) for r in records]
    await client.subscribe()
    assert [e["type"] for e in binary] == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]
    assert binary[0]["subscribed"].keys() == {"framework_id", "heartbeat_interval_seconds", "master_info"}
    response.close()


@pytest.mark.parametrize("path", ["/api/v1/scheduler", "/api/v1/scheduler/", "/master/api/v1/scheduler"])
async def test_the_scheduler_api_has_several_paths(client: Client, path: str) -> None:
    response = await client.session.post(client.cluster.url + path, json=SUBSCRIBE, headers=JSON)
    assert response.status == 200
    response.close()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "application/json"),
        ("application/x-protobuf, application/json;q=0", "application/x-protobuf"),
        ("text/html, application/*;q=0.1", "application/json"),
    ],
)
async def test_the_accept_header_chooses_the_content_type(client: Client, accept: str, expected: str) -> None:
    url = f"{client.cluster.url}/api/v1/scheduler"
    response = await client.session.post(url, json=SUBSCRIBE, headers={"Accept": accept})
    assert response.headers["Content-Type"] == expected
    response.close()


async def test_a_body_that_is_too_long_is_refused(session: aiohttp.ClientSession) -> None:
    async with Cluster(replace(SIMULATED, max_request_body=1000)) as cluster:
        response = await session.post(f"{cluster.url}/api/v1/scheduler", data=b"x" * 2000)
        assert (response.status, await response.text()) == (413, "The request's body is too long")


@pytest.mark.parametrize("body", ["[1]", "7", '"x"', "[" * 100_000])
async def test_json_that_is_no_call_is_refused(client: Client, body: str) -> None:
    url = f"{client.cluster.url}/api/v1/scheduler"
    headers = {"Content-Type": "application/json"}
    async with client.session.post(url, data=body.encode(), headers=headers) as response:
        assert response.status == 400
        assert "Traceback" not in await response.text()


async def test_pipelined_calls_are_answered_in_order(client: Client) -> None:
    await client.subscribe()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.cluster.port)
    for kind in ("REVIVE", "NOPE", "SUPPRESS"):
        body = json.dumps({"framework_id": {"value": client.framework_id}, "type": kind})
        head = (
            f"POST /api/v1/scheduler HTTP/1.1\r\nHost: 127.0.0.1\r\nMesos-Stream-Id: {client.stream_id}\r\n"
        )
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
    data = b""
    async with asyncio.timeout(5):
        while data.count(b"HTTP/1.1 ") < 3:
            chunk = await reader.read(4096)
            assert chunk, data
            data += chunk
    writer.close()
    statuses = [int(part.split()[0]) for part in data.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [202, 400, 202]


async def test_a_subscriber_that_goes_away_is_noticed_at_once(client: Client) -> None:
    await client.subscribe(failover_timeout=100.0)
    client.response.close()
    async with asyncio.timeout(5):
        while (await (await client.get("/frameworks")).json())["frameworks"][0]["connected"]:
            await asyncio.sleep(0.01)


async def test_a_subscriber_that_does_not_read_is_cut_off_and_blocks_nobody(
    session: aiohttp.ClientSession,
) -> None:
    settings = replace(SIMULATED, max_stream_backlog=1_000_000)
    async with Cluster(settings) as cluster:
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", cluster.port))
        body = json.dumps(
            {"type": "SUBSCRIBE", "subscribe": {"framework_info": {**INFO, "failover_timeout": 1e6}}}
        )
        head = "POST /api/v1/scheduler HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        lazy.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        other = Client(cluster, session)
        await other.subscribe(name="other")
        async with asyncio.timeout(20):
            while True:
                await cluster.faults.send_raw(b"x" * 600_000)  # what is not read piles up
                listed = (await (await other.get("/frameworks")).json())["frameworks"]
                connected = {f["name"]: f["connected"] for f in listed}
                if not connected["f"]:
                    break
                read = 0
                while read < 600_000:
                    read += len(await asyncio.wait_for(other.response.content.readany(), 5))
        assert connected == {"f": False, "other": True}
        assert await other.call(type="SUPPRESS") == (202, "")
        other.response.close()
        lazy.close()


async def test_credentials_guard_what_they_are_said_to_guard(session: aiohttp.ClientSession) -> None:
    settings = replace(
        SIMULATED,
        credentials=(("alice", "secret"),),
        authenticate_http_frameworks=True,
        authenticate_http_readonly=True,
        authenticate_http_readwrite=True,
    )
    assert "secret" not in repr(settings)
    async with Cluster(settings) as cluster:
        for path, realm in (("/state", "mesos-master-readonly"), ("/playa/faults", "mesos-master-readwrite")):
            async with session.get(cluster.url + path) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == f'Basic realm="{realm}"'
            async with session.get(cluster.url + path, headers=ALICE) as response:
                assert response.status == 200
        for bad in ("Basic !!!", "Bearer x", "Basic " + "YWxpY2U6"):
            async with session.get(f"{cluster.url}/state", headers={"Authorization": bad}) as response:
                assert response.status == 401
        async with session.get(f"{cluster.url}/health") as response:
            assert response.status == 200
        url = f"{cluster.url}/api/v1/scheduler"
        response = await session.post(url, json=SUBSCRIBE, headers={**JSON, **ALICE})
        assert response.status == 200
        async with session.get(f"{cluster.url}/state", headers=ALICE) as state:
            assert (await state.json())["frameworks"][0]["principal"] == "alice"
        response.close()


async def test_a_principal_of_somebody_else_is_refused(session: aiohttp.ClientSession) -> None:
    settings = replace(SIMULATED, credentials=(("alice", "secret"),), authenticate_http_frameworks=True)
    call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {**INFO, "principal": "bob"}}}
    async with Cluster(settings) as cluster:
        url = f"{cluster.url}/api/v1/scheduler"
        async with session.post(url, json=call, headers={**JSON, **ALICE}) as response:
            assert (response.status, await response.text()) == (
                400,
                (
                    "Failed to validate scheduler::Call: Authenticated principal 'alice' does not match principal 'bob' "
                    "set in `FrameworkInfo`"
                ),
            )


async def test_the_status_page_lists_what_is_there_and_escapes_it(client: Client) -> None:
    await client.subscribe(name="<script>")
    page = await (await client.get("/")).text()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert client.framework_id in page


@pytest.mark.parametrize(
    "path",
    [
        "/state",
        "/state.json",
        "/state-summary",
        "/slaves",
        "/frameworks",
        "/tasks",
        "/roles",
        "/flags",
        "/weights",
        "/quota",
        "/version",
        "/metrics/snapshot",
        "/maintenance/schedule",
        "/maintenance/status",
        "/master/state",
    ],
)
async def test_endpoints_beside_the_api_answer_json(client: Client, path: str) -> None:
    await client.subscribe()
    response = await client.get(path)
    assert (response.status, response.content_type) == (200, "application/json")
    await response.json()
    wrapped = await client.get(path, params={"jsonp": "f"})
    assert wrapped.content_type == "application/json"
    await wrapped.json()  # and not a script that hands it to any page


async def test_what_is_asked_for_is_answered(client: Client) -> None:
    await client.subscribe()
    flags = await (await client.get("/flags")).json()
    assert flags["flags"]["port"] == str(client.cluster.port)
    assert flags["flags"]["max_agent_ping_timeouts"] == "5"
    state, old = [await (await client.get(path)).json() for path in ("/state", "/state.json")]
    assert [framework["id"] for framework in state["frameworks"]] == [client.framework_id]
    assert old == state
    for path, key in (
        ("/slaves", "slaves"),
        ("/frameworks", "frameworks"),
        ("/tasks", "tasks"),
        ("/roles", "roles"),
    ):
        assert key in await (await client.get(path)).json()


async def test_the_leading_master_is_where_the_redirect_points(client: Client) -> None:
    response = await client.get("/master/redirect")
    assert (response.status, response.headers["Location"]) == (307, f"//127.0.0.1:{client.cluster.port}")


async def test_an_operator_tears_a_framework_down(client: Client) -> None:
    await client.subscribe()
    status, _ = await client.operate(
        type="TEARDOWN", teardown={"framework_id": {"value": client.framework_id}}
    )
    assert status == 200
    with pytest.raises(EOFError):
        await client.wait("never")
    url = f"{client.cluster.url}/teardown"
    async with client.session.post(url, data={"frameworkId": "x"}) as response:
        assert (response.status, await response.text()) == (400, "No framework found with specified ID")


async def test_an_operator_changes_weights_and_everyone_gets_new_offers(client: Client) -> None:
    await client.subscribe()
    weights = {"weight_infos": [{"role": "ads", "weight": 2.5}]}
    assert (await client.operate(type="UPDATE_WEIGHTS", update_weights=weights))[0] == 200
    await client.wait("RESCIND")
    _, answer = await client.operate(type="GET_WEIGHTS")
    assert answer["get_weights"]["weight_infos"] == [{"weight": 2.5, "role": "ads"}]
    bad = {"weight_infos": [{"role": "ads", "weight": -1}]}
    assert (await client.operate(type="UPDATE_WEIGHTS", update_weights=bad))[0] == 400


async def test_an_operator_deactivates_and_reactivates_an_agent(client: Client) -> None:
    await client.subscribe()
    agent = (await client.wait("OFFERS"))["offers"]["offers"][0]["agent_id"]
    assert (await client.operate(type="DEACTIVATE_AGENT", deactivate_agent={"agent_id": agent}))[0] == 200
    await client.wait("RESCIND")
    assert (await client.operate(type="REACTIVATE_AGENT", reactivate_agent={"agent_id": agent}))[0] == 200
    await client.wait("OFFERS")
    unknown = {"agent_id": {"value": "x"}}
    assert (await client.operate(type="DEACTIVATE_AGENT", deactivate_agent=unknown))[0] == 400


async def test_an_operator_marks_an_agent_gone(client: Client) -> None:
    await client.subscribe()
    agent = (await client.wait("OFFERS"))["offers"]["offers"][0]["agent_id"]
    assert (await client.operate(type="MARK_AGENT_GONE", mark_agent_gone={"agent_id": agent}))[0] == 200
    await client.wait("FAILURE")
    gone = {"agent_id": {"value": "x"}}
    assert (await client.operate(type="MARK_AGENT_GONE", mark_agent_gone=gone))[0] == 404


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("LIST_FILES", 400),
        ("UPDATE_QUOTA", 400),
        ("GET_LOGGING_LEVEL", 200),
        ("GET_QUOTA", 200),
        ("NOPE", 400),
    ],
)
async def test_what_an_operator_asks_wrongly_is_said(client: Client, kind: str, expected: int) -> None:
    status, _ = await client.operate(type=kind)
    assert status == expected


async def test_what_the_embedded_cluster_cannot_do_is_not_implemented(client: Client) -> None:
    status, _ = await client.operate(type="LIST_FILES", list_files={"path": "/"})
    assert status == 501


async def test_quota_is_set_and_removed_at_its_endpoint(client: Client) -> None:
    url = f"{client.cluster.url}/master/quota"
    guarantee = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}]
    async with client.session.post(url, json={"role": "a/b", "guarantee": guarantee}) as response:
        assert response.status == 400
    async with client.session.post(url, json={"role": "a", "guarantee": guarantee}) as response:
        assert response.status == 200
    assert (await (await client.get("/quota")).json())["infos"] == [{"role": "a", "guarantee": guarantee}]
    async with client.session.delete(f"{url}/a") as response:
        assert response.status == 200
    async with client.session.delete(f"{url}/a") as response:
        text = "Failed to remove quota for path '/master/quota/a': Role 'a' has no quota set"
        assert (response.status, await response.text()) == (400, text)
    async with client.session.delete(url) as response:
        assert response.status == 405


async def test_tasks_are_listed_by_framework_and_in_pages(client: Client) -> None:
    await client.subscribe()
    offer = (await client.wait("OFFERS"))["offers"]["offers"][0]
    infos = [
        {
            "name": f"t{n}",
            "task_id": {"value": f"t{n}"},
            "agent_id": offer["agent_id"],
            "command": {"value": "true"},
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
        }
        for n in range(3)
    ]
    operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
    await client.call(type="ACCEPT", accept={"offer_ids": [offer["id"]], "operations": [operation]})
    await client.wait("UPDATE")
    page = await (await client.get("/tasks", params={"limit": "2", "offset": "2", "order": "asc"})).json()
    assert len(page["tasks"]) == 1
    one = await (
        await client.get("/tasks", params={"task_id": "t1", "framework_id": client.framework_id})
    ).json()
    assert [task["id"] for task in one["tasks"]] == ["t1"]


async def test_operators_read_and_follow_in_protobuf_too(client: Client) -> None:
    await client.subscribe()
    headers = {"Content-Type": "application/x-protobuf", "Accept": "application/x-protobuf"}
    url = f"{client.cluster.url}/api/v1"
    ask = pb.master.Call(type=pb.master.Call.GET_STATE).SerializeToString()
    async with client.session.post(url, data=ask, headers=headers) as response:
        state = pb.master.Response.FromString(await response.read()).get_state
    assert [f.framework_info.name for f in state.get_frameworks.frameworks] == ["f"]
    follow = pb.master.Call(type=pb.master.Call.SUBSCRIBE).SerializeToString()
    stream = await client.session.post(url, data=follow, headers=headers)
    await client.call(type="TEARDOWN")
    decoder = Decoder()
    kinds: list[str] = []
    while "FRAMEWORK_REMOVED" not in kinds:
        events = [pb.master.Event.FromString(r) for r in decoder.feed(await stream.content.readany())]
        kinds += [pb.master.Event.Type.Name(event.type) for event in events]
    assert kinds == ["SUBSCRIBED", "HEARTBEAT", "FRAMEWORK_REMOVED"]
    stream.close()


async def test_only_so_many_operators_follow_and_the_first_one_goes(session: aiohttp.ClientSession) -> None:
    async with Cluster(replace(SIMULATED, max_operator_event_stream_subscribers=1)) as cluster:
        url = f"{cluster.url}/api/v1"
        first = await session.post(url, json={"type": "SUBSCRIBE"}, headers=JSON)
        second = await session.post(url, json={"type": "SUBSCRIBE"}, headers=JSON)
        async with asyncio.timeout(5):
            while await first.content.readany():
                pass
        assert await second.content.readany()
        second.close()


async def test_a_subscriber_that_left_before_it_was_looked_after_leaves_the_master_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("playa.master.ports.TAKE_SECONDS", 0.1)
    await client.subscribe(failover_timeout=100.0)
    client.response.close()
    async with asyncio.timeout(5):
        while (await (await client.get("/frameworks")).json())["frameworks"][0]["connected"]:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert len((await (await client.get("/frameworks")).json())["frameworks"]) == 1
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
