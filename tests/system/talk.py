"""A framework that talks: its scheduler counts aloud to an executor, which repeats each number; both write down what they hear.

The scheduler is always so many numbers ahead of what it has heard, so the talk goes on until all is said, whatever happens meanwhile.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesostic import Executor, RetryPolicy, SchedulerActor, TaskContext, message, setting, task


@dataclass(frozen=True, slots=True)
class TalkSettings:
    folder: str = setting("", help="Where the books are kept.", unit="path")
    tasks: int = setting(200, help="How many numbers.")
    ahead: int = setting(10, help="How many at once.")


@message
class Listen:
    folder: str


@message
class Word:
    number: int
    folder: str


def write_line(path: Path, line: str) -> None:
    """One write, which is there whatever happens to this process afterwards."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


class TalkExecutor(Executor):
    async def on_message(self, word: Word) -> None:
        write_line(Path(word.folder) / "executor", f"{word.number} {os.getpid()}")
        self.send(word, reliable=True)

    @task
    async def listen(self, work: Listen, context: TaskContext) -> None:
        context.send(Word(0, work.folder), reliable=True)
        write_line(Path(work.folder) / "effects", f"0 {os.getpid()}")
        while not (Path(work.folder) / "over").exists():
            await asyncio.sleep(0.05)


class Talk(SchedulerActor):
    Settings = TalkSettings

    def on_registered(self, event: object) -> None:
        retry = RetryPolicy(attempts=50, backoff=0.05, losses=50, cap=0.5)
        self.launch(Listen(self.settings.folder), task_id="listen", retry=retry)

    def on_message(self, word: Word, source: Any) -> None:
        folder, most = Path(self.settings.folder), self.settings.tasks
        write_line(folder / "scheduler", f"{word.number} {source.executor_id}")
        first = word.number + self.settings.ahead if word.number else 1
        for number in range(first, min(word.number + self.settings.ahead, most) + 1):
            self.send_message(
                source.agent_id, source.executor_id, Word(number, self.settings.folder), reliable=True
            )
        if word.number == most:
            (folder / "over").touch()

    def on_message_undelivered(self, word: Word, target: Any, reason: str) -> None:
        write_line(Path(self.settings.folder) / "undelivered", f"{word.number} {reason}")

    def on_task_finished(self, done: Any) -> None:
        self.finish()
