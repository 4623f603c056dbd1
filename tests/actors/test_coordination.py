"""What a coordinator promises, by one suite: in memory, in a real etcd, in a real ZooKeeper; slow, killed, frozen and full ones too."""

import gc
import itertools
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.store.backends import StorageError
from actors.store.coordination import ABSENT, Batch, ConflictError, Coordinator, LeaseLostError
from actors.store_actor import CALLS_IN_A_LEASE, StoreSettings
from tests.support import servers as real
from tests.support.coordination import Servers as InMemory

ROOT = Path(__file__).parents[2]
PATIENCE = 3.0
NUMBERS = itertools.count()
SECRET = "sesame-open-up"


@dataclass
class Place:
    """Where coordinators of one kind meet: servers, and a prefix that nobody else has."""

    make: Callable[[], Coordinator]
    server: real.Server | None = None
    clock: list[float] = field(default_factory=lambda: [0.0])
    settings: StoreSettings = field(default_factory=StoreSettings)
    made: list[Coordinator] = field(default_factory=list)

    def connect(self, **otherwise: Any) -> Coordinator:
        make = replace(self.settings, **otherwise).coordinate if otherwise else self.make
        assert make is not None
        coordinator = make()
        self.made.append(coordinator)
        coordinator.open()
        return coordinator


def place_at(server: real.Server, **settings: Any) -> Place:
    """A new prefix on a server, as `[store]` in a configuration says it."""
    scheme = ("etcd" if isinstance(server, real.Etcd) else "zk") + ("s" if "ca" in settings else "")
    url = f"{scheme}://{server.address}/tests/{next(NUMBERS)}"
    chosen = replace(StoreSettings(url=url, lease=PATIENCE * CALLS_IN_A_LEASE), **settings)
    assert chosen.coordinate is not None
    return Place(chosen.coordinate, server, settings=chosen)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    clock = [0.0]
    if request.param == "memory":
        made = Place(InMemory(clock=lambda: clock[0]).connect, clock=clock)
    else:
        made = place_at(request.getfixturevalue(request.param))
    yield made
    for coordinator in made.made:
        coordinator.close()


everywhere = pytest.mark.parametrize("place", ["memory", "etcd", "zookeeper"], indirect=True)
on_servers = pytest.mark.parametrize("place", ["etcd", "zookeeper"], indirect=True)


# --- conditions and versions ----------------------------------------------------------------------------------


@everywhere
def test_what_is_put_is_got_with_a_version_that_changes_with_each_change(place):
    one = place.connect()
    assert one.get("head") is None
    first = one.commit(Batch(puts={"head": b"1", "log/1": b""}))
    assert value_of(one, "head") == b"1"
    assert value_of(one, "log/1") == b""
    assert {key: one.get(key).version for key in first} == first
    second = one.commit(Batch(puts={"head": b"1"}))
    assert second["head"] != first["head"]
    assert one.get("head").version == second["head"]
    assert one.get("log/1").version == first["log/1"]
    assert -(2**63) <= second["head"] < 2**63, "it goes through messages"


@everywhere
def test_a_batch_of_which_one_condition_does_not_hold_changes_nothing(place):
    one, two = place.connect(), place.connect()
    versions = one.commit(Batch(puts={"a": b"1", "b": b"1"}))
    for conditions in (
        {"a": versions["a"] + 1},
        {"a": ABSENT},
        {"c": versions["a"]},
        {"a": versions["a"], "b": ABSENT},
    ):
        with pytest.raises(ConflictError):
            two.commit(Batch(conditions, {"a": b"2", "c": b"2"}, ("b",)))
    assert two.commit(Batch({"a": versions["a"], "c": ABSENT}, {"c": b"3"}, ("b",))).keys() == {"c"}
    assert (value_of(one, "a"), one.get("b"), value_of(one, "c")) == (b"1", None, b"3")


