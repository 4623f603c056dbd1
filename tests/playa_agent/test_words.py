import os
import signal

from playa.agent.words import exited, wait_status


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
