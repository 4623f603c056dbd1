"""Hello world: a task for each name, run by an executor on the cluster; the framework ends when all have been greeted."""

from dataclasses import dataclass

from mesostic import Executor, Registered, SchedulerActor, TaskFinished, message, setting, task


@message
class Greet:
    """What a task is given: messages are frozen, and travel as msgpack."""

    name: str


class HelloExecutor(Executor):
    """Runs on the agents, in a process of its own."""

    @task
    async def greet(self, greet: Greet) -> str:
        """Run one task; what it returns travels back in the task's last status update."""
        return f"Hello, {greet.name}!"


@dataclass(frozen=True)
class HelloSettings:
    """The keys of [scheduler] in hello.toml."""

    names: tuple[str, ...] = setting(("world",), help="Whom to greet.")


class HelloScheduler(SchedulerActor):
    """Runs here: launches the tasks, and hears of every result."""

    Settings = HelloSettings

    def on_registered(self, event: Registered) -> None:
        """Launch the tasks: the master has accepted the framework."""
        for name in self.settings.names:
            self.launch(Greet(name), cpus=0.1, mem=32)
        self.finish_when_done()  # without this, the framework would wait for more to do

    def on_task_finished(self, done: TaskFinished) -> None:
        """Print what a task returned."""
        print(done.result)
