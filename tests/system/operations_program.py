"""A framework that reserves, makes a volume, runs a task on a volume and gives all back, and dies where it is told to: at the nth thing that it stores or sends.

`python -m tests.system.operations_program MASTER STORE DIE_AT`. Ends with 0 when nothing is left, with 77 where it died, and prints how many
such points it has passed.
"""

import asyncio
import os
import sys
from typing import Any

from actors.composition import ActorSpec, Composition, run
from actors.connection.calls import Outbox
from actors.connection_actor import ConnectionActor, ConnectionSettings
from actors.framework_settings import FrameworkSettings, RetryPolicy, Volume
from actors.scheduler_actor import SchedulerActor
from actors.store.backends import SqliteBackend
from actors.store_actor import StoreActor, StoreSettings

DIED = 77


class Points:
    """Counts what is stored and sent; dies before or after the nth."""

    def __init__(self, die_at: int) -> None:
        self.die_at, self.passed = die_at, 0

    def watch(self, cls: type, name: str) -> None:
        original = getattr(cls, name)

        def watched(*arguments: Any) -> Any:
            self.passed_one()
            result = original(*arguments)
            self.passed_one()
            return result

        setattr(cls, name, watched)

    def passed_one(self) -> None:
        self.passed += 1
        if self.passed == self.die_at:
            os._exit(DIED)


class Operating(SchedulerActor):
    """Also after a restart it goes on with what there is, and ends when there is nothing."""

    def on_registered(self, event: Any) -> None:
        self.reserve(cpus=0.5, mem=32)
        self.create_volume(size=100, path="data")
        self.launch(
            command="echo $$ >> kept/log; test $(wc -l < kept/log) -ge 2",
            cpus=0.1,
            mem=10,
            volume=Volume(size=20, path="kept"),
            retry=RetryPolicy(attempts=9, backoff=0.01),
        )

    def on_task_finished(self, done: Any) -> None:
        self.end_if_all_is_free()

    def on_task_failed(self, failed: Any) -> None:
        self.finish(1, f"{failed.task_id}: {failed.message}")

    def on_reregistered(self, event: Any) -> None:
        self.end_if_all_is_free()

    def on_operation_finished(self, done: Any) -> None:
        if done.kind == "reserve":
            self.unreserve(done.holding_id)
        elif done.kind == "create_volume":
            self.grow_volume(done.holding_id, by=50)
        elif done.kind == "grow_volume":
            self.destroy_volume(done.holding_id)
        self.end_if_all_is_free()

    def on_operation_failed(self, failed: Any) -> None:
        self.finish(1, f"{failed.operation_id}: {failed.message}")

    def end_if_all_is_free(self) -> None:
        if not self.active_operations and not self.active_tasks:
            left = [each.holding_id for each in self.holdings if each.task_id is None]
            self.finish(1 if left else 0, f"left: {left}")


def main(master: str, store: str, die_at: str) -> int:
    points = Points(int(die_at))
    points.watch(SqliteBackend, "commit")
    points.watch(Outbox, "post")
    framework = FrameworkSettings(name="t", user="root", master=master, roles=("ads",), principal="ops")
    actors = (
        ActorSpec("scheduler", Operating, None),
        ActorSpec("store", StoreActor, StoreSettings(store)),
        ActorSpec("connection", ConnectionActor, ConnectionSettings(backoff=0.02, backoff_cap=0.05)),
    )
    outcome = asyncio.run(run(Composition(framework, actors)))
    sys.stdout.write(f"{points.passed} {outcome.reason}\n")
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
