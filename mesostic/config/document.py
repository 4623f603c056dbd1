"""A configuration as it was read: the tables with `--set` laid over them, where each key came from, and the problems found.

Nothing here knows what the keys mean. The value of `--set key=value` is TOML (`--set cluster.agents=3`,
`--set 'framework.roles=["web"]'`); what is not TOML is taken as a string, so that `--set scheduler.seed=http://example.org`
needs no quotes. Where a list is expected, its parts may stand with commas between them, where a table is, `name=value` with
commas between. An error never quotes the value: it may be a secret.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar

from mesostic.config.toml import Path, key_lines, loads, split_key, value_or_text
from mesostic.errors import ConfigError

T = TypeVar("T")
_PLAIN = re.compile(r"[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Override:
    """One `--set`, or a flag of its own (`--port 5050`).

    A key that wants a string takes `raw`, the text after the `=` (`--set framework.name=007`), in place of TOML's `value`.
    """

    key: str
    value: Any
    raw: str
    is_flag: bool = False


@dataclass
class Document:
    """One configuration file with the `--set` overrides laid over it; `problems` are collected while tables are built.

    `file` is what the user called it, `folder` (absolute) is where paths in it and modules beside it are looked for.
    """

    file: str
    folder: FilePath
    table: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)
    overrides: dict[Path, Override] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def where(self, path: Path) -> str:
        """Where the key stands, to start a message with: "hello.toml:7" or "--set scheduler.seed=…"."""
        if (override := self.override_of(path)) is not None:
            return override.key if override.is_flag else f"--set {override.key}"
        line = _nearest(self.lines, path)
        return f"{self.file}:{line}" if line else self.file

    def override_of(self, path: Path) -> Override | None:
        """The override that set this key or a table around it."""
        return _nearest(self.overrides, path)

    def file_at(self, path: Path, name: str) -> FilePath:
        """Return the file that the value at this key names: relative to the document's folder; with `--set`, to the current one.

        `~` is a home directory, as in a shell: where there is no such user it is part of the name.
        """
        folder = FilePath.cwd() if self.override_of(path) is not None else self.folder
        return folder / os.path.expanduser(name)  # noqa: PTH111 - pathlib's raises where there is no such user

    def problem(self, path: Path, text: str) -> None:
        """Note a problem; the message gets the place and the key in front."""
        override = self.override_of(path)
        key = "" if override is not None and override.is_flag else dotted(path)
        line = _nearest(self.lines, path) or 0
        self.problems.append((line, f"{self.where(path)}: {key + ': ' if key else ''}{text}"))

    def unknown_key(self, path: Path, known: Iterable[str]) -> None:
        """Note an unknown key, with the nearest known ones."""
        self.problem(path, "unknown key" + suggestion(str(path[-1]), known))

    def fail_on_problems(self) -> None:
        """Raise one ConfigError with all problems, in the order of the file, if there are any."""
        if self.problems:
            texts = tuple(dict.fromkeys(text for _, text in sorted(self.problems, key=lambda item: item[0])))
            count = "an error" if len(texts) == 1 else f"{len(texts)} errors"
            raise ConfigError(f"{self.file} has {count}; nothing was started.", texts)


def _nearest(known: Mapping[Path, T], path: Path) -> T | None:
    """What is known of a key, or of the nearest table around it."""
    return next((known[path[:end]] for end in range(len(path), 0, -1) if path[:end] in known), None)


def load_document(path: str | FilePath, sets: Sequence[str] = ()) -> Document:
    """Read a TOML file and lay `key=value` overrides over it; ConfigError where that cannot be done."""
    file = FilePath(path)
    try:
        text = file.read_bytes().decode("utf-8")
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; name the TOML file in it.") from None
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist{_nearby(file)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a TOML file: byte {error.start} is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    return parse_document(text, file=str(path), folder=file.resolve().parent, sets=sets)


def parse_document(text: str, *, file: str, folder: FilePath, sets: Sequence[str] = ()) -> Document:
    """As `load_document`, for a text that has been read."""
    text = text.replace("\r\n", "\n")
    try:
        table = loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.") from None
    except ValueError as error:
        raise ConfigError(f"{file} is not usable: {error}.") from None
    except RecursionError:
        raise ConfigError(f"{file} is not usable: its arrays or tables are nested too deeply.") from None
    document = Document(file=file, folder=folder, table=table, lines=key_lines(text))
    for setting in sets:
        _override(document, setting)
    return document


def _override(document: Document, setting: str) -> None:
    """Put the value of `key=value` in its place, making tables on the way; a number may index an array."""
    key, equals, raw = setting.partition("=")
    if not equals:
        shown = _beginning(setting)
        raise ConfigError(f"--set {shown}: expected key=value, for example --set scheduler.limit=100.")
    try:
        parts = split_key(key.strip())
    except ValueError:
        text = f"--set {_beginning(key)}=…: that is not a key; keys look like table.key or actors.name.key."
        raise ConfigError(text) from None
    try:
        override = Override(key.strip(), value_or_text(raw), raw)
    except ValueError as error:
        raise ConfigError(f"--set {key}=…: {str(error).removeprefix('value: ')}.") from None
    holder: Any = document.table
    path: list[Any] = []
    for position, part in enumerate(parts):
        if path:
            holder = holder[path[-1]] if isinstance(holder, list) else holder.setdefault(path[-1], {})
        if isinstance(holder, list) and part.isdecimal() and int(part) < len(holder):
            path.append(int(part))
        elif isinstance(holder, dict):
            path.append(part)
        else:
            where = ".".join(parts[:position])
            raise ConfigError(f"--set {override.key}=…: {where} is not a table, so it has no keys.")
    holder[path[-1]] = override.value
    document.overrides[tuple(path)] = override


def _beginning(text: str) -> str:
    """What may be a key; the rest is not shown: it may be a secret that was put in the wrong place."""
    shown = re.match(r"[\w.-]*", text.strip())
    return f"{shown[0]}…" if shown and shown[0] != text.strip() else text.strip()


def dotted(path: Path) -> str:
    """`("cluster", "agents", 0, "cpus")` → "cluster.agents[0].cpus"; parts that need quotes get them."""
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{part}" if _PLAIN.fullmatch(part) else f'."{part}"'
        for part in path
    )
    return "".join(parts).removeprefix(".")


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message: "did you mean …?" with the nearest known words, or all of them when they are few."""
    names = sorted(set(known))
    all_of_them = f"; known are: {', '.join(names)}" if len(names) <= 24 else ""
    return guess(word, names) or (all_of_them if names else "; no keys are expected here")


def guess(word: str, known: Iterable[str]) -> str:
    """The end of a message: "did you mean …?" with the nearest known word, if one is near."""
    near = difflib.get_close_matches(word, sorted(set(known)), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _nearby(file: FilePath) -> str:
    try:
        names = [entry.name for entry in file.parent.iterdir() if entry.suffix == ".toml"]
    except OSError:
        return "."
    near = difflib.get_close_matches(file.name, names, n=1)
    return f"; did you mean {file.parent / near[0]}?" if near else "."
