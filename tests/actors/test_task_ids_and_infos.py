"""Small parts: ids of attempts, what a `TaskInfo` holds, framework info, tokens, what wants offers."""

import errno
import os

import pytest

from actors.composition import token_for
from actors.connection.calls import Outbox, framework_info
from actors.framework_settings import Composition, FrameworkSettings, RetryPolicy
from actors.messages import Record, ServerReady, TaskPhase
from actors.offer_actor import Interest
from actors.records import (
    PROGRESS,
    SPEC,
    TaskProgress,
    TasksOnRecord,
    TaskSpec,
    attempt_id,
    ended_record,
    ended_tasks,
    split_attempt_id,
    task_info,
    untold_uploads,
)
from actors.runtime import Actor, DecodeError, pack
from actors.scheduler.launching import CHECKS
from mesos_v1 import pb
from mesos_v1.resources import Resources
from mesos_v1.values import FrameworkId, TaskId
from wire.start_letter import ExecutorBoot


@pytest.mark.parametrize("task_id", ["t", "a.b", "crawl-17", "1.1", "é"])
def test_an_attempts_id_leads_back_to_its_task(task_id):
    assert split_attempt_id(attempt_id(TaskId(task_id), 12)) == (task_id, 12)


@pytest.mark.parametrize("mesos_id", ["t", "t.", ".1", "t.x", "t.-1", "t.²", ""])
def test_an_id_that_is_no_attempt_of_ours_is_none(mesos_id):
    assert split_attempt_id(TaskId(mesos_id)) is None


@pytest.mark.parametrize("task_id", ["", "a/b", "a\\b", "a b", "a\n", "x" * 201, "\x00"])
def test_an_id_that_mesos_would_refuse_is_refused(task_id):
    with pytest.raises(ValueError, match="a task id must"):
        CHECKS["task_id"]("task_id", task_id)


def spec(**changes):
    given = {
        "task_id": TaskId("t"),
        "name": "n",
        "order": 1,
        "payload": b"p",
        "executor": "",
        "command": "echo $X",
        "resources": Resources.of(cpus=1),
        "ports": 0,
        "role": "*",
        "retry": RetryPolicy(),
        "labels": (("k", "v"),),
        "environment": (("X", "1"),),
        "uris": ("http://u",),
    }
    return TaskSpec(**{**given, **changes})


def test_a_command_tasks_info_holds_what_was_asked_for():
    info = pb.mesos.TaskInfo.FromString(task_info(spec(), 3))
    assert (info.task_id.value, info.name, info.data) == ("t.3", "n", b"p")
    assert (info.command.value, info.command.shell) == ("echo $X", True)
    assert [uri.value for uri in info.command.uris] == ["http://u"]
    assert [(each.name, each.value) for each in info.command.environment.variables] == [("X", "1")]
    assert [(each.key, each.value) for each in info.labels.labels] == [("k", "v")]
    assert info.kill_policy.grace_period.nanoseconds == 3_000_000_000


def test_an_executors_task_has_no_command():
    assert not pb.mesos.TaskInfo.FromString(task_info(spec(executor="e"), 1)).HasField("command")


@pytest.mark.parametrize("kind", ["task-spec", "task-intent", "task-progress"])
def test_a_record_that_cannot_be_read_is_named(kind):
    with pytest.raises(
        DecodeError, match=f"the {kind} of t-1 in the store cannot be read: .*version that wrote"
    ):
        TasksOnRecord().take_in((Record(kind, "t-1", b"\xc1"),))
    with pytest.raises(DecodeError, match=r"the upload of key-1 in the store cannot be read"):
        untold_uploads((Record("upload", "key-1", b"\xc1"),), ServerReady("http://h", "/x", (), 1))


def test_records_of_tasks_come_back_part_by_part_as_histories_in_order():
    progress = TaskProgress(2, TaskPhase.RUNNING)
    parts = (
        (SPEC.record("b", spec(task_id=TaskId("b"))), ended_record(TaskId("z"), 3), SPEC.record("t", spec())),
        (PROGRESS.record("b", progress), SPEC.record("b", spec(task_id=TaskId("b")))),
    )
    tasks = TasksOnRecord()
    others = [record for part in parts for record in tasks.take_in(part)]
    assert len(tasks) == 2
    found = [(history.spec.task_id, history.progress) for history in tasks.histories()]
    assert found == [("b", progress), ("t", None)]
    assert len(tasks) == 0
    assert ended_tasks(tuple(others)) == (("z", 3),)


def test_framework_info_is_what_the_settings_say():
    settings = FrameworkSettings(
        name="n",
        user="u",
        roles=("a", "b"),
        principal="p",
        secret="s",
        webui_url="http://w",
        labels=(("k", "v"),),
        failover_timeout=7.0,
    )
    info = framework_info(settings, FrameworkId("f"))
    assert (info.name, info.user, list(info.roles), info.principal) == ("n", "u", ["a", "b"], "p")
    assert info.failover_timeout == 7.0
    assert info.checkpoint
    kinds = {pb.mesos.FrameworkInfo.Capability.Type.Name(each.type) for each in info.capabilities}
    assert kinds == {"MULTI_ROLE", "PARTITION_AWARE"}  # pymesos always asks for GPUs


