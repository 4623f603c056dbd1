"""`@message` and `setting`: how the classes of messages and settings, and their fields, are declared.

A message is a frozen `msgspec.Struct`, which is made, packed and unpacked fast; to `dataclasses` it is a frozen dataclass. A field
whose type could change is refused when the class is declared, not when the message first goes wrong. Settings are frozen dataclasses
whose fields carry their own help text; reading them from TOML is the product's business.
"""

import dataclasses
import enum
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar, dataclass_transform, overload

import msgspec
from msgspec.structs import force_setattr

from actors.runtime.codec.packing import exact_tests, freeze_as, freezes, function_of, register_type
from actors.runtime.codec.shapes import (
    AnyShape,
    DataShape,
    Shape,
    field_shapes,
    is_frozen_dataclass,
    reached,
)
from actors.runtime.errors import refuse_change

T = TypeVar("T")

_ATTRIBUTE = re.compile(r"^    (?P<name>\w+)(?: \([^)]*\))?: (?P<text>.*)$")


def secret(default: Any = MISSING) -> Any:
    """A field of a message or settings class that is a secret: left out of its `repr`, and of every trace."""
    return setting(default, secret=True)


def carrier(redact: Callable[[Any], Any], default: Any = MISSING) -> Any:
    """A field of a message that carries other messages packed, and with them perhaps secrets.

    `redact` makes the value that stands in traces: the same without the secrets. The field is left out of the `repr`.
    """
    return field(default=default, metadata={"redact": redact}, repr=False)


def setting(
    default: Any = MISSING,
    *,
    help: str = "",  # noqa: A002
    unit: str | None = None,
    secret: bool = False,
    default_factory: Callable[[], Any] | None = None,
) -> Any:
    """A field of a settings dataclass: its default (none means required) and what it means to a user.

    Args:
        default: the value when a configuration does not name the key.
        help: one sentence, printed in the reference of all settings.
        unit: "seconds", "bytes", "MB" or "path"; a configuration may then write 30s, 64MB, or a relative path.
        secret: never printed: left out of `repr`, and of every trace.
        default_factory: makes the default instead, for a nested settings class.
    """
    metadata = {"help": help} | ({"unit": unit} if unit else {}) | ({"secret": True} if secret else {})
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


def documented_fields(cls: Any) -> dict[str, str]:
    """What the "Attributes:" sections of a settings class and its bases say of each field, by name (Google style)."""
    helps: dict[str, str] = {}
    for ancestor in cls.__mro__[-2::-1]:
        name = None
        for line in (inspect.getdoc(ancestor) or "").partition("Attributes:\n")[2].splitlines():
            match = _ATTRIBUTE.match(line)
            if match:
                name = match["name"]
                helps[name] = match["text"].strip()
            elif name and line.startswith("        "):
                helps[name] += " " + line.strip()
            elif line.strip():
                break
    return helps


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of an actor that has none."""


def register(cls: type[T], *, redact: Mapping[str, Callable[[Any], Any]] | None = None) -> type[T]:
    """Make a frozen dataclass that was declared elsewhere a message: it is packed and traced by its name.

    An enum can be registered too: its members may then stand in fields of type `Immutable`. `redact` makes, by field, the value that
    stands in traces; see `carrier`. What is not a frozen dataclass, or has a field that could change, is a TypeError.
    """
    if not issubclass(cls, enum.Enum):
        if not is_frozen_dataclass(cls):
            raise TypeError(f"{cls.__qualname__} is not a frozen dataclass")
        shapes = field_shapes(cls, maps=False)
        list(reached(shapes.values(), {cls: shapes}, maps=False))
        for known in dataclasses.fields(cls):  # type: ignore[arg-type]
            if redact is not None and known.name in redact:
                known.metadata = MappingProxyType({**known.metadata, "redact": redact[known.name]})
    register_type(cls)
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
    and `Immutable` for any of them; a type that could change is a TypeError. It travels under `name`, or as `module:QualName`: give a
    name to a class that may move.
    """
    frame = sys._getframe(1)
    namespace = dict(frame.f_locals) if frame.f_locals is not frame.f_globals else {}

    def declare(target: type[T]) -> type[T]:
        declared = _declared(target, namespace)
        if name is not None:
            declared.__wire_name__ = name  # type: ignore[attr-defined]
        register_type(declared)
        return declared

    return declare if cls is None else declare(cls)


