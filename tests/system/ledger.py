"""A framework that keeps books: what each task did is on disk, and so is what its scheduler was told of each.

Run as users run theirs (`mesostic run ledger.toml`); the tests compare both books. Of ten tasks one fails at every attempt,
and one is a shell command. Everything else the tests want is a setting.
"""

import asyncio
import base64
import json
import os
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesostic import (
    Executor,
    RetryPolicy,
    SchedulerActor,
    TaskContext,
    TaskFailed,
    TaskFinished,
    message,
    setting,
    task,
)

FAILING, COMMAND = 7, 3


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    folder: str = setting("", help="Where the books are kept.", unit="path")
    tasks: int = setting(100, help="How many tasks.")
    commands: int = setting(3, help="How many of them are commands.")
    gated: bool = setting(False, help="Whether tasks wait for the file `gate` before they end.")
    garbage: bool = setting(False, help="Whether executors send garbage.")
    raising: bool = setting(False, help="Whether each hook raises when it has done its work.")
    unreachable_timeout: float = setting(600.0, help="As of `launch`.")


@message
class Work:
    number: int
    folder: str
    gated: bool
    garbage: bool


@message
class Done:
    number: int


def write_line(path: Path, line: str) -> None:
    """One write, which is there whatever happens to this process afterwards."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


class LedgerExecutor(Executor):
    @task
    async def work(self, work: Work, context: TaskContext) -> Done:
        folder = Path(work.folder)
        write_line(folder / "effects", f"{work.number} {os.getpid()}")
        if work.garbage:
            await asyncio.to_thread(send_garbage, context.task_id, final=work.number % 10 == FAILING)
        while work.gated and not (folder / "gate").exists():
            await asyncio.sleep(0.02)
        if work.number % 10 == FAILING:
            raise TaskFailed(f"{work.number} always fails")
        return Done(work.number)


def send_garbage(task_id: str, *, final: bool) -> None:
    """What an executor in another language might send: bytes that are no message of ours."""
    garbage = base64.b64encode(b"\xff\x00garbage\xc1").decode()
    status = {
        "task_id": {"value": task_id},
        "state": "TASK_FINISHED" if final else "TASK_RUNNING",
        "source": "SOURCE_EXECUTOR",
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        "data": garbage,
    }
    for call in (
        {"type": "MESSAGE", "message": {"data": garbage}},
        {"type": "UPDATE", "update": {"status": status}},
    ):
        body = {
            "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
            **call,
        }
        url = f"http://{os.environ['MESOS_AGENT_ENDPOINT']}/api/v1/executor"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        urllib.request.urlopen(request, timeout=10).close()


class Ledger(SchedulerActor):
    Settings = LedgerSettings

    def on_registered(self, event: object) -> None:
        known = self.told()
        for number in range(self.settings.tasks):
            if f"t-{number}" not in known:
                try:
                    self.launch_one(number)
                except ValueError:
                    pass  # taken over from an earlier run
        self.end_if_all_are_told()
        self.perhaps_raise()

    def launch_one(self, number: int) -> None:
        folder, common = self.settings.folder, dict(self.common(), task_id=f"t-{number}")
        if number % 10 == COMMAND and number // 10 < self.settings.commands:
            self.launch(command=f"echo {number} $$ >> {folder}/effects", **common)
        else:
            self.launch(Work(number, folder, self.settings.gated, self.settings.garbage), **common)

    def common(self) -> dict[str, Any]:
        return {
            "cpus": 0.05,
            "mem": 8,
            "retry": RetryPolicy(attempts=2, backoff=0.05, losses=50, cap=0.5),
            "launch_timeout": 1.0,
            "unreachable_timeout": self.settings.unreachable_timeout,
        }

    def on_task_finished(self, done: TaskFinished) -> None:
        right = not done.executor or done.result.number == done.payload.number
        self.tell_book("finished" if right else "wrong", done.task_id)

    def on_task_failed(self, failed) -> None:
        self.tell_book("failed", failed.task_id, failed.message)

    def on_task_killed(self, killed) -> None:
        self.tell_book("killed", killed.task_id)

    def on_disconnected(self, event: object) -> None:
        self.perhaps_raise()

    def on_reregistered(self, event: Any) -> None:
        write_line(Path(self.settings.folder) / "notes", "reregistered")
        if not self.active_tasks or event.resumed or not self.told():
            self.on_registered(event)

    def on_elected(self, event: Any) -> None:
        write_line(
            Path(self.settings.folder) / "notes", f"elected {event.epoch} {os.getpid()} {event.resumed}"
        )

    def on_deposed(self, event: Any) -> None:
        write_line(Path(self.settings.folder) / "notes", f"deposed {event.epoch} {os.getpid()}")

    def on_error(self, message: str) -> None:
        write_line(Path(self.settings.folder) / "notes", message)
        self.perhaps_raise()

    def on_unknown_task(self, status) -> None:
        write_line(Path(self.settings.folder) / "notes", f"unknown {status.task_id} {status.state}")

    def tell_book(self, *words: str) -> None:
        write_line(Path(self.settings.folder) / "told", " ".join(words))
        self.end_if_all_are_told()
        self.perhaps_raise()

    def told(self) -> set[str]:
        book = Path(self.settings.folder) / "told"
        return {line.split()[1] for line in book.read_text().splitlines()} if book.exists() else set()

    def end_if_all_are_told(self) -> None:
        if len(self.told()) == self.settings.tasks:
            self.finish(0)

    def perhaps_raise(self) -> None:
        if self.settings.raising:
            raise RuntimeError("a mistake of the author")
