"""Who talks to whom: read from the code of a composition's actors, without running any of it.

An actor's class (with its bases, helpers and tables, as far as they are in the same packages) is searched for
constructions of messages; whoever has a handler for such a message may be told it. So the answer says what can happen:
more than one run shows, and nothing of what is built by other means (`type(message)(…)`).
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from actors.runtime import registered_messages, understood_types

_FOREIGN = ("actors.runtime", "asyncio", "aiohttp", "logging", "typing", "dataclasses", "mesos_v1")


@dataclass(frozen=True, slots=True)
class Relation:
    """One actor may tell another these messages (their class names, sorted)."""

    sender: str
    receiver: str
    messages: tuple[str, ...]


def relations(classes: Mapping[str, type]) -> tuple[Relation, ...]:
    """What the actors, by name, may tell each other."""
    messages = set(registered_messages())
    understood = {name: understood_types(cls) for name, cls in classes.items()}
    found = []
    for sender, cls in classes.items():
        built = _constructed(cls, messages)
        for receiver, handled in understood.items():
            told = {kind.__name__ for kind in built if issubclass(kind, handled)}
            if told:
                found.append(Relation(sender, receiver, tuple(sorted(told))))
    return tuple(found)


def _constructed(cls: type, messages: set[type]) -> set[type]:
    """The message classes that the code of `cls` calls."""
    found: set[type] = set()
    seen: set[Any] = set()
    pending: list[Any] = [base for base in cls.__mro__ if not _is_foreign(base.__module__)]
    while pending:
        item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        names = vars(inspect.getmodule(item) or types)
        for value, called in _references(item, names):
            if isinstance(value, type) and value in messages:
                if called:
                    found.add(value)
            elif isinstance(value, types.FunctionType | type) and not _is_foreign(value.__module__):
                if not _is_actor(value):
                    pending.append(value)
            elif isinstance(value, dict | tuple):
                found.update(kind for kind in _leaves(value) if isinstance(kind, type) and kind in messages)
                pending.extend(leaf for leaf in _leaves(value) if _is_ours(leaf))
    return found


def _references(item: Any, names: Mapping[str, Any]) -> Iterator[tuple[Any, bool]]:
    """The global objects that the source of a class or function names, and whether it calls them."""
    tree = _source_tree(item)
    if tree is None:
        return
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            yield names[node.id], id(node) in called
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            if isinstance(module, types.ModuleType) and hasattr(module, node.attr):
                yield getattr(module, node.attr), id(node) in called


@lru_cache(maxsize=1024)
def _source_tree(item: Any) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(item)))
    except (OSError, TypeError, SyntaxError):
        return None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _is_ours(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and not _is_foreign(value.__module__)


def _is_actor(value: Any) -> bool:
    return isinstance(value, type) and bool(understood_types(value))


def _is_foreign(module: str) -> bool:
    return module == "builtins" or any(module == name or module.startswith(name + ".") for name in _FOREIGN)
