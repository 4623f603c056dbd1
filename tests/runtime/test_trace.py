"""The trace: what is noted, how it hangs together, and that reading takes whatever a crash left."""

from __future__ import annotations

import asyncio
import itertools
import logging
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runtime import (
    RESTART,
    Actor,
    ActorSystem,
    ChildFailed,
    Terminated,
    TraceError,
    TraceRecord,
    TraceWriter,
    current_message_id,
    message,
    older_files,
    read_trace,
    receive,
)
from actors.runtime.testing import ListTrace, run_virtual
from actors.runtime.trace import KINDS
from tests.support.virtual import virtual


@message
class Order:
    dish: str


@message
class Cook:
    dish: str


@message
class Dish:
    name: str


@message
class Burn:
    pass


class Waiter(Actor):
    def on_start(self) -> None:
        self.spawn(Chef, name="chef")

    @receive
    def order(self, m: Order) -> str:
        self.tell("chef", Cook(m.dish))
        return "soon"

    @receive
    def serve(self, m: Dish) -> None:
        pass


class Chef(Actor):
    @receive
    async def cook(self, m: Cook) -> None:
        guest = self.sender
        assert guest is not None
        await asyncio.sleep(1)
        await asyncio.gather(self.season(), asyncio.sleep(1))
        self.run_in_background(self.plate(guest, m.dish), name="plate")

    async def season(self) -> None:
        self.tell("salt", Dish("salt"))

    async def plate(self, guest: Any, dish: str) -> None:
        await asyncio.sleep(1)
        guest.tell(Dish(dish))

    @receive
    def burn(self, m: Burn) -> None:
        raise ValueError("burnt")


def only(records: list[TraceRecord], kind: str, type_: str) -> TraceRecord:
    (found,) = [r for r in records if r.kind == kind and r.type.rpartition(":")[2] == type_]
    return found


