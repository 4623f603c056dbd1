"""What a task or its executor wrote at last: the end of a file in its sandbox, read from the agent over HTTP.

Mesos: "Operator HTTP API", READ_FILE of the agent. A sandbox has a virtual path, which holds for as long as the agent keeps
its files: `/frameworks/<id>/executors/<id>/runs/latest`. The executor of a plain command has the task's own id.
"""

import asyncio
import re

from mesos_http import Credentials, Endpoint, Timeouts, TlsSettings, TransportError, exchange
from mesos_v1 import pb
from mesos_v1.content import ContentType, parse, serialize
from mesos_v1.errors import ApiError, ContentError

_WANTED = 16 * 1024
_LONGEST_LINE = 300
_UNAUTHORIZED = 401
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# What Mesos itself, and an executor of ours, say when all is well.
_CHATTER = re.compile(
    r"I\d{4,8} \d\d:\d\d:\d\d\.\d+ +\d+ \w+\.[ch]pp:\d+\] |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?:INFO|DEBUG) executor"
)
_SANDBOX = re.compile(r"/[^\s'\"]*/executors/[^/\s]+/runs/[^/\s'\"]+/")
_FRAME = re.compile(r'  File "')
# Frames of Mesostic itself, as it lies in a sandbox.
_OUR_FRAME = re.compile(r'  File "(?:actors|executor|mesos_http|mesos_v1|mesostic)/|  File "<frozen ')
_TRACEBACK = "Traceback (most recent call last):"


class Unreadable(Exception):  # noqa: N818 - what the file is
    """The file cannot be read; why, in a few words."""


async def read_tail(
    agent_url: str,
    path: str,
    *,
    seconds: float,
    tls: TlsSettings | None = None,
    credentials: Credentials | None = None,
) -> bytes:
    """Read the end of a file of an agent's sandboxes.

    The address is as an offer names it, such as `http://10.0.0.7:5051/slave(1)`; credentials are told to an agent that asks
    for them, and to no other. Unreadable: there is no such file, or the agent does not answer in time, or not to us.
    """
    try:
        endpoint = Endpoint.parse(f"{agent_url.rstrip('/')}/api/v1")
        async with asyncio.timeout(seconds):
            try:
                data, size = await _read(endpoint, path, 0, tls, None)
                credentials = None
            except ApiError as error:
                if error.status != _UNAUTHORIZED or credentials is None:
                    raise
                data, size = await _read(endpoint, path, 0, tls, credentials)
            if size > len(data):
                data, _ = await _read(endpoint, path, max(0, size - _WANTED), tls, credentials)
            return data
    except TimeoutError:
        raise Unreadable(f"the agent did not answer within {seconds:g} s") from None
    except (ValueError, TransportError, ApiError, ContentError, OSError) as error:
        raise Unreadable(" ".join(str(error).split())[:200]) from None


async def _read(
    endpoint: Endpoint, path: str, offset: int, tls: TlsSettings | None, credentials: Credentials | None
) -> tuple[bytes, int]:
    call = pb.agent.Call(type=pb.agent.Call.READ_FILE)
    call.read_file.path, call.read_file.offset, call.read_file.length = path, offset, _WANTED
    media = ContentType.PROTOBUF.value
    answer = await exchange(
        "POST",
        endpoint,
        serialize(call, ContentType.PROTOBUF),
        headers=(("Content-Type", media), ("Accept", media)),
        tls=tls,
        credentials=credentials,
        timeouts=Timeouts(),
    )
    if answer.status == 404:
        raise Unreadable("there is none in its sandbox")
    if answer.status != 200:
        raise ApiError(answer.status, answer.body.decode("utf-8", "replace"))
    response = parse(pb.agent.Response, answer.body, ContentType.PROTOBUF)
    return response.read_file.data, response.read_file.size


def last_lines(data: bytes, count: int) -> tuple[str, ...]:
    """Return the last lines that say anything, fit for a terminal: no control characters, none too long.

    The path of the sandbox, and the frames of Mesostic in a traceback, are left out.
    """
    lines: list[str] = []
    ours = False
    for line in data.decode("utf-8", "replace").replace("\r", "\n").split("\n"):
        shown = _SANDBOX.sub("", printable(line)).rstrip()
        if _FRAME.match(shown):
            ours = _OUR_FRAME.match(shown) is not None
        elif ours and not shown.startswith("    "):
            ours = False
        if not shown or ours or _CHATTER.match(shown):
            continue
        if lines and lines[-1] == _TRACEBACK and not shown.startswith(" "):
            lines.pop()  # all of its frames were ours
        lines.append(shown if len(shown) <= _LONGEST_LINE else shown[: _LONGEST_LINE - 1] + "…")
    return tuple(lines[-count:])


def printable(text: str) -> str:
    """Return a line without anything that a terminal would obey."""
    plain = _COLOURS.sub("", text).expandtabs(4)
    return plain if plain.isprintable() else "".join(c if c.isprintable() else "�" for c in plain)
