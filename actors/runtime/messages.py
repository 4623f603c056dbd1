"""`@message`: how a message class is declared, and the list of all that were.

A message is a frozen, slotted dataclass. Its `__init__` is generated here because dataclass's own for frozen classes is
slow (it goes through `object.__setattr__`); the one below sets slots directly. A field whose type could change is
refused when the class is declared, not when the message first goes wrong.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar, dataclass_transform, overload

from actors.runtime.codec.freezing import freezer_of
from actors.runtime.codec.frozen import MUTABLE, check_immutable, is_frozen_dataclass
from actors.runtime.codec.shapes import (
    AnyShape,
    DataShape,
    PlainShape,
    Shape,
    TupleShape,
    field_shapes,
    wire_name,
)
from actors.runtime.settings import carrier, secret, setting

__all__ = ["ChildFailed", "Terminated", "message", "register", "registered_message", "registered_messages"]

T = TypeVar("T")

_registry: dict[str, type] = {}
_enums: dict[str, type[enum.Enum]] = {}


def registered_messages() -> tuple[type, ...]:
    """Every message class declared so far, in order of declaration."""
    return tuple(_registry.values())


def registered_enum(name: str) -> type[enum.Enum] | None:
    """The enum that was registered under `name`."""
    return _enums.get(name)


def registered_message(name: str) -> type | None:
    """The message class that travels under `name`."""
    return _registry.get(name)


def register(cls: type[T], *, redact: Mapping[str, Callable[[Any], Any]] | None = None) -> type[T]:
    """Make a frozen dataclass that was declared elsewhere a message: it is packed and traced by its name.

    An enum can be registered too: its members may then stand in fields of type `Immutable`.

    Args:
        cls: the class.
        redact: by field, what makes the value that stands in traces; see `carrier`.

    Raises:
        TypeError: it is not a frozen dataclass, or has a field that could change.
    """
    if issubclass(cls, enum.Enum):
        _enums[wire_name(cls)] = cls
        return cls
    if not is_frozen_dataclass(cls):
        raise TypeError(f"{cls.__qualname__} is not a frozen dataclass")
    check_shapes(cls, field_shapes(cls))
    for known in dataclasses.fields(cls):  # type: ignore[arg-type]
        if redact is not None and known.name in redact:
            known.metadata = MappingProxyType({**known.metadata, "redact": redact[known.name]})
    _add(cls)
    return cls


@overload
def message(cls: type[T], /) -> type[T]: ...


@overload
def message(*, name: str | None = None) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field, carrier, secret, setting))
def message(
    cls: type[T] | None = None, /, *, name: str | None = None
) -> type[T] | Callable[[type[T]], type[T]]:
    """Declare a message class: frozen, slotted, and registered for codec and trace.

    Fields may be None, bool, int, float, str, bytes, Enum, NewType, Literal, `tuple[…]`, `frozenset[T]`, unions and
    optionals of these, `Mapping[str, T]` (stored as a FrozenDict), `ActorRef`, `Secret`, frozen dataclasses, other messages,
    and `Immutable` for any of them.

    Args:
        cls: the class to decorate.
        name: the name under which it travels; `module:QualName` unless given. Give one to a class that may move.

    Raises:
        TypeError: a field's type could change.
    """
    frame = sys._getframe(1)
    namespace = dict(frame.f_locals) if frame.f_locals is not frame.f_globals else {}

    def declare(target: type[T]) -> type[T]:
        declared: type[T] = dataclass(frozen=True, slots=True)(target)
        if name is not None:
            declared.__wire_name__ = name  # type: ignore[attr-defined]
        shapes = field_shapes(declared, {**namespace, declared.__name__: declared}, maps=True)
        check_shapes(declared, shapes)
        declared.__field_shapes__ = shapes  # type: ignore[attr-defined]
        setattr(declared, "__init__", _make_init(declared, shapes))  # noqa: B010 - a plain assignment has no type
        _add(declared)
        return declared

    return declare if cls is None else declare(cls)


def shapes_of_class(cls: type, *, maps: bool = False) -> dict[str, Shape]:
    """The shapes of the fields of a message or frozen dataclass."""
    shapes: dict[str, Shape] | None = cls.__dict__.get("__field_shapes__")
    return field_shapes(cls, maps=maps) if shapes is None else shapes


def check_shapes(cls: type, shapes: dict[str, Shape], seen: set[type] | None = None) -> None:
    """Look through nested dataclasses too: raises TypeError if one has a field that could change."""
    seen = set() if seen is None else seen
    seen.add(cls)
    stack: list[Any] = list(shapes.values())
    while stack:
        shape = stack.pop()
        if isinstance(shape, DataShape):
            if shape.type not in seen:
                check_shapes(shape.type, shapes_of_class(shape.type), seen)
        elif dataclasses.is_dataclass(shape):
            for part in dataclasses.fields(shape):
                value = getattr(shape, part.name)
                stack.extend(_flat(value))


def _flat(value: object) -> list[Any]:
    if isinstance(value, tuple):
        return [item for part in value for item in _flat(part)]
    return [value] if dataclasses.is_dataclass(value) and not isinstance(value, type) else []


def _add(cls: type) -> None:
    name = wire_name(cls)
    known = _registry.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"two messages are called {name!r}: {known!r} and {cls!r}")
    _registry[name] = cls


def _make_init(cls: type, shapes: dict[str, Shape]) -> Callable[..., None]:
    """An `__init__` that sets each slot through its descriptor."""
    names: dict[str, Any] = {
        "_MUTABLE": MUTABLE,
        "_check": check_immutable,
        "_MISSING": dataclasses.MISSING,
    }
    positional: list[str] = []
    keyword: list[str] = []
    body: list[str] = []
    for f in dataclasses.fields(cls):
        setter = f"_set_{f.name}"
        names[setter] = getattr(cls, f.name).__set__
        value = f.name
        if f.default_factory is not dataclasses.MISSING:
            names[f"_make_{f.name}"] = f.default_factory
            body += [f"if {f.name} is _MISSING:", f"    {f.name} = _make_{f.name}()"]
            parameter = f"{f.name}=_MISSING"
        elif f.default is not dataclasses.MISSING:
            names[f"_default_{f.name}"] = f.default
            parameter = f"{f.name}=_default_{f.name}"
        else:
            parameter = f.name
        if not f.init:
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
                continue
            body.insert(0, f"{f.name} = {parameter.partition('=')[2]}")
        else:
            (keyword if f.kw_only else positional).append(parameter)
        body += _freezing(f.name, shapes[f.name], names, f"{cls.__qualname__}.{f.name}")
        body.append(f"{setter}(self, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ["self", *positional, *(["*", *keyword] if keyword else [])]
    source = f"def __init__({', '.join(parameters)}):\n" + "".join(
        f"    {line}\n" for line in body or ["pass"]
    )
    exec(source, names)  # noqa: S102 - as dataclasses itself does
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    made.__annotations__ = {**getattr(vars(cls)["__init__"], "__annotations__", {})}
    return made


def _freezing(name: str, shape: Shape, names: dict[str, Any], where: str) -> list[str]:
    """What `__init__` does so that a field holds nothing that can change: exact types are all that is looked at."""
    if isinstance(shape, AnyShape):
        return [f"_check({name}, {name!r})"]
    freeze = freezer_of(shape, where)
    if freeze is None:
        return []
    names[f"_freeze_{name}"] = freeze
    frozen = f"{name} = _freeze_{name}({name})"
    match shape:
        case TupleShape(items, rest) if not any(freezer_of(item, where) for item in (*items, rest) if item):
            return [f"if type({name}) is not tuple:", f"    {frozen}"]
        case PlainShape():
            return [f"if type({name}) is not bytes:", f"    {frozen}"]
        case _:
            return [f"if {name}:", f"    {frozen}", f"elif type({name}) in _MUTABLE:", f"    {frozen}"]


@message(name="runtime:Terminated")
class Terminated:
    """A watched actor is gone.

    Attributes:
        name: its name.
        reason: "stopped", or the error it failed with.
    """

    name: str
    reason: str


@message(name="runtime:ChildFailed")
class ChildFailed:
    """A child has failed for good, after what supervision allowed.

    Attributes:
        name: the child's name.
        error: type and text of the error, on one line.
        traceback_text: where it was raised.
    """

    name: str
    error: str
    traceback_text: str
