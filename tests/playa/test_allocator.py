"""Who is offered what: fairness, weights, roles, filters, reservations, constraints. On a clock set by hand."""

from typing import Any

import pytest

from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from playa.master.allocation import amounts, resource_forms
from playa.master.allocation.offers import DEFAULT_REFUSE_SECONDS, LONGEST_REFUSAL, refusal
from tests.support.allocating import Allocator

HALF = Resources.parse("cpus:2;mem:1024")
INFO = pb.mesos.AgentInfo(hostname="h")


def allocator(agents: int = 1, resources: str = "cpus:4;mem:2048", **options: Any) -> Allocator:
    result = Allocator(**options)
    for number in range(agents):
        result.new_agent(f"a{number}", INFO, Resources.parse(resources))
    return result


def given(result: Any, framework: str, role: str = "*") -> Resources:
    total = Resources()
    for resources in result.get(framework, {}).get(role, {}).values():
        total = total + resources.unallocate()
    return total


def test_all_that_is_free_on_an_agent_goes_to_one_framework() -> None:
    a = allocator()
    a.add_framework("f", ["*"])
    assert given(a.allocate(0.0), "f") == Resources.parse("cpus:4;mem:2048")
    assert a.allocate(0.0) == {}


def test_two_frameworks_get_agents_in_turn() -> None:
    a = allocator(agents=4)
    a.add_framework("f", ["*"])
    a.add_framework("g", ["*"])
    result = a.allocate(0.0)
    assert given(result, "f").cpus == given(result, "g").cpus == 8


def test_the_dominant_share_decides_not_the_number_of_agents() -> None:
    a = Allocator()
    a.new_agent("big", INFO, Resources.parse("cpus:9;mem:9000"))
    a.add_framework("cpu-hungry", ["*"])
    a.add_framework("mem-hungry", ["*"])
    a.take("cpu-hungry", "big", Resources.parse("cpus:3;mem:100").allocate("*"))  # a third of all cpus
    a.take("mem-hungry", "big", Resources.parse("cpus:1;mem:4500").allocate("*"))  # half of all memory
    assert list(a.allocate(0.0)) == ["cpu-hungry"]


def test_a_role_of_weight_three_gets_three_times_as_much() -> None:
    a = allocator(agents=8, weights={"heavy": 3.0})
    a.add_framework("f", ["heavy"])
    a.add_framework("g", ["light"])
    result = a.allocate(0.0)
    assert (given(result, "f", "heavy").cpus, given(result, "g", "light").cpus) == (24, 8)


def test_roles_compare_level_by_level() -> None:
    a = allocator(agents=4)
    a.add_framework("dev", ["eng/dev"])
    a.add_framework("qa", ["eng/qa"])
    a.add_framework("sales", ["sales"])
    result = a.allocate(0.0)
    assert given(result, "sales", "sales").cpus == 8  # as much as both of eng together
    assert given(result, "dev", "eng/dev").cpus == given(result, "qa", "eng/qa").cpus == 4


def test_a_refusal_lasts_as_long_as_it_says() -> None:
    a = allocator()
    a.add_framework("f", ["*"])
    offered = a.allocate(0.0)["f"]["*"]["a0"]
    a.recover("f", "a0", offered, now=0.0, refuse_for=3.0)
    assert a.allocate(2.9) == {}
    assert given(a.allocate(3.0), "f").cpus == 4


def test_no_refusal_is_shorter_than_a_batch() -> None:
    a = allocator(interval=1.0)
    a.add_framework("f", ["*"])
    a.recover("f", "a0", a.allocate(0.0)["f"]["*"]["a0"], now=0.0, refuse_for=0.1)
    assert a.allocate(0.5) == {}
    assert a.allocate(1.0) != {}


def test_a_refusal_of_zero_seconds_is_none() -> None:
    a = allocator()
    a.add_framework("f", ["*"])
    a.recover("f", "a0", a.allocate(0.0)["f"]["*"]["a0"], now=0.0, refuse_for=0.0)
    assert a.allocate(0.0) != {}


