"""A task learns the ports that it was launched with, whether it is a payload's or a command's."""

import pytest

from mesostic.testing import cluster as mesos_cluster
from mesostic.testing import run

pytestmark = pytest.mark.slow

CODE = """
from mesostic import Executor, SchedulerActor, TaskContext, message, task

@message
class Serve:
    number: int

@message
class Ports:
    numbers: tuple[int, ...]

class Server(Executor):
    @task
    def serve(self, serve: Serve, context: TaskContext) -> Ports:
        return Ports(context.ports)

class Serves(SchedulerActor):
    def on_registered(self, event):
        self.ports = []
        for number in range(2):
            self.launch(Serve(number), ports=2)
        self.launch(command='test -n "$PORT1" && test "$PORTS" = "$PORT0,$PORT1"', ports=2)
    def on_task_finished(self, done):
        if done.result:
            self.ports.extend(done.result.numbers)
        if not self.active_tasks:
            self.finish(0, repr(self.ports))
    def on_task_failed(self, failed):
        self.finish(1, failed.message)
"""


async def test_each_task_learns_its_own_ports(tmp_path):
    (tmp_path / "ports_under_test.py").write_text(CODE)
    config = tmp_path / "ports.toml"
    config.write_text(
        '[framework]\nname = "ports"\n[scheduler]\nclass = "ports_under_test:Serves"\n'
        '[executors.server]\nclass = "ports_under_test:Server"\n'
    )
    async with mesos_cluster(resources="cpus:2;mem:1024;ports:[31000-31001,31500-31503]") as cluster:
        done = await run(config, cluster)
    assert done.outcome.exit_code == 0, done.outcome.reason
    launched = {tuple(eval(done.outcome.reason)[at : at + 2]) for at in (0, 2)}
    assert launched <= {(31000, 31001), (31500, 31501), (31502, 31503)}
    assert len(launched) == 2
