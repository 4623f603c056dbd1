"""Durations as people and Mesos write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_v1.quantities import format_duration, mesos_duration, parse_duration, parse_mesos_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("250ms", 0.25),
        ("10secs", 10),
        ("1mins", 60),
        ("2hrs", 7200),
        ("1weeks", 604800),
        ("1.5 h", 5400),
    ],
)
def test_durations_are_read_as_people_and_mesos_write_them(text, seconds):
    assert parse_duration(text) == seconds


@given(st.floats(min_value=0, max_value=1e7, allow_nan=False).map(lambda value: round(value, 3)))
def test_a_formatted_duration_reads_back_as_itself(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5secs"),
        (2, "2secs"),
        (900, "15mins"),
        (90, "90secs"),
        (1.5, "1500ms"),
        (3700, "1.02777777777778hrs"),
        (5400, "90mins"),
        (3600, "1hrs"),
        (86400, "1days"),
        (604800, "1weeks"),
        (0.25, "250ms"),
        (0, "0ns"),
    ],
)
def test_a_duration_is_spelled_as_mesos_spells_it(seconds, text):
    assert mesos_duration(seconds) == text
    assert parse_mesos_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5secs", 5.0), ("250ms", 0.25), ("1.5mins", 90.0), ("2hrs", 7200.0), ("1days", 86400.0),
        ("1weeks", 604800.0), ("1000us", 0.001), ("1000000ns", 0.001), (" 0secs ", 0.0),
    ],
)  # fmt: skip
def test_durations_are_read_as_mesos_writes_them(text, seconds):
    assert parse_mesos_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "5", "secs", "5 secs", "5 parsecs", "5secs more", "-5secs", "5seconds", "1e3secs", "infsecs"],
)
def test_other_texts_are_not_durations_of_mesos(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_mesos_duration(text)
