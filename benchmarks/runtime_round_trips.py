"""Round trips between two actors: pykka's threads and this runtime, measured in one run.

Run: python benchmarks/runtime_round_trips.py [--json]

Two forms of "there and back": two actors that tell each other in turn, and an actor that asks another one and waits for each
answer. Runs of both runtimes alternate, and the best of each counts, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import pykka

from actors.runtime import Actor, ActorRef, ActorSystem, TraceWriter, message, receive

ROUNDS = 5


@message
class Serve:
    to: ActorRef


@message
class Ball:
    n: int


BALL = Ball(1)


class Pinger(Actor):
    def __init__(self, rounds: int, done: asyncio.Event) -> None:
        self.left = rounds
        self.done = done

    @receive
    def serve(self, m: Serve) -> None:
        m.to.tell(BALL)

    @receive
    def back(self, m: Ball) -> None:
        self.left -= 1
        if self.left:
            self.sender.tell(m)
        else:
            self.done.set()


class Ponger(Actor):
    @receive
    def there(self, m: Ball) -> None:
        self.sender.tell(m)


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
    def __init__(self, rounds: int, done: threading.Event) -> None:
        super().__init__()
        self.left = rounds
        self.done = done
        self.peer = None

    def on_receive(self, m) -> None:
        if isinstance(m, tuple):
            self.peer = m[0]
            self.peer.tell(self.actor_ref)
        self.left -= 1
        if self.left:
            self.peer.tell(BALL)
        else:
            self.done.set()


class PykkaPonger(pykka.ThreadingActor):
    peer = None

    def on_receive(self, m) -> None:
        if isinstance(m, Ball):
            self.peer.tell(m)
        else:
            self.peer = m


class PykkaAsker(pykka.ThreadingActor):
    def __init__(self, rounds: int, done: threading.Event) -> None:
        super().__init__()
        self.rounds = rounds
        self.done = done

    def on_receive(self, m) -> None:
        for n in range(self.rounds):
            m[0].ask(Ball(n))
        self.done.set()


class PykkaAnswerer(pykka.ThreadingActor):
    def on_receive(self, m) -> int:
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


def measure(rounds: int = ROUNDS, scale: float = 1.0) -> dict[str, float]:
    """All figures, in round trips a second."""
    best: dict[str, float] = {}

    def note(name: str, rate: float) -> None:
        best[name] = max(best.get(name, 0.0), rate)

    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "bench.trace")
        for _ in range(rounds):
            note("tell: pykka", pykkas(PykkaPinger, PykkaPonger, int(5_000 * scale)))
            note("tell: ours", ours(Pinger, Ponger, int(100_000 * scale)))
            note("ask: pykka", pykkas(PykkaAsker, PykkaAnswerer, int(5_000 * scale)))
            note("ask: ours", ours(Asker, Answerer, int(20_000 * scale)))
            note("tell, traced", ours(Pinger, Ponger, int(20_000 * scale), log))
            note("tell, traced without payloads", ours(Pinger, Ponger, int(20_000 * scale), log, False))
    best["tell: ratio"] = best["tell: ours"] / best["tell: pykka"]
    best["ask: ratio"] = best["ask: ours"] / best["ask: pykka"]
    best["trace: microseconds a message"] = (1 / best["tell, traced"] - 1 / best["tell: ours"]) / 2 * 1e6
    return best


if __name__ == "__main__":
    figures = measure()
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:32} {figure:14,.1f}")
