"""Where an agent keeps things: sandboxes under `slaves/…/runs/<container>`, checkpoints under `meta/…`.

The layout is the real agent's, so that what looks into a sandbox (people, scripts, `MESOS_SANDBOX`, the files endpoint)
finds it where it looks. Nothing here reads or writes checkpoints; that is `checkpoint.py`.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths under one agent's work directory."""

    work_dir: Path

    @property
    def meta(self) -> Path:
        """Where checkpoints are."""
        return self.work_dir / "meta"

    def executor(self, agent_id: str, framework_id: str, executor_id: str) -> Path:
        """The folder of an executor, over all its runs."""
        return (
            self.work_dir
            / "slaves"
            / agent_id
            / "frameworks"
            / _segment(framework_id)
            / "executors"
            / _segment(executor_id)
        )

    def sandbox(self, agent_id: str, framework_id: str, executor_id: str, container_id: str) -> Path:
        """The sandbox of one run of an executor."""
        return self.executor(agent_id, framework_id, executor_id) / "runs" / container_id

    def volume(self, role: str, persistence_id: str) -> Path:
        """Where a persistent volume keeps its data, whoever uses it."""
        return self.work_dir / "volumes" / "roles" / _role(role) / _segment(persistence_id)


def _segment(name: str) -> str:
    """A name as one safe path segment: ids come from clients, and Mesos refuses slashes and dots in them too."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        return "".join(c if c not in "/\0." else f"%{ord(c):02x}" for c in name) or "%"
    return name


def _role(role: str) -> str:
    """Hierarchical roles are one folder each, not nested (as in Mesos: slashes become spaces)."""
    return _segment(role.replace("/", " "))


def make_sandbox(path: Path) -> None:
    """Make a run's sandbox, for its user's eyes only, and point the executor's `latest` at it.

    Raises:
        OSError: The folder cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    latest = path.parent / "latest"
    fresh = path.parent / f".latest-{path.name}"
    fresh.symlink_to(path.name)
    fresh.replace(latest)


def open_output(folder: Path, name: str) -> BinaryIO:
    """A sandbox's `stdout` or `stderr`, to write more to; a link that a task or an archive has put there is not followed.

    Raises:
        OSError: It is a link, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(folder / name, flags, 0o644), "ab")


def link_volume(volume: Path, sandbox: Path, container_path: str) -> None:
    """Make a persistent volume appear in a sandbox (a symbolic link, as for command executors without images).

    Raises:
        ValueError: The container path leaves the sandbox.
        OSError: The link cannot be made.
    """
    volume.mkdir(parents=True, exist_ok=True)
    volume.chmod(0o700)
    if os.geteuid() == 0:  # whoever the task runs as can use it, and nobody else
        owner = sandbox.stat()
        os.chown(volume, owner.st_uid, owner.st_gid)
    target = inside(sandbox, container_path)
    if target.is_symlink() or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(volume, target_is_directory=True)


def inside(folder: Path, relative: str) -> Path:
    """`folder / relative`, which must not lead out of the folder.

    Raises:
        ValueError: It is absolute, or leads out.
    """
    target = Path(os.path.normpath(folder / relative))
    if Path(relative).is_absolute() or target == folder or folder not in target.parents:
        raise ValueError(f"path '{relative}' is not inside the sandbox")
    return target


def remove(path: Path) -> None:
    """Remove a folder with all that is in it; what is gone already is fine. Links are not followed."""
    shutil.rmtree(path, ignore_errors=True)
