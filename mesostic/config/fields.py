"""What a settings class says about its fields: type, unit, help, whether it is secret.

The field's metadata says it (`actors.runtime.setting`); where it does not, the "Attributes:" section of the class's
docstring gives the help, and the name gives the unit (`*_timeout` is a duration, `*_dir` a path) and the secrecy
(`secret`, `password`, `credentials`, `token`).
"""

import dataclasses
import inspect
import re
import typing
from functools import lru_cache
from typing import Any, cast

_DURATION_NAME = re.compile(
    r"(^|_)(timeout|interval|period|delay|duration|backoff|pause|grace|patience)(_(min|max|factor|cap|base))?$"
)
_SECRET_NAME = re.compile(
    r"(^|[_-])(secret|secret_key|api_?key|access_?key|password|passwd|credentials?|token)s?$", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"^    (?P<name>\w+)(?: \([^)]*\))?: (?P<text>.*)$")


@dataclasses.dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of a settings class.

    Attributes:
        name: the key in a table.
        type: resolved.
        unit: "seconds", "bytes", "MB", "path", or None.
        secret: never to be shown.
        help: one or two sentences, or "".
        required: there is no default.
    """

    name: str
    type: Any
    unit: str | None
    secret: bool
    help: str
    required: bool
    default: Any = dataclasses.field(default=None, repr=False)


def settings_fields(cls: type) -> dict[str, FieldInfo]:
    """The fields that a table may set, by name, in the order of the class.

    Raises:
        TypeError: `cls` is not a frozen dataclass.
    """
    return _read_fields(cls)


@lru_cache(maxsize=256)
def _read_fields(cls: Any) -> dict[str, FieldInfo]:
    if not dataclasses.is_dataclass(cls) or not cast("Any", cls).__dataclass_params__.frozen:
        raise TypeError(f"{cls.__module__}:{cls.__qualname__} is not a frozen dataclass")
    hints = typing.get_type_hints(cls)
    helps = _documented(cls)
    return {
        field.name: _info(field, hints[field.name], helps.get(field.name, ""))
        for field in dataclasses.fields(cls)
        if field.init and not field.name.startswith("_")
    }


def looks_secret(name: str) -> bool:
    """Whether a key or an environment variable of this name should not be shown."""
    return _SECRET_NAME.search(name) is not None


def _info(field: "dataclasses.Field[Any]", hint: Any, documented: str) -> FieldInfo:
    metadata = field.metadata
    unit = metadata.get("unit")
    if unit is None and _DURATION_NAME.search(field.name) and float in {hint, *typing.get_args(hint)}:
        unit = "seconds"
    if unit is None and field.name.endswith("_dir"):
        unit = "path"
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    required = default is dataclasses.MISSING
    return FieldInfo(
        name=field.name,
        type=hint,
        unit=unit,
        secret=bool(metadata.get("secret") or looks_secret(field.name)),
        help=str(metadata.get("help") or documented),
        required=required,
        default=None if required else default,
    )


def _documented(cls: Any) -> dict[str, str]:
    """Help texts from the "Attributes:" sections of the class and its bases (Google style)."""
    helps: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        _, _, section = (inspect.getdoc(ancestor) or "" if ancestor is not object else "").partition(
            "Attributes:\n"
        )
        name = None
        for line in section.splitlines():
            match = _ATTRIBUTE.match(line)
            if match:
                name = match["name"]
                helps[name] = match["text"].strip()
            elif name and line.startswith("        "):
                helps[name] += " " + line.strip()
            elif line.strip():
                break
    return helps
