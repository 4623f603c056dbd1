"""The agent's HTTP site: executor API refusals, operator calls, /state, sandbox files."""

import grp
import itertools
import json
import os
import pwd
from typing import Any

import aiohttp
import pytest

from mesos_v1 import pb
from playa.agent.http_site import Files
from playa.agent.messages import QueryState
from playa.messages import ExecutorMessage, RegisterAgent
from playa.web import Refused


@pytest.fixture
async def site(bench):
    """A running agent with one running task, and a client of its site."""
    await bench.start()
    bench.run({"command": {"value": "echo hello; sleep 1000"}})
    await bench.running()
    port = pb.mesos.AgentInfo.FromString(bench.of(RegisterAgent)[0].agent_info).port
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def get(site, endpoint, **query):
    async with site.get(endpoint, params=query) as response:
        return response.status, await response.text()


async def call(site, body, path="/api/v1", accept="application/json"):
    headers = {"Accept": accept} if accept else {}
    async with site.post(path, json=body, headers=headers) as response:
        text = await response.text()
        return response.status, (await response.json()) if response.status == 200 else text


def shape(value):
    """The keys of a document, without the values; lists by their first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


def recorded_answers(recorded):
    """The operator's calls to the agent, with their answers: those from the second GET_HEALTH on."""
    lines = [line for line in recorded("operator_api") if line["conn"] == "operator"]
    pairs = [
        (a["body"], b["body"])
        for a, b in itertools.pairwise(lines)
        if a["kind"] == "request" and b["kind"] == "response"
    ]
    healths = [i for i, (question, _) in enumerate(pairs) if question["type"] == "GET_HEALTH"]
    return {question["type"]: answer for question, answer in pairs[healths[1] :]}


@pytest.mark.parametrize(
    "kind", ["GET_HEALTH", "GET_VERSION", "GET_AGENT", "GET_TASKS", "GET_EXECUTORS", "GET_CONTAINERS"]
)
async def test_the_operator_s_reading_calls_have_the_recorded_shape(site, recorded, kind):
    their = recorded_answers(recorded)[kind]
    status, ours = await call(site, {"type": kind})
    assert status == 200
    ours, their = shape(ours), shape(their)
    if kind == "GET_AGENT":
        ours["get_agent"]["agent_info"].pop("attributes", None)
        their["get_agent"]["agent_info"].pop("attributes")
    assert ours == their


@pytest.mark.parametrize(
    "kind", ["GET_STATE", "GET_FRAMEWORKS", "GET_METRICS", "GET_FLAGS", "GET_OPERATIONS"]
)
async def test_the_other_reading_calls_answer_too(site, kind):
    status, answer = await call(site, {"type": kind})
    assert status == 200
    assert answer["type"] == kind


async def test_a_call_that_is_none_is_refused_as_recorded(site, recorded):
    assert (
        recorded_answers(recorded)["NOPE"]
        == "Failed to validate master::Call: Expecting 'type' to be present"
    )
    status, text = await call(site, {"type": "NOPE"})
    assert (status, text) == (400, "Failed to validate agent::Call: Expecting 'type' to be present")


async def test_calls_that_the_embedded_agents_do_not_do_say_so(site):
    status, text = await call(site, {"type": "PRUNE_IMAGES"})
    assert status == 501
    assert "PRUNE_IMAGES is not implemented" in text


@pytest.mark.parametrize("prefix", ["", "/slave(1)"])
async def test_the_executor_api_is_there_under_both_paths(site, prefix):
    path = f"{prefix}/api/v1/executor"
    body: dict[str, Any] = {
        "type": "MESSAGE",
        "framework_id": {"value": "nosuch"},
        "executor_id": {"value": "e"},
        "message": {"data": "aGk="},
    }
    assert await call(site, body, path) == (400, "Framework cannot be found")
    body["framework_id"]["value"] = "M-0000"
    assert await call(site, body, path) == (400, "Executor cannot be found")
    assert await call(site, {**body, "type": "HEARTBEAT"}, path) == (202, "")
    async with site.get(path) as response:
        assert response.status == 405


