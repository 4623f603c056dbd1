"""TOML tables → frozen settings dataclasses, with every mismatch noted and none raised.

How it works: `build` walks a dataclass's fields and hands each value to `_convert` with the field's type; a value
that does not fit is noted in the document (place, key, expected, found) and replaced by `INVALID`; a dataclass with
an invalid field is not constructed. So one pass finds everything that is wrong.

What a field may be: bool, int, float, str, bytes, Secret, Path, Enum, Literal, NewType, Optional and unions, tuples, frozensets,
mappings, `tuple[tuple[str, T], ...]` (a table), nested dataclasses, and any class with a `parse(text)` classmethod.
`fields` says which unit a field has ("seconds", "bytes", "MB", "path") and whether it is secret.
"""

import dataclasses
import enum
import math
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Literal, TypeVar, Union, cast

from actors.runtime import Secret, conceal
from mesostic.config import quantities
from mesostic.config.document import Document, dotted, suggestion
from mesostic.config.fields import FieldInfo, looks_secret, settings_fields
from mesostic.config.sources import ON_THE_COMMAND_LINE, is_source, text_from
from mesostic.config.toml import Path, value_or_text

T = TypeVar("T")


class _Invalid:
    """Stands for a value whose problem has been noted."""


INVALID = _Invalid()

_UNITS = {
    "seconds": (quantities.parse_duration, quantities.DURATION_EXPECTED),
    "bytes": (quantities.parse_size, quantities.SIZE_EXPECTED),
    "MB": (quantities.parse_megabytes, quantities.MEGABYTES_EXPECTED),
}

_URLS = re.compile(r",\s*(?=\w+://)")
_LONGEST_SHOWN = 60
_LAST_PORT = 65535


def build(
    cls: type[T],
    table: Mapping[str, Any],
    path: Path,
    document: Document,
    *,
    given: Mapping[str, Any] | None = None,
) -> T | None:
    """An instance of the settings class `cls` from a table; None after noting what is wrong with it.

    Args:
        cls: a frozen dataclass.
        table: what is in the file.
        path: where it stands.
        document: takes the problems.
        given: values of fields that do not come from the table (unless it has them, too).
    """
    fields = settings_fields(cls)
    values: dict[str, Any] = dict(given or {})
    for key, value in table.items():
        if key not in fields:
            document.unknown_key((*path, key), fields)
            values[key] = INVALID
        else:
            values[key] = build_field(fields[key], value, (*path, key), document)
    for name, field in fields.items():
        if name not in values and field.required:
            more = f" ({field.help.rstrip('.')})" if field.help else ""
            document.problem((*path, name), f"missing; expected {describe(field)}{more}")
            values[name] = INVALID
    if any(value is INVALID for value in values.values()):
        return None
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        document.problem(path, _sentence(error))
        return None


def build_field(field: FieldInfo, value: Any, path: Path, document: Document) -> Any:
    """One field's value; `INVALID` after noting what is wrong with it."""
    return _convert(field.type, value, _Place(path, document, field))