def test_an_unknown_capability_is_refused_by_name():
    with pytest.raises(ValueError, match="FLYING"):
        framework_info(FrameworkSettings(capabilities=("FLYING",)))


def test_subscribe_carries_suppressed_roles_constraints_and_the_id():
    settings = FrameworkSettings(
        user="u", offer_constraints='{"role_constraints": {"*": {"groups": []}}}', roles=("*",)
    )
    outbox = Outbox(Actor(), Composition(settings))
    outbox.framework_id, outbox.suppressed = FrameworkId("f"), frozenset({"*"})
    call = outbox.subscribe()
    assert call.framework_id.value == call.subscribe.framework_info.id.value == "f"
    assert list(call.subscribe.suppressed_roles) == ["*"]
    assert "*" in call.subscribe.offer_constraints.role_constraints


def test_a_framework_without_multi_role_has_one_role_which_can_be_suppressed():
    outbox = Outbox(Actor(), Composition(FrameworkSettings(user="u", roles=("a",), capabilities=())))
    outbox.suppressed = frozenset({"a"})
    subscribe = outbox.subscribe().subscribe
    assert (subscribe.framework_info.role, list(subscribe.framework_info.roles)) == ("a", [])
    assert list(subscribe.suppressed_roles) == ["a"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"content_type": "xml"}, "content_type"),
        ({"roles": ()}, "roles"),
        ({"failover_timeout": -1.0}, "failover_timeout"),
        ({"secret": "s"}, "principal"),
    ],
)
def test_framework_settings_that_cannot_work_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        FrameworkSettings(**changes)


@pytest.mark.parametrize("changes", [{"attempts": 0}, {"factor": 0.5}, {"jitter": 2.0}, {"backoff": -1.0}])
def test_a_retry_policy_without_meaning_is_refused(changes):
    with pytest.raises(ValueError, match="must"):
        RetryPolicy(**changes)


def test_settings_do_not_print_their_secret():
    assert "hidden-word" not in repr(FrameworkSettings(principal="p", secret="hidden-word"))
    assert "hidden-word" not in repr(Composition(FrameworkSettings(), token="hidden-word"))


def test_a_token_is_kept_beside_a_durable_store_for_its_owner_alone(tmp_path):
    path = str(tmp_path / "deep" / "s.db")
    assert token_for("") != token_for("")
    token = token_for(path)
    assert len(token) >= 40
    assert token_for(path) == token
    assert token_for(str(tmp_path / "other.db")) != token
    (file,) = (tmp_path / "deep").iterdir()
    assert (file.name, file.read_text()) == ("s.db.token", token)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"cut-off", b"\xff" * 43, b"\0" * 43])
def test_a_token_file_that_is_damaged_is_made_again_and_says_so(tmp_path, caplog, damage):
    """A disk that was full at that moment: uploads were refused for good."""
    file = tmp_path / "s.db.token"
    file.write_bytes(damage)
    token = token_for(str(tmp_path / "s.db"))
    assert len(token) >= 40
    assert file.read_text() == token
    assert "s.db.token was damaged" in caplog.text
    assert token_for(str(tmp_path / "s.db")) == token


def test_a_token_is_written_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            token_for(str(tmp_path / "s.db"))
    assert list(tmp_path.iterdir()) == []


def test_of_two_processes_that_start_at_once_the_first_ones_token_counts(tmp_path, monkeypatch):
    file = tmp_path / "s.db.token"
    earlier = "e" * 43
    real = os.fsync

    def another_process(handle: int) -> None:
        file.write_text(earlier)
        real(handle)

    monkeypatch.setattr(os, "fsync", another_process)
    assert token_for(str(tmp_path / "s.db")) == earlier


def test_only_letters_of_ours_are_filled_in():
    call = pb.scheduler.Call(type=pb.scheduler.Call.ACCEPT)
    operation = call.accept.operations.add(type=pb.mesos.Offer.Operation.LAUNCH)
    letters = [pack(ExecutorBoot("http://s", "", b"", "m:C")), b"someone else's data", b""]
    for letter in letters:
        info = operation.launch.task_infos.add(name="n")
        info.executor.executor_id.value = "e"
        info.executor.data = letter
    Outbox(Actor(), Composition(FrameworkSettings(), token="the-token")).write_token(call)
    filled = [info.executor.data for info in operation.launch.task_infos]
    assert b"the-token" in filled[0]
    assert filled[1:] == letters[1:]


def test_interest_says_what_the_master_must_be_told():
    interest = Interest(("a", "b"))
    assert interest.suppress(frozenset({"a"})) == ("b",)
    assert list(interest.suppressed) == ["b"]
    assert interest.wanted("b", new_shape=False)
    assert not interest.wanted("a", new_shape=True)
    interest.refused.add("a")
    assert interest.wanted("a", new_shape=True)
    assert interest.revive(frozenset({"a", "b"}), 5.0) == ("a", "b")
    assert list(interest.suppressed) == []
    assert interest.revive_in(5.5, 1.0) == 0.5
