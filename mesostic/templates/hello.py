"""A first framework: one task for each name, and an executor that greets it."""

from dataclasses import dataclass

from mesostic import Executor, Registered, SchedulerActor, TaskFailure, TaskFinished, message, setting, task


@message
class Greet:
    """What a task is given."""

    name: str


@message
class Greeting:
    """What it returns."""

    text: str


class Greeter(Executor):
    """Runs on the agents, in processes of its own."""

    @task
    async def greet(self, greet: Greet) -> Greeting:
        """Run one task."""
        return Greeting(f"Hello, {greet.name}!")


@dataclass(frozen=True, slots=True)
class HelloSettings:
    """The keys of [scheduler] in hello.toml."""

    names: tuple[str, ...] = setting(("Ada", "Grace"), help="Whom to greet.")


class HelloScheduler(SchedulerActor):
    """Launches the tasks and ends when the last one has."""

    Settings = HelloSettings

    def on_registered(self, event: Registered) -> None:
        """The master knows us: launch everything."""
        for name in self.settings.names:
            self.launch(Greet(name), executor="greeter", cpus=0.1, mem=32)
        self.finish_when_done()  # without this the framework would wait for more to do

    def on_task_finished(self, done: TaskFinished) -> None:
        """A result has arrived."""
        print(done.result.text)  # noqa: T201

    def on_task_failed(self, failed: TaskFailure) -> None:
        """A task has failed in all its attempts; the log says why."""
        print(f"{failed.payload.name} was not greeted")  # noqa: T201
