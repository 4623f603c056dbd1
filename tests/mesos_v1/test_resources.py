"""Resources by example: text, protobuf, reservations, volumes, taking, and saying why not."""

import copy
import pickle

import pytest

from mesos_v1 import offer_operations, pb
from mesos_v1.resource import Kind, Resource, print_millis, to_millis
from mesos_v1.resource_text import parse_attributes
from mesos_v1.resources import Reservation, ResourceError, Resources
from mesos_v1.values import Attribute

ADS = Reservation("ads", principal="ads-principal")
SCALAR = pb.mesos.Value.SCALAR


def reserved(text, *reservations):
    resources = Resources.parse(text)
    for reservation in reservations:
        resources = resources.push_reservation(reservation)
    return resources


# -- amounts --


@pytest.mark.parametrize(
    ("value", "millis"),
    [(0, 0), (1, 1000), (0.1, 100), (0.0004, 0), (0.0005, 1), (0.0015, 2), (1.2345, 1235), (4096, 4096000)],
)
def test_scalars_are_kept_in_thousandths_rounded_half_away_from_zero(value, millis):
    assert to_millis(value) == millis


@pytest.mark.parametrize("value", [-0.1, -1, float("nan"), float("inf"), float("-inf"), 1e300])
def test_an_amount_that_cannot_be_is_an_error(value):
    with pytest.raises(ResourceError, match="zero or more"):
        to_millis(value)


@pytest.mark.parametrize(
    ("millis", "text"), [(0, "0"), (1, "0.001"), (1500, "1.5"), (4000, "4"), (1230, "1.23")]
)
def test_scalars_are_printed_with_the_decimals_they_need(millis, text):
    assert print_millis(millis) == text


def test_sums_do_not_drift():
    tenth = Resources.of(cpus=0.1)
    total = Resources()
    for _ in range(10):
        total += tenth
    assert total == Resources.of(cpus=1)
    for _ in range(10):
        total -= tenth
    assert not total


def test_same_named_resources_are_summed():
    resources = Resources.parse("cpus:1;cpus:2;cpus(ads):4;mem:1")
    assert resources.cpus == 7
    assert resources.scalar("mem") == 1
    assert resources.scalar("gpus") == 0
    assert len(resources) == 3
    assert resources.names() == ("cpus", "mem")
    assert resources.scalars() == {"cpus": 7, "mem": 1}


def test_nothing_of_a_resource_is_no_resource():
    assert not Resources.of(cpus=0)
    assert not Resources.parse("ports:[];cpus:0;disks:{}")
    assert Resources() == Resources.of()
    assert not Resources()
    assert Resource("cpus") in Resources()


# -- text --


def test_resources_are_read_and_printed_as_mesos_does():
    text = "cpus:4; mem:1024.5; ports:[31000-32000, 33000-33000]; disks:{sda1, sdb1}"
    assert str(Resources.parse(text)) == text
    assert (
        str(Resources.parse("cpus(ads):2").allocate("ads"))
        == "cpus(allocated: ads)(reservations: [(STATIC,ads)]):2"
    )
    assert str(reserved("cpus:1", ADS)) == "cpus(reservations: [(DYNAMIC,ads,ads-principal)]):1"


def test_the_recorded_error_of_an_operation_prints_resources_just_so(recorded):
    texts = [
        line["event"]["update_operation_status"]["status"].get("message", "")
        for line in recorded("reservations_and_volumes")
        if line["kind"] == "event" and line["event"]["type"] == "UPDATE_OPERATION_STATUS"
    ]
    (text,) = [each for each in texts if "does not contain" in each]
    offered = Resources.parse("ports:[31000-32000];cpus:4;mem:4096;disk:10000").allocate("ads")
    wanted = reserved("cpus:1", ADS).allocate("ads")
    assert text == f"{offered} does not contain {wanted}"


