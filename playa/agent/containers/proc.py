"""What the kernel tells of processes, through /proc: when they started, who is in a session, what they have used.

Where there is no /proc the answers are empty, and what needs them does without.
"""

import os
from dataclasses import dataclass
from pathlib import Path


def start_time(pid: int) -> int:
    """When a process started, in the kernel's ticks; 0 if it is not there (or this is not Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[19])


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a session have used: CPU seconds, bytes of memory that they hold now."""

    user: float = 0.0
    system: float = 0.0
    resident: int = 0


def usage(session: int) -> Usage:
    """What a child and the processes it started have used, by /proc."""
    user = system = pages = 0
    for pid in session_members(session):
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        user, system, pages = user + int(fields[11]), system + int(fields[12]), pages + int(fields[21])
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(user / ticks, system / ticks, pages * os.sysconf("SC_PAGE_SIZE"))


def session_members(session: int) -> list[int]:
    """The processes of a session, by /proc; empty where there is none."""
    members = []
    try:
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            members.append(pid)
    return members
