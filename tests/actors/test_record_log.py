"""The log of records over a coordinator: whatever the servers do with its batches, it is the dictionary that its owner thinks of."""

import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.framework_settings import Leadership
from actors.runtime import unpack_value
from actors.store.backends import MemoryBackend, StorageError
from actors.store.coordination import ENDED, HEAD, Batch, FencedError
from actors.store.log import LAYOUT, MANY, SLACK, LogBackend
from tests.support.coordination import Servers


def record(key, value=b"v", kind="k"):
    return m.Record(kind, key, value)


def opened(servers, **options):
    backend = LogBackend(servers.connect(), "memory://test", **options)
    backend.open()
    return backend


def segments(servers):
    return sorted(key for key in servers.values if key.startswith("log/"))


DICE = random.Random(5)  # what it rolls cannot be deflated
VALUES = [b"", b"1", bytes(700), DICE.randbytes(700), DICE.randbytes(4000)]
NAMES = st.sampled_from(["a", "b", "c", "d"])
WRITE = st.tuples(
    st.just("write"),
    st.lists(st.tuples(NAMES, st.sampled_from(VALUES)), max_size=4),
    st.lists(NAMES, max_size=2),
)
TROUBLE = st.tuples(
    st.just("trouble"), st.sampled_from(["lose_requests", "lose_answers", "hold_back"]), st.integers(1, 3)
)
STEPS = st.lists(
    st.one_of(
        WRITE,
        WRITE,
        TROUBLE,
        st.tuples(st.just("clear")),
        st.tuples(st.just("load"), st.none() | NAMES),
        st.tuples(st.just("reopen")),
        st.tuples(st.just("deliver")),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(STEPS, st.booleans())
def test_whatever_becomes_of_its_batches_the_log_is_what_was_written(steps, cleans_at_once):
    """Requests are lost, answers are lost, requests arrive late or after another process took over; values span segments."""
    with pytest.MonkeyPatch.context() as limits:
        if cleans_at_once:
            limits.setattr("actors.store.log.MANY", 2)
            limits.setattr("actors.store.log.SLACK", 0)
            limits.setattr("actors.store.log.SMALL", 100)
        _follow(steps)


def _follow(steps):
    servers = Servers(largest=1500)
    backend = opened(servers)
    model = MemoryBackend()
    queue: list[Any] = []

    def settled():
        for _ in range(12):
            try:
                backend.commit(queue)
            except FencedError:
                raise
            except StorageError:
                continue
            model.commit(queue)
            queue.clear()
            return
        raise AssertionError("never stored")

    for step in steps:
        match step:
            case "write", puts, deletes:
                queue.append(
                    m.Write(
                        tuple(record(*put) for put in dict(puts).items()),
                        tuple(("k", key) for key in deletes),
                    )
                )
                try:
                    backend.commit(queue)
                except StorageError:
                    continue  # accepted, and tried again with the next
                model.commit(queue)
                queue.clear()
            case ("clear",):
                queue.append(m.ClearStore())
                settled()
            case "trouble", kind, times:
                setattr(servers, kind, times)
            case "load", key:
                settled()
                assert backend.load(key) == model.load(key)
            case ("reopen",):
                settled()
                earlier, backend = backend, opened_at_last(servers)
                with pytest.raises(FencedError):
                    earlier.commit([m.Write((record("a", b"of one that was replaced"),))])
                    earlier.commit([m.Write((record("a", b"of one that was replaced"),))])
            case ("deliver",):
                servers.deliver()
    settled()
    servers.lose_requests = servers.lose_answers = servers.hold_back = 0
    servers.deliver()
    backend_alive = backend._index.alive  # as counted change by change
    assert backend.load() == model.load()
    after = opened(servers)
    assert after.load() == model.load()
    counted = sum(len(each.kind) + len(each.key) + len(each.value) for each in model.load())
    assert backend_alive == counted == after._index.alive


def opened_at_last(servers):
    servers.lose_requests = servers.lose_answers = servers.hold_back = 0
    return opened(servers)


def test_a_commit_is_one_batch_however_many_records_it_has():
    servers = Servers()
    backend = opened(servers)
    before = servers.commits
    backend.commit([m.Write((record(str(number)),)) for number in range(5000)])
    assert servers.commits == before + 1
    assert len(backend.load()) == 5000


def test_a_commit_larger_than_the_servers_take_counts_with_its_last_segment():
    servers = Servers(largest=2000)
    backend = opened(servers)
    backend.commit([m.Write((record("a", b"old"),))])
    servers.lose_requests = 0
    data = random.Random(1).randbytes(9000)
    connection = backend._coordinator
    commit = connection.commit

    def dies_in_the_middle(batch):
        if servers.commits == 5:
            raise StorageError("gone")
        return commit(batch)

    connection.commit = dies_in_the_middle
    with pytest.raises(StorageError):
        backend.commit([m.Write((record("a", data), record("b")))])
    assert len(segments(servers)) > 2
    after = opened(servers)
    assert after.load() == (record("a", b"old"),)
    after.commit([m.Write((record("c"),))])
    assert len(segments(servers)) == 2, "what never counted is deleted"
    assert opened(servers).load() == (record("a", b"old"), record("c"))


def test_a_process_that_was_replaced_writes_nothing_even_with_a_request_that_arrives_late():
    servers = Servers()
    first = opened(servers)
    servers.hold_back = 1
    with pytest.raises(StorageError):
        first.commit([m.Write((record("a"),))])
    second = opened(servers)
    assert servers.deliver() == ["refused"]
    for _ in range(2):
        with pytest.raises(
            FencedError, match=r"memory://test: another process has taken over \(epoch 1, now 2\)"
        ):
            first.commit([m.Write((record("a"),))])
    assert second.load() == ()


def test_one_that_no_longer_leads_writes_nothing_although_nobody_else_has_opened_the_log_yet():
    servers = Servers()
    version = servers.apply(Batch(puts={"leader": b"me"}), 0)["leader"]
    backend = opened(servers, leadership=Leadership(version, 0.0))
    backend.commit([m.Write((record("a"),))])
    servers.apply(Batch(deletes=("leader",)), 0)
    with pytest.raises(FencedError, match="no longer leads"):
        backend.commit([m.Write((record("b"),))])
    with pytest.raises(FencedError, match="no longer leads"):
        opened(servers, leadership=Leadership(version, 0.0))
    assert opened(servers).load() == (record("a"),)


def test_a_log_stays_within_twice_what_is_alive_and_in_few_segments():
    servers = Servers()
    backend = opened(servers)
    dice = random.Random(3)
    alive = {}
    for number in range(6000):
        key = f"task-{number}"
        alive[key] = dice.randbytes(400)
        backend.commit([m.Write((record(key, alive[key]),))])
        if number >= 500 and number % 50:  # one in fifty stays for ever
            backend.commit([m.Write((), (("k", f"task-{number - 500}"),))])
            del alive[f"task-{number - 500}"]
    size = sum(len(value.value) for value in servers.values.values())
    assert size < 2 * sum(map(len, alive.values())) + 2 * SLACK
    assert len(segments(servers)) < 3 * MANY
    assert {each.key: each.value for each in opened(servers).load()} == alive
    assert servers.commits < 3 * 6000 / 2 + 6000


def test_what_is_cleared_is_gone_from_the_servers_and_how_the_framework_ended_is_there():
    servers = Servers(largest=2000)
    backend = opened(servers)
    for number in range(300):
        backend.commit([m.Write((record(str(number), DICE.randbytes(1900)),))])
    backend.commit([m.ClearStore(m.Outcome(3, "it was enough"))])
    assert backend.load() == ()
    assert set(servers.values) == {HEAD, ENDED}
    assert unpack_value(m.Outcome, servers.values[ENDED].value) == m.Outcome(3, "it was enough")


@pytest.mark.parametrize("what", ["head", "log"])
@pytest.mark.parametrize("how", ["bit", "end", "empty"])
def test_damage_is_refused_with_a_sentence(what, how):
    servers = Servers()
    backend = opened(servers)
    backend.commit([m.Write((record("a", bytes(100)),))])
    (key,) = [key for key in servers.values if key.startswith(what)]
    value = servers.values[key].value
    damaged = {"bit": value[:-1] + bytes((value[-1] ^ 1,)), "end": value[:-1], "empty": b""}[how]
    servers.apply(Batch(puts={key: damaged}), 0)
    with pytest.raises(StorageError, match=rf"^memory://test is damaged: {key} cannot be what was stored"):
        opened(servers).load()


def test_a_segment_that_is_gone_is_missed():
    servers = Servers()
    backend = opened(servers)
    backend.commit([m.Write((record("a"),))])
    backend.commit([m.Write((record("b"),))])
    servers.apply(Batch(deletes=(segments(servers)[0],)), 0)
    with pytest.raises(StorageError, match="2 segments of its log should be there, and 1 are"):
        opened(servers).load()


def test_what_a_newer_version_wrote_is_refused():
    servers = Servers()
    opened(servers)
    value = servers.values[HEAD].value
    newer = bytes((LAYOUT + 1,))
    sealed = newer + zlib.crc32(value[5:], zlib.crc32(newer)).to_bytes(4, "big") + value[5:]
    servers.apply(Batch(puts={HEAD: sealed}), 0)
    with pytest.raises(
        StorageError, match=r"newer version \(layout 2, this one knows 1\): use that version, or"
    ):
        opened(servers)


def test_a_deletion_that_is_written_again_does_not_delete_what_was_written_since(monkeypatch):
    monkeypatch.setattr("actors.store.log.MANY", 2)
    monkeypatch.setattr("actors.store.log.SMALL", 100)
    servers = Servers()
    backend = opened(servers)
    large = DICE.randbytes(700)
    backend.commit([m.Write((record("a", large),))])
    backend.commit([m.Write((record("b"),))])
    backend.commit([m.Write((), (("k", "a"), ("k", "b")))])
    backend.commit([m.Write((record("a", large),))])
    for number in range(2):  # by then small groups are put together, between which "a" was written
        backend.commit([m.Write((record(str(number)),))])
    assert len(segments(servers)) < 6
    wanted = (record("a", large), record("0"), record("1"))
    assert backend.load() == wanted
    assert opened(servers).load() == wanted
