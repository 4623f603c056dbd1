"""What 100,000 idle actors cost: memory, the time to start them, the time to stop them.

Run: python benchmarks/runtime_idle_actors.py [--json] [NUMBER]
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time

import psutil

from actors.runtime import Actor, ActorSystem, message, receive


@message
class Work:
    n: int


class Idle(Actor):
    """As small as an actor of use gets: one field of its own, one handler."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id

    @receive
    def work(self, m: Work) -> int:
        return m.n


async def measure(number: int) -> dict[str, float]:
    """Figures for `number` named actors."""
    process = psutil.Process()
    async with ActorSystem("idle") as system:
        for n in range(1000):  # warm up: what is made once does not count
            system.spawn(Idle, f"t{n}", name=f"task:t{n}")
        gc.collect()
        before = process.memory_info().rss
        begin = time.perf_counter()
        for n in range(1000, 1000 + number):
            system.spawn(Idle, f"t{n}", name=f"task:t{n}")
        started = time.perf_counter() - begin
        grown = process.memory_info().rss - before
        begin = time.perf_counter()
        await asyncio.gather(*[_answer(ref) for ref in system.actors()[-1000:]])
        answered = time.perf_counter() - begin
        begin = time.perf_counter()
        await system.stop()
        stopped = time.perf_counter() - begin
    return {
        "actors": number,
        "megabytes": grown / 1e6,
        "bytes an actor": grown / number,
        "start seconds": started,
        "a thousand answers, seconds": answered,
        "stop seconds": stopped,
    }


async def _answer(ref) -> None:
    assert await ref.ask(Work(1), block=False) == 1


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()] or [100_000]
    figures = asyncio.run(measure(numbers[0]))
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:28} {figure:14,.2f}")
