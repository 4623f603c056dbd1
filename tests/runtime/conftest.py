"""Fixtures of the runtime's tests. Async tests use `tests.support.virtual`: nothing sleeps, and seconds are exact."""

from __future__ import annotations

import logging

import pytest

from actors.runtime import ActorSystem


@pytest.fixture
def threaded():
    """A system in a thread of its own, in real time, for tests that block as pykka's users do."""
    with ActorSystem.in_thread("threaded") as system:
        yield system


@pytest.fixture(autouse=True)
def _quiet_pykka():
    """Failures that are meant stay out of the test's output."""
    logging.getLogger("pykka").setLevel(logging.CRITICAL)