class TestWhatIsNoted:
    @virtual
    async def test_the_whole_story_hangs_together_by_its_causes(self, traced, records):
        assert await traced.spawn(Waiter, name="waiter").ask(Order("soup"), block=False) == "soon"
        await asyncio.sleep(10)
        noted = records.records
        order, cook, dish = (only(noted, "message", t) for t in ("Order", "Cook", "Dish"))
        reply, salt = only(noted, "reply", "str"), only(noted, "dead_letter", "Dish")
        assert (order.sender, order.receiver, order.cause) == ("", "waiter", "")
        assert (reply.sender, reply.receiver, reply.cause, reply.content()) == (
            "waiter",
            "",
            order.id,
            "soon",
        )
        assert (cook.sender, cook.receiver, cook.cause) == ("waiter", "chef", order.id)
        assert (salt.sender, salt.receiver, salt.cause) == ("chef", "salt", cook.id)  # from a task of gather
        assert (dish.sender, dish.receiver, dish.cause) == (
            "chef",
            "waiter",
            cook.id,
        )  # from a background task
        assert dish.content() == {"name": "soup"}

    @virtual
    async def test_births_failures_and_deaths_are_noted(self, traced, records):
        traced.spawn(Waiter, name="waiter")
        await asyncio.sleep(1)
        traced.get("chef").tell(Burn())
        await asyncio.sleep(1)
        await traced.get("waiter").stop(block=False)
        noted = [(r.kind, r.sender, r.receiver) for r in records.records if r.kind != "message"]
        assert noted == [
            ("started", "", "waiter"),
            ("started", "waiter", "chef"),
            ("failed", "", "chef"),
            ("stopped", "waiter", "chef"),
            ("stopped", "", "waiter"),
        ]
        failed = only(records.records, "failed", "ValueError")
        assert failed.cause == only(records.records, "message", "Burn").id
        assert only(records.records, "message", "Burn").seq < failed.seq

    @virtual
    async def test_what_an_actor_sends_while_it_starts_is_caused_by_its_start(self, traced, records):
        class Parent(Actor):
            @receive
            def order(self, m: Order) -> None:
                self.spawn(Child, name="child")

        class Child(Actor):
            def on_start(self) -> None:
                self.tell("nobody", Dish("first"))

        traced.spawn(Parent).tell(Order("x"))
        await asyncio.sleep(1)
        first = only(records.records, "dead_letter", "Dish")
        born = next(r for r in records.records if r.kind == "started" and r.receiver == "child")
        assert first.cause == born.id
        assert born.cause == only(records.records, "message", "Order").id

    @virtual
    async def test_a_restart_shows_as_another_start(self, traced, records):
        traced.spawn(Chef, name="chef", supervision=RESTART).tell(Burn())
        await asyncio.sleep(1)
        assert [r.kind for r in records.records] == ["started", "message", "failed", "started"]

    @virtual
    async def test_what_follows_from_a_failure_is_caused_by_the_message_that_made_it(self, traced, records):
        class Boss(Actor):
            def on_start(self) -> None:
                self.watch(self.spawn(Chef, name="chef"))

            @receive
            def lost(self, m: ChildFailed | Terminated) -> None:
                pass

        traced.spawn(Boss, name="boss")
        traced.spawn(Chef, name="other", supervision=RESTART).tell(Burn())
        await asyncio.sleep(5)
        burn = only(records.records, "message", "Burn")
        assert [r.kind for r in records.records if r.cause == burn.id] == ["failed", "started"]
        records.records.clear()
        traced.get("chef").tell(Burn())
        await asyncio.sleep(5)
        burn = only(records.records, "message", "Burn")
        assert [(r.kind, r.type.rpartition(":")[2]) for r in records.records if r.cause == burn.id] == [
            ("failed", "ValueError"),
            ("stopped", "Chef"),
            ("message", "Terminated"),
            ("message", "ChildFailed"),
        ]

    @virtual
    async def test_what_an_actor_sends_while_it_stops_is_caused_by_whoever_stopped_it(self, traced, records):
        class Closing(Actor):
            def on_stop(self) -> None:
                self.tell("nobody", Dish("last"))

        class Closer(Actor):
            @receive
            def order(self, m: Order) -> None:
                self.system.get("closing").stop(block=False)

        traced.spawn(Closing, name="closing")
        traced.spawn(Closer).tell(Order("x"))
        await asyncio.sleep(1)
        order = only(records.records, "message", "Order")
        assert only(records.records, "dead_letter", "Dish").cause == order.id
        assert [r.cause for r in records.records if r.kind == "stopped"] == [order.id]

    @virtual
    async def test_proxy_calls_have_a_name(self, traced, records):
        proxy = traced.spawn(Chef, name="chef").proxy()
        await proxy.children
        assert only(records.records, "message", "get children").receiver == "chef"

    @virtual
    async def test_ids_are_unique_and_made_of_the_systems_name(self, traced, records):
        for _ in range(10):
            traced.spawn(Waiter, name=None) if traced.find("chef") is None else None
        traced.tell("chef", Cook("x"))
        await asyncio.sleep(10)
        ids = [r.id for r in records.records]
        assert len(set(ids)) == len(ids)
        assert all(i.startswith("traced#") for i in ids)

    @virtual
    async def test_the_id_in_hand_can_be_sent_over_a_wire_and_be_a_cause_there(self, traced, records):
        class Gateway(Actor):
            @receive
            def order(self, m: Order) -> str:
                return current_message_id()

        sent = await traced.spawn(Gateway).ask(Order("x"), block=False)
        assert sent == only(records.records, "message", "Order").id
        assert current_message_id() == ""
        there = ListTrace("there")
        async with ActorSystem("there", trace=there) as other:
            other.spawn(Gateway, name="gateway").tell_caused(Order("y"), sent)
            other.ref("gateway").tell_caused(Order("z"), "")
            await asyncio.sleep(1)
        assert [r.cause for r in there.records if r.kind == "message"] == [sent, ""]

    @virtual
    async def test_messages_between_two_systems_keep_their_cause(self, traced, records):
        there = ListTrace("there")
        async with ActorSystem("there", trace=there) as other:
            waiter = other.spawn(Waiter)

            class Bridge(Actor):
                @receive
                def order(self, m: Order) -> None:
                    waiter.tell(m)

            traced.spawn(Bridge).tell(Order("x"))
            await asyncio.sleep(1)
            assert (
                only(there.records, "message", "Order").cause == only(records.records, "message", "Order").id
            )

    @virtual
    async def test_a_message_from_a_system_without_a_trace_has_no_cause(self, system):
        there = ListTrace("there")
        async with ActorSystem("there", trace=there) as other:
            waiter = other.spawn(Waiter)

            class Bridge(Actor):
                @receive
                def order(self, m: Order) -> None:
                    waiter.tell(m)

            system.spawn(Bridge).tell(Order("x"))
            await asyncio.sleep(1)
            assert only(there.records, "message", "Order").cause == ""

    @virtual
    async def test_without_a_trace_there_are_no_ids(self, system):
        class Gateway(Actor):
            @receive
            def order(self, m: Order) -> str:
                return current_message_id()

        assert await system.spawn(Gateway).ask(Order("x"), block=False) == ""

    @virtual
    async def test_tracing_can_begin_while_the_system_runs(self, system):
        records = ListTrace("test")
        waiter = system.spawn(Waiter)
        system.dead_letters.add("nobody", (1, None, None, None, None, "message"), "for the test")
        waiter.tell(Order("untraced"))
        await asyncio.sleep(5)
        system.trace_to(records)
        waiter.tell(Order("traced"))
        await asyncio.sleep(5)
        assert only(records.records, "message", "Cook").content() == {"dish": "traced"}
        assert only(records.records, "dead_letter", "Dish").receiver == "salt"
        assert system.dead_letters.count == 3


