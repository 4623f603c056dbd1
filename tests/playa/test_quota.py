"""Quota: what limits and guarantees do to offers, which quotas a master takes, and what it tells of them."""

import json
from typing import Any

import pytest

from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from playa import messages
from playa.master.agents import admission
from playa.master.agents.registry import load, save
from playa.master.allocation.quota import Quota
from playa.master.http_site import SiteAnswer
from playa.master.operator_api import endpoints, metrics, quota_calls, views
from tests.support.allocating import Allocator
from tests.support.answers import answered

OK = SiteAnswer(200)


def config(role: str, limits: dict[str, float], guarantees: dict[str, float]) -> dict[str, Any]:
    parts = {"limits": limits, "guarantees": guarantees}
    return {"role": role, **{k: {name: {"value": v} for name, v in d.items()} for k, d in parts.items()}}


def update(
    bench: Any, role: str, *, force: bool = False, guarantees: dict[str, float] | None = None, **limits: Any
) -> SiteAnswer:
    body = {"quota_configs": [config(role, limits, guarantees or {})], "force": force}
    with bench.saving():
        return answered(quota_calls.update, bench.state, to_call("UPDATE_QUOTA", body).update_quota)


def to_call(kind: str, body: dict[str, Any]) -> pb.master.Call:
    return content.from_json(pb.master.Call, {"type": kind, kind.lower(): body})


def set_quota(bench: Any, role: str, *guarantee: tuple[str, float], **more: Any) -> SiteAnswer:
    listed = [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in guarantee]
    request = {"role": role, "guarantee": listed, **more}
    with bench.saving():
        return answered(quota_calls.set_quota, bench.state, content.from_json(pb.quota.QuotaRequest, request))


def offered(bench: Any, framework: Any) -> str:
    """What a framework holds, by name."""
    resources = Resources()
    for offer in framework.offers.values():
        resources = resources + offer.resources.unallocate()
    return "; ".join(sorted(map(str, resources)))


@pytest.fixture
def one(bench: Any) -> Any:
    bench.agent = bench.add_agent(resources="cpus:4;mem:4096;disk:1000;ports:[1-9]")
    return bench


# --- what it does to offers -----------------------------------------------------------------------------------


def test_a_role_is_offered_no_more_than_its_limits(one: Any) -> None:
    assert update(one, "a", cpus=1.5, mem=1024) == OK
    framework = one.subscribe(roles=("a",))
    assert offered(one, framework) == "cpus:1.5; disk:1000; mem:1024; ports:[1-9]"


def test_what_its_tasks_use_counts(one: Any) -> None:
    update(one, "a", cpus=1.5)
    framework = one.subscribe(roles=("a",))
    one.launch(framework)
    one.pass_time(6)
    assert "cpus:0.5" in offered(one, framework)


def test_a_role_at_its_limit_gets_the_rest_without_it(one: Any) -> None:
    update(one, "a", cpus=1)
    framework = one.subscribe(roles=("a",))
    one.launch(framework)
    one.pass_time(6)
    assert "cpus" not in offered(one, framework)
    assert "mem:4032" in offered(one, framework)


def test_a_limit_of_nothing_gives_nothing(one: Any) -> None:
    update(one, "a", cpus=0, mem=0)
    framework = one.subscribe(roles=("a",))
    assert framework.offers == {}


def test_the_limit_is_the_roles_and_not_each_frameworks(one: Any) -> None:
    one.add_agent(2)
    update(one, "a", cpus=5)
    first, second = one.subscribe("f", roles=("a",)), one.subscribe("g", roles=("a",))
    assert offered(one, first) == "cpus:5; disk:1000; mem:8192; ports:[1-9]"
    assert second.offers == {}


