"""Who talks to whom: read from the code of a composition's actors, without running any of it.

An actor's class (with its bases, and the functions, classes and tables of the same packages that it uses) is searched
for constructions of messages, and for tables that say which actor a message goes to; whoever has a handler for such a message
may be told it. So the answer says what can happen, which is more than one run shows; what is built by other means
(`type(message)(…)`) is not seen.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from actors.runtime import registered_messages, understood_types


@dataclass(frozen=True, slots=True)
class Relation:
    """One actor may tell another these messages (their class names, sorted)."""

    sender: str
    receiver: str
    messages: tuple[str, ...]


class _Place(NamedTuple):
    """A definition to be searched: a class, a function, or a table of a module."""

    module: str
    name: str


def relations(classes: Mapping[str, type]) -> tuple[Relation, ...]:
    """What the actors, by name, may tell each other."""
    messages = frozenset(registered_messages())
    understood = {name: understood_types(cls) for name, cls in classes.items()}
    found = []
    for sender, cls in classes.items():
        built = _constructed(cls, messages)
        for receiver, handled in understood.items():
            told = {kind.__name__ for kind in built if issubclass(kind, handled)}
            if told:
                found.append(Relation(sender, receiver, tuple(sorted(told))))
    return tuple(found)


def _constructed(cls: type, messages: frozenset[type]) -> set[type]:
    """The message classes that the code of `cls` calls."""
    bases = [base for base in cls.__mro__ if _is_searched(base.__module__)]
    pending = [_Place(base.__module__, base.__qualname__) for base in bases]
    found: set[type] = set()
    seen: set[_Place] = set()
    while pending:
        place = pending.pop()
        if place in seen:
            continue
        seen.add(place)
        names = vars(sys.modules[place.module])
        for path, called in _references(place):
            value = _look_up(names, path)
            if isinstance(value, type) and value in messages:
                if called:
                    found.add(value)
            elif isinstance(value, types.FunctionType | type):
                if _is_searched(value.__module__) and not _is_actor(value):
                    pending.append(_Place(value.__module__, value.__qualname__))
            elif _is_routes(value, messages):
                found.update(value)
            elif isinstance(value, Mapping | tuple) and len(path) == 1:
                pending.append(_Place(place.module, path[0]))
    return found


def _is_routes(value: Any, messages: frozenset[type]) -> bool:
    """Whether it is a table from messages to the names of the actors that they are handed on to."""
    return isinstance(value, Mapping) and all(
        isinstance(kind, type) and kind in messages and isinstance(name, str) for kind, name in value.items()
    )


@lru_cache(maxsize=4096)
def _references(place: _Place) -> frozenset[tuple[tuple[str, ...], bool]]:
    """The names (`x` or `module.x`) in the source of a definition, and whether they are called."""
    tree = _definitions(place.module).get(place.name)
    if tree is None:
        return frozenset()
    nodes = list(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    found: set[tuple[tuple[str, ...], bool]] = set()
    for node in nodes:
        match node:
            case ast.Name(id=name):
                found.add(((name,), id(node) in called))
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                found.add(((module, name), id(node) in called))
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
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found[prefix + name] = node
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    found[prefix + name] = node
    return found


def _look_up(names: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value = names.get(path[0])
    if len(path) == 1:
        return value
    return getattr(value, path[1], None) if isinstance(value, types.ModuleType) else None


def _is_actor(value: Any) -> bool:
    """Another actor's class speaks for itself."""
    return isinstance(value, type) and bool(understood_types(value))


@lru_cache(maxsize=1024)
def _is_searched(module_name: str) -> bool:
    """Not the runtime, and nothing that was installed beside: only code that knows of these messages."""
    if module_name.startswith("actors.runtime") or module_name in sys.builtin_module_names:
        return False
    file = getattr(sys.modules.get(module_name), "__file__", None)
    if file is None or module_name.partition(".")[0] in {"mesos_v1", "mesos_http"}:
        return False
    return module_name.startswith("actors.") or ("site-packages" not in file and "/lib/python3" not in file)
