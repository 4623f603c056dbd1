"""The command as users run it: in a process of its own, against a real embedded cluster, with what goes wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mesostic.cli import report_bug
from mesostic.cli import run as run_in_process

pytestmark = pytest.mark.slow

HELLO = {"Hello, Mesos!", "Hello, actors!", "Hello, world!"}

WAITS = """
from mesostic import SchedulerActor

class Waits(SchedulerActor):
    def on_registered(self, event):
        self.launch(command="exec sleep 4711")
    def on_task_update(self, update):
        if update.phase == "running":
            print("running", flush=True)

class Stubborn(Waits):
    def on_shutdown_requested(self, request):
        print("no", flush=True)
"""

CRASHES = """
import os
from mesostic import Executor, RetryPolicy, SchedulerActor, message, task

@message
class Work:
    pass

if "MESOS_SANDBOX" in os.environ:
    raise RuntimeError("no licence for this machine")

class Worker(Executor):
    @task
    def work(self, work: Work) -> None:
        pass

class Crashes(SchedulerActor):
    def on_registered(self, event):
        self.launch(Work(), retry=RetryPolicy(attempts=2, backoff=0.1))
    def on_task_failed(self, failed):
        self.finish(4, f"a task failed: {failed.message}")
"""


@pytest.fixture
def project(tmp_path, mesostic):
    """The first framework, and two that do not end by themselves or not well."""
    assert mesostic("init", ".").returncode == 0
    (tmp_path / "waits.py").write_text(WAITS)
    (tmp_path / "waits.toml").write_text('[framework]\nname = "waits"\n[scheduler]\nclass = "waits:Waits"\n')
    (tmp_path / "crashes.py").write_text(CRASHES)
    (tmp_path / "crashes.toml").write_text(
        '[framework]\nname = "crashes"\n[scheduler]\nclass = "crashes:Crashes"\n[executors.w]\nclass = "crashes:Worker"\n'
    )
    return tmp_path


def left_behind(project):
    return [path.name for path in (project / "tmp").iterdir()]


def no_traceback(done):
    assert "Traceback" not in done.stdout + done.stderr
    return done


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


def wait_for_line(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} was not printed: {lines}")


def wait_until_gone(processes, patience=15.0):
    _, alive = psutil.wait_procs(processes, timeout=patience)
    assert not alive, alive


def start(project, *arguments):
    return subprocess.Popen(
        [str(_command()), *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(project / "tmp")},
    )


def test_the_first_framework_runs_from_one_command_and_leaves_nothing_behind(project, mesostic):
    done = no_traceback(mesostic("run", "hello.toml"))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == HELLO
    assert left_behind(project) == []


def test_the_first_task_runs_within_three_seconds_of_the_command(project):
    elapsed = []
    for _ in range(8):  # the machine may be busy with something else: one quick run shows that it can be done
        started = time.monotonic()
        process = start(project, "run", "waits.toml")
        wait_for_line(process, "running")
        elapsed.append(time.monotonic() - started)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        if elapsed[-1] < 3.0:
            break
    assert min(elapsed) < max(3.0, 10 * _seconds_to_start_python()), elapsed


def _seconds_to_start_python():
    """How long this machine, as busy as it is now, takes for what every such command begins with."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import aiohttp, google.protobuf"], check=True)
    return time.monotonic() - started


def test_init_does_not_overwrite(project, mesostic):
    done = no_traceback(mesostic("init", "."))
    assert (done.returncode, done.stderr) == (
        2,
        "mesostic: hello.py already exists; nothing was written.\n",
    )


def test_a_wrong_configuration_starts_nothing(project, mesostic):
    done = no_traceback(
        mesostic("run", "hello.toml", "--set", "scheduler.nmaes=1", "--set", "executors.hello.mem=a lot")
    )
    assert done.returncode == 2
    assert "hello.toml has 2 errors; nothing was started." in done.stderr
    assert "--set scheduler.nmaes: scheduler.nmaes: unknown key; did you mean names?" in done.stderr
    assert left_behind(project) == []


def test_an_executor_that_crashes_at_its_start_is_told_with_its_last_words(project, mesostic):
    done = mesostic("run", "crashes.toml")
    assert done.returncode == 4
    assert "a task failed:" in done.stderr
    assert "no licence for this machine" in done.stderr
    assert "is kept:" in done.stderr
    assert "wrote to standard error:" in done.stderr
    assert "said last" not in done.stderr  # the report has quoted it
    assert not [line for line in done.stderr.splitlines() if line.startswith("Traceback")]
    (kept,) = left_behind(project)
    assert list((project / "tmp" / kept).glob("agents/*/slaves/*/frameworks/*/executors/*/runs/*/stderr"))


