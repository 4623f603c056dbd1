"""Wait statuses in the words that a Mesos agent uses (`Command terminated with signal Killed`)."""

import os
import signal


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
