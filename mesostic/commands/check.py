"""`mesostic check`: is the configuration right, and what does it compose: actors, settings, and who may tell whom what.

Secrets are never shown.
"""

import ast
import dataclasses
import enum
import inspect
import pkgutil
import sys
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import click

from actors.composition import BUILT_IN
from actors.framework_settings import TASK
from actors.runtime import HIDDEN, NoSettings, registered_messages, understood_types, unpack_value
from actors.task_actor import TaskActor
from mesos_v1.quantities import format_duration
from mesostic.commands.options import sets_option
from mesostic.config.compose import Configuration, TraceSettings, load_configuration, without_credentials
from mesostic.config.settings import FieldInfo, looks_secret, settings_fields, show_literal
from mesostic.errors import presentable

TASK_ACTORS = "task:<id>"


@click.command("check")
@click.argument("config", type=click.Path())
@sets_option
@click.option("--all", "everything", is_flag=True, help="Also settings that have their default values.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing when all is well.")
def command(config: str, sets: tuple[str, ...], everything: bool, quiet: bool) -> None:
    """Check CONFIG as `run` would, and print what it composes: actors, classes, settings, who talks to whom.

    Classes are imported, and nothing is started.
    """
    configuration = load_configuration(config, sets)
    if not quiet:
        click.echo(f"{config} is fine.\n")
        for line in describe(configuration, everything=everything):
            click.echo(presentable(line))


def describe(configuration: Configuration, *, everything: bool = False) -> Iterator[str]:
    """The lines; with `everything`, also settings that have their default values."""
    composition = configuration.composition
    yield f"framework {composition.framework.name}"
    yield from _settings(composition.framework, everything, skip=("name", "master"))
    yield from _cluster(configuration, everything)
    yield ""
    yield "actors"
    classes: dict[str, type] = {actor.name: actor.cls for actor in composition.actors}
    for actor in composition.actors:
        if actor.name != TASK:
            built_in = actor.cls is BUILT_IN.get(actor.name)
            yield f"  {actor.name}: {_path(actor.cls)}{' (built in)' if built_in else ''}"
            yield from _settings(actor.settings, everything or not built_in, indent="    ")
    classes[TASK_ACTORS] = classes.pop(TASK, TaskActor)
    yield f"  {TASK_ACTORS}: {_path(classes[TASK_ACTORS])} (one per task in flight)"
    if composition.executors:
        yield ""
        yield "executors"
        for executor in composition.executors:
            yield f"  {executor.name}: {executor.cls}"
            yield from _settings(executor, everything, skip=("name", "cls", "settings"), indent="    ")
            if executor.settings:
                settings_class = getattr(pkgutil.resolve_name(executor.cls), "Settings", NoSettings)
                settings = unpack_value(settings_class, executor.settings)
                yield from _settings(settings, True, indent="    settings.")
    yield ""
    yield "messages between actors (read from the code)"
    for sender, receiver, messages in relations(classes):
        yield f"  {sender} -> {receiver}: {', '.join(messages)}"
    if configuration.trace != TraceSettings():
        yield ""
        yield "trace"
        yield from _settings(configuration.trace, everything)


def _cluster(configuration: Configuration, everything: bool) -> Iterator[str]:
    if configuration.cluster is None:
        masters = configuration.composition.framework.masters()
        yield f"  master: {', '.join(map(without_credentials, masters))}"
        return
    agents = configuration.cluster.agents
    yield f"  master: embedded, {len(agents)} {'agent' if len(agents) == 1 else 'agents'}"
    yield from _settings(configuration.cluster, everything, skip=("agents",), indent="    ")
    for text, count in Counter(agent.resources for agent in agents).items():
        yield f"    {count} x {text}"
    yield from _settings(configuration.embedded, everything, indent="    ")


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
    if dataclasses.is_dataclass(value):
        inner = settings_fields(type(value))
        return _braced({name: _show(getattr(value, name), inner[name]) for name in inner})
    if isinstance(value, enum.Enum):
        return show_literal(value.value)
    if isinstance(value, tuple) and value:
        if all(isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in value):
            return _braced({key: HIDDEN if looks_secret(key) else show_literal(item) for key, item in value})
        if all(map(dataclasses.is_dataclass, value)):
            return "[" + ", ".join(_show(item, info) for item in value) + "]"
    return "(none)" if value is None else show_literal(value)