def test_volumes_and_the_rest_are_printed_between_name_and_colon():
    (disk,) = reserved("disk:100", ADS)
    volume = offer_operations.volume(disk, "vol-1", "data", principal="p", shared=True)
    assert str(volume) == "disk(reservations: [(DYNAMIC,ads,ads-principal)])[vol-1:data]<SHARED>:100"
    proto = pb.mesos.Resource(name="disk", type=pb.mesos.Value.SCALAR)
    proto.scalar.value = 5
    proto.disk.source.type = pb.mesos.Resource.DiskInfo.Source.MOUNT
    proto.disk.source.mount.root = "/mnt/a"
    proto.disk.source.id = "d1"
    proto.disk.volume.host_path = "/h"
    proto.disk.volume.container_path = "c"
    proto.disk.volume.mode = pb.mesos.Volume.RO
    proto.revocable.SetInParent()
    assert str(Resource.from_proto(proto)) == "disk[MOUNT(,d1,):/h:c:ro]{REV}:5"
    proto.disk.source.ClearField("id")
    assert str(Resource.from_proto(proto)) == "disk[MOUNT:/mnt/a:/h:c:ro]{REV}:5"
    labelled = Resources.of(cpus=1).push_reservation(Reservation("a", labels=(("k", "v"), ("w", None))))
    assert str(labelled) == "cpus(reservations: [(DYNAMIC,a,{k: v, w})]):1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cpus", "expected name:value"),
        ("cpus:", "expected name:value"),
        (":4", "expected name:value"),
        ("cpus:four", "'four' is not an amount"),
        ("cpus:-4", "zero or more"),
        ("cpus:nan", "is not an amount"),
        ("cpus:1e300", "zero or more"),
        ("ports:[1-", "ranges end with ]"),
        ("ports:[1]", "expected ranges such as"),
        ("ports:[5-1]", "begin > end"),
        ("ports:[0-99999999999999999999]", "out of bounds"),
        ("disks:{a", "a set ends with }"),
        ("cpus(a,b):4", "expected name:value or name"),
        ("[1]", "resource 0: expected a JSON object, found number"),
        ('[{"name":"cpus"}]', "resource 0: Missing required fields: type"),
        ("[", "not the JSON of a list"),
        ('[{"name":"cpus","type":"TEXT"}]', "Unsupported resource type"),
    ],
)
def test_text_that_is_no_resource_says_what_is_wrong(text, reason):
    with pytest.raises(ResourceError, match=reason.replace("(", r"\(").replace("[", r"\[")):
        Resources.parse(text)


def test_resources_are_read_from_json_too():
    text = """[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}},
               {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 5}]}, "role": "ads"}]"""
    assert Resources.parse(text) == Resources.parse("cpus:4;ports(ads):[1-5]")
    assert Resources.parse(text, role="web") == Resources.parse("cpus(web):4;ports(ads):[1-5]")
    assert Resources.parse("cpus:1;mem(ads):1", role="web") == Resources.parse("cpus(web):1;mem(ads):1")


def test_attributes_are_read_as_agents_read_them():
    text = "rack:r1;size:2.5;ports:[1-2, 5-6];tags:{a, b}"
    attributes = [Attribute.from_proto(each) for each in parse_attributes(text)]
    assert [each.type for each in attributes] == ["TEXT", "SCALAR", "RANGES", "SET"]
    assert ";".join(str(each) for each in attributes) == text
    assert [each.value for each in attributes] == ["r1", "2.5", "[1-2, 5-6]", "{a, b}"]
    with pytest.raises(ResourceError, match="expected name:value"):
        parse_attributes("rack")


# -- protobuf --


def test_resources_survive_protobuf_with_all_that_they_are(recorded):
    seen = 0
    for line in recorded():
        for offer in line.get("event", {}).get("offers", {}).get("offers", []):
            from mesos_v1.content import from_json

            protos = [from_json(pb.mesos.Resource, each) for each in offer["resources"]]
            assert Resources.from_proto(protos).to_proto() == protos
            seen += len(protos)
    assert seen > 100


