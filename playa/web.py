"""HTTP as Mesos speaks it: what the master's and the agents' servers share, without routes and state of Mesos.

Content negotiation, error bodies word for word, HTTP Basic authentication, and event streams of RecordIO records
(Mesos documentation, "Scheduler HTTP API").
"""

import asyncio
import hmac
import json
import logging
import re
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TypeVar

from aiohttp import BasicAuth, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware
from google.protobuf.message import Message

from mesos_v1 import content, origins, recordio
from mesos_v1.content import ContentError, ContentType

log = logging.getLogger(__name__)

STREAM_ID_HEADER = "Mesos-Stream-Id"
_TEXT = "text/plain; charset=utf-8"

M = TypeVar("M", bound=Message)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request that gets an error status, with a body of plain text; raised anywhere in a handler."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def refuse(wrong: str | None, status: int = 400) -> None:
    """Refuse a request that something is wrong with."""
    if wrong is not None:
        raise Refused(status, wrong)


def plain(status: int, text: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of plain text; without a text there is no content type either, as from Mesos."""
    more = {**(headers or {}), **({"Content-Type": _TEXT} if text else {})}
    return web.Response(status=status, body=text.encode(), headers=more)


def method_not_allowed(received: str, allowed: Sequence[str]) -> Refused:
    """405 in Mesos's words."""
    listed = ", ".join(f"'{method}'" for method in allowed)
    text = f"405 Method Not Allowed. Expecting one of {{ {listed} }}, but received '{received}'."
    return Refused(405, text, {"Allow": ", ".join(allowed)})


def json_bytes(value: object) -> bytes:
    """JSON as Mesos writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def json_answer(value: object) -> web.Response:
    """200 with JSON; without JSONP, which lets any web page read it."""
    return web.Response(body=json_bytes(value), headers={"Content-Type": "application/json"})


def parse_message(body: bytes, content_type: str | None, cls: type[M], name: str = "Call") -> M:
    """A body as a protobuf message, from JSON or protobuf by its content type; else refused in Mesos's words."""
    if content_type is None:
        raise Refused(400, "Expecting 'Content-Type' to be present")
    media_type = content_type.split(";")[0].strip().lower()
    if media_type == ContentType.JSON.value:
        return _from_json(body, cls, name)
    if media_type != ContentType.PROTOBUF.value:
        raise Refused(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
    try:
        return content.parse(cls, body, ContentType.PROTOBUF)
    except ContentError:
        raise Refused(400, f"Failed to parse body into {name} protobuf") from None


def _from_json(body: bytes, cls: type[M], name: str) -> M:
    text, failed = body.decode("utf-8", "replace"), "Failed to parse body into JSON"
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        near = text[error.pos :].split("\n", 1)[0]
        raise Refused(400, f"{failed}: syntax error at line {error.lineno} near: {near}") from None
    except RecursionError:
        raise Refused(400, f"{failed}: nested too deeply") from None
    except ValueError:
        raise Refused(400, f"{failed}: a number has too many digits") from None
    if not isinstance(value, dict):
        raise Refused(400, f"Failed to convert JSON into {name} protobuf: Expecting a JSON object")
    try:
        return content.from_json(cls, value)
    except ContentError as error:
        why = re.sub(r"^[\w.\[\]\"]+: ", "", str(error))  # Mesos does not say where
        raise Refused(400, f"Failed to convert JSON into {name} protobuf: {why}") from None


def chosen_type(accept: str | None) -> ContentType:
    """The form of the answer that an Accept header asks for; JSON where it asks for nothing, as Mesos; 406 for neither."""
    for form in (ContentType.JSON, ContentType.PROTOBUF):
        if accept is None or _accepts(accept, form.value):
            return form
    raise Refused(406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")


def _accepts(header: str, media_type: str) -> bool:
    """Whether an Accept header allows a media type (RFC 9110, section 12.5.1; a weight of 0 forbids)."""
    main, _, _ = media_type.partition("/")
    for entry in header.split(","):
        kind, *parameters = (part.strip().lower() for part in entry.split(";"))
        forbidden = any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
        if kind in {media_type, f"{main}/*", "*/*"} and not forbidden:
            return True
    return False


@lru_cache(256)  # a framework sends the same with every call
def _read_basic(header: str) -> BasicAuth:
    return BasicAuth.decode(header, "utf-8")


def principal_of(
    request: web.Request, credentials: Mapping[str, str], realm: str, *, required: bool
) -> str | None:
    """Who sends the request, by HTTP Basic authentication (RFC 7617); 401 when that is required and wrong."""
    if not required:
        return None
    refused = Refused(401, "401 Unauthorized.", {"WWW-Authenticate": f'Basic realm="{realm}"'})
    try:
        given = _read_basic(request.headers.get("Authorization", ""))
    except ValueError:
        raise refused from None
    expected = credentials.get(given.login)
    if expected is None or not hmac.compare_digest(expected.encode(), given.password.encode()):
        raise refused
    return str(given.login)


class Shape(Enum):
    """How a stream's records are cut into pieces on the wire; all but NORMAL are faults."""

    NORMAL = "normal"
    SPLIT = "split"  # every byte by itself
    COALESCE = "coalesce"  # several records in one piece, late
    HELD = "held"  # nothing is sent at all, the connection stays: half open


class RecordStream:
    """The event stream of one subscriber.

    `send` never waits: records queue up, and a subscriber that does not read is cut off when its backlog is longer than the
    limit. The subscription's HTTP handler awaits `run`, which ends when the stream is closed from either side.
    """

    def __init__(self, content_type: ContentType, *, max_backlog: int) -> None:
        self.content_type = content_type
        self.closing = False  # whether nothing more is taken
        self.taken = False  # whether the subscriber's connection has been given to it (`run`)
        self._shape = Shape.NORMAL
        self._max_backlog = max_backlog
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._wake = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def send_message(self, message: Message) -> None:
        """Queue one event."""
        self.send(content.serialize(message, self.content_type))

    def send(self, record: bytes) -> None:
        """Queue one event that is serialized already."""
        self.send_raw(recordio.encode(record))

    def send_raw(self, data: bytes) -> None:
        """Queue bytes as they are: framed already, or (faults) no record at all."""
        if self.closing:
            return
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        self._wake.set()
        if self._backlog_bytes > self._max_backlog:
            log.warning("a subscriber left %d bytes unread: its stream is closed", self._backlog_bytes)
            self.abort()

    def finish(self) -> None:
        """Close in order, after what is queued has been sent."""
        self.closing = True
        self._wake.set()

    def abort(self) -> None:
        """Cut the connection: what is queued is lost, as when a machine dies."""
        self._backlog.clear()
        self._backlog_bytes = 0
        self.finish()
        if self._transport is not None:
            self._transport.abort()

    def reshape(self, shape: Shape) -> None:
        """Change how records are cut from now on."""
        self._shape = shape
        self._wake.set()

    async def run(self, request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
        """Answer a subscription: send the head, then records until the stream is closed."""
        response = web.StreamResponse(headers={"Content-Type": self.content_type.value, **headers})
        response.enable_chunked_encoding()
        self.taken, self._transport = True, request.transport
        await response.prepare(request)
        try:
            await self._pump(response)
            await response.write_eof()
        except ConnectionError:
            log.debug("a subscriber went away")
        finally:
            self.closing = True
        return response

    async def _pump(self, response: web.StreamResponse) -> None:
        while True:
            if self._shape is Shape.COALESCE and not self.closing:
                await asyncio.sleep(0.25)
            if self._backlog and self._shape is not Shape.HELD:
                data = b"".join(self._backlog)
                self._backlog.clear()
                await self._write(response, data)
            elif self.closing:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        if self._shape is Shape.SPLIT:
            for i in range(len(data)):
                await response.write(data[i : i + 1])
                await asyncio.sleep(0)
        else:
            await response.write(data)
        self._backlog_bytes -= len(data)


@web.middleware
async def mesos_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves in Mesos's form; no traceback reaches a client."""
    try:
        return await handler(request)
    except Refused as refused:
        return plain(refused.status, refused.text, refused.headers)
    except web.HTTPNotFound:
        return plain(404, "404 Not Found.")
    except web.HTTPMethodNotAllowed as error:
        answer = method_not_allowed(request.method, sorted(error.allowed_methods - {"HEAD"}))
        return plain(answer.status, answer.text, answer.headers)
    except web.HTTPRequestEntityTooLarge:
        return plain(413, "The request's body is too long")
    except web.HTTPException as error:
        return plain(error.status, error.text or error.reason)
    except ConnectionError:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return plain(500, "500 Internal Server Error.")


def _own_pages_only(names: Iterable[str]) -> Middleware:
    """A middleware that refuses what web pages from elsewhere may have sent; see `mesos_v1.origins`."""
    known = frozenset(name.lower().strip("[]") for name in (*names, socket.gethostname()) if name)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        local = request.transport.get_extra_info("sockname") if request.transport is not None else None
        if isinstance(local, tuple):  # on a domain socket there are no names, and no browsers
            hosts, pages, sites = (
                request.headers.getall(n, []) for n in ("Host", "Origin", "Sec-Fetch-Site")
            )
            address = str(local[0])
            why = origins.refusal(hosts=hosts, origins=pages, fetch_sites=sites, names=known, address=address)
            refuse(why, 403)
        return await handler(request)

    return check


async def _as_mesos_signs(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)


def new_application(*, max_body: int, names: Iterable[str]) -> web.Application:
    """An application for a server that may be called by these names, its address and the names of loopback."""
    app = web.Application(client_max_size=max_body, middlewares=[mesos_errors, _own_pages_only(names)])
    app.on_response_prepare.append(_as_mesos_signs)
    return app


def _garbage_in_a_sentence(record: logging.LogRecord) -> bool:
    """What is not HTTP is the sender's mistake, answered with 400: no error here, and no traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args = "a request that is not HTTP was refused: %s", (type(error).__name__,)
        record.levelno, record.levelname, record.exc_info = logging.INFO, "INFO", None
    return True


_http_log = log.getChild("http")
_http_log.addFilter(_garbage_in_a_sentence)
_abandoned: set[asyncio.Task[None]] = set()


class Site:
    """An application on a port, started and stopped by the actor that owns it."""

    def __init__(self, app: web.Application, ip: str, port: int) -> None:
        self._runner = web.AppRunner(
            app,
            logger=_http_log,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1.0,
            keepalive_timeout=300.0,
        )
        self._ip = ip
        self._port = port

    async def start(self) -> int:
        """Listen; returns the port. An OSError says that it cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._ip, self._port, reuse_address=True)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        address: tuple[str, int] = self._runner.addresses[0]
        self._port = address[1]
        return self._port

    async def listen_unix(self, path: str) -> None:
        """Listen on a domain socket too, once started. An OSError says that none can be made there."""
        await web.UnixSite(self._runner, path).start()

    def abandon(self) -> None:
        """Stop at once, for an owner that has failed and cannot wait; somebody else wants the port."""
        ending = asyncio.ensure_future(self.stop(abort=True))  # noqa: TID251 - its owner can run nothing any more
        _abandoned.add(ending)
        ending.add_done_callback(_abandoned.discard)

    async def stop(self, *, abort: bool = False) -> None:
        """Stop listening and close all connections; with `abort` at once, in the middle of what they do."""
        if abort and self._runner.server is not None:
            for connection in list(self._runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
        await self._runner.cleanup()
