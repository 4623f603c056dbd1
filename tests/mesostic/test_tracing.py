"""Reading traces: contents are found wherever they travel, filters choose, and a story is told in order of cause."""

import msgpack
import pytest
from click.testing import CliRunner

from actors.runtime import TraceRecord, TraceWriter, message, pack
from actors.runtime.codec.envelope import payload_of
from mesos_v1 import pb
from mesostic.cli import cli
from mesostic.commands.trace import described, statistics
from mesostic.errors import MesosticError
from mesostic.tracing.records import (
    Filters,
    as_json,
    contents,
    is_task_or_attempt,
    mentions,
    protobuf_fields,
    read_all,
    texts_in,
)
from mesostic.tracing.story import Causes, in_order_of_cause, tell_story


@message
class Visit:
    url: str
    links: tuple[str, ...] = ()


def record(number, sender="a", receiver="b", *, kind="message", cause="", system="s", **fields):
    type_ = fields.pop("type", "m:Visit")
    payload = fields.pop("payload", msgpack.packb(fields) if fields else None)
    return TraceRecord(
        number, float(number), system, kind, sender, receiver, type_, f"{system}#{number}", cause, payload
    )


def task_info(task_id, url):
    info = pb.mesos.TaskInfo(name=task_id)
    info.task_id.value = task_id
    info.agent_id.value = "S0"
    info.data = pack(Visit(url))
    return info.SerializeToString()


def accept(info):
    operation = pb.mesos.Offer.Operation(type=pb.mesos.Offer.Operation.LAUNCH)
    operation.launch.task_infos.add().ParseFromString(info)
    return operation.SerializeToString()


URL, OTHER = "http://h/a.html", "http://h/b.html"


def run_of_two_tasks():
    """Two tasks, launched together; the page of the second links to that of the first."""
    one, two = task_info("t-1.1", URL), task_info("t-2.1", OTHER)
    return [
        record(1, "connection", "scheduler", type="m:Subscribed"),
        record(2, "scheduler", "task:t-1", kind="started", cause="s#1"),
        record(3, "scheduler", "task:t-2", kind="started", cause="s#1"),
        record(4, "task:t-1", "offers", cause="s#404", type="m:Demand", task_id="t-1", attempt_id="t-1.1", info=one),
        record(5, "task:t-2", "offers", cause="s#405", type="m:Demand", task_id="t-2", attempt_id="t-2.1", info=two),
        record(6, "connection", "offers", type="m:Offers", offers=[{"id": "O1", "hostname": "h"}]),
        record(7, "offers", "offers", kind="timer", cause="s#5", type="m:MatchDue"),
        record(
            8, "offers", "connection", cause="s#7", type="m:Accept", offer_ids=["O1"], operations=[accept(one), accept(two)],
            attempts=["t-1.1", "t-2.1"],
        ),
        record(9, "offers", "task:t-1", cause="s#7", type="m:Launched", attempt_id="t-1.1"),
        record(1, "agent", "executor", system="e", type="m:Launch", task_id="t-1.1", task=one),
        record(2, "executor", "task:t-1.1", system="e", cause="s#1", type="m:StartTask"),
        record(3, "task:t-1.1", "agent", system="e", cause="e#2", type="m:SendUpdate", task_id="t-1.1", uuid=b"u" * 16),
        record(10, "connection", "scheduler", type="m:Update", status={"task_id": "t-1.1", "uuid": b"u" * 16}),
        record(11, "scheduler", "task:t-1", cause="s#10", type="m:Update", status={"task_id": "t-1.1", "uuid": b"u" * 16}),
        record(12, "task:t-1", "store", cause="s#11", type="m:Write", reference=1),
        record(13, "store", "task:t-1", cause="s#90", type="m:Stored", reference=1),
        record(14, "task:t-1", "connection", cause="s#13", type="m:Acknowledge", task_id="t-1.1"),
        record(15, "scheduler", "results", type="m:Changed", page={"url": OTHER, "links": [URL]}),
        record(16, "scheduler", "results", type="m:Changed", page={"url": URL, "links": []}),
        record(17, "connection", "scheduler", type="m:Update", status={"task_id": "t-2.1", "data": pack(Visit(OTHER, (URL,)))}),
    ]  # fmt: skip


