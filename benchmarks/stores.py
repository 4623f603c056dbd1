"""What a store costs: commits of one record, 100,000 tasks of three records each written and loaded, its size.

`python benchmarks/stores.py [memory] [sqlite] [etcd] [zookeeper] [--tasks N]`: those that are installed, unless some are named.
Each is measured in a process of its own, as its memory is.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from actors import messages as m
from actors.framework_settings import RetryPolicy
from actors.records import INTENT, PROGRESS, SPEC, TaskProgress, TaskSpec
from actors.store.backends import Backend, MemoryBackend, SqliteBackend
from actors.store.log import LogBackend
from actors.store_actor import StoreSettings
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, TaskId
from tests.support.servers import Etcd, Server, ZooKeeper, missing

KINDS = ("memory", "sqlite", "etcd", "zookeeper")
SERVERS: dict[str, type[Server]] = {"etcd": Etcd, "zookeeper": ZooKeeper}
SCHEMES = {"etcd": "etcd", "zookeeper": "zk"}
TOGETHER = 500  # tasks in a commit, as the broker places them
RETRY = RetryPolicy()


@contextmanager
def served(kind: str, folder: Path) -> Iterator[tuple[Backend, Server | None]]:
    if kind in SERVERS:
        with SERVERS[kind](folder / kind) as server:
            settings = StoreSettings(url=f"{SCHEMES[kind]}://{server.address}/bench", lease=60.0)
            assert settings.coordinate is not None
            yield LogBackend(settings.coordinate(), settings.url), server
    else:
        yield MemoryBackend() if kind == "memory" else SqliteBackend(str(folder / "store.db")), None


def records(number: int) -> list[m.Record]:
    task_id, payload = TaskId(f"page-{number:06}"), f"https://example.org/articles/{number}".encode()
    spec = TaskSpec(
        task_id, f"page {number}", number, payload, "crawl", "", Resources.of(cpus=0.1, mem=32), 0, "*", RETRY
    )
    launched = m.Launched(TaskId(f"{task_id}.1"), AgentId("2c1f7e2e-S0"), ExecutorId("crawl"), "agent-1")
    progress = TaskProgress(
        1, m.TaskPhase.RUNNING, uuid=number.to_bytes(16, "big"), agent_id=launched.agent_id
    )
    return [
        SPEC.record(task_id, spec),
        INTENT.record(task_id, launched),
        PROGRESS.record(task_id, progress),
    ]


def rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(kind: str, tasks: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="mesostic-bench-") as folder,
        served(kind, Path(folder)) as (backend, server),
    ):
        backend.open()
        began, commits = time.perf_counter(), 0
        while time.perf_counter() - began < 2.0:
            backend.commit([m.Write((m.Record("k", f"key-{commits % 1000}", bytes(200)),))])
            commits += 1
        single = commits / (time.perf_counter() - began)
        backend.commit([m.ClearStore()])
        size, slowest = 0, 0.0
        began = time.perf_counter()
        for first in range(0, tasks, TOGETHER):
            written = [records(number) for number in range(first, min(tasks, first + TOGETHER))]
            for column in range(3):  # what was asked for, what was launched, how far it is
                batch = [task[column] for task in written]
                size += sum(len(each.value) for each in batch)
                now = time.perf_counter()
                backend.commit([m.Write((each,)) for each in batch])
                slowest = max(slowest, time.perf_counter() - now)
        writing = time.perf_counter() - began
        if not isinstance(backend, MemoryBackend):
            backend.close()
            with_index = rss()
            backend.open()
        else:
            with_index = rss()
        began = time.perf_counter()
        loaded = backend.load()
        loading = time.perf_counter() - began
        assert len(loaded) == 3 * tasks, len(loaded)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        kept = server.disk if server else sum(file.stat().st_size for file in Path(folder).glob("store.db*"))
        began = time.perf_counter()
        for number in range(200):
            assert len(backend.load(f"page-{number * (tasks // 200):06}")) == 3
        one = (time.perf_counter() - began) / 200
        print(
            f"{kind:10} {single:7.0f} commits/s; {tasks} tasks ({size / 1e6:.0f} MB): written in {writing:.1f} s"
            f" ({3 * tasks / writing:.0f} records/s, slowest commit {slowest * 1e3:.0f} ms), loaded in {loading:.1f} s,"
            f" one in {one * 1e3:.2f} ms; {kept / 1e6:.0f} MB on disk, {with_index / 1e6:.0f} MB of memory, {peak / 1e6:.0f} MB at most"
            + (f", the server {server.memory / 1e6:.0f} MB" if server else ""),
            flush=True,
        )
        backend.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=(*KINDS, []), help="which")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    for kind in given.kinds or KINDS:
        if given.here:
            measure(kind, given.tasks)
        elif kind in SERVERS and (why := missing(SERVERS[kind])):
            print(f"{kind}: {why}")
        else:
            subprocess.run(
                [sys.executable, __file__, kind, "--here", "--tasks", str(given.tasks)], check=True
            )


if __name__ == "__main__":
    main()
