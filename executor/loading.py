"""From ``module:Class`` to an author's executor, and from a TaskInfo to the method that runs it; each mistake said in one sentence."""

import importlib
import sys
from dataclasses import dataclass
from typing import Any

from actors.runtime import DecodeError, conceal_marked, unpack, unpack_value
from executor.author import BadExecutor, Executor, TaskMethod, task_methods
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

    def method_for(self, payload: object) -> TaskMethod:
        """The method for such a payload: by its class, else by a base class; BadExecutor if there is none."""
        for kind in type(payload).__mro__:
            if kind in self.methods and kind is not object:
                return self.methods[kind]
        what = "no payload" if payload is None else f"a payload of type {type(payload).__name__}"
        known = ", ".join(sorted("none" if kind is type(None) else kind.__name__ for kind in self.methods))
        raise BadExecutor(f"{type(self.instance).__name__} has no @task method for {what} (it has: {known})")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task, and what runs it."""

    info: pb.mesos.TaskInfo
    loaded: LoadedExecutor | None  # None when the author's executor could not be made
    method: TaskMethod | None  # None if nothing can run the task
    payload: object
    raw: bool  # the scheduler does not speak our envelope: bytes travel as they are
    cause: str  # id of the message that launched the task
    refusal: str  # why it cannot be run, if the reason lies in the task

    @property
    def task_id(self) -> TaskId:
        return TaskId(self.info.task_id.value)

    @property
    def kill_grace(self) -> float:
        """Seconds that it gets to end when it is killed, unless the KILL says otherwise."""
        if self.info.kill_policy.HasField("grace_period"):
            return self.info.kill_policy.grace_period.nanoseconds / NANOS
        return DEFAULT_KILL_GRACE

    @property
    def ports(self) -> tuple[int, ...]:
        resources = (resource for resource in self.info.resources if resource.name == "ports")
        ranges = (each for resource in resources for each in resource.ranges.range)
        return tuple(sorted({port for each in ranges for port in range(each.begin, each.end + 1)}))


def load(name: str, *, settings: bytes = b"", modules: tuple[str, ...] = ()) -> LoadedExecutor:
    """Import the class ``module:Class`` and make it; BadExecutor says what is wrong, and how to mend it.

    Args:
        settings: Packed by the codec; empty for the defaults.
        modules: To be imported too: they declare the types of payloads.
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
    kind = cls.Settings
    try:
        instance.settings = unpack_value(kind, settings) if settings else kind()
    except (DecodeError, TypeError, ValueError) as error:
        raise BadExecutor(f"the settings of {name} do not fit {kind.__name__}: {one_line(error)}") from error
    conceal_marked(instance.settings)
    return LoadedExecutor(instance, methods)


def find_class(name: str) -> type[Executor]:
    """Import it; BadExecutor says why there is no such class, or that it is not an `Executor`."""
    module_name, colon, class_name = name.partition(":")
    if not colon or not module_name or not class_name:
        raise BadExecutor(
            f"{name!r} names no executor class: write module:Class, such as crawler.executors:Crawl"
        )
    found = module = _import(module_name, name)
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if found is None:
        classes = {key: each for key, each in vars(module).items() if isinstance(each, type)}
        candidates = sorted(key for key, each in classes.items() if Executor in each.__mro__[1:])
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
            where = f"for {sys.executable} on the agents"
            mend = f"{module} imports it; install it {where}, or add it to `packages`"
        raise BadExecutor(f"{wanted} cannot be imported: there is no module {missing!r}; {mend}") from error
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}"
        raise BadExecutor(f"{wanted} cannot be imported: {error.msg} ({where})") from error
    except BaseException as error:
        raise BadExecutor(f"{wanted} cannot be imported: {module} raises {one_line(error)}") from error


def assign(info: pb.mesos.TaskInfo, loaded: LoadedExecutor | None, *, foreign: bool) -> Assignment:
    """Say what runs a task; ``foreign``: its scheduler is not one of ours."""
    method, payload, cause, refusal = None, None, "", ""
    try:
        if info.data:
            envelope = unpack(info.data)
            payload, cause = envelope.message, envelope.id
    except DecodeError as error:
        if loaded is not None and bytes in loaded.methods:
            payload, foreign = info.data, True
        else:
            refusal = f"the task's data cannot be read: {error}"
    if loaded is not None and not refusal:
        try:
            method = loaded.method_for(payload)
        except BadExecutor as error:
            refusal = str(error)
    return Assignment(info, loaded, method, payload, foreign, cause, refusal)
