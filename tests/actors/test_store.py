"""Durable records: all backends by one suite, and the actor that writes them together."""

import asyncio
import math
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.framework_settings import Composition, FrameworkSettings, Leadership
from actors.runtime import RESTART, receive
from actors.store.backends import LARGEST, Backend, MemoryBackend, SqliteBackend, StorageError
from actors.store.coordination import LEADER, Batch
from actors.store.log import LogBackend
from actors.store_actor import StoreActor, StoreSettings
from tests.support.actor_bench import ActorBench, system, virtually
from tests.support.coordination import Servers

NOT_BYTES: Any = object()


def record(key, value=b"v", kind="k"):
    return m.Record(kind, key, value)


@pytest.fixture(params=["memory", "sqlite", "log", "etcd", "zookeeper"])
def backend(request, tmp_path):
    made: Backend = MemoryBackend()
    if request.param == "sqlite":
        made = SqliteBackend(str(tmp_path / "deep" / "store.db"))
    elif request.param == "log":
        made = LogBackend(Servers().connect(), "memory://test")
    elif request.param != "memory":
        scheme, server = request.param.replace("zookeeper", "zk"), request.getfixturevalue(request.param)
        settings = StoreSettings(url=f"{scheme}://{server.address}/store/{uuid.uuid4().hex}")
        assert settings.coordinate is not None
        made = LogBackend(settings.coordinate(), settings.url)
    made.open()
    yield made
    made.close()


def test_records_come_back_in_the_order_of_their_first_writing(backend):
    backend.commit([m.Write((record("b"), record("a")))])
    backend.commit([m.Write((record("b", b"new"), record("c")))])
    assert backend.load() == (record("b", b"new"), record("a"), record("c"))


@pytest.mark.parametrize("count", [0, 6, 7])
def test_a_large_store_is_loaded_part_by_part(count, backend, monkeypatch):
    """All at once, the records of 100,000 tasks need more memory than the tasks."""
    monkeypatch.setattr("actors.store.backends.PART", 3)
    backend.commit([m.Write(tuple(record(f"{number}") for number in range(count)))])
    backend.commit([m.Write((), (("k", "1"),)), m.Write((record("0", b"new"), record("1")))])
    parts = [backend.part(0)]
    while parts[-1][1]:
        parts.append(backend.part(parts[-1][1]))
    assert sum((records for records, _ in parts), ()) == backend.load()
    if isinstance(backend, SqliteBackend):
        assert max(len(records) for records, _ in parts) <= 3


def test_thousands_of_tasks_are_what_they_were_when_the_store_is_opened_again(backend):
    """Three records each; `benchmarks/stores.py` does the same with 100,000."""
    kept = {}
    for first in range(0, 3000, 250):
        keys = [f"task-{number}" for number in range(first, first + 250)]
        for kind, size in (("spec", 400), ("intent", 60), ("progress", 40)):
            new = [record(key, os.urandom(size), kind) for key in keys]
            backend.commit([m.Write((each,)) for each in new])
            kept.update({(each.kind, each.key): each.value for each in new})
    gone = tuple((kind, f"task-{number}") for number in range(0, 3000, 3) for kind in ("spec", "intent"))
    backend.commit([m.Write((), gone)])
    for name in gone:
        del kept[name]
    backend.close()
    backend.open()
    assert [(each.kind, each.key, each.value) for each in backend.load()] == [
        (*name, value) for name, value in kept.items()
    ]


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


# --- files that cannot be used, and damaged ones ----------------------------------------------------------------


def in_parts(backend):
    """Everything, as a start loads it."""
    records, after = backend.part(0)
    while after:
        more, after = backend.part(after)
        records += more
    return records


def sqlite_store(path, **options):
    """Open, load, close: what a start does; the records, or the refusal."""
    backend = SqliteBackend(str(path), **options)
    try:
        backend.open()
        return in_parts(backend)
    except StorageError as error:
        return str(error)
    finally:
        backend.close()