def test_reservations_count_for_their_role_used_or_not(bench: Any) -> None:
    bench.add_agent(resources="cpus(a):3;cpus:4;mem:1024")
    update(bench, "a", force=True, cpus=4)
    framework = bench.subscribe(roles=("a",), capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT"))
    resources = Resources.from_proto(bench.offers(framework)[-1].resources)
    assert (resources.reserved().cpus, resources.unreserved().cpus) == (3, 1)


def test_other_roles_are_not_limited(one: Any) -> None:
    update(one, "a", cpus=1)
    assert "cpus:4" in offered(one, one.subscribe(roles=("b",)))


def test_a_guarantee_is_held_back_from_others(one: Any) -> None:
    update(one, "b", guarantees={"cpus": 3, "mem": 1024})
    other = one.subscribe("other", roles=("a",))
    assert offered(one, other) == "cpus:1; disk:1000; mem:3072; ports:[1-9]"
    owner = one.subscribe("owner", roles=("b",))
    assert offered(one, owner) == "cpus:3; mem:1024"


def test_who_has_a_guarantee_comes_first_and_gets_beyond_it(one: Any) -> None:
    framework = one.subscribe("a", roles=("a",))
    one.call(framework, type="SUPPRESS")
    update(one, "b", guarantees={"cpus": 1, "mem": 4096})
    owner = one.subscribe("owner", roles=("b",))
    assert offered(one, owner) == "cpus:4; disk:1000; mem:4096; ports:[1-9]"


def test_guarantees_come_before_fair_shares(one: Any) -> None:
    one.add_agent(2)
    owner = one.subscribe("owner", roles=("b",))
    one.launch(owner, "t", resources=[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 3}}])
    poor = one.subscribe("poor", roles=("a",))
    assert update(one, "b", guarantees={"cpus": 8}, force=True) == OK
    one.pass_time(6)
    assert "cpus" not in offered(one, poor)


def test_a_guarantee_is_met_from_several_agents(one: Any) -> None:
    one.add_agent(2, "cpus:4;mem:4096")
    update(one, "b", guarantees={"cpus": 6})
    other = one.subscribe("other", roles=("a",))
    owner = one.subscribe("owner", roles=("b",))
    assert Resources.parse(offered(one, other)).cpus == 2
    assert Resources.parse(offered(one, owner)).cpus == 6


def test_reservations_come_along_with_what_is_guaranteed(bench: Any) -> None:
    bench.add_agent(resources="cpus(b):1;cpus:2;mem:64")
    update(bench, "b", guarantees={"cpus": 2})
    capabilities = ("MULTI_ROLE", "RESERVATION_REFINEMENT")
    (offer,) = bench.offers(bench.subscribe(roles=("b",), capabilities=capabilities))
    resources = Resources.from_proto(offer.resources)
    assert (resources.reserved().cpus, resources.unreserved().cpus) == (1, 2)


def test_what_is_reserved_for_a_role_is_part_of_its_guarantee(bench: Any) -> None:
    bench.add_agent(resources="cpus(b):2;cpus:4;mem:1024")
    update(bench, "b", guarantees={"cpus": 3})
    other = bench.subscribe(roles=("a",))
    assert "cpus:3" in offered(bench, other)


def test_what_a_run_has_given_for_a_guarantee_is_held_back_no_longer() -> None:
    allocator = Allocator()
    allocator.quotas["b"] = Quota({"cpus": 4000})
    for framework_id, role in (("owner", "b"), ("other", "a")):
        allocator.add_framework(framework_id, [role])
    for agent_id in ("one", "two"):
        info = pb.mesos.AgentInfo(hostname=agent_id)
        allocator.new_agent(agent_id, info, Resources.parse("cpus:4"))
    given = allocator.allocate(0.0)
    cpus = {framework_id: sum(r.cpus for r in given[framework_id][role].values())
            for framework_id, role in (("owner", "b"), ("other", "a"))}  # fmt: skip
    assert cpus == {"owner": 4, "other": 4}


def test_a_guarantee_that_is_gone_is_held_back_no_longer(one: Any) -> None:
    update(one, "b", guarantees={"cpus": 3})
    update(one, "b")
    assert "cpus:4" in offered(one, one.subscribe(roles=("a",)))


