"""`master = "embedded"`: the cluster as a child process that never outlives us.

The child (`mesostic.cluster_process`) is started first thing and imports while we load the configuration; it starts a
cluster only when it gets its settings. It lives in a session of its own, so that Ctrl-C reaches only us, and ends when
its standard input is closed, which the kernel does for us if we cannot.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from actors.temporary import TemporaryFolder, remove_leftovers_aside
from mesostic.errors import ClusterError

if TYPE_CHECKING:
    from playa.settings import ClusterSettings

_WORK_DIR = "mesostic-run-"
_STOP_TIMEOUT = 20.0
_LOG_LINES_SHOWN = 5
_SANDBOXES_SHOWN = 3
_LAST_WORDS_BYTES = 16 * 1024
_STDERR = "agents/*/slaves/*/frameworks/*/executors/*/runs/*/stderr"


def working_folder() -> TemporaryFolder:
    """A folder for a cluster; what clusters that were killed have left is removed meanwhile."""
    folder = TemporaryFolder(_WORK_DIR)
    if os.geteuid() == 0:  # tasks may run as other users, who have to get to their sandboxes
        folder.path.chmod(0o711)
    remove_leftovers_aside(_WORK_DIR)
    return folder


class EmbeddedCluster:
    """One embedded cluster: `launch`, `await start(settings)`, `await stop()`, then `clean_up` or `keep`.

    Attributes:
        work_dir: holds the log and, unless the settings name another folder, everything of the cluster.
        log: the file with the cluster's log.
        url: of the master, once started.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: TemporaryFolder) -> None:
        """Use `launch`."""
        self._process = process
        self._folder = folder
        self.work_dir = folder.path
        self.log = self.work_dir / "cluster.log"
        self.url = ""

    @classmethod
    def launch(cls) -> EmbeddedCluster:
        """Start the process; it imports, and waits for its settings."""
        folder = working_folder()
        work_dir = folder.path
        log_file = os.open(work_dir / "cluster.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(log_file, "ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    str(Path(__file__).with_name("cluster_process.py")),
                    str(folder.fileno()),  # which holds the lock on its folder, too
                ],
                pass_fds=(folder.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=work_dir,
                start_new_session=True,
            )
        return cls(process, folder)

    async def start(
        self, settings: ClusterSettings, *, patience: float = 30.0, log_level: str = "info"
    ) -> str:
        """Give the process its settings and wait until the master answers; its URL.

        Raises:
            ClusterError: the port is in use, the folder cannot be written, … (with the reason).
        """
        from actors.runtime import pack_value

        settings = replace(settings, work_dir=settings.work_dir or str(self.work_dir))
        packed = base64.b64encode(pack_value(settings)).decode()
        order = json.dumps({"settings": packed, "log_level": log_level}) + "\n"
        try:
            line = await asyncio.wait_for(asyncio.to_thread(self._exchange, order.encode()), patience)
        except TimeoutError:
            await self.stop(at_once=True)
            raise ClusterError(
                f"The embedded cluster did not start in {patience:g} s.{self.log_tail()}"
            ) from None
        answer = json.loads(line) if line.strip() else {"error": "its process ended" + self.log_tail()}
        if "url" not in answer:
            await self.stop()
            port = f" on port {settings.port}" if settings.port else ""
            raise ClusterError(
                f"The embedded cluster could not be started{port}: {answer['error'].rstrip('.')}."
            )
        self.url = str(answer["url"])
        return self.url

    async def wait(self, hear: Callable[[str], None] = lambda _: None) -> None:
        """Until the process ends: its standard output is closed then. Errors meanwhile go to `hear`, in sentences."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        said = bytearray()

        def readable() -> None:
            data = os.read(descriptor, 64 * 1024)
            said.extend(data)
            while (line := said.partition(b"\n"))[1]:
                del said[: len(line[0]) + 1]
                hear(str(json.loads(line[0]).get("error", "")))
            if not data:
                loop.remove_reader(descriptor)
                ended.set()

        loop.add_reader(descriptor, readable)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)

    async def stop(self, *, at_once: bool = False) -> None:
        """End the cluster with everything it started; returns when it is gone."""
        if at_once:
            self.kill()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()  # what keeps it alive
        try:
            await asyncio.to_thread(self._process.wait, _STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            await asyncio.to_thread(self._process.wait)

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def abandon(self, *, keep: bool) -> None:
        """End the process at once and, unless to `keep` it, remove the folder; without a loop, from any thread."""
        self.kill()
        if keep:
            self.keep()
        else:
            self.clean_up()

    def log_tail(self) -> str:
        """The last lines of the cluster's log, as the end of a message."""
        with contextlib.suppress(OSError):
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            if lines:
                shown = "\n".join(f"    {line[:200]}" for line in lines[-_LOG_LINES_SHOWN:])
                return f" Its log ends with:\n{shown}"
        return ""

    def last_words(self, is_told: Callable[[str, str], bool]) -> list[str]:
        """The last line on standard error of executors that wrote any, unless it has been told already; the newest first."""
        from actors.failures.sandbox import last_lines

        files = [file for file in self.work_dir.glob(_STDERR) if file.stat().st_size]
        files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        words: dict[str, str] = {}
        for file in files:
            for line in last_lines(_end_of(file), 1):
                words.setdefault(file.parents[2].name, line)
        untold = [
            f"executor {name} said last: {line}" for name, line in words.items() if not is_told(name, line)
        ]
        return untold[:_SANDBOXES_SHOWN]

    def clean_up(self) -> None:
        """Remove the folder."""
        self._folder.remove()

    def keep(self) -> None:
        """Keep the folder."""
        self._folder.keep()

    def _exchange(self, order: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(order)
            self._process.stdin.flush()
        return self._process.stdout.readline()


def _end_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _LAST_WORDS_BYTES))
        return opened.read()