async def test_an_executor_that_has_not_subscribed_is_forbidden_to_call(bench, site):
    task = bench.custom("run", task_id="u", executor_id="slow")
    task["executor"]["command"] = {"value": "sleep 1000"}
    bench.run(task)
    body = {
        "type": "MESSAGE",
        "framework_id": {"value": "M-0000"},
        "executor_id": {"value": "slow"},
        "message": {"data": "aGk="},
    }
    status, text = await call(site, body, "/api/v1/executor")
    assert (status, text) == (403, "Executor is not subscribed")


async def test_state_names_frameworks_executors_and_tasks(site, recorded):
    their = [
        line["body"]
        for line in recorded("operator_api")
        if line["kind"] == "response"
        and line["conn"] == "http"
        and "attributes" in str(line.get("body"))[:3000]
    ][-1]
    async with site.get("/state") as response:
        ours = await response.json()
    same = {
        "id",
        "pid",
        "hostname",
        "resources",
        "unreserved_resources_full",
        "version",
        "frameworks",
        "flags",
    }
    assert same <= set(their) & set(ours)
    executor = ours["frameworks"][0]["executors"][0]
    assert executor["id"] == "t"
    assert executor["tasks"][0]["state"] == "TASK_RUNNING"


async def test_a_sandbox_can_be_browsed_and_read_by_its_path_and_by_its_virtual_path(bench, site):
    async with site.get("/state") as response:
        directory = (await response.json())["frameworks"][0]["executors"][0]["directory"]
    stdout = f"{directory}/stdout"
    await bench.until((bench.directory / stdout).read_text)
    async with site.get("/files/browse", params={"path": directory}) as response:
        entries = await response.json()
    assert [entry["path"] for entry in entries] == [f"{directory}/stderr", stdout]
    assert entries[1]["size"] == 6
    found = (bench.directory / stdout).stat()
    assert entries[1] | {"size": 0} == {
        "path": stdout,
        "nlink": 1,
        "size": 0,
        "mtime": found.st_mtime,
        "mode": "-rw-r--r--",
        "uid": pwd.getpwuid(found.st_uid).pw_name,
        "gid": grp.getgrgid(found.st_gid).gr_name,
    }
    async with site.get("/files/read", params={"path": stdout, "offset": "0"}) as response:
        assert await response.json() == {"data": "hello\n", "offset": 0}
    async with site.get("/files/read", params={"path": stdout}) as response:
        assert await response.json() == {"data": "", "offset": 6}
    virtual = "/frameworks/M-0000/executors/t/runs/latest/stdout"
    assert await get(site, "/files/download", path=virtual) == (200, "hello\n")
    status, answer = await call(
        site, {"type": "READ_FILE", "read_file": {"path": stdout, "offset": 1, "length": 3}}
    )
    assert (status, answer["read_file"]) == (200, {"size": 6, "data": "ZWxs"})
    status, answer = await call(site, {"type": "LIST_FILES", "list_files": {"path": directory}})
    assert len(answer["list_files"]["file_infos"]) == 2


async def test_nothing_outside_of_the_sandboxes_can_be_seen(bench, site):
    async with site.get("/state") as response:
        directory = (await response.json())["frameworks"][0]["executors"][0]["directory"]
    (bench.directory / directory / "leak").symlink_to("/etc")
    for path in ("/etc/passwd", f"{directory}/leak/passwd", f"{directory}/../../../../../../../meta", "x"):
        assert (await get(site, "/files/download", path=path))[0] == 404
    assert (await get(site, "/files/browse"))[0] == 400