OF_ANOTHER_TYPE: list[tuple[int, Any]] = [
    *((0, value) for value in ("1", None, 1.0)),
    *((1, value) for value in (1, "now", None)),
    *((2, value) for value in ("deliver", -1, len(KINDS), None)),
    *((field, value) for field in (3, 4, 5) for value in (1, b"x", None)),
    *((field, value) for field in (6, 7) for value in (1.0, b"x", None)),
    *((8, value) for value in ("x", 1, ())),
]


def write(path, count: int = 5, payloads: bool = True) -> None:
    async def run() -> None:
        async with ActorSystem("crawler", trace=TraceWriter(path, "crawler", payloads)) as system:
            for n in range(count):
                system.tell("nobody", Order(f"dish {n}"))

    logging.getLogger("actors").setLevel(logging.CRITICAL)
    try:
        run_virtual(run())
    finally:
        logging.getLogger("actors").setLevel(logging.NOTSET)


class TestTheFile:
    def test_what_was_written_is_read(self, tmp_path):
        write(tmp_path / "t.trace")
        records = list(read_trace(tmp_path / "t.trace"))
        assert [r.seq for r in records] == [1, 2, 3, 4, 5]
        assert [r.content() for r in records] == [{"dish": f"dish {n}"} for n in range(5)]
        assert records[0].time == 1_000_000_000.0
        assert records[0].system == "crawler"
        assert records[0].id == "crawler#1"
        assert records[0].type == "tests.runtime.test_trace:Order" or records[0].type.endswith(":Order")

    def test_payloads_can_be_left_out(self, tmp_path):
        write(tmp_path / "t.trace", payloads=False)
        records = list(read_trace(tmp_path / "t.trace"))
        assert {r.payload for r in records} == {None}
        assert records[0].content() is None

    def test_a_log_torn_at_any_byte_is_read_up_to_there(self, tmp_path):
        write(tmp_path / "t.trace", 3)
        whole = (tmp_path / "t.trace").read_bytes()
        all_records = list(read_trace(tmp_path / "t.trace"))
        for cut in range(len(whole) + 1):
            (tmp_path / "cut.trace").write_bytes(whole[:cut])
            records = list(read_trace(tmp_path / "cut.trace"))
            assert records == all_records[: len(records)]
            assert len(records) >= 3 * (cut == len(whole))

    @settings(deadline=None)
    @given(data=st.binary(max_size=100))
    def test_any_other_file_is_a_trace_error_or_a_torn_trace(self, data, tmp_path_factory):
        path = tmp_path_factory.mktemp("garbage") / "g.trace"
        path.write_bytes(data)
        told = ""
        records: list[TraceRecord] = []
        try:
            records.extend(read_trace(path))
        except TraceError as error:
            told = str(error)
        assert records == []
        assert not told or "g.trace" in told

    def test_damage_in_the_middle_is_told_with_its_place(self, tmp_path):
        write(tmp_path / "t.trace", 50)
        whole = bytearray((tmp_path / "t.trace").read_bytes())
        middle = len(whole) // 2
        whole[middle : middle + 40] = b"\xc1" * 40
        (tmp_path / "t.trace").write_bytes(whole)
        read: list[TraceRecord] = []
        with pytest.raises(TraceError, match=r"t\.trace is damaged at byte \d+"):
            read.extend(read_trace(tmp_path / "t.trace"))

    @pytest.mark.parametrize(("field", "value"), OF_ANOTHER_TYPE)
    def test_a_record_with_a_field_of_another_type_is_damage(self, tmp_path, field, value):
        path = tmp_path / "t.trace"
        write(path, 1)
        unpacker = msgpack.Unpacker()
        unpacker.feed(path.read_bytes())
        header, record = unpacker
        assert len(list(read_trace(path))) == 1
        for changed in ([*record[:field], value, *record[field + 1 :]], record[:-1], [*record, 1]):
            path.write_bytes(msgpack.packb(header) + msgpack.packb(changed))
            with pytest.raises(TraceError, match=r"is damaged at byte \d+: no record"):
                list(read_trace(path))

    @pytest.mark.parametrize(
        ("header", "what"),
        [
            (["something else"], "does not begin"),
            (["mesostic-trace", 99, "x", 0.0], "version 99"),
            (["mesostic-trace", 1, 5, 0.0], "names no system"),
        ],
    )
    def test_other_files_are_told_apart_by_their_header(self, tmp_path, header, what):
        (tmp_path / "t.trace").write_bytes(msgpack.packb(header))
        with pytest.raises(TraceError, match=what):
            list(read_trace(tmp_path / "t.trace"))

    def test_a_text_file_is_no_trace(self, tmp_path):
        (tmp_path / "t.txt").write_text("[framework]\nname = 'x'\n" * 100)
        with pytest.raises(TraceError, match="is not a trace"):
            list(read_trace(tmp_path / "t.txt"))

    def test_records_are_safe_once_flushed(self, tmp_path):
        writer = TraceWriter(tmp_path / "t.trace", "s")
        for n in range(3):
            writer.write(0.0, "message", "a", "b", "T", n, "", None)
        assert list(read_trace(tmp_path / "t.trace")) == []
        writer.flush()
        assert len(list(read_trace(tmp_path / "t.trace"))) == 3
        writer.close()
        writer.write(0.0, "message", "a", "b", "T", 4, "", None)
        writer.close()
        assert len(list(read_trace(tmp_path / "t.trace"))) == 3

    def test_much_is_flushed_by_size_and_little_by_time(self, tmp_path):
        async def run() -> None:
            async with ActorSystem("s", trace=TraceWriter(tmp_path / "t.trace", "s")) as system:
                system.spawn(Chef)
                await asyncio.sleep(0.4)
                assert list(read_trace(tmp_path / "t.trace")) == []
                await asyncio.sleep(0.2)
                assert len(list(read_trace(tmp_path / "t.trace"))) == 1

        run_virtual(run())
        writer = TraceWriter(tmp_path / "u.trace", "s")
        for n in range(1000):
            writer.write(0.0, "message", "a", "b", "T", n, "", b"x" * 100)
        assert len(list(read_trace(tmp_path / "u.trace"))) > 500
        writer.close()

    def test_a_disk_that_fails_ends_the_trace_and_nothing_else(self, tmp_path, caplog):
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full here")
        writer = TraceWriter("/dev/full", "s")
        for n in range(10_000):
            writer.write(0.0, "message", "a", "b", "T", n, "", b"x" * 100)
        writer.close()
        assert caplog.text.count("the trace ends here") == 1

    def test_a_file_that_cannot_be_opened_is_an_os_error(self, tmp_path):
        with pytest.raises(OSError, match="nonesuch"):
            TraceWriter(tmp_path / "nonesuch" / "t.trace", "s")
        with pytest.raises(OSError, match="nonesuch"):
            list(read_trace(tmp_path / "nonesuch.trace"))


