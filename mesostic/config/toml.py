"""TOML texts: what they hold, read by `tomllib`, and on which line each key stands, which `tomllib` does not say."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]
"""Where a value stands: the keys of the tables around it, and its indexes in arrays."""

# TOML promises no more; and Python can neither read nor print a number of thousands of digits
_TOO_LARGE = "an integer must fit into 64 bits (19 digits)"

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'|#[^\n]*|[][{}\n]",
    re.DOTALL,
)


def loads(text: str) -> dict[str, Any]:
    """Read a TOML text.

    Raises TOMLDecodeError where it is none, RecursionError where it is nested too deeply, ValueError for too large integers.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # of int(): too many digits even to be read
        raise ValueError(_TOO_LARGE) from None
    _check("", table)
    return table


def _check(where: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check(f"{where}.{key}" if where else key, item)
    elif isinstance(value, list):
        for item in value:
            _check(where, item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{where}: {_TOO_LARGE}")


def value_or_text(raw: str) -> Any:
    """The TOML value that the text is, or the text; ValueError where it only starts like a list, a table or a quoted string."""
    try:
        parsed = loads(f"value = {raw}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if raw.strip()[:1] in {"[", "{", '"', "'"}:
            raise ValueError(f"the value is not valid TOML: {error}") from None
        return raw
    # "1\nother = 2" is TOML, but not one value
    return parsed["value"] if parsed.keys() == {"value"} else raw


def split_key(text: str) -> tuple[str, ...]:
    """The parts of a dotted TOML key: `a."b.c".d` → ("a", "b.c", "d"); ValueError where it is none."""
    if "\n" in text or "=" in text.split('"', maxsplit=1)[0] or text.lstrip().startswith(("[", "#")):
        raise ValueError(f"{text!r} is not a key")
    parts = list(_paths(tomllib.loads(f"{text} = 0")))
    if any(len(path) != length for length, path in enumerate(parts, start=1)):
        raise ValueError(f"{text!r} is not one key")
    return parts[-1]


def key_lines(text: str) -> dict[Path, int]:
    """Line numbers (from 1) by key path; tables and elements of arrays of tables are in it too.

    Keys inside inline tables are on the line of the key that holds the table. What is not TOML is skipped.
    """
    lines: dict[Path, int] = {}
    last_index: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text):
        try:
            content: Any = tomllib.loads(statement)
        except (ValueError, RecursionError):
            continue
        if not statement.lstrip().startswith("["):
            for path in _paths(content):
                lines.setdefault((*table, *path), line)
            continue
        table = ()
        while content:  # {"a": {"b": {}}} for [a.b], {"a": {"b": [{}]}} for [[a.b]]
            ((key, content),) = content.items()
            table += (key,)
            lines.setdefault(table, line)
            if isinstance(content, list):
                last_index[table] = last_index.get(table, -1) + 1
                (content,) = content
            if table in last_index:
                table += (last_index[table],)
        lines[table] = line
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header, and each key with its value, with the line where it begins."""
    line, start, depth = 1, 0, 0
    for token in _TOKEN.finditer(f"{text}\n"):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if token[0] == "\n" and depth <= 0:
            yield line, text[start : token.start()]
            line += text.count("\n", start, token.end())
            start = token.end()


def _paths(table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The path of every key of a table and of the tables in it, outer ones first."""
    for key, value in table.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))
