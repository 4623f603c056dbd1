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


def runs(rounds: int, *, only_tell: bool) -> dict[str, list[float]]:
    """The round trips a second of each run, by what was run; the runs alternate."""
    found: dict[str, list[float]] = {}

    def note(name: str, rate: float) -> None:
        found.setdefault(name, []).append(rate)

    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "bench.trace")
        for _ in range(rounds):
            note("tell: pykka", pykkas(PykkaPinger, PykkaPonger, 20_000))
            note("tell: ours", ours(Pinger, Ponger, 200_000))
            if not only_tell:
                note("ask: pykka", pykkas(PykkaAsker, PykkaAnswerer, 10_000))
                note("ask: ours", ours(Asker, Answerer, 20_000))
                note("tell, traced", ours(Pinger, Ponger, 20_000, log))
                note("tell, traced without payloads", ours(Pinger, Ponger, 20_000, log, payloads=False))
    return found


def measure(rounds: int = ROUNDS, *, only_tell: bool = False) -> dict[str, dict[str, float]]:
    """Minimum, median and maximum of each figure; ratios are those of the medians."""
    found = runs(rounds, only_tell=only_tell)
    figures = {
        name: {"min": min(rates), "median": statistics.median(rates), "max": max(rates)}
        for name, rates in found.items()
    }

    def median(name: str) -> float:
        return figures[name]["median"]

    figures["tell: ratio"] = {"median": median("tell: ours") / median("tell: pykka")}
    if not only_tell:
        figures["ask: ratio"] = {"median": median("ask: ours") / median("ask: pykka")}
        cost = (1 / median("tell, traced") - 1 / median("tell: ours")) / 2 * 1e6
        figures["trace: microseconds a message"] = {"median": cost}
    return figures


if __name__ == "__main__":
    measured = measure(only_tell="--only-tell" in sys.argv)
    if "--json" in sys.argv:
        print(json.dumps(measured))
    else:
        for name, figure in measured.items():
            print(f"{name:32}" + "".join(f"  {what} {value:12,.1f}" for what, value in figure.items()))
