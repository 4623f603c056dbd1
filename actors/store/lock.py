"""Whose a store is: one process holds a file beside it locked, and says in it who it is.

The lock is the kernel's (flock): it goes with the process however that ends, so a lock that is left behind does not exist.
The file stays; what it says counts only while it is locked. Locks of this kind hold between the processes of one machine;
over a network file system they may not, which is why a store belongs on a disk of the machine itself.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path


class HeldError(Exception):
    """Somebody else has the store: one sentence that says who, without the store's name."""


class StoreLock:
    """A lock that is held until `release`, or until the process ends.

    Raises:
        HeldError: Another process, or another framework of this one, holds it.
        OSError: The file beside the store cannot be made or locked.
    """

    def __init__(self, store: str) -> None:
        path = f"{store}.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_who_we_are()).encode(), 0)
        except OSError as error:
            holder = os.pread(handle, 4096, 0) if error.errno in {errno.EWOULDBLOCK, errno.EACCES} else None
            os.close(handle)
            if holder is None:
                raise
            raise HeldError(f"is in use by {_described(holder)}") from None
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        _held.add(handle)

    def release(self) -> None:
        """Let go of it."""
        if self._handle in _held:
            _held.discard(self._handle)
            os.close(self._handle)


_held: set[int] = set()


def _let_go_in_child() -> None:
    """A child made by fork alone must not hold on to what its parent has locked."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


def _who_we_are() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "command": _command(sys.argv),
    }


def _command(arguments: list[str]) -> str:
    """Return the command without its options, as these may hold a secret."""
    words = [Path(arguments[0]).name] if arguments else []
    for word in arguments[1:]:
        if word.startswith("-"):
            break
        words.append(word)
    return " ".join(words)


def _described(holder: bytes) -> str:
    try:
        said = json.loads(holder)
        return f"process {said['pid']} on {said['host']} since {said['since']} ({said['command']})"
    except (ValueError, TypeError, KeyError):
        return "another process"
