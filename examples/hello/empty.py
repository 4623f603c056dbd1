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

    def on_start(self) -> None:
        self._began = self.clock.now()
        self._ended = self._failed = 0  # in this run: an earlier one with the same store may have been killed

    def on_registered(self, event: object) -> None:
        for _ in range(self.settings.tasks):
            self.launch(Nothing(), executor="empty", cpus=self.settings.cpus, mem=self.settings.mem)
        self.finish_when_done()

    def on_task_finished(self, done: object) -> None:
        self._one_less()

    def on_task_failed(self, failed: object) -> None:
        self._failed += 1
        self._one_less()

    def _one_less(self) -> None:
        self._ended += 1
        if not self.active_tasks:
            seconds = self.clock.now() - self._began
            rate = self._ended / seconds
            print(
                f"{self._ended:,} empty tasks in {seconds:.2f} s: {rate:,.0f} a second, {self._failed:,} failed"
            )
