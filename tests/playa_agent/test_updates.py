from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playa.agent.messages import ResendDue
from playa.agent.update_streams import PendingUpdate, UpdateStreams
from playa.settings import AgentSettings


def update(n: int, *, task: str = "t", terminal: bool = False) -> PendingUpdate:
    return PendingUpdate("f", task, bytes([n]) * 16, b"status %d" % n, terminal)


class FakeTimer:
    def __init__(self, streams: "Streams", due: float, message: ResendDue) -> None:
        self.streams = streams
        self.due = due
        self.message = message

    def cancel(self) -> None:
        if self in self.streams.waiting:
            self.streams.waiting.remove(self)


class Streams(UpdateStreams):
    """Streams on a clock of their own, with what they sent."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waiting: list[FakeTimer] = []
        self._out: list[PendingUpdate] = []
        super().__init__(AgentSettings(), self._set, self._out.append, of_operations=False)

    def _set(self, seconds: float, due: ResendDue) -> Any:
        assert not due.operation
        self.waiting.append(FakeTimer(self, self.time + seconds, due))
        return self.waiting[-1]

    @property
    def timers(self) -> list[float]:
        return sorted({timer.due for timer in self.waiting})

    def sent(self) -> list[PendingUpdate]:
        """What was sent since this was asked last."""
        out = self._out[:]
        self._out.clear()
        return out

    def due_at(self, now: float) -> list[PendingUpdate]:
        """What is sent because it is so late."""
        self.time = now
        for timer in [timer for timer in self.waiting if timer.due <= now]:
            self.waiting.remove(timer)
            self.due(timer.message)
        return self.sent()


@pytest.fixture
def streams() -> Streams:
    streams = Streams()
    streams.resume()
    return streams


def test_the_first_update_goes_out_and_the_second_waits_for_its_acknowledgement(streams):
    streams.add(update(1))
    assert streams.sent() == [update(1)]
    streams.add(update(2))
    assert streams.sent() == []
    assert streams.acknowledge("f", "t", update(1).uuid) == update(1)
    assert streams.sent() == [update(2)]


def test_updates_of_different_tasks_do_not_wait_for_each_other(streams):
    streams.add(update(1, task="a"))
    streams.add(update(2, task="b"))
    assert streams.sent() == [update(1, task="a"), update(2, task="b")]


def test_an_unacknowledged_update_is_sent_again_after_10_s_then_after_twice_as_long_up_to_10_min(streams):
    streams.add(update(1))
    streams.sent()
    times: list[float] = []
    for _ in range(9):
        (now,) = streams.timers
        assert streams.due_at(now - 0.001) == []
        assert streams.due_at(now) == [update(1)]
        times.append(now)
    pauses = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_a_timer_that_rang_before_its_update_was_acknowledged_sends_nothing_again(streams):
    streams.add(update(1))
    streams.add(update(2))
    (late,) = streams.waiting
    streams.acknowledge("f", "t", update(1).uuid)
    assert streams.sent() == [update(1), update(2)]
    streams.due(late.message)
    assert streams.sent() == []


@pytest.mark.parametrize("waits_already", [True, False])
def test_the_next_update_is_waited_for_as_long_as_a_first_one(streams, waits_already):
    streams.add(update(1))
    if waits_already:
        streams.add(update(2))
    streams.sent()
    for now in (10.0, 30.0, 70.0):
        assert streams.due_at(now) == [update(1)]
    streams.time = 100.0
    streams.acknowledge("f", "t", update(1).uuid)
    if not waits_already:
        streams.add(update(2))
    assert streams.sent() == [update(2)]
    assert streams.due_at(109.9) == []
    assert streams.due_at(110.0) == [update(2)]


def test_the_acknowledgement_of_a_terminal_update_ends_the_stream(streams):
    streams.add(update(1, terminal=True))
    assert streams.acknowledge("f", "t", update(1).uuid) == update(1, terminal=True)
    assert streams.head("f", "t") is None
    streams.sent()
    assert streams.due_at(1000.0) == []
    assert streams.timers == []


def test_an_acknowledgement_of_something_else_changes_nothing(streams):
    streams.add(update(1))
    assert streams.acknowledge("f", "t", update(2).uuid) is None
    assert streams.acknowledge("f", "other", update(1).uuid) is None
    assert streams.head("f", "t") == update(1)


def test_an_executors_retry_of_the_same_update_is_taken_in_once(streams):
    streams.add(update(1))
    streams.add(update(1))
    assert streams.sent() == [update(1)]
    streams.acknowledge("f", "t", update(1).uuid)
    assert streams.sent() == []


def test_nothing_is_sent_without_a_master_and_everything_when_it_is_back(streams):
    streams.pause()
    streams.add(update(1, task="a"))
    streams.add(update(2, task="b"))
    assert streams.timers == []
    assert streams.due_at(1000.0) == []
    streams.resume()
    assert streams.sent() == [update(1, task="a"), update(2, task="b")]
    assert streams.timers == [1010.0]


def test_a_framework_that_is_gone_is_not_written_to(streams):
    streams.add(update(1))
    streams.drop("f")
    streams.sent()
    assert streams.due_at(1000.0) == []
    assert streams.timers == []


def test_a_restored_stream_continues_where_it_was():
    streams = Streams()
    for pending in (update(2), update(3, terminal=True)):
        streams.add(pending, [update(1).uuid])
    assert streams.sent() == []
    streams.resume()
    assert streams.sent() == [update(2)]
    streams.add(update(1))
    assert streams.sent() == [], "acknowledged before the restart"
    streams.acknowledge("f", "t", update(2).uuid)
    assert streams.sent() == [update(3, terminal=True)]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["add", "ack", "due", "pause", "resume"])), max_size=60
    )
)
def test_updates_of_a_task_are_always_sent_in_order_and_never_skipped(steps):
    """Whatever happens: what goes out is the oldest that is not acknowledged."""
    streams = Streams()
    streams.resume()
    model: dict[str, list[PendingUpdate]] = {}
    for i, (task_number, step) in enumerate(steps):
        task = f"t{task_number}"
        waiting = model.setdefault(task, [])
        streams.time += 7.0
        if step == "add":
            new = PendingUpdate("f", task, bytes([i]) * 16, b"", terminal=False)
            waiting.append(new)
            streams.add(new)
        elif step == "ack" and waiting:
            assert streams.acknowledge("f", task, waiting[0].uuid) == waiting.pop(0)
        elif step == "due":
            for sent in streams.due_at(streams.time):
                assert model[sent.task_id][0] == sent
        elif step == "pause":
            streams.pause()
        elif step == "resume":
            streams.resume()
        for sent in streams.sent():
            assert model[sent.task_id][0] == sent
