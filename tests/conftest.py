"""What holds for every test: no skip hides a gap in CI, nothing talks to a host outside this machine, nothing is left behind."""

import ipaddress
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from actors.runtime.codec import secrets
from tests.support import leftovers

REQUIRE_ALL = os.environ.get("MESOSTIC_REQUIRE_ALL") == "1"
FAILED = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """Started in the background of a script, under nohup or by cron, a process ignores signals, and so do its children."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """With MESOSTIC_REQUIRE_ALL=1 (as CI sets it) a skipped test is a failed test."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, and MESOSTIC_REQUIRE_ALL=1 allows no skip: {reason}"
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(autouse=True)
def _secrets_of_one_test_are_no_other_tests() -> Iterator[None]:
    """What one test calls secret may be any word in another."""
    yield
    secrets._known.clear()


@pytest.fixture(autouse=True, scope="session")
def everything_of_this_run_is_in_one_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files too, of this process and of those that it starts; at the end, no process is left that works there."""
    folder = tmp_path_factory.getbasetemp()
    temporary = folder / "t"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    yield
    leftovers.end_all(folder)


@pytest.fixture(autouse=True)
def a_test_that_fails_ends_what_it_started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A test that passes ends it itself."""
    began = leftovers.now()
    yield
    if request.node.stash.get(FAILED, False):
        leftovers.end_all(tmp_path_factory.getbasetemp(), since=began)


def _is_outside(address: object) -> bool:
    if not isinstance(address, tuple) or not address:
        return False  # unix domain sockets
    try:
        host = ipaddress.ip_address(str(address[0]).split("%")[0])
    except ValueError:
        return address[0] not in ("localhost", "")
    return not (host.is_loopback or host.is_unspecified)


@pytest.fixture(autouse=True)
def no_traffic_leaves_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting to any address but loopback fails the test that tries."""

    def guarded(name: str) -> Any:
        original = getattr(socket.socket, name)

        def connect(self: socket.socket, address: object) -> object:
            if _is_outside(address):
                pytest.fail(f"a test tried to reach {address!r}; tests talk to this machine only")
            return original(self, address)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guarded("connect"))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded("connect_ex"))
