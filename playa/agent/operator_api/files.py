"""Sandbox files over HTTP: browse, read, download (Mesos documentation, endpoints `/files/*`).

A path is a sandbox's own, as MESOS_SANDBOX and `/state` name it, or virtual: `/frameworks/<F>/executors/<E>/runs/latest/…`.
Nothing outside the agent's sandboxes and persistent volumes can be reached, whatever links a task makes.
"""

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mesos_v1 import pb
from mesos_v1.content import to_json
from mesos_v1.values import NANOS
from playa.web import Refused

PAGE: Final = 1 << 20


class Files:
    """What may be looked into."""

    def __init__(self, work_dir: Path, agent_id: Callable[[], str]) -> None:
        self._work_dir = work_dir
        self._agent_id = agent_id

    def resolve(self, path: str) -> Path:
        """A path of a client as one on the disk; 404 for what is not there or not to be seen."""
        if not path:
            raise Refused(400, "Expecting 'path=value' in query.\n")
        root = Path(os.path.realpath(self._work_dir))
        if path.startswith(("/frameworks/", "frameworks/")):
            wanted = root / "slaves" / self._agent_id() / path.lstrip("/")
        else:
            wanted = Path(path)
        try:
            real = Path(os.path.realpath(wanted))
            seen = any(real.is_relative_to(root / part) for part in ("slaves", "volumes")) and real.exists()
        except (OSError, ValueError):  # a name that is too long, or that no file can have
            seen = False
        if not seen:
            raise Refused(404)
        return real

    def file(self, path: str, wanted: str) -> Path:
        """A file that a client wants to read or download; 400 for a folder."""
        file = self.resolve(path)
        if file.is_dir():
            raise Refused(400, f"Cannot {wanted} a directory.\n")
        if not file.is_file():
            raise Refused(404)  # a pipe would keep everybody waiting
        return file

    def file_infos(self, path: str) -> list[pb.mesos.FileInfo]:
        """The entries of a folder, by name, for LIST_FILES."""
        folder = self.resolve(path)
        if not folder.is_dir():
            raise Refused(404)
        with _gone_is_404():
            return [_info(item, path) for item in sorted(folder.iterdir())]

    def browse(self, path: str) -> list[dict[str, Any]]:
        """The same as the JSON of `/files/browse`."""
        return [
            to_json(info) | {"mtime": info.mtime.nanoseconds / NANOS, "mode": stat.filemode(info.mode)}
            for info in self.file_infos(path)
        ]

    def read(self, path: str, offset: int, length: int | None) -> tuple[bytes, int]:
        """A piece of a file, up to a page, and the file's size; an offset of -1 asks only for that."""
        file = self.file(path, "read")
        with _gone_is_404(), file.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            if not 0 <= offset < size:
                return b"", size
            source.seek(offset)
            return source.read(PAGE if length is None else min(length, PAGE)), size


@contextmanager
def _gone_is_404() -> Iterator[None]:
    """What a task removes, or takes its rights from, while it is looked at."""
    try:
        yield
    except OSError:
        raise Refused(404) from None


def _info(item: Path, shown: str) -> pb.mesos.FileInfo:
    found = item.lstat()
    try:
        followed = item.stat()
    except OSError:
        followed = found
    return pb.mesos.FileInfo(
        path=f"{shown.rstrip('/')}/{item.name}",
        nlink=found.st_nlink,
        size=followed.st_size,
        mtime=pb.mesos.TimeInfo(nanoseconds=followed.st_mtime_ns),
        mode=followed.st_mode,
        uid=_name(lambda: pwd.getpwuid(found.st_uid).pw_name, found.st_uid),
        gid=_name(lambda: grp.getgrgid(found.st_gid).gr_name, found.st_gid),
    )


def _name(look_up: Any, number: int) -> str:
    try:
        return str(look_up())
    except KeyError:
        return str(number)
