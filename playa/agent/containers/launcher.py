"""A small process that starts the processes of a cluster, each under a supervisor: `python -I -S launcher.py`.

By construction nothing that a task starts outlives it. The launcher forks a supervisor for each command, and that forks the command.
A supervisor is what the kernel calls a subreaper: whatever the command starts stays among its descendants, also what calls `setsid`
or forks twice to become a daemon. When the command ends, or is to be killed, the supervisor kills all of them, keeps how the command
ended in a file if that is asked for, and tells the cluster. (Only Linux has subreapers: elsewhere, what leaves the group escapes.)
Should a supervisor itself be killed, the kernel kills its command, and the launcher what that leaves behind.

Cluster and supervisor hold the two ends of a socket, the leash. When the cluster is gone, perhaps by `kill -9`, the leash tears, and
the supervisor ends everything at once, unless the command may survive the cluster.

The launcher is forked from instead of the cluster, because that is big and has threads; one supervisor always waits already for the
next request. Nothing of the project is imported here, so it starts in milliseconds and takes little memory.

A request is a length of eight bytes and a marshalled dictionary, with three descriptors: stdout, stderr and the supervisor's end of the leash.
The answer comes over the leash, and so does the end: a letter (`p`id, `e`rror, `s`tatus) and eight bytes. The cluster says `k` for kill.
"""

import errno
import gc
import marshal
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)
KILLING = 5.0
FAREWELL = 10.0
_PDEATHSIG, _SUBREAPER = 1, 36


def _load_prctl() -> Any:
    try:
        import ctypes

        return ctypes.CDLL(None).prctl
    except (ImportError, AttributeError, OSError):
        return lambda *_: -1


prctl = _load_prctl()


def children() -> list[int]:
    """The processes whose parent this one is."""
    own = os.getpid()
    found = _read(f"/proc/self/task/{own}/children")
    if found is not None:
        return [int(pid) for pid in found.split()]
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []
    stats = {pid: _read(f"/proc/{pid}/stat") for pid in pids}
    return [pid for pid, stat in stats.items() if stat and int(stat.rpartition(b")")[2].split()[1]) == own]


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes long to import
            return file.read()
    except OSError:
        return None


