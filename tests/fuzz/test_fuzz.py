"""The decoders under attack: any bytes, and good ones gone bad, never break the rules of `tests.support.fuzz_targets`."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import TARGETS, seeds

FOUND = Path(__file__).with_name("found")
TOOL = Path(__file__).resolve().parents[2] / "tools" / "fuzz.py"
SECONDS = 30  # of coverage-guided attack on all targets together, two at a time; starting them takes as long


@st.composite
def damaged(draw: st.DrawFn, good: list[bytes]) -> bytes:
    """A good example with a few bytes changed, lost, doubled, or taken from another example."""
    data = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 12)))
        other = draw(st.sampled_from(good))
        begin_other = draw(st.integers(0, len(other)))
        data[begin:end] = draw(
            st.binary(max_size=6) | st.just(bytes(data[begin:end]) * 2) | st.just(other[begin_other:][:40])
        )
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_good_examples_hold(name):
    for example in seeds(name):
        TARGETS[name](example)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_hold(name):
    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_examples_hold(name):
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(damaged(seeds(name)))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


@pytest.mark.parametrize(
    "path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_was_found_once_holds_now(path):
    TARGETS[path.parent.name](path.read_bytes())


def test_a_target_that_does_not_exist_is_named():
    done = subprocess.run(
        [sys.executable, TOOL, "--target", "nonsense"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no target 'nonsense'; there are recordio," in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_coverage_guided_attack_finds_nothing():
    pytest.importorskip("atheris")
    done = subprocess.run(
        # a fixed seed: what is found by chance is for `make fuzz`, and does not stop whoever changed something else
        [sys.executable, TOOL, "--seconds", str(SECONDS), "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("inputs tried") == len(TARGETS)
