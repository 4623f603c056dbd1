"""A configuration as it was read: the tables, where each key came from, and the problems found in it.

Nothing here knows what the keys mean.
"""

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from mesostic.config.locations import Path, key_lines, nearest_line
from mesostic.config.overrides import Override, apply_override, parse_override
from mesostic.config.toml import loads
from mesostic.errors import ConfigError


@dataclass
class Document:
    """One configuration file with the `--set` overrides laid over it.

    Attributes:
        file: as the user named it, for messages.
        folder: absolute; paths in the file and modules beside it are looked for here.
        table: the file's content, overrides applied.
        problems: filled while tables are built; `fail_on_problems` tells them all.
    """

    file: str
    folder: FilePath
    table: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)
    overrides: dict[Path, Override] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def where(self, path: Path) -> str:
        """Where the key stands, to start a message with: "hello.toml:7" or "--set scheduler.seed=…"."""
        override = self.override_of(path)
        if override is not None:
            return override.option
        line = nearest_line(self.lines, path)
        return self.file if line is None else f"{self.file}:{line}"

    def override_of(self, path: Path) -> Override | None:
        """The override that set this key or a table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return self.overrides[path[:length]]
        return None

    def raw_override(self, path: Path) -> str | None:
        """The text after `--set key=`, when exactly this key was set there."""
        override = self.overrides.get(path)
        return None if override is None else override.raw

    def base_folder(self, path: Path) -> FilePath:
        """What a relative file path at this key is relative to: the file's folder; for `--set`, the current one."""
        return FilePath.cwd() if self.override_of(path) is not None else self.folder

    def problem(self, path: Path, text: str) -> None:
        """Note a problem; the message gets the place and the key in front."""
        line = nearest_line(self.lines, path) or 0
        override = self.override_of(path)
        key = "" if override is not None and override.is_flag else dotted(path)
        self.problems.append((line, f"{self.where(path)}: {key + ': ' if key else ''}{text}"))

    def unknown_key(self, path: Path, known: Iterable[str]) -> None:
        """Note an unknown key, with the nearest known ones."""
        self.problem(path, "unknown key" + suggestion(str(path[-1]), known))

    def fail_on_problems(self) -> None:
        """Raise what was found.

        Raises:
            ConfigError: there is at least one problem; all are in it, in the order of the file.
        """
        if self.problems:
            texts = tuple(dict.fromkeys(text for _, text in sorted(self.problems, key=lambda item: item[0])))
            count = "an error" if len(texts) == 1 else f"{len(texts)} errors"
            raise ConfigError(f"{self.file} has {count}; nothing was started.", texts)


def load_document(path: str | FilePath, sets: Sequence[str] = ()) -> Document:
    """Read a TOML file and lay `key=value` overrides over it.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or an override is not `key=value`.
    """
    file = FilePath(path)
    try:
        text = file.read_bytes().decode("utf-8")
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; name the TOML file in it.") from None
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist{_nearby(file)}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a TOML file: byte {error.start} is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    return parse_document(text, file=str(path), folder=file.resolve().parent, sets=sets)


def parse_document(text: str, *, file: str, folder: FilePath, sets: Sequence[str] = ()) -> Document:
    """As `load_document`, for a text that is there already."""
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
    for text_of_set in sets:
        override = parse_override(text_of_set)
        document.overrides[apply_override(document.table, override)] = override
    return document


def dotted(path: Path) -> str:
    """`("cluster", "agents", 0, "cpus")` → "cluster.agents[0].cpus"; parts that need quotes get them."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part.replace("-", "").replace("_", "").isalnum() and part.isascii()
            text += ("." if text else "") + (part if plain else f'"{part}"')
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message: "did you mean …?" with the nearest known words, or all of them when they are few."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    if not names:
        return "; no keys are expected here"
    return f"; known are: {', '.join(names)}" if len(names) <= 24 else ""


def _nearby(file: FilePath) -> str:
    try:
        names = [entry.name for entry in file.parent.iterdir() if entry.suffix == ".toml"]
    except OSError:
        return ""
    near = difflib.get_close_matches(file.name, names, n=1)
    return f"; did you mean {file.parent / near[0]}?" if near else ""
