"""Durable records: both backends by one suite, and the actor that writes them together."""

import sqlite3
from typing import Any

import pytest

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
    backend.clear()
    assert backend.load() == ()


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

    def commit(self, writes):
        self.commits += 1
        if self.failures:
            self.failures -= 1
            raise StorageError("the disk is full")
        super().commit(writes)


class FailingStore(StoreActor):
    def __init__(self, failures):
        super().__init__(Composition(FrameworkSettings()), StoreSettings())
        self.backend = FailingBackend(failures)


def test_a_full_disk_acknowledges_nothing_and_loses_nothing():
    """dcos-commons: a storage error is logged, and the update acknowledged."""

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(FailingStore, 3, name="store")
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
            store = running.spawn(FailingStore, 0, name="store")
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
