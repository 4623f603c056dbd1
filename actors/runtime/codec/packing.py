"""How values travel: as plain msgpack structures, by the shapes of their types.

* plain values as they are; integers beyond 64 bits as extension 1 (big-endian, signed);
* an enum as its value; a path or Secret as text; a ref as `[system, name]`;
* a tuple or frozenset as an array; a FrozenDict as a map; a dataclass as a map from field to value;
* a member of a union as `[label, value]`;
* `Immutable` as itself if plain, else as `[kind, …]`, with a `Kind`.

Where msgspec reads and writes the same bytes, a Schema lets it do so. `pack_as` and `unpack_as` are the careful way, for everything
else and for whatever msgspec refuses. `unpack_as` trusts nothing, and says what is wrong where; `pack_as` checks little, since what
it makes is unpacked again before it is sent.
"""

import dataclasses
import enum
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING
from functools import lru_cache
from operator import is_
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import msgspec

from actors.runtime.codec import shapes as k
from actors.runtime.codec.secrets import HIDDEN, Secret
from actors.runtime.errors import EncodeError
from actors.runtime.pykka_seam import PykkaRef
from actors.runtime.threads import schema_lock

_messages: dict[str, type] = {}
_enums: dict[str, type[enum.Enum]] = {}
_schemas: dict[type, "Schema"] = {}
_looking: set[type] = set()
"""Classes whose schemas are being made."""

ready: dict[type | str, "Schema"] = {}
"""By class and by name: the schemas of registered messages that msgspec reads and writes."""

KEPT, KEPT_BYTES = 500, 1000
"""How many values of each field that holds a dataclass are remembered packed and unpacked, and the longest of them in bytes."""

encode = msgspec.msgpack.Encoder().encode

finders: list[Callable[[str, str], Any]] = []
"""What turns the names of a system and of an actor into a ref: the module that knows the systems says it."""


