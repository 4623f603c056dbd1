import signal

from playa.agent.containers.processes import wait_status


def test_a_wait_status_is_told_as_exit_code_or_signal():
    assert wait_status(0) == "exited with status 0"
    assert wait_status(3 << 8) == "exited with status 3"
    assert wait_status(int(signal.SIGKILL)) == "terminated with signal Killed"
    assert wait_status(int(signal.SIGTERM)) == "terminated with signal Terminated"
    assert (
        wait_status(int(signal.SIGSEGV) | 0x80) == "terminated with signal Segmentation fault (core dumped)"
    )
