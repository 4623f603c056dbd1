"""A tap on the wire between a scheduler and the master: passes everything on, and writes down each call as it goes by.

What a scheduler that is killed has sent is known here whatever it wrote of it itself. One line of JSON per call, in order; and one
for each call that was refused (`refused` is its number), as soon as that is answered.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections import deque
from pathlib import Path
from typing import Any

from mesos_v1 import pb
from mesos_v1.content import ContentType, parse

Call = pb.scheduler.Call
_CHUNK = 256 * 1024


class Tap:
    """Listens on `port` while the block lasts; `scheduler` is whose calls these are."""

    def __init__(self, scheduler: str, master_port: int, book: Path) -> None:
        self.scheduler, self._master_port, self._book = scheduler, master_port, book
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> "Tap":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._master_port)
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._open.discard(writer)
        self._open |= {writer, ours}
        unanswered: deque[int] = deque()
        answers = asyncio.create_task(self._answers(theirs, writer, unanswered))
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._requests(reader, ours, unanswered)
        finally:
            ours.close()
            await asyncio.wait((answers,), timeout=1.0)
            answers.cancel()
            writer.close()
            self._open -= {writer, ours}

    async def _requests(
        self, reader: asyncio.StreamReader, master: asyncio.StreamWriter, unanswered: deque[int]
    ) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            headers = _headers(head)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            number = next(self._numbers)
            unanswered.append(number)
            if body:
                call = described(parse(Call, body, ContentType(headers["content-type"])))
                self._note({"at": time.time(), "scheduler": self.scheduler, "number": number, **call})
            master.write(head + body)
            await master.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unanswered: deque[int]
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                headers, status = _headers(head), int(head.split(b" ", 2)[1])
                number = unanswered.popleft()
                if status >= 300:
                    self._note({"scheduler": self.scheduler, "refused": number, "status": status})
                writer.write(head)
                if "content-length" not in headers:  # a subscription, to its end
                    while data := await reader.read(_CHUNK):
                        writer.write(data)
                        await writer.drain()
                    break
                writer.write(await reader.readexactly(int(headers["content-length"])))
                await writer.drain()
        if not writer.is_closing():
            writer.close()

    def _note(self, said: dict[str, Any]) -> None:
        with self._book.open("a") as book:
            book.write(json.dumps(said) + "\n")


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").splitlines())
    return {name.lower(): value.strip() for name, _, value in lines}


def described(call: Call) -> dict[str, Any]:
    """What the judge wants to know of a call."""
    said: dict[str, Any] = {"call": Call.Type.Name(call.type)}
    if call.type == Call.ACCEPT:
        said["offers"] = [each.value for each in call.accept.offer_ids]
        said["tasks"] = [
            info.task_id.value
            for operation in call.accept.operations
            for info in (*operation.launch.task_infos, *operation.launch_group.task_group.tasks)
        ]
    elif call.type == Call.DECLINE:
        said["offers"] = [each.value for each in call.decline.offer_ids]
    elif call.type == Call.ACKNOWLEDGE:
        said["task"], said["uuid"] = call.acknowledge.task_id.value, call.acknowledge.uuid.hex()
    elif call.type == Call.KILL:
        said["task"] = call.kill.task_id.value
    return said
