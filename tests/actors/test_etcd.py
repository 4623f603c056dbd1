"""A store in a real etcd: what is etcd's own, and the sentences about it. What all coordinators have in common is not here."""

import threading
import time
import uuid

import pytest

from actors import messages as m
from actors.store.address import store_address
from actors.store.backends import StorageError
from actors.store.coordination import ABSENT, Batch, ConflictError, LeaseLostError
from actors.store.etcd import EtcdCoordinator
from actors.store.log import LogBackend
from mesos_http import TlsSettings
from tests.support.servers import Etcd

pytest.importorskip("etcd3gw", reason="pip install 'mesostic[etcd]'")


def connected(server, *others, prefix="", user="", password="", patience=2.0):
    url = f"etcd://{','.join((*others, server.address))}/{prefix or uuid.uuid4().hex}"
    coordinator = EtcdCoordinator(store_address(url, TlsSettings(), user, password), patience)
    coordinator.open()
    return coordinator


@pytest.fixture
def coordinator(etcd):
    made = connected(etcd)
    yield made
    made.close()


def test_servers_are_tried_in_turn_also_for_a_batch_that_nobody_has_heard(etcd):
    coordinator = connected(etcd, "127.0.0.1:1", "127.0.0.1:2")
    for number in range(3):
        assert coordinator.commit(Batch(puts={"a": bytes((number,))}))
        coordinator._servers.sort(key=lambda server: server.port)  # those where nobody is first
    found = coordinator.get("a")
    assert found is not None
    assert found.value == b"\2"
    coordinator.close()


def test_a_batch_that_a_frozen_server_may_have_heard_is_not_sent_to_another(etcd, coordinator):
    etcd.freeze()
    began = time.monotonic()
    with pytest.raises(
        StorageError, match=r"^etcd://127.0.0.1:\d+/\w+: 127.0.0.1:\d+ does not answer in time$"
    ):
        coordinator.commit(Batch(puts={"a": b"1"}))
    assert time.monotonic() - began < 3.0
    etcd.thaw()


def test_a_server_that_is_away_is_one_sentence_and_used_again_when_it_is_back(etcd, coordinator):
    backend = LogBackend(coordinator, "etcd://test")
    backend.open()
    backend.commit([m.Write((m.Record("k", "a", b"1"),))])
    etcd.kill()
    with pytest.raises(StorageError, match=r"127.0.0.1:\d+ cannot be reached \(Connection refused\)$"):
        backend.commit([m.Write((m.Record("k", "b", b"2"),))])
    etcd.restart()
    backend.commit([m.Write((m.Record("k", "b", b"2"),))])
    assert [record.key for record in backend.load()] == ["a", "b"]


def test_a_full_etcd_says_how_to_free_space(tmp_path):
    with Etcd(tmp_path, quota=1 << 20) as server:
        coordinator = connected(server)
        with pytest.raises(
            StorageError, match=r"is full: free space \(etcdctl compact, defrag, then alarm disarm\)"
        ):
            for number in range(40):
                coordinator.commit(Batch(puts={str(number): bytes(200_000)}))
        coordinator.close()


def test_one_who_is_not_let_in_is_told_which_settings_say_who_it_is(tmp_path):
    with Etcd(tmp_path, user=("night", "moon")) as server:
        coordinator = connected(server, user="night", password="moon")
        coordinator.commit(Batch({"a": ABSENT}, {"a": b"1"}))
        with pytest.raises(
            StorageError, match=r"does not know this user and password \(\[store\] user and password\)$"
        ):
            connected(server, user="night", password="sun")
        with pytest.raises(StorageError, match=r"lets nobody in without a user and password"):
            connected(server)
        # etcd forgets its tokens with a restart, and after five minutes
        server.restart()
        assert coordinator.get("a") is not None
        server.restart()
        coordinator.commit(Batch(puts={"b": b"2"}))
        coordinator.close()


def test_a_value_may_be_as_large_as_it_says_and_pages_are_small_enough_for_any(coordinator):
    half = bytes(coordinator.largest // 2)
    for number in range(12):
        coordinator.commit(Batch(puts={f"log/{number:03}": half, f"logs/{number}": half}))
    for number in range(2000):
        coordinator.commit(Batch(puts={f"log/{number + 100:05}": b"x"})) if number % 50 == 0 else None
    found = list(coordinator.scan("log/"))
    assert len(found) == 12 + 40
    assert [key for key, _ in found] == sorted(key for key, _ in found)
    assert sum(len(value) for _, value in found) == 12 * len(half) + 40
    assert coordinator.commit(Batch(puts={"log/000": bytes(coordinator.largest)}))


def test_a_watch_survives_that_etcd_forgets_the_past(etcd, coordinator):
    version = coordinator.commit(Batch(puts={"a": b"1"}))["a"]
    other = connected(etcd, prefix=coordinator._address.prefix)
    for _ in range(5):
        other.commit(Batch(puts={"else": b""}))
    newest = other.commit(Batch(puts={"else": b""}))["else"]
    etcd.call("kv/compaction", {"revision": newest, "physical": True})
    assert not coordinator.wait("a", version, 0.2)
    changed: list[bool] = []
    waiting = threading.Thread(target=lambda: changed.append(coordinator.wait("a", version, 20.0)))
    waiting.start()
    newest = other.commit(Batch(puts={"else": b""}))["else"]
    etcd.call("kv/compaction", {"revision": newest, "physical": True})
    other.commit(Batch(puts={"a": b"2"}))
    waiting.join(20.0)
    assert changed == [True]
    other.close()


def test_a_watch_survives_a_server_that_dies(etcd, coordinator):
    version = coordinator.commit(Batch(puts={"a": b"1"}))["a"]
    heard: list[object] = []

    def wait():
        while not heard:
            try:
                heard.extend([True] if coordinator.wait("a", version, 20.0) else [])
            except StorageError:
                time.sleep(0.05)

    waiting = threading.Thread(target=wait)
    waiting.start()
    etcd.kill()
    etcd.restart()
    other = connected(etcd, prefix=coordinator._address.prefix)
    other.commit(Batch(puts={"a": b"2"}))
    waiting.join(20.0)
    assert heard == [True]
    other.close()


def test_a_lease_that_has_expired_is_lost_with_what_was_put_under_it(etcd, coordinator):
    other = connected(etcd, prefix=coordinator._address.prefix)
    other.lease(2)
    version = other.commit(Batch({"leader": ABSENT}, {"leader": b"other"}, leased=frozenset({"leader"})))[
        "leader"
    ]
    assert coordinator.wait("leader", version, 20.0), "it is not renewed"
    with pytest.raises(LeaseLostError, match="the lease has expired"):
        other.lease(2)
    with pytest.raises(LeaseLostError):
        other.commit(Batch({}, {"leader": b"other"}, leased=frozenset({"leader"})))
    with pytest.raises(ConflictError):
        other.commit(Batch({"leader": version}, {"a": b""}))
    other.close()


def test_a_driver_that_is_missing_is_one_sentence(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "etcd3gw.client", None)
    coordinator = EtcdCoordinator(store_address("etcd://127.0.0.1:1/a", TlsSettings(), "", ""), 1.0)
    with pytest.raises(StorageError, match=r"needs the package etcd3gw: pip install 'mesostic\[etcd\]'"):
        coordinator.open()
