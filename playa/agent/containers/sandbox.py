"""Sandboxes: where they are (`slaves/…/runs/<container>`, as with a real agent), who may look into them, their volumes."""

import os
import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from mesos_v1 import pb
from playa.agent.messages import ExecutorRun


def sandbox_path(work_dir: Path, agent_id: str, run: ExecutorRun) -> Path:
    """The sandbox of one run of an executor."""
    executors = work_dir / "slaves" / agent_id / "frameworks" / _segment(run.framework_id) / "executors"
    return executors / _segment(run.executor_id) / "runs" / run.container_id


def volume_path(work_dir: Path, resource: pb.mesos.Resource) -> Path:
    """Where a persistent volume keeps its data. Hierarchical roles are one folder each (as in Mesos: slashes become spaces)."""
    role = resource.reservations[-1].role if resource.reservations else resource.role
    name = _segment(resource.disk.persistence.id)
    return work_dir / "volumes" / "roles" / _segment(role.replace("/", " ")) / name


def _segment(name: str) -> str:
    """A name as one safe path segment: ids come from clients, and Mesos refuses slashes and dots in them too."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        return "".join(c if c not in "/\0." else f"%{ord(c):02x}" for c in name) or "%"
    return name


def user_to_switch_to(name: str) -> pwd.struct_passwd | None:
    """A user to run as, None for the cluster's own: only root can switch, and only to somebody else."""
    if not name or os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise OSError(f"Failed to get user information for '{name}'") from None
    return None if entry.pw_uid == 0 else entry


def make_sandbox(path: Path, user: str, volumes: Iterable[tuple[str, str]]) -> None:
    """Make a run's sandbox, for its user's eyes only, with its volumes, and point the executor's `latest` at it."""
    path.mkdir(parents=True, exist_ok=True)
    _give_to(path, user)
    fresh = path.parent / f".latest-{path.name}"
    fresh.symlink_to(path.name)
    fresh.replace(path.parent / "latest")
    for volume, container_path in volumes:
        link_volume(Path(volume), path, container_path)


def make_nested_sandbox(path: Path, executor_sandbox: Path, task: pb.mesos.TaskInfo, user: str) -> None:
    """Make the sandbox of a task of a group: inside its executor's, with a link by the task's id, and with its volumes."""
    path.mkdir(parents=True)
    if _give_to(path, user) and executor_sandbox.stat().st_uid != path.stat().st_uid:
        executor_sandbox.chmod(0o711)  # to be passed through, not looked into
    link = executor_sandbox / "tasks" / task.task_id.value
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    for resource in task.resources:
        inner = resource.disk.volume.container_path
        if resource.disk.HasField("persistence") and "/" not in inner:
            (path / inner).symlink_to(executor_sandbox / inner)


def _give_to(folder: Path, name: str) -> bool:
    folder.chmod(0o700)
    user = user_to_switch_to(name)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return user is not None


def open_output(folder: Path, name: str) -> BinaryIO:
    """A sandbox's `stdout` or `stderr`, to write more to; OSError for a link that a task or an archive has put there."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(folder / name, flags, 0o644), "ab")


def link_volume(volume: Path, sandbox: Path, container_path: str) -> None:
    """Make a persistent volume appear in a sandbox (a symbolic link, as for command executors without images)."""
    volume.mkdir(parents=True, exist_ok=True)
    volume.chmod(0o700)
    if os.geteuid() == 0:  # whoever the task runs as can use it, and nobody else
        owner = sandbox.stat()
        os.chown(volume, owner.st_uid, owner.st_gid)
    target = inside(sandbox, container_path)
    if not target.is_symlink() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(volume, target_is_directory=True)


def inside(folder: Path, relative: str) -> Path:
    """`folder / relative`; ValueError if that is absolute, or leads out of the folder."""
    target = Path(os.path.normpath(folder / relative))
    if Path(relative).is_absolute() or target == folder or folder not in target.parents:
        raise ValueError(f"path '{relative}' is not inside the sandbox")
    return target
