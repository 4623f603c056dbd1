"""Where a store is, as a user says it: what contradicts itself is one sentence, and nothing repeats a password."""

import asyncio

import pytest

from actors import composition as root
from actors.composition import BUILT_IN, run
from actors.framework_settings import WEEK, ActorSpec, Composition, FrameworkSettings
from actors.store_actor import StoreActor, StoreSettings


def refusal(**settings):
    with pytest.raises(ValueError) as refused:
        StoreSettings(**settings)
    return str(refused.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"path": "s.db", "url": "etcd://a/b"}, "path and url are two stores: give one of them"),
        ({"url": "etcd://me:hush@a/b"}, "url holds credentials; they belong in user and password"),
        ({"url": "etcd://me:hu/hush@a/b"}, "url holds credentials"),
        ({"url": "etcd://a"}, "url must be etcd://host:2379,host:2379/prefix or zk://"),
        ({"url": "redis://a/b"}, 'for TLS), not "redis://a/b"'),
        ({"url": "etcd://a:b/c"}, '"a:b" is no host:port in "etcd://a:b/c"'),
        ({"url": "etcd://a/b//c"}, 'must not have empty parts, "." or ".."'),
        ({"url": "etcd://a/b", "ca": "ca.pem"}, 'ca is for TLS, and url is without: begin it with "etcds://"'),
        ({"url": "zks://a/b", "key": "key.pem"}, "key needs cert"),
        ({"url": "etcd://a/b", "password": "hush"}, "a password needs a user"),
        ({"url": "etcd://a/b", "lease": 1.0}, "lease must be at least 2 seconds"),
        ({"url": "etcd://a/b", "drop_damaged": True}, "drop_damaged is for a store at a path"),
        ({"user": "me"}, "user is for a store at a url, and none is given"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_in_a_sentence(settings, sentence):
    said = refusal(**settings)
    assert sentence in said
    assert "hush" not in said


def test_an_address_is_taken_apart():
    address = StoreSettings(url="etcds://a,[::1]:5,c:6/x/y/", user="me", password="hush").address
    assert address is not None
    assert address.hosts == (("a", 2379), ("::1", 5), ("c", 6))
    assert (address.prefix, address.name) == ("x/y", "y")
    assert address.tls is not None
    assert "hush" not in repr(address)
    plain = StoreSettings(url="zk://a/x").address
    assert plain is not None
    assert (plain.hosts, plain.tls) == ((("a", 2181),), None)


@pytest.mark.parametrize(
    ("settings", "durable"),
    [({"url": "etcd://a/frameworks/night"}, True), ({"path": "night.db"}, True), ({}, False)],
)
async def test_a_framework_with_a_store_on_servers_is_kept_for_a_week_as_one_with_a_file_is(
    monkeypatch, tmp_path, settings, durable
):
    monkeypatch.chdir(tmp_path)
    begun: list[Composition] = []

    class Root(root.FrameworkActor):
        def on_start(self) -> None:
            begun.append(self.composition)
            self.outcome.set_result(root.Outcome(0, ""))

    monkeypatch.setattr(root, "FrameworkActor", Root)
    scheduler = ActorSpec("scheduler", BUILT_IN["scheduler"], None)
    made = Composition(
        FrameworkSettings(), (scheduler, ActorSpec("store", StoreActor, StoreSettings(**settings)))
    )
    await asyncio.wait_for(run(made), 20)
    (composition,) = begun
    assert composition.framework.failover_timeout == (WEEK if durable else 0.0)
    assert bool(composition.store_files) is durable
    assert composition.store_files in {"", "night", "night.db"}
    assert (composition.coordinate is not None) is ("url" in settings)
