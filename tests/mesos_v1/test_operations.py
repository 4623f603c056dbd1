"""Offer operations applied to resources: what each turns into what, and why it cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_v1 import content, offer_operations, pb, task_infos
from mesos_v1.offer_operations import (
    create,
    create_disk,
    destroy,
    destroy_disk,
    grow_volume,
    launch,
    launch_group,
    reserve,
    shrink_volume,
    unreserve,
    volume,
)
from mesos_v1.operations import apply, apply_all, consumed_by, inject_allocation, tasks_of
from mesos_v1.resource import Resource
from mesos_v1.resources import OperationError, Reservation, Resources
from mesos_v1.values import AgentId, ExecutorId, OperationId, TaskId

SOURCE = pb.mesos.Resource.DiskInfo.Source
ADS = Reservation("ads", principal="p")
EU = Reservation("ads/eu", principal="p")
OFFER = Resources.of(cpus=4, mem=1000, disk=1000)
RESERVED = Resources.of(cpus=1, disk=100).push_reservation(ADS)


def disk(amount, *reservations, **source):
    proto = Resource("disk", millis=amount * 1000).to_proto()
    for key, value in source.items():
        setattr(proto.disk.source, key, value)
    resources = Resources.from_proto([proto])
    for reservation in reservations:
        resources = resources.push_reservation(reservation)
    return resources.entries[0]


def task(name, cpus=1.0, executor=None):
    return task_infos.task_info(TaskId(name), AgentId("a"), Resources.of(cpus=cpus), executor=executor)


def executor(name, cpus=0.5):
    return task_infos.executor_info(ExecutorId(name), resources=Resources.of(cpus=cpus))


def test_reserve_turns_free_resources_into_reserved_ones():
    after = OFFER.apply(reserve(RESERVED))
    assert after == Resources.of(cpus=3, mem=1000, disk=900) + RESERVED
    assert after.apply(unreserve(RESERVED)) == OFFER


def test_a_reservation_is_refined_on_top_of_the_one_below():
    refined = RESERVED.push_reservation(EU)
    after = OFFER.apply(reserve(RESERVED)).apply(reserve(refined))
    assert after.reserved("ads/eu") == refined
    assert after.apply(unreserve(refined)).apply(unreserve(RESERVED)) == OFFER


def test_reserve_with_a_source_changes_whatever_reservation_there_is():
    have = OFFER.apply(reserve(RESERVED))
    web = Resources.of(cpus=1, disk=100).push_reservation(Reservation("web"))
    assert have.apply(reserve(web, source=RESERVED)).reserved() == web
    with pytest.raises(OperationError, match="not the same amounts"):
        have.apply(reserve(web, source=Resources.of(cpus=1)))


def test_volumes_are_made_of_reserved_disk_and_give_it_back():
    have = OFFER.apply(reserve(RESERVED))
    made = Resources((volume(disk(60, ADS), "v", "data"),))
    after = have.apply(create(made))
    assert after.persistent_volumes() == made
    assert after.disk == 1000
    assert after.apply(destroy(made)) == have


def test_a_shared_volume_is_not_destroyed_while_it_is_used_elsewhere():
    made = Resources((volume(disk(60, ADS), "v", "data", shared=True),))
    have = OFFER.apply(reserve(RESERVED)).apply(create(made))
    with pytest.raises(OperationError, match="additional shared copies"):
        (have + made).apply(destroy(made))
    assert have.apply(destroy(made)) == OFFER.apply(reserve(RESERVED))


def test_volumes_grow_and_shrink():
    small = volume(disk(40, ADS), "v", "data")
    large = volume(disk(60, ADS), "v", "data")
    have = Resources((small, disk(60, ADS)))
    grown = have.apply(grow_volume(small, disk(20, ADS)))
    assert grown == Resources((large, disk(40, ADS)))
    assert grown.apply(shrink_volume(large, 20)) == have


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (grow_volume(volume(disk(40, ADS), "v", "d"), disk(20)), "cannot be added"),
        (grow_volume(volume(disk(40, ADS), "v", "d", shared=True), disk(20, ADS)), "shared volume"),
        (shrink_volume(volume(disk(40, ADS), "v", "d", shared=True), 20), "shared volume"),
        (shrink_volume(volume(disk(40, ADS), "v", "d"), 40), "cannot take 40"),
        (shrink_volume(volume(disk(40, ADS), "v", "d"), 0), "cannot take 0"),
        (shrink_volume(disk(40, ADS), 10), "not a persistent volume"),
        (shrink_volume(volume(disk(40, ADS, type=2), "v", "d"), 10), "whole disk"),
        (create(Resources((disk(40, ADS),))), "not a persistent volume"),
        (destroy(Resources((volume(disk(40, ADS), "v", "d"),))), "does not contain"),
        (unreserve(Resources.of(cpus=1, role="ads")), "not dynamically reserved"),
        (unreserve(Resources.of(cpus=1)), "not dynamically reserved"),
        (unreserve(Resources((volume(disk(40, ADS), "v", "d"),))), "must be destroyed first"),
        (reserve(Resources.of(cpus=1)), "not reserved"),
        (reserve(Resources()), "no resources"),
        (reserve(Resources.of(cpus=99).push_reservation(ADS)), "does not contain cpus:99"),
        (create_disk(disk(10)), "is not a RAW disk"),
        (create_disk(disk(10, type=4), target=SOURCE.PATH), "neither MOUNT nor BLOCK"),
        (destroy_disk(disk(10, type=4)), "neither a MOUNT nor a BLOCK"),
        (destroy_disk(volume(disk(10, ADS, type=2), "v", "d")), "must be destroyed first"),
        (launch([task("t", 99)]), "does not contain cpus:99"),
        (pb.mesos.Offer.Operation(), "UNKNOWN cannot be applied"),
    ],
)
def test_an_operation_that_does_not_fit_says_why(operation, reason):
    with pytest.raises(OperationError, match=reason):
        OFFER.apply(operation)


def test_an_operation_with_a_resource_that_cannot_be_is_an_error():
    bad = reserve(RESERVED)
    bad.reserve.resources[0].scalar.value = -1
    with pytest.raises(OperationError, match="Invalid RESERVE operation: .*zero or more"):
        OFFER.apply(bad)
    with pytest.raises(OperationError, match="UNKNOWN cannot be applied"):
        consumed_by(pb.mesos.Offer.Operation())


def test_raw_disks_become_mounted_or_block_disks_and_go_back():
    raw = disk(10, type=4, profile="fast")
    for target, name in ((SOURCE.MOUNT, "MOUNT"), (SOURCE.BLOCK, "BLOCK")):
        (made,) = Resources((raw,)).apply(create_disk(raw, target))
        assert made.facts.source_type == name
        assert made.millis == raw.millis
        assert Resources((made,)).apply(destroy_disk(made)) == Resources((raw,))
    (named,) = Resources((raw,)).apply(create_disk(raw, profile="slow"))
    assert named.to_proto().disk.source.profile == "slow"


def test_launches_consume_what_tasks_and_new_executors_take():
    first = launch([task("a", 1, executor("e")), task("b", 1, executor("e"))])
    assert consumed_by(first) == Resources.of(cpus=2.5)
    assert consumed_by(first, running_executors=["e"]) == Resources.of(cpus=2)
    assert OFFER.apply(first).cpus == 1.5
    assert [each.name for each in tasks_of(first)] == ["a", "b"]
    group = launch_group(executor("g"), [task("a", 1), task("b", 1)])
    assert OFFER.apply(group).cpus == 1.5
    assert [each.name for each in tasks_of(group)] == ["a", "b"]
    assert tasks_of(reserve(RESERVED)) == []


def test_each_operation_of_a_chain_sees_what_the_one_before_it_left():
    made = Resources((volume(disk(100, ADS), "v", "data"),))
    info = task("t")
    info.resources.extend(made.to_proto())
    chain = [reserve(RESERVED), create(made), launch([info])]
    assert apply_all(OFFER, chain) == Resources.of(cpus=2, mem=1000, disk=900) + RESERVED - Resources.of(
        disk=100
    ).push_reservation(ADS)
    with pytest.raises(OperationError, match="does not contain"):
        apply_all(OFFER, reversed(chain))


def test_an_executor_launched_earlier_in_the_chain_is_counted_once():
    chain = [launch([task("a", 1, executor("e"))]), launch([task("b", 1, executor("e"))])]
    assert apply_all(OFFER, chain).cpus == 1.5


def test_the_recorded_chain_of_operations_gives_the_recorded_offers(recorded):
    """Each ACCEPT applied to the offer before it gives the next offer (but for what its tasks give back)."""
    lines = recorded("reservations_and_volumes")
    offers = [
        content.from_json(pb.scheduler.Event, line["event"]).offers.offers[0]
        for line in lines
        if line["kind"] == "event" and line["event"]["type"] == "OFFERS"
    ]
    accepts = [
        content.from_json(pb.scheduler.Call, line["body"]).accept
        for line in lines
        if line["kind"] == "request" and line.get("body", {}).get("type") == "ACCEPT"
    ]
    compared = 0
    for accept in accepts:
        (at,) = [i for i, offer in enumerate(offers) if offer.id == accept.offer_ids[0]]
        have = Resources.from_proto(offers[at].resources)
        used = Resources()
        try:
            for each in accept.operations:
                operation = inject_allocation(each, "ads")
                have = apply(have, operation)
                if tasks_of(operation):
                    used += consumed_by(operation)
        except OperationError:
            continue
        assert have + used == Resources.from_proto(offers[at + 1].resources)
        compared += 1
    assert compared == 3


def test_allocations_are_filled_in_where_a_framework_left_them_out():
    (v,) = (volume(disk(40, ADS), "v", "d"),)
    raw = disk(10, type=4)
    operations = [
        launch([task("a", 1, executor("e"))]),
        launch_group(executor("e"), [task("a")]),
        reserve(RESERVED, source=Resources.of(cpus=1, disk=100)),
        unreserve(RESERVED),
        create(Resources((v,))),
        destroy(Resources((v,))),
        grow_volume(v, disk(1, ADS)),
        shrink_volume(v, 1),
        create_disk(raw),
        destroy_disk(raw),
    ]
    for operation in operations:
        before = operation.SerializeToString()
        printed = str(inject_allocation(operation, "ads"))
        assert operation.SerializeToString() == before
        resources = printed.count('name: "cpus"') + printed.count('name: "disk"')
        assert printed.count("allocation_info {") == resources > 0
    already = launch([task("a")])
    already.launch.task_infos[0].resources[0].allocation_info.role = "web"
    assert inject_allocation(already, "ads") == already


@given(st.integers(1, 999), st.integers(1, 1000))
def test_no_operation_changes_how_much_there_is(part, whole):
    if part >= whole:
        return
    have = Resources.of(disk=whole, cpus=2)
    some = Resources.of(disk=part).push_reservation(ADS)
    made = Resources((volume(some.entries[0], "v", "d"),))
    for operation in (reserve(some), create(made), destroy(made), unreserve(some)):
        have = have.apply(operation)
        assert have.disk == whole
    assert have == Resources.of(disk=whole, cpus=2)


def test_operations_carry_their_ids():
    for build in (reserve, unreserve, create, destroy):
        assert build(RESERVED, operation_id=OperationId("op")).id.value == "op"
        assert not build(RESERVED).HasField("id")
    assert offer_operations.create_disk(disk(1, type=4), operation_id=OperationId("op")).id.value == "op"


@pytest.mark.parametrize("name", sorted(set(pb.mesos.Offer.Operation.Type.keys()) - {"UNKNOWN"}))
def test_an_operation_without_its_body_says_what_is_missing(name):
    operation = pb.mesos.Offer.Operation(type=pb.mesos.Offer.Operation.Type.Value(name))
    for use in (OFFER.apply, consumed_by):
        with pytest.raises(OperationError, match=f"Expecting '{name.lower()}' to be present"):
            use(operation)
    assert inject_allocation(operation, "ads") == operation
