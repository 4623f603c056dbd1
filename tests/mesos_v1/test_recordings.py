"""Everything that a real Mesos sent can be read, and is printed back as Mesos printed it."""

import base64
import json
from typing import Any

import pytest

from mesos_v1 import content, events, executor_events, pb, recordio
from mesos_v1.content import ContentType


def without_internal(value):
    """Drop the one field that Mesos prints and the V1 schema does not have: `checkpoint` of an agent's info."""
    if isinstance(value, list):
        return [without_internal(item) for item in value]
    if isinstance(value, dict):
        agent = "hostname" in value and "port" in value
        return {k: without_internal(v) for k, v in value.items() if not (agent and k == "checkpoint")}
    return value


def event_class(line):
    if line.get("side") == "executor":
        return pb.executor.Event
    return pb.master.Event if line["conn"] == "operator-stream" else pb.scheduler.Event


@pytest.fixture(scope="module")
def recorded_events(recorded):
    return [line for line in recorded() if line["kind"] == "event"]


def test_every_recorded_event_is_printed_back_as_mesos_printed_it(recorded_events):
    compared = 0
    for line in recorded_events:
        if "b64" in line["event"]:
            continue
        message = content.from_json(event_class(line), line["event"])
        # compared as text: the order of the fields is Mesos's too
        assert json.dumps(content.to_json(message)) == json.dumps(without_internal(line["event"])), line[
            "file"
        ]
        compared += 1
    assert compared > 240


def test_every_recorded_answer_of_the_operator_api_is_printed_back_as_mesos_printed_it(recorded):
    asked = ""
    seen: set[str] = set()
    for line in recorded("operator_api"):
        if line.get("conn") != "operator":
            continue
        if line["kind"] == "request":
            asked = line["body"]["type"]
        elif isinstance(line["body"], dict):
            agents = asked in {"GET_AGENT", "GET_CONTAINERS"} or (
                {"GET_AGENT"} <= seen and asked in {"GET_TASKS", "GET_EXECUTORS"}
            )
            cls = pb.agent.Response if agents else pb.master.Response
            message = content.from_json(cls, line["body"])
            assert json.dumps(content.to_json(message)) == json.dumps(without_internal(line["body"])), asked
            seen.add(asked)
    assert len(seen) >= 12, sorted(seen)


def test_every_recorded_event_is_the_same_in_protobuf(recorded_events):
    for line in recorded_events:
        if "b64" in line["event"]:
            continue
        cls = event_class(line)
        message = content.from_json(cls, line["event"])
        data = content.serialize(message, ContentType.PROTOBUF)
        again = content.parse(cls, data, ContentType.PROTOBUF)
        assert again == message
        assert content.parse(cls, content.serialize(again, ContentType.JSON), ContentType.JSON) == message


def test_every_recorded_event_of_a_scheduler_or_executor_is_read_as_what_it_is(recorded_events):
    seen: set[str] = set()
    for line in recorded_events:
        cls = event_class(line)
        if "b64" in line["event"] or cls is pb.master.Event:
            continue
        reader = executor_events if cls is pb.executor.Event else events
        event = reader.read(content.from_json(cls, line["event"]))
        assert not isinstance(event, events.Unknown | executor_events.Unknown)
        assert type(event).__name__.upper() == line["event"]["type"].replace("_", "")
        hash(event)
        seen.add(f"{cls.DESCRIPTOR.full_name} {line['event']['type']}")
    assert len(seen) >= 16, sorted(seen)


def test_the_recorded_protobuf_stream_decodes(recorded):
    lines = [line for line in recorded("protobuf_stream") if line["kind"] == "event"]
    records = [base64.b64decode(line["event"]["b64"]) for line in lines]
    stream = b"".join(recordio.encode(record) for record in records)
    assert recordio.Decoder().feed(stream) == records
    read = [events.read(content.parse(pb.scheduler.Event, each, ContentType.PROTOBUF)) for each in records]
    subscribed, heartbeat, offers, again = read
    assert isinstance(subscribed, events.Subscribed)
    assert subscribed.heartbeat_interval == 15
    assert subscribed.master is not None
    assert subscribed.master.version == "1.12.0"
    assert isinstance(heartbeat, events.Heartbeat)
    assert isinstance(again, events.Heartbeat)
    assert isinstance(offers, events.Offers)
    (offer,) = offers.offers
    assert offer.resources.cpus == 4
    assert offer.attribute("rack") == "r1"
    assert offer.url.endswith(":5051/slave(1)")


def test_every_recorded_call_that_was_accepted_is_read(recorded):
    waiting = {}
    count = 0
    for line in recorded():
        if line["kind"] == "request":
            waiting[line["file"], line["conn"]] = line
        if line["kind"] != "response" or line["status"] not in {200, 202}:
            continue
        request = waiting.get((line["file"], line["conn"]))
        if request is None or not isinstance(request.get("body"), dict):
            continue
        cls: Any = pb.scheduler.Call
        if request.get("side") == "executor":
            cls = pb.executor.Call
        elif request["conn"].startswith("operator"):
            agents = request["body"]["type"] in {"GET_AGENT", "GET_CONTAINERS"}
            cls = pb.agent.Call if agents else pb.master.Call
        call = content.from_json(cls, request["body"])
        assert cls.Type.Name(call.type) == request["body"]["type"]
        count += 1
    assert count > 150
