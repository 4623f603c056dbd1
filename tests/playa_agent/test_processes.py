"""Processes: nothing outlives its owner unless it may, no zombie, no descriptor left behind."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from playa.agent.containers.processes import PROCESSES, Command, kept_status, start_time, usage
from playa.agent.containers.sandbox import user_to_switch_to
from playa.agent.executors.environment import DEFAULT_PATH


@pytest.fixture
def command(tmp_path):
    def make(text: str) -> Command:
        return Command("/bin/sh", ("sh", "-c", text), {"PATH": DEFAULT_PATH}, tmp_path)

    return make


@pytest.fixture
def owner(tmp_path):
    return str(tmp_path)


async def test_the_wait_status_is_the_operating_systems(command, owner):
    assert await PROCESSES.spawn(command("exit 7"), owner=owner).wait() == 7 << 8
    assert await PROCESSES.spawn(command("kill -9 $$"), owner=owner).wait() == 9


async def test_a_child_leads_a_session_of_its_own(command, owner, tmp_path):
    child = PROCESSES.spawn(command("exec sleep 100"), owner=owner)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    child.kill()
    assert await child.wait() == 9


async def test_no_zombie_and_no_descriptor_is_left(command, owner):
    await PROCESSES.spawn(command("true"), owner=owner).wait()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are wanted
    children = [PROCESSES.spawn(command("true"), owner=owner) for _ in range(10)]
    for child in children:
        await child.wait()
    assert not [child for child in PROCESSES._children.values() if child.owner == owner]
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    mine = [p for p in psutil.Process().children() if p.status() == psutil.STATUS_ZOMBIE]
    assert mine == []


async def test_what_a_child_started_is_killed_with_it(command, owner, tmp_path):
    child = PROCESSES.spawn(command("sleep 1000 & echo $! > other; exit 0"), owner=owner)
    assert await child.wait() == 0
    other = int((tmp_path / "other").read_text())
    async with asyncio.timeout(5):
        while psutil.pid_exists(other) and psutil.Process(other).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)


# A daemon as textbooks make them: forked twice, in a session of its own, with an environment and files of its own.
DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(0, 100)
os.environ.clear()
with open(sys.argv[1] + ".new", "w") as out:
    out.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
"""


def daemon(tmp_path: Path, name: str = "daemon", then: str = "exec sleep 1000") -> str:
    """A shell command that leaves a daemon behind and tells its id in a file."""
    (tmp_path / "daemon.py").write_text(DAEMON)
    wait = f"while ! test -e {tmp_path}/{name}; do sleep 0.01; done"
    return f"{sys.executable} -S {tmp_path}/daemon.py {tmp_path}/{name}; {wait}; {then}"


async def pid_in(file: Path) -> int:
    async with asyncio.timeout(20):
        while not os.access(file, os.R_OK):
            await asyncio.sleep(0.01)
    return int(await asyncio.to_thread(file.read_text))


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["ends", "is killed", "is told to end", "dies", "with its directory"])
async def test_a_daemon_that_left_its_session_ends_with_the_child_that_started_it(
    command, owner, tmp_path, how
):
    child = PROCESSES.spawn(
        command(daemon(tmp_path, then="exit 3" if how == "ends" else "exec sleep 1000")), owner=owner
    )
    other = await pid_in(tmp_path / "daemon")
    if how == "is killed":
        child.kill()
    elif how == "is told to end":
        child.signal(signal.SIGTERM)
    elif how == "dies":
        os.kill(child.pid, signal.SIGKILL)
    elif how == "with its directory":
        await PROCESSES.end_all(owner)
    status = await child.wait()
    assert not psutil.pid_exists(other), "gone before the end is told"
    assert status == {"ends": 3 << 8, "is told to end": 15}.get(how, 9)


async def test_many_generations_of_daemons_end_too(command, owner, tmp_path):
    nested = daemon(
        tmp_path,
        "first",
        then=daemon(tmp_path, "second", then="setsid sleep 1000 & setsid sh -c 'sleep 1000 & wait'"),
    )
    child = PROCESSES.spawn(command(nested), owner=owner)
    await pid_in(tmp_path / "second")
    supervisor = psutil.Process(child.pid).parent()
    assert supervisor is not None
    async with asyncio.timeout(20):
        while len(started := supervisor.children(recursive=True)) < 5:
            await asyncio.sleep(0.01)
    child.kill()
    assert await child.wait() == 9
    assert not [process for process in started if process.is_running() and process.pid != child.pid]


