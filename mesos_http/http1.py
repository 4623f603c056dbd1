"""HTTP/1.1, sans-I/O: requests as bytes, and responses from bytes, however these are cut.

`RequestWriter` writes the requests to one endpoint.

`ResponseParser` reads the responses of one connection, one after another (pipelined), and gives the parts of
each as they come: `Head`, then pieces of the body as ``bytes``, then `END`. It keeps no body: a subscription's
never ends. `ResponseReader` on top of it gives whole `Response` values with a bound on their size.

What is understood (RFC 9112): Content-Length, chunked (extensions and trailers skipped), statuses without a
body, bodies that end with the connection, ``Connection: close``, interim 1xx responses (skipped). Everything
else is a `ProtocolError` with an excerpt; after one the parser is dead. What was complete before the error is
never lost by it: the error is raised by the next call then (`failed` says so at once). Not understood, and
never asked for: other transfer codings, answers to HEAD and CONNECT.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

from mesos_http.connecting import BearerToken, Credentials
from mesos_http.endpoint import Endpoint
from mesos_http.errors import ProtocolError, excerpt

Headers = tuple[tuple[str, str], ...]

MAX_HEAD = 64 * 1024
MAX_BODY = 16 * 1024 * 1024
_MAX_LINE = 4096  # a chunk size with its extensions
_NO_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of a response.

    Attributes:
        headers: Pairs in order of arrival, names in lower case.
        close: The connection ends with this response.
    """

    status: int
    reason: str
    headers: Headers
    close: bool = False

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name (in lower case), or ``default``."""
        return next((value for key, value in self.headers if key == name), default)


class _End(Enum):
    END = "end"


END: Final = _End.END
"""The event after the last byte of a response's body."""

Part: TypeAlias = Head | bytes | _End


