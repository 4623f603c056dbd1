"""Counts exactly once: what its tasks earn is added up in `self.state`, however often the scheduler is killed and started again.

    mesostic run examples/counting/counting.toml

Two other ways to count are there to be compared: an attribute forgets what an earlier run has counted, and a file, to which
the hook appends a line, has a line too many for each outcome that is told twice. With a store, that is each for which the process
dies between the hook and the record that it was called.
"""

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path

from mesostic import Executor, Registered, RetryPolicy, SchedulerActor, TaskFinished, message, setting, task


@message
class Earn:
    """What a task is given: how much it earns, and how many seconds that takes."""

    amount: int
    seconds: float


@message(name="counting:Sum")
class Sum:
    """What the scheduler keeps."""

    outcomes: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class CountingSettings:
    """`[scheduler]`."""

    tasks: int = setting(100, help="How many tasks to launch.")
    seconds: float = setting(0.2, help="How long each takes.", unit="seconds")
    book: str = setting("counting.book", help="File with a line for each outcome.", unit="path")


class CountingExecutor(Executor):
    """Earns what it is told to."""

    @task
    async def earn(self, earn: Earn) -> int:
        await asyncio.sleep(earn.seconds)
        return earn.amount


class Counting(SchedulerActor):
    """Adds up what its tasks have earned."""

    Settings = CountingSettings
    settings: CountingSettings
    state = Sum()

    def on_start(self) -> None:
        self._counted = 0  # in this run

    def on_registered(self, event: Registered) -> None:
        """Launch the tasks, each of which earns one more than the one before."""
        retry = RetryPolicy(backoff=0.1, losses=1000)
        for number in range(self.settings.tasks):
            self.launch(Earn(number, self.settings.seconds), cpus=0.1, mem=8, retry=retry)

    def on_task_finished(self, done: TaskFinished) -> None:
        """Count in all three ways."""
        self._counted += 1
        append(Path(self.settings.book), done.task_id)
        self.state = replace(
            self.state, outcomes=self.state.outcomes + 1, amount=self.state.amount + done.result
        )
        self.end_if_all_are_counted()

    def on_reregistered(self, event: Registered) -> None:
        """Nothing is left to do where the run before died between its last count and its end."""
        self.end_if_all_are_counted()

    def end_if_all_are_counted(self) -> None:
        """Say what each way has come to; the framework's records, the state among them, end with it."""
        if self.state.outcomes < self.settings.tasks:
            return
        lines = len(Path(self.settings.book).read_text(encoding="utf-8").splitlines())
        print(f"self.state has {self.state.outcomes:,} outcomes that earned {self.state.amount:,}")
        print(f"an attribute has {self._counted:,}, the file {lines:,}")
        self.finish(0)


def append(path: Path, line: str) -> None:
    """Add a line in one piece, which is there whatever happens to this process."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)
