"""A small process between a cluster that may die and a command that may survive it: `python -I -S keeper.py …`.

A process's exit status can be had by its parent only. A checkpointed command task must outlive the cluster's process
and still be reported with its true end, so this keeper is its parent: it starts the command, waits, and writes the wait
status to a file that the recovered agent reads (as `mesos-containerizer launch` does).

Arguments: the status file, then the program and its argument vector. Signals that are meant for the command's group
pass the keeper by.
"""

import os
import signal
import sys


def main(status_file: str, program: str, argv: list[str]) -> None:
    """Run the command to its end, then write how it ended."""
    ignored = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        for number in (*ignored, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvp(program, argv)  # noqa: S606 - this is what it is for
        except OSError as error:
            os.write(2, f"Failed to execute command: {error.strerror}\n".encode())
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    unfinished = status_file + ".new"
    with open(unfinished, "w") as out:  # noqa: PTH123 - pathlib takes a third of this process's start-up time
        out.write(str(status))
    os.replace(unfinished, status_file)  # noqa: PTH105
    if os.WIFSIGNALED(status):
        killer = os.WTERMSIG(status)
        if killer != signal.SIGKILL:
            signal.signal(killer, signal.SIG_DFL)
        os.kill(os.getpid(), killer)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
