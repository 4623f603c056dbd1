"""An agent that an operator drains: its tasks run again, and no idle executor of ours keeps it from being used again."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from mesostic.testing import cluster as mesos_cluster
from mesostic.testing import contents, running

pytestmark = pytest.mark.slow

CODE = """
from mesostic import Executor, RetryPolicy, SchedulerActor, message, task

@message
class Work:
    number: int

class Worker(Executor):
    @task
    def work(self, work: Work) -> Work:
        return work

class Drained(SchedulerActor):
    def on_registered(self, event):
        self.launch(Work(1), task_id="work")
    def on_task_finished(self, done):
        if done.task_id == "work":  # from now on its executor is idle
            command = 'test -f %(flag)s || exec sleep 60'
            self.launch(command=command, task_id="waits", retry=RetryPolicy(attempts=1, backoff=0.1))
        else:
            self.finish(0, f"{done.attempts} attempts")
    def on_task_failed(self, failed):
        self.finish(1, failed.message)
"""


async def test_what_a_drained_agent_kills_runs_again_on_it_when_it_is_reactivated(tmp_path):
    flag = tmp_path / "flag"
    (tmp_path / "drained_under_test.py").write_text(CODE % {"flag": flag})
    config = tmp_path / "drained.toml"
    config.write_text(
        '[framework]\nname = "drained"\n[scheduler]\nclass = "drained_under_test:Drained"\n'
        '[executors.worker]\nclass = "drained_under_test:Worker"\n'
    )
    async with mesos_cluster() as cluster, running(config, cluster) as framework:

        async def operator(kind: str, **body: Any) -> dict[str, Any]:
            data = json.dumps({"type": kind, **body}).encode()
            headers = {"Content-Type": "application/json", "Accept": "application/json", **cluster.headers}
            request = urllib.request.Request(f"{cluster.url}/api/v1", data, headers)
            answer = await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).read())
            found: dict[str, Any] = json.loads(answer or b"{}")
            return found

        async def drain_info() -> str:
            (agent,) = (await operator("GET_AGENTS"))["get_agents"]["agents"]
            return str(agent.get("drain_info", {}).get("state", ""))

        await framework.wait_for("TaskChanged", contains="TASK_RUNNING", actor="task:waits", count=1)
        (agent,) = (await operator("GET_AGENTS"))["get_agents"]["agents"]
        agent_id = agent["agent_info"]["id"]
        await asyncio.to_thread(Path.touch, flag)
        await operator("DRAIN_AGENT", drain_agent={"agent_id": agent_id})
        await framework.wait_for("TaskChanged", contains="REASON_AGENT_DRAINING")
        async with asyncio.timeout(20):
            while await drain_info() != "DRAINED":
                await asyncio.sleep(0.05)
        await operator("REACTIVATE_AGENT", reactivate_agent={"agent_id": agent_id})
        outcome = await framework.outcome(timeout=30)
        assert outcome.exit_code == 0, outcome.reason
        told = [contents(record) for record in framework.records("TaskChanged")]
        assert any(each["message"].startswith("killed from outside") for each in told)
