"""Messages: frozen, slotted, cheap, and impossible to declare with a field that could change."""

# mypy: disable-error-code="misc, attr-defined, call-arg, arg-type, var-annotated, valid-type, name-defined, index"
from __future__ import annotations

import collections.abc
import dataclasses
import enum
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NewType

import pytest

from actors.runtime import (
    Actor,
    ActorRef,
    FrozenDict,
    Immutable,
    message,
    pack,
    register,
    registered_messages,
    unpack,
)
from actors.runtime.codec.shapes import check_immutable
from mesos_v1 import pb
from tests.support.virtual import virtual

TaskId = NewType("TaskId", str)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Loose:
    x: int


@message
class Everything:
    """One field of each kind."""

    task_id: TaskId
    number: float
    data: bytes
    colour: Colour
    point: Point
    either: int | str | Point | None
    several: tuple[Point, ...]
    pair: tuple[int, str]
    names: frozenset[str]
    labels: Mapping[str, tuple[int, ...]]
    anything: Immutable
    mode: Literal["a", "b", 3]
    where: Path
    ref: ActorRef[Any] | None = None
    later: tuple[Everything, ...] = ()


@message
class Small:
    a: int
    b: str = "b"


@message
class KeywordOnly:
    a: int
    b: int = dataclasses.field(default=2, kw_only=True)
    made: tuple[int, ...] = dataclasses.field(default_factory=lambda: (1, 2))
    _: dataclasses.KW_ONLY
    c: int = 3


@message
class Checked:
    percent: int

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise ValueError(f"{self.percent} is no percentage")


class TestAMessage:
    def test_is_a_frozen_slotted_dataclass(self):
        small = Small(1)
        with pytest.raises(dataclasses.FrozenInstanceError):
            small.a = 2
        with pytest.raises(dataclasses.FrozenInstanceError):
            del small.a
        with pytest.raises((AttributeError, TypeError)):
            object.__setattr__(small, "new", 1)
        assert not hasattr(small, "__dict__")

    def test_has_the_constructor_of_a_dataclass(self):
        assert Small(1) == Small(a=1, b="b")
        assert KeywordOnly(1) == KeywordOnly(1, (1, 2), b=2, c=3)
        with pytest.raises(TypeError):
            Small()
        with pytest.raises(TypeError):
            KeywordOnly(1, (1,), 5)

    def test_is_equal_hashable_and_printed_by_its_fields(self):
        assert Small(1) == Small(1) != Small(2)
        assert hash(Small(1)) == hash(Small(1))
        assert repr(Small(1)) == "Small(a=1, b='b')"
        match Small(7):
            case Small(a, _):
                assert a == 7

    def test_is_a_dataclass_to_whoever_looks_for_one(self):
        assert dataclasses.replace(Small(1), b="c") == Small(1, "c")
        assert dataclasses.asdict(Small(1)) == {"a": 1, "b": "b"}
        assert [field.name for field in dataclasses.fields(KeywordOnly)] == ["a", "b", "made", "c"]

    def test_can_have_fields_of_any_name(self):
        @message
        class Named:
            set: tuple[int, ...]
            freeze: tuple[tuple[int, ...], ...] = ()
            author: bytes = b""
            self_: Immutable = None
            cls: Mapping[str, int] = FrozenDict()

        named = Named([1], [[2]], bytearray(b"x"), (1,), {"a": 1})
        assert (named.set, named.freeze, named.author, named.cls) == ((1,), ((2,),), b"x", {"a": 1})
        assert unpack(pack(named)).message == named

    def test_can_be_made_of_another_one(self):
        @message
        class More(Small):
            c: tuple[int, ...] = ()

            def total(self) -> int:
                return self.a + sum(self.c)

        assert More(1, c=[2, 3]).total() == 6
        assert repr(More(1)).endswith("More(a=1, b='b', c=())")
        assert isinstance(More(1), Small)
        assert unpack(pack(More(1, "x", (2,)))).message == More(1, "x", (2,))

    def test_can_check_its_own_values(self):
        assert Checked(50).percent == 50
        with pytest.raises(ValueError, match="101 is no percentage"):
            Checked(101)

    def test_is_made_faster_than_a_plain_frozen_dataclass(self):
        plain = dataclasses.make_dataclass(
            "Plain", [("a", int), ("b", str), ("c", int)], frozen=True, slots=True
        )
        ours = message(dataclasses.make_dataclass("Ours", [("a", int), ("b", str), ("c", int)]))

        def seconds(cls) -> float:
            begin = time.perf_counter()
            for _ in range(20_000):
                cls(1, "b", 3)
            return time.perf_counter() - begin

        assert min(seconds(ours) for _ in range(5)) < min(seconds(plain) for _ in range(5))

    def test_freezes_the_mappings_it_is_given(self):
        @message
        class Labelled:
            labels: Mapping[str, int]
            more: Mapping[str, int] | None = None

        given = {"a": 1}
        labelled = Labelled(given, given)
        given["a"] = 2
        assert labelled.labels == {"a": 1}
        assert isinstance(labelled.more, FrozenDict)
        assert hash(labelled) == hash(Labelled({"a": 1}, {"a": 1}))

    def test_takes_only_immutable_values_where_any_is_allowed(self):
        @message
        class Open:
            value: Immutable

        for fine in (
            1,
            None,
            (1, ("a", frozenset({2}))),
            Point(1),
            Colour.RED,
            FrozenDict({"a": (1,)}),
            Open(1),
        ):
            assert Open(fine).value == fine
        for wrong in ([1], ({},), Loose(1), FrozenDict({"a": [1]}), Point([1])):
            with pytest.raises(TypeError, match="can change"):
                Open(wrong)


