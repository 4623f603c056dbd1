"""Play a recording against the embedded cluster: send what was sent, and compare what comes with what came.

How it works. Records are taken in their order. A request is sent (ids translated) and answered before the next one. A
recorded event waits for the actual event of the same kind on that stream: events of different tasks may come in
another order, those of one task may not. What came and was not recorded is reported at the end. Waits of the recording are not
repeated: what it waited for is waited for.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from mesos_v1 import content, pb
from mesos_v1.content import ContentType
from mesos_v1.recordio import Decoder
from tests.support.comparing import Ids, differences

RECORDED = Path(__file__).parents[1] / "recorded"
Record = dict[str, Any]
Action = Callable[[], Awaitable[None]]
NO_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


def read(scenario: str) -> list[Record]:
    """The records of a scenario."""
    lines = (RECORDED / f"{scenario}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


class Stream:
    """A subscription: its events as they came, and whether it ended."""

    def __init__(self) -> None:
        self.events: list[Record] = []
        self.unmatched: list[Record] = []
        self.closed = False
        self.heard_heartbeat = False
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def follow(self, response: aiohttp.ClientResponse, *, protobuf: type[Any] | None) -> None:
        """Read events in the background."""
        self._response = response
        self.task = asyncio.create_task(self._read(response, protobuf))

    async def _read(self, response: aiohttp.ClientResponse, protobuf: type[Any] | None) -> None:
        decoder = Decoder()
        try:
            async for chunk in response.content.iter_any():
                for record in decoder.feed(chunk):
                    if protobuf is not None:
                        event = content.to_json(content.parse(protobuf, record, ContentType.PROTOBUF))
                    else:
                        event = json.loads(record)
                    self.events.append(event)
                    self.unmatched.append(event)
                self.changed.set()
        except aiohttp.ClientError:
            pass
        finally:
            self.closed = True
            self.changed.set()

    async def hang_up(self) -> None:
        """Close the connection from this side."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self._response.close()

    async def wait(self, ready: Callable[[], Any], seconds: float) -> Any:
        """What `ready` gives as soon as it gives something; None when the time is over."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            found = ready()
            if found is not None:
                return found
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), left)
            except TimeoutError:
                return ready()


def key_of(event: Record) -> tuple[str, ...]:
    """Events with the same key are the same step of the story; among them, order counts."""
    kind = event["type"]
    if kind == "UPDATE":
        status = event["update"]["status"]
        return (kind, status["task_id"]["value"])
    if kind == "TASK_UPDATED":
        return (kind, event["task_updated"]["status"]["task_id"]["value"])
    if kind == "UPDATE_OPERATION_STATUS":
        return (kind, event["update_operation_status"]["status"]["operation_id"]["value"])
    return (kind,)


@dataclass
class Replay:
    """One scenario being played.

    Attributes:
        base: The master's URL.
        agent_base: The agent's, for requests that the recorder sent there.
        on_note: What to do when a note (by its text) is reached.
        event_timeout: How long an event may take.
        heartbeats: Whether to wait for heartbeats after the first, which comes at once.
    """

    base: str
    agent_base: Callable[[], Awaitable[str]]
    on_note: dict[str, Action] = field(default_factory=dict)
    event_timeout: float = 15.0
    heartbeats: bool = False
    rewrite: Callable[[Any], Any] = lambda body: body
    ids: Ids = field(default_factory=Ids)
    problems: list[str] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, dict[str, str], str]]] = field(default_factory=dict)
    bases: list[str] = field(default_factory=list)

    async def play(self, records: list[Record]) -> None:
        """Play all records of the scheduler's side."""
        self._names = Counter(r["conn"] for r in records if r["kind"] == "event")
        at_agent = _requests_at_agent(records)
        async with aiohttp.ClientSession(skip_auto_headers=NO_AUTOMATIC) as session:
            for number, record in enumerate(records):
                if record.get("side") == "executor" or record["kind"] == "environment":
                    continue
                where = f"{number + 1} {record.get('conn', '')} {record['kind']}"
                if record["kind"] == "request":
                    base = await self.agent_base() if number in at_agent else self.base
                    await self._request(session, base, record, where)
                elif record["kind"] == "response":
                    self._response(record, where)
                elif record["kind"] == "event":
                    await self._event(record, where)
                elif record["kind"] == "closed":
                    await self._closed(record, where)
                elif record["text"] in self.on_note:
                    await self.on_note[record["text"]]()
            for stream in self.streams.values():
                await stream.hang_up()
        for name, stream in self.streams.items():
            for event in stream.unmatched:
                if event["type"] != "HEARTBEAT":
                    self.problems.append(f"end {name}: {json.dumps(event)[:600]} came and was not recorded")

    async def _request(self, session: aiohttp.ClientSession, base: str, record: Record, where: str) -> None:
        body = self.rewrite(self.ids.translate(record.get("body")))
        headers = self.ids.translate(record.get("headers") or {})
        data: bytes | None = None
        if isinstance(body, dict):
            data = json.dumps(body).encode()
        elif isinstance(body, str):
            is_protobuf = headers.get("Content-Type") == "application/x-protobuf"
            garbage = "\ufffd" in body
            data = (
                b"\xff\xfe\x00garbage"
                if garbage
                else base64.b64decode(body)
                if is_protobuf
                else body.encode()
            )
        response = await session.request(record["method"], base + record["path"], data=data, headers=headers,
                                         allow_redirects=False)  # fmt: skip
        conn = record["conn"]
        streaming = response.status == 200 and response.headers.get("Transfer-Encoding") == "chunked"
        text = ""
        if streaming:
            stream = self.streams[conn] = Stream()
            protobuf = response.headers["Content-Type"] == ContentType.PROTOBUF.value
            stream.follow(response, protobuf=pb.scheduler.Event if protobuf else None)
        else:
            text = await response.text()
        self.answers.setdefault(conn, []).append((response.status, dict(response.headers), text))

    def _response(self, record: Record, where: str) -> None:
        status, headers, text = self.answers[record["conn"]].pop(0)
        if status != record["status"]:
            self.problems.append(f"{where}: status {record['status']} was recorded, {status} came: {text!r}")
        if record.get("headers"):
            self._compare(record["headers"], headers, f"{where}.headers")
        expected: Any = record.get("body") or ""
        actual: Any = json.loads(text) if isinstance(expected, (dict, list)) and text else text
        if record.get("headers") or expected:
            self._compare(expected, actual, f"{where}.body")

    async def _event(self, record: Record, where: str) -> None:
        stream = self.streams.get(record["conn"])
        if stream is None:
            self.problems.append(f"{where}: there is no such stream")
            return
        expected = record["event"]
        if "b64" in expected:
            message = pb.scheduler.Event.FromString(base64.b64decode(expected["b64"]))
            expected = content.to_json(message)
        key = key_of(expected)
        if key == ("HEARTBEAT",) and not self.heartbeats and stream.heard_heartbeat:
            return
        stream.heard_heartbeat |= key == ("HEARTBEAT",)
        actual = await stream.wait(lambda: next((e for e in stream.unmatched if key_of(e) == key), None),
                                   self.event_timeout)  # fmt: skip
        if actual is None:
            self.problems.append(f"{where}: {json.dumps(expected)[:300]} did not come")
            return
        stream.unmatched.remove(actual)
        self._compare(expected, actual, f"{where} {'/'.join(key)}")

    async def _closed(self, record: Record, where: str) -> None:
        stream = self.streams.get(record["conn"])
        if stream is None:
            return
        if record["why"] == "AttributeError":  # the recorder itself closed it
            await stream.hang_up()
        elif not await stream.wait(lambda: stream.closed or None, self.event_timeout):
            self.problems.append(f"{where}: the stream was closed, but is open")

    def _compare(self, recorded: Any, actual: Any, where: str) -> None:
        self.problems += differences(recorded, actual, self.ids, where)


def _requests_at_agent(records: list[Record]) -> set[int]:
    """Numbers of the requests that went to the agent: the recorder asked the master first, then the agent."""
    chosen: set[int] = set()
    if not any(r["kind"] == "request" and r["body"] == {"type": "GET_CONTAINERS"} for r in records):
        return chosen  # it asked the master alone
    seen: Counter[str] = Counter()
    for number, record in enumerate(records):
        if record["kind"] != "request":
            continue
        if record["conn"] == "http":
            seen[record["path"]] += 1
            if record["path"] in {"/version", "/state"} and seen[record["path"]] > 1:
                chosen.add(number)
        elif record["conn"] == "operator":
            kind = record["body"]["type"]
            seen[kind] += 1
            after_agent = any(n in chosen for n in range(number))
            if kind in {"GET_AGENT", "GET_CONTAINERS"} or (
                kind != "NOPE" and (seen[kind] > 1 or after_agent)
            ):
                chosen.add(number)
    return chosen
