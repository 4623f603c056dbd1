"""What an author of an executor writes with: the base class, `@task`, the context of a task, and how to fail.

An executor is one process on an agent, shared by the tasks that it is given, several at a time.
"""

import asyncio
import inspect
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from actors.runtime import NoSettings, message
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, TaskId
from wire.author_code import mistake_in_hook, one_line

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__mesostic_task__"


class TaskFailed(Exception):  # noqa: N818 - what an author says
    """Raised by a task to fail with exactly this message, without a traceback in the log.

    Args:
        message: One line for whoever looks at the task.
        retry: False when trying again cannot help; the framework does not start it again then.
    """

    def __init__(self, message: str, *, retry: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.retry = retry


class BadExecutor(Exception):  # noqa: N818 - the name of what is wrong
    """An executor class that cannot be used; the message is one sentence for its author."""


@message(name="mesostic:Registration")
class Registration:
    """What an executor learns when an agent has taken its subscription.

    Attributes:
        hostname: of the agent, as its operator calls it.
        framework: its name.
        container_id: of the container that the executor runs in; "" with an agent that does not say.
    """

    agent_id: AgentId
    hostname: str
    framework_id: FrameworkId
    framework: str
    executor_id: ExecutorId
    container_id: str = ""


class Executor:
    """Base of an author's executor.

    Subclass it, and mark one method for each type of payload with `@task`. The methods run on one event loop, as
    coroutines; plain functions run in a thread each. What a method returns travels to the scheduler in the task's last,
    acknowledged status update; what it raises becomes TASK_FAILED.

    Attributes:
        Settings: A frozen dataclass with defaults; its values come from the framework's configuration.
        settings: An instance of it (not yet there in ``__init__``: use `on_start`).
        sandbox: The executor's working directory on the agent.
    """

    Settings: ClassVar[type] = NoSettings
    settings: Any
    sandbox: Path
    framework_id: FrameworkId
    executor_id: ExecutorId
    agent_id: AgentId
    _send: Callable[[object, bool], None]

    async def on_start(self) -> None:
        """Called once, before the first task is started; tasks wait for it.

        Raising fails them all with what was raised, and the executor ends.
        """

    async def on_stop(self) -> None:
        """Called once at the end, when no task runs any more; the shutdown grace period bounds it."""

    async def on_registered(self, info: Registration) -> None:
        """Called once, after `on_start`: the agent has taken this executor. Tasks do not wait for it.

        What this and the hooks that follow raise is logged, and changes nothing.
        """

    async def on_reregistered(self, info: Registration) -> None:
        """Called when the agent is back: it has been restarted, or the connection to it broke. Tasks have gone on meanwhile.

        What the agent had not acknowledged, it has been told again.
        """

    async def on_disconnected(self, reason: str) -> None:
        """Called when the agent is gone; it is looked for until its recovery timeout is over, and tasks go on."""

    async def on_shutdown(self, reason: str) -> None:
        """Called when the end is decided: SHUTDOWN, a signal, an agent that does not come back. Tasks are being killed.

        `on_stop` follows when they have ended, and this shares its time.
        """

    async def on_error(self, message: str) -> None:
        """Called when something is wrong that no task shows: the agent said ERROR, or refuses or sends what makes no sense."""

    async def on_message(self, message: Any) -> None:
        """Called for each message that the scheduler sends to this executor, one after another.

        Messages are best effort, and Mesos may lose them, unless they are sent with `reliable=True`: those come once and in
        order. What this raises is logged.
        """

    def send(self, message: object, *, reliable: bool = False) -> None:
        """Send a message to the framework's scheduler, best effort (results belong in what a task returns).

        With `reliable` it is repeated until the scheduler's author has had it, once and after those before it, as long as
        this process lives.

        ValueError: it cannot be packed, or is larger than the scheduler reads; or, with `reliable`, too many wait already, or
        the scheduler acknowledges none.
        """
        self._send(message, reliable)


@dataclass(frozen=True, slots=True)
class Upload:
    """Where an upload ended up."""

    name: str  # on the framework's server
    url: str  # where it can be fetched
    size: int  # bytes


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class TaskContext(ABC):
    """The context of one running task.

    Attributes:
        task_id: Its id.
        name: Its name, as the scheduler gave it.
        labels: Its labels; a label without a value has "".
        sandbox: The executor's working directory (shared with the executor's other tasks).
        ports: The ports that it was launched with (`launch(ports=…)`), lowest first; nobody else on the agent has them.
    """

    task_id: TaskId
    name: str
    labels: tuple[tuple[str, str], ...]
    sandbox: Path
    ports: tuple[int, ...] = ()
    _loop: asyncio.AbstractEventLoop = field(init=False, default_factory=asyncio.get_running_loop)

    def __repr__(self) -> str:
        return f"TaskContext({self.task_id!r})"

    @property
    @abstractmethod
    def killed(self) -> bool:
        """Whether the task is to end: a coroutine is cancelled anyway, a plain function looks here and returns."""

    @abstractmethod
    def send(self, message: object, *, reliable: bool = False) -> None:
        """Send a message to the framework's scheduler, best effort: Mesos may lose it. From any thread.

        With `reliable` it is repeated until the scheduler's author has had it; see `Executor.send`, also after the task's end.

        ValueError: it cannot be packed (it is no `@message` class), or is larger than the scheduler reads; or, with `reliable`,
        too many wait already, the scheduler acknowledges none, or the task has ended.
        """

    @abstractmethod
    def progress(self, message: object) -> None:
        """Report how far the task is: a TASK_RUNNING update, acknowledged like any other. From any thread.

        Text becomes the update's message; a `@message` instance its data. At most one update a second is sent, with
        the newest of what was reported.
        """

    async def upload(
        self, name: str, source: bytes | Path, content_type: str = "application/octet-stream"
    ) -> Upload:
        """Upload bytes, or a file (streamed), to the framework's server; tried again when the network fails.

        Args:
            name: What it is called there: letters, digits, ``.``, ``_``, ``-`` and ``/``.

        Raises:
            TaskFailed: The server refuses it (too large, a bad name), or could not be reached for long.
        """
        if not isinstance(source, bytes | Path):
            raise TypeError(
                f"upload(name, source): the source is bytes, or a pathlib.Path for a file, and not {type(source).__name__}"
            )
        return await self._upload(name, source, content_type)

    @abstractmethod
    async def _upload(self, name: str, source: bytes | Path, content_type: str) -> Upload: ...

    def upload_blocking(
        self, name: str, source: bytes | Path, content_type: str = "application/octet-stream"
    ) -> Upload:
        """`upload` for plain functions, which run in a thread; in a coroutine it would wait for ever: RuntimeError."""
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "upload_blocking waits for the loop that calls it: in a coroutine, use await context.upload(…)"
            )
        request = self.upload(name, source, content_type)
        return asyncio.run_coroutine_threadsafe(request, self._loop).result()


