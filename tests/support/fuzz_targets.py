"""What is fuzzed: each target takes any bytes, and says with `assert` what must hold of them whatever they are.

The same targets are run by Hypothesis in the tests and, guided by coverage, by `tools/fuzz.py`. An error that a target
expects is the documented one of what it tries; any other exception, a hang, or memory out of proportion is a finding.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from actors.runtime import DecodeError, message, pack, unpack
from mesos_http.http1 import ResponseParser
from mesos_v1 import content, events, executor_events, pb, recordio
from mesos_v1.content import ContentType
from mesos_v1.errors import BadEvent, ContentError, OperationError, RecordIOError, ResourceError
from mesos_v1.operations import inject_allocation
from mesos_v1.resource_text import parse_attributes
from mesos_v1.resources import Resources
from mesos_v1.values import Attribute, Offer, TaskStatus

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 4096  # bytes of a record, so that too long ones are found soon
CONFIG = """
[framework]
name = "f"
master = "http://h:5050"
roles = ["a"]
failover_timeout = "30s"
[cluster]
agents = 2
resources = "cpus:1"
[trace]
file = "x"
[offers]
[store]
path = ""
"""
READERS: tuple[tuple[Any, Any], ...] = (
    (events.read, pb.scheduler.Event),
    (executor_events.read, pb.executor.Event),
)


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes in pieces: whole, one at a time, and as the bytes themselves suggest."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    step = 1 + (data[0] if data else 0) % 31
    yield [data[i : i + step] for i in range(0, len(data), step)]


def recordio_stream(data: bytes) -> None:
    """Records or a RecordIOError, the same however the bytes are cut, and no more kept than came."""
    outcomes = []
    for pieces in cuts(data[:2048]):
        decoder = recordio.Decoder(max_record_bytes=LIMIT)
        records: list[bytes] = []
        error = ""
        try:
            for piece in pieces:
                records += decoder.feed(piece)
                assert decoder.pending <= LIMIT + 20
            decoder.finish()
        except RecordIOError as broken:
            error = type(broken).__name__
        outcomes.append((records, error))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    stream = b"".join(recordio.encode(record) for record in outcomes[0][0])
    assert recordio.Decoder().feed(stream) == outcomes[0][0]


def protobuf_events(data: bytes) -> None:
    """An event or a known error; what was read is the same after it was written and read again."""
    for read, cls in READERS:
        try:
            proto = content.parse(cls, data, ContentType.PROTOBUF)
            event = read(proto)
        except (ContentError, BadEvent):
            continue
        hash(event)
        content.serialize(proto, ContentType.JSON)
        if cls is pb.scheduler.Event:
            assert type(events.parse(data, ContentType.PROTOBUF)) is type(event)
        again = content.parse(cls, content.serialize(proto, ContentType.PROTOBUF), ContentType.PROTOBUF)
        assert repr(read(again)) == repr(event)
        if isinstance(event, events.Offers):
            for offer in event.offers:
                Resources.from_proto(offer.resources.to_proto())
                assert Offer.from_proto(pb.mesos.Offer.FromString(offer.raw)).resources == offer.resources


def json_events(data: bytes) -> None:
    """An event or a known error; a message that could be read is printed and read again unchanged."""
    for read, cls in READERS:
        try:
            proto = content.parse(cls, data, ContentType.JSON)
        except ContentError:
            continue
        printed = content.serialize(proto, ContentType.JSON)
        again = content.parse(cls, printed, ContentType.JSON)
        assert content.serialize(again, ContentType.JSON) == printed
        try:
            hash(read(proto))
        except BadEvent:
            continue


def calls(data: bytes) -> None:
    """A call or a ContentError; its operations can be applied to an offer, or say why not."""
    for content_type in ContentType:
        try:
            call = content.parse(pb.scheduler.Call, data, content_type)
        except ContentError:
            continue
        content.serialize(call, ContentType.JSON)
        left = Resources.parse("cpus:4;mem:1024;disk:1000;ports:[1-9]").allocate("ads")
        for operation in call.accept.operations:
            try:
                left = left.apply(inject_allocation(operation, "ads"))
            except OperationError as error:
                str(error)
            assert Resources.from_proto(left.to_proto()) == left


def resource_text(data: bytes) -> None:
    """Resources and attributes or a ResourceError; what was read prints as text that reads the same."""
    text = data.decode("utf-8", "replace")
    try:
        resources = Resources.parse(text)
    except ResourceError:
        pass
    else:
        assert Resources.from_proto(resources.to_proto()) == resources
        assert resources in resources + resources
        assert str(resources.take(resources)) is not None
        assert not resources - resources
    try:
        for proto in parse_attributes(text):
            str(Attribute.from_proto(proto))
    except ResourceError:
        pass


@message(name="fuzz:Nested")
class Nested:
    """A message with a field of each shape, nested in itself by way of a tuple of bytes."""

    number: int
    ratio: float
    text: str
    data: bytes
    flag: bool | None
    pairs: tuple[tuple[str, int], ...]
    status: TaskStatus | None = None
    offer: Offer | None = None


def msgpack_codec(data: bytes) -> None:
    """A message of ours or a DecodeError; what was unpacked packs and unpacks unchanged."""
    try:
        envelope = unpack(data, max_bytes=1 << 20, max_depth=32)
    except DecodeError:
        return
    packed = pack(envelope.message, id=envelope.id, cause=envelope.cause)
    again = unpack(packed)
    assert repr(again) == repr(envelope)  # NaN is not equal to itself
    assert pack(again.message, id=again.id, cause=again.cause) == packed


def config_text(data: bytes) -> None:
    """A composition or a ConfigError with its problems told; nothing is started, nothing else raised."""
    from mesostic.config.compose import compose
    from mesostic.config.document import parse_document
    from mesostic.errors import ConfigError

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return
    if "class" in text.replace("Scheduler", "").replace("examples.", ""):
        return  # importing whatever a fuzzer makes up is not what is tried here
    try:
        compose(parse_document(text, file="fuzz.toml", folder=Path(tempfile.gettempdir()) / "mesostic-fuzz"))
    except ConfigError as error:
        told = error
    else:
        return
    assert str(told)
    assert all("\n" not in problem for problem in told.problems)


def http_responses(data: bytes) -> None:
    """Parts of responses or a ProtocolError, the same however the bytes are cut."""
    outcomes = []
    for pieces in cuts(data[:2048]):
        parser = ResponseParser(max_head=1024)
        parts: list[object] = []
        for piece in pieces:
            parts += parser.feed(piece)
        parts += parser.eof()
        joined: list[object] = []
        for part in parts:  # a body may come in any pieces
            if isinstance(part, bytes) and joined and isinstance(joined[-1], bytes):
                joined[-1] += part
            else:
                joined.append(part)
        outcomes.append((joined, parser.error is not None))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def _recorded(kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for path in sorted((ROOT / "tests" / "recorded").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["kind"] in kinds:
                yield entry


def _recorded_events() -> Iterator[tuple[type, dict[str, object]]]:
    seen = set()
    for entry in _recorded(("event",)):
        event = entry["event"]
        if entry["conn"] == "operator-stream" or not isinstance(event, dict) or "type" not in event:
            continue
        cls = pb.executor.Event if entry.get("side") == "executor" else pb.scheduler.Event
        if (cls, event["type"], len(str(event)) // 200) not in seen:
            seen.add((cls, event["type"], len(str(event)) // 200))
            yield cls, event


def seeds(name: str) -> list[bytes]:
    """Good examples to begin from: what Mesos really sent, and what this project really writes."""
    protos: list[Any] = [content.from_json(cls, event) for cls, event in _recorded_events()]
    binary = [proto.SerializeToString() for proto in protos]
    match name:
        case "recordio":
            return [
                b"".join(recordio.encode(each) for each in binary[i : i + 3])
                for i in range(0, len(binary), 3)
            ]
        case "protobuf-events":
            return binary
        case "json-events":
            return [json.dumps(event).encode() for _, event in _recorded_events()]
        case "calls":
            bodies = [
                entry["body"] for entry in _recorded(("request",)) if isinstance(entry.get("body"), dict)
            ]
            accepts: list[Any] = [
                body for body in bodies if body.get("type") == "ACCEPT" and "accept" in body
            ]
            return [
                seed
                for body in accepts[::4] + [body for body in accepts if "reserve" in str(body)]
                for seed in (
                    json.dumps(body).encode(),
                    content.from_json(pb.scheduler.Call, body).SerializeToString(),
                )
            ]
        case "resources":
            return [
                b"cpus:4;mem:1024.5;ports:[31000-32000, 33000-33001];disks:{a, b}",
                b"cpus(ads):2;rack:r1",
                b'[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"reservations":[{"role":"a"}]}]',
            ]
        case "msgpack":
            found = [Nested(1, 0.5, "x", b"y", True, (("a", 1),)), Nested(2**70, -1.0, "", b"", None, ())]
            packed = [pack(each, id="s#1", cause="s#0") for each in found]
            for event in (events.read(proto) for proto in protos if isinstance(proto, pb.scheduler.Event)):
                status = event.status if isinstance(event, events.Update) else None
                offer = event.offers[0] if isinstance(event, events.Offers) else None
                if status is not None or offer is not None:
                    packed.append(pack(Nested(1, 1.0, "t", b"", None, (), status, offer)))
            return packed
        case "config":
            files = sorted((ROOT / "examples").glob("*/*.toml")) + sorted((ROOT / "examples").glob("*.toml"))
            return [path.read_bytes() for path in files] + [CONFIG.encode()]
        case "http-responses":
            return [
                b"HTTP/1.1 202 Accepted\r\nDate: x\r\nContent-Length: 0\r\n\r\n" * 2,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad",
            ]
    raise ValueError(name)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "recordio": recordio_stream,
    "protobuf-events": protobuf_events,
    "json-events": json_events,
    "calls": calls,
    "resources": resource_text,
    "msgpack": msgpack_codec,
    "config": config_text,
    "http-responses": http_responses,
}