async def test_executors_are_told_of_the_domain_socket_and_can_use_it(bench, tmp_path):
    path = str(tmp_path / "s")
    await bench.start(http_executor_domain_sockets=True, domain_socket_location=path)
    bench.run(bench.custom("env"))
    message = (await bench.until(lambda: bench.of(ExecutorMessage)))[0]
    assert json.loads(message.data)["MESOS_DOMAIN_SOCKET"] == path
    async with aiohttp.ClientSession("http://agent", connector=aiohttp.UnixConnector(path)) as session:
        body = {
            "type": "MESSAGE",
            "framework_id": {"value": "x"},
            "executor_id": {"value": "e"},
            "message": {"data": ""},
        }
        assert await call(session, body, "/api/v1/executor") == (400, "Framework cannot be found")


async def test_health_version_flags_and_metrics_answer(site):
    assert await get(site, "/health") == (200, "")
    assert '"version":"1.12.0"' in (await get(site, "/version"))[1]
    assert '"flags"' in (await get(site, "/flags"))[1]
    assert '"slave/tasks_running":1.0' in (await get(site, "/metrics/snapshot"))[1]
    assert "container_id" in (await get(site, "/containers"))[1]
    assert (await get(site, "/nothing"))[0] == 404


def test_reading_a_folder_is_refused(tmp_path):
    folder = tmp_path / "slaves"
    folder.mkdir()
    with pytest.raises(Refused):
        Files(tmp_path, lambda: "S0").read(str(folder), 0, None)


async def test_files_of_any_name_and_kind_are_listed_and_read_or_not_there(bench, site):
    sandbox = next(bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/t/runs/latest")).resolve()
    odd = 'a"b\nSet-Cookie: x\r\n'
    (sandbox / odd).write_text("odd")
    os.mkfifo(sandbox / "pipe")
    assert (await get(site, "/files/browse", path=str(sandbox)))[0] == 200
    async with site.get("/files/download", params={"path": f"{sandbox}/{odd}"}) as response:
        assert (response.status, await response.text()) == (200, "odd")
        assert "Set-Cookie" not in response.headers
    for endpoint in ("/files/read", "/files/download"):
        assert (await get(site, endpoint, path=f"{sandbox}/pipe", offset=0))[0] == 404
    assert (await get(site, "/files/read", path=f"{sandbox}/{odd}", offset=10**40))[0] == 200


@pytest.mark.parametrize("name", ["nothing", "x" * 300, "y/" * 3000])
async def test_a_file_that_there_is_not_or_cannot_be_is_not_found(bench, site, name):
    sandbox = next(bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/t/runs/latest")).resolve()
    for endpoint in ("/files/browse", "/files/read", "/files/download"):
        assert (await get(site, endpoint, path=f"{sandbox}/{name}", offset=0))[0] == 404


@pytest.mark.parametrize("principal", [None, "ann"])
async def test_state_names_the_principal_of_a_framework_that_has_one(bench, principal):
    await bench.start(simulate=True)
    bench.run({}, **({} if principal is None else {"principal": principal}))
    await bench.until(lambda: bench.statuses("t"))
    (framework,) = json.loads(await bench.agent.ask(QueryState(), block=False))["frameworks"]
    assert framework.get("principal") == principal


async def test_what_cannot_be_read_as_asked_is_refused_in_words(site, bench):
    (sandbox,) = bench.directory.glob("agents/0/slaves/*/frameworks/*/executors/t/runs/latest")
    path = str(sandbox)
    assert await get(site, "/files/download", path=path) == (400, "Cannot download a directory.\n")
    for name in ("offset", "length"):
        query = {"path": f"{path}/stdout", name: "many"}
        assert await get(site, "/files/read", **query) == (
            400,
            f"Failed to parse {name}: 'many' is not a number.\n",
        )
    status, text = await get(site, "/files/read", path=f"{path}/stdout", offset="1", length="3")
    assert (status, json.loads(text)) == (200, {"data": "ell", "offset": 1})
    status, text = await get(site, "/files/read", path=f"{path}/stdout")
    assert (status, json.loads(text)) == (200, {"data": "", "offset": 6})