class Mismatch(Exception):  # noqa: N818 - becomes a DecodeError at the codec's border
    """Packed data that does not fit its type; collects the path to where while it passes through."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.path = ""

    def within(self, step: str) -> Self:
        """The same, seen from one level further out."""
        self.path = step + self.path
        return self

    def told(self, root: str) -> str:
        """What is wrong, and where."""
        where = f"{root}{self.path}"
        return f"{where}: {self}" if where else str(self)


class Kind(enum.IntEnum):
    """What an immutable value is that is not plain, where its type does not say it; packed in front of it."""

    TUPLE = 0
    SET = 1
    MAP = 2
    MESSAGE = 3
    ENUM = 4
    REF = 5
    PATH = 6
    SECRET = 7


ANY, TEXT = k.AnyShape(), k.PlainShape(str)

KINDS: dict[int, k.Shape] = {
    Kind.TUPLE: k.TupleShape((), ANY),
    Kind.SET: k.SetShape(ANY),
    Kind.MAP: k.MapShape(ANY),
    Kind.REF: k.RefShape(),
    Kind.PATH: k.PathShape(),
    Kind.SECRET: k.SecretShape(),
}
SPREAD = (Kind.TUPLE, Kind.SET)
"""Kinds whose items follow at once."""

_EXACT = {tuple: Kind.TUPLE, frozenset: Kind.SET, k.FrozenDict: Kind.MAP, Secret: Kind.SECRET}


def _kind_of(value: Any) -> Kind | None:
    if isinstance(value, PykkaRef):
        return Kind.REF
    return Kind.PATH if isinstance(value, Path) else _EXACT.get(type(value))


Redact = Callable[[bytes], bytes]


def pack_as(shape: k.Shape, value: Any, redact: Redact | None = None) -> Any:
    """A value as a plain structure; EncodeError, AttributeError or TypeError if it cannot be one.

    With `redact` it is for a trace: without secrets, and with `redact` applied to bytes.
    """
    match shape:
        case k.PlainShape(kind):
            plain = value if type(value) is kind else _pack_plain(kind, value)
            return redact(plain) if redact and type(plain) is bytes else plain
        case k.OptionalShape(item):
            return None if value is None else pack_as(item, value, redact)
        case k.TupleShape(items, rest):
            if not isinstance(value, tuple) or (rest is None and len(value) != len(items)):
                _refuse(value, "a tuple" if rest else f"a tuple of {len(items)}")
            return [pack_as(part, item, redact) for part, item in shape.each(value)]
        case k.DataShape(cls):
            return schema_of(cls).pack(value, redact)
        case k.EnumShape():
            return value.value
        case k.AnyShape():
            return _pack_any(value, redact)
        case k.UnionShape(options, _):
            return None if value is None else _pack_one_of(dict(options), value, redact)
        case k.SetShape(item) if isinstance(value, frozenset):
            return sorted((pack_as(item, member, redact) for member in value), key=repr)
        case k.SetShape():
            _refuse(value, "a frozenset")
        case k.MapShape(item):
            return {pack_as(TEXT, key): pack_as(item, part, redact) for key, part in value.items()}
        case k.PathShape():
            return str(value)
        case k.RefShape():
            name = getattr(value, "name", None)
            if not isinstance(value, PykkaRef) or name is None:
                _refuse(value, "a ref of this runtime")
            system_name = getattr(value, "system_name", None)
            return [value.system.name if system_name is None else system_name, name]  # type: ignore[attr-defined]
        case k.SecretShape() if not isinstance(value, Secret):
            raise EncodeError(f"a {type(value).__qualname__} is not a Secret")  # it may be one: not quoted
        case k.SecretShape():
            return HIDDEN if redact else value.reveal()
    return value


def _pack_plain(wanted: type, value: Any) -> Any:
    """A subclass as what it is made of, an int for a float; anything else is refused when it is unpacked again."""
    kind = type(value)
    if wanted is float and kind is int:
        return float(value)
    if wanted is str and issubclass(kind, str):
        return str.__str__(value)
    return wanted(value) if wanted in {int, float, bytes} and issubclass(kind, wanted) else value


def _pack_one_of(options: dict[str, k.Shape], value: Any, redact: Redact | None) -> Any:
    kind = _kind_of(value)
    label = k.PLAIN.get(type(value)) or (k.wire_name(type(value)) if kind is None else KINDS[kind].label)
    for known in (label, "float" if label == "int" else label, "literal", "any"):
        if known in options:
            return [known, pack_as(options[known], value, redact)]
    return _refuse(value, " or ".join(options))


def _pack_any(value: Any, redact: Redact | None) -> Any:
    cls = type(value)
    if cls in k.PLAIN:
        return redact(value) if redact and cls is bytes else value
    kind = _kind_of(value)
    if kind is not None:
        packed = pack_as(KINDS[kind], value, redact)
        return [int(kind), *packed] if kind in SPREAD else [int(kind), packed]
    name, title = k.wire_name(cls), cls.__qualname__
    if _messages.get(name) is cls:
        return [int(Kind.MESSAGE), name, schema_of(cls).pack(value, redact)]
    if _enums.get(name) is cls:
        return [int(Kind.ENUM), name, value.value]
    if isinstance(value, enum.Enum):
        raise EncodeError(f"{title} is not known to the codec; register({title}) first")
    raise EncodeError(f"{title} is neither a message nor another immutable value that can be packed")


def unpack_as(shape: k.Shape, plain: Any, depth: int) -> Any:
    """The value of a plain structure that may have `depth` levels, or Mismatch."""
    match shape:
        case k.PlainShape(kind):
            return plain if type(plain) is kind else _unpack_plain(kind, plain)
        case k.OptionalShape(item):
            return None if plain is None else unpack_as(item, plain, depth)
        case k.TupleShape(items, rest):
            if type(plain) is list and rest is None and len(plain) != len(items):
                raise Mismatch(f"expected an array of {len(items)}, found {_named(plain)}")
            return tuple(_unpack_each(plain, shape.each, depth))
        case k.DataShape(cls):
            return schema_of(cls).unpack(plain, depth)
        case k.EnumShape(cls):
            try:
                return cls(_tuples(plain))
            except (ValueError, TypeError, KeyError):
                raise Mismatch(f"{_named(plain)} is not a member of {cls.__qualname__}") from None
        case k.AnyShape():
            return plain if type(plain) in k.PLAIN else _unpack_any(plain, depth)
        case k.UnionShape(options, with_none):
            return None if plain is None and with_none else _unpack_one_of(dict(options), plain, depth)
        case k.SetShape(item):
            try:
                return frozenset(_unpack_each(plain, k.TupleShape((), item).each, depth))
            except TypeError as error:
                raise Mismatch(f"a member of a set cannot be hashed: {error}") from None
        case k.MapShape(item):
            return _unpack_map(item, plain, depth)
        case k.PathShape():
            return Path(unpack_as(TEXT, plain, depth))
        case k.RefShape():
            match plain:
                case [str() as system, str() as name]:
                    return finders[-1](system, name)
            raise Mismatch(f"expected an actor's system and name, found {_named(plain)}")
        case k.SecretShape():
            if type(plain) is str:
                return Secret(plain)
            raise Mismatch(f"expected a secret, found a {type(plain).__name__}")
        case k.LiteralShape(values):
            for known in values:
                if type(known) is type(plain) and known == plain:
                    return known
            raise Mismatch(f"expected one of {values!r}, found {_named(plain)}")
    raise AssertionError(shape)


def _unpack_plain(kind: type, plain: Any) -> Any:
    if kind is float and type(plain) is int:
        try:
            return float(plain)
        except OverflowError:
            raise Mismatch("an integer too large for a float") from None
    raise Mismatch(f"expected {'a float' if kind is float else k.PLAIN[kind]}, found {_named(plain)}")


def _unpack_each(
    plain: Any, each: Callable[[Any], Iterable[tuple[k.Shape, Any]]], depth: int
) -> Iterator[Any]:
    if type(plain) is not list:
        raise Mismatch(f"expected an array, found {_named(plain)}")
    _descend(depth)
    for index, (shape, item) in enumerate(each(plain)):
        try:
            yield unpack_as(shape, item, depth - 1)
        except Mismatch as error:
            raise error.within(f"[{index}]") from None


def _unpack_map(item: k.Shape, plain: Any, depth: int) -> k.FrozenDict[Any]:
    if type(plain) is not dict:
        raise Mismatch(f"expected a map, found {_named(plain)}")
    _descend(depth)
    made = {}
    for key, part in plain.items():
        if type(key) is not str:
            raise Mismatch(f"expected text as key, found {_named(key)}")
        try:
            made[key] = unpack_as(item, part, depth - 1)
        except Mismatch as error:
            raise error.within(f"[{key!r}]") from None
    return k.FrozenDict(made)


def _unpack_one_of(options: dict[str, k.Shape], plain: Any, depth: int) -> Any:
    if type(plain) is not list or len(plain) != 2 or type(plain[0]) is not str:
        raise Mismatch(f"expected a labelled value, found {_named(plain)}")
    label, value = plain
    if label not in options:
        raise Mismatch(f"expected {' or '.join(options)}, found a value labelled {label!r:.80}")
    _descend(depth)
    return unpack_as(options[label], value, depth - 1)


def _unpack_any(plain: Any, depth: int) -> Any:
    """An immutable value that is not plain: by the kind that stands in front of it."""
    if type(plain) is not list or not plain or type(plain[0]) is not int:
        raise Mismatch(f"expected an immutable value with its kind, found {_named(plain)}")
    shape: k.Shape
    match plain:
        case [Kind.TUPLE | Kind.SET as kind, *inner]:
            shape, depth = KINDS[kind], depth + 1
        case [Kind.MAP | Kind.REF | Kind.PATH | Kind.SECRET as kind, inner]:
            shape = KINDS[kind]
        case [Kind.MESSAGE, str() as name, inner]:
            shape = k.DataShape(known_message(name))
        case [Kind.ENUM, str() as name, inner]:
            if name not in _enums:
                raise Mismatch(f"unknown enum {name!r:.200}")
            shape = k.EnumShape(_enums[name])
        case _:
            raise Mismatch(f"unknown kind {plain[0]} of an immutable value")
    _descend(depth)
    return unpack_as(shape, inner, depth - 1)


def freezes(shape: k.Shape) -> bool:
    """Whether a value can be given as something that can change, which is then copied into something that cannot."""
    match shape:
        case k.PlainShape(kind):
            return kind is bytes
        case k.OptionalShape() | k.UnionShape():
            return any(map(freezes, shape.parts))
        case _:
            return isinstance(shape, k.TupleShape | k.SetShape | k.MapShape | k.AnyShape)


def freeze_as(shape: k.Shape, value: Any, where: str) -> Any:
    """A value that cannot change, or TypeError. One of a wrong type that cannot change is noticed when it is packed."""
    kind = type(value)
    match shape:
        case k.PlainShape(wanted):
            return bytes(value) if wanted is bytes and kind in {bytearray, memoryview} else value
        case k.OptionalShape(item):
            return None if value is None else freeze_as(item, value, where)
        case k.AnyShape():
            k.check_immutable(value, where)
            return value
        case k.UnionShape():
            for part in shape.parts:
                if kind in _FREEZABLE.get(part.label, ()):
                    return freeze_as(part, value, where)
        case k.SetShape() if kind in {set, list}:
            return frozenset(value)
        case k.MapShape(item) if isinstance(value, Mapping | list):
            made: k.FrozenDict[Any] = value if type(value) is k.FrozenDict else k.FrozenDict(value)
            if not freezes(item):
                return made
            return k.FrozenDict({key: freeze_as(item, part, where) for key, part in made.items()})
        case k.TupleShape(items, rest) if isinstance(value, tuple | list):
            given = value if isinstance(value, tuple) else tuple(value)
            if rest is None and len(given) != len(items):
                return given
            frozen = [freeze_as(part, item, where) for part, item in shape.each(given)]
            return given if all(map(is_, frozen, given)) else tuple(frozen)
    if kind in k.MUTABLE and freezes(shape):
        raise TypeError(f"{where} is a {kind.__name__}, which can change, and not what is expected there")
    return value


_FREEZABLE: dict[str, tuple[type, ...]] = {
    "tuple": (tuple, list),
    "set": (frozenset, set),
    "map": (k.FrozenDict, dict),
    "bytes": (bytes, bytearray),
    "any": (tuple, list, frozenset, set, k.FrozenDict, dict, bytearray),
}
"""What a member of a union is known by when it is given."""


class Schema:
    """A message class or frozen dataclass, and how its instances travel: as a map from field to value.

    A dataclass in a field of a message is packed once and unpacked once: it is the same in thousands of messages.

    Attributes:
        decode: what msgspec reads an instance with; None if it cannot, as for a class that holds itself.
        checked: an instance for msgspec to write; None if it may hold something else than its annotations say.
        hides: whether a trace must not show all of an instance, besides what travels in bytes.
        has_bytes: whether messages may travel in an instance, as bytes.
    """

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.shape = k.DataShape(cls)
        self.name = k.wire_name(cls)
        self.decode: Callable[[Any], Any] | None = None
        self.checked: Callable[[Any], Any] = lambda _: None
        self.shapes = k.field_shapes(cls)
        self.fields = [field for field in dataclasses.fields(cls) if field.init]
        self.secrets = {field.name for field in self.fields if field.metadata.get("secret")}
        classes = {cls: self.shapes}
        shapes = list(k.reached(self.shapes.values(), classes))
        self.has_bytes = k.PlainShape(bytes) in shapes
        self.hides = any(isinstance(shape, k.SecretShape | k.AnyShape) for shape in shapes) or any(
            field.metadata.keys() & {"secret", "redact"}
            for one in classes
            for field in dataclasses.fields(one)
        )
        struct = issubclass(cls, msgspec.Struct)
        natives = {name: native(shape, maps=struct) for name, shape in self.shapes.items()}
        if None in natives.values() or not (struct or _is_plain(cls)):
            return
        if struct:
            cls.__annotations__ = natives
        try:
            self.decode = msgspec.msgpack.Decoder(cls).decode
        except Exception:  # whatever msgspec refuses travels the careful way
            return
        names: dict[str, Any] = {"cls": cls}
        lines, written, parts = ["if v.__class__ is not cls: return None"], [], []
        for name, shape in self.shapes.items():
            given = f"v.{name}"
            part = _part(shape) if struct else None
            if part is not None and not part.hides:
                parts.append(name)
                names[f"kept_{name}"], names[f"part_{name}"] = _part_packer(part, shape)
                given = f"kept_{name}.get(id(v.{name})) or part_{name}(v.{name})"
            else:
                lines += exact_tests(shape, given, names, "return None")
            written.append(f"{name!r}: {given}")
        if parts:
            self.decode = _reader(cls, parts)
        result = f"{{{', '.join(written)}}}" if parts else "v"
        self.checked = function_of("v", [*lines, f"return {result}"], names)

    def pack(self, value: Any, redact: Redact | None = None) -> Any:
        """An instance as a map; see `pack_as`."""
        if type(value) is not self.cls:
            _refuse(value, self.cls.__qualname__)
        made = {}
        for field in self.fields:
            name = field.name
            own = field.metadata.get("redact") if redact else None
            try:
                if redact and name in self.secrets:
                    made[name] = HIDDEN
                elif own:
                    made[name] = own(pack_as(self.shapes[name], getattr(value, name)))
                else:
                    made[name] = pack_as(self.shapes[name], getattr(value, name), redact)
            except (AttributeError, TypeError, EncodeError) as error:
                what = "a secret of another type" if name in self.secrets else error
                raise EncodeError(f"{self.cls.__qualname__}.{name}: {what}") from None
        return made

    def unpack(self, plain: Any, depth: int) -> Any:
        """The instance of a map, or Mismatch. A field that only the sender knows is ignored: it may be the newer one."""
        title = self.cls.__qualname__
        if type(plain) is not dict:
            raise Mismatch(f"expected the fields of {title}, found {_named(plain)}")
        _descend(depth)
        found = {}
        for field in self.fields:
            name = field.name
            if name in plain:
                try:
                    found[name] = unpack_as(self.shapes[name], plain[name], depth - 1)
                except Mismatch as error:
                    told = Mismatch("a secret of another type") if name in self.secrets else error
                    raise told.within(f".{name}") from None
            elif field.default is MISSING and field.default_factory is MISSING:
                raise Mismatch(f"field {name!r} of {title} is missing")
        try:
            return self.cls(**found)
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise Mismatch(f"{title} refuses these values: {error}") from None


def _is_plain(cls: Any) -> bool:
    """Whether a dataclass is made from all of its fields; msgspec leaves out those with an underscore."""
    return cls.__dataclass_params__.init and all(
        field.init and not field.name.startswith("_") for field in dataclasses.fields(cls)
    )


def _part(shape: k.Shape) -> Schema | None:
    """The schema of the dataclass that a field holds, if it holds one."""
    match shape:
        case k.DataShape(cls) | k.OptionalShape(k.DataShape(cls)) if not issubclass(cls, msgspec.Struct):
            return schema_of(cls)
    return None


def _part_packer(schema: Schema, shape: k.Shape) -> tuple[dict[int, Any], Callable[[Any], msgspec.Raw]]:
    """The bytes of a field's values that have been packed before, by identity, and what packs another one."""
    known: dict[int, Any] = {}

    def pack(value: Any) -> msgspec.Raw:
        if schema.checked(value) is None and (value is not None or shape == schema.shape):
            raise TypeError  # the careful way tells
        raw = msgspec.Raw(encode(value))
        if len(raw) <= KEPT_BYTES:
            if len(known) >= 2 * KEPT:
                known.clear()
            # In one step: while a value is kept here, no other object can have its id.
            known.update({id(value): raw, -id(value): value})
        return raw

    return known, pack