@everywhere
def test_a_condition_may_be_on_a_key_that_is_not_changed_or_be_all_there_is(place):
    one = place.connect()
    version = one.commit(Batch(puts={"a": b""}))["a"]
    assert one.commit(Batch({"a": version, "b": ABSENT})) == {}
    with pytest.raises(ConflictError):
        one.commit(Batch({"a": ABSENT}))
    with pytest.raises(ConflictError):
        one.commit(Batch({"b": version}))


@everywhere
def test_a_key_that_does_not_exist_is_deleted_without_ado(place):
    one = place.connect()
    one.commit(Batch(puts={"a": b""}))
    one.commit(Batch(puts={"b": b""}, deletes=("a", "c")))
    one.commit(Batch(deletes=("a",)))
    assert (one.get("a"), value_of(one, "b")) == (None, b"")


@everywhere
def test_a_key_that_was_deleted_and_made_again_has_another_version_than_ever_before(place):
    one, two = place.connect(), place.connect()
    seen: set[int] = set()
    for _ in range(4):
        for _ in range(2):  # each time as many changes as the time before
            version = one.commit(Batch(puts={"leader": b"same"}))["leader"]
            assert version not in seen
            for old in seen:
                with pytest.raises(ConflictError):
                    two.commit(Batch({"leader": old}, {"mine": b""}))
            seen.add(version)
        one.commit(Batch({"leader": version}, deletes=("leader",)))
    assert two.get("mine") is None


