"""TOML tables → frozen settings dataclasses, with every mismatch noted and none raised.

`settings_fields` says what a class wants: by a field's metadata (`actors.runtime.setting`); where that is silent, the
"Attributes:" section of the docstring gives the help, and the name gives the unit (`*_timeout` is a duration, `*_dir` a path) and
the secrecy (`secret`, `token`, …). `reader_of` makes of an annotation a reader, which knows in words what it expects and how it
takes a value. A value that does not fit is noted in the document (place, key, expected, found) and replaced by `INVALID`; a
dataclass with an invalid field is not constructed. So one pass finds everything that is wrong.

A text may also come from elsewhere (`{ env = "NAME" }`, `{ file = "path" }`), and is then a secret to everything that prints.
"""

import dataclasses
import enum
import math
import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast

from actors.runtime import FrozenDict, Secret, conceal, documented_fields
from actors.runtime import shapes as s
from mesos_v1 import quantities
from mesostic.config.document import Document, dotted, guess
from mesostic.config.toml import Path, value_or_text

T = TypeVar("T")
Table = Mapping[str, Any]


class _Mark(enum.Enum):
    INVALID = "a value whose problem has been noted"
    MISFIT = "a value that is not what was expected"


INVALID, _MISFIT = _Mark.INVALID, _Mark.MISFIT

_DURATION_NAME = re.compile(
    r"(^|_)(timeout|interval|period|delay|duration|backoff|pause|grace|patience)(_(min|max|factor|cap|base))?$"
)
_SECRET_NAME = re.compile(
    r"(^|[_-])(secret|secret_key|api_?key|access_?key|password|passwd|credentials?|token)s?$", re.IGNORECASE
)
_UNITS = {
    "seconds": (quantities.parse_duration, quantities.DURATION_EXPECTED),
    "bytes": (quantities.parse_size, quantities.SIZE_EXPECTED),
    "MB": (quantities.parse_megabytes, quantities.MEGABYTES_EXPECTED),
}
_URLS = re.compile(r",\s*(?=\w+://)")
_LONGEST_SHOWN = 60
_LAST_PORT = 65535
_PATH_EXPECTED = "the path of a file or folder"
_ON_THE_COMMAND_LINE = (
    "a secret on the command line can be read by every user of this machine;"
    " name an environment variable or a file that holds it: --set '{key}={{ env = \"NAME\" }}' or '{{ file = \"path\" }}'"
)


