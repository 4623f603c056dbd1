"""`master = "embedded"`: the cluster as a child process that never outlives us.

The child (`mesostic.cluster_process`) is started first thing and imports while we load the configuration; it starts a
cluster only when it gets its settings. It lives in a session of its own, so that Ctrl-C reaches only us, and ends when
its standard input is closed, which the kernel does for us if we cannot.
"""

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

_PROGRAM = Path(__file__).with_name("cluster_process.py")
_WORK_DIR = "mesostic-run-"
_LOG = "cluster.log"
_STOP_TIMEOUT = 20.0
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
    """One embedded cluster: `launch`, `await start(settings)`, `await stop()`, then keep or remove its `folder`.

    That holds the log and, unless the settings name another, everything of the cluster. `url` is the master's, once started.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: TemporaryFolder) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._orders, self._answers = process, process.stdin, process.stdout
        self.folder, self.work_dir = folder, folder.path
        self.url = ""

    @classmethod
    def launch(cls) -> "EmbeddedCluster":
        """Start the process; it imports, and waits for its settings."""
        folder = working_folder()
        log_file = os.open(folder.path / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(log_file, "ab") as log:
            process = subprocess.Popen(
                # it holds the lock on its folder, too
                [sys.executable, "-P", str(_PROGRAM), str(folder.fileno())],
                pass_fds=(folder.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder.path,
                start_new_session=True,
            )
        return cls(process, folder)

    async def start(
        self, settings: "ClusterSettings", *, patience: float = 30, log_level: str = "info"
    ) -> str:
        """Give the process its settings and wait until the master answers; its URL, or a ClusterError with the reason."""
        from actors.runtime import pack_value

        settings = replace(settings, work_dir=settings.work_dir or str(self.work_dir))
        packed = base64.b64encode(pack_value(settings)).decode()
        order = json.dumps({"settings": packed, "log_level": log_level}) + "\n"
        try:
            line = await asyncio.wait_for(asyncio.to_thread(self._exchange, order.encode()), patience)
        except TimeoutError:
            await self.stop(at_once=True)
            text = f"The embedded cluster did not start in {patience:g} s.{self.log_tail()}"
            raise ClusterError(text) from None
        answer = json.loads(line) if line.strip() else {"error": "its process ended" + self.log_tail()}
        if "url" not in answer:
            await self.stop()
            port = f" on port {settings.port}" if settings.port else ""
            why = answer["error"].rstrip(".")
            raise ClusterError(f"The embedded cluster could not be started{port}: {why}.")
        self.url = str(answer["url"])
        return self.url

    async def wait(self, hear: Callable[[str], None] = lambda _: None) -> None:
        """Until the process ends: its standard output is closed then. Errors meanwhile go to `hear`, in sentences."""
        while line := await asyncio.to_thread(self._answers.readline):
            hear(str(json.loads(line).get("error", "")))

    async def stop(self, *, at_once: bool = False) -> None:
        """End the cluster with everything it started; returns when it is gone."""
        if at_once:
            self.kill()
        with contextlib.suppress(OSError):
            self._orders.close()  # what keeps it alive
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
            self.folder.keep()
        else:
            self.folder.remove()

    def log_tail(self) -> str:
        """The last lines of the cluster's log, as the end of a message."""
        with contextlib.suppress(OSError):
            text = (self.work_dir / _LOG).read_text(errors="replace")
            lines = [line for line in text.splitlines() if line.strip()]
            if lines:
                shown = "\n".join(f"    {line[:200]}" for line in lines[-5:])
                return f" Its log ends with:\n{shown}"
        return ""

    def last_words(self, is_told: Callable[[str, str], bool]) -> list[str]:
        """The last line on standard error of executors that wrote any, unless it has been told already; the newest first."""
        from actors.sandbox import last_lines

        files = [file for file in self.work_dir.glob(_STDERR) if file.stat().st_size]
        files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        words: dict[str, str] = {}
        for file in files:
            with file.open("rb") as opened:
                opened.seek(max(0, file.stat().st_size - _LAST_WORDS_BYTES))
                for line in last_lines(opened.read(), 1):
                    words.setdefault(file.parents[2].name, line)
        untold = [(name, line) for name, line in words.items() if not is_told(name, line)]
        return [f"executor {name} said last: {line}" for name, line in untold[:3]]

    def _exchange(self, order: bytes) -> bytes:
        with contextlib.suppress(BrokenPipeError):
            self._orders.write(order)
            self._orders.flush()
        return self._answers.readline()