@everywhere
def test_nothing_is_lost_between_processes_that_change_a_key_delete_it_and_make_it_again(place):
    """Each adds to a counter on the condition that it is as it was read; some by deleting it and making it anew."""
    adders, additions = 3, 25
    start = place.connect()
    start.commit(Batch(puts={"count": b"0"}))
    failed = []

    def add(number: int, one: Coordinator) -> None:
        try:
            for turn in range(additions):
                while not _add(one, anew=(number + turn) % 2 == 0, spare=f"spare-{number}"):
                    pass
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=add, args=(number, place.connect())) for number in range(adders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert value_of(start, "count") == b"%d" % (adders * additions)


def _add(one: Coordinator, *, anew: bool, spare: str) -> bool:
    found = one.get("count")
    if found is None:
        return False
    more = b"%d" % (int(found.value) + 1)
    try:
        if anew:
            one.commit(Batch({"count": found.version}, {spare: more}, ("count",)))
            while True:
                try:
                    one.commit(Batch({"count": ABSENT}, {"count": more}, (spare,)))
                    break
                except ConflictError:
                    raise AssertionError("somebody made it, who should have found none") from None
        else:
            one.commit(Batch({"count": found.version}, {"count": more}))
    except ConflictError:
        return False
    return True


KEYS = st.sampled_from(["a", "b/1", "b/2", "c d=é"])
BATCHES = st.lists(
    st.tuples(
        st.dictionaries(KEYS, st.sampled_from(["right", "absent", "old"]), max_size=2),
        st.dictionaries(KEYS, st.binary(max_size=3), max_size=3),
        st.lists(KEYS, max_size=2, unique=True),
        st.booleans(),
    ),
    max_size=12,
)


@everywhere
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_any_batches_of_two_connections_do_what_they_do_to_a_dictionary(place, batches):
    if len(place.made) < 2:
        place.connect(), place.connect()
    connections = place.made[:2]
    connections[0].commit(Batch(deletes=("a", "b/1", "b/2", "c d=é")))
    values: dict[str, bytes] = {}
    versions: dict[str, int] = {}
    old: dict[str, int] = {}
    for wanted, puts, gone, which in batches:
        deletes = tuple(key for key in gone if key not in puts)
        kinds = {"right": versions, "absent": {}, "old": old}
        conditions = {key: kinds[kind].get(key, ABSENT) for key, kind in wanted.items()}
        holds = all(versions.get(key, ABSENT) == version for key, version in conditions.items())
        try:
            made = connections[which].commit(Batch(conditions, puts, deletes))
        except ConflictError:
            assert not holds
            continue
        assert holds
        assert made.keys() == puts.keys()
        old |= versions
        values |= puts
        versions |= made
        for key in deletes:
            values.pop(key, None)
            versions.pop(key, None)
    assert dict(connections[0].scan("")) == values
    assert list(connections[1].scan("b/")) == sorted(
        (key, values[key]) for key in values if key.startswith("b/")
    )
    assert {key: connections[0].get(key).version for key in values} == versions


# --- many keys, large values ----------------------------------------------------------------------------------


@everywhere
def test_thousands_of_keys_are_read_by_prefix_in_order(place):
    one = place.connect()
    names = [f"log/{number:06d}" for number in range(3000)]
    one.commit(Batch(puts={"log": b"", "lof/1": b"", "loh": b"", "head": b""}))
    for start in range(0, len(names), 100):
        one.commit(Batch(puts={name: name.encode() for name in names[start : start + 100]}))
    reading = one.scan("log/")
    assert next(reading) == (names[0], names[0].encode())
    one.commit(Batch(deletes=(names[0], names[-1]), puts={"log/1": b""}))  # in the midst of it
    assert [key for key, _ in reading][:2990] == names[1:2991]
    assert [key for key, _ in place.connect().scan("")][:4] == ["head", "lof/1", "log", "log/000001"]


@everywhere
def test_values_as_large_as_it_takes_are_kept(place):
    one = place.connect()
    most = os.urandom(one.largest)
    one.commit(Batch({"head": ABSENT}, {"a": most}))
    part = len(most) // 40
    pieces = {f"log/{number:016d}": most[number * part : (number + 1) * part] for number in range(40)}
    one.commit(Batch({"head": ABSENT}, pieces, ("a",)))
    if place.server is not None:
        place.server.restart()  # it reads its own log again
    assert dict(place.connect().scan("")) == pieces


@on_servers
def test_a_value_that_is_too_large_is_refused_in_one_sentence_and_the_next_is_taken(place):
    one = place.connect()
    with pytest.raises(StorageError) as raised:
        one.commit(Batch(puts={"a": bytes(2 << 20)}))
    assert is_a_sentence(raised.value)
    assert one.get("a") is None
    one.commit(Batch(puts={"a": b""}))


# --- leases ---------------------------------------------------------------------------------------------------


@everywhere
def test_what_is_put_under_a_lease_goes_when_its_holder_goes(place):
    one, two = place.connect(), place.connect()
    assert one.lease(2.0) > 0
    version = one.commit(
        Batch({"leader": ABSENT}, {"leader": b"one", "log/1": b""}, leased=frozenset({"leader"}))
    )["leader"]
    assert one.lease(2.0) > 0
    assert value_of(two, "leader") == b"one"
    one.close()
    assert two.wait("leader", version, 10.0)
    assert two.get("leader") is None
    assert value_of(two, "log/1") == b""
    with pytest.raises(ConflictError):
        two.commit(Batch({"leader": version}, {"log/2": b""}))
    two.lease(2.0)
    assert (
        two.commit(Batch({"leader": ABSENT}, {"leader": b"two"}, leased=frozenset({"leader"})))["leader"]
        != version
    )


@everywhere
def test_a_key_belongs_to_the_lease_under_which_it_was_put_last_or_to_none(place):
    one, two, three = place.connect(), place.connect(), place.connect()
    one.lease(2.0)
    two.lease(2.0)
    leased = frozenset({"a", "b", "c"})
    one.commit(Batch(puts={"a": b"1", "b": b"1", "c": b"1", "d": b"1"}, leased=leased))
    two.commit(Batch(puts={"a": b"2", "d": b"2"}, leased=leased | {"d"}))
    version = three.commit(Batch(puts={"b": b"3"}))["b"]
    last = one.commit(Batch(puts={"c": b"4"}, leased=leased))["c"]
    one.close()
    assert three.wait("c", last, 10.0)
    assert [key for key, _ in three.scan("")] == ["a", "b", "d"]
    two.close()
    assert three.wait("d", three.get("d").version if three.get("d") else 0, 10.0)
    assert three.get("b").version == version
    assert [key for key, _ in three.scan("")] == ["b"]


@everywhere
def test_nothing_is_put_under_a_lease_that_was_not_taken(place):
    one = place.connect()
    with pytest.raises(LeaseLostError):
        one.commit(Batch(puts={"leader": b""}, leased=frozenset({"leader"})))
    assert one.get("leader") is None


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_a_lease_that_is_not_renewed_ends(place):
    one, two = place.connect(), place.connect()
    one.lease(2.0)
    version = one.commit(Batch(puts={"leader": b"", "a": b""}, leased=frozenset({"leader"})))["leader"]
    place.clock[0] = 2.0
    assert two.get("leader") is None
    _lease_is_lost(one, version)


def _lease_is_lost(one: Coordinator, version: int) -> None:
    with pytest.raises(ConflictError):
        one.commit(Batch({"leader": version}, {"a": b"late"}))
    with pytest.raises(LeaseLostError):
        one.lease(2.0)
    with pytest.raises(LeaseLostError):
        one.commit(Batch(puts={"leader": b"late", "a": b"late"}, leased=frozenset({"leader"})))
    assert value_of(one, "a") == b""


HOLDER = """
import sys
from tests.actors.test_coordination import *
from tests.actors.test_coordination import _lease_is_lost

url, = sys.argv[1:]
one = StoreSettings(url=url, lease=PATIENCE * CALLS_IN_A_LEASE).coordinate()
one.open()
one.lease(2.0)
version = one.commit(Batch(puts={"leader": b"", "a": b""}, leased=frozenset({"leader"})))["leader"]
print(version, flush=True)
sys.stdin.readline()
for attempt in range(100):
    try:
        _lease_is_lost(one, version)
        break
    except StorageError as error:  # its connection was closed meanwhile
        assert type(error) is StorageError, error
print("lost", flush=True)
if url.startswith("zk"):
    sys.exit()  # without closing anything: no thread keeps the process
one.open()
one.lease(2.0)
"""


@on_servers
def test_a_process_that_was_frozen_for_longer_than_its_lease_finds_everything_gone_and_changes_nothing(place):
    two = place.connect()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, place.settings.url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        version = int(holder.stdout.readline())
        assert not two.wait("leader", version, 0.1)
        holder.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert two.wait("leader", version, 10.0)
        assert time.monotonic() - began < 2.0 + 2.0
        holder.send_signal(signal.SIGCONT)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "lost\n"
        assert holder.wait(10) == 0


@on_servers
def test_a_lease_survives_a_restart_of_the_server(place):
    one, two = place.connect(), place.connect()
    one.lease(5.0)
    version = one.commit(Batch(puts={"leader": b""}, leased=frozenset({"leader"})))["leader"]
    place.server.restart()
    assert until(lambda: one.lease(5.0)) > 0
    assert until(lambda: two.get("leader")).version == version
    until(lambda: one.commit(Batch({"leader": version}, {"a": b""})))


# --- waiting --------------------------------------------------------------------------------------------------


@everywhere
def test_waiting_ends_with_a_change_before_during_or_never(place):
    one, two = place.connect(), place.connect()
    version = one.commit(Batch(puts={"a": b"1"}))["a"]
    assert one.wait("a", ABSENT, 5.0)
    assert one.wait("b", version, 5.0)
    for key, seen in (("a", version), ("b", ABSENT)):
        began = time.monotonic()
        assert not one.wait(key, seen, 0.3)
        assert 0.25 < time.monotonic() - began < 2.0
    for batch in (Batch(puts={"a": b"1"}), Batch(puts={"b": b""}), Batch(deletes=("b",))):
        key = next(iter((*batch.puts, *batch.deletes)))
        seen = found.version if (found := two.get(key)) else ABSENT
        began = time.monotonic()
        later = threading.Timer(0.3, two.commit, [batch])
        later.start()
        assert one.wait(key, seen, 30.0)
        assert time.monotonic() - began < 5.0
        later.join()


@on_servers
def test_waiting_goes_on_over_a_restart_of_the_server(place, caplog):
    one, two = place.connect(), place.connect()
    version = one.commit(Batch(puts={"a": b"1"}))["a"]

    def restart_and_change() -> None:
        place.server.restart()
        until(lambda: two.commit(Batch(puts={"a": b"2"})))

    changing = threading.Timer(0.2, restart_and_change)
    changing.start()
    assert until(lambda: one.wait("a", version, 20.0))
    changing.join()
    assert value_of(one, "a") == b"2"
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING], "callers say it"


