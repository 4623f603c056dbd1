"""A store in a real ZooKeeper: what is ZooKeeper's own. What all coordinators have in common is not here."""

import itertools
import sys
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import CREATOR_ALL_ACL

from actors.store.address import store_address
from actors.store.backends import StorageError
from actors.store.coordination import Batch, ConflictError, LeaseLostError
from actors.store.zookeeper import View, ZooKeeperCoordinator
from actors.store_actor import StoreSettings
from mesos_http import TlsSettings


class Interrupted(ZooKeeperCoordinator):
    """Something else happens between the look at what there is and the batch."""

    meanwhile: Callable[[], object] | None = None

    def _look(self, client: KazooClient, batch: Batch, deadline: float) -> View:
        view = super()._look(client, batch, deadline)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return view


@pytest.fixture
def url(zookeeper) -> str:
    return f"zk://{zookeeper.address}/tests/{uuid.uuid4().hex}"


@pytest.fixture
def one(url) -> Iterator[Interrupted]:
    coordinator = Interrupted(store_address(url, TlsSettings(), "", ""), 3.0)
    coordinator.open()
    yield coordinator
    coordinator.close()


@pytest.fixture
def two(url) -> Iterator[ZooKeeperCoordinator]:
    coordinator = ZooKeeperCoordinator(store_address(url, TlsSettings(), "", ""), 3.0)
    coordinator.open()
    yield coordinator
    coordinator.close()


@pytest.fixture
def client(zookeeper) -> Iterator[KazooClient]:
    made = KazooClient(zookeeper.address)
    made.start()
    yield made
    made.stop()
    made.close()


@pytest.mark.parametrize("more", [{}, {"log/1": b""}])
def test_a_key_that_is_made_again_in_the_very_moment_is_not_the_one_that_was_required(one, two, more):
    version = one.commit(Batch(puts={"leader": b"one"}))["leader"]

    def take_over() -> None:  # with as many changes, so that ZooKeeper counts the same
        two.commit(Batch(deletes=("leader",)))
        two.commit(Batch(puts={"leader": b"two"}))

    one.meanwhile = take_over
    with pytest.raises(ConflictError):
        one.commit(Batch({"leader": version}, {"leader": b"one again"} | more))
    assert two.get("leader").value == b"two"
    assert two.get("log/1") is None


@pytest.mark.parametrize("change", [Batch(puts={"a": b"2"}), Batch(deletes=("a",)), Batch(puts={"b": b"2"})])
def test_what_changes_in_the_very_moment_changes_only_what_it_has_to(one, two, change):
    one.commit(Batch(puts={"a": b"1"}))
    one.meanwhile = lambda: two.commit(change)
    made = one.commit(Batch(puts={"a": b"3", "b": b"3"}, deletes=("c",)))
    assert {key: (two.get(key).value, two.get(key).version) for key in "ab"} == {
        key: (b"3", made[key]) for key in "ab"
    }


def test_nothing_is_put_under_a_lease_that_ends_in_the_very_moment(one, client):
    one.lease(2.0)
    one.meanwhile = lambda: client.delete(one._lease)
    with pytest.raises(LeaseLostError):
        one.commit(Batch(puts={"leader": b"", "a": b""}, leased=frozenset({"leader"})))
    assert one.get("a") is None
    with pytest.raises(LeaseLostError):
        one.lease(2.0)


def test_nobody_else_reads_the_nodes_of_a_user(zookeeper, client):
    url = f"zk://{zookeeper.address}/tests/{uuid.uuid4().hex}"
    one = ZooKeeperCoordinator(store_address(url, TlsSettings(), "framework", "sesame-open-up"), 3.0)
    one.open()
    one.lease(2.0)
    one.commit(Batch(puts={"log/1": b"secret", "leader": b"secret"}, leased=frozenset({"leader"})))
    path = url.removeprefix(f"zk://{zookeeper.address}")
    for name in ("", "/log%2F1", "/leader", "/=made", one._lease.removeprefix(path)):
        with pytest.raises(NoAuthError):
            client.get(path + name)
        with pytest.raises(NoAuthError):
            client.set(path + name, b"")
    with pytest.raises(NoAuthError):
        client.create(f"{path}/mine")
    one.close()


def test_a_user_does_not_go_on_where_everybody_may_read(one, two, url, client):
    one.commit(Batch(puts={"a": b"1"}))
    later = ZooKeeperCoordinator(store_address(url, TlsSettings(), "framework", "sesame-open-up"), 3.0)
    with pytest.raises(
        StorageError, match=r"everybody may read .* setAcl -R /tests/\w+ auth::cdrwa"
    ) as raised:
        later.open()
    assert "sesame" not in str(raised.value)
    client.add_auth("digest", "framework:sesame-open-up")
    path = "/" + url.split("/", 3)[3]
    for name in ("", *(f"/{child}" for child in client.get_children(path))):
        client.set_acls(path + name, CREATOR_ALL_ACL)
    later.open()
    found = later.get("a")
    assert found is not None
    assert found.value == b"1"
    later.close()
    with pytest.raises(StorageError, match="password"):
        two.get("a")


def test_five_thousand_segments_are_few_enough(one, two):
    names = [f"log/{number:016d}" for number in range(5000)]
    for start in range(0, len(names), 200):
        one.commit(Batch(puts=dict.fromkeys(names[start : start + 200], b"x" * 500)))
    began = time.monotonic()
    assert [name for name, _ in two.scan("log/")] == names
    assert time.monotonic() - began < 20
    one.commit(Batch(puts={"head": b""}, deletes=tuple(names[:100])))
    assert next(two.scan("log/"))[0] == names[100]


def test_nodes_that_somebody_has_deleted_are_a_sentence(one, client, url):
    one.commit(Batch(puts={"a": b""}))
    client.delete("/" + url.split("/", 3)[3], recursive=True)
    with pytest.raises(StorageError, match="=made is gone"):
        one.commit(Batch(puts={"a": b""}))


def test_a_driver_that_is_missing_is_one_sentence(monkeypatch):
    for name in list(itertools.chain(sys.modules)):
        if name.partition(".")[0] == "kazoo" or name == "actors.store.zookeeper":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kazoo", None)
    monkeypatch.delattr("actors.store.zookeeper", raising=False)
    with pytest.raises(
        ValueError,
        match=r"^a store in ZooKeeper needs the package kazoo: pip install 'mesostic\[zookeeper\]'$",
    ):
        StoreSettings(url="zk://localhost/tests")
