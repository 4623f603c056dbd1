"""What an agent starts: ``python -m executor module:Class``.

The Python of an agent is chosen by name, and may be the wrong one: what it lacks is said before anything is imported that
needs it. So this file, and the package's own, are written for Python 3.6 and newer.
"""

import os
import sys

BUG = 70
MEND = "install it there, or name another Python in the setting `python` of the executor"


def missing() -> str:
    """What this Python lacks to run executors; empty if nothing."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it is not this project's own Python that is asked
        version = ".".join(map(str, sys.version_info[:2]))
        return f"{sys.executable} is Python {version}, and executors need Python 3.11 or newer: {MEND}"
    try:
        import executor.main  # noqa: F401
    except ModuleNotFoundError as error:
        return f"{sys.executable} has no module {error.name!r}, which every executor needs: {MEND}"
    except Exception as error:  # such as a version of protobuf that is too old
        said = " ".join(str(error).split())
        what = f"{type(error).__name__}: {said}"
        return f"{sys.executable} cannot load what every executor needs ({what}): {MEND}"
    return ""


def run() -> int:
    """Be an executor; gives the exit code."""
    lacks = missing()
    if lacks:
        sys.stderr.write(f"executor: {lacks}\n")
        return 1
    from executor.main import main

    return main()


code = BUG
try:
    code = run()
except BaseException:
    import traceback

    traceback.print_exc()
finally:
    # whatever threads still run: what they do no longer concerns anybody (see `executor.states`)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
