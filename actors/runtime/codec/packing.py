"""Values to plain msgpack structures, by the shapes of their types; `unpacking.py` is the way back.

`packer_of` compiles a shape once. How each looks when packed:

* plain values as they are; integers beyond 64 bits as extension 1 (big-endian, signed);
* an enum as its value; a path or Secret as text; a ref as `[system, name]`;
* a tuple or frozenset as an array; a FrozenDict as a map; a dataclass as a map from field to value;
* a member of a union as `[label, value]`;
* `Immutable` as itself if plain, else as `[kind, …]`, with a `Kind`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from actors.runtime.codec.frozen import FrozenDict
from actors.runtime.codec.redacting import redacted
from actors.runtime.codec.secrets import HIDDEN, Secret
from actors.runtime.codec.shapes import (
    PLAIN,
    AnyShape,
    DataShape,
    EnumShape,
    Kind,
    LiteralShape,
    MapShape,
    OptionalShape,
    PathShape,
    PlainShape,
    RefShape,
    SecretShape,
    SetShape,
    Shape,
    TupleShape,
    UnionShape,
    wire_name,
)
from actors.runtime.errors import EncodeError
from actors.runtime.messages import registered_enum, registered_message, shapes_of_class
from actors.runtime.pykka_seam import PykkaRef

__all__ = ["Kind", "data_packer", "pack_ref", "packer_of"]

Packer = Callable[[Any], Any]


_packers: dict[tuple[type, bool], Packer] = {}


def packer_of(shape: Shape, *, hide: bool = False) -> Packer:
    """The function that packs values of a shape; raises EncodeError for a value of another type.

    With `hide`, fields that are marked secret are replaced: for the trace, never to be unpacked.
    """
    match shape:
        case PlainShape(cls):
            return _plain_packer(cls)
        case LiteralShape() | AnyShape():
            if isinstance(shape, LiteralShape):
                return _same
            return _hide_any if hide else _pack_any
        case EnumShape():
            return lambda value: (
                value.value if isinstance(value, enum.Enum) else _refuse(value, "a member of an enum")
            )
        case TupleShape(items, rest):
            return _tuple_packer(items, rest, hide)
        case SetShape(item):
            pack = packer_of(item, hide=hide)
            return lambda value: (
                sorted((pack(v) for v in value), key=repr)
                if isinstance(value, frozenset)
                else _refuse(value, "a frozenset")
            )
        case MapShape(item):
            pack = packer_of(item, hide=hide)
            return lambda value: {_text(k): pack(v) for k, v in value.items()}
        case OptionalShape(item):
            pack = packer_of(item, hide=hide)
            return lambda value: None if value is None else pack(value)
        case UnionShape(options, _):
            return _union_packer(options, hide)
        case DataShape(cls):
            return lambda value: data_packer(cls, hide=hide)(value)  # noqa: PLW0108 - compiled when first used: types may recur
        case PathShape():
            return str
        case RefShape():
            return pack_ref
        case SecretShape():
            return _hide_secret if hide else _pack_secret
    raise AssertionError(shape)


def data_packer(cls: type, *, hide: bool = False) -> Packer:
    """The function that packs instances of a dataclass as a map; see `packer_of`."""
    found = _packers.get((cls, hide))
    if found is None:
        found = _packers[cls, hide] = _make_data_packer(cls, hide)
    return found


def _make_data_packer(cls: type, hide: bool) -> Packer:
    names: dict[str, Any] = {"_cls": cls, "_refuse": _refuse, "_wrong": _wrong_field}
    parts = []
    shapes = shapes_of_class(cls, maps=True)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        shape = shapes[field.name]
        value = f"v.{field.name}"
        if hide and field.metadata.get("secret"):
            packed = repr(HIDDEN)
        elif hide and "redact" in field.metadata:
            names[f"_r_{field.name}"] = field.metadata["redact"]
            packed = f"_r_{field.name}({value})"
        elif hide and shape == PlainShape(bytes):
            names["_redacted"] = redacted
            packed = f"_redacted({value})"
        elif isinstance(shape, PlainShape) and shape.type is not type(None):
            kind = f"_t_{field.name}"
            names[kind] = shape.type
            packed = f"{value} if {value}.__class__ is {kind} else _wrong(v, {field.name!r}, {kind})"
        else:
            names[f"_p_{field.name}"] = packer_of(shape, hide=hide)
            packed = f"_p_{field.name}({value})"
        parts.append(f"{field.name!r}: {packed}")
    source = f"lambda v: {{{', '.join(parts)}}} if v.__class__ is _cls else _refuse(v, {cls.__qualname__!r})"
    made: Packer = eval(source, names)  # noqa: S307 - field names are identifiers
    return made


def _wrong_field(value: Any, name: str, kind: type) -> Any:
    """The slow path: a subclass, an int for a float, or an error that names the field."""
    try:
        return _plain_packer(kind)(getattr(value, name))
    except EncodeError as error:
        secret = any(f.name == name and f.metadata.get("secret") for f in dataclasses.fields(value))
        what = f"a secret that is no {kind.__name__}" if secret else str(error)
    raise EncodeError(f"{type(value).__qualname__}.{name}: {what}")


def _plain_packer(cls: type) -> Packer:
    if cls is float:
        return lambda value: (
            float(value)
            if isinstance(value, float | int) and not isinstance(value, bool)
            else _refuse(value, "a float")
        )
    if cls is int:
        return lambda value: int(value) if isinstance(value, int) else _refuse(value, "an int")
    if cls is str:
        return lambda value: value if type(value) is str else _text(value)
    if cls is bytes:
        return lambda value: bytes(value) if isinstance(value, bytes) else _refuse(value, "bytes")
    return lambda value: value if type(value) is cls else _refuse(value, PLAIN[cls])


def _tuple_packer(items: tuple[Shape, ...], rest: Shape | None, hide: bool) -> Packer:
    if rest is not None:
        if isinstance(rest, PlainShape) and rest.type in {int, bytes}:
            plain = rest.type
            kept = redacted if hide and plain is bytes else _same
            return lambda value: (
                [kept(v) for v in value]
                if isinstance(value, tuple) and all(type(v) is plain for v in value)
                else _refuse(value, f"a tuple of {plain.__name__}")
            )
        pack = packer_of(rest, hide=hide)
        return lambda value: (
            [pack(v) for v in value] if isinstance(value, tuple) else _refuse(value, "a tuple")
        )
    packs = [packer_of(item, hide=hide) for item in items]
    return lambda value: (
        [pack(v) for pack, v in zip(packs, value, strict=True)]
        if isinstance(value, tuple) and len(value) == len(packs)
        else _refuse(value, f"a tuple of {len(packs)}")
    )


def _union_packer(options: tuple[tuple[str, Shape], ...], hide: bool) -> Packer:
    packers = {label: packer_of(shape, hide=hide) for label, shape in options}
    fallback = "literal" if "literal" in packers else "any" if "any" in packers else None

    def pack(value: Any) -> Any:
        if value is None:
            return None
        label = _label_of(value)
        if label not in packers:
            label = "float" if label == "int" and "float" in packers else fallback or label
        if label not in packers:
            _refuse(value, " or ".join(packers))
        return [label, packers[label](value)]

    return pack


def _label_of(value: Any) -> str:
    kind = type(value)
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is tuple:
        return "tuple"
    if kind is frozenset:
        return "set"
    if kind is FrozenDict:
        return "map"
    if kind is Secret:
        return "secret"
    if isinstance(value, PykkaRef):
        return "ref"
    if isinstance(value, Path):
        return "path"
    return wire_name(kind)


def pack_ref(ref: Any) -> Any:
    """A ref as `[system, name]`."""
    name = getattr(ref, "name", None)
    if not isinstance(ref, PykkaRef) or name is None:
        return _refuse(ref, "a ref of this runtime")
    system_name = getattr(ref, "system_name", None)
    return [ref.system.name if system_name is None else system_name, name]  # type: ignore[attr-defined]


def _pack_any(value: Any, hide: bool = False) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return redacted(value) if hide and kind is bytes else value
    if kind is tuple:
        return [int(Kind.TUPLE), *(_pack_any(v, hide) for v in value)]
    if kind is frozenset:
        return [int(Kind.SET), *sorted((_pack_any(v, hide) for v in value), key=repr)]
    if kind is FrozenDict:
        return [int(Kind.MAP), {_text(k): _pack_any(v, hide) for k, v in value.items()}]
    if isinstance(value, PykkaRef):
        return [int(Kind.REF), pack_ref(value)]
    if isinstance(value, Path):
        return [int(Kind.PATH), str(value)]
    if kind is Secret:
        return [int(Kind.SECRET), HIDDEN if hide else value.reveal()]
    name = wire_name(kind)
    if isinstance(value, enum.Enum):
        if registered_enum(name) is not kind:
            raise EncodeError(
                f"{kind.__qualname__} is not known to the codec; register({kind.__qualname__}) first"
            )
        return [int(Kind.ENUM), name, value.value]
    if registered_message(name) is not kind:
        raise EncodeError(
            f"{kind.__qualname__} is neither a message nor another immutable value that can be packed"
        )
    return [int(Kind.MESSAGE), name, data_packer(kind, hide=hide)(value)]


def _hide_any(value: Any) -> Any:
    return _pack_any(value, hide=True)


def _pack_secret(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise EncodeError(
        f"a {type(value).__qualname__} is not a Secret"
    )  # its text may be one: it is not quoted


def _hide_secret(_value: Any) -> str:
    return HIDDEN


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    return _refuse(value, "a str")


def _same(value: Any) -> Any:
    return value


def _refuse(value: Any, wanted: str) -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
    raise EncodeError(f"{shown} is a {type(value).__qualname__}, not {wanted}")
