"""Temporary folders that do not pile up: what a run that was killed left behind, the next run removes.

A folder that is in use has a file in it that is locked (flock). The lock is the kernel's and goes with the last process that
has it, however that ends: so a folder whose file is not locked is not in use. A folder without such a file is left alone:
it was kept on purpose, or is somebody else's.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path

_LOCK = ".in-use"
_in_use: "set[TemporaryFolder]" = set()


class TemporaryFolder:
    """A folder of this process, which only its user can read; all of one purpose have one prefix."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        unlocked = self.path / f"{_LOCK}.new"
        self._handle = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        unlocked.rename(self.path / _LOCK)  # locked from its first moment
        _in_use.add(self)

    def fileno(self) -> int:
        """The lock, for a child that is to hold it too."""
        return self._handle

    def keep(self) -> None:
        """Keep it for good."""
        _in_use.discard(self)
        with contextlib.suppress(OSError):
            (self.path / _LOCK).unlink()

    def remove(self) -> None:
        """Remove it with all that is in it."""
        _in_use.discard(self)
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def remove_all_in_use() -> None:
    """Remove every folder of this process, which is about to end without another word."""
    for folder in tuple(_in_use):
        folder.remove()


def remove_leftovers(prefix: str) -> None:
    """Remove the folders whose processes are dead; what cannot be removed stays."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                with contextlib.suppress(OSError):
                    _remove_if_left(entry)


def remove_leftovers_aside(prefix: str) -> None:
    """Do that in a thread that nothing waits for."""
    threading.Thread(target=remove_leftovers, args=(prefix,), name="leftovers", daemon=True).start()


def _remove_if_left(entry: os.DirEntry[str]) -> None:
    if not entry.is_dir(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
        return
    handle = os.open(Path(entry.path) / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(entry.path, ignore_errors=True)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make it durable that files have come into a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