# --- servers in trouble ---------------------------------------------------------------------------------------


@on_servers
def test_what_was_committed_is_there_and_what_was_refused_is_not_however_often_the_server_is_killed(place):
    began = time.monotonic()
    stop = threading.Event()
    outcomes: dict[int, str] = {}
    longest = 0.0

    def hammer(one: Coordinator) -> None:
        nonlocal longest
        version, tried = ABSENT, 0
        while not stop.is_set():
            tried += 1
            call = time.monotonic()
            try:
                version = one.commit(Batch({"head": version}, {"head": b"%d" % tried, f"log/{tried}": b""}))[
                    "head"
                ]
                outcomes[tried] = "done"
            except ConflictError:
                outcomes[tried] = "refused"
            except StorageError as error:
                outcomes[tried] = "unknown" if is_a_sentence(error) else str(error)
            longest = max(longest, time.monotonic() - call)
            if outcomes[tried] != "done":
                found = until(lambda: one.get("head"))
                version = found.version

    hammering = threading.Thread(target=hammer, args=(place.connect(),))
    hammering.start()
    for kill in range(2):
        reached = len(outcomes)
        while len(outcomes) < reached + 30 or "done" not in list(outcomes.values())[-5:]:
            assert time.monotonic() - began < 60
            stop.wait(0.01)
        place.server.kill()
        stop.wait(0.2 * kill)
        place.server.restart()
    stop.set()
    hammering.join()
    kept = {int(key[4:]) for key, _ in until(lambda: list(place.connect().scan("log/")))}
    assert {number for number, outcome in outcomes.items() if outcome == "done"} <= kept
    assert kept.isdisjoint(number for number, outcome in outcomes.items() if outcome == "refused")
    assert set(outcomes.values()) <= {"done", "unknown", "refused"}
    assert "unknown" in outcomes.values()
    assert longest < PATIENCE + 1.0


