"""Texts that do not stand in the file: `{ env = "NAME" }` and `{ file = "path" }`, and what `--set` may not say.

Either may stand wherever a text is expected. What they give is a secret to everything that prints: it was kept out of the
configuration for a reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from actors.runtime import conceal
from mesostic.config.document import Document
from mesostic.config.toml import Path

KEYS = ("env", "file")

ON_THE_COMMAND_LINE = (
    "a secret on the command line can be read by every user of this machine;"
    " name an environment variable or a file that holds it: --set '{key}={{ env = \"NAME\" }}' or '{{ file = \"path\" }}'"
)


def is_source(value: Any) -> bool:
    """Whether a table says where a text is to be found."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in KEYS


def text_from(value: Mapping[str, Any], path: Path, document: Document) -> str | None:
    """The text that a source names; None after noting why there is none."""
    ((kind, name),) = value.items()
    if not isinstance(name, str) or not name:
        document.problem(path, f"expected the name of {_called(kind)} in {kind} = …")
        return None
    text = os.environ.get(name) if kind == "env" else _read(name, path, document)
    if text is None:
        if kind == "env":
            document.problem(path, f"the environment variable {name} is not set")
        return None
    conceal(text)
    return text


def _read(name: str, path: Path, document: Document) -> str | None:
    file = document.base_folder(path) / FilePath(name).expanduser()
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        document.problem(path, f"the file {file} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        document.problem(path, f"the file {file} is not text")
    return None


def _called(kind: str) -> str:
    return "an environment variable" if kind == "env" else "a file"