def _part_reader(kind: Any) -> Callable[[Any], Any]:
    """What reads a field's value; one that has been read once is known by its bytes."""
    decode = msgspec.msgpack.Decoder(kind).decode
    known = lru_cache(KEPT)(decode)

    def read(raw: Any) -> Any:
        if raw.__class__ is not msgspec.Raw:  # the default: the field was missing
            return raw
        return known(bytes(raw)) if len(raw) <= KEPT_BYTES else decode(raw)

    return read


def _reader(cls: type, parts: Iterable[str]) -> Callable[[Any], Any]:
    """What reads an instance of which some fields are parts: as a Struct in which they are not read yet."""
    names: dict[str, Any] = {"cls": cls}
    fields, given = [], []
    for field in msgspec.structs.fields(cls):
        name, kind = field.name, field.type
        if name in parts:
            names[f"part_{name}"] = _part_reader(kind)
        if name in parts:
            given.append(f"{name}=part_{name}(found.{name})")
        elif isinstance(
            field.default, float | str
        ):  # what is the default is the default: one object, not thousands
            names[f"usual_{name}"] = field.default
            given.append(f"{name}=usual_{name} if found.{name} == usual_{name} else found.{name}")
        else:
            given.append(f"{name}=found.{name}")
        default = msgspec.field(default=field.default, default_factory=field.default_factory)  # type: ignore[call-overload]
        fields.append((name, msgspec.Raw if name in parts else kind, default))
    struct = msgspec.defstruct(cls.__name__, fields, kw_only=True, gc=False)
    names["decode"] = msgspec.msgpack.Decoder(struct).decode
    return function_of("data", ["found = decode(data)", f"return cls({', '.join(given)})"], names)