def test_unknown_fields_of_a_resource_are_kept():
    proto = pb.mesos.Resource.FromString(
        Resource("cpus", millis=1000).to_proto().SerializeToString() + b"\xfa\x3f\x01x"
    )
    assert Resource.from_proto(proto).to_proto() == proto
    assert b"\xfa\x3f\x01x" in Resource.from_proto(proto).to_proto().SerializeToString()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "cpus", "type": 0}, "Invalid scalar resource"),
        ({"name": "cpus", "type": 0, "scalar": {"value": -1}}, "zero or more"),
        ({"name": "cpus", "type": 0, "scalar": {"value": 1}, "ranges": {}}, "Invalid scalar resource"),
        ({"name": "p", "type": 1}, "Invalid ranges resource"),
        ({"name": "p", "type": 1, "ranges": {"range": [{"begin": 2, "end": 1}]}}, "begin > end"),
        ({"name": "s", "type": 2}, "Invalid set resource"),
        ({"name": "t", "type": 3, "text": {}}, None),
        ({"name": "", "type": 0, "scalar": {"value": 1}}, "Empty resource name"),
        (
            {"name": "c", "type": 0, "scalar": {"value": 1}, "role": "a", "reservations": [{"role": "a"}]},
            "'reservations' together with",
        ),
    ],
)
def test_a_resource_that_is_not_valid_is_an_error(fields, reason):
    if reason is None:
        fields.pop("text")
        reason = "Unsupported resource type"
    with pytest.raises(ResourceError, match=reason):
        Resource.from_proto(pb.mesos.Resource(**fields))


def test_a_resource_that_is_not_there_is_an_error_too():
    with pytest.raises(ResourceError, match="a resource is missing"):
        Resource.from_proto(pb.mesos.Offer.Operation().create_disk.source)
    with pytest.raises(ResourceError, match="Invalid scalar resource"):
        Resource.from_proto(pb.mesos.Resource())


def test_both_forms_of_a_reservation_are_the_same():
    old = pb.mesos.Resource(name="cpus", type=SCALAR, role="ads")
    old.scalar.value = 1
    assert Resources.from_proto([old]) == Resources.parse("cpus(ads):1")
    old.reservation.principal = "ads-principal"
    assert Resources.from_proto([old]) == reserved("cpus:1", ADS)
    plain = pb.mesos.Resource(name="cpus", type=SCALAR, role="*")
    plain.scalar.value = 1
    assert Resources.from_proto([plain]) == Resources.of(cpus=1)
    assert Resources.from_proto([plain]).to_proto()[0].role == "*"  # but it is written as it came


def test_how_a_volume_is_used_does_not_say_which_it_is():
    (disk,) = reserved("disk:100", ADS)
    one = offer_operations.volume(disk, "v", "data", principal="p")
    other = offer_operations.volume(disk, "v", "elsewhere", principal="q", read_only=True)
    assert Resources((one,)) == Resources((other,))
    assert one != other  # but nothing is forgotten


def test_the_order_of_labels_does_not_matter():
    one = Reservation("a", labels=(("k", "1"), ("l", "2")))
    other = Reservation("a", labels=(("l", "2"), ("k", "1")))
    assert reserved("cpus:1", one) == reserved("cpus:1", other)
    assert reserved("cpus:1", one) != reserved("cpus:1", Reservation("a", labels=(("k", "1"),)))


# -- what adds up and what does not --


def test_differently_reserved_resources_stand_side_by_side():
    both = Resources.of(cpus=1) + reserved("cpus:2", ADS)
    assert len(both) == 2
    assert Resources.of(cpus=2) not in both
    assert both.covers(Resources.of(cpus=3))
    assert both.reserved() == reserved("cpus:2", ADS)
    assert both.reserved("ads") == reserved("cpus:2", ADS)
    assert not both.reserved("web")
    assert both.unreserved() == Resources.of(cpus=1)


def test_volumes_never_melt_together():
    (disk,) = reserved("disk:100", ADS)
    one, two = (offer_operations.volume(disk, name, "d") for name in "ab")
    both = Resources((one, two))
    assert len(both) == 2
    assert both.disk == 200
    assert both - Resources((one,)) == Resources((two,))
    assert len(both.persistent_volumes()) == 2
    smaller = offer_operations.volume(disk, "a", "d", megabytes=50)
    assert smaller not in both
    assert both - Resources((smaller,)) == both


