"""A pytest plugin of `mutants.py`: notes which test reaches which line, or runs the tests chosen, in their order.

The environment says which: `REACHING_CHOSEN` is a file of test ids, one per line; `REACHING_REPORT` is where to write what
the tests took and which of them failed. Under coverage each test is a context of its own.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_seconds: dict[str, float] = {}
_failed: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The chosen ones, in the order in which they are listed."""
    if listed := os.environ.get("REACHING_CHOSEN"):
        rank = {test: index for index, test in enumerate(Path(listed).read_text().splitlines())}
        items[:] = sorted((item for item in items if item.nodeid in rank), key=lambda at: rank[at.nodeid])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """What is reached from here is reached by this test."""
    if "COVERAGE_PROCESS_START" in os.environ:
        import coverage

        if measuring := coverage.Coverage.current():
            measuring.switch_context(item.nodeid)
    begun = time.monotonic()
    result = yield
    _seconds[item.nodeid] = round(time.monotonic() - begun, 3)
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test, its set-up or what it leaves failed."""
    if report.failed:
        _failed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Tell the one who started this."""
    Path(os.environ["REACHING_REPORT"]).write_text(json.dumps({"seconds": _seconds, "failed": _failed}))
