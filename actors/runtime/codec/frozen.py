"""Values that cannot change: the immutable mapping, and the check for values whose type is not known in advance."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Annotated, Any, TypeAlias, TypeVar

from actors.runtime.codec.secrets import Secret
from actors.runtime.pykka_seam import PykkaRef

T = TypeVar("T")

_IMMUTABLE = "any immutable value"

Immutable: TypeAlias = Annotated[Any, _IMMUTABLE]
"""The type of a message's field that holds any immutable value; checked when the message is made."""

MUTABLE = frozenset({list, dict, set, bytearray})
"""What a caller may hand over although it can change: it is copied at the border."""

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})


class FrozenDict(Mapping[str, T]):
    """A mapping from text that cannot change. Equal to any mapping with the same items; hashable if its values are."""

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        object.__setattr__(self, "_items", dict(items))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a FrozenDict cannot change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a FrozenDict cannot change")

    def __getitem__(self, key: str) -> T:
        items: dict[str, T] = self._items
        return items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        try:
            cached: int = self._hash
        except AttributeError:
            cached = hash(frozenset(self._items.items()))
            object.__setattr__(self, "_hash", cached)
        return cached

    def __repr__(self) -> str:
        return f"FrozenDict({self._items!r})"

    def __reduce__(self) -> tuple[type[FrozenDict[T]], tuple[dict[str, T]]]:
        return FrozenDict, (dict(self._items),)

    _items: dict[str, T]
    _hash: int


def is_frozen_dataclass(cls: type) -> bool:
    """Whether `cls` is a dataclass declared frozen."""
    return is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]


def check_immutable(value: object, where: str = "value") -> None:
    """Raise TypeError, saying where, if `value` or anything in it can change."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is tuple or kind is frozenset:
        for index, item in enumerate(value):  # type: ignore[arg-type,var-annotated]
            check_immutable(item, f"{where}[{index}]")
    elif kind is FrozenDict:
        for key, item in value.items():  # type: ignore[attr-defined]
            check_immutable(item, f"{where}[{key!r}]")
    elif isinstance(value, enum.Enum | PykkaRef | PurePath | Secret):
        return
    elif is_frozen_dataclass(kind):
        for field in fields(value):  # type: ignore[arg-type]
            check_immutable(getattr(value, field.name), f"{where}.{field.name}")
    else:
        raise TypeError(f"{where} is a {kind.__qualname__}, which can change; {hint_for(kind)}")


def own_copy(value: Any) -> Any:
    """A list, dict, set or bytearray of one's own, with all such things in it; anything else is given back as it is."""
    kind = type(value)
    if kind is dict:
        return {own_copy(key): own_copy(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(own_copy(item) for item in value)
    return kind(value) if kind in MUTABLE else value


def hint_for(kind: object) -> str:
    """What to use in place of a mutable type."""
    if not isinstance(kind, type):
        return "use an immutable type"
    if issubclass(kind, dict | Mapping):
        return "use Mapping[str, T], which is stored as a FrozenDict"
    if issubclass(kind, list):
        return "use tuple[T, ...]"
    if issubclass(kind, set):
        return "use frozenset[T]"
    if issubclass(kind, bytearray | memoryview):
        return "use bytes"
    if hasattr(kind, "SerializeToString"):
        return "a protobuf message can change: send its bytes, or values read from it"
    if is_dataclass(kind):
        return "declare the dataclass frozen"
    return "use an immutable type"
