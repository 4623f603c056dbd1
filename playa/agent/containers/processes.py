"""Processes of tasks and executors: started in their own session, ended with all that they started, never left behind.

* A child is a session and process group of its own; signals go to the group, so that what it started hears them too.
* Its supervisor (`launcher.py`) ends whatever it started when it ends, is killed, or the cluster dies, unless it may survive that.
* Its end is noticed on the event loop, through the socket to its supervisor. Until then no other process can have its id.
* It belongs to the cluster's process, not to an actor: an agent that is started again finds it here by its id (`adopt`).
"""

import asyncio
import atexit
import errno
import marshal
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from mesos_v1 import pb
from playa.agent.containers.sandbox import open_output, user_to_switch_to

_LAUNCHER: Final = str(Path(__file__).with_name("launcher.py"))
_PATIENCE: Final = 30.0
_SAID: Final = 9
_POLL: Final = 0.1
_MOST_REMEMBERED: Final = 10_000


class Command(NamedTuple):
    """What to run."""

    program: str  # path, or name to be found on the child's PATH
    argv: tuple[str, ...]  # the program's own name first
    environment: Mapping[str, str]
    directory: Path  # where it runs; `stdout` and `stderr` are appended to there
    user: str = ""  # empty, or not changeable: the cluster's own

    @classmethod
    def of(
        cls, info: pb.mesos.CommandInfo, environment: Mapping[str, str], directory: Path, user: str = ""
    ) -> "Command":
        """A CommandInfo as something to start: through the shell, or its own argument vector."""
        if info.shell:
            return cls("/bin/sh", ("sh", "-c", info.value), environment, directory, user)
        return cls(info.value, tuple(info.arguments) or (info.value,), environment, directory, user)


class Child:
    """A running process of ours; `ended` gives its wait status, or None when nobody could know it."""

    def __init__(self, pid: int, owner: str, leash: socket.socket | None) -> None:
        self.pid = pid
        self.owner = owner
        self.leash = leash
        self.ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int | None:
        """Wait for the end. Waiting may be cancelled and begun again."""
        return await asyncio.shield(self.ended)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; what has ended already is fine."""
        if not self.ended.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill it; its supervisor then kills all that it started, wherever that is."""
        self.signal(signal.SIGKILL)
        if not self.ended.done() and self.leash is not None:
            with suppress(OSError):  # it is ending
                self.leash.send(b"k")


