"""The laws of the algebra, for any resources."""

from hypothesis import given
from hypothesis import strategies as st

from mesos_v1 import content, offer_operations, pb
from mesos_v1.content import ContentType
from mesos_v1.resource import Kind, Resource
from mesos_v1.resources import Reservation, Resources

METAS = [
    Resources.of(x=1),
    Resources.of(x=1, role="ads"),
    Resources.of(x=1).push_reservation(Reservation("ads", principal="p")),
    Resources.of(x=1).push_reservation(Reservation("ads", labels=(("k", "v"),))),
    Resources.of(x=1, role="ads").push_reservation(Reservation("ads/eu")),
    Resources.of(x=1).allocate("ads"),
    Resources.of(x=1, role="ads").allocate("ads"),
]
META_BYTES = [resources.entries[0].meta for resources in METAS]
metas = st.sampled_from(META_BYTES)
millis = st.integers(1, 10_000)
scalars = st.builds(
    lambda name, amount, meta: Resource(name, millis=amount, meta=meta),
    st.sampled_from(["cpus", "mem"]),
    millis,
    metas,
)
pairs = st.tuples(st.integers(0, 40), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
range_sets = st.builds(
    lambda found, meta: Resource("ports", Kind.RANGES, ranges=tuple(found), meta=meta),
    st.lists(pairs, min_size=1, max_size=4),
    metas,
)
sets = st.builds(
    lambda items, meta: Resource("disks", Kind.SET, items=tuple(items), meta=meta),
    st.sets(st.sampled_from("abcde"), min_size=1),
    metas,
)


def _volume(amount, name, shared):
    (disk,) = Resources.of(disk=amount / 1000).push_reservation(Reservation("ads"))
    return offer_operations.volume(disk, name, "data", shared=shared)


volumes = st.builds(_volume, millis, st.sampled_from("vw"), st.booleans())
anything = st.lists(scalars | range_sets | sets | volumes, max_size=8).map(
    lambda found: Resources(tuple(found))
)
countable = st.lists(scalars | volumes, max_size=8).map(lambda found: Resources(tuple(found)))


@given(anything, anything)
def test_a_sum_does_not_depend_on_the_order(left, right):
    assert left + right == right + left
    assert hash(left + right) == hash(right + left)


@given(anything, anything, anything)
def test_a_sum_does_not_depend_on_the_grouping(a, b, c):
    assert (a + b) + c == a + (b + c)


@given(anything)
def test_nothing_added_or_taken_changes_nothing(found):
    assert found + Resources() == found == Resources() + found
    assert found - Resources() == found
    assert not found - found
    assert found.contains(found)
    assert Resources() in found


@given(countable, countable)
def test_what_was_added_can_be_taken_away_again(left, right):
    assert (left + right) - right == left
    assert right in left + right


@given(anything, anything)
def test_the_difference_is_what_is_missing_for_the_whole(left, right):
    if right in left:
        assert (left - right) + right == left
    assert left - right in left


@given(anything, anything)
def test_containing_each_other_is_being_equal(left, right):
    assert (left == right) == (left in right and right in left)


@given(anything, anything, anything)
def test_containing_is_transitive(a, b, c):
    if b in a and c in b:
        assert c in a


@given(countable, countable)
def test_scalars_are_summed_by_name(left, right):
    shared = left.shared() + right.shared()
    if not shared:
        for name in ("cpus", "mem", "disk"):
            assert (left + right).millis(name) == left.millis(name) + right.millis(name)


@given(anything)
def test_resources_survive_protobuf_json_and_text(found):
    protos = found.to_proto()
    assert Resources.from_proto(protos) == found
    task = pb.mesos.Offer.Operation.Unreserve(resources=protos)
    for content_type in ContentType:
        data = content.serialize(task, content_type)
        assert Resources.from_proto(content.parse(type(task), data, content_type).resources) == found


@given(st.lists(st.sampled_from(["cpus", "mem", "x"]), max_size=4), st.lists(millis, min_size=4, max_size=4))
def test_plain_resources_survive_their_text(names, amounts):
    found = Resources(tuple(Resource(name, millis=each) for name, each in zip(names, amounts, strict=False)))
    assert Resources.parse(str(found)) == found


@given(anything, anything)
def test_taking_takes_what_is_wanted_out_of_what_is_there(have, wanted):
    taken = have.take(wanted)
    shortfall = have.explain_shortfall(wanted)
    assert (taken is None) == bool(shortfall)
    if taken is not None:
        assert taken in have
        assert (have - taken) + taken == have
        for name in ("cpus", "mem"):
            assert taken.millis(name) == wanted.millis(name)
        assert taken.unallocate().to_unreserved() == wanted.unallocate().to_unreserved()
    for each in shortfall:
        assert each.available < each.wanted


@given(anything)
def test_everything_that_is_there_can_be_taken(found):
    assert found.take(found) is not None


@given(scalars, st.sampled_from(["ads/eu", "ads/eu/west", "web"]))
def test_pushing_and_popping_a_reservation_changes_nothing(resource, role):
    before = Resources((resource,))
    if resource.facts.reservations and not role.startswith(resource.facts.role + "/"):
        return
    assert before.push_reservation(Reservation(role)).pop_reservation() == before


@given(anything)
def test_allocation_does_not_change_amounts(found):
    allocated = found.allocate("x")
    assert allocated.unallocate() == found.unallocate()
    assert allocated.cpus == found.cpus
    assert all(entry.facts.allocated_to == "x" for entry in allocated)
