"""Recordings and ways to cut bytes, for the tests of mesos_v1."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# how long one example takes is the machine's business
settings.register_profile("mesos_v1", deadline=None)
settings.load_profile("mesos_v1")

RECORDED = Path(__file__).resolve().parent.parent / "recorded"


def _cuts(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, one at a time, in two halves at every place, and in pieces of several sizes."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    for i in range(len(data) + 1):
        yield [data[:i], data[i:]]
    for size in (2, 3, 5, 7, 64):
        yield [data[i : i + size] for i in range(0, len(data), size)]


@pytest.fixture(scope="session")
def cuts() -> Callable[[bytes], Iterator[list[bytes]]]:
    return _cuts


@pytest.fixture(scope="session")
def recorded() -> Callable[..., list[dict[str, Any]]]:
    """The lines of one recording, or of all, with the file's name in `file`."""

    def read(name: str = "*") -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for path in sorted(RECORDED.glob(f"{name}.jsonl")):
            found = path.read_text().splitlines()
            lines += [{**json.loads(line), "file": path.name} for line in found]
        assert lines
        return lines

    return read
