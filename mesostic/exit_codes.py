"""What the `mesostic` command ends with: one table, quoted by docs/commands.md."""

OK = 0
"""All went well."""

FAILED = 1
"""The framework ended with a failure (or with the code that its scheduler chose in `finish(exit_code)`)."""

USAGE = 2
"""A wrong command line, a configuration or a file that cannot be used: nothing was started."""

CLUSTER_FAILED = 3
"""The cluster could not be started or reached, or it ended before the framework did."""

BUG = 70
"""An unexpected error: a bug. The traceback is in the file that the message names (sysexits' EX_SOFTWARE)."""

INTERRUPTED = 130
"""Ended at once by a second Ctrl-C, or by one before the framework was running (128 + SIGINT)."""
