"""The test suite's own promises: a failing test leaves no process, and a suite in the background is like any other."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]

FAILS = """
import subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).parent
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]

def note(pid):
    with (HERE / "pids").open("a") as file:
        file.write(f"{pid}\\n")

def test_that_fails(tmp_path):
    child = subprocess.Popen(SLEEP, start_new_session=True)
    note(child.pid)
    starter = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=-3, stderr=-3).pid)"
    made = subprocess.run([sys.executable, "-c", starter, *SLEEP], cwd=tmp_path, capture_output=True, text=True)
    note(int(made.stdout))  # an orphan in a session of its own
    assert False

def test_that_comes_after():
    for line in (HERE / "pids").read_text().split():
        import psutil
        for _ in range(100):
            if not psutil.pid_exists(int(line)) or psutil.Process(int(line)).status() == "zombie":
                break
            time.sleep(0.05)
        else:
            assert False, f"{line} is still there"
"""
SIGNALS = """
import signal, subprocess, sys

def test_signals():
    show = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, int(signal.getsignal(signal.SIGHUP)))"
    assert subprocess.check_output([sys.executable, "-c", show], text=True).split() == ["True", "0"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


def run(
    folder: Path, test: str, *, ignored: tuple[signal.Signals, ...] = ()
) -> subprocess.CompletedProcess[str]:
    (folder / "test_made.py").write_text(test)

    def ignore() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    options = ["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--basetemp={folder / 'base'}"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder / "test_made.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=ignore,
    )


def test_a_test_that_fails_ends_the_processes_that_it_started(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        time.sleep(0.1)
        made = run(tmp_path, FAILS)
        assert "1 failed, 1 passed" in made.stdout, made.stdout + made.stderr
        pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
        assert len(pids) == 2
        assert not [
            pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"
        ]
        assert bystander.poll() is None, "nobody else's process is touched"
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("ignored", [(), (signal.SIGINT,), (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)])
def test_a_suite_in_the_background_gives_its_children_the_usual_signals(
    tmp_path: Path, ignored: tuple[signal.Signals, ...]
) -> None:
    made = run(tmp_path, SIGNALS, ignored=ignored)
    assert made.returncode == 0, made.stdout + made.stderr
