"""Signals in two steps: the first asks, the second ends, and what does not end by itself is ended."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from actors.runtime import signals
from actors.runtime.signals import Signals

ONE, OTHER = signal.SIGUSR1, signal.SIGUSR2


class Steps:
    def __init__(self) -> None:
        self.taken: list[object] = []
        self.ended = threading.Event()

    @contextmanager
    def listening(self, *numbers: signal.Signals, patience: float = 1000.0) -> Iterator[Signals]:
        listening = Signals(
            numbers,
            on_first=self.taken.append,
            on_second=lambda: self.taken.append("again"),
            last_resort=self.ended.set,
            patience=patience,
        )
        try:
            yield listening
        finally:
            listening.close()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.taken) < count:
                await asyncio.sleep(0.01)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


async def test_the_first_signal_is_told_with_its_number_and_the_second_whichever_it_is():
    steps = Steps()
    with steps.listening(ONE, OTHER):
        send(OTHER)
        await steps.until(1)
        send(ONE)
        await steps.until(2)
        assert steps.taken == [OTHER, "again"]
        assert not steps.ended.is_set()


async def test_who_has_not_ended_some_time_after_the_second_signal_is_ended():
    steps = Steps()
    with steps.listening(ONE, patience=0.2):
        send(ONE)
        await steps.until(1)
        send(ONE)
        await steps.until(2)
        assert await asyncio.to_thread(steps.ended.wait, 10)


async def test_a_third_signal_ends_at_once():
    steps = Steps()
    with steps.listening(ONE):
        for count in (1, 2):
            send(ONE)
            await steps.until(count)
        assert not steps.ended.is_set()
        send(ONE)
        assert steps.ended.wait(10)


async def test_of_a_loop_that_is_blocked_the_second_signal_is_the_last(monkeypatch):
    monkeypatch.setattr(signals, "IMPATIENCE", 0.1)
    steps = Steps()
    with steps.listening(ONE):
        send(ONE)
        time.sleep(0.15)  # noqa: ASYNC251 - it is what blocks
        assert not steps.ended.is_set()
        send(ONE)
        assert steps.ended.is_set()
    assert steps.taken == []


async def test_what_was_there_before_is_there_again_and_what_was_ignored_stays_so():
    before: list[int] = []
    old = signal.signal(ONE, lambda number, _frame: before.append(number))
    ignored = signal.signal(OTHER, signal.SIG_IGN)
    try:
        steps = Steps()
        with steps.listening(ONE, OTHER) as listening:
            send(OTHER)
            assert signal.getsignal(OTHER) is signal.SIG_IGN
        listening.close()
        send(ONE)
        assert before == [ONE]
        await asyncio.sleep(0)
        assert steps.taken == []
    finally:
        signal.signal(ONE, old)
        signal.signal(OTHER, ignored)


def test_where_there_is_no_loop_any_more_the_first_signal_ends_at_once():
    steps = Steps()

    async def listen() -> Signals:
        return Signals(
            (ONE,), on_first=steps.taken.append, on_second=steps.ended.clear, last_resort=steps.ended.set
        )

    listening = asyncio.run(listen())
    try:
        send(ONE)
        assert steps.ended.is_set()
    finally:
        listening.close()
