"""An agent that is killed and started again: what checkpoints survives, what does not dies with it."""

import msgpack
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesos_v1 import pb
from playa.agent.checkpoint import Entry, Ledger, Recovered, read, records
from playa.messages import ExitedExecutor, KillTask, Ping, ReregisterAgent, UpdateFramework

F = "M-0000"


def pid_of(bench, task_id="t"):
    return bench.statuses(task_id)[-1].container_status.executor_pid


async def test_a_checkpointed_command_task_survives_its_agent_and_can_be_killed_after(bench):
    await bench.start()
    bench.run({"command": {"value": "sleep 1000"}}, checkpoint=True)
    await bench.running()
    pid = pid_of(bench)
    await bench.die()
    assert psutil.pid_exists(pid)
    await bench.start()
    again = bench.of(ReregisterAgent)[0]
    task = pb.mesos.Task.FromString(again.tasks[0])
    assert (task.task_id.value, task.state) == ("t", pb.mesos.TASK_RUNNING)
    assert not again.executors, "the master does not know of command executors"
    assert pb.mesos.AgentInfo.FromString(again.agent_info).id.value == "M-S0"
    assert bench.states() == ["TASK_STARTING", "TASK_RUNNING"], "nothing is said to the scheduler"
    bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=None))
    status = await bench.ended()
    assert status.message == "Command terminated with signal Terminated"


async def test_a_command_that_ends_while_its_agent_is_away_is_told_afterwards(bench):
    await bench.start()
    bench.run({"command": {"value": "sleep 0.2; exit 3"}}, checkpoint=True)
    await bench.running()
    pid = pid_of(bench)
    await bench.die()
    await bench.until(lambda: not psutil.pid_exists(pid))
    await bench.start()
    assert (await bench.ended()).message == "Command exited with status 3"


async def test_with_a_work_dir_that_stays_even_the_exit_code_is_kept(bench, tmp_path):
    await bench.start(work_dir=str(tmp_path / "stays"))
    bench.run({"command": {"value": "sleep 0.3; exit 3"}}, checkpoint=True)
    await bench.running()
    pid = pid_of(bench)
    await bench.die()
    await bench.until(lambda: not psutil.pid_exists(pid))
    await bench.start(work_dir=str(tmp_path / "stays"))
    assert (await bench.ended()).message == "Command exited with status 3"


async def test_of_each_task_in_such_a_work_dir_it_is_kept_how_it_ended(bench, tmp_path):
    await bench.start(work_dir=str(tmp_path / "stays"))
    for number, task_id in ((3, "a"), (4, "b")):
        task = {"task_id": task_id, "command": {"value": f"sleep 0.3; exit {number}"}}
        bench.run_group(task, checkpoint=True)  # of one executor
    for number, task_id in ((3, "a"), (4, "b")):
        assert (await bench.ended(task_id)).message == f"Command exited with status {number}"
    kept = [path.read_text() for path in (tmp_path / "stays" / "meta" / "statuses").iterdir()]
    assert sorted(map(int, kept)) == [3 << 8, 4 << 8]


async def test_without_checkpoint_a_task_dies_with_its_agent_and_is_not_named_again(bench):
    await bench.start()
    bench.run({"command": {"value": "sleep 1000"}})
    await bench.running()
    pid = pid_of(bench)
    await bench.die()
    await bench.until(lambda: not psutil.pid_exists(pid))
    await bench.start()
    assert not bench.of(ReregisterAgent)[0].tasks


async def test_a_custom_executor_comes_back_to_its_agent_with_its_tasks(bench):
    await bench.start()
    bench.run(bench.custom("run"), checkpoint=True)
    await bench.running()
    pid = pid_of(bench)
    await bench.die()
    assert psutil.pid_exists(pid)
    await bench.start()
    assert len(bench.of(ReregisterAgent)[0].executors) == 1
    bench.agent.tell(KillTask(framework_id=F, task_id="t", kill_policy=None))
    status = await bench.ended()
    assert (bench.states()[-1], pid_of(bench)) == ("TASK_KILLED", pid)
    assert status.container_status.executor_pid == pid


