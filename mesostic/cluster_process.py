"""The child process in which the embedded cluster of `mesostic run` lives: started by `mesostic.embedded`.

It imports the cluster, then reads one line with the settings (so the parent can still read the configuration meanwhile, and
credentials stand on no command line), answers with one line of JSON (`{"url": …}` or `{"error": …}`), and ends when its standard
input does: with its parent, however that ends. Its standard error is the cluster's log.
"""

import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

_MOST_TOLD = 20


def main() -> int:
    """Serve one cluster; 0 when it was stopped in order."""
    for handle in map(
        int, sys.argv[1:]
    ):  # the lock on the cluster's folder: held by us, and by nothing that we start
        os.set_inheritable(handle, False)
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the parent decides, by closing our standard input
    logging.basicConfig(format="%(asctime)s %(levelname).1s %(name)s: %(message)s", level=logging.INFO)
    from actors.runtime import hide_secrets_in_logs, unpack_value
    from actors.runtime.collector import spare_the_collector
    from playa import ClusterSettings  # the slow part: done before there is anything to wait for
    from playa.__main__ import run

    hide_secrets_in_logs()
    line = sys.stdin.buffer.readline()
    if not line.strip():
        return 0  # the configuration was wrong: nothing to do
    order = json.loads(line)
    logging.getLogger().setLevel(order["log_level"].upper())

    def say_where(url: str) -> None:
        spare_the_collector()
        _answer({"url": url})
        logging.getLogger("playa").addHandler(_ToParent(logging.ERROR))

    try:
        settings = unpack_value(ClusterSettings, base64.b64decode(order["settings"]))
        asyncio.run(run(settings, say_where, exit_with_parent=True))
    except Exception as error:
        logging.getLogger("mesostic.cluster").exception(
            "The cluster could not be started, or not be stopped in order"
        )
        _answer({"error": _why_not_started(error)})
        return 1
    return 0


def _why_not_started(error: Exception) -> str:
    from mesostic.errors import reason_of

    match error:
        case TimeoutError():
            return "its agents did not register with its master in time"
        case OSError():
            return f"{error.filename}: {reason_of(error)}" if error.filename else reason_of(error)
        case ValueError():
            return str(error)
    return f"{type(error).__name__}: {error}"


class _ToParent(logging.Handler):
    """Errors are for the user, who does not see this process's log: each is reported to the parent once."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(text)
            _answer({"error": text})


def _answer(answer: dict[str, str]) -> None:
    with contextlib.suppress(OSError):  # the parent hears no more
        print(json.dumps(answer), flush=True)  # noqa: T201 - it is how we speak to it


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # for a checkout that is not installed
    sys.exit(main())