def test_whole_disks_are_indivisible_and_paths_are_not():
    def disk(kind, amount, **source):
        proto = pb.mesos.Resource(name="disk", type=SCALAR)
        proto.scalar.value = amount
        proto.disk.source.type = pb.mesos.Resource.DiskInfo.Source.Type.Value(kind)
        for key, value in source.items():
            setattr(proto.disk.source, key, value)
        return Resources.from_proto([proto])

    for kind in ("MOUNT", "BLOCK"):
        assert disk(kind, 10) not in disk(kind, 20)
        assert len(disk(kind, 10) + disk(kind, 20)) == 2
        twice = disk(kind, 10) + disk(kind, 10)
        assert twice.disk == 20
        assert len(twice.to_proto()) == 2
        assert twice - disk(kind, 10) == disk(kind, 10)
    for kind in ("PATH", "RAW"):
        assert disk(kind, 10) in disk(kind, 20)
        assert disk(kind, 10) + disk(kind, 20) == disk(kind, 30)
    assert disk("RAW", 10, id="x") not in disk("RAW", 20, id="x")


def test_a_shared_volume_may_be_there_several_times_and_counts_once():
    (disk,) = reserved("disk:100", ADS)
    one = Resources((offer_operations.volume(disk, "v", "d", shared=True),))
    two = one + one
    assert two.disk == 100
    assert two != one
    assert one in two
    assert two not in one
    assert two - one == one
    assert len(two.to_proto()) == 2
    assert two.shared() == two


def test_revocable_resources_are_others():
    proto = Resource("cpus", millis=1000).to_proto()
    proto.revocable.SetInParent()
    revocable = Resources.from_proto([proto])
    both = revocable + Resources.of(cpus=1)
    assert len(both) == 2
    assert both.revocable() == revocable
    assert not both.covers(Resources.of(cpus=2))


def test_resources_of_different_providers_are_others():
    proto = Resource("disk", millis=1000).to_proto()
    proto.provider_id.value = "p1"
    assert Resources.from_proto([proto]) != Resources.of(disk=1)
    assert len(Resources.from_proto([proto]) + Resources.of(disk=1)) == 2


def test_subtracting_never_goes_below_zero():
    assert not Resources.of(cpus=1) - Resources.of(cpus=2, mem=5)
    assert Resources.parse("ports:[1-5]") - Resources.parse("ports:[4-9]") == Resources.parse("ports:[1-3]")
    assert Resources.parse("d:{a, b}") - Resources.parse("d:{b, c}") == Resources.parse("d:{a}")


def test_the_same_name_of_another_kind_is_another_resource():
    assert len(Resources.parse("x:1") + Resources.parse("x:[1-2]") + Resources.parse("x:{a}")) == 3


# -- allocation and reservation --


def test_allocation_can_be_put_on_and_taken_off():
    allocated = Resources.of(cpus=1).allocate("ads")
    assert allocated != Resources.of(cpus=1)
    assert allocated.allocated_to("ads") == allocated
    assert allocated.unallocate() == Resources.of(cpus=1)
    assert allocated.allocate("web").allocated_to("ads") == Resources()


def test_reservations_are_pushed_and_popped_one_by_one():
    refined = reserved("cpus:1", ADS, Reservation("ads/eu", principal="p"))
    (entry,) = refined
    assert [each.role for each in entry.facts.reservations] == ["ads", "ads/eu"]
    assert entry.facts.role == "ads/eu"
    assert refined.pop_reservation() == reserved("cpus:1", ADS)
    assert refined.pop_reservation().pop_reservation() == Resources.of(cpus=1)
    assert refined.to_unreserved() == Resources.of(cpus=1)


@pytest.mark.parametrize(
    ("before", "pushed", "reason"),
    [
        ((), Reservation("*"), "nothing can be reserved for the role"),
        ((ADS,), Reservation("web"), "does not refine 'ads'"),
        ((ADS,), Reservation("adsense"), "does not refine 'ads'"),
        ((ADS,), Reservation("ads/eu", dynamic=False), "must be dynamic"),
    ],
)
def test_a_reservation_that_cannot_be_is_an_error(before, pushed, reason):
    with pytest.raises(ResourceError, match=reason):
        reserved("cpus:1", *before, pushed)


def test_what_is_not_reserved_cannot_be_unreserved():
    with pytest.raises(ResourceError, match="not reserved"):
        Resources.of(cpus=1).pop_reservation()


# -- taking --


def test_reserved_resources_are_taken_first_and_a_want_may_be_split():
    offered = (Resources.of(cpus=3, mem=100) + reserved("cpus:2;mem:50", ADS)).allocate("ads")
    taken = offered.take(Resources.of(cpus=4, mem=10))
    assert taken == (Resources.of(cpus=2) + reserved("cpus:2;mem:10", ADS)).allocate("ads")
    assert taken in offered
    assert (offered - taken).cpus == 1


