"""Scale: a thousand agents and ten thousand running tasks in one process, on two cores."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
import pytest

from mesos_v1.recordio import Decoder

AGENTS = 1000
TASKS_PER_AGENT = 10
MEGABYTE = 2**20
INFO = {
    "user": "root",
    "roles": ["*"],
    "failover_timeout": 100.0,
    "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}],
}


class Scheduler:
    """A scheduler that launches ten tasks on each offer and acknowledges what comes."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/api/v1/scheduler"
        self._framework_id = self._stream_id = ""
        self._calls: set[asyncio.Task[None]] = set()
        self._limit = asyncio.Semaphore(8)

    async def events(self, name: str) -> AsyncIterator[dict[str, Any]]:
        subscribe = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {**INFO, "name": name}}}
        response = await self._session.post(self._url, json=subscribe, headers={"Accept": "application/json"})
        self._stream_id = response.headers["Mesos-Stream-Id"]
        decoder = Decoder()
        async for chunk in response.content.iter_any():
            for record in decoder.feed(chunk):
                event = json.loads(record)
                if event["type"] == "SUBSCRIBED":
                    self._framework_id = event["subscribed"]["framework_id"]["value"]
                yield event

    def call(self, **fields: Any) -> None:
        task = asyncio.create_task(self._send({"framework_id": {"value": self._framework_id}, **fields}))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _send(self, body: dict[str, Any]) -> None:
        headers = {"Mesos-Stream-Id": self._stream_id}
        async with self._limit, self._session.post(self._url, json=body, headers=headers) as response:
            assert response.status == 202

    def launch(self, offer: dict[str, Any]) -> None:
        number = offer["agent_id"]["value"].rpartition("-S")[2]
        infos = [
            {
                "name": "t",
                "task_id": {"value": f"{number}.{n}"},
                "agent_id": offer["agent_id"],
                "command": {"value": "sleep 1000"},
                "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
            }
            for n in range(TASKS_PER_AGENT)
        ]
        operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
        accept = {"offer_ids": [offer["id"]], "operations": [operation], "filters": {"refuse_seconds": 1000}}
        self.call(type="ACCEPT", accept=accept)

    def acknowledge(self, status: dict[str, Any]) -> None:
        fields = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
        self.call(type="ACKNOWLEDGE", acknowledge=fields)

    async def finish_calls(self) -> None:
        await asyncio.gather(*self._calls)


@pytest.mark.slow
async def test_a_thousand_agents_and_ten_thousand_tasks() -> None:
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: ASYNC220 - it is there at once
        [sys.executable, "-m", "playa", "--simulate", "--agents", str(AGENTS), "--exit-with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    url = json.loads(await asyncio.to_thread(process.stdout.readline))["url"]
    started = time.monotonic() - began
    try:
        async with aiohttp.ClientSession() as session:
            await _run_tasks(Scheduler(session, url))
            second = time.monotonic()
            async for event in Scheduler(session, url).events("second"):
                if event["type"] == "OFFERS":
                    break
            seconds = time.monotonic() - second
            memory = psutil.Process(process.pid).memory_info().rss / MEGABYTE
    finally:
        await asyncio.to_thread(process.communicate)
    print(f"started in {started:.1f} s; offers {seconds:.2f} s after a subscription; {memory:.0f} MB")  # noqa: T201 - what was measured
    assert len(event["offers"]["offers"]) == AGENTS
    assert seconds < 2
    assert memory < 500
    assert process.returncode == 0


async def _run_tasks(scheduler: Scheduler) -> None:
    running = 0
    began = time.monotonic()
    async for event in scheduler.events("first"):
        if event["type"] == "OFFERS":
            assert time.monotonic() - began < 2
            for offer in event["offers"]["offers"]:
                scheduler.launch(offer)
        elif event["type"] == "UPDATE":
            status = event["update"]["status"]
            scheduler.acknowledge(status)
            running += status["state"] == "TASK_RUNNING"
            if running == AGENTS * TASKS_PER_AGENT:
                break
    await scheduler.finish_calls()