async def test_a_supervisor_that_is_killed_takes_everything_with_it(command, owner, tmp_path):
    child = PROCESSES.spawn(command(daemon(tmp_path)), owner=owner)
    other = await pid_in(tmp_path / "daemon")
    supervisor = psutil.Process(child.pid).parent()
    assert supervisor is not None
    supervisor.kill()
    assert await child.wait() is None, "nobody knows how it ended"
    await gone(child.pid)
    await gone(other)


async def test_a_launcher_that_is_killed_is_replaced_and_its_children_live_on(command, owner, tmp_path):
    first = PROCESSES.spawn(command(daemon(tmp_path)), owner=owner)
    other = await pid_in(tmp_path / "daemon")
    launcher = psutil.Process(first.pid).parents()[1]
    launcher.kill()
    second = PROCESSES.spawn(command("exit 4"), owner=owner)
    assert await second.wait() == 4 << 8
    assert psutil.pid_exists(other)
    first.kill()
    assert await first.wait() == 9
    assert not psutil.pid_exists(other)


async def test_orphans_that_end_by_themselves_leave_no_zombie(command, owner, tmp_path):
    child = PROCESSES.spawn(
        command("for i in 1 2 3; do (setsid true &); done; echo $$ > done; exec sleep 1000"), owner=owner
    )
    await pid_in(tmp_path / "done")
    supervisor = psutil.Process(child.pid).parent()
    assert supervisor is not None
    async with asyncio.timeout(20):
        while len(supervisor.children(recursive=True)) > 1:
            await asyncio.sleep(0.01)
    child.kill()
    await child.wait()


@pytest.mark.parametrize("bad", ["a\0b", "/no/such/thing"])
async def test_a_name_that_cannot_be_run_is_an_operating_systems_error(tmp_path, owner, bad):
    with pytest.raises(OSError, match=re.escape(os.strerror(22 if "\0" in bad else 2))):
        PROCESSES.spawn(Command(bad, ("x",), {}, tmp_path), owner=owner)


async def test_what_is_not_text_goes_through_unharmed(tmp_path, owner):
    name = os.fsdecode(b"caf\xe9")
    environment = {"PATH": DEFAULT_PATH, "NAME": name, "LONG": "x" * 100_000}
    child = PROCESSES.spawn(
        Command("/bin/sh", ("sh", "-c", 'printf %s "$NAME$1"', "x", name), environment, tmp_path), owner=owner
    )
    assert await child.wait() == 0
    assert (tmp_path / "stdout").read_bytes() == b"caf\xe9" * 2


async def test_waiting_can_be_cancelled_and_begun_again(command, owner):
    child = PROCESSES.spawn(command("sleep 0.1"), owner=owner)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.wait(), 0.01)
    assert await child.wait() == 0


async def test_a_program_that_is_not_there_is_an_error_at_once(tmp_path, owner):
    with pytest.raises(FileNotFoundError):
        PROCESSES.spawn(Command("/no/such/thing", ("x",), {}, tmp_path), owner=owner)


async def test_end_all_kills_what_a_directory_and_those_below_it_own(command, tmp_path):
    inner = PROCESSES.spawn(command("sleep 1000"), owner=str(tmp_path / "agents" / "0"))
    other = PROCESSES.spawn(command("sleep 1000"), owner=f"{tmp_path}-other")
    await PROCESSES.end_all(str(tmp_path))
    assert await inner.wait() == 9
    assert not other.ended.done()
    await PROCESSES.end_all(f"{tmp_path}-other")


async def test_a_keeper_keeps_the_wait_status_and_passes_it_on(command, owner, tmp_path):
    for text, status in (("exit 3", 3 << 8), ("kill -15 $$", 15), ("kill -9 $$", 9)):
        file = tmp_path / "kept"
        child = PROCESSES.spawn(command(text), owner=owner, status_file=file)
        assert await child.wait() == status
        assert kept_status(file) == status


async def test_a_kept_process_hears_sigterm_though_its_keeper_does_not(command, owner, tmp_path):
    text = "trap 'exit 5' TERM; echo up > up; while true; do sleep 0.05; done"
    child = PROCESSES.spawn(command(text), owner=owner, status_file=tmp_path / "kept")
    async with asyncio.timeout(5):
        while not (tmp_path / "up").exists():
            await asyncio.sleep(0.01)
    child.signal(signal.SIGTERM)
    assert await child.wait() == 5 << 8


async def test_a_running_child_is_adopted_and_another_process_with_its_id_is_not(command, owner):
    child = PROCESSES.spawn(command("sleep 1000"), owner=owner)
    started = start_time(child.pid)
    assert PROCESSES.adopt(child.pid, started, owner=owner, status_file=None) is child
    stranger = os.getpid()
    assert PROCESSES.adopt(stranger, start_time(stranger) + 1, owner=owner, status_file=None) is None
    child.kill()
    await child.wait()