def test_a_guaranteed_offer_that_was_refused_goes_to_nobody_else(one: Any) -> None:
    update(one, "b", guarantees={"cpus": 4})
    owner = one.subscribe("owner", roles=("b",))
    (offer,) = owner.offers.values()
    decline = {"offer_ids": [{"value": offer.id}], "filters": {"refuse_seconds": 100}}
    one.call(owner, type="DECLINE", decline=decline)
    other = one.subscribe("other", roles=("a",))
    assert "cpus" not in offered(one, other)


def test_whole_disks_are_offered_whole_or_not(bench: Any) -> None:
    disk = {"type": "MOUNT", "mount": {"root": "/m"}}
    text = [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 100}},
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 100}, "disk": {"source": disk}},
    ]
    bench.add_agent(resources=json.dumps(text))
    update(bench, "a", disk=50)
    update(bench, "b", disk=100)
    first = bench.subscribe("a", roles=("a",))
    assert "disk" not in offered(bench, first)
    bench.call(first, type="TEARDOWN")
    assert "disk[MOUNT:/m]:100" in offered(bench, bench.subscribe("b", roles=("b",)))


# --- offers that are out --------------------------------------------------------------------------------------


def test_offers_beyond_a_new_limit_are_taken_back(one: Any) -> None:
    framework = one.subscribe(roles=("a",))
    assert update(one, "a", cpus=2) == OK
    assert len(one.events(framework, "RESCIND")) == 1
    one.pass_time(1)
    assert "cpus:2" in offered(one, framework)


def test_a_new_limit_takes_no_offer_of_another_role_back(one: Any) -> None:
    one.add_agent(2)
    framework, other = one.subscribe("f", roles=("a",)), one.subscribe("g", roles=("ab",))
    first, second = framework.offers.values()
    decline = {"offer_ids": [{"value": first.id}], "filters": {"refuse_seconds": 100}}
    one.call(framework, type="DECLINE", decline=decline)
    one.pass_time(1)
    assert len(other.offers) == 1
    update(one, "a", cpus=1)
    assert [e.rescind.offer_id.value for e in one.events(framework, "RESCIND")] == [second.id]
    assert one.events(other, "RESCIND") == []


def test_no_more_of_the_roles_offers_are_taken_back_than_are_beyond_its_limit(one: Any) -> None:
    one.add_agent(2)
    framework = one.subscribe(roles=("a",))
    update(one, "a", cpus=4)
    assert len(one.events(framework, "RESCIND")) == 1


def test_offers_within_a_new_limit_stay(one: Any) -> None:
    framework = one.subscribe(roles=("a",))
    update(one, "a", cpus=4)
    assert one.events(framework, "RESCIND") == []


def test_offers_of_others_are_taken_back_for_a_guarantee_until_that_is_enough(one: Any) -> None:
    one.add_agent(2)
    framework = one.subscribe(roles=("a",))
    update(one, "b", guarantees={"cpus": 2})
    assert len(one.events(framework, "RESCIND")) == 1
    assert len(framework.offers) == 1


def test_set_quota_takes_the_offers_of_as_many_agents_back_as_frameworks_wait(one: Any) -> None:
    for number in (2, 3):
        one.add_agent(number)
    framework = one.subscribe(roles=("a",))
    waiting = [one.subscribe(name, roles=("b",)) for name in ("g", "h")]
    assert all(f.offers == {} for f in waiting)
    assert set_quota(one, "b", ("cpus", 1)) == OK
    assert len(one.events(framework, "RESCIND")) == 2


# --- checks ---------------------------------------------------------------------------------------------------

CAPACITY = "exceed cluster capacity 'cpus:4; disk:1000; mem:4096'"
FORCE = "(use 'force' flag to bypass this check)"


