"""Files that lie beside a durable store and belong to the same framework: the upload token, and the folder for uploads.

A trace shows every message, so the token is in none: it is made once, kept beside the store, and reaches server and connection
with the composition that they are constructed with.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from pathlib import Path

logger = logging.getLogger("actors.server")

_SHORTEST = 32  # characters of a token; the file of one that is shorter was cut off


def token_for(store_path: str) -> str:
    """Return the token: that of an earlier run with the same store, so that its executors can still upload, or a new one.

    Args:
        store_path: of a durable store, or "".

    Raises:
        OSError: The file beside the store can be neither read nor written.
    """
    drawn = secrets.token_urlsafe(_SHORTEST)
    if not store_path:
        return drawn
    path = Path(f"{store_path}.token")
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = _kept(path)
    if kept == "":
        logger.warning("%s was damaged and is made again: executors that run already cannot upload", path)
        path.unlink()
    return kept or _keep(path, drawn)


def _kept(path: Path) -> str | None:
    """Return what the file holds: a token, "" if it is damaged, None if there is none."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    token = text.decode("latin-1").strip()
    return token if len(token) >= _SHORTEST and token.isascii() and token.isprintable() else ""


def _keep(path: Path, token: str) -> str:
    """Write the file as a whole or not at all; if another process has just done so, its token counts."""
    handle, aside = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # readable by its user only
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return _kept(path) or token
        except OSError:  # a file system without links
            Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)
    return token


def folder_beside(store_path: str) -> Path:
    """Return the folder for uploads of a framework with a durable store."""
    return Path(f"{store_path}.uploads").absolute()


def sync_folder(folder: Path) -> None:
    """Make it durable that files have come into a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
