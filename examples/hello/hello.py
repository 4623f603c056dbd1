"""Hello world: three tasks, each greets somebody, and the framework ends when all have.

mesostic run examples/hello/hello.toml
"""

from mesostic import Executor, SchedulerActor, TaskFinished, message, task


@message
class Greet:
    """What a task is given."""

    name: str


class HelloExecutor(Executor):
    """Runs on the agents."""

    @task
    async def greet(self, greet: Greet) -> Greet:
        """One task; what it returns travels back in its last status update."""
        return Greet(f"Hello, {greet.name}!")


class HelloScheduler(SchedulerActor):
    """Runs here."""

    def on_registered(self, event: object) -> None:
        """The cluster has taken us in."""
        for name in ("Mesos", "actors", "world"):
            self.launch(Greet(name), executor="hello")
        self.finish_when_done()

    def on_task_finished(self, done: TaskFinished) -> None:
        """A task has come to its end; its actor is gone by now."""
        print(done.result.name)
