"""Agents in a whole cluster: over HTTP from scheduler to process, and what is left when a cluster ends."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest

from playa import AgentSettings, Cluster, ClusterSettings

ROOT = Path(__file__).parent.parent.parent


class Scheduler:
    """A small V1 scheduler: subscribes, launches one command, acknowledges."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/api/v1/scheduler"
        self._headers = {"Accept": "application/json"}
        self._stream: aiohttp.ClientResponse | None = None

    def close(self) -> None:
        """End the subscription."""
        if self._stream is not None:
            self._stream.close()

    async def launch(self, command: str, *, checkpoint: bool) -> int:
        """Launch a command and wait until it runs; gives its process id."""
        info = {"user": "", "name": "f", "roles": ["*"], "checkpoint": checkpoint, "failover_timeout": 60.0}
        info["capabilities"] = [{"type": "MULTI_ROLE"}]
        body = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        stream = self._stream = await self._session.post(self._url, json=body, headers=self._headers)
        self._headers["Mesos-Stream-Id"] = stream.headers["Mesos-Stream-Id"]
        framework_id = None
        launched = False
        while True:
            event = json.loads(await stream.content.readexactly(int(await stream.content.readline())))
            if event["type"] == "SUBSCRIBED":
                framework_id = event["subscribed"]["framework_id"]
            elif event["type"] == "OFFERS" and not launched:
                launched = True
                await self._accept(framework_id, event["offers"]["offers"][0], command)
            elif event["type"] == "UPDATE":
                status = event["update"]["status"]
                ids = {key: status[key] for key in ("agent_id", "task_id", "uuid")}
                await self._call({"framework_id": framework_id, "type": "ACKNOWLEDGE", "acknowledge": ids})
                if status["state"] == "TASK_RUNNING":
                    return int(status["container_status"]["executor_pid"])

    async def _accept(self, framework_id, offer, command) -> None:
        amounts = {"cpus": 0.1, "mem": 32}
        task = {
            "name": "t",
            "task_id": {"value": "t"},
            "agent_id": offer["agent_id"],
            "resources": [{"name": n, "type": "SCALAR", "scalar": {"value": v}} for n, v in amounts.items()],
            "command": {"value": command},
        }
        operations = [{"type": "LAUNCH", "launch": {"task_infos": [task]}}]
        accept = {"offer_ids": [offer["id"]], "operations": operations}
        await self._call({"framework_id": framework_id, "type": "ACCEPT", "accept": accept})

    async def _call(self, body) -> None:
        async with self._session.post(self._url, json=body, headers=self._headers) as response:
            assert response.status == 202, await response.text()


@pytest.mark.parametrize("own_folder", [False, True])
@pytest.mark.parametrize("checkpoint", [False, True])
async def test_when_a_cluster_ends_in_order_nothing_of_it_is_left(checkpoint, own_folder, tmp_path):
    agent = AgentSettings(work_dir=str(tmp_path / "own") if own_folder else "")
    settings = ClusterSettings(port=0, agents=(agent,))
    async with Cluster(settings) as cluster, aiohttp.ClientSession() as session:
        task = psutil.Process(
            await Scheduler(session, cluster.url).launch("sleep 1000", checkpoint=checkpoint)
        )
        directory = cluster.directory
    _, alive = await asyncio.to_thread(psutil.wait_procs, [task], 10)  # its supervisor buries it
    assert not alive
    assert not directory.exists()


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_when_a_clusters_process_is_killed_nothing_of_it_is_left(checkpoint, number, tmp_path):
    process = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed, not awaited
        [sys.executable, "-m", "playa", "--port", "0", "--work_dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with process:
        assert process.stdout is not None
        url = json.loads(await asyncio.to_thread(process.stdout.readline))["url"]
        async with aiohttp.ClientSession() as session:
            scheduler = Scheduler(session, url)
            pid = await scheduler.launch("sleep 1000 & wait", checkpoint=checkpoint)
            task = psutil.Process(pid)
            family = [task, *task.children(recursive=True)]
            process.send_signal(number)
            scheduler.close()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, family, 10)
    assert not alive
    assert len(gone) == len(family) >= 1


async def test_an_agent_s_port_that_is_taken_is_an_error_in_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"agent 1: cannot listen on 127.0.0.1:{port}"):
            async with Cluster(ClusterSettings(port=0, agents=(AgentSettings(port=port),))):
                pass


async def test_an_agent_without_a_folder_to_work_in_is_an_error_in_one_sentence():
    settings = ClusterSettings(port=0, agents=(AgentSettings(work_dir="/proc/no/such/place"),))
    with pytest.raises(OSError, match="agent 1: cannot work in its folder"):
        async with Cluster(settings):
            pass
