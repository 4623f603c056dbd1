"""`--set key=value`: one value of the configuration, given on the command line.

The value is TOML (`--set cluster.agents=3`, `--set scheduler.render=false`, `--set 'framework.roles=["web"]'`); what is not
TOML is taken as a string, so that `--set scheduler.seed=http://example.org` needs no quotes. Where a list is expected, its
parts may stand with commas between them, where a table is, `name=value` with commas between. An error never quotes the value: it may be
a secret.
"""

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from mesostic.config.locations import Path, split_key
from mesostic.config.toml import loads
from mesostic.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Override:
    """One `--set`.

    Attributes:
        key: as written.
        path: the key's parts; digits may index an array.
        value: what TOML made of it, or the text itself.
        raw: the text after the `=`; a key that wants a string takes this (`--set framework.name=007`).
        is_flag: it was a flag of its own (`--port 5050`), not a `--set`.
    """

    key: str
    path: Path
    value: Any
    raw: str
    is_flag: bool = False

    @property
    def option(self) -> str:
        """How the command line has it."""
        return self.key if self.is_flag else f"--set {self.key}"


def parse_override(text: str) -> Override:
    """Read `key=value`.

    Raises:
        ConfigError: no `=`, a key that is none, or a list, table or quoted string that does not end.
    """
    key, equals, raw = text.partition("=")
    if not equals:
        raise ConfigError(
            f"--set {_beginning(text)}: expected key=value, for example --set scheduler.limit=100."
        )
    try:
        path = split_key(key.strip())
    except ValueError:
        raise ConfigError(
            f"--set {_beginning(key)}=…: that is not a key; keys look like table.key or actors.name.key."
        ) from None
    return Override(key=key.strip(), path=path, value=_value(key, raw), raw=raw)


def apply_override(table: dict[str, Any], override: Override) -> Path:
    """Put the value in its place, making tables on the way; the path with array indexes as numbers.

    Raises:
        ConfigError: the way goes through something that is not a table.
    """
    current: Any = table
    resolved: list[str | int] = []
    for position, part in enumerate(override.path):
        last = position == len(override.path) - 1
        if isinstance(current, list) and str(part).isdecimal() and int(part) < len(current):
            index = int(part)
            resolved.append(index)
            if last:
                current[index] = override.value
            current = current[index]
        elif isinstance(current, dict):
            resolved.append(part)
            if last:
                current[str(part)] = override.value
            else:
                current = current.setdefault(str(part), {})
        else:
            through = ".".join(str(name) for name in override.path[:position])
            raise ConfigError(f"--set {override.key}=…: {through} is not a table, so it has no keys.")
    return tuple(resolved)


def toml_or_text(raw: str) -> Any:
    """The TOML value that the text is, or the text.

    Raises:
        ValueError: it starts like a list, a table or a quoted string, and is none; or a number in it is too large.
    """
    try:
        parsed = loads(f"value = {raw}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if raw.strip()[:1] in {"[", "{", '"', "'"}:
            raise ValueError(f"the value is not valid TOML: {error}") from None
        return raw
    # "1\nother = 2" is TOML, but not one value
    return parsed["value"] if parsed.keys() == {"value"} else raw


def _beginning(text: str) -> str:
    """What may be a key; the rest is not shown: it may be a secret that was put in the wrong place."""
    shown = re.match(r"[\w.-]*", text.strip())
    return f"{shown[0]}…" if shown and shown[0] != text.strip() else text.strip()


def _value(key: str, raw: str) -> Any:
    try:
        return toml_or_text(raw)
    except ValueError as error:
        raise ConfigError(f"--set {key}=…: {str(error).removeprefix('value: ')}.") from None
