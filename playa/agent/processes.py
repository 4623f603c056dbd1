"""Processes of tasks and executors: started in their own session, reaped at once, never left behind.

Rules of this file:

* A child is a session and process group of its own; signals go to the group, so that what it started hears them too.
* Its end is noticed through a pidfd on the event loop: no thread, no polling, no zombie. What is left of its group is
  killed before it is reaped (while its id cannot be taken by another), as a container is destroyed with its last run.
* Every child is listed with the watcher process (`watcher.py`) unless it may survive the cluster, so that a cluster
  that dies by `kill -9` leaves nothing behind.
* Children belong to the operating system's process, not to an actor: an agent that is killed and started again within
  one cluster finds them here by their id (`adopt`).

Only Linux has pidfds; elsewhere a child is looked at ten times a second.
"""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesos_v1 import pb
from playa.agent.proc import session_members, start_time
from playa.agent.sandbox import open_output

_WATCHER: Final = str(Path(__file__).with_name("watcher.py"))
_KEEPER: Final = str(Path(__file__).with_name("keeper.py"))
_POLL: Final = 0.1
_MOST_REMEMBERED: Final = 10_000
_Callback = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    Attributes:
        program: Path, or name to be found on the child's PATH.
        argv: The argument vector, the program's own name first.
        environment: All of its variables.
        directory: Where it runs; `stdout` and `stderr` are appended to there.
        user: Name of the user to run as; empty, or not changeable: the cluster's own.
    """

    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    user: str = ""


def command_of(
    info: pb.mesos.CommandInfo, environment: Mapping[str, str], directory: Path, user: str = ""
) -> Command:
    """A CommandInfo as something to start: through the shell, or its own argument vector."""
    if info.shell:
        return Command("/bin/sh", ("sh", "-c", info.value), environment, directory, user)
    argv = tuple(info.arguments) or (info.value,)
    return Command(info.value, argv, environment, directory, user)


class Child:
    """A running process of ours; `ended` gives its wait status, or None when nobody could know it."""

    def __init__(self, pid: int, loop: asyncio.AbstractEventLoop) -> None:
        self.pid = pid
        self.ended: asyncio.Future[int | None] = loop.create_future()

    async def wait(self) -> int | None:
        """Wait for the end. Waiting may be cancelled and begun again."""
        return await asyncio.shield(self.ended)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; what has ended already is fine."""
        if self.ended.done():
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def kill(self) -> None:
        """Kill the group, and what it started that has left the group but not the session."""
        self.signal(signal.SIGKILL)
        if self.ended.done():
            return
        for pid in session_members(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


class ProcessTable:
    """The children of this cluster process, by the work directory they belong to."""

    def __init__(self) -> None:
        self._children: dict[int, tuple[Child, str]] = {}
        self._survivors: set[int] = set()
        self._remembered: dict[tuple[int, int], int | None] = {}
        self._watch: _Watch | None = None

    def spawn(
        self,
        command: Command,
        *,
        owner: str,
        survives: bool = False,
        remember: bool = False,
        status_file: Path | None = None,
    ) -> Child:
        """Start a process.

        Args:
            command: What to run.
            owner: The cluster's or agent's directory, by which `of` and `end_all` find it.
            survives: Not to be killed when the cluster's process dies.
            remember: Keep its wait status for an agent that may be started again and `adopt` it after its end.
            status_file: Where its wait status is to be kept for an agent that is not its parent.

        Raises:
            OSError: It could not be started (no such program, no such directory, …).
        """
        argv, program = list(command.argv), command.program
        if status_file is not None:
            status_file.unlink(missing_ok=True)
            argv = [sys.executable, "-I", "-S", _KEEPER, str(status_file), program, *argv]
            program = sys.executable
        pid = _start(program, argv, command)
        child = Child(pid, asyncio.get_running_loop())
        if survives:
            self._survivors.add(pid)
        else:
            self._watcher().add(pid)
        self._follow(child, owner, is_ours=True, remember=remember, status_file=status_file)
        return child

    def adopt(self, pid: int, started: int, *, owner: str, status_file: Path | None) -> Child | None:
        """Take over a process that an agent before this one started; None when nothing is known of it any more.

        One that has ended meanwhile is given back as ended, if its status was remembered.

        Args:
            pid: Its id.
            started: Its `start_time`, so that another process with its id is not mistaken for it.
            owner: The directory it belongs to.
            status_file: Where its keeper writes how it ended.
        """
        known = self._children.get(pid)
        if known is not None and known[0].ended.get_loop() is asyncio.get_running_loop():
            return known[0]
        child = Child(pid, asyncio.get_running_loop())
        if (pid, started) in self._remembered:
            child.ended.set_result(self._remembered[pid, started])
            return child
        if start_time(pid) != started:
            return None
        self._follow(child, owner, is_ours=known is not None, remember=True, status_file=status_file)
        return child

    def of(self, owner: str) -> list[Child]:
        """The children of one work directory."""
        return [child for child, theirs in self._children.values() if theirs == owner]

    async def end_all(self, owner: str) -> None:
        """Kill all children whose owner is this directory or one below it, and wait for their end."""
        ending = [
            c for c, theirs in self._children.values() if theirs == owner or theirs.startswith(owner + "/")
        ]
        for child in ending:
            child.kill()
        for child in ending:
            await child.wait()

    def _watcher(self) -> "_Watch":
        if self._watch is None or not self._watch.alive():
            self._watch = _Watch()
            for pid in self._children.keys() - self._survivors:
                self._watch.add(pid)
        return self._watch

    def _follow(
        self, child: Child, owner: str, *, is_ours: bool, remember: bool, status_file: Path | None
    ) -> None:
        self._children[child.pid] = (child, owner)
        loop = child.ended.get_loop()
        started = start_time(child.pid) if remember else 0

        def end() -> None:
            child_pid = child.pid
            try:
                os.killpg(child_pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            status = _reap(child_pid) if is_ours else kept_status(status_file)
            if self._children.get(child_pid, (None, ""))[0] is child:
                del self._children[child_pid]
            self._survivors.discard(child_pid)
            if remember:
                self._remember(child_pid, started, status)
            if self._watch is not None:
                self._watch.remove(child_pid)
            if not child.ended.done():
                child.ended.set_result(status)

        _on_exit(loop, child.pid, end)

    def _remember(self, pid: int, started: int, status: int | None) -> None:
        self._remembered[pid, started] = status
        if len(self._remembered) > _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


PROCESSES: Final = ProcessTable()


async def end_all(directory: str) -> None:
    """Kill every process that agents under `directory` have left, as at the end of a cluster."""
    await PROCESSES.end_all(_absolute(directory))


def _absolute(directory: str) -> str:
    return str(Path(directory).absolute())


class _Watch:
    """The watcher process and the pipe to it."""

    def __init__(self) -> None:
        reading, self._pipe = os.pipe()
        self._pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", _WATCHER],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)],
            setsid=True,
        )
        os.close(reading)

    def alive(self) -> bool:
        try:
            pid, _ = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid:
            os.close(self._pipe)
        return pid == 0

    def add(self, group: int) -> None:
        self._write(f"+{group}\n")

    def remove(self, group: int) -> None:
        self._write(f"-{group}\n")

    def _write(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except OSError:
            pass  # killed by somebody: the next child gets a new watcher


def _start(program: str, argv: Sequence[str], command: Command) -> int:
    user = user_to_switch_to(command.user)
    with open_output(command.directory, "stdout") as out, open_output(command.directory, "stderr") as err:
        process = subprocess.Popen(
            argv,
            executable=program,
            env=dict(command.environment),
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else os.getgrouplist(user.pw_name, user.pw_gid),
        )
    process.returncode = 0  # reaped here, not by the object: silences its warning
    return process.pid


def user_to_switch_to(name: str) -> pwd.struct_passwd | None:
    """A user to run as, None for the cluster's own: only root can switch, and only to somebody else.

    Raises:
        OSError: There is no such user.
    """
    if not name or os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise OSError(f"Failed to get user information for '{name}'") from None
    return None if entry.pw_uid == 0 else entry


def _on_exit(loop: asyncio.AbstractEventLoop, pid: int, end: _Callback) -> None:
    if hasattr(os, "pidfd_open"):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            loop.call_soon(end)
            return
        except OSError:
            loop.call_later(_POLL, _poll, loop, pid, end)
            return

        def readable() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            end()

        loop.add_reader(fd, readable)
    else:
        loop.call_later(_POLL, _poll, loop, pid, end)


def _poll(loop: asyncio.AbstractEventLoop, pid: int, end: _Callback) -> None:
    try:
        over = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        over = not _exists(pid)
    if over:
        end()
    else:
        loop.call_later(_POLL, _poll, loop, pid, end)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reap(pid: int) -> int | None:
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return None


def kept_status(status_file: Path | None) -> int | None:
    """How a kept process ended, by its keeper's file; None if the keeper could not write it."""
    if status_file is None:
        return None
    try:
        return int(status_file.read_text())
    except (OSError, ValueError):
        return None