def task(method: F) -> F:
    """Mark the method that runs tasks with a certain type of payload.

    The type is read from the annotation of the first argument (a class, or a union of classes); an argument
    annotated with `TaskContext` gets the task's context. A method without a payload runs tasks that carry none; one
    whose payload is ``bytes`` gets data that is no message of ours as it is.
    """
    if not callable(method):
        raise TypeError("@task belongs on a method; put it next to the def (below @staticmethod and others)")
    setattr(method, _MARK, True)
    return method


@dataclass(frozen=True, slots=True)
class TaskMethod:
    """One `@task` method."""

    name: str
    payload: str | None  # name of the payload's parameter, if it takes one
    context: str | None  # name of the context's parameter, if it takes one
    in_thread: bool  # it is a plain function

    def bind(self, executor: Executor, payload: object, context: TaskContext) -> Callable[[], Any]:
        """The call that runs a task."""
        given = {self.payload: payload, self.context: context}
        return partial(getattr(executor, self.name), **{name: each for name, each in given.items() if name})


def task_methods(cls: type[Executor]) -> dict[type, TaskMethod]:
    """The `@task` methods of a class by their type of payload (``NoneType``: none); BadExecutor says what is wrong."""
    found: dict[type, TaskMethod] = {}
    for name in dir(cls):
        function = inspect.getattr_static(cls, name, None)
        if not getattr(function, _MARK, False):
            continue
        for kind, method in _read_method(cls, name, function):
            if kind in found:
                raise BadExecutor(
                    f"{cls.__name__}.{found[kind].name} and {cls.__name__}.{name} both run {_name(kind)} tasks"
                )
            found[kind] = method
    if not found:
        raise BadExecutor(
            f"{cls.__name__} has no @task method: write one for each type of payload, "
            "such as `@task async def crawl(self, page: Crawl) -> Crawled`"
        )
    for name in (each for each in vars(Executor) if each.startswith("on_")):
        if mistake := mistake_in_hook(getattr(cls, name), getattr(Executor, name)):
            raise BadExecutor(f"{cls.__name__}.{name} {mistake}")
    return found


def _read_method(cls: type, name: str, function: Any) -> list[tuple[type, TaskMethod]]:
    where = f"@task {cls.__name__}.{name}"
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise BadExecutor(f"{where}: {error}; import what the annotations name") from None
    except Exception as error:
        raise BadExecutor(f"{where}: its annotations cannot be read: {one_line(error)}") from None
    payload: str | None = None
    context: str | None = None
    kinds: list[type] = [type(None)]
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        hint = hints.get(parameter.name)
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            raise BadExecutor(f"{where}: takes a payload and a TaskContext, not {parameter}")
        if hint is TaskContext and not context:
            context = parameter.name
        elif payload or hint is TaskContext:
            raise BadExecutor(
                f"{where}: has one argument too many ({parameter.name}): it takes a payload and a TaskContext"
            )
        elif hint is None:
            raise BadExecutor(f"{where}: its payload {parameter.name!r} has no annotation that says its type")
        else:
            payload = parameter.name
            kinds = _classes(hint, where)
    in_thread = not inspect.iscoroutinefunction(function)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise BadExecutor(
            f"{where}: is a generator; return the result, and use TaskContext.send for what comes before"
        )
    return [(kind, TaskMethod(name, payload, context, in_thread)) for kind in kinds]


def _classes(hint: Any, where: str) -> list[type]:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return [cls for part in typing.get_args(hint) for cls in _classes(part, where)]
    if isinstance(hint, type):
        return [hint]
    raise BadExecutor(f"{where}: the payload's type {hint!r} is not a class")


def _name(kind: type) -> str:
    return "payload-less" if kind is type(None) else kind.__name__
