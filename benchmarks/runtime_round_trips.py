"""Round trips between two actors: pykka's threads and this runtime, measured in one run.

Run: python benchmarks/runtime_round_trips.py [--json] [--only-tell]

Two forms of "there and back": two actors that tell each other in turn, and an actor that asks another one and waits for each
answer. Runs of both runtimes alternate, and the median of each counts, so that a busy machine disturbs both alike. (Threads
that happen to share one core do two or three times as well as threads on two, so single runs of pykka vary a lot.)
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pykka

from actors.runtime import Actor, ActorRef, ActorSystem, TraceWriter, message, receive

ROUNDS = 5


@message
class Serve:
    to: ActorRef[Any]


@message
class Ball:
    n: int


BALL = Ball(1)


class Pinger(Actor):
    peer: ActorRef[Any]

    def __init__(self, rounds: int, done: asyncio.Event) -> None:
        self.left = rounds
        self.done = done

    @receive
    def serve(self, m: Serve) -> None:
        self.peer = m.to
        self.peer.tell(Serve(self.actor_ref))
        self.peer.tell(BALL)

    @receive
    def back(self, m: Ball) -> None:
        self.left -= 1
        if self.left:
            self.peer.tell(m)
        else:
            self.done.set()


class Ponger(Actor):
    peer: ActorRef[Any]

    @receive
    def meet(self, m: Serve) -> None:
        self.peer = m.to

    @receive
    def there(self, m: Ball) -> None:
        self.peer.tell(m)


class Asker(Actor):
    def __init__(self, rounds: int, done: asyncio.Event) -> None:
        self.rounds = rounds
        self.done = done

    @receive
    async def serve(self, m: Serve) -> None:
        for n in range(self.rounds):
            await m.to.ask(Ball(n), block=False)
        self.done.set()


class Answerer(Actor):
    @receive
    def there(self, m: Ball) -> int:
        return m.n


class PykkaPinger(pykka.ThreadingActor):
    peer: Any

    def __init__(self, rounds: int, done: threading.Event) -> None:
        super().__init__()
        self.left = rounds
        self.done = done

    def on_receive(self, m: Any) -> None:
        if isinstance(m, Ball):
            self.left -= 1
            if self.left:
                self.peer.tell(m)
            else:
                self.done.set()
        else:
            self.peer = m[0]
            self.peer.tell((self.actor_ref,))
            self.peer.tell(BALL)


class PykkaPonger(pykka.ThreadingActor):
    peer: Any

    def on_receive(self, m: Any) -> None:
        if isinstance(m, Ball):
            self.peer.tell(m)
        else:
            self.peer = m[0]


class PykkaAsker(pykka.ThreadingActor):
    def __init__(self, rounds: int, done: threading.Event) -> None:
        super().__init__()
        self.rounds = rounds
        self.done = done

    def on_receive(self, m: Any) -> None:
        for n in range(self.rounds):
            m[0].ask(Ball(n))
        self.done.set()


class PykkaAnswerer(pykka.ThreadingActor):
    def on_receive(self, m: Any) -> Any:
        return m.n


def ours(
    first: type[Actor], second: type[Actor], rounds: int, trace: str | None = None, payloads: bool = True
) -> float:
    """Round trips a second of this runtime."""

    async def run() -> float:
        done = asyncio.Event()
        writer = None if trace is None else TraceWriter(trace, "bench", payloads=payloads)
        async with ActorSystem("bench", trace=writer) as system:
            a, b = system.spawn(first, rounds, done), system.spawn(second)
            begin = time.perf_counter()
            a.tell(Serve(b))
            await done.wait()
            return rounds / (time.perf_counter() - begin)

    return asyncio.run(run())


def pykkas(first: type[pykka.Actor], second: type[pykka.Actor], rounds: int) -> float:
    """Round trips a second of pykka's threads."""
    done = threading.Event()
    a, b = first.start(rounds, done), second.start()
    begin = time.perf_counter()
    a.tell((b,))
    done.wait()
    rate = rounds / (time.perf_counter() - begin)
    a.stop()
    b.stop()
    return rate


def measure(rounds: int = ROUNDS, scale: float = 1.0, *, only_tell: bool = False) -> dict[str, float]:
    """All figures, in round trips a second: medians of runs that alternate."""
    runs: dict[str, list[float]] = {}

    def note(name: str, rate: float) -> None:
        runs.setdefault(name, []).append(rate)

    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "bench.trace")
        for _ in range(rounds):
            note("tell: pykka", pykkas(PykkaPinger, PykkaPonger, int(5_000 * scale)))
            note("tell: ours", ours(Pinger, Ponger, int(100_000 * scale)))
            if only_tell:
                continue
            note("ask: pykka", pykkas(PykkaAsker, PykkaAnswerer, int(5_000 * scale)))
            note("ask: ours", ours(Asker, Answerer, int(20_000 * scale)))
            note("tell, traced", ours(Pinger, Ponger, int(20_000 * scale), log))
            note(
                "tell, traced without payloads",
                ours(Pinger, Ponger, int(20_000 * scale), log, payloads=False),
            )
    found = {name: statistics.median(rates) for name, rates in runs.items()}
    found["tell: ratio"] = found["tell: ours"] / found["tell: pykka"]
    if only_tell:
        return found
    found["ask: ratio"] = found["ask: ours"] / found["ask: pykka"]
    found["trace: microseconds a message"] = (1 / found["tell, traced"] - 1 / found["tell: ours"]) / 2 * 1e6
    return found


if __name__ == "__main__":
    figures = measure(only_tell="--only-tell" in sys.argv)
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:32} {figure:14,.1f}")
