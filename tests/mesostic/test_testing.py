"""What authors test with: the cluster fixture, frameworks run against it, waiting without sleeping, faults."""

from typing import Any

import pytest

from mesostic.errors import ConfigError
from mesostic.testing import cluster as mesos_cluster
from mesostic.testing import contents, run, running

pytestmark = pytest.mark.slow

CODE = """
from mesostic import Executor, SchedulerActor, message, task

@message
class Work:
    number: int

class Worker(Executor):
    @task
    def work(self, work: Work) -> Work:
        return Work(work.number * 2)

class Doubles(SchedulerActor):
    def on_registered(self, event):
        for number in range(3):
            self.launch(Work(number))
    def on_task_finished(self, done):
        if not self.active_tasks:
            self.finish(0, "doubled")

class Stays(SchedulerActor):
    def on_registered(self, event):
        self.launch(command="exec sleep 4712")
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "doubles_under_test.py").write_text(CODE)
    (tmp_path / "doubles.toml").write_text(
        '[framework]\nname = "doubles"\n[scheduler]\nclass = "doubles_under_test:Doubles"\n'
        '[executors.worker]\nclass = "doubles_under_test:Worker"\n'
    )
    return tmp_path / "doubles.toml"


async def test_a_framework_is_run_to_its_end_and_its_messages_can_be_asked_for(project):
    async with mesos_cluster(resources="cpus:2;mem:1024") as cluster:
        done = await run(project, cluster)
    assert (done.outcome.exit_code, done.outcome.reason) == (0, "doubled")
    finished = [record for record in done.records if record.type.endswith(":TaskDone")]
    assert {contents(record)["state"] for record in finished} == {"TASK_FINISHED"}
    assert len(finished) == 3


async def test_messages_are_waited_for_without_sleeping(project):
    sets = ["scheduler.class=doubles_under_test:Stays"]
    async with mesos_cluster() as cluster, running(project, cluster, sets=sets) as framework:
        await framework.wait_for("TaskChanged", contains="running")
        assert len(framework.records("Launched", actor="task:*")) == 1
        with pytest.raises(TimeoutError, match=r"1 of 2 messages Launched in 0\.05 s"):
            await framework.wait_for("Launched", count=2, timeout=0.05)
        framework.ask_to_end()
        assert (await framework.outcome()).exit_code == 0


async def test_a_master_that_fails_over_while_tasks_are_launched_costs_none_of_them(project):
    impatient: dict[str, Any] = {"agent_ping_timeout": 0.2, "max_agent_ping_timeouts": 2}
    async with mesos_cluster(agents=2, **impatient) as cluster, running(project, cluster) as framework:
        await framework.wait_for("Accept")
        await cluster.faults.restart_master()
        await framework.wait_for("Subscribed", actor="scheduler", count=2)
        assert (await framework.outcome(timeout=60)).exit_code == 0


async def test_a_framework_that_has_not_ended_is_stopped_with_the_block(project):
    sets = ["scheduler.class=doubles_under_test:Stays"]
    async with mesos_cluster() as cluster:
        async with running(project, cluster, sets=sets) as framework:
            await framework.wait_for("Launched")
        assert framework.system.stopping


async def test_a_wrong_configuration_is_an_error_before_anything_runs(project):
    async with mesos_cluster(agents=0) as cluster:
        with pytest.raises(ConfigError, match="nonsense"):
            await run(project, cluster, sets=["framework.nonsense=1"])


@pytest.mark.parametrize("kind", ["plain", "marked"])
def test_the_plugin_gives_the_fixture(pytester_folder, kind):
    result = pytester_folder(kind)
    assert "1 passed" in result


@pytest.fixture
def pytester_folder(tmp_path):
    import subprocess
    import sys

    def run_it(kind):
        marker = "@pytest.mark.mesos_cluster(agents=2, resources='cpus:1;mem:64')" if kind == "marked" else ""
        agents = 2 if kind == "marked" else 1
        (tmp_path / "test_it.py").write_text(
            f"import pytest\n\n@pytest.mark.asyncio\n{marker}\nasync def test_it(mesos_cluster):\n"
            f"    assert len(mesos_cluster.settings.agents) == {agents}\n"
        )
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "mesostic.pytest_plugin",
            "--strict-markers",
            str(tmp_path),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run_it