def test_the_deepest_reservation_is_taken_before_the_others():
    refined = reserved("cpus:1", ADS, Reservation("ads/eu"))
    offered = Resources.of(cpus=1) + reserved("cpus:1", ADS) + refined
    assert offered.take(Resources.of(cpus=1)) == refined


def test_a_want_with_a_reservation_is_served_by_just_that():
    offered = (Resources.of(cpus=3) + reserved("cpus:2", ADS)).allocate("ads")
    assert offered.take(reserved("cpus:2", ADS)) == reserved("cpus:2", ADS).allocate("ads")
    assert offered.take(reserved("cpus:3", ADS)) is None


def test_volumes_are_taken_whole_and_only_when_asked_for():
    (disk,) = reserved("disk:100", ADS)
    volume = Resources((offer_operations.volume(disk, "v", "d"),))
    offered = volume.allocate("ads")
    assert offered.take(Resources.of(disk=10)) is None
    assert offered.take(volume) == offered
    smaller = Resources((offer_operations.volume(disk, "v", "d", megabytes=10),))
    assert offered.take(smaller) is None


def test_a_volume_taken_keeps_the_place_where_the_task_wants_it():
    (disk,) = reserved("disk:100", ADS)
    offered = Resources((offer_operations.volume(disk, "v", "d"),)).allocate("ads")
    taken = offered.take(Resources((offer_operations.volume(disk, "v", "elsewhere"),)))
    assert "[v:elsewhere]" in str(taken)


def test_ports_are_taken_by_number_or_by_how_many():
    offered = Resources.parse("ports:[31000-31004];ports(ads):[40000-40001]")
    assert offered.take(Resources.of(ports=[(31002, 31003)])) == Resources.of(ports=[(31002, 31003)])
    assert offered.take(Resources.of(ports=[(31004, 31005)])) is None
    some = offered.take_ports(3)
    assert some == Resources.parse("ports(ads):[40000-40001];ports:[31000-31000]")
    assert offered.take_ports(0) == Resources()
    assert offered.take_ports(8) is None


def test_nothing_is_always_there():
    assert Resources().take(Resources()) == Resources()
    assert Resources().explain_shortfall(Resources()) == ()


def test_a_shortfall_is_said_in_numbers():
    offered = Resources.parse("cpus:1.5;cpus(ads):1;mem:64;ports:[1-3]")
    short = offered.explain_shortfall(Resources.of(cpus=4, mem=64, gpus=1, ports=[(2, 5)]))
    assert [(each.resource, each.wanted, each.available) for each in short] == [
        ("cpus", 4, 2.5),
        ("gpus", 1, 0),
        ("ports", 4, 2),
    ]
    assert str(short[0]) == "cpus: wanted 4, available 2.5"
    assert str(short[2]) == "ports: wanted 4, available 2 (wanted ports:[2-5]; there is ports:[1-3])"


# -- as values --


def test_resources_are_values_that_can_be_hashed_copied_and_pickled():
    resources = Resources.parse("cpus:4;ports:[1-5];disks:{a}") + reserved("cpus:1", ADS)
    same = Resources(tuple(reversed(resources.entries)))
    assert same == resources
    assert hash(same) == hash(resources)
    assert {resources: 1}[same] == 1
    assert copy.deepcopy(resources) == resources
    assert pickle.loads(pickle.dumps(resources)) == resources
    assert pickle.loads(pickle.dumps(resources.entries[0])).facts == resources.entries[0].facts
    assert resources != "cpus:4"
    with pytest.raises(AttributeError):
        resources.entries = ()


def test_a_resource_made_by_hand_is_brought_into_normal_form():
    assert Resource("p", Kind.RANGES, ranges=((4, 6), (1, 3))).ranges == ((1, 6),)
    assert Resource("d", Kind.SET, items=("b", "a", "b")).items == ("a", "b")
    with pytest.raises(ResourceError, match="< 0"):
        Resource("cpus", millis=-1)
    assert Resource("p", Kind.RANGES, ranges=((1, 6),)).value == 6
    assert Resource("d", Kind.SET, items=("a", "b")).value == 2
    assert Resource("cpus", millis=1500).value == 1.5