def schema_of(cls: type) -> Schema:
    """What is known of a message class or frozen dataclass."""
    schema = _schemas.get(cls)
    if schema is None:
        with schema_lock:
            _looking.add(cls)
            try:
                schema = _schemas[cls] = Schema(cls)
            finally:
                _looking.discard(cls)
    return schema


def schema_of_message(kind: type | str) -> Schema | None:
    """The schema of a message class, or of the one that travels under a name; None if it is not registered."""
    known = _messages.get(kind if isinstance(kind, str) else k.wire_name(kind))
    if known is None or (known is not kind and not isinstance(kind, str)):
        return None
    schema = schema_of(known)
    if schema.decode is not None:
        ready[known] = ready[schema.name] = schema
    return schema


def native(shape: k.Shape, *, maps: bool) -> Any:
    """The annotation with which msgspec reads and writes a shape as this module does; None if there is none.

    With `maps`, the owner makes a FrozenDict of the dict that msgspec reads.
    """
    inner = tuple(native(part, maps=maps) for part in shape.parts)
    if None in inner:
        return None
    match shape:
        case k.PlainShape(kind):
            return kind
        case k.LiteralShape(values) if all(type(value) in {int, str, type(None)} for value in values):
            return Literal[values]
        case k.EnumShape(kind) if {type(member.value) for member in kind} in ({str}, {int}):
            return kind
        case k.DataShape(cls) if cls not in _looking and schema_of(cls).decode is not None:
            return cls
        case k.TupleShape(_, None) if inner:
            return types.GenericAlias(tuple, inner)
        case k.TupleShape(_, rest) if rest:
            return types.GenericAlias(tuple, (*inner, ...))
        case k.MapShape() if maps:
            return types.GenericAlias(dict, (str, *inner))
        case k.OptionalShape():
            return inner[0] | None
    return None