def filled(path, count=40):
    """The store of a run with tasks, each with three records."""
    backend = SqliteBackend(str(path))
    backend.open()
    dice = random.Random(7)
    for number in range(count):
        backend.commit(
            [
                m.Write((record(f"task-{number}", dice.randbytes(60), "task-spec"),)),
                m.Write((record(f"task-{number}", dice.randbytes(30), "task-intent"),)),
                m.Write((record(f"task-{number}", dice.randbytes(90), "task-progress"),)),
                m.Write((), (("task-spec", f"task-{number - 7}"),)),
            ]
        )
    records = backend.load()
    backend.close()
    return records


def first_layout(path):
    """A store as the version before made it."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, "
            "key TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (kind, key))"
        )
        connection.executemany(
            "INSERT INTO records (kind, key, value) VALUES (?, ?, ?)",
            [("k", "b", b"1"), ("k", "a", b"2"), ("k", "c", b"3")],
        )
        connection.execute("DELETE FROM records WHERE key = 'b'")
        connection.execute("PRAGMA user_version=1")
    connection.close()


def garbage(path):
    path.write_bytes(b"this is no database" * 100)


def newer(path):
    filled(path, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()


def of_another_program(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE records (a)")
    connection.close()


def with_another_table(path):
    filled(path, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE records RENAME COLUMN kind TO kinds")
    connection.close()


def cut_off(path):
    filled(path, 1)
    path.write_bytes(b"")


def cut_in_the_middle(path):
    filled(path)
    path.write_bytes(path.read_bytes()[:9000])


def below_a_file(path):
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (garbage, "not an SQLite database.*restore the file from a backup"),
        (newer, "newer version .layout 99"),
        (of_another_program, "is not a store"),
        (with_another_table, "its table is not as it was.*restore"),
        (cut_off, "is empty: .*truncated.*restore the file from a backup, or move it away"),
        (cut_in_the_middle, "damaged|malformed"),
        (lambda path: path.mkdir(), "a folder, not a file"),
        (below_a_file, "cannot be used as a store: (File exists|Not a directory)"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name_and_a_way_on(tmp_path, spoil, words):
    path = tmp_path / "folder" / "s.db"
    path.parent.mkdir()
    spoil(path)
    for _ in range(2):  # the first refusal changed nothing
        refusal = sqlite_store(path)
        assert isinstance(refusal, str)
        assert re.search(rf"s\.db.*({words})", refusal), refusal


def test_a_folder_that_may_not_be_written_is_one_sentence():
    refusal = sqlite_store("/proc/1/store.db")
    assert isinstance(refusal, str)
    assert refusal.startswith("/proc/1/store.db cannot be used as a store: ")


def test_a_full_disk_is_told_with_the_files_name(tmp_path):
    backend = SqliteBackend(str(tmp_path / "s.db"))
    backend.open()
    assert backend._connection is not None
    backend._connection.execute("PRAGMA max_page_count=1")
    with pytest.raises(StorageError, match=r"s\.db: database or disk is full"):
        backend.commit([m.Write((record("a", bytes(100_000)),))])
    backend._connection.execute("PRAGMA max_page_count=1000")
    backend.commit([m.Write((record("b"),))])
    assert backend.load() == (record("b"),)
    backend.close()


def test_no_flipped_bit_changes_a_record_in_silence(tmp_path):
    """A disk, a cable or a copy that lies: whatever bit it is, the records are as they were or are refused."""
    original = tmp_path / "original.db"
    records = filled(original)
    data = original.read_bytes()
    path = tmp_path / "s.db"
    dice = random.Random(1)
    outcomes: Counter[str] = Counter()
    for _ in range(2000):
        bit = dice.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        found = sqlite_store(path)
        if isinstance(found, str):
            assert "s.db" in found, (bit, found)
            outcomes["refused"] += 1
        else:
            assert found == records, (bit, outcomes)
            outcomes["harmless"] += 1
        for rest in (f"{path}-wal", f"{path}-shm"):
            Path(rest).unlink(missing_ok=True)
    assert outcomes["refused"] > 500, outcomes


def killed_store(folder, transactions=25, size=90):
    """Database and log of a store that was never closed, and its records before and after the last transaction."""
    path = folder / "killed.db"
    backend = SqliteBackend(str(path))
    backend.open()
    before: tuple[m.Record, ...] = ()
    for number in range(transactions):
        if number == transactions - 1:
            before = backend.load()
        backend.commit([m.Write((record(f"task-{number % 9}", bytes([number % 256]) * size),))])
    files = {name: Path(f"{path}{name}").read_bytes() for name in ("", "-wal")}
    after = backend.load()
    backend.close()
    return files, before, after


def test_no_flipped_bit_of_the_log_takes_transactions_away_in_silence(tmp_path):
    """After a kill the newest records are in the log, and SQLite leaves out what follows a bad frame."""
    files, before, after = killed_store(tmp_path)
    path = tmp_path / "s.db"
    dice = random.Random(2)
    outcomes: Counter[str] = Counter()
    log = files["-wal"]
    for bit in [*dice.sample(range(len(log) * 8), 150), *range(0, 32 * 8, 5), *range(32 * 8, 56 * 8, 5)]:
        flipped = bytearray(log)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(files[""])
        Path(f"{path}-wal").write_bytes(flipped)
        found = sqlite_store(path)
        if isinstance(found, str):
            assert re.search(r"s\.db is damaged: (frame \d+|the beginning) of its log; restore", found), (
                bit,
                found,
            )
            outcomes["refused"] += 1
        else:
            assert found in {before, after}, bit
            outcomes["the last transaction" if found == before else "harmless"] += 1
        for rest in ("-wal", "-shm"):
            Path(f"{path}{rest}").unlink(missing_ok=True)
    assert outcomes["refused"] > 150, outcomes
    assert outcomes["the last transaction"] < 20, outcomes


@pytest.mark.parametrize("transactions", [1, 2, 25, 1100])
@pytest.mark.parametrize("cut", [0, 1, 20, 5000])
def test_a_log_that_a_loss_of_power_cut_off_is_taken_as_far_as_it_goes(tmp_path, transactions, cut):
    """Also one that was begun again, with frames of the time before behind its end."""
    files, before, after = killed_store(tmp_path, transactions)
    path = tmp_path / "s.db"
    path.write_bytes(files[""])
    log = files["-wal"]
    Path(f"{path}-wal").write_bytes(log[: len(log) - cut])
    found = sqlite_store(path)
    assert isinstance(found, tuple), found
    if cut == 0:
        assert found == after
    elif transactions == 25 and cut <= 20:
        assert found == before


def spoil_record(path, kind, key, change="value = zeroblob(length(value))"):
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE records SET {change} WHERE kind = ? AND key = ?", (kind, key))
    connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "value = 'text'",
        "value = 7",
        "checksum = checksum + 1",
        "checksum = 'text'",
        "value = value || x'00'",
        "kind = x'6b'",
        "key = x'6b'",
        "kind = 'task-progresT'",
        "key = 'task-391'",
    ],
)
def test_a_record_that_is_not_what_was_stored_is_refused(tmp_path, change):
    path = tmp_path / "s.db"
    filled(path)
    spoil_record(path, "task-progress", "task-39", change)
    refusal = sqlite_store(path)
    assert isinstance(refusal, str)
    assert "s.db is damaged: " in refusal


def test_a_damaged_record_is_named_and_may_be_dropped_with_all_else_of_its_key(tmp_path, caplog):
    path = tmp_path / "s.db"
    records = filled(path)
    spoil_record(path, "task-progress", "task-39")
    refusal = sqlite_store(path)
    assert isinstance(refusal, str)
    assert re.search(
        r"s\.db is damaged: .*task-progress of task-39.*backup.*store\.drop_damaged=true", refusal
    )
    assert " more " not in refusal
    left = tuple(each for each in records if each.key != "task-39")
    assert sqlite_store(path, drop_damaged=True) == left
    assert "task-progress of task-39" in caplog.text
    assert sqlite_store(path) == left


@pytest.mark.parametrize(("count", "more"), [(4, ""), (5, ""), (6, " and 1 more"), (9, " and 4 more")])
def test_five_damaged_records_are_named_and_the_others_counted(tmp_path, count, more):
    path = tmp_path / "s.db"
    filled(path)
    for number in range(count):
        spoil_record(path, "task-intent", f"task-{number}")
    refusal = sqlite_store(path)
    named = ", ".join(f"task-intent of task-{number}" for number in range(min(count, 5)))
    assert isinstance(refusal, str)
    assert f"is damaged: {named}{more} cannot be what was stored" in refusal


def test_a_record_of_an_earlier_version_that_is_too_large_is_named_and_may_be_dropped(tmp_path):
    """It made the framework unstartable, without a file or a task in the sentence."""
    path = tmp_path / "s.db"
    first_layout(path)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO records (kind, key, value) VALUES ('task-spec', 'big', zeroblob(?))", (LARGEST + 1,)
        )
    connection.close()
    refusal = sqlite_store(path)
    assert isinstance(refusal, str)
    assert re.search(r"s\.db is damaged: task-spec of big cannot be .*store\.drop_damaged=true", refusal)
    assert sqlite_store(path, drop_damaged=True) == (record("a", b"2"), record("c", b"3"))


def test_an_index_that_is_damaged_is_made_again_where_damage_may_be_dropped(tmp_path):
    path = tmp_path / "s.db"
    records = filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        index = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    data = bytearray(path.read_bytes())
    data[index * size - 20] ^= 1
    path.write_bytes(data)
    refusal = sqlite_store(path)
    assert isinstance(refusal, str)
    assert "is damaged" in refusal
    assert sqlite_store(path, drop_damaged=True) == records
    assert sqlite_store(path) == records


def test_a_store_of_the_first_layout_is_taken_over(tmp_path):
    path = tmp_path / "s.db"
    first_layout(path)
    path.chmod(0o644)
    assert sqlite_store(path) == (record("a", b"2"), record("c", b"3"))
    with sqlite3.connect(path) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        ).fetchall()
    connection.close()
    assert tables == [("records",)]
    with sqlite3.connect(f"{path}.layout1") as earlier:
        assert earlier.execute("SELECT key, value FROM records").fetchall() == [("a", b"2"), ("c", b"3")]
        assert earlier.execute("PRAGMA user_version").fetchone() == (1,)
    earlier.close()
    assert Path(f"{path}.layout1").stat().st_mode & 0o777 == 0o600
    spoil_record(path, "k", "a")
    refusal = sqlite_store(path)
    assert isinstance(refusal, str)
    assert "k of a" in refusal
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_left_by_a_store_that_was_deleted_is_not_taken_for_the_new_ones(tmp_path):
    path = tmp_path / "s.db"
    backend = SqliteBackend(str(path))
    backend.open()
    backend.commit([m.Write((record("old"),))])
    log = Path(f"{path}-wal").read_bytes()
    backend.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)
    assert sqlite_store(path) == ()


def test_only_its_user_reads_a_store(tmp_path):
    """Records hold what tasks are started with: their environment, too."""
    backend = SqliteBackend(str(tmp_path / "s.db"))
    backend.open()
    backend.commit([m.Write((record("a"),))])
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["s.db", "s.db-wal", "s.db-shm", "s.db.lock"], "0o600")
    backend.close()


def test_a_record_that_could_never_be_read_again_is_refused_with_its_name():
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(StoreOn, FailingBackend(0), name="store")
            huge = record("task-1", bytes(LARGEST + 1), "task-spec")
            bench.say("writer", "store", m.Write((huge, record("a")), reference=1))
            bench.say("writer", "store", m.Write((record("b"),), reference=2))
            await bench.settle(1)
            (refused,) = bench.of("writer", m.WriteRefused)
            assert refused.reference == 1
            assert refused.reason == (
                "the task-spec of task-1 is not stored: 67108865 bytes, and at most 67108864 are taken"
            )
            assert bench.take("scheduler", m.StorageTrouble) == [m.StorageTrouble(refused.reason)]
            bench.say("writer", "store", m.Write((record("\udce9"),), reference=3))
            bench.say("writer", "store", m.Write((record("x", NOT_BYTES),), reference=4))
            bench.say("writer", "store", m.Write((record("é", kind="\udce9"),), reference=5))
            await bench.settle(1)
            assert [trouble.reason for trouble in bench.of("scheduler", m.StorageTrouble)] == [
                "the 'k' of '\\udce9' is not stored: its name is not text that UTF-8 can hold",
                "the k of x is not stored: its value is of type object, not bytes",
                "the '\\udce9' of '\\xe9' is not stored: its name is not text that UTF-8 can hold",
            ]
            assert bench.of("writer", m.Stored) == [m.Stored(2)]
            assert await everything(store) == (record("b"),)

    virtually(work())


def test_the_largest_record_is_stored():
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            running.spawn(StoreOn, FailingBackend(0), name="store")
            bench.say("writer", "store", m.Write((record("a", bytes(LARGEST)),), reference=1))
            await bench.settle(1)
            assert bench.of("writer", m.Stored) == [m.Stored(1)]

    virtually(work())


def test_a_store_is_well_as_long_as_it_can_write(tmp_path):
    async def well(store):
        health: m.Health = await store.ask(m.AskHealth(), block=False)
        return health.well

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(StoreOn, FailingBackend(1), name="store")
            assert await well(store)
            bench.say("writer", "store", m.Write((record("a"),)))
            await bench.settle(0.1)
            assert not await well(store)
            await bench.settle(5)
            assert await well(store)
            (tmp_path / "s.db").mkdir()
            made = Composition(FrameworkSettings())
            assert not await well(
                running.spawn(StoreActor, made, StoreSettings(str(tmp_path / "s.db")), name="other")
            )

    virtually(work())


def test_a_store_that_was_closed_says_so(tmp_path):
    backend = SqliteBackend(str(tmp_path / "s.db"))
    for _ in range(2):
        with pytest.raises(StorageError, match=r"s\.db is not open"):
            backend.load()
        with pytest.raises(StorageError, match=r"s\.db is not open"):
            backend.commit([m.Write((record("a"),))])
        backend.open()
        backend.close()
        backend.close()


# --- one process at a time --------------------------------------------------------------------------------------

HOLD = """
import sys, time
from actors.store.backends import SqliteBackend
sys.argv[1:] = ["run", "framework.toml", "--set", "framework.secret=hush"]
backend = SqliteBackend(PATH)
backend.open()
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the store s.db open."""
    code = HOLD.replace("PATH", repr(str(tmp_path / "s.db")))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_store_that_another_process_has_is_refused_and_says_whose_it_is(tmp_path, holder):
    refusal = sqlite_store(tmp_path / "s.db")
    assert isinstance(refusal, str)
    who = rf"process {holder.pid} on {re.escape(socket.gethostname())} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.search(rf"s\.db is in use by {who} \(-c run framework\.toml\)", refusal), refusal
    assert "hush" not in refusal
    (tmp_path / "link.db").symlink_to(tmp_path / "s.db")
    assert str(holder.pid) in str(sqlite_store(tmp_path / "link.db"))


def test_a_process_that_is_killed_leaves_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert sqlite_store(tmp_path / "s.db") == ()


def test_two_frameworks_of_one_process_do_not_share_a_store(tmp_path):
    first = SqliteBackend(str(tmp_path / "s.db"))
    first.open()
    assert "in use by process" in str(sqlite_store(tmp_path / "s.db"))
    first.close()
    assert sqlite_store(tmp_path / "s.db") == ()


def test_a_child_made_by_fork_does_not_hold_its_parents_store(tmp_path):
    first = SqliteBackend(str(tmp_path / "s.db"))
    first.open()
    parent, child_s = socket.socketpair()
    child = os.fork()
    if not child:
        child_s.send(b"alive")
        child_s.recv(1)
        os._exit(0)
    assert parent.recv(5) == b"alive"
    first.close()
    try:
        assert sqlite_store(tmp_path / "s.db") == ()
    finally:
        parent.send(b"x")
        os.waitpid(child, 0)
        parent.close()
        child_s.close()


class Fails(StoreActor):
    @receive
    def shutdown(self, _asked: m.ShutdownRequested) -> None:
        raise RuntimeError("boom")


def led(servers):
    """A framework whose store is on these servers, and which leads."""
    version = servers.apply(Batch(puts={LEADER: b"me"}), 0)[LEADER]
    leadership = Leadership(version, math.inf)
    return Composition(FrameworkSettings(), coordinate=servers.connect, leadership=leadership)


@pytest.mark.parametrize("kind", ["a file", "memory", "servers"])
def test_a_store_whose_actor_fails_has_its_records_when_it_is_back(tmp_path, kind):
    path = str(tmp_path / "s.db") if kind == "a file" else ""
    composition = led(Servers()) if kind == "servers" else Composition(FrameworkSettings())

    async def work():
        async with system() as running:
            store = running.spawn(
                Fails,
                composition,
                StoreSettings(path),
                name="store",
                supervision=RESTART,
            )
            store.tell(m.Write((record("a"),)))
            assert await everything(store) == (record("a"),)
            store.tell(m.ShutdownRequested(""))
            assert await everything(store) == (record("a"),)

    virtually(work())


def test_a_store_whose_actor_fails_while_the_servers_are_away_writes_when_they_are_back():
    servers = Servers()

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(Fails, led(servers), StoreSettings(), name="store", supervision=RESTART)
            bench.say("writer", "store", m.Write((record("a"),), reference=1))
            await bench.settle(1)
            servers.down = True
            bench.say("writer", "store", m.Write((record("b"),), reference=2))
            await bench.settle(1)
            store.tell(m.ShutdownRequested(""))
            bench.say("writer", "store", m.Write((record("c"),), reference=3))
            await bench.settle(5)
            assert bench.of("writer", m.Stored) == [m.Stored(1)]
            servers.down = False
            await bench.settle(60)
            assert bench.of("writer", m.Stored) == [m.Stored(1), m.Stored(2), m.Stored(3)]
            assert await everything(store) == (record("a"), record("b"), record("c"))
            assert bench.of("scheduler", m.StoreAway)[-1] == m.StoreAway()

    virtually(work())


@pytest.mark.parametrize("kind", ["a file", "memory", "servers"])
def test_who_wrote_hears_that_it_is_stored_although_the_stores_actor_failed_meanwhile(tmp_path, kind):
    path = str(tmp_path / "s.db") if kind == "a file" else ""
    made = led(Servers()) if kind == "servers" else Composition(FrameworkSettings())

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(Fails, made, StoreSettings(path), name="store", supervision=RESTART)
            bench.say("writer", "store", m.Write((record("a"),), reference=7))
            bench.say("writer", "store", m.ShutdownRequested(""))
            await bench.settle(1)
            assert await everything(store) == (record("a"),)
            assert bench.of("writer", m.Stored) == [m.Stored(7)]

    virtually(work())


def test_what_a_store_that_failed_could_not_write_is_written_by_the_next_one():
    disk = FailingBackend(2)

    class FailsOnFullDisk(Fails):
        def __init__(self, composition, settings):
            super().__init__(composition, settings)
            self.backend = disk

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            running.spawn(
                FailsOnFullDisk,
                Composition(FrameworkSettings()),
                StoreSettings(),
                name="store",
                supervision=RESTART,
            )
            bench.say("writer", "store", m.Write((record("a"),), reference=7))
            bench.say("writer", "store", m.ShutdownRequested(""))
            await bench.settle(0.05)
            assert disk.commits == 1
            await bench.settle(60)
            assert disk.load() == (record("a"),)
            assert bench.of("writer", m.Stored) == [m.Stored(7)]

    virtually(work())


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
        self.alone = threading.Lock()
        self.overlaps = 0

    def load(self, key=None):
        self.overlaps += self.alone.locked()
        return super().load(key)

    def commit(self, changes):
        assert self.alone.acquire(blocking=False), "two callers at a time"
        try:
            self.at_work.set()
            assert self.go.wait(10)
            if self.failures:
                self.failures -= 1
                raise StorageError("the disk is full")
            super().commit(changes)
        finally:
            self.alone.release()


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


def test_a_store_that_is_away_says_so_once_and_says_when_it_is_back(caplog):
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            running.spawn(StoreOn, FailingBackend(5), name="store")
            for reference in (1, 2, 3):
                bench.say("writer", "store", m.Write((record(str(reference)),), reference=reference))
                await bench.settle(2)
            assert bench.of("scheduler", m.StorageTrouble) == [m.StorageTrouble("the disk is full")]
            assert set(bench.of("scheduler", m.StoreAway)) == {m.StoreAway("the disk is full")}
            await bench.settle(60)
            assert bench.of("scheduler", m.StorageTrouble) == [m.StorageTrouble("the disk is full")]
            assert bench.of("scheduler", m.StoreAway)[-1] == m.StoreAway()
            assert bench.of("writer", m.Stored) == [m.Stored(1), m.Stored(2), m.Stored(3)]

    virtually(work())
    said = [entry.getMessage() for entry in caplog.records if entry.levelname != "DEBUG"]
    assert said == [
        "the disk is full: nothing is launched or acknowledged until the store works again; trying until it does",
        "the store works again after 15.5 s; 3 changes have waited",
    ]


def test_a_store_that_another_process_has_taken_over_is_not_tried_again():
    servers = Servers()
    leads = led(servers)
    assert leads.leadership is not None

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer", "election")
            store = running.spawn(StoreActor, leads, StoreSettings(), name="store")
            bench.say("writer", "store", m.Write((record("a"),), reference=1))
            await bench.settle(1)
            LogBackend(servers.connect(), "memory://test").open()
            commits = servers.commits
            bench.say("writer", "store", m.Write((record("b"),), reference=2))
            await bench.settle(100)
            assert bench.of("writer", m.Stored) == [m.Stored(1)]
            (fenced,) = bench.of("election", m.Fenced)
            assert fenced.epoch == leads.leadership.version
            assert "another process has taken over" in fenced.reason
            assert servers.commits == commits
            with pytest.raises(StorageError, match="another process has taken over"):
                await everything(store)

    virtually(work())


def test_a_leader_whose_servers_do_not_answer_when_it_begins_waits_for_them():
    """It ended with exit code 2, and the framework had one process less."""
    servers = Servers()
    version = servers.apply(Batch(puts={LEADER: b"me"}), 0)[LEADER]
    LogBackend(servers.connect(), "memory://test").open()
    leads = Composition(
        FrameworkSettings(), coordinate=servers.connect, leadership=Leadership(version, math.inf)
    )

    async def work():
        async with system() as running:
            servers.down = True
            store = running.spawn(StoreActor, leads, StoreSettings(), name="store")
            beginning = store.ask(m.Load(), block=False)
            await asyncio.sleep(10)
            assert not beginning.done()
            servers.down = False
            assert (await beginning).records == ()

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


def test_each_part_is_what_was_accepted(tmp_path, monkeypatch):
    """A scheduler that is started again may find that its disk is full: what it has acknowledged nowhere is loaded all the same."""
    monkeypatch.setattr("actors.store.backends.PART", 2)

    class Full(SqliteBackend):
        full = False

        def commit(self, changes):
            if self.full:
                raise StorageError("the disk is full")
            super().commit(changes)

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            backend = Full(str(tmp_path / "s.db"))
            store = running.spawn(StoreOn, backend, name="store")
            for key in "abcde":
                bench.say("writer", "store", m.Write((record(key),)))
            await bench.settle(1)
            backend.full = True
            bench.say("writer", "store", m.Write((record("e", b"new"), record("f")), (("k", "a"),)))
            await bench.settle(0.1)
            found, after = {}, None
            while after != 0:
                loaded = await store.ask(m.Load(after=after or 0), block=False)
                found.update({each.key: each.value for each in loaded.records})
                after = loaded.after
            assert found == {"b": b"v", "c": b"v", "d": b"v", "e": b"new", "f": b"v"}

    virtually(work())


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
            for _ in range(20):  # until it is being handled
                await asyncio.sleep(0)
            backend.go.set()
            assert await loading == (record("a"), record("c"))
            assert backend.overlaps == 0
            assert (await store.ask(m.Load("c"), block=False)).records == (record("c"),)
            await bench.settle(2)
            assert bench.of("writer", m.Stored) == [m.Stored(1), m.Stored(2)]
            assert backend.load() == (record("a"), record("c"))

    virtually(work())


@pytest.mark.parametrize("failures", [0, 1])
def test_what_was_cleared_does_not_come_back_when_the_transaction_before_fails(failures, caplog):
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            backend = SlowBackend(failures)
            store = running.spawn(StoreOn, backend, name="store")
            bench.say("writer", "store", m.Write((record("a"),)))
            await at_work(backend)
            clearing = asyncio.ensure_future(store.ask(m.ClearStore(), block=False))
            for _ in range(20):  # until it is being handled
                await asyncio.sleep(0)
            backend.go.set()
            assert await clearing is True
            assert "two callers" not in caplog.text
            assert "could not be cleared" not in caplog.text
            assert await everything(store) == ()
            bench.say("writer", "store", m.Write((record("b"),)))
            await bench.settle(60)
            assert backend.load() == (record("b"),)

    virtually(work())


def test_a_store_that_cannot_be_cleared_says_so_and_clears_itself_when_it_can(caplog):
    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            backend = FailingBackend(0)
            store = running.spawn(StoreOn, backend, name="store")
            bench.say("writer", "store", m.Write((record("a"),)))
            await bench.settle(1)
            backend.failures = 3
            assert await store.ask(m.ClearStore(), block=False) is False
            assert "could not clear the store yet" in caplog.text
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
@given(st.lists(STEPS, max_size=25), st.sampled_from(["at once", "in a thread", "on servers"]))
def test_whatever_fails_the_store_is_the_dictionary_that_its_writers_think_of(steps, kind):
    """Write, clear and load, with a disk that fails now and then: never another order, never a record too many."""
    servers = Servers()
    disk = FailingBackend(0)
    disk.blocking = kind == "in a thread"
    backend: Backend = LogBackend(servers.connect(), "memory://test") if kind == "on servers" else disk
    model: dict[str, bytes] = {}

    async def work():
        async with system() as running:
            bench = ActorBench(running, "scheduler", "writer")
            store = running.spawn(StoreOn, backend, name="store")
            assert await everything(store) == ()
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
                        disk.failures = times if disk.blocking else 0
                        servers.lose_answers, servers.lose_requests = times % 2, times // 2
                    case "wait", seconds:
                        await bench.settle(seconds)
            await bench.settle(120)
            assert [stored.reference for stored in bench.of("writer", m.Stored)] == list(
                range(1, references + 1)
            )
            servers.lose_answers = servers.lose_requests = 0
            assert [(each.key, each.value) for each in backend.load()] == list(model.items())

    virtually(work())
