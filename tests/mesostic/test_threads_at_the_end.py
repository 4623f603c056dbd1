"""Frameworks with a function in a thread that never returns: the run ends all the same, and says which it was."""

import time

import pytest

pytestmark = pytest.mark.slow

STUCK = """
import asyncio, threading, time
from mesostic import SchedulerActor

def never_returns(seconds):
    time.sleep(seconds)

class Stuck(SchedulerActor):
    def on_registered(self, event):
        self.launch(command="true")
        self.hold()
        self.finish_when_done()

class InThread(Stuck):
    def hold(self):
        self.run_in_background(self.in_thread(never_returns, 4711), name="it")

class ToThread(Stuck):
    def hold(self):
        self.run_in_background(asyncio.to_thread(never_returns, 4711), name="it")

class OwnThread(Stuck):
    def hold(self):
        threading.Thread(target=never_returns, args=(4711,)).start()

class Failing(InThread):
    def on_task_finished(self, task):
        self.finish(7, "as it should")
"""


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("InThread", 0, "stuck.never_returns (now in never_returns, "),
        ("ToThread", 0, "(now in never_returns, "),
        ("OwnThread", 0, "(now in never_returns, "),
        ("Failing", 7, "stuck.never_returns (now in never_returns, "),
    ],
)
def test_a_function_that_never_returns_does_not_keep_a_run_that_has_ended(
    mesostic, tmp_path, name, code, says
):
    (tmp_path / "stuck.py").write_text(STUCK)
    (tmp_path / "stuck.toml").write_text(
        f'[framework]\nname = "stuck"\n[scheduler]\nclass = "stuck:{name}"\n'
    )
    began = time.monotonic()
    done = mesostic("run", "stuck.toml", timeout=50)
    assert done.returncode == code, done.stderr
    assert "ended without waiting for " in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 45
    assert list((tmp_path / "tmp").glob("playa-*")) == []