def exact_tests(
    shape: k.Shape, value: str, names: dict[str, Any], wrong: str, *, frozen: bool = False
) -> list[str]:
    """Statements that do `wrong` unless a value surely is of that shape (of a subclass, say, it may be all the same).

    `value` is the source of an expression, `names` takes what the statements need, and with `frozen` it is enough that the value
    cannot change.
    """

    def named(thing: Any = None) -> str:
        name = f"_{len(names)}"
        names[name] = thing
        return name

    def inner(part: k.Shape, expression: str, indent: str = "") -> list[str]:
        return [f"{indent}{line}" for line in exact_tests(part, expression, names, wrong, frozen=frozen)]

    if frozen and not freezes(shape):
        return []
    own = value if value.isidentifier() else named()
    let = [] if own == value else [f"{own} = {value}"]
    match shape:
        case k.PlainShape(kind) | k.EnumShape(kind):
            return [f"if {value}.__class__ is not {named(kind)}: {wrong}"]
        case k.OptionalShape(item):
            return [*let, f"if {own} is not None:", *(inner(item, own, " ") or [" pass"])]
        case k.TupleShape(_, rest) if rest:
            each = named()
            tests = inner(rest, each, " ")
            loop = [f"for {each} in {own}:", *tests] if tests else []
            return [*let, f"if {own}.__class__ is not tuple: {wrong}", *loop]
        case k.TupleShape(items):
            tests = [line for index, item in enumerate(items) for line in inner(item, f"{own}[{index}]")]
            return [*let, f"if {own}.__class__ is not tuple or len({own}) != {len(items)}: {wrong}", *tests]
        case k.LiteralShape(values):
            known = named({(type(one), one) for one in values})
            return [f"if ({value}.__class__, {value}) not in {known}: {wrong}"]
        case k.DataShape(cls):
            shapes = schema_of(cls).shapes.items()
            tests = [line for name, part in shapes for line in inner(part, f"{own}.{name}")]
            return [*let, f"if {own}.__class__ is not {named(cls)}: {wrong}", *tests]
        case k.MapShape(item) if frozen and not freezes(item):
            return [f"if {value}.__class__ is not {named(k.FrozenDict)}: {wrong}"]
    return [wrong]


