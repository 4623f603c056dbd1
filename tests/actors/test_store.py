"""Durable records: both backends by one suite, and the actor that writes them together."""

import asyncio
import sqlite3
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.settings import Composition, FrameworkSettings
from actors.store_actor import StoreActor, StoreSettings
from actors.store_backends import MemoryBackend, SqliteBackend, StorageError
from tests.support.actor_bench import ActorBench, system, virtually


def record(key, value=b"v", kind="k"):
    return m.Record(kind, key, value)


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    made = (
        MemoryBackend() if request.param == "memory" else SqliteBackend(str(tmp_path / "deep" / "store.db"))
    )
    made.open()
    yield made
    made.close()


def test_records_come_back_in_the_order_of_their_first_writing(backend):
    backend.commit([m.Write((record("b"), record("a")))])
    backend.commit([m.Write((record("b", b"new"), record("c")))])
    assert backend.load() == (record("b", b"new"), record("a"), record("c"))


def test_writes_and_deletes_of_one_batch_apply_in_order(backend):
    backend.commit(
        [m.Write((record("a"),)), m.Write((), (("k", "a"), ("k", "never there"))), m.Write((record("z"),))]
    )
    assert backend.load() == (record("z"),)


def test_kinds_do_not_mix(backend):
    """etcd, deleting by prefix: a delete of /t/1 deletes /t/10 as well."""
    backend.commit([m.Write((record("1"), record("10"), record("1", kind="other")))])
    backend.commit([m.Write((), (("k", "1"),))])
    assert backend.load() == (record("10"), record("1", kind="other"))


def test_clear_forgets_everything(backend):
    backend.commit([m.Write((record("a"),))])
    backend.commit([m.Write((record("b"),)), m.ClearStore(), m.Write((record("c"),))])
    assert backend.load() == (record("c"),)


def test_sqlite_keeps_records_over_a_restart(tmp_path):
    path = str(tmp_path / "s.db")
    first = SqliteBackend(path)
    first.open()
    first.commit([m.Write((record("a", bytes(range(256))),))])
    first.close()
    second = SqliteBackend(path)
    second.open()
    assert second.load() == (record("a", bytes(range(256))),)
    second.close()


def test_a_failed_transaction_leaves_nothing_of_it_behind(tmp_path):
    backend = SqliteBackend(str(tmp_path / "s.db"))
    backend.open()
    with pytest.raises(StorageError):
        backend.commit([m.Write((record("a"),)), m.Write((m.Record("k", "bad", NOT_BYTES),))])
    assert backend.load() == ()
    backend.close()


@pytest.mark.parametrize("what", ["garbage", "newer", "folder"])
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, what):
    path = tmp_path / "s.db"
    if what == "garbage":
        path.write_bytes(b"this is no database" * 100)
    elif what == "folder":
        path.mkdir()
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version=99")
        connection.close()
    with pytest.raises(StorageError, match=r"s\.db"):
        SqliteBackend(str(path)).open()


NOT_BYTES: Any = object()


class FailingBackend(MemoryBackend):
    """A disk that is full for a while."""

    blocking = True

    def __init__(self, failures):
        super().__init__()
        self.failures = failures
        self.commits = 0

    def commit(self, changes):
        self.commits += 1
        if self.failures:
            self.failures -= 1
            raise StorageError("the disk is full")
        super().commit(changes)


class SlowBackend(MemoryBackend):
    """A disk that takes its time, until it is let go; then it fails `failures` times."""

    blocking = True

    def __init__(self, failures=0):
        super().__init__()
        self.failures = failures
        self.at_work = threading.Event()
        self.go = threading.Event()

    def commit(self, changes):
        self.at_work.set()
        assert self.go.wait(10)
        if self.failures:
            self.failures -= 1
            raise StorageError("the disk is full")
        super().commit(changes)


class StoreOn(StoreActor):
    def __init__(self, backend):
        super().__init__(Composition(FrameworkSettings()), StoreSettings())
        self.backend = backend


def test_a_full_disk_acknowledges_nothing_and_loses_nothing():
    """dcos-commons: a storage error is logged, and the update acknowledged."""

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(StoreOn, FailingBackend(3), name="store")
            bench.say("writer", "store", m.Write((record("a"),), reference=1))
            await bench.settle(0.4)
            bench.say("writer", "store", m.Write((record("b"),), reference=2))
            await bench.settle(0.2)
            assert bench.of("writer", m.Stored) == []
            assert bench.of("scheduler", m.StorageTrouble)
            await bench.settle(10)
            assert bench.of("writer", m.Stored) == [m.Stored(1), m.Stored(2)]
            loaded = await store.ask(m.Load(), block=False)
            assert loaded.records == (record("a"), record("b"))

    virtually(work())


def test_many_writes_of_a_moment_are_one_transaction():
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(StoreOn, FailingBackend(0), name="store")
            await bench.settle()
            for number in range(1000):
                bench.say("writer", "store", m.Write((record(str(number)),), reference=number + 1))
            await bench.settle(1)
            assert [stored.reference for stored in bench.of("writer", m.Stored)] == list(range(1, 1001))
            actor: Any = store._actor
            assert actor.backend.commits < 20

    virtually(work())


def test_what_is_on_the_pile_is_written_before_the_store_stops(tmp_path):
    path = str(tmp_path / "s.db")

    async def work():
        async with system() as running:
            store = running.spawn(
                StoreActor, Composition(FrameworkSettings()), StoreSettings(path), name="store"
            )
            for number in range(10):
                store.tell(m.Write((record(str(number)),)))

    virtually(work())
    backend = SqliteBackend(path)
    backend.open()
    assert len(backend.load()) == 10
    backend.close()


