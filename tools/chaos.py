"""Run a framework while everything around it is killed, stopped and cut off, and judge what it did: `make chaos SEED=1`.

A seed decides what goes wrong and when (`tests/chaos/plan.py`), a judge that sees only what can be seen from outside says what was
broken (`tests/chaos/judge.py`). The folder of a run that broke a rule stays below `build/chaos/`, with everything in it.
"""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ROOT / "build" / "chaos"


def main() -> int:
    """Do the runs; the exit code is 1 when a rule was broken."""
    sys.path.insert(0, str(ROOT))
    from tests.chaos.plan import HALF_A_MINUTE, STORES

    parser = argparse.ArgumentParser(description="Run a framework through chaos.")
    parser.add_argument("--seeds", default="1", help="one (7), or several (1-50)")
    parser.add_argument(
        "--minutes", type=float, default=HALF_A_MINUTE / 60, help="of chaos in each run (default 0.5)"
    )
    parser.add_argument("--store", choices=STORES, default=STORES[0])
    parser.add_argument("--tasks", type=int, help="in each run (default 2000 for each half minute)")
    parser.add_argument("--keep", action="store_true", help="keep the folders of good runs, too")
    parser.add_argument(
        "--crash-points", action="store_true", help="instead: let schedulers die at every write and call"
    )
    arguments = parser.parse_args()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # whatever a script in the background ignores: its processes end with it
        signal.signal(number, signal.default_int_handler)
    if arguments.crash_points:
        return asyncio.run(crash_points(arguments.store))
    first, _, last = arguments.seeds.partition("-")
    broken = 0
    for seed in range(int(first), int(last or first) + 1):
        seconds = arguments.minutes * 60
        tasks = arguments.tasks or round(2000 * seconds / HALF_A_MINUTE)
        broken += not one(seed, arguments.store, seconds, tasks, keep=arguments.keep)
    return 1 if broken else 0


def one(seed: int, store: str, seconds: float, tasks: int, *, keep: bool) -> bool:
    """Do one run, and say how it went; returns whether all rules held."""
    from tests.chaos.run import chaos

    folder = FOLDERS / f"{store}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    run, broken = asyncio.run(chaos(folder, seed, store, seconds=seconds, tasks=tasks))
    took = time.monotonic() - began
    print(
        f"seed {seed}, {store}: {'BROKEN' if broken else 'holds'}; {run.summary()}, {took:.0f} s", flush=True
    )
    for rule, what in broken:
        print(f"    {rule}: {what}")
    if broken:
        shown = folder.relative_to(ROOT)
        print(f"    look at {shown}: plan and faults, effects, told and notes, wire, the logs, and")
        print(f"    mesostic trace show {shown}/traces/*.trace --task TASK")
        print(f"    once more: make chaos SEED={seed} STORE={store} MINUTES={seconds / 60:g}", flush=True)
    elif not keep:
        shutil.rmtree(folder)
    return not broken


async def crash_points(store: str) -> int:
    """Let a scheduler die at each point in turn; 1 if that broke a rule."""
    from tests.chaos.crashes import crashes, stores_on
    from tests.chaos.run import SERVER_OF

    folder = FOLDERS / f"crash-points-{store}"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(SERVER_OF[store](folder / "server")) if store in SERVER_OF else None
        async with crashes(folder / "runs", stores_on(server)) as schedulers:
            broken = await schedulers.sweep()
    print(
        f"crash points, {store}: {len(broken)} of {schedulers.runs - 1} broken, {time.monotonic() - began:.0f} s"
    )
    for point, rules in broken.items():
        for rule, what in rules:
            print(f"    point {point}: {rule}: {what}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
