from executor.connection_actor import Unacknowledged
from mesos_v1.values import TaskId

A, B = TaskId("a"), TaskId("b")


def test_a_task_counts_as_acknowledged_with_the_first_of_its_updates():
    waiting = Unacknowledged()
    waiting.launched(A, b"task a")
    waiting.launched(B, b"task b")
    waiting.updated(A, b"1", b"a running")
    waiting.updated(A, b"2", b"a finished")
    assert list(waiting.tasks) == [b"task a", b"task b"]
    assert list(waiting.updates) == [b"a running", b"a finished"]
    assert waiting.acknowledged(A, b"1")
    assert list(waiting.tasks) == [b"task b"]
    assert list(waiting.updates) == [b"a finished"]
    assert waiting.acknowledged(A, b"2")
    assert waiting.updates == ()


def test_a_second_acknowledgement_changes_nothing():
    waiting = Unacknowledged()
    waiting.updated(A, b"1", b"x")
    assert waiting.acknowledged(A, b"1")
    assert not waiting.acknowledged(A, b"1")


def test_an_acknowledgement_of_another_update_leaves_ours():
    waiting = Unacknowledged()
    waiting.updated(A, b"1", b"x")
    assert not waiting.acknowledged(A, b"other")
    assert waiting.updates == (b"x",)
    assert waiting.update(b"1") == b"x"
    assert waiting.update(b"other") is None


def test_what_the_agent_refuses_is_withdrawn():
    waiting = Unacknowledged()
    waiting.updated(A, b"1", b"x")
    waiting.withdraw(b"1")
    waiting.withdraw(b"1")
    assert waiting.updates == ()