def test_a_story_goes_from_demand_to_acknowledgement_through_mesos_itself():
    told = [
        (line.depth, line.record.system, line.record.type) for line in tell_story(run_of_two_tasks(), URL)
    ]
    assert told == [
        (0, "s", "m:Subscribed"),
        (1, "s", "m:Visit"),  # the task's actor starts
        (2, "s", "m:Demand"),
        (0, "s", "m:Offers"),
        (1, "s", "m:Accept"),
        (2, "s", "m:Launched"),
        (2, "e", "m:Launch"),
        (3, "e", "m:StartTask"),
        (4, "e", "m:SendUpdate"),
        (5, "s", "m:Update"),
        (6, "s", "m:Update"),
        (7, "s", "m:Acknowledge"),
        (0, "s", "m:Changed"),
    ]


def test_a_story_of_a_task_is_asked_for_by_its_id():
    told = {line.record.id for line in tell_story(run_of_two_tasks(), "t-1")}
    assert {"s#4", "s#8", "e#2", "s#14"} <= told
    assert not told & {"s#5", "s#17", "s#3"}


def test_everything_can_be_told_with_what_actors_tell_themselves():
    told = {line.record.type for line in tell_story(run_of_two_tasks(), URL, everything=True)}
    assert {"m:Write", "m:Stored"} <= told


def test_of_what_nobody_speaks_there_is_no_story():
    assert list(tell_story(run_of_two_tasks(), "http://nowhere/")) == []


def test_every_record_of_a_story_is_told_once():
    told = [id(line.record) for line in tell_story(run_of_two_tasks(), "t-1", everything=True)]
    assert len(told) == len(set(told))


def test_causes_that_go_in_a_circle_are_no_endless_story():
    records = [record(1, cause="s#2"), record(2, cause="s#1")]
    assert len(list(in_order_of_cause(records, Causes(records), set()))) <= 2


def test_text_is_found_in_messages_packed_in_protobuf_in_messages():
    demand = record(1, info=task_info("t-1.1", URL))
    assert mentions(demand, "a.html")
    assert not mentions(demand, "b.html")
    assert not mentions(record(1, payload=None), URL)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xff" * 40, b"\x95\x01", b"\x95\x01\xc1", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b"]
)
def test_garbage_is_looked_through_without_an_error(data):
    list(texts_in(data))
    protobuf_fields(data)
    assert described(record(1, payload=data), full=True) is not None
    assert described(record(1, payload=data)) is not None


def test_nesting_without_end_is_looked_through_to_a_limit():
    value: object = "deep"
    for _ in range(200):
        value = [value]
    assert list(texts_in(value)) == []


@pytest.mark.parametrize(
    ("name", "task", "answer"),
    [
        ("t-1", "t-1", True),
        ("t-1.2", "t-1", True),
        ("t-11", "t-1", False),
        ("t-1.x", "t-1", False),
        ("t-1.2.3", "t-1", False),
    ],
)
def test_a_task_is_told_from_its_neighbours(name, task, answer):
    assert is_task_or_attempt(name, task) is answer


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (Filters(), [1, 2, 3]),
        (Filters(actors=("task:*",)), [2]),
        (Filters(actors=("s/b",)), [1, 3]),
        (Filters(types=("Accept",)), [3]),
        (Filters(types=("actors.messages:A*", "V*")), [1, 2, 3]),
        (Filters(kinds=("timer",)), [1]),
        (Filters(tasks=("t-1",)), [2]),
        (Filters(tasks=("t-1",), kinds=("timer",)), []),
    ],
)
def test_filters_choose(filters, numbers):
    records = [
        record(1, kind="timer"),
        record(2, "task:t-1.1", "agent"),
        record(3, type="actors.messages:Accept", attempts=["t-11.1"]),
    ]
    assert [each.seq for each in records if filters.match(each)] == numbers