@dataclasses.dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of a settings class; `unit` is "seconds", "bytes", "MB", "path" or None, `help` may be ""."""

    name: str
    type: Any
    unit: str | None
    secret: bool
    help: str
    required: bool
    default: Any = dataclasses.field(default=None, repr=False)

    @property
    def expected(self) -> str:
        """What fits, in words."""
        return reader_of(self.type, self.unit).expected

    def read(self, value: Any, path: Path, document: Document) -> Any:
        """Its value; `INVALID` after noting what is wrong with it."""
        return reader_of(self.type, self.unit).read(value, _Place(path, document, self))


def settings_fields(cls: type) -> dict[str, FieldInfo]:
    """The fields that a table may set, by name, in the order of the class; TypeError if it is not a frozen dataclass."""
    return _read_fields(cls)


@lru_cache(maxsize=256)
def _read_fields(cls: Any) -> dict[str, FieldInfo]:
    if not dataclasses.is_dataclass(cls) or not cast("Any", cls).__dataclass_params__.frozen:
        raise TypeError(f"{cls.__module__}:{cls.__qualname__} is not a frozen dataclass")
    hints, helps = typing.get_type_hints(cls), documented_fields(cls)
    fields = {}
    for field in dataclasses.fields(cls):
        name, hint, metadata = field.name, hints[field.name], field.metadata
        if not field.init or name.startswith("_"):
            continue
        unit = metadata.get("unit") or ("path" if name.endswith("_dir") else None)
        if unit is None and _DURATION_NAME.search(name) and float in {hint, *typing.get_args(hint)}:
            unit = "seconds"
        secret = bool(metadata.get("secret") or looks_secret(name))
        text = str(metadata.get("help") or helps.get(name, ""))
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        required = default is dataclasses.MISSING
        fields[name] = FieldInfo(name, hint, unit, secret, text, required, None if required else default)
    return fields


def looks_secret(name: str) -> bool:
    """Whether a key or an environment variable of this name should not be shown."""
    return _SECRET_NAME.search(name) is not None


def build(
    cls: type[T], table: Table, path: Path, document: Document, *, given: Table | None = None
) -> T | None:
    """An instance of the settings class `cls` from the table at `path`; None after noting what is wrong with it.

    `given` are values of fields that do not come from the table (unless it has them, too).
    """
    fields = settings_fields(cls)
    values: dict[str, Any] = dict(given or {})
    for key, value in table.items():
        if key in fields:
            values[key] = fields[key].read(value, (*path, key), document)
        else:
            document.unknown_key((*path, key), fields)
            values[key] = INVALID
    for name, field in fields.items():
        if name not in values and field.required:
            more = f" ({field.help.rstrip('.')})" if field.help else ""
            document.problem((*path, name), f"missing; expected {field.expected}{more}")
            values[name] = INVALID
    if INVALID in values.values():
        return None
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        document.problem(path, (" ".join(str(error).split()) or type(error).__name__)[:300])
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands, and what is known of it besides its type."""

    path: Path
    document: Document
    field: FieldInfo

    def inside(self, part: str | int) -> "_Place":
        return dataclasses.replace(self, path=(*self.path, part))

    @property
    def is_secret(self) -> bool:
        return self.field.secret or any(isinstance(part, str) and looks_secret(part) for part in self.path)

    @property
    def raw(self) -> str | None:
        """What `--set` says for this very key."""
        override = self.document.overrides.get(self.path)
        return None if override is None else override.raw

    def wrong(self, text: str) -> _Mark:
        self.document.problem(self.path, text)
        return INVALID

    def file(self, name: str) -> FilePath:
        return self.document.file_at(self.path, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """How values of a type are read; `expected` says in words what fits.

    `take` gives the value as it is stored, `_MISFIT` for what is something else, `INVALID` for what has been noted. `toml` is
    the TOML type that is one of its own: a union tries the reader of a value's own type first.
    """

    expected: str
    take: Callable[[Any, _Place], Any]
    toml: type | None = None

    def read(self, value: Any, place: _Place) -> Any:
        """The value; `INVALID` after noting what is wrong with it."""
        taken = self.take(value, place)
        if taken is _MISFIT:
            return place.wrong(f"expected {self.expected}, found {show(value, hidden=place.is_secret)}")
        return taken

    @property
    def plural(self) -> str:
        singular = self.expected in {"a string", "a number", "a whole number", "a table"}
        return f"{self.expected.removeprefix('a ')}s" if singular else f"({self.expected})"


@lru_cache(maxsize=1024)
def reader_of(hint: Any, unit: str | None) -> Reader:
    """The reader for an annotation; `unit` is that of the field around it.

    Values may be bool, int, float, str, bytes, Secret, Path, Enum, Literal, NewType, Optional and unions, tuples, frozensets,
    mappings, `tuple[tuple[str, T], ...]` (a table), nested dataclasses, and any class with a `parse(text)` classmethod.
    """
    return _reader(s.shape_of(hint, "", loose=True), unit)


def _reader(shape: s.Shape, unit: str | None) -> Reader:
    match shape:
        case s.PlainShape(cls) if cls in {int, float} and unit in _UNITS:
            return _quantity(cls, unit)
        case s.PlainShape(cls) if cls is str and unit == "path":
            return Reader(_PATH_EXPECTED, _made(lambda text, at: str(at.file(text)) if text else text), str)
        case s.PlainShape(cls):
            return Reader(*_SCALARS[cls], cls)
        case s.PathShape():
            return Reader(
                _PATH_EXPECTED, lambda value, at: at.file(value) if isinstance(value, str) else _MISFIT
            )
        case s.SecretShape():
            return Reader("a string", _made(lambda text, _: Secret(text), secret=True))
        case s.AnyShape():
            return Reader("anything", lambda value, _: value)
        case s.OptionalShape(item):
            return _reader(item, unit)
        case s.UnionShape():
            return _union([_reader(part, unit) for part in shape.parts])
        case s.LiteralShape(values):
            allowed = {_key(value) for value in values}
            expected = "one of " + ", ".join(map(show_literal, values))
            return Reader(expected, lambda value, _: value if _key(value) in allowed else _MISFIT)
        case s.TupleShape((), s.TupleShape((s.PlainShape(cls), item), None) as pair) if cls is str:
            pairs = _list("", tuple, rest=_reader(pair, unit))
            return _table(_reader(item, unit), lambda items: tuple(items.items()), pairs)
        case s.TupleShape(items, None):
            readers = [_reader(item, unit) for item in items]
            return _list("a list of " + ", ".join(reader.expected for reader in readers), tuple, readers)
        case s.TupleShape((), rest) | s.SetShape(rest) if rest is not None:
            reader = _reader(rest, unit)
            make = frozenset if isinstance(shape, s.SetShape) else tuple
            return _list(f"a list of {reader.plural}", make, rest=reader)
        case s.MapShape(item):
            return _table(_reader(item, unit), FrozenDict)
        case s.EnumShape(cls):
            return _enum(cls)
        case s.DataShape(cls) | s.OtherShape(cls):
            return _class(cls)
    raise TypeError(f"a setting cannot be a {shape.label}")


def _key(value: Any) -> Any:
    return (type(value), value) if isinstance(value, str | int | float) else None


def _union(members: list[Reader]) -> Reader:
    def take(value: Any, place: _Place) -> Any:
        # the first member that takes the value as it is; a member of the very type of the value goes first
        if place.raw is not None and isinstance(value, str) and any(member.toml is str for member in members):
            urls = _URLS.split(value)  # not the hosts of one zk:// address
            value = urls if len(urls) > 1 else value
        for member in sorted(members, key=lambda member: member.toml is not type(value)):
            attempt = dataclasses.replace(place, document=dataclasses.replace(place.document, problems=[]))
            taken = member.read(value, attempt)
            if taken is not INVALID:
                return taken
        same = [member for member in members if member.toml is type(value) and member.toml in {list, dict}]
        return same[0].read(value, place) if len(same) == 1 else _MISFIT  # its own messages say more

    return Reader(" or ".join(member.expected for member in members), take)


def _list(
    expected: str, make: Callable[[Any], Any], items: Sequence[Reader] = (), rest: Reader | None = None
) -> Reader:
    """Fixed items, or any number of `rest`."""

    def take(value: Any, place: _Place) -> Any:
        raw = None if isinstance(value, list | dict) else place.raw
        if raw is not None:
            value = raw.split(",") if raw else []
        if not isinstance(value, list | tuple) or (rest is None and len(value) != len(items)):
            return _MISFIT
        readers = items if rest is None else [rest] * len(value)
        taken = [
            item.read(each if raw is None else _part(item, each), place.inside(index))
            for index, (item, each) in enumerate(zip(readers, value, strict=True))
        ]
        return INVALID if INVALID in taken else make(taken)

    return Reader(expected, take, list)


def _table(item: Reader, make: Callable[[Any], Any], pairs: Reader | None = None) -> Reader:
    """Keys are texts; what is kept as pairs may be a list of them (read by `pairs`), too."""

    def take(value: Any, place: _Place) -> Any:
        if place.raw is not None and not isinstance(value, list | dict):
            parts = [part.partition("=") for part in place.raw.split(",")]
            if all(equals and key.strip() for key, equals, _ in parts):
                value = {key.strip(): _part(item, text) for key, _, text in parts}
        if isinstance(value, list | tuple) and pairs is not None:
            return pairs.take(value, place)
        if not isinstance(value, dict):
            return _MISFIT
        taken = {key: item.read(each, place.inside(key)) for key, each in value.items()}
        return INVALID if INVALID in taken.values() else make(taken)

    return Reader(f"a table of {item.plural}", take, dict)


def _part(item: Reader, text: str) -> Any:
    """A part of `--set key=a,b` or `--set key=a=1,b=2`."""
    return text.strip() if item.toml is str else value_or_text(text.strip())


def _class(cls: Any) -> Reader:
    parse = getattr(cls, "parse", None)
    is_table = dataclasses.is_dataclass(cls)
    expected = f"a string that says {cls.__name__.lower()}" if parse or not is_table else "a table"

    def take(value: Any, place: _Place) -> Any:
        if isinstance(value, dict) and is_table:
            built = build(cls, value, place.path, place.document)
            return INVALID if built is None else built
        if isinstance(value, dict) and issubclass(cls, Mapping):
            return cls(value)
        if parse is None or not isinstance(value, str):
            return _MISFIT
        try:
            return parse(value)
        except ValueError as error:
            return place.wrong(f"expected {expected}, found {show(value)}: {error}")

    return Reader(expected, take, dict if expected == "a table" else None)


def _enum(cls: type[enum.Enum]) -> Reader:
    expected = "one of " + ", ".join(show_literal(member.value) for member in cls)
    by_value = {_key(member.value): member for member in cls}
    by_name = {member.name.upper(): member for member in cls}

    def take(value: Any, place: _Place) -> Any:
        if (member := by_value.get(_key(value))) is not None:
            return member
        if not isinstance(value, str):
            return _MISFIT
        near = guess(value, [str(member.value) for member in cls])
        return by_name.get(value.upper()) or place.wrong(f"expected {expected}, found {show(value)}{near}")

    return Reader(expected, take)


def _int(value: Any, place: _Place) -> Any:
    number = _float(value, place)
    if number is _MISFIT or not number.is_integer():
        return _MISFIT
    if place.field.name.rpartition("_")[2] == "port" and not 0 <= number <= _LAST_PORT:
        return place.wrong(f"expected a port from 0 to {_LAST_PORT}, found {show(value)}")
    return int(value)


def _float(value: Any, _: _Place) -> Any:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fits else _MISFIT


def _quantity(cls: type, unit: str) -> Reader:
    parse, expected = _UNITS[unit]

    def take(value: Any, place: _Place) -> Any:
        try:
            return _SCALARS[cls][1](parse(value) if isinstance(value, str) else value, place)
        except ValueError:
            return _MISFIT

    return Reader(expected, take, cls)


def _str(value: Any, place: _Place) -> Any:
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in {"env", "file"}:
        return _text_from_elsewhere(*next(iter(value.items())), place)
    if not isinstance(value, str):
        if place.raw is None or isinstance(value, list | dict):
            return _MISFIT
        value = place.raw
    if place.is_secret:
        override = place.document.override_of(place.path)
        if value and override is not None and not override.is_flag:
            return place.wrong(_ON_THE_COMMAND_LINE.format(key=dotted(place.path)))
        conceal(value)
    return value


def _text_from_elsewhere(kind: str, name: Any, place: _Place) -> Any:
    if not isinstance(name, str) or not name:
        what = "an environment variable" if kind == "env" else "a file"
        return place.wrong(f"expected the name of {what} in {kind} = …")
    try:
        text = os.environ[name] if kind == "env" else place.file(name).read_text("utf-8").rstrip("\r\n")
    except KeyError:
        return place.wrong(f"the environment variable {name} is not set")
    except OSError as error:
        return place.wrong(f"the file {place.file(name)} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return place.wrong(f"the file {place.file(name)} is not text")
    conceal(text)
    return text


def _made(make: Callable[[str, _Place], Any], *, secret: bool = False) -> Callable[[Any, _Place], Any]:
    """What is made of a text."""

    def take(value: Any, place: _Place) -> Any:
        if secret:
            place = dataclasses.replace(place, field=dataclasses.replace(place.field, secret=True))
        text = _str(value, place)
        return make(text, place) if isinstance(text, str) else text

    return take


_SCALARS: dict[Any, tuple[str, Callable[[Any, _Place], Any]]] = {
    bool: ("true or false", lambda value, _: value if isinstance(value, bool) else _MISFIT),
    int: ("a whole number", _int),
    float: ("a number", _float),
    str: ("a string", _str),
    bytes: ("a string", _made(lambda text, _: text.encode())),
}
_KINDS = {
    bool: "a boolean",
    str: "a string",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def show(value: Any, *, hidden: bool = False) -> str:
    """A value as a message quotes it: cut to a readable length, and its type; `hidden`: the type alone."""
    kind = _KINDS.get(type(value), "a date or time")
    if hidden or isinstance(value, dict):
        return kind
    text = show_literal(value)
    return f"{text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + '…'} ({kind})"


def show_literal(value: Any) -> str:
    """A value as TOML would spell it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(show_literal(item) for item in value) + "]"
    return str(value)
