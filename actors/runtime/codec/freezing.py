"""What a message is made from becomes what cannot change: a list given for a tuple is copied into one, at any depth.

`freezer_of` compiles a shape once. A value of a type that can neither stay nor be converted is a TypeError that names the field.
What is of a wrong type but cannot change is the codec's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import is_
from typing import Any

from actors.runtime.codec.frozen import MUTABLE, FrozenDict, check_immutable
from actors.runtime.codec.shapes import (
    AnyShape,
    MapShape,
    OptionalShape,
    PlainShape,
    SetShape,
    Shape,
    TupleShape,
    UnionShape,
)

__all__ = ["freezer_of"]

Freezer = Callable[[Any], Any]


def freezer_of(shape: Shape, where: str) -> Freezer | None:
    """What makes a value of this shape one that cannot change; None if its types see to that.

    Args:
        shape: of the field.
        where: how to call it in an error.
    """
    match shape:
        case PlainShape() if shape.type is bytes:
            return lambda value: bytes(value) if isinstance(value, bytearray | memoryview) else value
        case AnyShape():
            return lambda value: _checked(value, where)
        case TupleShape(items, None):
            return _pair_freezer([freezer_of(item, where) for item in items], where)
        case TupleShape(_, rest):
            return _row_freezer(None if rest is None else freezer_of(rest, where), where)
        case SetShape():
            return lambda value: frozenset(value) if type(value) in {set, list} else _kept(value, where)
        case MapShape(item):
            return _map_freezer(freezer_of(item, where), where)
        case OptionalShape(item):
            inner = freezer_of(item, where)
            return None if inner is None else lambda value: None if value is None else inner(value)
        case UnionShape(options, _):
            return _union_freezer([option for _, option in options], where)
        case _:
            return None


def _checked(value: Any, where: str) -> Any:
    check_immutable(value, where)
    return value


def _kept(value: Any, where: str) -> Any:
    if type(value) in MUTABLE:
        raise TypeError(
            f"{where} is a {type(value).__name__}, which can change, and not what is expected there"
        )
    return value


def _row_freezer(inner: Freezer | None, where: str) -> Freezer:
    def freeze(value: Any) -> Any:
        if not isinstance(value, tuple):
            if type(value) is not list:
                return _kept(value, where)
            value = tuple(value)
        if inner is not None:
            frozen = [inner(item) for item in value]
            return value if all(map(is_, frozen, value)) else tuple(frozen)
        return value

    return freeze


def _pair_freezer(inners: list[Freezer | None], where: str) -> Freezer:
    plain = not any(inners)

    def freeze(value: Any) -> Any:
        if not isinstance(value, tuple):
            if type(value) is not list:
                return _kept(value, where)
            value = tuple(value)
        if plain or len(value) != len(inners):
            return value
        return tuple(
            [item if inner is None else inner(item) for inner, item in zip(inners, value, strict=True)]
        )

    return freeze


def _map_freezer(inner: Freezer | None, where: str) -> Freezer:
    def freeze(value: Any) -> Any:
        if type(value) is FrozenDict and inner is None:
            return value
        if not isinstance(value, Mapping) and type(value) is not list:
            return _kept(value, where)
        made: FrozenDict[Any] = value if type(value) is FrozenDict else FrozenDict(value)
        return made if inner is None else FrozenDict({key: inner(item) for key, item in made.items()})

    return freeze


def _union_freezer(options: list[Shape], where: str) -> Freezer | None:
    by_type: dict[type, Freezer] = {}
    for option in options:
        freeze = freezer_of(option, where)
        if freeze is not None:
            for kind in _taken(option):
                by_type.setdefault(kind, freeze)
    if not by_type:
        return None

    def freeze_one(value: Any) -> Any:
        found = by_type.get(type(value))
        return _kept(value, where) if found is None else found(value)

    return freeze_one


def _taken(shape: Shape) -> tuple[type, ...]:
    """The types that a member of a union is told by, converted ones among them."""
    match shape:
        case TupleShape():
            return (tuple, list)
        case SetShape():
            return (frozenset, set)
        case MapShape():
            return (FrozenDict, dict)
        case PlainShape():
            return (bytes, bytearray)
        case AnyShape():
            return (tuple, list, frozenset, set, FrozenDict, dict, bytearray)
        case _:
            return ()
