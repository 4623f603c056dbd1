"""The framework of a chaos run, which keeps books on disk: what its executors did, and what its scheduler was told.

Each is a line in one write, which is there however its process ends. `effects`: number, Mesos task id, token, process of what ran;
the token is drawn by what ran, and is the result. `told`: the outcome of a task, with the token. `heard`: the reliable
messages of executors, each with the process that said it and which one of its messages it is. `notes`: what should not happen, and what the
framework knows of itself at the end.

Of the tasks some always fail, some are commands, some are killed; half are launched by the hooks that are told of the others.
"""

import asyncio
import contextlib
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mesostic import (
    Executor,
    RetryPolicy,
    SchedulerActor,
    TaskContext,
    TaskFailed,
    message,
    receive,
    setting,
    task,
)

FAILING, KILLED, COMMAND = 7, 5, 3
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class BooksSettings:
    folder: str = setting("", help="Where the books are kept.", unit="path")
    tasks: int = setting(2000, help="How many tasks.")
    longest: float = setting(0.5, help="The longest that a task takes.", unit="seconds")


@message
class Work:
    number: int
    folder: str
    seconds: float


@message
class Done:
    number: int
    token: str


@message
class Said:
    process: str
    number: int


@message
class Tally:
    outcomes: int = 0
    messages: int = 0


@message
class LookForEnd:
    """Whoever runs the chaos may have asked for the end by now."""


def kind_of(number: int) -> str:
    """What a task is: "failing", "killed", "command" or "plain"."""
    if number % 10 == FAILING:
        return "failing"
    if number % 20 == KILLED:
        return "killed"
    return "command" if number % 100 == COMMAND else "plain"


def write_line(path: Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


class BooksExecutor(Executor):
    async def on_start(self) -> None:
        self.process, self.said = uuid.uuid4().hex, 0

    @task
    async def work(self, work: Work, context: TaskContext) -> Done:
        token = uuid.uuid4().hex
        write_line(Path(work.folder) / "effects", f"{work.number} {context.task_id} {token} {os.getpid()}")
        if work.number % 4 == 0:
            with contextlib.suppress(ValueError):  # the scheduler is away for so long that no more may wait
                self.send(Said(self.process, self.said + 1), reliable=True)
                self.said += 1
        await asyncio.sleep(work.seconds)
        if kind_of(work.number) == "failing":
            raise TaskFailed(f"{work.number} always fails")
        return Done(work.number, token)


class Books(SchedulerActor):
    Settings = BooksSettings
    state = Tally()

    def on_start(self) -> Any:
        self.timers.after(LOOK_SECONDS, LookForEnd())
        return super().on_start()

    def on_registered(self, event: object) -> None:
        for number in range(self.settings.tasks // 2):
            self.launch_one(number)

    def launch_one(self, number: int) -> None:
        folder, kind = self.settings.folder, kind_of(number)
        common: dict[str, Any] = {
            "task_id": f"t-{number}",
            "cpus": 0.1,
            "mem": 8,
            "retry": RetryPolicy(attempts=2 if kind == "failing" else 30, backoff=0.05, losses=100, cap=0.5),
            "launch_timeout": 1.0,
            "unreachable_timeout": 1.0,
        }
        try:
            if kind == "command":
                book = f'echo "{number} $MESOS_EXECUTOR_ID $(cat /proc/sys/kernel/random/uuid) $$"'
                self.launch(command=f"{book} >> {folder}/effects", **common)
            else:
                # two to the number's bits: as good as random, and the same in each run
                share = (number * 2654435761 % 997) / 997
                seconds = 2.0 if kind == "killed" else self.settings.longest * share
                self.launch(Work(number, folder, seconds), **common)
        except (
            ValueError
        ) as error:  # each is launched by one hook, which is told with what it launched, or not at all
            self.note(f"refused {error}")

    def on_task_update(self, update: Any) -> None:
        if kind_of(int(update.task_id[2:])) == "killed" and update.state == "TASK_RUNNING":
            self.kill(update.task_id)

    def on_task_finished(self, done: Any) -> None:
        self.tell_book("finished", done.task_id, done.result.token if done.executor else "-")

    def on_task_failed(self, failed: Any) -> None:
        self.tell_book("failed", failed.task_id, "-", failed.message)

    def on_task_killed(self, killed: Any) -> None:
        self.tell_book("killed", killed.task_id, "-")

    def tell_book(self, outcome: str, task_id: str, token: str, why: str = "") -> None:
        write_line(Path(self.settings.folder) / "told", " ".join((outcome, task_id, token, *why.split())))
        self.state = replace(self.state, outcomes=self.state.outcomes + 1)
        number = int(task_id[2:]) + self.settings.tasks // 2
        if number < self.settings.tasks:
            self.launch_one(number)

    def on_message(self, message: Any, source: Any) -> None:
        write_line(Path(self.settings.folder) / "heard", f"{message.process} {message.number} {os.getpid()}")
        self.state = replace(self.state, messages=self.state.messages + 1)

    def on_unknown_task(self, status: Any) -> None:
        self.note(f"unknown {status.task_id} {status.state.value}")

    def on_error(self, message: str) -> None:
        self.note(f"error {' '.join(message.split())}")

    def note(self, line: str) -> None:
        write_line(Path(self.settings.folder) / "notes", line)

    def leave_notes(self) -> None:
        self.note(f"active {sum(self.active_tasks.values())}")
        self.note(f"counted {self.state.outcomes}")
        self.note(f"messages {self.state.messages}")

    @receive
    def handle_look_for_end(self, _due: LookForEnd) -> None:
        if (Path(self.settings.folder) / "end").exists() and self.framework_id is not None:
            self.leave_notes()
            self.finish(0)
        else:
            self.timers.after(LOOK_SECONDS, LookForEnd())
