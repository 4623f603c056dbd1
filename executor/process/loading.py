"""From ``module:Class`` to an author's class, its settings and its methods; each mistake said in one sentence."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

from actors.runtime import DecodeError, NoSettings, conceal_marked, unpack_value
from executor.author import BadExecutor, Executor, TaskMethod, task_methods
from executor.failures import one_line


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
        BadExecutor: There is no such thing, or it is no `Executor`.
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