def test_more_than_was_refused_is_offered_in_spite_of_the_refusal() -> None:
    a = allocator()
    a.add_framework("f", ["*"])
    offered = a.allocate(0.0)["f"]["*"]["a0"]
    used, rest = HALF.allocate("*"), offered - HALF.allocate("*")
    a.recover("f", "a0", rest, now=0.0, refuse_for=100.0)
    assert a.allocate(1.0) == {}
    a.recover("f", "a0", used)  # a task ended
    assert given(a.allocate(2.0), "f").cpus == 4


def test_a_refusal_is_the_framework_s_own() -> None:
    a = allocator()
    a.add_framework("f", ["*"])
    a.recover("f", "a0", a.allocate(0.0)["f"]["*"]["a0"], now=0.0, refuse_for=100.0)
    a.add_framework("g", ["*"])
    assert list(a.allocate(1.0)) == ["g"]


def test_reviving_ends_refusals_and_suppression() -> None:
    a = allocator()
    a.add_framework("f", ["*"])
    a.recover("f", "a0", a.allocate(0.0)["f"]["*"]["a0"], now=0.0, refuse_for=100.0)
    a.frameworks["f"].suppressed.add("*")
    a.revive(a.frameworks["f"], ["*"])
    assert list(a.allocate(1.0)) == ["f"]


def test_a_suppressed_role_gets_nothing_while_another_of_the_same_framework_does() -> None:
    a = allocator()
    a.add_framework("f", ["x", "y"], suppressed=["x"])
    assert list(a.allocate(0.0)["f"]) == ["y"]


def test_an_inactive_framework_or_agent_gets_and_gives_nothing() -> None:
    a = allocator()
    a.add_framework("f", ["*"], active=False)
    assert a.allocate(0.0) == {}
    a.frameworks["f"].active = True
    a.agents["a0"].active = False
    assert a.allocate(0.0) == {}


def test_reserved_resources_go_to_their_role_and_to_roles_below_it() -> None:
    a = allocator(resources="cpus(eng):4;mem(eng):1024;cpus:1;mem:512")
    a.add_framework("other", ["sales"])
    a.add_framework("below", ["eng/dev"])
    first = a.allocate(0.0)
    assert given(first, "below", "eng/dev").cpus == 5
    a.remove_framework("below")
    assert given(a.allocate(0.0), "other", "sales").cpus == 1


def test_gpus_go_only_to_those_who_say_that_they_use_them() -> None:
    a = allocator(resources="cpus:4;mem:1024;gpus:1")
    a.add_framework("plain", ["*"])
    assert a.allocate(0.0) == {}
    a.add_framework("gpu", ["*"], capabilities=frozenset({"GPU_RESOURCES"}))
    assert list(a.allocate(0.0)) == ["gpu"]


@pytest.mark.parametrize(
    ("capability", "entry"),
    [
        ("RESERVATION_REFINEMENT", {"reservations": [{"role": "a"}, {"role": "a/b"}]}),
        ("REVOCABLE_RESOURCES", {"revocable": {}}),
        (
            "SHARED_RESOURCES",
            {
                "reservations": [{"role": "a"}],
                "disk": {"persistence": {"id": "p"}, "volume": {"mode": "RW", "container_path": "p"}},
                "shared": {},
            },
        ),
    ],
)
def test_resources_that_need_a_capability_go_to_those_who_have_it_alone(
    capability: str, entry: dict[str, Any]
) -> None:
    for reservation in entry.get("reservations", ()):
        reservation["type"] = "DYNAMIC"
    body = {"name": "disk", "type": "SCALAR", "scalar": {"value": 8}, **entry}
    special = Resources.from_proto([content.from_json(pb.mesos.Resource, body)])
    every = {"RESERVATION_REFINEMENT", "REVOCABLE_RESOURCES", "SHARED_RESOURCES"}
    for capabilities, gets in ((every - {capability}, False), ({capability}, True), (every, True)):
        free = Resources.parse("cpus:1") + special
        usable = amounts.usable(free, "a/b", frozenset(capabilities))
        assert usable == (free if gets else Resources.parse("cpus:1"))