class TestDeclaring:
    @pytest.mark.parametrize(
        ("annotation", "advice"),
        [
            (list[int], r"tuple\[T, ...\]"),
            (dict[str, int], "Mapping"),
            (set[int], "frozenset"),
            (bytearray, "bytes"),
            (tuple[list[int], ...], r"tuple\[T"),
            (Loose, "frozen"),
            (int | list[int], r"tuple\[T"),
            (Any, "Immutable"),
            (object, "what it holds"),
            (tuple, "what it holds"),
            (frozenset, "what it holds"),
            (FrozenDict, "what it holds"),
            (collections.abc.Mapping, "what it holds"),
            (dict, "Mapping"),
            (pb.mesos.Offer, "protobuf"),
            (Mapping[int, str], "must be str"),
            (tuple[Mapping[str, int], ...], "FrozenDict"),
        ],
    )
    def test_a_field_whose_type_could_change_is_refused_with_advice(self, annotation, advice):
        with pytest.raises(TypeError, match=advice) as raised:
            message(dataclasses.make_dataclass("Wrong", [("field", annotation)]))
        assert "Wrong.field" in str(raised.value)

    def test_a_nested_dataclass_with_such_a_field_is_refused_too(self):
        inner = dataclasses.make_dataclass("Inner", [("items", list[int])], frozen=True)
        with pytest.raises(TypeError, match=r"Inner\.items"):
            message(dataclasses.make_dataclass("Outer", [("inner", tuple[inner, ...])]))

    def test_a_type_that_is_not_known_is_said_at_once(self):
        with pytest.raises(TypeError, match="Nonesuch"):

            @message
            class Dangling:
                field: Nonesuch  # noqa: F821

    def test_types_of_the_enclosing_function_are_found(self):
        @message
        class Local:
            n: int

        @message
        class Holder:
            held: tuple[Local, ...]

        assert Holder((Local(1),)).held[0].n == 1

    def test_a_name_can_be_given_and_is_taken_once(self):
        message(name="test:named")(dataclasses.make_dataclass("Named", [("a", int)]))
        with pytest.raises(TypeError, match="test:named"):
            message(name="test:named")(dataclasses.make_dataclass("Another", [("a", int)]))

    def test_a_frozen_dataclass_from_elsewhere_can_be_registered(self):
        assert register(Point) is Point
        assert Point in registered_messages()
        with pytest.raises(TypeError, match="frozen"):
            register(Loose)

    def test_an_enum_can_be_registered_for_fields_that_hold_anything(self):
        assert register(Colour) is Colour