def _declared(target: type[T], namespace: dict[str, Any]) -> type[T]:
    """The Struct with the fields and methods of a class."""
    given = vars(target)
    own = given.get("__annotations__", {})
    if issubclass(target, msgspec.Struct):  # made one by its base, a message: back to what was written
        defaults = zip(reversed(target.__struct_fields__), reversed(target.__struct_defaults__), strict=False)
        for field_name, default in defaults:
            if field_name in own:
                setattr(target, field_name, default)
    dropped = _MADE | ({"__repr__", "__eq__"} if "__dataclass_fields__" in given else set())
    declare_fields = dataclass(frozen=True, init=False, repr=False, eq=False, match_args=False)
    fields = {f.name: f for f in dataclasses.fields(declare_fields(target))}  # type: ignore[arg-type]
    shapes = field_shapes(target, {**namespace, target.__name__: target})
    found = [*reached(shapes.values(), {target: shapes}, maps=False)]
    members: dict[str, Any] = {"__repr__": _repr, "__rich_repr__": _shown}
    members |= {
        key: value
        for key, value in vars(target).items()
        if key not in fields and key not in dropped and not key.startswith(("__struct", "__dataclass"))
    }
    check = _post_init(target, shapes)
    if check is not None:
        members["__post_init__"] = check
    bases: tuple[type, ...] = tuple(base for base in target.__bases__ if base is not object)
    if not any(issubclass(base, msgspec.Struct) for base in bases):
        bases = (*bases, msgspec.Struct)
    mine = [fields[each] for each in own if each in fields]
    keyword = [_parameter(target, each) for each in mine if each.kw_only]
    positional = [_parameter(target, each) for each in mine if not each.kw_only]
    if keyword and positional:
        bases = (msgspec.defstruct(target.__name__, positional, bases=bases, frozen=True),)
    made: Any = msgspec.defstruct(
        target.__name__,
        keyword or positional,
        bases=bases,
        namespace=members,
        module=target.__module__,
        frozen=True,
        kw_only=bool(keyword),
    )
    made.__setattr__ = made.__delattr__ = refuse_change
    made.__dataclass_fields__ = vars(target)["__dataclass_fields__"]
    made.__dataclass_params__ = vars(target)["__dataclass_params__"]
    if DataShape(target) in found:
        shapes = field_shapes(made, {**namespace, target.__name__: made})
    made.__field_shapes__ = shapes
    return made  # type: ignore[no-any-return]


_MADE = {
    f"__{name}__"
    for name in "annotations delattr dict hash init match_args setattr slots weakref".split()  # noqa: SIM905
}
"""What a class has that is made again for the Struct."""


def _parameter(cls: type, field: dataclasses.Field[Any]) -> Any:
    if not field.init:
        raise TypeError(f"{cls.__qualname__}.{field.name}: a message is made from all of its fields")
    if field.default_factory is not MISSING:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    return (field.name, field.type) if field.default is MISSING else (field.name, field.type, field.default)


def _post_init(cls: type, shapes: dict[str, Shape]) -> Callable[[Any], None] | None:
    """What copies whatever could change into what cannot, and then lets the author check; None if there is no need."""
    check: Callable[[Any], None] = getattr(cls, "__post_init__", lambda _: None)
    freezing = [name for name, shape in shapes.items() if freezes(shape)]

    def freeze(self: Any, name: str) -> None:
        where = name if isinstance(shapes[name], AnyShape) else f"{cls.__qualname__}.{name}"
        force_setattr(self, name, freeze_as(shapes[name], getattr(self, name), where))

    def freeze_all(self: Any) -> None:
        for name in freezing:
            freeze(self, name)
        check(self)

    if not freezing:
        return None
    names: dict[str, Any] = {"freeze": freeze, "freeze_all": freeze_all, "check": check}
    wrong = "return freeze_all(self)"
    lines: list[str] = []
    for name in freezing:
        tests = exact_tests(shapes[name], f"self.{name}", names, wrong, frozen=True)
        lines += [f"freeze(self, {name!r})"] if tests == [wrong] else tests
    return function_of("self", [*lines, *(["check(self)"] if hasattr(cls, "__post_init__") else [])], names)


def _shown(self: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self) if field.repr]


def _repr(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in _shown(self))})"


@message(name="runtime:Terminated")
class Terminated:
    """The watched actor called `name` is gone; the reason is "stopped", or the error that it failed with."""

    name: str
    reason: str


@message(name="runtime:ChildFailed")
class ChildFailed:
    """The child called `name` has failed for good, after what supervision allowed: with `error`, type and text on one line."""

    name: str
    error: str
    traceback_text: str
