"""Frameworks whose handlers block: they are named, and signals end them all the same."""

import os
import re
import signal
import subprocess
import time

import psutil
import pytest

from tests.mesostic.conftest import MESOSTIC

pytestmark = pytest.mark.slow

BLOCKS = """
import ctypes, re, time
from mesostic import SchedulerActor

class Blocks(SchedulerActor):
    def on_registered(self, event):
        self.launch(command="exec sleep 4711")
    def on_task_update(self, update):
        if update.phase == "running":
            print("blocked", flush=True)
            self.block()

class Sleeps(Blocks):
    def block(self):
        time.sleep(4711)

class Loops(Blocks):
    def block(self):
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass

class Matches(Blocks):
    def block(self):
        re.match("(a+)+$", "a" * 60 + "b")

class InALibrary(Blocks):
    def block(self):
        while True:
            _forever(ctypes.CDLL(None))

def _forever(libc):
    condition = ctypes.create_string_buffer(256)
    mutex = ctypes.create_string_buffer(256)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_cond_wait(condition, mutex)  # restarted by itself after a signal
"""


@pytest.fixture
def blocked(tmp_path):
    """Starts a framework and waits until it blocks; at the end nothing of it is left."""
    started = []

    def start(name):
        (tmp_path / "blocks.py").write_text(BLOCKS)
        (tmp_path / "blocks.toml").write_text(
            f'[framework]\nname = "blocks"\n[scheduler]\nclass = "blocks:{name}"\n'
        )
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        process = subprocess.Popen(
            [str(MESOSTIC), "run", "blocks.toml"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=(tmp_path / "stderr").open("wb"),
            text=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "blocked\n"
        return process, psutil.Process(process.pid).children(recursive=True)

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Sleeps", signal.SIGINT),
        ("Sleeps", signal.SIGTERM),
        ("Loops", signal.SIGINT),
        ("Matches", signal.SIGINT),
        ("InALibrary", signal.SIGINT),
    ],
)
def test_a_second_signal_ends_everything_though_a_hook_blocks(blocked, tmp_path, name, number):
    process, children = blocked(name)
    process.send_signal(number)
    time.sleep(1.2)  # as a person waits, and finds that nothing happens
    process.send_signal(number)
    assert process.wait(timeout=10) == 130
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    assert "in the middle of a handler" in (tmp_path / "stderr").read_text()
    assert list((tmp_path / "tmp").glob("mesostic-*")) == []


def test_two_signals_at_once_end_it_too(blocked):
    process, _ = blocked("Sleeps")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 130


def test_a_hook_that_blocks_is_named_with_its_stack_within_seconds(blocked, tmp_path):
    blocked("Loops")
    deadline = time.monotonic() + 15
    while "everything else" not in (tmp_path / "stderr").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    told = (tmp_path / "stderr").read_text()
    assert re.search(r"the handler of Loops \(scheduler\) for \w+ has been running for [1-9] s", told)
    assert 'blocks.py", line' in told
    assert "in block" in told
    assert "dispatcher.py" not in told