@dataclass(frozen=True, slots=True)
class Response(Head):
    """A whole response."""

    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text, whatever bytes it is made of."""
        return self.body.decode("utf-8", "replace")


class _State(Enum):
    HEAD = "head"
    LENGTH = "body of known length"
    CHUNK_SIZE = "chunk size"
    CHUNK = "chunk"
    CHUNK_END = "end of chunk"
    TRAILERS = "trailers"
    UNTIL_CLOSE = "body until the connection closes"
    CLOSED = "closed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class _Framing:
    head: Head
    state: _State
    length: int


class ResponseParser:
    """The responses of one connection, as parts."""

    def __init__(self, *, max_head: int = MAX_HEAD) -> None:
        self._max_head = max_head
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer that hold no end of head, for linear time
        self._state = _State.HEAD
        self._left = 0  # bytes still to come of a body or chunk
        self._closing = False
        self._error: ProtocolError | None = None
        self._last: tuple[bytes, _Framing] | None = None  # Mesos answers many calls with the same head

    @property
    def failed(self) -> bool:
        """Whether what came is known to be no HTTP: the next call raises."""
        return self._error is not None

    @property
    def in_response(self) -> bool:
        """True in the middle of a response, and when a head has begun."""
        if self._state is _State.HEAD:
            return bool(self._buffer)
        return self._state not in {_State.CLOSED, _State.DEAD}

    def feed(self, data: bytes) -> list[Part]:
        """Take bytes as they came from the connection; give what they complete.

        Raises:
            ProtocolError: The bytes are no HTTP response. The parser is dead then.
        """
        if self._error is not None:
            raise self._error
        parts: list[Part] = []
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while True:
                step = self._step(buffer, at, parts)
                if step < 0:
                    break
                at = step
        except ProtocolError as error:
            self._error = error
            self._state = _State.DEAD
            buffer.clear()
            if not parts:
                raise
            return parts
        del buffer[:at]
        self._searched = max(0, self._searched - at)
        return parts

    def eof(self) -> list[Part]:
        """Tell the parser that the connection has ended.

        Raises:
            ProtocolError: It ended in the middle of a response.
        """
        if self._error is not None:
            raise self._error
        if self._state is _State.UNTIL_CLOSE:
            self._state = _State.CLOSED
            return [END]
        if self.in_response:
            where = self._state.value
            self._state = _State.DEAD
            raise ProtocolError(f"the connection ended in the middle of a response ({where})")
        self._state = _State.CLOSED
        return []

    def _step(self, buffer: bytearray, at: int, parts: list[Part]) -> int:
        """Handle what stands at ``at``; give where to go on, or -1 when more bytes are needed."""
        state = self._state
        if state is _State.HEAD:
            return self._read_head(buffer, at, parts)
        if state in {_State.LENGTH, _State.CHUNK}:
            return self._read_body(buffer, at, parts)
        if state is _State.CHUNK_SIZE:
            return self._read_chunk_size(buffer, at)
        if state is _State.CHUNK_END:
            if len(buffer) - at < 2:
                return -1
            if buffer[at : at + 2] != b"\r\n":
                raise ProtocolError(f"a chunk is longer than it says: {excerpt(bytes(buffer[at : at + 40]))}")
            self._state = _State.CHUNK_SIZE
            return at + 2
        if state is _State.TRAILERS:
            return self._read_trailer(buffer, at, parts)
        if state is _State.UNTIL_CLOSE:
            if at == len(buffer):
                return -1
            parts.append(bytes(buffer[at:]))
            return len(buffer)
        if at < len(buffer):  # CLOSED
            raise ProtocolError(f"bytes after the last response: {excerpt(bytes(buffer[at : at + 40]))}")
        return -1

    def _read_head(self, buffer: bytearray, at: int, parts: list[Part]) -> int:
        if at == len(buffer):
            return -1
        end = buffer.find(b"\r\n\r\n", max(at, self._searched))
        if end < 0:
            start = bytes(buffer[at : at + 5])
            if not b"HTTP/".startswith(start):
                raise ProtocolError(f"not an HTTP response: {excerpt(bytes(buffer[at : at + 80]))}")
            if len(buffer) - at > self._max_head:
                raise ProtocolError(f"the head of a response is longer than {self._max_head} bytes")
            self._searched = max(at, len(buffer) - 3)
            return -1
        if end - at > self._max_head:
            raise ProtocolError(f"the head of a response is longer than {self._max_head} bytes")
        raw = bytes(buffer[at:end])
        if self._last is None or self._last[0] != raw:
            self._last = (raw, _framing(parse_head(raw)))
        framing = self._last[1]
        if 100 <= framing.head.status < 200:
            return end + 4
        parts.append(framing.head)
        self._closing = framing.head.close
        self._left = framing.length
        self._state = framing.state
        if framing.state is _State.LENGTH and not framing.length:
            self._finish(parts)
        return end + 4

    def _read_body(self, buffer: bytearray, at: int, parts: list[Part]) -> int:
        there = len(buffer) - at
        if not there:
            return -1
        taken = min(there, self._left)
        parts.append(bytes(buffer[at : at + taken]))
        self._left -= taken
        if not self._left:
            if self._state is _State.CHUNK:
                self._state = _State.CHUNK_END
            else:
                self._finish(parts)
        return at + taken

    def _read_chunk_size(self, buffer: bytearray, at: int) -> int:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            if len(buffer) - at > _MAX_LINE:
                raise ProtocolError(f"not a chunk size: {excerpt(bytes(buffer[at : at + 40]))}")
            return -1
        digits = bytes(buffer[at:end]).partition(b";")[0].strip(b" \t")
        if not 0 < len(digits) <= 16 or digits.translate(None, b"0123456789abcdefABCDEF"):
            raise ProtocolError(f"not a chunk size: {excerpt(bytes(buffer[at : min(end, at + 40)]))!r}")
        self._left = int(digits, 16)
        self._state = _State.CHUNK if self._left else _State.TRAILERS
        return end + 2

    def _read_trailer(self, buffer: bytearray, at: int, parts: list[Part]) -> int:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            if len(buffer) - at > self._max_head:
                raise ProtocolError(f"a trailer is longer than {self._max_head} bytes")
            return -1
        if end == at:
            self._finish(parts)
        return end + 2

    def _finish(self, parts: list[Part]) -> None:
        parts.append(END)
        self._state = _State.CLOSED if self._closing else _State.HEAD


class ResponseReader:
    """The responses of one connection, whole.

    Args:
        max_body: Bytes that a body may have; more is a `ProtocolError`.
    """

    def __init__(self, *, max_head: int = MAX_HEAD, max_body: int = MAX_BODY) -> None:
        self._parser = ResponseParser(max_head=max_head)
        self._max_body = max_body
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._error: ProtocolError | None = None

    @property
    def failed(self) -> bool:
        """Whether what came is known to be no HTTP, or too much: the next call raises."""
        return self._error is not None or self._parser.failed

    def feed(self, data: bytes) -> list[Response]:
        """Take bytes; give the responses that they complete, in order.

        Raises:
            ProtocolError: The bytes are no HTTP response, or a body is too long.
        """
        return self._collect(self._parser.feed(data))

    def eof(self) -> list[Response]:
        """Tell the reader that the connection has ended; gives the response that ended with it, if any.

        Raises:
            ProtocolError: It ended in the middle of a response.
        """
        return self._collect(self._parser.eof())

    def _collect(self, parts: list[Part]) -> list[Response]:
        if self._error is not None:
            raise self._error
        responses: list[Response] = []
        for part in parts:
            if isinstance(part, Head):
                self._head = part
            elif isinstance(part, bytes):
                self._size += len(part)
                if self._size > self._max_body:
                    self._error = ProtocolError(
                        f"the body of a response is longer than {self._max_body} bytes"
                    )
                    if not responses:
                        raise self._error
                    break
                self._body.append(part)
            elif self._head is not None:
                head, body = self._head, b"".join(self._body)
                self._head, self._body, self._size = None, [], 0
                responses.append(Response(head.status, head.reason, head.headers, head.close, body))
        return responses


def parse_head(raw: bytes) -> Head:
    """Read a status line and headers, without the empty line that ends them.

    Raises:
        ProtocolError: They are not as RFC 9112 has them.
    """
    first, *lines = raw.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status, _, reason = rest.partition(b" ")
    if (
        version not in {b"HTTP/1.1", b"HTTP/1.0"}
        or len(status) != 3
        or not status.isdigit()
        or status < b"100"
    ):
        raise ProtocolError(f"not an HTTP response: {excerpt(first)}")
    headers = tuple(_header(line) for line in lines)
    connection = ",".join(value for name, value in headers if name == "connection").lower()
    options = {option.strip() for option in connection.split(",")}
    close = "close" in options or (version == b"HTTP/1.0" and "keep-alive" not in options)
    return Head(int(status), reason.decode("latin-1"), headers, close)


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name.strip(b" \t") != name or b"\n" in line or b"\0" in line:
        raise ProtocolError(f"not a header: {excerpt(line)}")
    return name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")


def _framing(head: Head) -> _Framing:
    """How the end of the body is found (RFC 9112, 6.3)."""
    if head.status in _NO_BODY or 100 <= head.status < 200:
        return _Framing(head, _State.LENGTH, 0)
    codings = [value.strip().lower() for name, value in head.headers if name == "transfer-encoding"]
    if codings:
        if codings != ["chunked"]:
            raise ProtocolError(f"a transfer coding that was not asked for: {', '.join(codings)}")
        return _Framing(head, _State.CHUNK_SIZE, 0)
    lengths = {value for name, value in head.headers if name == "content-length"}
    if not lengths:
        return _Framing(replace(head, close=True), _State.UNTIL_CLOSE, 0)
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise ProtocolError(f"not a Content-Length: {excerpt(length.encode('latin-1'))}")
    return _Framing(head, _State.LENGTH, int(length))


class RequestWriter:
    """Writes requests to one endpoint; what all of them share is put together once.

    Args:
        headers: Sent with every request.
        credentials: Sent with every request as its Authorization.

    Raises:
        ValueError: A header cannot be sent (a line break in it); the message names the header, not its value.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        headers: Headers = (),
        credentials: Credentials | BearerToken | None = None,
    ) -> None:
        lines = [f"Host: {endpoint.authority}"]
        if credentials is not None:
            _check("Authorization", credentials.header())
            lines.append(f"Authorization: {credentials.header()}")
        for name, value in headers:
            _check(name, value)
            lines.append(f"{name}: {value}")
        self._target = endpoint.path
        self._shared = "".join(f"{line}\r\n" for line in lines)
        self._posts: dict[str, bytes] = {}

    def post(self, body: bytes, content_type: str) -> bytes:
        """A POST of ``body``."""
        start = self._posts.get(content_type)
        if start is None:
            headers = (("Content-Type", content_type),)
            start = self._posts[content_type] = self._start("POST", self._target, headers)
        return b"%s%d\r\n\r\n%s" % (start, len(body), body)

    def head(self, method: str, target: str, length: int, headers: Headers = ()) -> bytes:
        """The head of a request for the path ``target``, whose body of ``length`` bytes follows."""
        return b"%s%d\r\n\r\n" % (self._start(method, target, headers), length)

    def _start(self, method: str, target: str, headers: Headers) -> bytes:
        if not target.isascii() or any(char <= " " or char == "\x7f" for char in target):
            raise ValueError(f"not a path that can be asked for: {target!r}")
        for name, value in headers:
            _check(name, value)
        own = "".join(f"{name}: {value}\r\n" for name, value in headers)
        text = f"{method} {target} HTTP/1.1\r\n{self._shared}{own}Content-Length: "
        return text.encode("latin-1")


def _check(name: str, value: str) -> None:
    """Refuse what would end the header early (and latin-1 is all that a header can hold)."""
    try:
        value.encode("latin-1")
        name.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError(f"the header {name!r} cannot be sent: characters outside of latin-1") from None
    if not name or any(char in "\r\n\0: " for char in name) or any(char in "\r\n\0" for char in value):
        raise ValueError(f"the header {name!r} cannot be sent: line breaks or colons in it")