def test_scraps_are_not_offered() -> None:
    a = allocator(resources="cpus:0.001;mem:16", min_allocatable="cpus:0.01|mem:32")
    a.add_framework("f", ["*"])
    assert a.allocate(0.0) == {}


def test_what_a_framework_had_is_free_when_it_is_removed() -> None:
    a = allocator()
    a.add_framework("f", ["*"])
    a.allocate(0.0)
    a.remove_framework("f")
    a.add_framework("g", ["*"])
    assert given(a.allocate(0.0), "g").cpus == 4
    assert a.roles.amounts("*") == {"cpus": 4000, "mem": 2048000}


def test_an_operation_changes_what_a_framework_holds_and_the_agent_has() -> None:
    a = allocator()
    a.add_framework("f", ["ads"])
    a.allocate(0.0)
    before = Resources.parse("cpus:1").allocate("ads")
    after = Resources.parse("cpus(ads):1").allocate("ads")
    a.convert("f", a.agents["a0"], before, after)
    assert a.agents["a0"].total == Resources.parse("cpus:3;cpus(ads):1;mem:2048")
    a.recover("f", "a0", a.agents["a0"].allocated["f"])
    a.add_framework("g", ["*"])
    a.frameworks["f"].active = False
    assert given(a.allocate(0.0), "g").cpus == 3


def constraint(role: str, **predicate: Any) -> pb.scheduler.OfferConstraints:
    result = pb.scheduler.OfferConstraints()
    one = result.role_constraints[role].groups.add().attribute_constraints.add()
    one.selector.attribute_name = "rack"
    for name, value in predicate.items():
        part = getattr(one.predicate, name)
        part.SetInParent()
        if value is not None:
            setattr(part, "regex" if "matches" in name else "value", value)
    return result


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ({"exists": None}, ["a-r1", "b-r2", "c-scalar"]),
        ({"not_exists": None}, ["d-none"]),
        ({"text_equals": "r1"}, ["a-r1", "c-scalar"]),
        ({"text_not_equals": "r1"}, ["b-r2", "c-scalar", "d-none"]),
        ({"text_matches": "r[0-9]"}, ["a-r1", "b-r2", "c-scalar"]),
        ({"text_not_matches": "r1"}, ["b-r2", "c-scalar", "d-none"]),
    ],
)
def test_offer_constraints_choose_agents(predicate: dict[str, Any], expected: list[str]) -> None:
    a = Allocator()
    for name in ("a-r1", "b-r2", "c-scalar", "d-none"):
        info = pb.mesos.AgentInfo(hostname=name)
        if name.endswith(("1", "2")):
            info.attributes.add(name="rack", type=pb.mesos.Value.TEXT).text.value = name[-2:]
        elif name == "c-scalar":
            info.attributes.add(name="rack", type=pb.mesos.Value.SCALAR).scalar.value = 7
        a.new_agent(name, info, HALF)
    a.add_framework("f", ["*"], offer_constraints=constraint("*", **predicate))
    assert sorted(a.allocate(0.0)["f"]["*"]) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, DEFAULT_REFUSE_SECONDS),
        (-1.0, DEFAULT_REFUSE_SECONDS),
        (float("nan"), DEFAULT_REFUSE_SECONDS),
        (0.0, 0.0),
        (3.5, 3.5),
        (1e300, LONGEST_REFUSAL),
    ],
)
def test_refusals_that_make_no_sense_are_the_usual_five_seconds(
    seconds: float | None, expected: float
) -> None:
    filters = pb.mesos.Filters()
    if seconds is not None:
        filters.refuse_seconds = seconds
    assert refusal(filters) == expected