def kill(pid: int, how: Callable[[int, int], None] = os.kill) -> None:
    """Kill a process, or with `os.killpg` a group, that may be gone, or not ours to kill."""
    try:
        how(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def run(request: dict[str, Any], supervisor: int, out: int, err: int) -> None:
    """Become the command; only an error returns."""
    os.setsid()
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    os.chdir(request["directory"])  # which the other user may not reach, but may work in
    if request["user"] is not None:
        uid, gid, groups = request["user"]
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it has died meanwhile
        os._exit(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.execvpe(request["program"], request["argv"], request["environment"])  # noqa: S606


def wake_up_for_children() -> int:
    """A descriptor that can be read when a child has ended."""
    wake, wakes = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    return wake


class Supervisor:
    """Starts one command, follows it, and sees to it that nothing is left of it."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}
        self.leash: socket.socket | None = None
        self.main = 0
        self.wake = wake_up_for_children()
        prctl(_SUBREAPER, 1)

    def start(self, request: dict[str, Any], out: int, err: int, leash: int) -> bool:
        """Start the command and say how that went."""
        self.request, self.leash = request, socket.socket(fileno=leash)
        supervisor = os.getpid()
        reading, writing = os.pipe()
        self.main = os.fork()
        if self.main == 0:
            try:
                run(self.request, supervisor, out, err)
            except (OSError, ValueError) as error:  # a null byte in a name is a ValueError
                os.write(writing, bytes((getattr(error, "errno", 0) or errno.EINVAL,)))
            finally:
                os._exit(1)
        os.close(writing)
        failed = os.read(reading, 1)
        for fd in (reading, out, err):
            os.close(fd)
        if failed:
            os.waitpid(self.main, 0)
            self.say(b"e", failed[0])
            return False
        self.say(b"p", self.main)
        return True

    def say(self, kind: bytes, value: int) -> None:
        """Tell the cluster, if it is there."""
        if self.leash is not None:
            try:
                self.leash.sendall(kind + value.to_bytes(8, "little"))
            except OSError:
                self.let_go()

    def let_go(self) -> None:
        """The cluster is gone, or has heard all."""
        if self.leash is not None:
            self.leash.close()
            self.leash = None

    def follow(self) -> None:
        """Until the command has ended."""
        while True:
            ended = self.reap()
            if ended is not None:
                self.clear_away()
                self.tell_the_end(ended)
                return
            watched = [self.wake] if self.leash is None else [self.wake, self.leash.fileno()]
            ready, _, _ = select.select(watched, [], [])
            if self.wake in ready:
                os.read(self.wake, 1024)
            if self.leash is not None and self.leash.fileno() in ready:
                self.obey()

    def obey(self) -> None:
        """The cluster wants the command dead, or is dead itself."""
        assert self.leash is not None
        try:
            said = self.leash.recv(16)
        except OSError:
            said = b""
        if not said:
            self.let_go()
        if said or not self.request["survives"]:
            kill(self.main, os.killpg)
            kill(self.main)

    def reap(self) -> int | None:
        """Bury what has ended. The command's own body stays, so that nobody else gets its id: its wait status."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return None
            if found is None:
                return None
            if found.si_pid == self.main:
                if found.si_code == os.CLD_EXITED:
                    return int(found.si_status) << 8
                return int(found.si_status) | (0x80 if found.si_code == os.CLD_DUMPED else 0)
            os.waitpid(found.si_pid, 0)

    def clear_away(self) -> None:
        """Kill all that the command has started and left."""
        kill(self.main, os.killpg)
        deadline, pause = time.monotonic() + KILLING, 0.0005
        while left := [pid for pid in children() if pid != self.main]:
            for pid in left:  # what they have started comes to us as they end
                kill(pid)
            for pid in left:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            if time.monotonic() > deadline:
                return  # not ours to kill, or stuck in the kernel
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def tell_the_end(self, status: int) -> None:
        """Keep the wait status and tell it; bury the command when the cluster has heard."""
        file = self.request["status_file"]
        if file:
            try:
                with open(file + ".new", "w") as out:  # noqa: PTH123
                    out.write(str(status))
                os.replace(file + ".new", file)  # noqa: PTH105
            except OSError:
                pass
        self.say(b"s", status)
        if self.leash is not None:
            select.select([self.leash.fileno()], [], [], FAREWELL)
        os.waitpid(self.main, 0)


def receive(link: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next request; None when the cluster is gone."""
    data, fds, _, _ = socket.recv_fds(link, 1 << 16, 3)
    while data and len(data) < 8 + int.from_bytes(data[:8], "little"):
        more = link.recv(1 << 20)
        if not more:
            return None
        data += more
    for fd in fds:
        os.set_inheritable(fd, False)
    return (marshal.loads(data[8:]), fds) if data else None  # noqa: S302 - from the cluster that started us


def wait_for_work(link: socket.socket, taken: int) -> None:
    """Be a supervisor: the next request is this one's."""
    supervisor = Supervisor()
    request = receive(link)
    os.write(taken, b"e" if request is None else b"t")
    if request is not None:
        link.close()
        os.close(taken)
        asked, (out, err, leash) = request
        if supervisor.start(asked, out, err, leash):
            supervisor.follow()


def main() -> None:
    """Have a supervisor wait for the next request, until the cluster is gone."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:  # whatever the cluster ignores
        signal.signal(number, signal.SIG_IGN if number in IGNORED else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    wake = wake_up_for_children()
    prctl(_SUBREAPER, 1)
    link = socket.socket(fileno=0)
    link.set_inheritable(False)
    supervisors: set[int] = set()
    gc.disable()
    gc.freeze()  # what is here is shared with every supervisor
    while True:
        reading, taken = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reading)
                os.close(wake)
                wait_for_work(link, taken)
            finally:
                os._exit(0)
        supervisors.add(pid)
        os.close(taken)
        said: bytes | None = None
        while said is None:
            ready, _, _ = select.select([reading, wake], [], [])
            if wake in ready:
                os.read(wake, 1024)
                bury(supervisors)
            if reading in ready:
                said = os.read(reading, 1)
        os.close(reading)
        if said == b"e":
            return


def bury(supervisors: set[int]) -> None:
    """Bury supervisors; what one that was killed has left behind has come to us, and is killed."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            break
        supervisors.discard(pid)
    for pid in children():
        if pid not in supervisors:
            kill(pid)


if __name__ == "__main__":
    main()
