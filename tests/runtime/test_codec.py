"""The codec: what goes in comes out, and nothing else comes out of anything else."""

# mypy: disable-error-code="arg-type, dict-item"
from __future__ import annotations

import dataclasses
import enum
import importlib
import pkgutil
import sys
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import actors
import examples
import executor
import mesostic
import playa
from actors.runtime import (
    Actor,
    ActorDeadError,
    CodecError,
    DecodeError,
    EncodeError,
    Envelope,
    FrozenDict,
    Immutable,
    NamedRef,
    Secret,
    message,
    pack,
    pack_value,
    register,
    registered_messages,
    secret,
    setting,
    unpack,
    unpack_value,
)
from actors.runtime.codec import packing
from actors.runtime.codec.envelope import (
    MAX_DEPTH,
    _extension,
    _large_int,
    pack_message,
    payload_of,
    unpack_message,
    unpack_payload,
)
from actors.runtime.codec.packing import Kind, schema_of
from tests.runtime.test_messages import Checked, Colour, Everything, Point, Small
from tests.support.messages import anything, instances
from tests.support.virtual import virtual


@message
class Chain:
    n: int
    next: Chain | None = None


@message
class Inner:
    point: Point
    colours: tuple[Colour, ...]
    data: bytes
    by_name: Mapping[str, int] = FrozenDict({"a": 1})


@message
class Many:
    numbers: tuple[int, ...]
    words: tuple[str, ...]


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Unknown(enum.Enum):
    """Nobody has registered it."""

    A = "a"


register(Mood)


@message
class Pair:
    pair: tuple[int, str]


@message
class Perhaps:
    point: Point | None = None
    other: Point = Point(7)


@message
class Grown:
    """As `Small` after some releases: a field more, a field less."""

    a: int
    new: str = "default"


def every_message() -> list[type]:
    """All message classes of the project: of both sides, the embedded cluster, the product and the examples."""
    rooms = (actors, executor, playa, mesostic, examples)
    for package in rooms:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    names = {package.__name__ for package in rooms}
    return [cls for cls in registered_messages() if cls.__module__.partition(".")[0] in names]


def calls_made(function: Callable[..., Any], *args: Any) -> int:
    """How many functions written in Python a call runs."""
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    known = sys.getprofile()
    sys.setprofile(count)
    try:
        function(*args)
    finally:
        sys.setprofile(known)
    return calls


PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""For a machine that does other things too."""

EVERY_MESSAGE = every_message()


class TestRoundTrip:
    @PATIENT
    @given(instances(Everything))
    def test_a_message_with_a_field_of_each_kind_survives(self, original):
        assert unpack(pack(original)).message == original

    @pytest.mark.parametrize("cls", EVERY_MESSAGE, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
    @settings(PATIENT, max_examples=8)
    @given(data=st.data())
    def test_every_message_class_survives_and_is_frozen(self, cls, data):
        original = data.draw(instances(cls))
        assert unpack(pack(original)).message == original
        assert cls.__dataclass_params__.frozen
        for field in dataclasses.fields(cls)[:1]:
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(original, field.name, None)

    @pytest.mark.parametrize("cls", EVERY_MESSAGE, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
    @settings(PATIENT, max_examples=4)
    @given(data=st.data())
    def test_the_fast_way_and_the_careful_way_write_and_read_the_same(self, cls, data):
        original = data.draw(instances(cls))
        schema = schema_of(cls)
        carefully = msgpack.packb(schema.pack(original), unicode_errors="surrogatepass", default=_large_int)
        assert pack_value(original) == carefully
        assert unpack_value(cls, carefully) == original
        assert schema.unpack(msgpack.unpackb(carefully, ext_hook=_extension), MAX_DEPTH) == original

    def test_the_fast_way_is_taken_by_almost_every_message(self):
        careful = {cls.__qualname__ for cls in EVERY_MESSAGE if not schema_of(cls).decode}
        assert len(careful) <= 12

    @pytest.mark.parametrize(
        "run",
        [
            pack,
            payload_of,
            pack_value,
            lambda m: unpack(pack(m)),
            lambda m: unpack_value(Many, pack_value(m)),
        ],
        ids=["pack", "payload", "pack a value", "unpack", "unpack a value"],
    )
    def test_the_fast_way_takes_as_many_steps_however_much_there_is(self, run):
        few, many = (Many(tuple(range(n)), ("x",) * n) for n in (1, 1000))
        for made in (few, many):
            run(made)  # what is made once and kept is not counted
        assert calls_made(run, many) == calls_made(run, few)

    def test_what_is_only_received_is_read_the_fast_way_too(self):
        @message(name="test:received")
        class Received:
            a: int

        assert unpack(msgpack.packb([1, "test:received", "", "", {"a": 1}])).message == Received(1)
        assert packing.ready["test:received"].cls is Received

    def test_any_reader_of_msgpack_reads_what_is_sent_and_stored(self):
        point = {"x": 1, "y": 0}
        assert msgpack.unpackb(pack(Small(1), id="5", cause="4")) == [
            1,
            "tests.runtime.test_messages:Small",
            "5",
            "4",
            {"a": 1, "b": "b"},
        ]
        assert msgpack.unpackb(pack_value(Inner(Point(1), (Colour.RED,), b"x"))) == {
            "point": point,
            "colours": ["red"],
            "data": b"x",
            "by_name": {"a": 1},
        }
        assert msgpack.unpackb(pack((1, "a"))) == [1, "", "", "", [0, 1, "a"]]

    @pytest.mark.parametrize(
        "made", [Perhaps(), Perhaps(Point(1)), Perhaps(other=Point(1, 2)), Perhaps(Point(1), Point(1))]
    )
    def test_a_part_that_was_packed_or_read_before_is_the_same_again(self, made):
        for _ in range(2):
            assert unpack(pack(made)).message == made
            assert unpack_value(Perhaps, pack_value(made)) == made
        assert msgpack.unpackb(pack_value(made)) == schema_of(Perhaps).pack(made)
        assert unpack_value(Perhaps, msgpack.packb({})) == Perhaps()

    def test_more_parts_than_are_remembered_are_packed_and_read_all_the_same(self):
        for n in range(2 * packing.KEPT + 1):
            assert unpack_value(Perhaps, pack_value(Perhaps(Point(n)))) == Perhaps(Point(n))

    def test_threads_that_pack_parts_at_the_same_time_get_the_bytes_of_their_own(self):
        shared = [Point(n, -n) for n in range(packing.KEPT // 2)]
        together = threading.Barrier(2)

        def pack_many(own: int) -> list[Perhaps]:
            together.wait()
            wrong = []
            for n in range(4 * packing.KEPT):  # more than are remembered: some are forgotten meanwhile
                made = Perhaps(Point(own, n), shared[n % len(shared)])
                fields = {"point": {"x": own, "y": n}, "other": {"x": made.other.x, "y": made.other.y}}
                if msgpack.unpackb(pack_value(made)) != fields:
                    wrong.append(made)
            return wrong

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(2) as pool:
                assert list(pool.map(pack_many, (1, 2))) == [[], []]
        finally:
            sys.setswitchinterval(before)

    @PATIENT
    @given(anything())
    def test_other_immutable_values_survive_with_their_types(self, value):
        assert unpack(pack(value)) == Envelope(value)
        assert type(unpack(pack(value)).message) is type(value)

    @pytest.mark.parametrize(
        "value", [Mood.GOOD, Small(1), Path("a/b"), Secret("open sesame"), (Small(1), (Mood.GOOD, None))]
    )
    def test_a_value_that_no_annotation_tells_of_survives_with_its_type(self, value):
        for carried in (value, (value,), FrozenDict({"a": value})):
            assert unpack(pack(carried)).message == carried
            assert type(unpack(pack(carried)).message) is type(carried)

    @PATIENT
    @given(st.integers(min_value=-(2**4000), max_value=2**4000))
    def test_integers_of_any_size_survive(self, n):
        assert unpack(pack(Small(n))).message.a == n

    @PATIENT
    @given(st.text(), st.text())
    def test_id_and_cause_travel_along(self, id_, cause):
        assert unpack(pack(Small(1), id=id_, cause=cause)) == Envelope(Small(1), id_, cause)

    def test_text_that_is_no_unicode_survives(self):
        assert unpack(pack(Small(1, "\udcff"))).message.b == "\udcff"

    def test_a_chain_of_messages_survives_up_to_the_depth_limit(self):
        chain = None
        for n in range(MAX_DEPTH - 1):
            chain = Chain(n, chain)
        assert unpack(pack(chain)).message == chain
        with pytest.raises(DecodeError, match="too deeply"):
            unpack(pack(Chain(1, Chain(2, chain))))

    def test_an_int_is_fine_for_a_float_and_a_bool_for_an_int(self):
        @message
        class Numbers:
            f: float
            i: int

        assert unpack(pack(Numbers(1, True))).message == Numbers(1.0, 1)


class TestRefs:
    @virtual
    async def test_a_ref_comes_back_as_the_living_actor_it_was(self, system):
        ref = system.spawn(Actor, name="here")
        found = unpack(pack(Addressed(ref))).message.to
        assert found is ref

    @virtual
    async def test_a_ref_from_elsewhere_is_a_handle_that_finds_nobody(self, system):
        data = pack(Addressed(NamedRef("x", "another process", lambda _: None)))
        found = unpack(data).message.to
        assert (found.name, found.system_name) == ("x", "another process")
        with pytest.raises(ActorDeadError, match="another process"):
            found.tell("x")


class TestVersions:
    def test_a_field_that_only_the_sender_knows_is_ignored_and_one_it_does_not_know_takes_its_default(self):
        parts = msgpack.unpackb(pack(Small(5)))
        parts[1] = msgpack.unpackb(pack(Grown(1)))[1]
        assert unpack(msgpack.packb(parts)).message == Grown(5, "default")

    def test_a_missing_field_without_default_is_an_error(self):
        parts = msgpack.unpackb(pack(Small(5)))
        del parts[4]["a"]
        with pytest.raises(DecodeError, match="field 'a' of Small is missing"):
            unpack(msgpack.packb(parts))

    def test_another_version_of_the_envelope_is_refused(self):
        parts = msgpack.unpackb(pack(Small(5)))
        parts[0] = 2
        with pytest.raises(DecodeError, match="version 2"):
            unpack(msgpack.packb(parts))


class TestGarbage:
    @PATIENT
    @given(st.binary(max_size=200))
    def test_any_bytes_give_a_message_or_a_decode_error(self, data):
        try:
            unpack(data)
        except DecodeError:
            pass

    @PATIENT
    @given(instances(Everything), st.data())
    def test_damaged_messages_give_a_message_or_a_decode_error(self, original, data):
        packed = bytearray(pack(original))
        for _ in range(data.draw(st.integers(1, 4))):
            packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
        try:
            unpack(bytes(packed))
        except DecodeError:
            pass

    @PATIENT
    @given(
        st.recursive(
            st.none() | st.integers() | st.text() | st.binary(),
            lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        )
    )
    def test_any_fields_give_a_message_or_a_decode_error(self, fields):
        name = msgpack.unpackb(pack(Small(1)))[1].replace("Small", "Everything")
        try:
            data = msgpack.packb([1, name, "", "", fields])
        except OverflowError:
            return
        with pytest.raises(DecodeError):
            unpack(data)

    @pytest.mark.parametrize("cut", range(1, 40))
    def test_a_message_that_was_cut_off_is_an_error(self, cut):
        packed = pack(Small(1, "some text"))
        if cut < len(packed):
            with pytest.raises(DecodeError):
                unpack(packed[:cut])

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"point": {"x": "one"}}, r"Everything\.point\.x: expected int, found str 'one'"),
            (
                {"several": [{"x": 1}, {"x": True}]},
                r"Everything\.several\[1\]\.x: expected int, found bool True",
            ),
            ({"colour": "blue"}, r"Everything\.colour: str 'blue' is not a member of Colour"),
            ({"labels": {"a": 1}}, r"Everything\.labels\['a'\]: expected an array, found int 1"),
            ({"either": ["list", []]}, r"Everything\.either: expected .* found a value labelled 'list'"),
            ({"mode": "c"}, r"Everything\.mode: expected one of"),
            ({"number": "1"}, r"Everything\.number: expected a float"),
            ({"pair": [1]}, r"Everything\.pair: expected an array of 2, found an array of 1"),
            ({"ref": "x"}, r"Everything\.ref: expected an actor's system and name"),
            ({"anything": [99]}, r"Everything\.anything: unknown kind 99"),
            ({"names": [{}]}, r"Everything\.names\[0\]: expected str"),
        ],
    )
    def test_an_error_says_what_is_wrong_and_where(self, change, what):
        original = Everything(
            "t", 1.0, b"", Colour.RED, Point(1), 1, (), (1, "a"), frozenset(), {}, 1, "a", Path("x")
        )
        parts = msgpack.unpackb(pack(original))
        parts[4].update(change)
        with pytest.raises(DecodeError, match=what):
            unpack(msgpack.packb(parts))

    def test_an_unknown_type_is_named_with_a_hint_and_never_imported(self):
        with pytest.raises(
            DecodeError, match=r"unknown message type 'antigravity:Fly'; is 'antigravity' imported"
        ):
            unpack(msgpack.packb([1, "antigravity:Fly", "", "", {}]))

    def test_what_the_class_itself_refuses_is_a_decode_error(self):
        parts = msgpack.unpackb(pack(Checked(50)))
        parts[4]["percent"] = 500
        with pytest.raises(DecodeError, match="Checked refuses these values: 500 is no percentage"):
            unpack(msgpack.packb(parts))

    def test_size_and_depth_are_bounded(self):
        with pytest.raises(DecodeError, match="at most 10"):
            unpack(pack(Small(1, "x" * 100)), max_bytes=10)
        with pytest.raises(DecodeError, match="too deeply"):
            unpack(pack((((1,),),)), max_depth=2)
        with pytest.raises(DecodeError):
            unpack(b"\x91" * 100_000)
        with pytest.raises(DecodeError):
            unpack(b"\xdd\xff\xff\xff\xff" * 100)
        with pytest.raises(DecodeError):
            unpack("text")

    def test_errors_are_value_errors_of_one_family(self):
        assert issubclass(DecodeError, CodecError)
        assert issubclass(EncodeError, CodecError)
        assert issubclass(CodecError, ValueError)


class TestPacking:
    def test_what_is_no_message_is_refused_on_this_side(self):
        for wrong in ([1], {"a": 1}, object(), Loosely([1]), (1, [2])):
            with pytest.raises(EncodeError):
                pack(wrong)

    def test_an_enum_that_the_other_side_could_not_know_is_refused_with_what_to_do(self):
        with pytest.raises(EncodeError, match=r"register\(Unknown\) first"):
            pack((Unknown.A,))

    def test_a_field_of_another_type_than_declared_is_refused_on_this_side(self):
        for wrong in (Small("text"), Small(1, None), Chain(1, Small(1)), Addressed(1)):
            with pytest.raises(EncodeError):
                pack(wrong)

    @pytest.mark.parametrize(
        "wrong",
        [
            Inner(Small(1), (), b""),
            Inner(Point("one"), (), b""),
            Inner(Point(1), ("red",), b""),
            Inner(Point(1), (Colour.RED,), "text"),
            Inner(Point(1), (), b"", {"a": "text"}),
            Many((), "text"),
            Many("text", ()),
            Many(None, ()),
            Pair((1,)),
            Pair((1, "a", 2)),
        ],
        ids=range(10),
    )
    def test_a_part_of_another_type_than_declared_is_refused_on_this_side_however_deep(self, wrong):
        for pack_it in (pack, pack_value):
            with pytest.raises(EncodeError):
                pack_it(wrong)

    def test_what_is_nested_without_end_is_refused(self):
        nested: tuple[Any, ...] = ()
        for _ in range(5000):
            nested = (nested,)
        with pytest.raises(EncodeError, match="nested"):
            pack(nested)

    def test_sets_are_packed_the_same_in_each_run(self):
        assert pack(frozenset({"b", "a", "c"})) == pack(frozenset({"c", "b", "a"}))


@message
class Addressed:
    to: NamedRef


@dataclass
class Loosely:
    items: list[int]


@dataclass(frozen=True, slots=True)
class SomeSettings:
    path: Path = setting(Path("x"), help="where")
    environment: tuple[tuple[str, str], ...] = setting((), help="variables")
    points: tuple[Point, ...] = setting((Point(1),), help="points")


class TestValues:
    def test_settings_survive_by_their_class(self):
        settings = SomeSettings(Path("/a/b"), (("A", "1"),), (Point(2, 3),))
        assert unpack_value(SomeSettings, pack_value(settings)) == settings

    def test_other_values_survive_by_their_annotation(self):
        kind = tuple[Point, ...]
        assert unpack_value(kind, pack_value((Point(1),), kind)) == (Point(1),)

    def test_errors_say_where(self):
        with pytest.raises(DecodeError, match=r"SomeSettings\.path: expected str"):
            unpack_value(SomeSettings, msgpack.packb({"path": 1}))
        with pytest.raises(EncodeError):
            pack_value([1])


class TestPayloads:
    def test_a_payload_is_read_without_the_class(self):
        assert unpack_payload(payload_of(Small(1))) == {"a": 1, "b": "b"}
        assert unpack_payload(payload_of(FrozenDict({"a": 1}))) == [2, {"a": 1}]

    def test_what_cannot_be_packed_is_noted_as_text(self):
        assert unpack_payload(payload_of([1, 2])) == "[1, 2]"

    def test_what_cannot_even_be_shown_does_no_harm(self):
        assert (
            unpack_payload(payload_of(10**5000)) == "something of type int that cannot be shown (ValueError)"
        )
        assert (
            unpack_payload(payload_of(Small(10**5000)))
            == "something of type Small that cannot be shown (ValueError)"
        )


@message
class Login:
    user: str
    token: str = secret()


@message
class Logins:
    several: tuple[Login, ...]
    anything: Immutable
    either: Login | int


class TestAnything:
    @pytest.mark.parametrize(
        ("value", "says"),
        [
            ([int(Kind.ENUM), "no:Such", 1], "unknown enum 'no:Such'"),
            ([int(Kind.ENUM), "no:Such"], None),
            ([int(Kind.MESSAGE), "no:Such", {}], "no:Such"),
            ([int(Kind.REF), ["x"]], "expected an actor's system and name"),
            ([int(Kind.SECRET), 1], None),
            ([int(Kind.PATH), 1], None),
            ([999, 1], None),
            (["x"], "expected an immutable value with its kind"),
            ([], "expected an immutable value with its kind"),
            ({}, "expected an immutable value with its kind"),
        ],
    )
    def test_a_value_of_no_known_kind_is_refused(self, value, says):
        parts = msgpack.unpackb(pack(Logins((), 1, 2)))
        parts[4]["anything"] = value
        with pytest.raises(DecodeError, match=says):
            unpack(msgpack.packb(parts))


class TestSecrets:
    login = Login("ann", "s3cret")

    def test_travel_over_the_wire(self):
        assert unpack(pack(self.login)).message.token == "s3cret"

    def test_stay_out_of_text_and_traces_however_deep(self):
        for value in (self.login, Logins((self.login,), (1, self.login), self.login), (self.login,)):
            assert "s3cret" not in repr(value)
            assert b"s3cret" not in payload_of(value)
            assert b"ann" in payload_of(value)
        assert unpack_payload(payload_of(self.login)) == {"user": "ann", "token": "***"}

    def test_stay_out_of_error_texts(self):
        for wrong in (Login("ann", b"s3cret"), Login(b"", "s3cret")):
            with pytest.raises(EncodeError) as raised:
                pack((wrong,))
            assert "s3cret" not in str(raised.value)
        parts = msgpack.unpackb(pack(self.login))
        parts[4]["token"] = ["s3cret"]
        with pytest.raises(DecodeError, match=r"Login\.token: a secret of another type") as told:
            unpack(msgpack.packb(parts))
        assert "s3cret" not in str(told.value)


class TestABudgetForAWholeMessage:
    """Bytes of another process may not cost many times their size, nor hold everything else up."""

    @pytest.mark.parametrize(
        "bomb",
        [
            b"\x95\x01\xa0\xa0\xa0" + b"\xdd\x00\x0f\x00\x00" + b"\x90" * 0xF0000,  # arrays in one array
            b"\x95\x01\xa0\xa0\xa0\xdc\x00\x40" + (b"\xdc\x80\x00" + b"\x80" * 0x8000) * 0x40,  # maps in many
        ],
        ids=["one array", "many arrays"],
    )
    def test_more_elements_than_fit_are_refused_before_they_are_all_made(self, bomb):
        tracemalloc.start()
        try:
            with pytest.raises(DecodeError, match="more than 100000 elements|not msgpack"):
                unpack(bomb, max_elements=100_000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 40 * 1024 * 1024

    def test_all_elements_count_however_they_are_nested(self):
        def rows(count: int) -> bytes:
            return pack(tuple((1, 2, 3) for _ in range(count)))

        few = unpack(
            rows(100), max_elements=506
        )  # each row its kind and three; the rows, and their kind; five parts
        assert len(few.message) == 100
        with pytest.raises(DecodeError, match="more than 505 elements in arrays and maps"):
            unpack(rows(100), max_elements=505)

    def test_what_may_come_at_any_time_has_narrower_limits(self):
        assert len(unpack_message(pack(b"x" * (4 * 1024 * 1024 - 100))).message) > 4_000_000
        with pytest.raises(DecodeError, match="at most 4198400 are taken"):
            unpack_message(pack(b"x" * (4 * 1024 * 1024 + 4096)))
        with pytest.raises(DecodeError, match="more than 50000 elements|exceeds max_array_len"):
            unpack_message(pack(tuple(range(100_000))))

    @pytest.mark.parametrize(
        ("made", "says"),
        [
            (b"x" * (4 * 1024 * 1024 + 4096), r"4,198,4\d\d bytes, and at most 4,198,400 are taken"),
            (tuple(range(50_000)), "50,00[0-9] elements .* at most 50,000 are taken"),
            (tuple((n, n) for n in range(20_000)), r"80,00[0-9] elements .* at most 50,000 are taken"),
        ],
        ids=["bytes", "elements", "nested"],
    )
    def test_what_would_be_refused_there_is_refused_here(self, made, says):
        with pytest.raises(DecodeError):
            unpack_message(pack(made))
        with pytest.raises(ValueError, match=f"the message has {says}"):
            pack_message(made)

    @pytest.mark.parametrize("made", [b"x" * (4 * 1024 * 1024), tuple(range(49_990)), "x" * 60_000])
    def test_what_is_sent_is_read(self, made):
        assert unpack_message(pack_message(made, id="x" * 500, cause="y" * 500)).message == made

    def test_whatever_fits_into_a_status_update_can_be_read(self):
        made = (1,) * (1024 * 1024 - 100)
        assert unpack(pack(made)).message == made