class TestFrozenDict:
    def test_is_a_mapping_that_cannot_change(self):
        frozen = FrozenDict(
            {"a": 1},
        )
        assert (frozen["a"], len(frozen), list(frozen), frozen == {"a": 1}) == (1, 1, ["a"], True)
        for attempt in (
            lambda: frozen.__setitem__("a", 2),
            lambda: setattr(frozen, "x", 1),
            lambda: delattr(frozen, "_items"),
        ):
            with pytest.raises(AttributeError):
                attempt()

    def test_is_hashable_if_its_values_are(self):
        assert hash(FrozenDict({"a": 1, "b": 2})) == hash(FrozenDict([("b", 2), ("a", 1)]))
        with pytest.raises(TypeError):
            hash(FrozenDict({"a": []}))

    def test_is_copied_and_pickled(self):
        import copy
        import pickle

        frozen = FrozenDict({"a": (1,)})
        assert copy.deepcopy(frozen) == pickle.loads(pickle.dumps(frozen)) == frozen
        assert repr(frozen) == "FrozenDict({'a': (1,)})"


@message
class Held:
    """A field of each kind that could hold something that can change."""

    row: tuple[int, ...] = ()
    rows: tuple[tuple[int, ...], ...] = ()
    pairs: tuple[tuple[str, tuple[int, ...]], ...] = ()
    members: frozenset[str] = frozenset()
    table: Mapping[str, tuple[int, ...]] = FrozenDict()
    maybe: tuple[int, ...] | None = None
    either: tuple[int, ...] | frozenset[int] | int = 0
    data: bytes = b""


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("row", [1, 2], (1, 2)),
        ("rows", [[1], (2,)], ((1,), (2,))),
        ("rows", ([1],), ((1,),)),
        ("pairs", [["a", [1]]], (("a", (1,)),)),
        ("pairs", (("a", [1]),), (("a", (1,)),)),
        ("members", {"a"}, frozenset({"a"})),
        ("members", ["a"], frozenset({"a"})),
        ("table", {"a": [1]}, FrozenDict({"a": (1,)})),
        ("table", FrozenDict({"a": [1]}), FrozenDict({"a": (1,)})),
        ("maybe", [1], (1,)),
        ("either", [1], (1,)),
        ("either", {1}, frozenset({1})),
        ("data", bytearray(b"x"), b"x"),
        ("data", memoryview(b"x"), b"x"),
    ],
)
def test_what_can_change_is_copied_into_what_cannot_when_the_message_is_made(name, given, kept):
    held = getattr(Held(**{name: given}), name)
    assert held == kept
    assert type(held) is type(kept)
    check_immutable(held)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("row", {1}),
        ("row", {}),
        ("rows", ({},)),
        ("members", {"a": 1}),
        ("members", bytearray(b"a")),
        ("table", {1}),
        ("maybe", {1: 2}),
        ("either", {1: 2}),
    ],
)
def test_what_can_change_and_does_not_fit_is_refused_with_the_name_of_the_field(name, given):
    with pytest.raises(TypeError, match=rf"Held\.{name} is a (set|dict|bytearray), which can change"):
        Held(**{name: given})


def test_what_cannot_change_is_kept_as_it_is():
    rows = ((1,), (2,))
    assert Held(rows=rows).rows is rows
    assert Held(row=None).row is None  # of a wrong type, which the codec tells


class Keeper(Actor):
    def on_receive(self, told: Any) -> Any:
        self.told = told
        return told


@virtual
async def test_lists_and_dicts_that_are_told_are_the_receivers_own(system):
    keeper = system.spawn(Keeper)
    told: Any = {"a": [1, {"b": {2}}, ([3],)]}
    keeper.tell(told)
    asked = keeper.ask([told], block=False)
    told["a"][1]["b"].add(4)
    told["a"][2][0].append(5)
    told["c"] = 6
    assert await asked == [{"a": [1, {"b": {2}}, ([3],)]}]
