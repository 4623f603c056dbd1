"""A configuration as lines of text: what `mesostic check` prints. Secrets are never in it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

from actors.composition import BUILT_IN
from actors.runtime import HIDDEN, NoSettings, unpack_value
from actors.settings import TASK, ExecutorSettings, FrameworkSettings
from actors.task_actor import TaskActor
from mesos_v1.quantities import format_duration
from mesostic.config.classes import class_named
from mesostic.config.compose import Configuration, without_credentials
from mesostic.config.fields import FieldInfo, looks_secret, settings_fields
from mesostic.config.relations import relations
from mesostic.config.settings import TraceSettings
from mesostic.config.values import show_literal

TASK_ACTORS = "task:<id>"


def describe(configuration: Configuration, *, everything: bool = False) -> Iterator[str]:
    """The lines.

    Args:
        configuration: what to describe.
        everything: also settings that have their default values.
    """
    composition = configuration.composition
    framework = composition.framework
    yield f"framework {framework.name}"
    yield from _settings(framework, everything, skip=("name", "master"))
    yield from _cluster(configuration, everything)
    yield ""
    yield "actors"
    for actor in composition.actors:
        if actor.name == TASK:
            continue  # told below
        replaced = "" if actor.cls is BUILT_IN.get(actor.name) else ", yours"
        yield f"  {actor.name}: {_path(actor.cls)}{' (built in)' if not replaced else ''}"
        yield from _settings(actor.settings, everything or bool(replaced), indent="    ")
    own = composition.spec(TASK)
    of_tasks = TaskActor if own is None else own.cls
    yield f"  {TASK_ACTORS}: {_path(of_tasks)} (one per task in flight)"
    if composition.executors:
        yield ""
        yield "executors"
        for executor in composition.executors:
            yield from _executor(executor, everything)
    yield ""
    yield "messages between actors (read from the code)"
    classes = {actor.name: actor.cls for actor in composition.actors if actor.name != TASK}
    classes[TASK_ACTORS] = of_tasks
    for relation in relations(classes):
        yield f"  {relation.sender} -> {relation.receiver}: {', '.join(relation.messages)}"
    if configuration.trace != TraceSettings():
        yield ""
        yield "trace"
        yield from _settings(configuration.trace, everything)


def _cluster(configuration: Configuration, everything: bool) -> Iterator[str]:
    framework: FrameworkSettings = configuration.composition.framework
    if configuration.cluster is None:
        yield f"  master: {', '.join(without_credentials(master) for master in framework.masters())}"
        return
    agents = configuration.cluster.agents
    yield f"  master: embedded, {len(agents)} {'agent' if len(agents) == 1 else 'agents'}"
    yield from _settings(configuration.cluster, everything, skip=("agents",), indent="    ")
    for text in dict.fromkeys(agent.resources for agent in agents):
        yield f"    {sum(agent.resources == text for agent in agents)} x {text}"
    yield from _settings(configuration.embedded, everything, indent="    ")


def _executor(executor: ExecutorSettings, everything: bool) -> Iterator[str]:
    yield f"  {executor.name}: {executor.cls}"
    yield from _settings(executor, everything, skip=("name", "cls", "settings"), indent="    ")
    settings_class = getattr(class_named(executor.cls), "Settings", NoSettings)
    if executor.settings:
        settings = unpack_value(settings_class, executor.settings)
        yield from _settings(settings, True, indent="    settings.")


def _settings(
    settings: Any, everything: bool, *, skip: tuple[str, ...] = (), indent: str = "  "
) -> Iterator[str]:
    for name, info in settings_fields(type(settings)).items():
        value = getattr(settings, name)
        if name not in skip and (everything or info.required or value != info.default):
            yield f"{indent}{name} = {_show(value, info)}"


def _show(value: Any, info: FieldInfo) -> str:
    if info.secret:
        return HIDDEN if value else '""'
    if info.unit == "seconds" and isinstance(value, int | float):
        return format_duration(value)
    if isinstance(value, tuple) and value and all(_is_pair(item) for item in value):
        shown = (f"{key} = {HIDDEN if looks_secret(key) else show_literal(item)}" for key, item in value)
        return "{ " + ", ".join(shown) + " }"
    if dataclasses.is_dataclass(value):
        inner = settings_fields(type(value))
        return (
            "{ " + ", ".join(f"{name} = {_show(getattr(value, name), inner[name])}" for name in inner) + " }"
        )
    if isinstance(value, enum.Enum):
        return show_literal(value.value)
    if isinstance(value, tuple) and value and all(dataclasses.is_dataclass(item) for item in value):
        return "[" + ", ".join(_show(item, info) for item in value) + "]"
    return "(none)" if value is None else show_literal(value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)


def _path(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
