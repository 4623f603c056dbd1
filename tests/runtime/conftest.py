"""Fixtures of the runtime's tests: a system on a loop in a thread, and failures that are meant kept out of the log."""

from __future__ import annotations

import logging

import pytest

from actors.runtime import ActorSystem


@pytest.fixture
def threaded():
    """A system in a thread of its own, for tests that block as pykka's users do."""
    with ActorSystem.in_thread("threaded") as system:
        yield system


@pytest.fixture(autouse=True)
def _quiet_failures():
    logging.getLogger("pykka").setLevel(logging.CRITICAL)
