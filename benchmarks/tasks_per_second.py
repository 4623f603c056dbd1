"""How many tasks a second go through all actors of the scheduler side, and how much of a processor each costs.

A master in a process of its own plays an agent that runs tasks in no time (RUNNING, FINISHED), over real HTTP; the
scheduler launches N commands and ends. Printed: tasks a second, CPU microseconds a task of the scheduler's process, and
the same for several N, because the cost of a task must not grow with their number.

    python benchmarks/tasks_per_second.py [N ...] [--store PATH] [--profile]
"""

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

SERVE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from tests.support.simulated_master import simulated_master

async def main():
    async with simulated_master(cpus=500.0) as master:
        print(master.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def play(url: str, count: int, store: str) -> tuple[float, float, float]:
    from actors.composition import ActorSpec, Composition, run
    from actors.framework_settings import FrameworkSettings
    from actors.runtime.collector import spare_the_collector
    from actors.scheduler_actor import SchedulerActor
    from actors.store_actor import StoreActor, StoreSettings

    moments = []

    class Burst(SchedulerActor):
        def on_registered(self, event):
            self.left = count
            moments.extend([time.perf_counter(), time.process_time()])
            for _ in range(count):
                self.launch(command="true", cpus=0.1, mem=1)

        def on_task_finished(self, done):
            self.left -= 1
            if not self.left:
                moments.extend([time.perf_counter(), time.process_time()])
                self.finish(0)

    made = Composition(
        FrameworkSettings(name="burst", user="bench", master=url),
        (ActorSpec("scheduler", Burst, None), ActorSpec("store", StoreActor, StoreSettings(store))),
    )
    spare_the_collector()  # as `mesostic run` does
    outcome = asyncio.run(run(made))
    assert outcome.exit_code == 0, outcome
    start, cpu_start, end, cpu_end = moments
    seconds, cpu = end - start, cpu_end - cpu_start
    return count / seconds, cpu / count * 1e6, seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", nargs="*", type=int, default=[1000, 5000, 20000])
    parser.add_argument("--store", default="")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    for count in options.counts:
        root = str(Path(__file__).parent.parent)
        master = subprocess.Popen(
            [sys.executable, "-c", SERVE, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert master.stdout is not None
        url = master.stdout.readline().strip()
        try:
            if options.profile:
                import cProfile
                import pstats

                profile = cProfile.Profile()
                result = profile.runcall(play, url, count, options.store)
                stats = pstats.Stats(profile).sort_stats("tottime")
                stats.print_stats(45)
                stats.print_callers("method 'get'")
            else:
                result = play(url, count, options.store)
        finally:
            master.kill()
            master.wait()
        rate, cpu, seconds = result
        print(f"{count:>7,} tasks: {rate:>7,.0f} a second, {cpu:>5.0f} us of CPU a task ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
