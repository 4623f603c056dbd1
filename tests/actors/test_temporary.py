"""Temporary folders: removed by the next run if their process is dead, and by nobody else."""

import os
import subprocess
import sys
import tempfile
import time

import psutil
import pytest

from actors.temporary import TemporaryFolder, remove_leftovers

HOLDER = """
import subprocess, sys
from actors.temporary import TemporaryFolder

folder = TemporaryFolder("run-")
(folder.path / "file").write_text("x")
if sys.argv[1:] == ["keep"]:
    folder.keep()
if sys.argv[1:] == ["child"]:
    child = subprocess.Popen(["sleep", "1000"], pass_fds=(folder.fileno(),), stdout=subprocess.DEVNULL)
    print(child.pid)
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def killed(folder):
    """Start a process that has a folder; kill it."""

    def kill(*arguments):
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, *arguments],
            env=os.environ | {"TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if arguments == ("child",):
                process.stdout.readline()
            remove_leftovers("run-")
            assert len(list(folder.iterdir())) == 1  # it is alive
            process.kill()
        return line.strip()

    return kill


def test_what_a_process_that_was_killed_left_is_removed_by_the_next_one(folder, killed):
    killed()
    remove_leftovers("other-")
    assert len(list(folder.iterdir())) == 1
    remove_leftovers("run-")
    assert list(folder.iterdir()) == []


def test_what_was_to_be_kept_stays(folder, killed):
    killed("keep")
    remove_leftovers("run-")
    assert len(list(folder.glob("run-*/file"))) == 1


def test_a_folder_is_in_use_as_long_as_a_child_has_its_lock(folder, killed):
    child = int(killed("child"))
    remove_leftovers("run-")
    assert len(list(folder.iterdir())) == 1
    psutil.Process(child).kill()
    wait_for_end(child)
    remove_leftovers("run-")
    assert list(folder.iterdir()) == []


def wait_for_end(pid):
    """Until it has let go of its files: it is gone, or a zombie that nobody waits for."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.01)
    raise AssertionError("it is still there")


def test_folders_of_this_process_and_links_and_files_of_that_name_stay(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ".in-use").touch()
    (folder / "run-link").symlink_to(elsewhere)
    (folder / "run-file").touch()
    (folder / "run-somebody").mkdir()
    mine = TemporaryFolder("run-")
    remove_leftovers("run-")
    assert len(list(folder.iterdir())) == 4
    assert elsewhere.is_dir()
    assert mine.path.stat().st_mode & 0o077 == 0
    mine.remove()
    mine.remove()
    assert not mine.path.exists()