def describe(field: FieldInfo) -> str:
    """What a field expects, in words."""
    return _describe(field.type, field.unit)


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands, and what is known of it besides its type."""

    path: Path
    document: Document
    field: FieldInfo

    def inside(self, part: str | int) -> "_Place":
        return dataclasses.replace(self, path=(*self.path, part))

    @property
    def unit(self) -> str | None:
        return self.field.unit

    @property
    def is_secret(self) -> bool:
        return self.field.secret or any(isinstance(part, str) and looks_secret(part) for part in self.path)

    @property
    def raw(self) -> str | None:
        """What `--set` says for this very key."""
        return self.document.raw_override(self.path)

    def mismatch(self, expected: str, value: Any) -> _Invalid:
        found = kind(value) if self.is_secret else show(value)
        self.document.problem(self.path, f"expected {expected}, found {found}")
        return INVALID


def _convert(hint: Any, value: Any, place: _Place) -> Any:
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    origin = typing.get_origin(hint)
    if hint is Any or hint is object:
        return value
    if origin in {Union, types.UnionType}:
        return _convert_union(hint, value, place)
    if origin is Literal:
        allowed = [item for item in typing.get_args(hint) if type(item) is type(value)]
        return value if value in allowed else place.mismatch(_describe(hint, None), value)
    if origin is not None:
        return _convert_container(origin, hint, value, place)
    if hint in _SCALARS:
        return _SCALARS[hint](value, place)
    if isinstance(hint, type):
        return _convert_class(hint, value, place)
    return place.mismatch(_describe(hint, place.unit), value)


def _convert_union(hint: Any, value: Any, place: _Place) -> Any:
    """The first member that takes the value as it is; a member of the very type of the value goes first."""
    members: list[Any] = [member for member in typing.get_args(hint) if member is not type(None)]
    if len(members) == 1:
        return _convert(members[0], value, place)
    if place.raw is not None and isinstance(value, str) and str in members:
        urls = _URLS.split(value)  # not the hosts of one zk:// address
        if len(urls) > 1:
            value = urls
    members.sort(key=lambda member: type(value) not in (member, typing.get_origin(member)))
    for member in members:
        attempt = dataclasses.replace(place, document=dataclasses.replace(place.document, problems=[]))
        converted = _convert(member, value, attempt)
        if converted is not INVALID:
            return converted
    if isinstance(value, list | dict):
        fitting = [
            m for m in members if (typing.get_origin(m) in {tuple, frozenset}) == isinstance(value, list)
        ]
        containers = [m for m in fitting if not (isinstance(m, type) and m in _SCALARS)]
        if len(containers) == 1:
            return _convert(containers[0], value, place)  # its own messages say more
    return place.mismatch(_describe(hint, place.unit), value)


def _convert_container(origin: Any, hint: Any, value: Any, place: _Place) -> Any:
    arguments = typing.get_args(hint)
    if place.raw is not None and not isinstance(value, list | dict):
        value = _written_out(hint, origin, arguments, value, place.raw)
    if origin is tuple and isinstance(value, dict) and _pair_of(hint) is not None:
        return _all(
            tuple((key, _convert(_pair_of(hint), item, place.inside(key))) for key, item in value.items())
        )
    if origin in {tuple, frozenset, list, set}:
        if not isinstance(value, list | tuple):
            return place.mismatch(_describe(hint, place.unit), value)
        if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
            if len(arguments) != len(value):
                return place.mismatch(_describe(hint, place.unit), value)
            wanted = arguments
        else:
            wanted = (arguments[0],) * len(value)
        converted = tuple(
            _convert(w, item, place.inside(index))
            for index, (w, item) in enumerate(zip(wanted, value, strict=True))
        )
        made = _all(converted)
        return frozenset(made) if origin in {frozenset, set} and made is not INVALID else made
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            return place.mismatch(_describe(hint, place.unit), value)
        items = {key: _convert(arguments[1], item, place.inside(key)) for key, item in value.items()}
        if any(item is INVALID for item in items.values()):
            return INVALID
        return (
            cast("Any", origin)(items) if origin.__name__ == "FrozenDict" else types.MappingProxyType(items)
        )
    return place.mismatch(_describe(hint, place.unit), value)


def _written_out(hint: Any, origin: Any, arguments: Any, value: Any, raw: str) -> Any:
    """`--set key=a,b` for a list, `--set key=a=1,b=2` for a table; what is neither is left as it is."""
    if _pair_of(hint) is not None or (isinstance(origin, type) and issubclass(origin, Mapping)):
        inner = _pair_of(hint) or arguments[1]
        pairs = [part.partition("=") for part in raw.split(",")]
        if not all(equals and key.strip() for key, equals, _ in pairs):
            return value
        return {key.strip(): _part(inner, text) for key, _, text in pairs}
    if origin not in {tuple, frozenset, list, set}:
        return value
    inner = arguments[0] if len(arguments) == 1 or arguments[1:] == (Ellipsis,) else None
    return [_part(inner, part) for part in raw.split(",")] if raw else []


def _part(hint: Any, text: str) -> Any:
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    return text.strip() if hint is str else value_or_text(text.strip())


def _convert_class(cls: type, value: Any, place: _Place) -> Any:
    if issubclass(cls, enum.Enum):
        for member in cls:
            if type(value) is type(member.value) and value == member.value:
                return member
            if isinstance(value, str) and value.upper() == member.name.upper():
                return member
        if isinstance(value, str):
            names = [str(member.value) for member in cls]
            place.document.problem(
                place.path, f"expected {_describe(cls, None)}, found {show(value)}{_near(value, names)}"
            )
            return INVALID
        return place.mismatch(_describe(cls, None), value)
    if dataclasses.is_dataclass(cls) and isinstance(value, dict):
        built = build(cls, value, place.path, place.document)
        return INVALID if built is None else built
    if issubclass(cls, Mapping) and isinstance(value, dict):
        return cast("Any", cls)(value)
    parse = getattr(cls, "parse", None)
    if parse is not None and isinstance(value, str):
        try:
            return parse(value)
        except ValueError as error:
            place.document.problem(
                place.path, f"expected {_describe(cls, None)}, found {show(value)}: {error}"
            )
            return INVALID
    return place.mismatch(_describe(cls, place.unit), value)


def _bool(value: Any, place: _Place) -> Any:
    return value if isinstance(value, bool) else place.mismatch(_describe(bool, None), value)


def _int(value: Any, place: _Place) -> Any:
    number = _number(value, place)
    if number is INVALID or (isinstance(number, float) and not number.is_integer()):
        return place.mismatch(_describe(int, place.unit), value)
    if place.field.name.rpartition("_")[2] == "port" and not 0 <= number <= _LAST_PORT:
        return place.mismatch(f"a port from 0 to {_LAST_PORT}", value)
    return int(number)


def _float(value: Any, place: _Place) -> Any:
    number = _number(value, place)
    if number is INVALID or not math.isfinite(number):
        return place.mismatch(_describe(float, place.unit), value)
    return float(number)


def _number(value: Any, place: _Place) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and place.unit in _UNITS:
        try:
            return _UNITS[place.unit][0](value)
        except ValueError:
            return INVALID
    return INVALID


def _str(value: Any, place: _Place) -> Any:
    if is_source(value):
        value = text_from(value, place.path, place.document)
        return INVALID if value is None else value
    if not isinstance(value, str):
        if place.raw is None or isinstance(value, list | dict):
            return place.mismatch(_describe(str, None), value)
        value = place.raw
    if place.is_secret and value and _is_on_the_command_line(place):
        place.document.problem(place.path, ON_THE_COMMAND_LINE.format(key=dotted(place.path)))
        return INVALID
    if place.is_secret:
        conceal(value)
    if place.unit == "path" and value:
        return str(place.document.base_folder(place.path) / FilePath(value).expanduser())
    return value


def _is_on_the_command_line(place: _Place) -> bool:
    override = place.document.override_of(place.path)
    return override is not None and not override.is_flag


def _secret(value: Any, place: _Place) -> Any:
    field = dataclasses.replace(place.field, secret=True, unit=None)
    text = _str(value, dataclasses.replace(place, field=field))
    return text if text is INVALID else Secret(text)


def _bytes(value: Any, place: _Place) -> Any:
    if is_source(value):
        value = text_from(value, place.path, place.document)
        return INVALID if value is None else value.encode()
    if isinstance(value, str):
        value = _str(value, place)
    if value is INVALID:
        return INVALID
    return value.encode() if isinstance(value, str) else place.mismatch(_describe(bytes, None), value)


def _path(value: Any, place: _Place) -> Any:
    if not isinstance(value, str):
        return place.mismatch(_describe(FilePath, None), value)
    return place.document.base_folder(place.path) / FilePath(value).expanduser()


_SCALARS: dict[Any, Any] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    bytes: _bytes,
    FilePath: _path,
    Secret: _secret,
}


def _all(items: tuple[Any, ...]) -> Any:
    for item in items:
        if item is INVALID or (isinstance(item, tuple) and any(part is INVALID for part in item)):
            return INVALID
    return items


def _pair_of(hint: Any) -> Any:
    """For `tuple[tuple[str, T], ...]`, which a table fills: T."""
    arguments = typing.get_args(hint)
    if len(arguments) == 2 and arguments[1] is Ellipsis and typing.get_origin(arguments[0]) is tuple:
        pair = typing.get_args(arguments[0])
        if len(pair) == 2 and pair[0] is str and pair[1] is not Ellipsis:
            return pair[1]
    return None


_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    bytes: "a string",
    FilePath: "the path of a file or folder",
    Secret: "a string",
}


def _describe(hint: Any, unit: str | None) -> str:
    """What a type expects, in words."""
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    if unit in _UNITS and hint in {int, float}:
        return _UNITS[unit][1]
    if unit == "path" and hint is str:
        return _NAMES[FilePath]
    if hint in _NAMES:
        return _NAMES[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {Union, types.UnionType}:
        return " or ".join(_describe(member, unit) for member in arguments if member is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(show_literal(item) for item in arguments)
    if _pair_of(hint) is not None:
        return f"a table of {_plural(_describe(_pair_of(hint), unit))}"
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return "a list of " + ", ".join(_describe(item, unit) for item in arguments)
    if origin in {tuple, frozenset, list, set}:
        return f"a list of {_plural(_describe(arguments[0], unit))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a table of {_plural(_describe(arguments[1], unit))}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "one of " + ", ".join(show_literal(member.value) for member in hint)
    if dataclasses.is_dataclass(hint) and not hasattr(hint, "parse"):
        return "a table"
    return f"a string that says {getattr(hint, '__name__', str(hint)).lower()}"


def _plural(description: str) -> str:
    plurals = {
        "a string": "strings",
        "a number": "numbers",
        "a whole number": "whole numbers",
        "a table": "tables",
    }
    return plurals.get(description, f"({description})")


def kind(value: Any) -> str:
    """The TOML type of a value, in words."""
    if isinstance(value, bool):
        return "a boolean"
    kinds = {str: "a string", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


def show(value: Any) -> str:
    """A value as a message quotes it: cut to a readable length, with its type when that is the point."""
    text = show_literal(value)
    if len(text) > _LONGEST_SHOWN:
        text = text[: _LONGEST_SHOWN - 1] + "…"
    if isinstance(value, dict):
        return "a table"
    return f"{text} ({kind(value)})"


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


def _near(value: str, names: list[str]) -> str:
    hint = suggestion(value, names)
    return hint if "did you mean" in hint else ""


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