async def test_an_executor_that_does_not_come_back_in_time_is_killed_and_its_task_is_gone(bench):
    await bench.start()
    task = bench.custom("run")
    task["executor"]["command"]["environment"] = {"variables": [{"name": "MESOS_CHECKPOINT", "value": "0"}]}
    task["executor"]["command"]["value"] += "; exec sleep 1000"
    task["executor"]["command"]["value"] = task["executor"]["command"]["value"].removeprefix("exec ")
    bench.run(task, checkpoint=True)
    await bench.running()
    await bench.die()
    await bench.start(executor_reregistration_timeout=0.5)
    status = await bench.ended()
    assert status.state == pb.mesos.TASK_GONE
    assert status.reason == pb.mesos.TaskStatus.REASON_EXECUTOR_REREGISTRATION_TIMEOUT
    assert status.message == "Executor did not reregister within 500ms"
    assert bench.of(ExitedExecutor)


async def test_an_executor_that_died_while_its_agent_was_away_fails_its_tasks(bench):
    await bench.start()
    bench.run(bench.custom("run"), checkpoint=True)
    await bench.running()
    pid = pid_of(bench)
    await bench.die()
    psutil.Process(pid).kill()
    await bench.until(lambda: not psutil.pid_exists(pid))
    await bench.start()
    assert (await bench.ended()).message == "Executor terminated"
    assert bench.of(ExitedExecutor)[0].status == 9


@pytest.mark.parametrize("custom", [True, False])
async def test_what_had_no_process_yet_when_its_agent_was_killed_has_ended(bench, custom):
    await bench.start()
    bench.run(bench.custom("run") if custom else {"command": {"value": "sleep 1000"}}, checkpoint=True)
    await bench.running()
    pid = pid_of(bench)
    await bench.die()
    psutil.Process(pid).kill()
    ledger = Ledger(bench.directory / "agents" / "0" / "meta")
    early = [
        each for each in ledger.read() if each[0] not in {Entry.STARTED, Entry.UPDATE, Entry.ACKNOWLEDGED}
    ]
    ledger.rewrite(early)
    ledger.close()
    await bench.start()
    status = await bench.ended()
    if custom:
        assert (status.state, status.message) == (pb.mesos.TASK_FAILED, "Executor terminated")
        assert bench.of(ExitedExecutor)[0].status == -1
    else:
        assert status.state == pb.mesos.TASK_DROPPED
        assert status.reason == pb.mesos.TaskStatus.REASON_AGENT_RESTARTED
        assert not bench.of(ExitedExecutor)


async def test_what_a_framework_says_of_itself_now_is_kept_for_the_next_agent(bench):
    await bench.start()
    bench.run({"command": {"value": "sleep 1000"}}, checkpoint=True)
    await bench.running()
    changed = bench.framework(checkpoint=True, name="changed")
    bench.agent.tell(UpdateFramework(framework_info=changed.SerializeToString()))
    kept = Ledger(bench.directory / "agents" / "0" / "meta")
    await bench.until(lambda: read(kept.read()).frameworks[F].info == changed.SerializeToString())
    await bench.die()
    await bench.start()
    (info,) = bench.of(ReregisterAgent)[-1].frameworks
    assert pb.mesos.FrameworkInfo.FromString(info).name == "changed"


async def test_a_group_survives_its_agent(bench):
    await bench.start()
    tasks = [{"task_id": name, "command": {"value": "sleep 1000"}} for name in "ab"]
    bench.run_group(*tasks, checkpoint=True)
    for name in "ab":
        await bench.running(name)
    await bench.die()
    await bench.start()
    bench.agent.tell(KillTask(framework_id=F, task_id="a", kill_policy=None))
    assert (await bench.ended("a")).state == pb.mesos.TASK_KILLED
    assert (await bench.ended("b")).state == pb.mesos.TASK_KILLED
    await bench.until(lambda: bench.of(ExitedExecutor))


