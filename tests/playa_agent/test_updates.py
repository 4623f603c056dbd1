import pytest
from hypothesis import given
from hypothesis import strategies as st

from playa.agent.update_streams import PendingUpdate, UpdateStreams


def update(n: int, *, task: str = "t", terminal: bool = False) -> PendingUpdate:
    return PendingUpdate("f", task, bytes([n]) * 16, b"status %d" % n, terminal)


@pytest.fixture
def streams() -> UpdateStreams:
    streams = UpdateStreams()
    streams.resume(0.0)
    return streams


def test_the_first_update_goes_out_and_the_second_waits_for_its_acknowledgement(streams):
    assert streams.add(update(1), 0.0) == update(1)
    assert streams.add(update(2), 0.1) is None
    done = streams.acknowledge("f", "t", update(1).uuid, 1.0)
    assert done is not None
    assert (done.following, done.ended) == (update(2), False)


def test_updates_of_different_tasks_do_not_wait_for_each_other(streams):
    assert streams.add(update(1, task="a"), 0.0) is not None
    assert streams.add(update(2, task="b"), 0.0) is not None


def test_an_unacknowledged_update_is_sent_again_after_10_s_then_after_twice_as_long_up_to_10_min(streams):
    streams.add(update(1), 0.0)
    times, now = [], 0.0
    for _ in range(9):
        now = streams.next_deadline()
        assert streams.due(now - 0.001) == []
        assert streams.due(now) == [update(1)]
        times.append(now)
    pauses = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]


@pytest.mark.parametrize("waits_already", [True, False])
def test_the_next_update_is_waited_for_as_long_as_a_first_one(streams, waits_already):
    streams.add(update(1), 0.0)
    if waits_already:
        streams.add(update(2), 0.0)
    for now in (10.0, 30.0, 70.0):
        assert streams.due(now) == [update(1)]
    streams.acknowledge("f", "t", update(1).uuid, 100.0)
    if not waits_already:
        streams.add(update(2), 100.0)
    assert streams.due(109.9) == []
    assert streams.due(110.0) == [update(2)]


def test_the_acknowledgement_of_a_terminal_update_ends_the_stream(streams):
    streams.add(update(1, terminal=True), 0.0)
    done = streams.acknowledge("f", "t", update(1).uuid, 1.0)
    assert done is not None
    assert done.ended
    assert len(streams) == 0
    assert streams.next_deadline() is None


def test_an_acknowledgement_of_something_else_changes_nothing(streams):
    streams.add(update(1), 0.0)
    assert streams.acknowledge("f", "t", update(2).uuid, 1.0) is None
    assert streams.acknowledge("f", "other", update(1).uuid, 1.0) is None
    assert streams.head("f", "t") == update(1)


def test_an_executors_retry_of_the_same_update_is_taken_in_once(streams):
    streams.add(update(1), 0.0)
    assert streams.add(update(1), 1.0) is None
    done = streams.acknowledge("f", "t", update(1).uuid, 2.0)
    assert done is not None
    assert done.following is None


def test_nothing_is_sent_without_a_master_and_everything_when_it_is_back(streams):
    streams.pause()
    assert streams.add(update(1, task="a"), 0.0) is None
    assert streams.add(update(2, task="b"), 0.0) is None
    assert streams.next_deadline() is None
    assert streams.due(1000.0) == []
    assert streams.resume(1000.0) == [update(1, task="a"), update(2, task="b")]
    assert streams.next_deadline() == 1010.0


def test_a_framework_that_is_gone_is_not_written_to(streams):
    streams.add(update(1), 0.0)
    streams.drop("f")
    assert streams.due(1000.0) == []
    assert streams.next_deadline() is None


def test_a_restored_stream_goes_on_where_it_was():
    streams = UpdateStreams()
    streams.restore("f", "t", [update(1).uuid], [update(2), update(3, terminal=True)])
    assert streams.resume(0.0) == [update(2)]
    assert streams.add(update(1), 0.0) is None, "acknowledged before the restart"
    done = streams.acknowledge("f", "t", update(2).uuid, 1.0)
    assert done is not None
    assert done.following == update(3, terminal=True)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["add", "ack", "due", "pause", "resume"])), max_size=60
    )
)
def test_updates_of_a_task_are_always_sent_in_order_and_never_skipped(steps):
    """Whatever happens: what goes out is the oldest that is not acknowledged."""
    streams = UpdateStreams()
    streams.resume(0.0)
    model: dict[str, list[PendingUpdate]] = {}
    now = 0.0
    for i, (task_number, step) in enumerate(steps):
        task = f"t{task_number}"
        waiting = model.setdefault(task, [])
        now += 7.0
        out: list[PendingUpdate] = []
        if step == "add":
            new = PendingUpdate("f", task, bytes([i]) * 16, b"", terminal=False)
            waiting.append(new)
            sent = streams.add(new, now)
            out = [sent] if sent is not None else []
        elif step == "ack" and waiting:
            done = streams.acknowledge("f", task, waiting[0].uuid, now)
            assert done is not None
            waiting.pop(0)
            out = [done.following] if done.following is not None else []
        elif step == "due":
            out = streams.due(now)
        elif step == "pause":
            streams.pause()
        elif step == "resume":
            out = streams.resume(now)
        for sent in out:
            assert model[sent.task_id][0] == sent
