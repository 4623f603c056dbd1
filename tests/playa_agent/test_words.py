import os
import signal

import pytest

from playa.agent.words import duration, exited, parse_duration, wait_status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5secs"),
        (2, "2secs"),
        (900, "15mins"),
        (90, "1.5mins"),
        (3600, "1hrs"),
        (86400, "1days"),
        (604800, "1weeks"),
        (0.25, "250ms"),
        (0, "0ns"),
    ],
)
def test_a_duration_is_spelled_as_mesos_spells_it(seconds, text):
    assert duration(seconds) == text
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "secs", "5 parsecs", "-5secs", "5secs more"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_a_wait_status_is_told_as_exit_code_or_signal():
    assert wait_status(exited(0)) == "exited with status 0"
    assert wait_status(exited(3)) == "exited with status 3"
    assert wait_status(int(signal.SIGKILL)) == "terminated with signal Killed"
    assert wait_status(int(signal.SIGTERM)) == "terminated with signal Terminated"
    assert (
        wait_status(int(signal.SIGSEGV) | 0x80) == "terminated with signal Segmentation fault (core dumped)"
    )


def test_the_wait_status_of_an_exit_code_is_the_operating_systems():
    assert exited(7) == 1792
    assert os.WEXITSTATUS(exited(7)) == 7
