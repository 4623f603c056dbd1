"""What a test started and did not end: the processes below this one, and those that work in the folders of this run."""

import signal
import time
from pathlib import Path

import psutil

TICK = 0.05  # of the kernel's clock, in which the birth of a process is counted


def now() -> float:
    """The time as processes' births are given in it (the kernel's clock does not follow the wall clock exactly)."""
    return psutil.boot_time() + time.clock_gettime(time.CLOCK_BOOTTIME)


def end_all(folder: Path, *, since: float = 0.0) -> list[str]:
    """End every process of this run that began after a time; says which.

    Args:
        folder: In which everything of this run is: who works there, or was started with a file of it, is one of ours,
            whoever his parent is now.
    """
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    ended = []
    for process in psutil.process_iter(["cmdline", "cwd", "create_time", "status"]):
        about = process.info
        words = [about["cwd"] or "", *(about["cmdline"] or [])]
        ours = process.pid in mine or any(str(folder) in word for word in words)
        old = about["create_time"] is None or about["create_time"] < since - TICK
        if not ours or old or process == psutil.Process() or about["status"] == psutil.STATUS_ZOMBIE:
            continue
        try:
            process.send_signal(signal.SIGKILL)
            ended.append(f"{process.pid} ({' '.join(about['cmdline'] or [])[:100]})")
        except psutil.NoSuchProcess:
            pass
    return ended
