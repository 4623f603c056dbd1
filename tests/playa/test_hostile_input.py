"""Hostile input on every route of master and agent: an answer that says what is wrong, never 500, and never a traceback."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from playa import AgentSettings, Cluster, ClusterSettings
from tests.playa.test_who_gets_in import routes  # noqa: F401 - a fixture

SETTINGS = ClusterSettings(agents=(AgentSettings(),), allocation_interval=0.05)
HUGE = "9" * 5_000
DEEP = "[" * 50_000
BODIES: list[bytes] = [
    b"", b"\0", b"\xff\xfe", b"{}", b"[]", b"null", b"7", HUGE.encode(), DEEP.encode(), b'{"type": ' + HUGE.encode() + b"}",
    b'{"type": "NOPE"}', b'{"type": 1e999}', b'{"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "\\ud800", "name": "x"}}}',
    b'{"type": "READ_FILE", "read_file": {"path": "\\u0000", "offset": 0}}',
    b'{"type": "READ_FILE", "read_file": {"path": "/frameworks/a\\u0000b", "offset": 1, "length": 18446744073709551615}}',
    b'{"type": "LIST_FILES", "list_files": {"path": "a\\u0000"}}',
    b'{"type": "GET_METRICS", "get_metrics": {"timeout": {"nanoseconds": ' + HUGE.encode() + b"}}}",
    b'{"type": "TEARDOWN", "teardown": {"framework_id": {"value": "\\u0000\\ud800"}}}',
    b'{"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "\\u0000", "weight": 1e308}]}}',
    b'{"fault": "plan", "delay_updates": ' + HUGE.encode() + b"}", b'{"fault": "plan", "delay_updates": 1e999}',
    b'{"fault": "plan", "answer_status": ' + HUGE[:50].encode() + b"}", b'{"fault": "plan", "answer_text": "\\ud800"}',
    b'{"fault": "kill_agent", "agent": ' + HUGE[:50].encode() + b"}", b'{"fault": "kill_agent", "agent": 7, "restart_after": NaN}',
    b'{"fault": "silence_agent", "agent": 9, "seconds": Infinity}', b'{"fault": ["x"]}', b'{"fault": {"a": 1}}',
    b'{"fault": "remove_framework", "framework_id": "\\ud800"}', b'{"fault": "send_raw", "base64": "\\ud800"}',
    b"frameworkId=%00&frameworkId=%FF", b'{"windows": [{"machine_ids": [{"hostname": "\\u0000"}]}]}',
]  # fmt: skip
QUERIES = [
    "", "?path=%00", "?path=/frameworks/%00", "?path=" + "a" * 5_000, "?path=" + "/.." * 500, "?path=%FF%FE", "?path=/&path=%00",
    f"?limit={HUGE}&offset={HUGE}&order=x", "?limit=-1&offset=-1", f"?path=/frameworks&offset={HUGE}&length={HUGE}",
    "?path=/frameworks&offset=-9&length=-9", f"?timeout={HUGE}secs", "?timeout=%00", "?slave_id=%00", "?framework_id=%FF", "?%00=%00",
    "?role=%00&jsonp=<script>", "?task_id=" + "%F0%9F%92%A9" * 500,
]  # fmt: skip
HEADERS = [
    {"Accept": ";;;q=" + HUGE}, {"Content-Type": "\x7f"}, {"Mesos-Stream-Id": "%00"}, {"Authorization": "Basic " + "=" * 100},
    {"Range": "bytes=" + HUGE + "-"}, {"Range": "bytes=5-1"}, {"If-Modified-Since": "x" * 500}, {"Content-Encoding": "gzip"},
    {"Expect": "x"},
]  # fmt: skip


class Peer:
    """A connection on which anything can be said."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def say(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        try:
            writer.write(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
            answer = await asyncio.wait_for(reader.read(1 << 16), 20)
        finally:
            writer.close()
        return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize("kind", ["bodies", "queries", "headers"])
async def test_no_route_answers_500_whatever_it_is_sent(routes: Any, kind: str, caplog: Any) -> None:  # noqa: F811
    caplog.set_level(logging.WARNING)
    async with Cluster(replace(SETTINGS)) as cluster:
        for method, base, path in routes():
            peer = Peer(int(base.rpartition(":")[2]))
            trials: list[tuple[str, dict[str, str], bytes]] = []
            if kind == "bodies" and method == "POST":
                trials = [
                    ("", {"Content-Type": t}, body)
                    for t in ("application/json", "application/x-protobuf")
                    for body in BODIES
                ]
            elif kind == "queries":
                trials = [(query, {}, b"") for query in QUERIES]
            elif kind == "headers":
                trials = [("", headers, b"") for headers in HEADERS]
            for query, headers, body in trials:
                status, answer = await peer.say(method, path + query, headers, body)
                assert status != 500, (method, path, query, headers, body[:80])
                assert b"Traceback" not in answer
        await cluster.faults.heal()
        assert json.dumps(await cluster.faults.set(), default=str)
    failures = [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]
    assert not failures, failures[0].getMessage()