def test_compact_lines_leave_out_what_is_empty_and_show_what_is_packed():
    line = described(
        record(
            1, task_id="t-1", message="", data=pack(Visit(URL)), uuid=b"u" * 16, healthy=None,
            agent_id="42774417-e1c8-4fff-a562-b74dce71ddd5-S0",
            resources={"entries": [{"name": "cpus", "kind": "SCALAR", "millis": 500}, {"name": "ports", "kind": "RANGES", "ranges": [[1, 2]]}]},
        )
    )  # fmt: skip
    assert line == f"task_id=t-1 data=Visit(url={URL}) agent_id=S0 resources=cpus:0.5;ports:[1-2]"


def test_compact_lines_name_the_tasks_of_operations_and_the_state_of_a_status():
    assert described(record(1, operations=[accept(task_info("t-1.1", URL))])) == "operations=[LAUNCH t-1.1]"
    assert (
        described(record(1, status={"task_id": "t-1.1", "state": "TASK_LOST", "reason": "R"}))
        == "t-1.1 TASK_LOST reason=R"
    )


def test_contents_can_be_written_as_json():
    assert as_json(contents(record(1, a=b"text", b=b"\xff", c=[1, None], d={"e": True}))) == {
        "a": "text",
        "b": "ff",
        "c": [1, None],
        "d": {"e": True},
    }


def write_trace(file, system, times):
    with TraceWriter(file, system) as writer:
        for number, moment in enumerate(times, start=1):
            writer.write(moment, "message", "a", "b", "m:Visit", number, 0, payload_of(Visit(URL)))


def test_traces_of_executors_are_merged_by_time(tmp_path):
    file = tmp_path / "run.trace"
    (tmp_path / "run.trace.executors").mkdir()
    write_trace(file, "main", [1.0, 4.0])
    write_trace(tmp_path / "run.trace.executors" / "x.trace", "x", [2.0, 3.0])
    records = list(read_all([file]))
    assert [(each.system, each.time) for each in records] == [
        ("main", 1.0),
        ("x", 2.0),
        ("x", 3.0),
        ("main", 4.0),
    ]
    assert statistics(records).systems == {"main": 2, "x": 2}


def test_what_is_no_trace_is_named(tmp_path):
    (tmp_path / "no.trace").write_bytes(b"\x00\x01")
    with pytest.raises(
        MesosticError, match=r"^\S*/no\.trace is not a trace: it does not begin with [^:]*\.$"
    ):
        list(read_all([tmp_path / "no.trace"]))
    with pytest.raises(MesosticError, match="does not exist"):
        list(read_all([tmp_path / "none.trace"]))


def test_statistics_count_what_happened():
    counted = statistics(run_of_two_tasks())
    assert counted.kinds == {"message": 17, "started": 2, "timer": 1}
    assert counted.systems == {"s": 17, "e": 3}
    assert counted.receivers["task:*"] == 4
    assert counted.most_actors == 2


@pytest.mark.parametrize(
    "options", [[], ["--full"], ["--json"], ["--ids"], ["--contains", "mine", "--all"]], ids=str
)
def test_what_messages_hold_does_not_command_the_terminal(tmp_path, options):
    evil = "\x1b]0;mine\x07\x9b31m\r\b\u202e\n"
    visit = msgpack.packb({"url": evil, "links": [evil.encode()], "status": {"state": evil, "task_id": evil}})
    with TraceWriter(tmp_path / "t.trace", f"executor:{evil}") as writer:
        for number in (1, 2):
            writer.write(1.0, "message", evil, evil, f"m:{evil}", number, 0, visit)
    shown = CliRunner().invoke(cli, ["trace", "show", str(tmp_path / "t.trace"), *options])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