@on_servers
def test_calls_to_a_frozen_server_end_in_time_with_a_sentence_and_go_on_when_it_wakes_up(place):
    one = place.connect()
    one.lease(20.0)
    version = one.commit(Batch(puts={"a": b"1"}))["a"]
    place.server.freeze()
    calls: list[Callable[[], object]] = [
        lambda: one.get("a"),
        lambda: list(one.scan("")),
        lambda: one.commit(Batch({"a": version}, {"b": b""})),
        lambda: one.lease(20.0),
        lambda: one.wait("a", version, 0.1),
        lambda: place.make().open(),
    ]
    trouble = []

    def call(of: Callable[[], object]) -> None:
        began = time.monotonic()
        try:
            trouble.append((of(), time.monotonic() - began))
        except StorageError as error:
            trouble.append((type(error) if is_a_sentence(error) else error, time.monotonic() - began))

    calling = [threading.Thread(target=call, args=(each,)) for each in calls]
    for thread in calling:
        thread.start()
    for thread in calling:
        thread.join(PATIENCE * 3)
    place.server.thaw()
    assert [kind for kind, _ in trouble] == [StorageError] * len(calls)
    assert max(seconds for _, seconds in trouble) < PATIENCE + 1.0
    assert until(lambda: one.get("a")).version == version
    assert until(lambda: one.lease(20.0)) > 0


@pytest.mark.parametrize("scheme", ["etcd", "zk"])
def test_that_no_server_is_there_is_said_in_a_sentence(scheme):
    coordinate = StoreSettings(
        url=f"{scheme}://127.0.0.1:{real.free_ports(1)[0]}/tests", lease=3.0
    ).coordinate
    assert coordinate is not None
    one = coordinate()
    with pytest.raises(StorageError, match="Connection refused") as raised:
        one.open()
    assert is_a_sentence(raised.value)
    with pytest.raises(StorageError, match="not open"):
        one.get("a")
    one.close()


