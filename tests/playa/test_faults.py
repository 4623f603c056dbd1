"""Misbehaviour on demand: each fault is seen by a client as it would be on a real cluster, and ends when it is healed."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from mesos_v1.recordio import MalformedLength
from playa import AgentSettings, Cluster, ClusterSettings
from playa.faults import FaultPlan
from tests.playa.test_http import Client

SETTINGS = ClusterSettings(
    agents=(AgentSettings(simulate=True, registration_backoff_factor=0.05),) * 2,
    allocation_interval=0.1,
    heartbeat_interval=0.2,
    agent_ping_timeout=0.2,
    max_agent_ping_timeouts=3,
)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session, Cluster(SETTINGS) as cluster:
        yield Client(cluster, session)


async def launch(client: Client, task_id: str = "t") -> dict[str, Any]:
    """Launch a task on the next offer; returns the offer."""
    offer: dict[str, Any] = (await client.wait("OFFERS"))["offers"]["offers"][0]
    info = {
        "name": task_id,
        "task_id": {"value": task_id},
        "agent_id": offer["agent_id"],
        "command": {"value": "true"},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
    }
    operation = {"type": "LAUNCH", "launch": {"task_infos": [info]}}
    accept = {"offer_ids": [offer["id"]], "operations": [operation], "filters": {"refuse_seconds": 0}}
    assert await client.call(type="ACCEPT", accept=accept) == (202, "")
    return offer


async def fresh(client: Client) -> None:
    """Take all offers back, so that the next ones are new."""
    while not (count := await client.cluster.faults.rescind_offers()):
        await asyncio.sleep(0.05)
    for _ in range(count):
        await client.wait("RESCIND")


async def quiet(client: Client, kind: str, seconds: float = 0.6) -> bool:
    """Whether no event of a kind comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            while (await client.event())["type"] != kind:
                pass
    except TimeoutError:
        return True
    return False


async def test_the_master_falls_silent_and_speaks_again(client: Client) -> None:
    await client.subscribe()
    await client.cluster.faults.set(silent=True)
    await client.wait("OFFERS")
    assert await quiet(client, "HEARTBEAT")
    await client.cluster.faults.heal()
    await client.wait("HEARTBEAT")


@pytest.mark.parametrize(
    ("plan", "status", "header"),
    [
        ({"answer_status": 503}, 503, None),
        ({"redirect_to": "http://127.0.0.1:1"}, 307, ("Location", "//127.0.0.1:1/api/v1/scheduler")),
    ],
)
async def test_the_scheduler_api_answers_what_it_is_told_to(
    client: Client, plan: dict[str, Any], status: int, header: tuple[str, str] | None
) -> None:
    await client.subscribe()
    await client.cluster.faults.set(**plan)
    url = f"{client.cluster.url}/api/v1/scheduler"
    async with client.session.post(url, json={}, allow_redirects=False) as response:
        assert response.status == status
        if header is not None:
            assert response.headers[header[0]] == header[1]
    await client.cluster.faults.heal()
    assert await client.call(type="REVIVE") == (202, "")


async def test_a_half_open_connection_takes_requests_and_answers_none(client: Client) -> None:
    await client.subscribe()
    await client.cluster.faults.set(half_open=True)
    await quiet(client, "HEARTBEAT", 0.3)  # one may be on its way
    assert await quiet(client, "HEARTBEAT")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.call(type="REVIVE"), 0.3)
    await client.cluster.faults.heal()
    await client.wait("HEARTBEAT")


@pytest.mark.parametrize("shape", ["split", "coalesce"])
async def test_records_cut_anywhere_are_the_same_records(client: Client, shape: str) -> None:
    await client.cluster.faults.set(shape=shape)
    await client.subscribe()
    await launch(client)
    states = []
    while "TASK_RUNNING" not in states:
        states.append((await client.wait("UPDATE"))["update"]["status"]["state"])
        if states[-1] == "TASK_STARTING":
            break
    assert states