class TestFollowing:
    def test_what_is_written_later_is_read_too(self, tmp_path):
        writer = TraceWriter(tmp_path / "t.trace", "s")
        following = read_trace(tmp_path / "t.trace", follow=True, poll=0.001)
        for n in range(3):
            writer.write(0.0, "message", "a", "b", "T", n, "", None)
            writer.flush()
            assert next(following).seq == n + 1
        writer.close()

    def test_a_log_that_starts_anew_is_read_anew(self, tmp_path):
        path = tmp_path / "t.trace"
        write(path, 3)
        following = read_trace(path, follow=True, poll=0.001)
        assert len(list(itertools.islice(following, 3))) == 3
        write(path, 1)
        assert next(following).content() == {"dish": "dish 0"}


def numbers(writer, first, last):
    for number in range(first, last + 1):
        writer.write(float(number), "message", "a", "b", "t", number, "", b"x" * 100)
        writer.flush()


def test_a_log_that_is_full_is_put_aside_and_the_oldest_go(tmp_path):
    path = tmp_path / "t.trace"
    (tmp_path / "t.trace.7").write_bytes(b"of an earlier run")
    with TraceWriter(path, "t", max_size=1000, keep=2) as writer:
        numbers(writer, 1, 60)
    files = [*older_files(path), path]
    assert [file.name for file in files] == ["t.trace.2", "t.trace.1", "t.trace"]
    assert all(file.stat().st_size <= 1000 and file.stat().st_mode & 0o777 == 0o600 for file in files)
    seen = [record.seq for file in files for record in read_trace(file)]
    assert seen == list(range(seen[0], 61))
    assert 10 < len(seen) < 30