async def test_an_end_is_remembered_for_who_adopts_the_process_after_it(command, owner):
    child = PROCESSES.spawn(command("sleep 0.2; exit 3"), owner=owner, remember=True)
    started = start_time(child.pid)
    await child.wait()
    adopted = PROCESSES.adopt(child.pid, started, owner=owner, status_file=None)
    assert adopted is not None
    assert await adopted.wait() == 3 << 8
    assert PROCESSES.adopt(child.pid, started + 1, owner=owner, status_file=None) is None


async def test_what_a_child_uses_is_measured(command, owner):
    child = PROCESSES.spawn(command("while true; do :; done"), owner=owner)
    async with asyncio.timeout(10):
        while sum(usage(child.pid)[:2]) == 0:
            await asyncio.sleep(0.02)
    assert usage(child.pid).mem_rss_bytes > 0
    child.kill()
    await child.wait()


def test_only_root_switches_users_and_only_to_those_that_there_are():
    assert user_to_switch_to("") is None
    if os.geteuid() == 0:
        assert user_to_switch_to("root") is None
        nobody = user_to_switch_to("nobody")
        assert nobody is not None
        assert nobody.pw_name == "nobody"
        with pytest.raises(OSError, match="no-such-user"):
            user_to_switch_to("no-such-user")
    else:
        assert user_to_switch_to("root") is None


async def test_output_is_not_written_through_a_link_that_something_left_in_the_sandbox(
    command, owner, tmp_path
):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "stdout").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match="symbolic links"):
        PROCESSES.spawn(command("echo evil"), owner=owner)
    assert (tmp_path / "kept").read_text() == "kept"


CLUSTER = """
    import asyncio, sys
    from pathlib import Path
    from playa.agent.containers.processes import PROCESSES, Command

    async def main():
        here = Path(sys.argv[1])
        for name, survives in (("dies", False), ("lives", True)):
            text = f"echo $$ > {name}.new; mv {name}.new {name}; sleep 1000"
            if not survives:
                text = sys.argv[2] + " & " + text
            command = Command("/bin/sh", ("sh", "-c", text), {"PATH": "/usr/bin:/bin"}, here)
            PROCESSES.spawn(command, owner=str(here), survives=survives)
        while not all((here / name).exists() for name in ("dies", "lives", "daemon")):
            await asyncio.sleep(0.01)
        print("ready", flush=True)
        await asyncio.sleep(1000)

    asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_cluster_that_is_killed_leaves_nothing_but_what_may_survive(tmp_path, number):
    cluster = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CLUSTER), str(tmp_path), daemon(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent,
    )
    with cluster:
        assert cluster.stdout is not None
        assert cluster.stdout.readline() == b"ready\n"
        dies, lives, far = (
            psutil.Process(int((tmp_path / n).read_text())) for n in ("dies", "lives", "daemon")
        )
        cluster.send_signal(number)
    psutil.wait_procs([dies, far], timeout=20)
    assert not dies.is_running()
    assert not far.is_running(), "a daemon has no way to stay"
    assert lives.is_running()
    os.killpg(lives.pid, signal.SIGKILL)


def test_how_a_kept_process_ended_is_known_only_if_its_keeper_wrote_a_number(tmp_path):
    assert kept_status(None) is None
    file = tmp_path / "status"
    assert kept_status(file) is None
    for written, status in (("256", 256), ("0\n", 0), ("", None), ("killed", None)):
        file.write_text(written)
        assert kept_status(file) == status


async def test_a_process_that_another_cluster_started_is_followed_to_its_end(tmp_path):
    file = tmp_path / "status"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    started = start_time(process.pid)
    owner = str(tmp_path)
    assert PROCESSES.adopt(process.pid, started + 1, owner=owner, status_file=file) is None
    child = PROCESSES.adopt(process.pid, started, owner=owner, status_file=file)
    assert child is not None
    assert PROCESSES.adopt(process.pid, started, owner=owner, status_file=file) is child
    await asyncio.sleep(0.3)
    assert not child.ended.done()
    file.write_text(str(3 << 8))
    await process.communicate(b"\n")
    assert await asyncio.wait_for(child.wait(), 10) == 3 << 8
    again = PROCESSES.adopt(process.pid, started, owner=owner, status_file=None)
    assert again is not None, "how it ended is remembered"
    assert await again.wait() == 3 << 8
