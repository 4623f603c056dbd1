"""Empty tasks: launches many tasks that do nothing, and says how many a second came through.

    mesostic run examples/hello/empty.toml --set scheduler.tasks=2000

Each takes the whole way: demand, offer, accept, launch, running, finished, acknowledged.
"""

from dataclasses import dataclass

from mesostic import Executor, SchedulerActor, message, setting, task


@message
class Nothing:
    """What a task is given, and what it returns."""


@dataclass(frozen=True, slots=True)
class EmptySettings:
    """`[scheduler]`."""

    tasks: int = setting(1_000, help="How many tasks to launch.")
    cpus: float = setting(0.01, help="CPUs of each.")
    mem: float = setting(1.0, help="Memory of each.", unit="MB")


class EmptyExecutor(Executor):
    """Does nothing, quickly."""

    @task
    async def nothing(self, nothing: Nothing) -> Nothing:
        return nothing


class EmptyScheduler(SchedulerActor):
    """Launches everything at once, and lets the broker queue it."""

    Settings = EmptySettings
    settings: EmptySettings

    def on_registered(self, event: object) -> None:
        self._left = self.settings.tasks
        self._failed = 0
        self._started = self.clock.now()
        for _ in range(self._left):
            self.launch(Nothing(), executor="empty", cpus=self.settings.cpus, mem=self.settings.mem)

    def on_task_finished(self, done: object) -> None:
        self._one_less()

    def on_task_failed(self, failed: object) -> None:
        self._failed += 1
        self._one_less()

    def _one_less(self) -> None:
        self._left -= 1
        if self._left == 0:
            seconds, tasks = self.clock.now() - self._started, self.settings.tasks
            rate = tasks / seconds
            print(f"{tasks:,} empty tasks in {seconds:.2f} s: {rate:,.0f} a second, {self._failed:,} failed")
            self.finish(1 if self._failed else 0)
