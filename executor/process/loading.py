"""From ``module:Class`` to an author's executor, and from a TaskInfo to the method that runs it; each mistake said in one sentence."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.runtime import DecodeError, NoSettings, conceal_marked, unpack, unpack_value
from executor.author import BadExecutor, Executor, TaskContext, TaskMethod, task_methods
from executor.messages import RefuseTask
from executor.task_actor import Assignment
from mesos_v1 import pb
from mesos_v1.values import NANOS, TaskId
from wire.author_code import one_line

DEFAULT_KILL_GRACE = 3.0
"""Seconds that a killed task gets when nobody says otherwise (DEFAULT_KILL_POLICY_GRACE_PERIOD of Mesos)."""


@dataclass(frozen=True, slots=True)
class LoadedExecutor:
    """An author's executor, made and ready to be started."""

    instance: Executor
    methods: dict[type, TaskMethod]

    def method_for(self, payload: object) -> TaskMethod | None:
        """The method that runs tasks with such a payload: by its class, else by a base class."""
        for kind in type(payload).__mro__:
            if kind in self.methods and kind is not object:
                return self.methods[kind]
        return None


def load(name: str, *, settings: bytes = b"", modules: tuple[str, ...] = ()) -> LoadedExecutor:
    """Import the class and make it, with its settings.

    Args:
        name: ``module:Class``.
        settings: Packed by the codec; empty for the defaults.
        modules: To be imported too: they declare the types of payloads.

    Raises:
        BadExecutor: One sentence that says what is wrong, and how to mend it.
    """
    for module in modules:
        _import(module, name)
    cls = find_class(name)
    methods = task_methods(cls)
    try:
        instance = cls()
    except BaseException as error:
        raise BadExecutor(
            f"{name} cannot be made: {one_line(error)} (use on_start for what needs settings)"
        ) from error
    instance.settings = _settings(cls, settings, name)
    return LoadedExecutor(instance, methods)


def find_class(name: str) -> type[Executor]:
    """Import a class by ``module:Class``.

    Raises:
        BadExecutor: There is no such class, or it is not an `Executor`.
    """
    module_name, colon, class_name = name.partition(":")
    if not colon or not module_name or not class_name:
        raise BadExecutor(
            f"{name!r} names no executor class: write module:Class, such as crawler.executors:Crawl"
        )
    module = _import(module_name, name)
    found: Any = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if found is None:
        candidates = sorted(
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, Executor) and value is not Executor
        )
        hint = f"; it has {', '.join(candidates)}" if candidates else ""
        raise BadExecutor(f"the module {module_name} has no class {class_name}{hint}")
    if not isinstance(found, type) or not issubclass(found, Executor):
        raise BadExecutor(
            f"{name} is not an executor: write class {class_name}(Executor), from mesostic import Executor"
        )
    return found


def _import(module: str, wanted: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(f"{missing}."):
            mend = "add the package to the executor's `packages`, so that agents get it"
        else:
            mend = (
                f"{module} imports it; install it for {sys.executable} on the agents, or add it to `packages`"
            )
        raise BadExecutor(f"{wanted} cannot be imported: there is no module {missing!r}; {mend}") from error
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}"
        raise BadExecutor(f"{wanted} cannot be imported: {error.msg} ({where})") from error
    except BaseException as error:
        raise BadExecutor(f"{wanted} cannot be imported: {module} raises {one_line(error)}") from error


def _settings(cls: type[Executor], packed: bytes, name: str) -> Any:
    kind = getattr(cls, "Settings", NoSettings)
    try:
        settings = unpack_value(kind, packed) if packed else kind()
    except (DecodeError, TypeError, ValueError) as error:
        raise BadExecutor(f"the settings of {name} do not fit {kind.__name__}: {one_line(error)}") from error
    conceal_marked(settings)
    return settings


def assign(
    info: pb.mesos.TaskInfo, loaded: LoadedExecutor | None, *, foreign: bool
) -> tuple[Assignment, RefuseTask | None]:
    """Say what a task is, and why it cannot be run, if it cannot.

    Args:
        loaded: The author's executor; None when it could not be made (its tasks are refused elsewhere).
        foreign: The scheduler is not one of ours.
    """
    payload, cause, raw, refusal = _payload(info, loaded, foreign=foreign)
    method: TaskMethod | None = None
    if loaded is not None and refusal is None:
        method = loaded.method_for(payload)
        if method is None:
            refusal = RefuseTask(_nobody_takes(payload, loaded), retry=False)
    function: Callable[[TaskContext], Callable[[], Any]] | None = None
    if loaded is not None and method is not None:
        bind, instance = method.bind, loaded.instance

        def function(context: TaskContext) -> Callable[[], Any]:
            return bind(instance, payload, context)

    assignment = Assignment(
        task_id=TaskId(info.task_id.value),
        name=info.name,
        labels=tuple((label.key, label.value) for label in info.labels.labels),
        function=function,
        in_thread=method is not None and method.in_thread,
        raw=raw,
        grace=_kill_grace(info),
        cause=cause,
        ports=_ports(info),
    )
    return assignment, refusal


def _payload(
    info: pb.mesos.TaskInfo, loaded: LoadedExecutor | None, *, foreign: bool
) -> tuple[object, str, bool, RefuseTask | None]:
    """The payload, the id of the message that it came in, whether it is bytes as they are, and what is wrong with it."""
    if not info.data:
        return None, "", foreign, None
    try:
        envelope = unpack(info.data)
    except DecodeError as error:
        if loaded is not None and bytes in loaded.methods:
            return info.data, "", True, None
        return None, "", foreign, RefuseTask(f"the task's data cannot be read: {error}", retry=False)
    return envelope.message, envelope.id, foreign, None


def _nobody_takes(payload: object, loaded: LoadedExecutor) -> str:
    what = "no payload" if payload is None else f"a payload of type {type(payload).__name__}"
    known = ", ".join(sorted("none" if kind is type(None) else kind.__name__ for kind in loaded.methods))
    return f"{type(loaded.instance).__name__} has no @task method for {what} (it has: {known})"


def _ports(info: pb.mesos.TaskInfo) -> tuple[int, ...]:
    ranges = (
        each for resource in info.resources if resource.name == "ports" for each in resource.ranges.range
    )
    return tuple(sorted({port for each in ranges for port in range(each.begin, each.end + 1)}))


def _kill_grace(info: pb.mesos.TaskInfo) -> float:
    if info.HasField("kill_policy") and info.kill_policy.HasField("grace_period"):
        return info.kill_policy.grace_period.nanoseconds / NANOS
    return DEFAULT_KILL_GRACE