def test_an_executors_last_words_that_no_report_has_quoted_are_told(project, mesostic):
    done = mesostic("run", "crashes.toml", "--set", "failures.read_sandboxes=false")
    assert done.returncode == 4
    assert "wrote to standard error:" not in done.stderr
    assert "said last" in done.stderr


def test_the_clusters_folder_of_a_run_that_was_killed_is_removed_by_the_next_one(project, mesostic):
    process = start(project, "run", "waits.toml")
    try:
        wait_for_line(process, "running")
        children = descendants(process)
    finally:
        process.kill()
        process.wait()
    wait_until_gone(children)
    assert len(left_behind(project)) == 2  # the cluster's, and the one for uploads
    assert mesostic("run", "hello.toml").returncode == 0
    assert left_behind(project) == []


def test_the_clusters_folder_can_be_kept(project, mesostic):
    done = mesostic("run", "hello.toml", "--set", "cluster.keep_work_dir=always")
    assert done.returncode == 0
    assert "the cluster's folder (logs, sandboxes) is kept:" in done.stderr
    assert len(left_behind(project)) == 1


@pytest.fixture
def busy_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_a_port_in_use_is_one_paragraph(project, mesostic, busy_port):
    of_cluster = no_traceback(mesostic("run", "hello.toml", "--set", f"cluster.port={busy_port}"))
    assert of_cluster.returncode == 3
    assert f"could not be started on port {busy_port}: Address already in use." in of_cluster.stderr
    assert left_behind(project) == []
    of_server = no_traceback(mesostic("run", "hello.toml", "--set", f"server.port={busy_port}"))
    assert of_server.returncode == 2
    assert f"127.0.0.1:{busy_port}" in of_server.stderr
    alone = no_traceback(mesostic("cluster", "--port", busy_port))
    assert alone.returncode == 3
    assert (
        alone.stderr
        == f"mesostic: The cluster could not be started on port {busy_port}: Address already in use.\n"
    )


def test_a_master_that_nobody_is_is_one_paragraph(project, mesostic, unused_port):
    done = no_traceback(
        mesostic(
            "run",
            "hello.toml",
            "--set",
            f"framework.master=http://127.0.0.1:{unused_port}",
            "--master-timeout",
            "0.5s",
        )
    )
    assert done.returncode == 3
    assert (
        f"No master can be reached at 127.0.0.1:{unused_port} (connection refused). Tried for 0.5 s."
        in done.stderr
    )


def test_a_trace_that_cannot_be_written_is_one_paragraph(project, mesostic):
    done = no_traceback(mesostic("run", "hello.toml", "--trace", "/nowhere/at/all.trace"))
    assert done.returncode == 2
    told = "mesostic: The trace cannot be written to /nowhere/at/all.trace: No such file or directory. Name a file that you may write, in a folder that exists.\n"
    assert done.stderr == told  # and not that a cluster was started for it
    assert left_behind(project) == []


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_a_first_signal_ends_the_framework_in_order(project, number, name):
    process = start(project, "run", "waits.toml")
    wait_for_line(process, "running")
    children = descendants(process)
    process.send_signal(number)
    rest = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert f"{name}: the framework is asked to end (Ctrl-C again ends everything at once)" in rest
    wait_until_gone(children)
    assert left_behind(project) == []


def test_a_second_ctrl_c_ends_everything_at_once(project):
    process = start(project, "run", "waits.toml", "--set", "scheduler.class=waits:Stubborn")
    wait_for_line(process, "running")
    children = descendants(process)
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "no")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    wait_until_gone(children)
    process.stdout.close()


def test_ctrl_c_before_there_is_anybody_to_ask_is_final(project, unused_port):
    process = start(project, "run", "hello.toml", "--set", f"framework.master=http://127.0.0.1:{unused_port}")
    wait_for_line(process, "Trying again")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    process.stdout.close()


def test_the_cluster_ends_with_its_parent_even_when_that_is_killed(project):
    process = start(project, "run", "waits.toml")
    wait_for_line(process, "running")
    children = descendants(process)
    assert len(children) >= 2
    process.kill()
    process.wait()
    wait_until_gone(children, patience=30)
    process.stdout.close()


def test_a_cluster_that_dies_ends_the_run_with_a_paragraph(project):
    process = start(project, "run", "waits.toml")
    wait_for_line(process, "running")
    (cluster,) = [child for child in descendants(process) if "cluster_process" in " ".join(child.cmdline())]
    cluster.kill()
    rest = process.communicate(timeout=20)[0]
    assert process.returncode == 3
    assert "mesostic: The embedded cluster ended while the framework ran." in rest
    assert "Traceback" not in rest


