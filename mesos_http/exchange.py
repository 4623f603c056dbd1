"""One request on its own connection, with a body that may be a file: how executors upload results.

For calls, which are small and many, there is `mesos_http.pipeline`.
"""

import asyncio
import io
import os
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from mesos_http.connecting import BearerToken, Credentials, Timeouts, TlsSettings, connect, start_task
from mesos_http.endpoint import Endpoint
from mesos_http.errors import ConnectionLost, TransportError
from mesos_http.http1 import Headers, RequestWriter, Response, ResponseReader

_PIECE = 256 * 1024
_HEALTH = {"/master/health": "MASTER", "/slave(1)/health": "AGENT"}


async def exchange(
    method: str,
    endpoint: Endpoint,
    body: bytes | Path = b"",
    *,
    headers: Headers = (),
    tls: TlsSettings | None = None,
    credentials: Credentials | BearerToken | None = None,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
) -> Response:
    """Send a request and give the answer, of whatever status.

    A file is streamed from a thread, never held in memory; OSError if it cannot be read. An answer that comes before the whole
    body was sent (a refusal) ends the sending. ``timeouts.response`` bounds each single write and the wait for the answer.
    TransportError: no connection, or it broke or fell silent before there was an answer.
    """
    file: BinaryIO = await asyncio.to_thread(body.open, "rb") if isinstance(body, Path) else io.BytesIO(body)
    with file:
        left = file.seek(0, os.SEEK_END)
        file.seek(0)
        writer = RequestWriter(endpoint, headers=(*headers, ("Connection", "close")), credentials=credentials)
        reader = asyncio.StreamReader()
        transport, protocol = await connect(
            lambda: asyncio.StreamReaderProtocol(reader), endpoint, tls=tls, seconds=timeouts.connect
        )
        stream = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
        answer = start_task(_answer(reader), name=f"answer of {endpoint.authority}")
        try:
            stream.write(writer.head(method, endpoint.path, left))
            while left and not answer.done():
                piece = await asyncio.to_thread(file.read, min(_PIECE, left))
                if not piece:
                    raise ConnectionLost("the file became shorter while it was sent")
                left -= len(piece)
                stream.write(piece)
                async with asyncio.timeout(timeouts.response):
                    await stream.drain()
            async with asyncio.timeout(timeouts.response):
                return await answer
        except TimeoutError:
            raise ConnectionLost(f"no answer within {timeouts.response:g} s") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error
        finally:
            answer.cancel()
            transport.abort()


async def _answer(reader: asyncio.StreamReader) -> Response:
    responses = ResponseReader()
    while True:
        data = await reader.read(_PIECE)
        done = responses.feed(data) if data else responses.eof()
        if done:
            return done[0]
        if responses.error is not None:
            raise ConnectionLost(f"the answer cannot be read: {responses.error}")
        if not data:
            raise ConnectionLost("the other side closed the connection without an answer")


class Peer(Enum):
    """What an address turns out to be."""

    MASTER = "a Mesos master"
    AGENT = "a Mesos agent"
    OTHER = "neither a Mesos master nor an agent"


async def who_answers(
    endpoint: Endpoint, *, tls: TlsSettings | None = None, seconds: float = 5.0
) -> Peer | None:
    """Find out what answers at `endpoint`; None if nothing does.

    Masters and agents both serve /api/v1 in some form, but each has a health check under its own name (tried on Mesos 1.12).
    """
    for path, name in _HEALTH.items():
        try:
            answer = await exchange(
                "GET", endpoint.with_path(path), tls=tls, timeouts=Timeouts(seconds, seconds)
            )
        except (TransportError, OSError):
            return None
        if answer.status == 200 and not answer.body:
            return Peer[name]
    return Peer.OTHER