def test_a_shared_volume_is_offered_while_it_is_used() -> None:
    volume = pb.mesos.Resource(name="disk", type=pb.mesos.Value.SCALAR)
    volume.scalar.value = 100
    volume.reservations.add(type=pb.mesos.Resource.ReservationInfo.STATIC, role="r")
    volume.disk.persistence.id = "v"
    volume.disk.volume.container_path, volume.disk.volume.mode = "d", pb.mesos.Volume.RW
    volume.shared.SetInParent()
    shared = Resources.from_proto([volume])
    a = Allocator()
    a.new_agent("a0", INFO, Resources.parse("cpus:4;mem:1024") + shared)
    for name in ("f", "g"):
        a.add_framework(name, ["r"], capabilities=frozenset({"SHARED_RESOURCES"}))
    first = next(iter(a.allocate(0.0)))
    a.recover(first, "a0", Resources.parse("cpus:2;mem:512").allocate("r"))
    second = a.allocate(1.0)
    assert list(second) != [first]
    assert second[next(iter(second))]["r"]["a0"].shared() == shared.allocate("r")


def test_what_a_framework_had_on_a_lost_agent_counts_no_more() -> None:
    a = Allocator()
    a.add_framework("f", ["*"])
    a.add_framework("g", ["*"])
    a.new_agent("lost", INFO, Resources.parse("cpus:8;mem:8000"))
    a.new_agent("small", INFO, Resources.parse("cpus:1;mem:1000"))
    a.take("f", "lost", Resources.parse("cpus:8;mem:8000").allocate("*"))
    a.take("g", "small", Resources.parse("cpus:1;mem:1000").allocate("*"))
    a.lose_agent("lost")
    assert a.roles.amounts("*") == amounts.scalars(Resources.parse("cpus:1;mem:1000"))
    a.new_agent("new", INFO, Resources.parse("cpus:4;mem:2048"))
    assert list(a.allocate(0.0)) == ["f"], "it has nothing, and g has something"


def test_a_framework_that_changes_keeps_to_the_roles_that_it_does_not_want_now() -> None:
    a = allocator()
    a.add_framework("f", ["a", "b"], suppressed=["a"])
    a.frameworks["f"].suppressed = {"b"}
    assert list(a.allocate(0.0)["f"]) == ["a"]


def test_an_agent_that_is_gone_counts_no_more_and_neither_does_what_was_on_it() -> None:
    allocator = Allocator()
    allocator.add_framework("f", ["*"])
    allocator.new_agent("gone", pb.mesos.AgentInfo(hostname="h"), Resources.parse("cpus:4;mem:64"))
    allocator.allocate(0.0)
    allocator.lose_agent("gone")
    assert not any(allocator.totals.values())
    assert allocator.roles.amounts("*") == {}


def test_who_has_given_all_back_has_nothing_on_the_agent() -> None:
    allocator = Allocator()
    allocator.add_framework("f", ["*"])
    allocator.new_agent("a", pb.mesos.AgentInfo(hostname="h"), Resources.parse("cpus:4;mem:64"))
    given = allocator.allocate(0.0)["f"]["*"]["a"]
    allocator.recover("f", "a", given)
    assert allocator.agents["a"].allocated == {}


def test_each_copy_of_a_shared_volume_says_for_whom_it_is_reserved_in_the_old_form_too() -> None:
    volume = {
        "name": "disk",
        "type": "SCALAR",
        "scalar": {"value": 8},
        "reservations": [{"type": "DYNAMIC", "role": "ads"}],
        "disk": {"persistence": {"id": "v"}, "volume": {"mode": "RW", "container_path": "v"}},
        "shared": {},
    }
    one = Resources.from_proto([content.from_json(pb.mesos.Resource, volume)]).allocate("ads")
    offered = resource_forms.offered(one + one, frozenset({"MULTI_ROLE", "SHARED_RESOURCES"}))
    assert [proto.role for proto in offered] == ["ads", "ads"]