async def test_updates_are_lost_doubled_and_late(client: Client) -> None:
    await client.subscribe()
    await client.cluster.faults.set(drop_updates=1)
    await launch(client, "lost")
    assert await quiet(client, "UPDATE")
    assert (await client.cluster.faults.plan()).drop_updates == 0
    await client.cluster.faults.set(duplicate_updates=1)
    await fresh(client)
    await launch(client, "doubled")
    first, second = await client.wait("UPDATE"), await client.wait("UPDATE")
    assert first == second
    await client.cluster.faults.set(delay_updates=0.5)
    await fresh(client)
    began = asyncio.get_running_loop().time()
    await launch(client, "late")
    while (await client.wait("UPDATE"))["update"]["status"]["task_id"]["value"] != "late":
        pass
    assert asyncio.get_running_loop().time() - began >= 0.5


async def test_an_accept_is_lost_on_its_way(client: Client) -> None:
    await client.subscribe()
    await client.cluster.faults.set(lose_accepts=1)
    await launch(client)
    assert await quiet(client, "UPDATE")


async def test_an_offer_is_rescinded_while_its_accept_is_on_the_way(client: Client) -> None:
    await client.subscribe(capabilities=[{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}])
    await client.cluster.faults.set(rescind_accepts=1)
    offer = await launch(client)
    assert (await client.wait("RESCIND"))["rescind"]["offer_id"] == offer["id"]
    status = (await client.wait("UPDATE"))["update"]["status"]
    assert (status["state"], status["reason"]) == ("TASK_DROPPED", "REASON_INVALID_OFFERS")


async def test_a_framework_is_removed_and_told_so(client: Client) -> None:
    await client.subscribe()
    assert await client.cluster.faults.remove_framework(client.framework_id) == 1
    assert (await client.wait("ERROR"))["error"]["message"] == "Framework has been removed"
    with pytest.raises(EOFError):
        await client.event()


async def test_all_offers_are_taken_back(client: Client) -> None:
    await client.subscribe()
    await client.wait("OFFERS")
    assert await client.cluster.faults.rescind_offers() == 2
    await client.wait("RESCIND")
    await client.wait("OFFERS")


@pytest.mark.parametrize("abort", [False, True])
async def test_streams_end_in_order_or_in_the_middle(client: Client, abort: bool) -> None:
    await client.subscribe(failover_timeout=100.0)
    assert await client.cluster.faults.close_streams(abort=abort) == 1
    with pytest.raises((EOFError, aiohttp.ClientError)):
        await client.wait("never")


async def test_garbage_comes_where_records_should(client: Client) -> None:
    await client.subscribe()
    assert await client.cluster.faults.send_raw(b"no record\n") == 1
    with pytest.raises(MalformedLength):
        await client.wait("never")


async def test_an_agent_dies_and_comes_back(client: Client) -> None:
    await client.subscribe()
    await client.wait("OFFERS")
    assert await client.cluster.faults.kill_agent(1)
    assert not await client.cluster.faults.kill_agent(1)
    await client.wait("RESCIND")
    assert await client.cluster.faults.start_agent(1)
    assert not await client.cluster.faults.start_agent(1)
    assert not await client.cluster.faults.start_agent(99)
    await client.wait("OFFERS")


async def test_an_agent_that_dies_is_noticed_at_once_however_seldom_it_is_asked() -> None:
    settings = replace(SETTINGS, agent_ping_timeout=1000.0)
    async with aiohttp.ClientSession() as session, Cluster(settings) as cluster:
        client = Client(cluster, session)
        await client.subscribe()
        await client.wait("OFFERS")
        for _ in range(2):  # the second time it is another's process, under the same name
            await cluster.faults.kill_agent(1)
            await client.wait("RESCIND")
            await cluster.faults.start_agent(1)
            await client.wait("OFFERS")


async def test_an_agent_that_is_cut_off_becomes_unreachable_and_returns(client: Client) -> None:
    await client.subscribe()
    assert await client.cluster.faults.silence_agent(1, seconds=1.5)
    await client.wait("FAILURE")
    await client.wait("OFFERS")