def function_of(argument: str, lines: Iterable[str], names: dict[str, Any]) -> Callable[[Any], Any]:
    """A function of one argument that runs these lines."""
    exec(f"def made({argument}):\n" + "\n".join(f" {line}" for line in lines), names)  # noqa: S102 - fields' names
    made: Callable[[Any], Any] = names["made"]
    return made


def register_type(cls: type) -> None:
    """Let a message class or an enum be known by its name; TypeError if another class has that name."""
    name = k.wire_name(cls)
    if issubclass(cls, enum.Enum):
        _enums[name] = cls
        return
    known = _messages.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"two messages are called {name!r}: {known!r} and {cls!r}")
    for key in (known, name):
        ready.pop(key, None)  # type: ignore[arg-type]
    _messages[name] = cls


def registered_messages() -> tuple[type, ...]:
    """Every message class declared so far, in order of declaration."""
    return tuple(_messages.values())


def known_message(name: str) -> type:
    """The message class called `name`, or Mismatch with a hint."""
    if name not in _messages:
        module = name.partition(":")[0]
        raise Mismatch(f"unknown message type {name!r:.200}; is {module!r:.100} imported?")
    return _messages[name]


def _tuples(plain: Any) -> Any:
    """The value of an enum's member: a tuple is packed as an array."""
    return tuple(map(_tuples, plain)) if type(plain) is list else plain


def _descend(depth: int) -> None:
    if depth <= 0:
        raise Mismatch("nested too deeply")


def _named(value: Any) -> str:
    """A value for an error: its type, and a short look at it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return f"{'a map' if isinstance(value, dict) else 'an array'} of {len(value)}"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:60] + '…'}"


def _refuse(value: Any, wanted: str) -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
    raise EncodeError(f"{shown} is a {type(value).__qualname__}, not {wanted}")