def _braced(shown: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{name} = {text}" for name, text in shown.items()) + " }"


def _path(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def relations(classes: Mapping[str, type]) -> Iterator[tuple[str, str, list[str]]]:
    """Who may tell whom which messages, read from the code of the actors without running any of it.

    An actor's class (with its bases, and the functions, classes and tables that it uses) is searched for constructions of
    messages, and for tables that say which actor a message goes to; an actor with a handler for such a message may be told
    it. So this says what can happen, which is more than one run shows; what is built otherwise (`type(message)(…)`) is not seen.
    """
    messages = frozenset(registered_messages())
    understood = {name: understood_types(cls) for name, cls in classes.items()}
    for sender, cls in classes.items():
        built = _constructed(cls, messages)
        for receiver, handled in understood.items():
            told = {kind.__name__ for kind in built if issubclass(kind, handled)}
            if told:
                yield sender, receiver, sorted(told)


def _constructed(cls: type, messages: frozenset[type]) -> set[type]:
    """The message classes that the code of `cls` calls, found from definition to definition (module, name)."""
    pending = [(base.__module__, base.__qualname__) for base in cls.__mro__ if _is_searched(base.__module__)]
    found: set[type] = set()
    seen: set[tuple[str, str]] = set()
    while pending:
        place = pending.pop()
        if place in seen:
            continue
        seen.add(place)
        names = vars(sys.modules[place[0]])
        for (name, *attribute), called in _references(*place):
            value = names.get(name)
            if attribute:
                value = getattr(value, attribute[0], None) if isinstance(value, types.ModuleType) else None
            if isinstance(value, type) and value in messages:
                if called:
                    found.add(value)
            elif isinstance(value, types.FunctionType | type):
                another_actor = isinstance(value, type) and understood_types(value)  # speaks for itself
                if _is_searched(value.__module__) and not another_actor:
                    pending.append((value.__module__, value.__qualname__))
            elif isinstance(value, Mapping) and all(
                kind in messages and isinstance(receiver, str) for kind, receiver in value.items()
            ):
                found.update(
                    value
                )  # a table from messages to the names of the actors that they are handed on to
            elif isinstance(value, Mapping | tuple) and not attribute:
                pending.append((place[0], name))
    return found


@lru_cache(maxsize=4096)
def _references(module_name: str, name: str) -> frozenset[tuple[tuple[str, ...], bool]]:
    """The names (`x` or `module.x`) in the source of a definition, and whether they are called."""
    tree = _definitions(module_name).get(name)
    nodes = [] if tree is None else list(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    found: set[tuple[tuple[str, ...], bool]] = set()
    for node in nodes:
        match node:
            case ast.Name(id=used):
                found.add(((used,), id(node) in called))
            case ast.Attribute(value=ast.Name(id=module), attr=used):
                found.add(((module, used), id(node) in called))
    return frozenset(found)


@lru_cache(maxsize=256)
def _definitions(module_name: str) -> dict[str, ast.AST]:
    """The classes, functions and tables of a module by their qualified names."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module_name]))
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, ast.AST] = {}
    pending: list[tuple[str, ast.AST]] = [("", tree)]
    while pending:
        prefix, parent = pending.pop()
        for node in ast.iter_child_nodes(parent):
            match node:
                case ast.ClassDef(name=name):
                    found[prefix + name] = node
                    pending.append((f"{prefix}{name}.", node))
                case (
                    ast.FunctionDef(name=name)
                    | ast.AsyncFunctionDef(name=name)
                    | ast.Assign(targets=[ast.Name(id=name)])
                    | ast.AnnAssign(target=ast.Name(id=name))
                ):
                    found[prefix + name] = node
    return found


@lru_cache(maxsize=1024)
def _is_searched(module_name: str) -> bool:
    """Not the runtime, and nothing that was installed beside: only code that knows of these messages."""
    if module_name.startswith("actors.runtime") or module_name in sys.builtin_module_names:
        return False
    file = getattr(sys.modules.get(module_name), "__file__", None)
    if file is None or module_name.partition(".")[0] in {"mesos_v1", "mesos_http"}:
        return False
    return module_name.startswith("actors.") or ("site-packages" not in file and "/lib/python3" not in file)
