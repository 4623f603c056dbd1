"""Recorded requests with something wrong in them never break the master: an answer, no 500, and it goes on."""

import copy
import json
import random
import re
from typing import Any

import aiohttp
import pytest

from playa import AgentSettings, Cluster, ClusterSettings
from tests.playa.test_http import Client
from tests.support import replay

REPLACEMENTS: tuple[Any, ...] = (
    None,
    "",
    "x",
    -1,
    0,
    2**63,
    1e308,
    True,
    [],
    {},
    [{}],
    {"value": "x"},
    "\u0000",
    "€" * 300,
)
ROUNDS = 400


def bodies() -> list[tuple[str, dict[str, Any]]]:
    """Paths and bodies of everything that was recorded."""
    found = []
    for path in sorted(replay.RECORDED.glob("*.jsonl")):
        requests = (r for r in replay.read(path.stem) if r["kind"] == "request" and "path" in r)
        found += [(r["path"], r["body"]) for r in requests if isinstance(r.get("body"), dict)]
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something could be wrong."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    result = [path] if path else []
    for key, item in items:
        result += places(item, (*path, key))
    return result


def spoil(body: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """Replace or remove one to three parts."""
    result: dict[str, Any] = copy.deepcopy(body)
    for _ in range(dice.randint(1, 3)):
        candidates = places(result)
        if not candidates:
            break
        *parents, key = dice.choice(candidates)
        holder: Any = result
        for parent in parents:
            holder = holder[parent]
        if dice.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(dice.choice(REPLACEMENTS))
    return result


@pytest.mark.parametrize("seed", range(3))
async def test_spoilt_requests_are_answered_and_nothing_breaks(seed: int) -> None:
    dice = random.Random(seed)
    recorded = bodies()
    settings = ClusterSettings(agents=(AgentSettings(simulate=True),), allocation_interval=0.05)
    async with aiohttp.ClientSession() as session, Cluster(settings) as cluster:
        client = Client(cluster, session)
        await client.subscribe(failover_timeout=1e6, roles=["*", "ads"])
        master = client.framework_id[:36]
        for _ in range(ROUNDS):
            path, body = dice.choice(recorded)
            body = json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", master, json.dumps(body)))
            if "accept" in body:  # an offer that is there, so that its operations are looked at
                offers = (await (await client.get("/frameworks")).json())["frameworks"][0]["offers"]
                body["accept"]["offer_ids"] = [{"value": offer["id"]} for offer in offers[:1]]
            spoilt = spoil(body, dice)
            takes_over = spoilt.get("type") == "SUBSCRIBE" and "framework_id" in body
            if spoilt.get("type") == "TEARDOWN" or takes_over:
                continue  # right as it may be, it would end our own framework
            headers = {"Accept": "application/json"}
            if spoilt.get("type") != "SUBSCRIBE":
                headers["Mesos-Stream-Id"] = client.stream_id
            async with session.post(cluster.url + path, json=spoilt, headers=headers) as response:
                assert response.status != 500, spoilt
        await client.subscribe(name="still there")
        assert await client.call(type="REVIVE") == (202, "")
        agents = (await (await client.get("/slaves")).json())["slaves"]
        assert [agent["active"] or agent["deactivated"] for agent in agents] == [True]