def test_without_a_limit_a_log_stays_one_file_and_without_older_ones_it_begins_again(tmp_path):
    with TraceWriter(tmp_path / "a", "t") as writer:
        numbers(writer, 1, 60)
    assert len(list(read_trace(tmp_path / "a"))) == 60
    with TraceWriter(tmp_path / "b", "t", max_size=1000) as writer:
        numbers(writer, 1, 60)
    assert older_files(tmp_path / "b") == []
    assert next(iter(read_trace(tmp_path / "b"))).seq > 40


def test_a_reader_that_follows_sees_every_record_of_a_log_that_is_put_aside(tmp_path):
    path = tmp_path / "t.trace"
    with TraceWriter(path, "t", max_size=1000, keep=9) as writer:
        numbers(writer, 1, 1)
        following = read_trace(path, follow=True, poll=0.001)
        seen = [next(following).seq]
        for number in range(2, 40):
            numbers(writer, number, number)
            seen.append(next(following).seq)
    assert seen == list(range(1, 40))


def test_a_disk_that_is_full_is_one_sentence_and_harms_nothing(tmp_path, caplog, monkeypatch):
    writer = TraceWriter(tmp_path / "t", "t", max_size=1000, keep=1)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    numbers(writer, 1, 60)
    writer.close()
    assert caplog.text.count("No space left on device; everything else continues") == 1
    assert len(caplog.records) == 1