@pytest.mark.parametrize(
    ("role", "limits", "guarantees", "text"),
    [
        ("a/b", {"cpus": 1}, {}, "Updating quota on nested role 'a/b' is not supported yet"),
        (
            "",
            {},
            {},
            "Invalid QuotaConfig: Invalid 'QuotaConfig.role': Role names cannot be the empty string",
        ),
        (
            "a",
            {"cpus": -1},
            {},
            "Invalid QuotaConfig: Invalid limit configuration {'cpus': -1}: Negative values not supported",
        ),
        (
            "a",
            {},
            {"cpus": -1.5},
            "Invalid QuotaConfig: Invalid guarantee configuration {'cpus': -1.5}: Negative values not supported",
        ),
        (
            "a",
            {"cpus": 2e12},
            {},
            (
                "Invalid QuotaConfig: Invalid 'QuotaConfig.limits': {'cpus': 2000000000000} is invalid: values greater "
                "than 1 trillion (1000000000000) are not supported"
            ),
        ),
        (
            "a",
            {},
            {"mem": 2e12},
            (
                "Invalid QuotaConfig: Invalid 'QuotaConfig.guarantees': {'mem': 2000000000000} is invalid: values greater "
                "than 1 exabyte (1099511627776) are not supported"
            ),
        ),
        (
            "a",
            {"cpus": 1},
            {"cpus": 2},
            (
                "Invalid QuotaConfig: 'QuotaConfig.guarantees' { cpus: 2 } is not contained within the "
                "'QuotaConfig.limits' { cpus: 1 }"
            ),
        ),
        (
            "a",
            {},
            {"cpus": 5, "mem": 1},
            f"Invalid QuotaConfig: total quota guarantees 'cpus:5; mem:1' {CAPACITY} {FORCE}",
        ),
    ],
)
def test_a_quota_that_cannot_be_is_refused_in_the_words_of_mesos(
    one: Any, role: str, limits: dict[str, Any], guarantees: dict[str, float], text: str
) -> None:
    assert update(one, role, guarantees=guarantees, **limits) == SiteAnswer(400, text)
    assert one.state.quotas == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("inf"), "1 trillion"), (float("nan"), "NaN not supported"), (1e-310, "Subnormal values")],
)
def test_a_quota_is_a_number(one: Any, value: float, text: str) -> None:
    call = pb.master.Call(type=pb.master.Call.UPDATE_QUOTA)
    call.update_quota.quota_configs.add(role="a").limits["cpus"].value = value
    assert text in answered(quota_calls.update, one.state, call.update_quota).text


def test_a_limit_below_what_is_used_needs_force(one: Any) -> None:
    framework = one.subscribe(roles=("a",))
    one.launch(framework)
    answer = update(one, "a", cpus=0.5)
    assert answer == SiteAnswer(
        400,
        "Invalid QuotaConfig: Role 'a' is already consuming 'cpus:1; mem:64'; this is more than the requested "
        f"limits 'cpus:0.5' {FORCE}",
    )
    assert update(one, "a", force=True, cpus=0.5) == OK


def test_what_roles_below_use_counts_too(one: Any) -> None:
    framework = one.subscribe(roles=("a/b",))
    one.launch(framework)
    assert "'cpus:1; mem:64'" in update(one, "a", cpus=0.5).text
    assert update(one, "ab", cpus=0.5) == OK


def test_guarantees_beyond_the_cluster_need_force(one: Any) -> None:
    assert update(one, "a", guarantees={"cpus": 3}) == OK
    assert update(one, "b", guarantees={"cpus": 2}).status == 400
    assert update(one, "b", guarantees={"cpus": 2}, force=True) == OK
    assert update(one, "a", guarantees={"cpus": 2}) == OK  # in place of the first


def test_all_of_an_update_is_taken_or_nothing(one: Any) -> None:
    body = {"quota_configs": [config("a", {"cpus": 1}, {}), config("b/c", {}, {})]}
    assert answered(quota_calls.update, one.state, to_call("UPDATE_QUOTA", body).update_quota).status == 400
    assert one.state.quotas == {}


