"""A small process that ends what the cluster leaves behind: `python -I -S watcher.py`, its input a pipe.

The cluster writes one line for each process group that it starts (`+123`), and one when it has ended (`-123`). When the
pipe closes, the cluster is gone, perhaps by `kill -9`: then every group that is still listed is killed. Groups that may
survive the cluster (checkpointing executors in a work directory that stays) are never listed.

Nothing of the project is imported here: it has to start in milliseconds and take little memory.
"""

import os
import signal
import sys


def main() -> None:
    """Read until the pipe closes, then kill."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line[:1] == b"+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


if __name__ == "__main__":
    main()
