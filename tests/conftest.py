"""What holds for every test: no skip hides a gap in CI, and nothing talks to a host outside this machine."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from actors.runtime import secrets

REQUIRE_ALL = os.environ.get("MESOSTIC_REQUIRE_ALL") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """With MESOSTIC_REQUIRE_ALL=1 (as CI sets it) a skipped test is a failed test."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, and MESOSTIC_REQUIRE_ALL=1 allows no skip: {reason}"
    return report


@pytest.fixture(autouse=True)
def _secrets_of_one_test_are_no_other_tests() -> Iterator[None]:
    """What one test calls secret may be any word in another."""
    yield
    secrets._known.clear()


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
