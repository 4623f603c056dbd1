"""Durations and wait statuses in the words that a Mesos agent uses.

Executors parse the durations (`MESOS_RECOVERY_TIMEOUT=15mins`), and people read the wait statuses in task messages
(`Command terminated with signal Killed`), so both are spelled exactly as the real agent spells them.
"""

import os
import re
import signal
from typing import Final

_UNITS: Final = (
    ("weeks", 604800.0),
    ("days", 86400.0),
    ("hrs", 3600.0),
    ("mins", 60.0),
    ("secs", 1.0),
    ("ms", 1e-3),
    ("us", 1e-6),
    ("ns", 1e-9),
)
_SECONDS: Final = dict(_UNITS)
_DURATION: Final = re.compile(r"([0-9]*\.?[0-9]+)\s*([a-z]+)")


def duration(seconds: float) -> str:
    """Spell a duration as Mesos does: the largest unit that is at least one (`5secs`, `15mins`, `1.5mins`)."""
    size = abs(seconds)
    for name, unit in _UNITS:
        if size >= unit:
            return f"{seconds / unit:.15g}{name}"
    return "0ns"


def parse_duration(text: str) -> float:
    """Seconds of a duration in Mesos's spelling.

    Raises:
        ValueError: The text is not a number followed by one of ns, us, ms, secs, mins, hrs, days, weeks.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or found[2] not in _SECONDS:
        raise ValueError(f"not a duration as Mesos writes it (as '5secs'): {text!r}")
    return float(found[1]) * _SECONDS[found[2]]


def wait_status(status: int) -> str:
    """Say how a process ended, from its wait status: `exited with status 3`, `terminated with signal Killed`."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.strsignal(number) or f"Unknown signal {number}"
        return f"terminated with signal {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
    return f"exited with status {os.waitstatus_to_exitcode(status)}"


def exited(code: int) -> int:
    """The wait status of a process that exited with `code`."""
    return (code & 0xFF) << 8
