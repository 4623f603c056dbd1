"""Errors that the user can put right, each one paragraph, shown without a traceback; and the command's exit codes.

Anything else that escapes is a bug; `mesostic.cli` then prints a short message and where the traceback is.
"""

import os
import sys

# What the `mesostic` command ends with (docs/commands.md).
OK = 0
# 1: the framework ended with a failure, or with the code that its scheduler chose in `finish(exit_code)`
USAGE = 2  # a wrong command line, a configuration or a file that cannot be used: nothing was started
CLUSTER_FAILED = 3  # the cluster could not be started or reached, or it ended before the framework did
BUG = 70  # an unexpected error (sysexits' EX_SOFTWARE); the message names a file with the traceback
# 128 + SIGINT: ended at once by a second Ctrl-C, or by one before the framework was running
INTERRUPTED = 130


class MesosticError(Exception):
    """Something the user can put right. The text is complete sentences, ready to be printed."""

    exit_code = USAGE


class ConfigError(MesosticError):
    """A configuration that cannot be run: every problem found, one line each, not only the first."""

    def __init__(self, heading: str, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems
        super().__init__("\n".join([heading, *(f"  {problem}" for problem in problems)]))


class ClusterError(MesosticError):
    """The cluster could not be started or reached, or it ended while the framework ran."""

    exit_code = CLUSTER_FAILED


def reason_of(error: OSError) -> str:
    """Why the operating system refused, without the details that libraries put around it."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


def one_paragraph(text: str, longest: int = 500) -> str:
    """A text from elsewhere (a server's answer, say) as one paragraph of bearable length."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def presentable(text: str) -> str:
    """The text without the secrets that the configuration held, and without what a terminal would obey."""
    from actors.runtime.terminal import harmless

    secrets = sys.modules.get("actors.runtime.codec.secrets")  # not imported: then there are none
    return harmless(text if secrets is None else str(secrets.masked(text)))