# --- what has been accepted, in its order -----------------------------------------------------------------------


async def everything(store):
    return (await store.ask(m.Load(), block=False)).records


async def at_work(backend):
    """Wait for the commit, which is in a thread."""
    while not backend.at_work.is_set():
        await asyncio.sleep(0)


@pytest.mark.parametrize("failures", [0, 1])
def test_what_is_loaded_is_what_was_accepted_even_while_it_is_being_written(failures):
    """An actor that fails while the disk lags goes on from its records: they must be there."""

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            backend = SlowBackend(failures)
            store = running.spawn(StoreOn, backend, name="store")
            bench.say("writer", "store", m.Write((record("a"), record("b")), reference=1))
            await at_work(backend)
            bench.say("writer", "store", m.Write((record("c"),), (("k", "b"),), reference=2))
            loading = asyncio.ensure_future(everything(store))
            await asyncio.sleep(0)
            backend.go.set()
            assert await loading == (record("a"), record("c"))
            assert (await store.ask(m.Load("c"), block=False)).records == (record("c"),)
            await bench.settle(2)
            assert bench.of("writer", m.Stored) == [m.Stored(1), m.Stored(2)]
            assert backend.load() == (record("a"), record("c"))

    virtually(work())


@pytest.mark.parametrize("failures", [0, 1])
def test_what_was_cleared_does_not_come_back_when_the_transaction_before_fails(failures):
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            backend = SlowBackend(failures)
            store = running.spawn(StoreOn, backend, name="store")
            bench.say("writer", "store", m.Write((record("a"),)))
            await at_work(backend)
            clearing = asyncio.ensure_future(store.ask(m.ClearStore(), block=False))
            await asyncio.sleep(0)
            backend.go.set()
            assert await clearing is True
            assert await everything(store) == ()
            bench.say("writer", "store", m.Write((record("b"),)))
            await bench.settle(60)
            assert backend.load() == (record("b"),)

    virtually(work())


def test_a_store_that_cannot_be_cleared_says_so_and_clears_itself_when_it_can():
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            backend = FailingBackend(0)
            store = running.spawn(StoreOn, backend, name="store")
            bench.say("writer", "store", m.Write((record("a"),)))
            await bench.settle(1)
            backend.failures = 3
            assert await store.ask(m.ClearStore(), block=False) is False
            assert await everything(store) == ()
            assert backend.load() == (record("a"),)
            await bench.settle(10)
            assert backend.load() == ()

    virtually(work())


def test_a_failed_transaction_is_written_before_what_was_accepted_later():
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            backend = FailingBackend(1)
            running.spawn(StoreOn, backend, name="store")
            bench.say("writer", "store", m.Write((record("a", b"old"),), reference=1))
            await bench.settle(0.1)
            bench.say("writer", "store", m.Write((record("a", b"new"),), reference=2))
            await bench.settle(5)
            assert bench.of("writer", m.Stored) == [m.Stored(1), m.Stored(2)]
            assert backend.load() == (record("a", b"new"),)

    virtually(work())


def test_a_store_that_is_stopped_in_the_middle_of_a_transaction_that_fails_writes_it_after_all():
    backend = SlowBackend(1)

    async def work():
        async with system() as running:
            store = running.spawn(StoreOn, backend, name="store")
            store.tell(m.Write((record("a", b"old"), record("b"))))
            await at_work(backend)
            store.tell(m.Write((record("a", b"new"),)))
            stopping = asyncio.ensure_future(store.stop(block=False))
            await asyncio.sleep(0)
            backend.go.set()
            await stopping

    virtually(work())
    assert backend.load() == (record("a", b"new"), record("b"))


KEYS = st.sampled_from("abcd")
STEPS = st.one_of(
    st.tuples(
        st.just("write"),
        st.lists(st.tuples(KEYS, st.binary(max_size=2)), max_size=3),
        st.lists(KEYS, max_size=2),
    ),
    st.tuples(st.just("clear")),
    st.tuples(st.just("load"), st.none() | KEYS),
    st.tuples(st.just("fail"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 2.0])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25), st.booleans())
def test_whatever_fails_the_store_is_the_dictionary_that_its_writers_think_of(steps, blocking):
    """Write, clear and load, with a disk that fails now and then: never another order, never a record too many."""
    backend = FailingBackend(0)
    backend.blocking = blocking
    model: dict[str, bytes] = {}

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(StoreOn, backend, name="store")
            references = 0
            for step in steps:
                match step:
                    case "write", records, deletes:
                        references += 1
                        written = tuple(record(key, value) for key, value in records)
                        gone = tuple(("k", key) for key in deletes)
                        bench.say("writer", "store", m.Write(written, gone, references))
                        await asyncio.sleep(0)
                        model.update(dict(records))
                        for key in deletes:
                            model.pop(key, None)
                    case ("clear",):
                        await store.ask(m.ClearStore(), block=False)
                        model.clear()
                    case "load", key:
                        loaded = (await store.ask(m.Load(key), block=False)).records
                        wanted = {key: model[key]} if key in model else {} if key else model
                        assert [(each.key, each.value) for each in loaded] == list(wanted.items())
                    case "fail", times:
                        backend.failures = times if blocking else 0
                    case "wait", seconds:
                        await bench.settle(seconds)
            await bench.settle(120)
            assert [stored.reference for stored in bench.of("writer", m.Stored)] == list(
                range(1, references + 1)
            )
            assert [(each.key, each.value) for each in backend.load()] == list(model.items())

    virtually(work())