def test_roles_that_the_master_does_not_list_have_no_quota(new_bench: Any) -> None:
    bench = new_bench(roles=("a",))
    text = "Invalid QuotaConfig: 'x' is not on the roles whitelist"
    assert update(bench, "x", cpus=1) == SiteAnswer(400, text)
    assert update(bench, "a", cpus=1) == update(bench, "*", cpus=1) == OK
    text = "Failed to validate set quota request: Unknown role 'x'"
    assert set_quota(bench, "x", ("cpus", 1)) == SiteAnswer(400, text)
    text = "Failed to validate remove quota request for path '/master/quota/x': Unknown role 'x'"
    assert answered(quota_calls.remove, bench.state, "x", "/master/quota/x") == SiteAnswer(400, text)
    with bench.saving():
        assert answered(quota_calls.remove, bench.state, "a", "/master/quota/a") == OK


@pytest.mark.parametrize(
    ("role", "guarantee", "text"),
    [
        ("", [("cpus", 1)], "QuotaInfo with invalid role: Role names cannot be the empty string"),
        ("a", [], "QuotaInfo with empty 'guarantee'"),
        ("a", [("cpus", 1), ("cpus", 1)], "QuotaInfo contains duplicate resource name 'cpus'"),
        (
            "a",
            [("cpus", 0.0004)],
            "QuotaInfo with invalid resource: Resource 'cpus:0' is invalid: Invalid scalar resource: value <= 0",
        ),
        (
            "n/m",
            [("cpus", 1)],
            (
                "Invalid quota configuration. Parent role 'n' with guarantees ({}) does not contain the sum of its "
                "children's guarantees (cpus:1)"
            ),
        ),
        ("has", [("cpus", 1)], "Cannot set quota for role 'has' which already has quota"),
    ],
)
def test_set_quota_is_refused_in_the_words_of_mesos(
    one: Any, role: str, guarantee: list[tuple[str, float]], text: str
) -> None:
    update(one, "has", cpus=1)
    assert set_quota(one, role, *guarantee) == SiteAnswer(
        400, f"Failed to validate set quota request: {text}"
    )


@pytest.mark.parametrize(("role", "known"), [("*", True), ("a", True), ("b", True), ("c", False)])
def test_where_roles_are_listed_only_those_can_have_a_quota(new_bench: Any, role: str, known: bool) -> None:
    bench = new_bench(roles=("a", "b"))
    bench.add_agent()
    unknown = SiteAnswer(400, f"Failed to validate set quota request: Unknown role '{role}'")
    assert (set_quota(bench, role, ("cpus", 1)) == unknown) == (not known)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"reservations": [{"type": "STATIC", "role": "x"}]}, "must not contain any ReservationInfo"),
        ({"name": "disk", "disk": {"source": {"type": "PATH"}}}, "must not contain DiskInfo"),
        ({"revocable": {}}, "must not contain RevocableInfo"),
    ],
)
def test_set_quota_takes_plain_scalars_only(one: Any, more: dict[str, Any], text: str) -> None:
    resource = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, **more}
    asked = content.from_json(pb.quota.QuotaRequest, {"role": "a", "guarantee": [resource]})
    answer = answered(quota_calls.set_quota, one.state, asked)
    assert answer == SiteAnswer(400, f"Failed to validate set quota request: QuotaInfo {text}")


def test_set_quota_is_guarantee_and_limit_and_remove_quota_ends_it(one: Any) -> None:
    answer = set_quota(one, "a", ("cpus", 5))
    assert (answer.status, CAPACITY in answer.text) == (409, True)
    assert set_quota(one, "a", ("cpus", 2)) == OK
    framework = one.subscribe(roles=("a",))
    assert "cpus:2" in offered(one, framework)
    assert answered(quota_calls.remove, one.state, "a") == OK
    assert one.state.quotas == {}
    one.pass_time(1)
    assert "cpus:4" in offered(one, framework)
    text = "Failed to remove quota: Role 'a' has no quota set"
    assert answered(quota_calls.remove, one.state, "a") == SiteAnswer(400, text)


