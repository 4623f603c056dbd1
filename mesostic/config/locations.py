"""On which line of a TOML text each key stands (`tomllib` does not say).

Made for texts that `tomllib` has accepted already, so it never complains: what it does not recognise it skips, and a
lookup falls back to the nearest enclosing key. Keys inside inline tables count as being on the line of the key
that holds the table.
"""

import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]


def key_lines(text: str) -> dict[Path, int]:
    """Line numbers (from 1) by key path; tables and elements of arrays of tables are in it too."""
    return _Scanner(text).scan()


def nearest_line(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of the key, or of the nearest table or key around it; None when nothing of it is in the text."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def split_key(text: str) -> tuple[str, ...]:
    """The parts of a dotted TOML key: `a."b.c".d` → ("a", "b.c", "d").

    Raises:
        ValueError: not a TOML key.
    """
    if "\n" in text or "=" in text.split('"', maxsplit=1)[0] or text.lstrip().startswith(("[", "#")):
        raise ValueError(f"{text!r} is not a key")
    table: object = tomllib.loads(f"{text} = 0")
    parts = []
    while isinstance(table, dict):
        (key, table), *others = table.items()
        if others:
            raise ValueError(f"{text!r} is not one key")
        parts.append(key)
    return tuple(parts)


class _Scanner:
    """Walks the text statement by statement: `[table]`, `[[array]]`, `key = value`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        prefix: Path = ()
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n":
                self.at += 1
            elif char == "#":
                self._skip_line()
            elif char == "[":
                prefix = self._header()
            else:
                self._key_and_value(prefix)
        return self.lines

    def _note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _header(self) -> Path:
        line = self._line()
        end = self.text.find("\n", self.at)
        content = self.text[self.at : end if end >= 0 else len(self.text)]
        is_array = content.startswith("[[")
        inside = self._until(content, 2 if is_array else 1, "]")
        self._skip_line()
        try:
            path = self._resolve(split_key(inside), last_is_array=is_array)
        except (ValueError, tomllib.TOMLDecodeError):
            return ()
        self._note(path, line)
        self.lines[path] = line
        return path

    def _resolve(self, key: tuple[str, ...], *, last_is_array: bool) -> Path:
        """A header's path with the indexes of the arrays of tables that it goes through."""
        path: Path = ()
        for position, part in enumerate(key):
            path += (part,)
            if last_is_array and position == len(key) - 1:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path += (self.counts[path],)
        return path

    def _key_and_value(self, prefix: Path) -> None:
        line, start = self._line(), self.at
        while self.at < len(self.text) and self.text[self.at] not in "=\n":
            if self.text[self.at] in "\"'":
                self._skip_string()
            else:
                self.at += 1
        key = self.text[start : self.at]
        self._skip_value()
        try:
            self._note(prefix + split_key(key), line)
        except (ValueError, tomllib.TOMLDecodeError):
            return

    def _skip_value(self) -> None:
        depth = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in "\"'":
                self._skip_string()
                continue
            if char == "#":
                self._skip_line()
                self.at -= 1
                if self.at < 0 or self.text[self.at] != "\n":
                    return
                char = "\n"
            if char == "\n" and depth <= 0:
                return
            depth += (char in "[{") - (char in "]}")
            self.at += 1

    def _skip_string(self) -> None:
        quote = self.text[self.at]
        triple = quote * 3
        mark = triple if self.text.startswith(triple, self.at) else quote
        self.at += len(mark)
        while self.at < len(self.text) and not self.text.startswith(mark, self.at):
            if len(mark) == 1 and self.text[self.at] == "\n":
                return
            self.at += 2 if self.text[self.at] == "\\" and quote == '"' else 1
        self.at += len(mark)
        while len(mark) == 3 and self.at < len(self.text) and self.text[self.at] == quote:
            self.at += 1  # up to two quotes may stand just before the closing ones

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end + 1

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    @staticmethod
    def _until(content: str, start: int, closing: str) -> str:
        quote = ""
        for position in range(start, len(content)):
            char = content[position]
            if quote:
                quote = "" if char == quote else quote
            elif char in "\"'":
                quote = char
            elif char == closing:
                return content[start:position]
        return content[start:]