async def test_a_master_fails_over_on_the_same_port_and_keeps_its_faults(client: Client) -> None:
    await client.subscribe(failover_timeout=100.0)
    port, framework_id = client.cluster.port, client.framework_id
    await client.cluster.faults.set(duplicate_updates=7)
    assert await client.cluster.faults.kill_master()
    assert not await client.cluster.faults.kill_master()
    with pytest.raises(aiohttp.ClientError):
        await client.get("/health")
    assert await client.cluster.faults.start_master()
    assert not await client.cluster.faults.start_master()
    assert client.cluster.port == port
    await client.subscribe(id={"value": framework_id})
    assert client.framework_id == framework_id
    await client.wait("OFFERS")
    assert (await client.cluster.faults.plan()).duplicate_updates == 7


async def test_an_agent_that_starts_while_there_is_no_master_waits_for_one(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    faults = client.cluster.faults
    assert await faults.kill_master()
    assert await faults.kill_agent(1)
    assert await faults.start_agent(1)
    assert await faults.kill_agent(1)  # after it has started, and tried to register
    assert await faults.start_agent(1)
    assert await faults.start_master()
    await client.subscribe()
    await client.wait("OFFERS")
    assert not [record for record in caplog.records if record.exc_info], caplog.text


# --- by HTTP --------------------------------------------------------------------------------------------------


async def post(client: Client, **body: Any) -> tuple[int, Any]:
    async with client.session.post(f"{client.cluster.url}/playa/faults", json=body) as response:
        text = await response.text()
        return response.status, json.loads(text) if text.startswith("{") else text


async def test_faults_are_done_and_healed_by_http(client: Client) -> None:
    await client.subscribe()
    status, answer = await post(client, fault="plan", silent=True, delay_updates=1)
    assert (status, answer["plan"]["silent"], answer["plan"]["delay_updates"]) == (200, True, 1.0)
    async with client.session.delete(f"{client.cluster.url}/playa/faults") as response:
        assert (await response.json())["plan"]["silent"] is False
    async with client.session.get(f"{client.cluster.url}/playa/faults") as response:
        assert "kill_agent" in (await response.json())["once"]
    assert await post(client, fault="kill_agent", agent=1, restart_after=0.1) == (200, {"result": True})
    assert (await post(client, fault="rescind_offers"))[0] == 200
    assert await post(client, fault="send_raw", base64="eA==") == (200, {"result": 1})
    assert await post(client, fault="remove_framework") == (200, {"result": 1})


async def test_a_master_that_is_restarted_by_http_comes_back(client: Client) -> None:
    assert await post(client, fault="restart_master", after=0.2) == (200, {"result": True})
    async with asyncio.timeout(10):
        while True:
            try:
                if (await (await client.get("/state")).json())["activated_slaves"] == 2:
                    break
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "'fault' must be one of plan, close_streams,"),
        ({"fault": "plan", "nope": 1}, "'nope' is not one of answer_status,"),
        ({"fault": "plan", "silent": 1}, "'silent' must be bool, but is 1"),
        (
            {"fault": "plan", "shape": "round"},
            "shape must be one of normal, split, coalesce, held, but is 'round'",
        ),
        ({"fault": "plan", "drop_updates": -1}, "drop_updates must not be negative"),
        ({"fault": "kill_agent", "agent": 0}, "'agent' must be the number of an agent, from 1"),
        (
            {"fault": "kill_agent", "restart_after": "soon"},
            "'restart_after' must be a number of seconds, or null",
        ),
        ({"fault": "send_raw", "base64": "!"}, "'base64' must be bytes in base64"),
    ],
)
async def test_a_fault_that_is_asked_for_wrongly_is_explained(
    client: Client, body: dict[str, Any], text: str
) -> None:
    status, answer = await post(client, **body)
    assert (status, answer[: len(text)]) == (400, text)


async def test_there_are_no_faults_by_http_where_they_are_switched_off() -> None:
    settings = replace(SETTINGS, agents=(), faults=False)
    async with (
        aiohttp.ClientSession() as session,
        Cluster(settings) as cluster,
        session.get(f"{cluster.url}/playa/faults") as response,
    ):
        assert response.status == 404


@pytest.mark.parametrize("wrong", [{"shape": "x"}, {"answer_status": 7}, {"delay_updates": -1.0}])
async def test_a_plan_that_cannot_be_is_refused(client: Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        await client.cluster.faults.set(**wrong)
    assert await client.cluster.faults.plan() == FaultPlan()
