"""One request on its own connection, with a body that may be a file: how executors upload results.

For calls, which are small and many, there is `mesos_http.pipeline`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from mesos_http.connecting import Timeouts, connect, start_task
from mesos_http.endpoint import Endpoint
from mesos_http.errors import ConnectionLost, ProtocolError
from mesos_http.requests import Headers, RequestWriter
from mesos_http.responses import Response, ResponseReader
from mesos_http.security import BearerToken, Credentials, TlsSettings

_PIECE = 256 * 1024


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

    A file is streamed, never held in memory; it is read in a thread. An answer that comes before the whole body
    was sent (a refusal) ends the sending.

    Args:
        timeouts: ``response`` bounds each single write and the wait for the answer.

    Raises:
        ConnectFailed: No connection.
        ConnectionLost: It broke, or fell silent, before there was an answer.
        OSError: The file cannot be read.
    """
    file = await asyncio.to_thread(body.open, "rb") if isinstance(body, Path) else None
    try:
        length = await asyncio.to_thread(lambda: body.stat().st_size) if isinstance(body, Path) else len(body)
        writer = RequestWriter(endpoint, headers=(*headers, ("Connection", "close")), credentials=credentials)
        reader = asyncio.StreamReader()
        transport, protocol = await connect(
            lambda: asyncio.StreamReaderProtocol(reader), endpoint, tls=tls, seconds=timeouts.connect
        )
        stream = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
        answer = start_task(_answer(reader), name=f"answer of {endpoint.authority}")
        try:
            stream.write(writer.head(method, endpoint.path, length))
            left = length
            while left and not answer.done():
                if file is not None:
                    piece = await asyncio.to_thread(file.read, min(_PIECE, left))
                    if not piece:
                        raise ConnectionLost("the file became shorter while it was sent")
                else:
                    assert isinstance(body, bytes)
                    piece = body[length - left : length - left + _PIECE]
                left -= len(piece)
                stream.write(piece)
                async with asyncio.timeout(timeouts.response):
                    await stream.drain()
            async with asyncio.timeout(timeouts.response):
                return await answer
        except TimeoutError:
            raise ConnectionLost(f"no answer within {timeouts.response:g} s") from None
        except ProtocolError as error:
            raise ConnectionLost(f"the answer cannot be read: {error}") from error
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error
        finally:
            if not answer.done():
                answer.cancel()
            transport.abort()
    finally:
        if file is not None:
            file.close()


async def _answer(reader: asyncio.StreamReader) -> Response:
    responses = ResponseReader()
    while True:
        data = await reader.read(_PIECE)
        done = responses.feed(data) if data else responses.eof()
        if done:
            return done[0]
        if not data:
            raise ConnectionLost("the other side closed the connection without an answer")