def test_check_prints_the_composition_and_starts_nothing(project, mesostic):
    done = mesostic("check", "hello.toml")
    assert done.returncode == 0
    for text in (
        "hello.toml is fine.",
        "scheduler: hello:HelloScheduler",
        "hello: hello:HelloExecutor",
        "offers -> connection: Accept",
    ):
        assert text in done.stdout
    assert mesostic("check", "hello.toml", "-q").stdout == ""


def test_a_cluster_alone_serves_a_framework_that_is_pointed_at_it(project, mesostic):
    cluster = start(project, "cluster", "--port", "0", "--agents", "2", "--allocation_interval", "100ms")
    (line,) = wait_for_line(cluster, "master: ")
    url = line.split()[1]
    wait_for_line(cluster, "agents: 2 x cpus:4")
    done = mesostic("run", "hello.toml", "--set", f"framework.master={url}")
    assert set(done.stdout.splitlines()) == HELLO
    cluster.send_signal(signal.SIGINT)
    cluster.communicate(timeout=20)
    assert cluster.returncode == 0
    assert left_behind(project) == []


def test_a_trace_tells_the_story_of_a_task(project, mesostic):
    assert mesostic("run", "hello.toml", "--trace", "hello.trace").returncode == 0
    story = mesostic("trace", "show", "hello.trace", "--contains", "world").stdout
    order = [
        "Demand",
        "connection -> offers  Offers",
        "Accept",
        "TASK_FINISHED",
        'TASK_FINISHED ("Hello, world!")',
        "Acknowledge",
    ]
    assert all(text in story for text in order), story
    assert "Mesos" not in story.partition("Demand")[2].partition("\n")[0]
    assert "task:hello-" in story
    stats = mesostic("trace", "stats", "hello.trace").stdout
    assert "messages by type" in stats
    accepted = mesostic("trace", "show", "hello.trace", "--type", "Accept", "--json").stdout
    assert json.loads(accepted.splitlines()[0])["receiver"] == "connection"


def test_a_trace_that_is_cut_or_none_is_read_or_refused(project, mesostic):
    assert mesostic("run", "hello.toml", "--trace", "hello.trace").returncode == 0
    whole = (project / "hello.trace").read_bytes()
    (project / "cut.trace").write_bytes(whole[: len(whole) // 2])
    assert mesostic("trace", "stats", "cut.trace").returncode == 0
    (project / "none.trace").write_bytes(b"this is not a trace")
    for name in ("none.trace", "nowhere.trace", "."):
        done = no_traceback(mesostic("trace", "show", name))
        assert done.returncode == 2
        assert done.stderr.startswith("mesostic: ")


def test_following_a_trace_shows_what_is_added(project):
    running = start(project, "run", "waits.toml", "--trace", "waits.trace")
    wait_for_line(running, "running")
    shown = ("--type", "Launched", "--type", "TeardownDone")
    following = start(project, "trace", "show", "waits.trace", "--follow", *shown)
    wait_for_line(following, "Launched")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    wait_for_line(following, "TeardownDone")
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=10)
    assert following.returncode == 0


def test_output_that_nobody_reads_to_its_end_is_no_error(project, mesostic):
    assert mesostic("run", "hello.toml", "--trace", "hello.trace").returncode == 0
    done = subprocess.run(
        f"{_command()} trace show hello.trace | head -n 1",
        shell=True,
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_a_bug_is_one_line_and_a_file_with_the_traceback(capsys):
    error = RuntimeError("something\nthat should not be")
    report_bug(error, debug=False)
    told = capsys.readouterr().err
    assert told.startswith(
        "mesostic: an unexpected error, a bug: RuntimeError: something that should not be."
    )
    (file,) = [Path(word) for word in told.split() if "mesostic-error-" in word]
    assert "RuntimeError: something" in file.read_text()
    file.unlink()
    report_bug(error, debug=True)
    assert "RuntimeError: something\nthat" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(mesostic):
    done = mesostic("rnu")
    assert done.returncode == 2
    assert "There is no command 'rnu'; did you mean run?" in done.stderr


def test_the_version_is_printed(mesostic):
    assert mesostic("--version").stdout.startswith("mesostic 0.")


def test_help_of_every_command_is_there(capsys):
    for words in (
        ["--help"],
        ["run", "-h"],
        ["check", "-h"],
        ["cluster", "-h"],
        ["init", "-h"],
        ["trace", "show", "-h"],
    ):
        assert run_in_process(words) == 0
        assert "Usage:" in capsys.readouterr().out


def _command():
    from tests.mesostic.conftest import MESOSTIC

    return MESOSTIC