async def test_updates_that_nobody_acknowledged_are_sent_again_after_a_restart(bench):
    bench.acknowledging = False
    await bench.start()
    bench.run({"command": {"value": "true"}}, checkpoint=True)
    await bench.until(bench.statuses)
    first = bench.statuses()[0]
    await bench.die()
    bench.acknowledging = True
    await bench.start()
    await bench.ended()
    assert bench.statuses()[1].uuid == first.uuid
    assert bench.states() == ["TASK_STARTING", "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


async def test_the_end_of_a_task_that_nobody_acknowledged_is_told_after_a_restart(bench):
    bench.acknowledging = False
    await bench.start()
    bench.run({"command": {"value": "exit 3"}}, checkpoint=True)

    def written():
        kept = [record[0] for record in Ledger(bench.directory / "agents" / "0" / "meta").read()]
        return kept.count(Entry.UPDATE) == 3

    await bench.until(written)
    await bench.die()
    bench.acknowledging = True
    await bench.start()
    assert (await bench.ended()).message == "Command exited with status 3"
    assert bench.states() == ["TASK_STARTING", "TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]


async def test_a_task_that_was_acknowledged_to_its_end_is_forgotten(bench):
    await bench.start()
    bench.run({"command": {"value": "true"}}, checkpoint=True)
    await bench.ended()
    await bench.die()
    await bench.start()
    again = bench.of(ReregisterAgent)[0]
    assert not again.tasks
    assert not again.frameworks


async def test_an_agent_that_the_master_takes_for_lost_names_all_it_has(bench):
    await bench.start()
    bench.run({"command": {"value": "sleep 1000"}})
    await bench.running()
    bench.agent.tell(Ping(connected=False))
    again = (await bench.until(lambda: bench.of(ReregisterAgent)))[0]
    task = pb.mesos.Task.FromString(again.tasks[0])
    assert task.state == pb.mesos.TASK_RUNNING
    assert [s.state for s in task.statuses] == [pb.mesos.TASK_STARTING, pb.mesos.TASK_RUNNING]


def test_a_ledger_that_was_cut_off_gives_what_came_before(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.write(Entry.AGENT, b"info")
    ledger.write(Entry.FRAMEWORK, "f", b"framework")
    ledger.close()
    path = tmp_path / "ledger"
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        assert list(Ledger(tmp_path).read()) in ([], [(Entry.AGENT, b"info")])


def test_rewriting_says_the_same_in_fewer_records(tmp_path):
    said = [
        (Entry.AGENT, b"old"),
        (Entry.AGENT, b"new"),
        (Entry.FRAMEWORK, "gone", b"x"),
        (Entry.FRAMEWORK_GONE, "gone"),
        (Entry.FRAMEWORK, "f", b"framework"),
        (Entry.EXECUTOR, "f", "e", b"info", "run", "CUSTOM", "/box", "token"),
        (Entry.STARTED, "f", "e", "run", "", 12, 34),
        (Entry.TASK, "f", "e", "t", b"task", ("t", "u")),
        (Entry.UPDATE, "f", "t", b"status"),
        (Entry.ACKNOWLEDGED, "f", "t", b"uuid"),
        (Entry.OPERATION, b"1", b"operation"),
        (Entry.OPERATION_ACKNOWLEDGED, b"1"),
        (Entry.OPERATION, b"2", b"operation"),
        (Entry.RESOURCES, (b"cpus",)),
        (Entry.DRAIN, b"drain"),
        (Entry.STARTED, "f", "e", "run", "t", 56, 78),
        (Entry.EXECUTOR, "f", "over", b"info", "first", "COMMAND", "/box", "token"),
        (Entry.EXITED, "f", "over", "first"),
        (Entry.EXECUTOR, "f", "again", b"info", "second", "COMMAND", "/box", "token"),
        (Entry.EXITED, "f", "again", "first"),
        (Entry.STARTED, "f", "again", "first", "", 1, 1),
    ]
    state = read(said)
    again = list(records(state))
    assert set(again) >= {
        (Entry.AGENT, b"new"),
        (Entry.OPERATION, b"2", b"operation"),
        (Entry.RESOURCES, (b"cpus",)),
        (Entry.DRAIN, b"drain"),
        *said[4:10],
        *said[15:18],
    }
    executors = state.frameworks["f"].executors
    assert [executors[name].exited for name in ("e", "over", "again")] == [False, True, False]
    assert executors["again"].pid == 0, "that was another run"
    assert list(records(Recovered())) == []
    assert read(again) == state
    assert len(again) < len(said)
    ledger = Ledger(tmp_path)
    ledger.rewrite(again)
    assert list(ledger.read()) == again


junk = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)
kinds = st.sampled_from(
    [
        Entry.AGENT,
        Entry.FRAMEWORK,
        Entry.EXECUTOR,
        Entry.STARTED,
        Entry.TASK,
        Entry.UPDATE,
        Entry.ACKNOWLEDGED,
        Entry.EXITED,
        "?",
    ]
)


@settings(max_examples=40)
@given(st.lists(st.tuples(kinds, junk, junk, junk, junk, junk, junk, junk), max_size=20))
def test_records_that_make_no_sense_are_left_out_never_an_error(said):
    assert read(list(records(read(said)))) == read(said)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_ledger_are_read_without_an_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("ledger")
    (folder / "ledger").write_bytes(data + msgpack.packb(["x"]))
    read(Ledger(folder).read())