@pytest.fixture(scope="module")
def small_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Etcd]:
    """It lets one user in, and little more than that: it is soon full."""
    if reason := real.missing(real.Etcd):
        pytest.skip(reason)
    with real.Etcd(tmp_path_factory.mktemp("etcd"), quota=1 << 20, user=("framework", SECRET)) as server:
        yield server


@pytest.mark.parametrize("server", ["small_etcd", "zookeeper"])
def test_who_has_not_the_right_password_is_told_so_without_repeating_it(server, request, caplog):
    caplog.set_level(logging.DEBUG)
    place = place_at(request.getfixturevalue(server), user="framework", password=SECRET)
    one = place.connect()
    one.commit(Batch(puts={"a": b"1"}))
    for user, password in (("", ""), ("framework", "another"), ("another", SECRET)):
        with pytest.raises(StorageError, match="password") as raised:
            place.connect(user=user, password=password)
        assert is_a_sentence(raised.value)
    another = place.connect()
    assert value_of(another, "a") == b"1"
    another.close()
    one.close()
    assert SECRET not in caplog.text
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_full_etcd_is_said_to_be_full_and_is_used_again_when_it_has_room(small_etcd):
    place = place_at(small_etcd, user="framework", password=SECRET)
    one = place.connect()
    one.commit(Batch(puts={"a": b"1"}))
    small_etcd.fill()
    with pytest.raises(StorageError, match="full") as raised:
        one.commit(Batch(puts={"a": b"2"}))
    assert is_a_sentence(raised.value)
    assert value_of(one, "a") == b"1"
    small_etcd.make_room()
    assert until(lambda: one.commit(Batch(puts={"a": b"small"})))
    one.close()


def test_a_zookeeper_that_dies_of_a_full_disk_is_used_again_when_it_is_back(zookeeper):
    place = place_at(zookeeper)
    one = place.connect()
    one.commit(Batch(puts={"a": b"1"}))
    resource.prlimit(zookeeper.process.pid, resource.RLIMIT_FSIZE, (1, 1))
    with pytest.raises(StorageError) as raised:
        one.commit(Batch(puts={"a": b"2"}))
    assert is_a_sentence(raised.value)
    zookeeper.restart()
    assert until(lambda: value_of(one, "a")) in {b"1", b"2"}
    until(lambda: one.commit(Batch(puts={"a": b"3"})))
    one.close()


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket"
)  # kazoo leaves it to the garbage collector
@pytest.mark.parametrize("kind", [real.Etcd, real.ZooKeeper])
def test_servers_and_clients_know_each_other_by_certificates(kind, certificates, tmp_path):
    if reason := real.missing(kind):
        pytest.skip(reason)
    with kind(tmp_path, tls=real.ServerTls(certificates.ca, certificates.server)) as server:
        client, ca = certificates.client, certificates.ca
        trusted = place_at(server, ca=ca, cert=client, key=client)
        one = trusted.connect()
        one.commit(Batch(puts={"a": b"1"}))
        assert value_of(one, "a") == b"1"
        one.close()
        for tls in ({"ca": ca}, {"ca": client, "cert": client, "key": client}):
            with pytest.raises(StorageError, match=r"certificate|closed|broken|reset|TLS") as raised:
                place_at(server, lease=3.0, **tls).connect()
            assert is_a_sentence(raised.value)
    for thread in threading.enumerate():
        if thread.name == "leaving ZooKeeper":
            thread.join()
    gc.collect()  # here, and not in the test after this one


def value_of(one: Coordinator, key: str) -> bytes | None:
    found = one.get(key)
    return None if found is None else found.value


def is_a_sentence(error: BaseException) -> bool:
    text = str(error)
    return (
        "://" in text
        and "\n" not in text
        and len(text) < 300
        and SECRET not in text
        and "object at" not in text
    )


def until(call: Callable[[], object], seconds: float = 20.0):
    """Call until it is not in trouble, and return what it says."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except ConflictError:
            raise
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