# --- what is told ---------------------------------------------------------------------------------------------


def test_get_quota_tells_all_in_both_forms_the_newest_first(one: Any) -> None:
    update(one, "a", cpus=3, guarantees={"cpus": 2})
    update(one, "b", mem=5)
    update(one, "b")
    told = content.to_json(quota_calls.status(one.state))
    assert told == {
        "infos": [
            {"role": "b"},
            {"role": "a", "guarantee": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 2.0}}]},
        ],
        "configs": [
            {"role": "b"},
            {"role": "a", "guarantees": {"cpus": {"value": 2.0}}, "limits": {"cpus": {"value": 3.0}}},
        ],
    }


def test_roles_tell_their_quota_and_what_they_have(one: Any) -> None:
    update(one, "a", cpus=3, guarantees={"cpus": 2})
    framework = one.subscribe(roles=("a/b",))
    one.launch(framework)
    one.pass_time(6)
    shown = {role["name"]: role for role in endpoints.roles(one.state)["roles"]}
    assert list(shown) == ["a", "a/b"]
    assert shown["a"]["quota"] == {
        "role": "a",
        "guarantee": {"cpus": 2.0},
        "limit": {"cpus": 3.0},
        "consumed": {"cpus": 1.0, "mem": 64.0},
    }
    assert shown["a"]["allocated"] == {"cpus": 1.0, "mem": 64.0}
    assert shown["a"]["offered"]["ports"] == 9
    assert shown["a"]["frameworks"] == []
    assert shown["a/b"]["frameworks"] == [framework.id]
    first, _ = views.known_roles(one.state)
    resources = views.role(one.state, first)["resources"]
    assert [(r.name, r.scalar.value) for r in resources][-1] == ("mem", 4096)


def test_metrics_tell_quotas_and_what_is_consumed(one: Any) -> None:
    update(one, "a", cpus=3, mem=2048, guarantees={"cpus": 2})
    framework = one.subscribe(roles=("a",))
    one.launch(framework)
    one.pass_time(6)
    prefix = "allocator/mesos/quota/roles/"
    shown = {k.removeprefix(prefix): v for k, v in metrics.snapshot(one.state).items() if prefix in k}
    assert shown == {
        "/resources/cpus/consumed": 1,
        "/resources/mem/consumed": 64,
        "a/resources/cpus/consumed": 1,
        "a/resources/cpus/guarantee": 2,
        "a/resources/cpus/limit": 3,
        "a/resources/cpus/offered_or_allocated": 3,
        "a/resources/mem/consumed": 64,
        "a/resources/mem/limit": 2048,
        "a/resources/mem/offered_or_allocated": 2048,
    }
    update(one, "a")
    assert not any("limit" in name for name in metrics.snapshot(one.state))


def test_a_new_master_knows_the_quotas(one: Any, new_bench: Any, tmp_path: Any) -> None:
    update(one, "a", cpus=1)
    update(one, "b", cpus=1)
    update(one, "b")  # is none
    path = tmp_path / "registry.json"
    save(admission.current_registry(one.state), path)
    successor = new_bench(registry=load(path))
    admission.recover(successor.state)
    assert list(successor.state.quotas) == ["a"]
    successor.add_agent()
    assert "cpus:1" in offered(successor, successor.subscribe(roles=("a",)))


def test_quota_says_nothing_to_agents(one: Any) -> None:
    before = len(one.world.told)
    update(one, "a", cpus=1)
    assert [type(m) for _, m in one.world.told[before:]] == []
    assert one.told(messages.ApplyOperation) == []


def test_guarantees_beyond_what_is_there_leave_others_nothing_rather_than_less(one: Any) -> None:
    for role in ("a", "b"):
        update(one, role, guarantees={"cpus": 4}, force=True, cpus=4)
    other = one.subscribe("other", roles=("c",))
    assert offered(one, other) == "disk:1000; mem:4096; ports:[1-9]"