class ProcessTable:
    """The children of this cluster process, by their ids."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._remembered: dict[tuple[int, int], int | None] = {}
        self._launcher: _Launcher | None = None

    def prepare(self) -> "_Launcher":
        """Have a launcher ready; the first child would have to wait for it."""
        if self._launcher is None or not self._launcher.alive():
            self._launcher = _Launcher()
        return self._launcher

    def spawn(
        self,
        command: Command,
        *,
        owner: str,  # the cluster's or agent's directory, by which `end_all` finds it
        survives: bool = False,  # it is not killed when the cluster's process dies
        remember: bool = False,  # keep its wait status for an agent that may `adopt` it after its end
        status_file: Path | None = None,  # where its wait status is kept for an agent that is not its parent
    ) -> Child:
        """Start a process; raises OSError when it cannot be (no such program, no such directory, …)."""
        if status_file is not None:
            status_file.unlink(missing_ok=True)
        user = user_to_switch_to(command.user)
        groups = () if user is None else tuple(os.getgrouplist(user.pw_name, user.pw_gid))
        request = {
            "program": command.program,
            "argv": list(command.argv),
            "environment": dict(command.environment),
            "directory": str(command.directory),
            "user": None if user is None else (user.pw_uid, user.pw_gid, groups),
            "survives": survives,
            "status_file": "" if status_file is None else str(status_file),
        }
        with open_output(command.directory, "stdout") as out, open_output(command.directory, "stderr") as err:
            for _ in range(2):
                launcher = self.prepare()
                started = launcher.start(request, out.fileno(), err.fileno())
                if started is not None:
                    child = Child(started[0], owner, started[1])
                    self._follow(child, remember=remember)
                    return child
                launcher.end()  # it has been killed; its children live on under their supervisors
        raise OSError(errno.EAGAIN, "the process that starts others was killed", command.program)

    def adopt(self, pid: int, started: int, *, owner: str, status_file: Path | None) -> Child | None:
        """Take over a process that an agent before this one started; None when nothing is known of it any more.

        One that has ended meanwhile is given back as ended, if its status was remembered. By its `start_time` another process
        with its id is not mistaken for it.
        """
        known = self._children.get(pid)
        if known is not None and known.ended.get_loop() is asyncio.get_running_loop():
            return known
        child = Child(pid, owner, None if known is None else known.leash)
        if (pid, started) in self._remembered:
            child.ended.set_result(self._remembered[pid, started])
            return child
        if start_time(pid) != started:
            return None
        self._follow(child, remember=True, status_file=status_file)
        return child

    async def end_all(self, directory: str) -> None:
        """Kill all children whose owner is this directory or one below it, and wait for their end."""
        owner = str(Path(directory).absolute())  # noqa: ASYNC240 - no path is looked up
        ending = [c for c in self._children.values() if f"{c.owner}/".startswith(f"{owner}/")]
        for child in ending:
            child.kill()
        for child in ending:
            await child.wait()

    def _follow(self, child: Child, *, remember: bool, status_file: Path | None = None) -> None:
        self._children[child.pid] = child
        loop = child.ended.get_loop()
        started = start_time(child.pid) if remember or child.leash is None else 0

        def end(status: int | None) -> None:
            if self._children.get(child.pid) is child:
                del self._children[child.pid]
            if remember:
                self._remembered[child.pid, started] = status
                if len(self._remembered) > _MOST_REMEMBERED:
                    del self._remembered[next(iter(self._remembered))]
            if not child.ended.done():
                child.ended.set_result(status)

        def readable() -> None:
            """What the supervisor says last is the wait status; one that was killed says nothing."""
            assert child.leash is not None
            try:
                said = child.leash.recv(_SAID)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            loop.remove_reader(child.leash)
            end(int.from_bytes(said[1:], "little") if len(said) == _SAID else None)
            child.leash.close()  # now the id may be another's

        if child.leash is not None:
            loop.add_reader(child.leash, readable)
        else:
            _poll(loop, child.pid, started, lambda: end(kept_status(status_file)))

    def let_go(self) -> None:
        """At the end of the process: the leashes tear."""
        if self._launcher is not None:
            self._launcher.link.close()
        for child in self._children.values():
            if child.leash is not None:
                child.leash.close()


PROCESSES: Final = ProcessTable()
atexit.register(PROCESSES.let_go)


class _Launcher:
    """The launcher process and the socket to it."""

    def __init__(self) -> None:
        self.link, theirs = socket.socketpair()
        with theirs:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", _LAUNCHER],
                {},
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
                setsid=True,
            )

    def alive(self) -> bool:
        try:
            pid, _ = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            pid = self._pid
        if pid:
            self.link.close()
        return pid == 0

    def start(self, request: dict[str, Any], out: int, err: int) -> tuple[int, socket.socket] | None:
        """Start a command: its id and the leash of its supervisor; None if the launcher is gone."""
        leash, theirs = socket.socketpair()
        try:
            with theirs:
                payload = marshal.dumps(request)
                data = len(payload).to_bytes(8, "little") + payload
                sent = socket.send_fds(self.link, [data], [out, err, theirs.fileno()])
                self.link.sendall(data[sent:])
            leash.settimeout(_PATIENCE)
            said = leash.recv(_SAID, socket.MSG_WAITALL)
            leash.setblocking(False)
        except OSError:
            said = b""
        value = int.from_bytes(said[1:], "little")
        if len(said) == _SAID and said.startswith(b"p"):
            return value, leash
        leash.close()
        if len(said) == _SAID:
            raise OSError(value, os.strerror(value), request["program"])
        return None

    def end(self) -> None:
        """End it at once."""
        self.link.close()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _poll(loop: asyncio.AbstractEventLoop, pid: int, started: int, end: Callable[[], None]) -> None:
    """Wait for the end of a process of an earlier cluster; its supervisor keeps how it ended, and then buries it."""
    with suppress(ProcessLookupError):
        if start_time(pid) == started:
            with suppress(PermissionError):
                os.kill(pid, 0)
            loop.call_later(_POLL, _poll, loop, pid, started, end)
            return
    end()


def kept_status(status_file: Path | None) -> int | None:
    """How a process of an earlier cluster ended, by the file of its supervisor; None if that could not write it."""
    with suppress(OSError, ValueError):
        return None if status_file is None else int(status_file.read_text())
    return None


def wait_status(status: int) -> str:
    """How a process ended, in the words of a Mesos agent: `exited with status 3`, `terminated with signal Killed`."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.strsignal(number) or f"Unknown signal {number}"
        return f"terminated with signal {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
    return f"exited with status {os.waitstatus_to_exitcode(status)}"


def start_time(pid: int) -> int:
    """When a process started, in the kernel's ticks; 0 if it is not there (or this is not Linux)."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


class Usage(NamedTuple):
    """What processes have used, as in `mesos.v1.ResourceStatistics`: seconds, and bytes of memory that they hold now."""

    cpus_user_time_secs: float
    cpus_system_time_secs: float
    mem_rss_bytes: int


def usage(session: int) -> Usage:
    """What a child and the processes of its session have used."""
    stats = (_stat(int(entry.name)) for entry in Path("/proc").glob("[0-9]*"))
    members = [fields for fields in stats if fields and int(fields[3]) == session]
    user, system, pages = (sum(int(fields[column]) for fields in members) for column in (11, 12, 21))
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(user / ticks, system / ticks, pages * os.sysconf("SC_PAGE_SIZE"))


def _stat(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
