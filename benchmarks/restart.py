"""What a restart with 100,000 recorded tasks costs: seconds until all are asked about, memory, and the longest pause of the loop.

A store is filled with what a run leaves of N tasks (specification, intent, progress RUNNING on 50 agents; or, `--waiting`, with
specifications alone). Then a framework starts with it in a fresh process, against a master in another one that takes the
subscription and answers each RECONCILE. `--queue` measures N tasks that are launched at once instead, and wait; `--launch`,
that all run.

    python benchmarks/restart.py [N] [--waiting | --queue | --launch] [--store PATH | --servers etcd | --servers zookeeper] [--json]
"""

import argparse
import asyncio
import contextlib
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

AGENTS = 50
BATCH = 5000
SETTLED = 2.0  # seconds of quiet after which the memory is looked at again

SERVE = """
import asyncio, json, sys, time
sys.path.insert(0, sys.argv[1])
from mesos_v1 import pb
from mesos_v1.content import serialize
from mesos_v1.recordio import encode
from tests.support.raw_server import raw_server
from tests.support.scripted_master import ScriptedMaster

class Master(ScriptedMaster):
    async def handle(self, request, writer):
        await super().handle(request, writer)
        asked = [task for call, _ in self.calls for task in call.reconcile.tasks]
        if len(asked) >= int(sys.argv[2]):
            print(json.dumps(time.monotonic()), flush=True)
            self.calls.clear()
            self.answering = asyncio.create_task(self.answer(asked))

    async def answer(self, tasks):
        event = pb.scheduler.Event(type=pb.scheduler.Event.UPDATE)
        status = event.update.status
        status.state, status.reason = pb.mesos.TASK_RUNNING, pb.mesos.TaskStatus.REASON_RECONCILIATION
        for at in range(0, len(tasks), 100):
            data = []
            for each in tasks[at : at + 100]:
                status.task_id.value, status.agent_id.value = each.task_id.value, each.agent_id.value
                data.append(encode(serialize(event, self._streams[-1][1])))
            await self.send_bytes(b"".join(data))

async def main():
    master = Master()
    async with raw_server(master.handle) as server:
        master.server = server
        print(master.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
ROOMY = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from tests.support.simulated_master import simulated_master

async def main():
    async with simulated_master(cpus=1e6) as master:
        master.plan = lambda _info: [("TASK_RUNNING", b"")]
        print(master.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def settings_of(store: str) -> Any:
    from actors.store_actor import StoreSettings

    return StoreSettings(url=store) if "://" in store else StoreSettings(store)


def fill(store: str, count: int, *, waiting: bool) -> None:
    """Write what `count` tasks leave in a store when the scheduler is killed."""
    from actors import messages as m
    from actors import records as r
    from actors.framework_settings import RetryPolicy
    from actors.runtime import pack
    from actors.scheduler.base_scheduler import framework_record
    from actors.store.backends import Backend, SqliteBackend
    from actors.store.log import LogBackend
    from mesos_v1.resources import Resources
    from mesos_v1.values import AgentId, ExecutorId, TaskId

    resources, retry = Resources.of(cpus=0.1, mem=32.0), RetryPolicy()
    executor_id = ExecutorId("work-0123456789")
    facts = {"id": "f-1", "registered": "1", "runs": "1", "port": "0"}
    records = [framework_record(key, value) for key, value in facts.items()]
    specs, intents, progress = [], [], []
    for number in range(1, count + 1):
        task_id = TaskId(f"work-{number}")
        payload = pack(m.ShutdownRequested(f"https://www.example.org/pages/{number}.html"))
        what = task_id, task_id, number, payload, "work", "", resources, 0, "*", retry
        specs.append(r.SPEC.record(task_id, r.TaskSpec(*what)))
        agent = AgentId(f"6c2f5b4e-5f0e-4b52-a4be-3d8f0d3d4d5d-S{number % AGENTS}")
        attempt = r.attempt_id(task_id, 1)
        intents.append(
            r.INTENT.record(task_id, m.Launched(attempt, agent, executor_id, f"node-{number % AGENTS}"))
        )
        uuid = number.to_bytes(16, "big")
        done = r.TaskProgress(
            1, m.TaskPhase.RUNNING, 0, 0, "TASK_RUNNING", "", "", b"", uuid, agent, executor_id
        )
        progress.append(r.PROGRESS.record(task_id, done))
    records += specs if waiting else [*specs, *intents, *progress]
    coordinate = settings_of(store).coordinate
    backend: Backend = SqliteBackend(store) if coordinate is None else LogBackend(coordinate(), store)
    backend.open()
    for at in range(0, len(records), BATCH):
        backend.commit([m.Write(tuple(records[at : at + BATCH]))])
    backend.close()


def memory() -> float:
    """MB that the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def longest_pause(pauses: list[float]) -> None:
    """How long the loop did not turn, at most."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.01)
        pauses[0] = max(pauses[0], time.monotonic() - before - 0.01)


def play(url: str, count: int, store: str, kind: str) -> None:
    """Be the framework, and print what it cost."""
    from actors.composition import ActorSpec, Composition, run
    from actors.framework_settings import FrameworkSettings
    from actors.runtime.collector import spare_the_collector
    from actors.scheduler_actor import SchedulerActor
    from actors.store_actor import StoreActor

    figures: dict[str, Any] = {"imported": time.monotonic(), "imported MB": memory()}
    pauses = [0.0]

    class Restarted(SchedulerActor):
        answered = 0

        def on_registered(self, _event):
            self.note("subscribed")
            for number in range(1, count + 1):
                self.launch(command="true", task_id=f"work-{number}", cpus=0.1, mem=1.0)
            self.note("launched")
            if kind == "queue":
                self.run_in_background(self.settle(), name="settle")

        def on_reregistered(self, _event):
            self.note("subscribed")
            if kind == "waiting":
                self.run_in_background(self.settle(), name="settle")

        def on_task_update(self, update):
            if update.state == "TASK_RUNNING":
                self.answered += 1
                if self.answered == count:
                    self.note("answered")
                    self.run_in_background(self.settle(), name="settle")

        def note(self, moment):
            figures[moment] = time.monotonic()
            figures[f"{moment} MB"] = memory()
            figures[f"{moment} cpu"] = time.process_time()

        async def settle(self):
            await asyncio.sleep(SETTLED)
            figures["longest pause"] = pauses[0]
            gc.collect()
            figures["settled MB"] = memory()
            self.leave()

    async def main():
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(longest_pause(pauses))
            outcome = await run(composition)
            watch.cancel()
        return outcome

    actors = (ActorSpec("scheduler", Restarted, None), ActorSpec("store", StoreActor, settings_of(store)))
    composition = Composition(FrameworkSettings(name="restarted", user="bench", master=url), actors)
    spare_the_collector()  # as `mesostic run` does
    outcome = asyncio.run(main())
    assert outcome.exit_code == 0, outcome
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures["peak MB"] = usage.ru_maxrss * 1024 / 1e6
    print(json.dumps(figures))


@contextlib.contextmanager
def served(servers: str, folder: str) -> Iterator[str]:
    """The URL of a store on servers of our own; "" if there are none."""
    from tests.support.servers import Etcd, ZooKeeper

    if not servers:
        yield ""
        return
    made, scheme = (Etcd, "etcd") if servers == "etcd" else (ZooKeeper, "zk")
    with made(Path(folder) / servers) as server:
        yield f"{scheme}://{server.address}/restart"


def measure(count: int, kind: str, store: str = "", servers: str = "") -> dict[str, float]:
    """Figures of one restart (kind "running" or "waiting") or launch ("queue" or "launch") with `count` tasks; seconds from the process's start."""
    with tempfile.TemporaryDirectory() as folder, served(servers, folder) as address:
        path = address or store or f"{folder}/store.db"
        fresh = kind in {"queue", "launch"}
        if not fresh and not Path(path).exists():
            filling = (sys.executable, __file__, "--fill", path, kind, str(count))
            subprocess.run(filling, check=True)  # in a process of its own, so that ours stays small
        master = subprocess.Popen(
            [sys.executable, "-c", ROOMY if kind == "launch" else SERVE, str(ROOT), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert master.stdout is not None
        url = master.stdout.readline().strip()
        try:
            began = time.monotonic()
            child = (
                sys.executable,
                __file__,
                "--play",
                url,
                "" if fresh else path,
                kind,
                str(count),
            )
            told = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout
            figures = json.loads(told.splitlines()[-1])
            if kind == "running":
                figures["asked"] = json.loads(master.stdout.readline())
        finally:
            master.kill()
            master.wait()
    moments = ("imported", "subscribed", "launched", "asked", "answered")
    return {name: figure - began if name in moments else figure for name, figure in figures.items()} | {
        "bytes a task": (figures["settled MB"] - figures["imported MB"]) * 1e6 / count
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", nargs="?", type=int, default=100_000)
    parser.add_argument("--waiting", action="store_true")
    parser.add_argument("--queue", action="store_true")
    parser.add_argument("--launch", action="store_true")
    parser.add_argument("--store", default="", help="a store to keep; filled if it does not exist")
    parser.add_argument("--servers", choices=["etcd", "zookeeper"], default="")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kind = next((name for name in ("waiting", "queue", "launch") if getattr(options, name)), "running")
    figures = measure(options.count, kind, options.store, options.servers)
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:16} {figure:12,.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fill"]:
        fill(sys.argv[2], int(sys.argv[4]), waiting=sys.argv[3] == "waiting")
    elif sys.argv[1:2] == ["--play"]:
        play(sys.argv[2], int(sys.argv[5]), sys.argv[3], sys.argv[4])
    else:
        main()
