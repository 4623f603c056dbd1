"""HTTP/1.1, sans-I/O: requests as bytes, and responses from bytes, however these are cut.

`ResponseParser` reads the responses of one connection, one after another (pipelined), and gives the parts of each as they
come: `Head`, then pieces of the body as ``bytes``, then `END`. It keeps no body: a subscription's never ends.
`ResponseReader` on top of it gives whole `Response` values with a bound on their size.

What is understood (RFC 9112): Content-Length, chunked (extensions and trailers skipped), statuses without a body, bodies that
end with the connection, ``Connection: close``, interim 1xx responses (skipped). Everything else is a `ProtocolError` with an
excerpt in the attribute `error`, after which nothing more is read; what was complete before it is given all the same. Not
understood, and never asked for: other transfer codings, answers to HEAD and CONNECT.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
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
    """Status line and headers of a response."""

    status: int
    reason: str
    headers: Headers  # in order of arrival, names in lower case
    close: bool = False  # the connection ends with this response

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name (in lower case), or ``default``."""
        return next((value for key, value in self.headers if key == name), default)


END: Final = None
"""After the last byte of a response's body."""

Part: TypeAlias = Head | bytes | None


@dataclass(frozen=True, slots=True)
class Response(Head):
    """A whole response."""

    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text, whatever bytes it is made of."""
        return self.body.decode("utf-8", "replace")


class ResponseParser:
    """The responses of one connection, as parts.

    How it works: a generator reads the responses from the buffer as if all were there, and yields where it needs more bytes.

    Attributes:
        error: Why what came is not an HTTP response, or not a whole one.
    """

    def __init__(self, *, max_head: int = MAX_HEAD) -> None:
        self.error: ProtocolError | None = None
        self._max_head = max_head
        self._buffer = bytearray()
        self._parts: list[Part] = []
        self._where = "head"  # what is read now; "" after the last response
        self._last: tuple[bytes, _Framing] | None = None  # Mesos answers many calls with the same head
        self._reading = self._read()

    def feed(self, data: bytes) -> list[Part]:
        """Take bytes as they came from the connection; give what they complete."""
        parts = self._parts = []
        if self.error is None:
            self._buffer += data
            try:
                next(self._reading)
            except ProtocolError as error:
                self.error = error
        return parts

    def eof(self) -> list[Part]:
        """Take it that the connection has ended; an error if that was in the middle of a response."""
        where, self._where = self._where, ""
        if where == _UNTIL_CLOSE:
            return [END]
        if self.error is None and (self._buffer if where == "head" else where):
            self.error = ProtocolError(f"the connection ended in the middle of a response ({where})")
        return []

    def _read(self) -> Iterator[None]:
        buffer = self._buffer
        close = False
        while not close:
            self._where = "head"
            end = buffer.find(b"\r\n\r\n")
            if 0 <= end <= self._max_head:  # without a generator: the answers to many calls come at once
                raw = bytes(buffer[:end])
                del buffer[: end + 4]
            else:
                raw = yield from self._until(b"\r\n\r\n", "head")
            if self._last is None or self._last[0] != raw:
                self._last = (raw, _framing(parse_head(raw)))
            head, length = self._last[1]
            if 100 <= head.status < 200:
                continue
            self._parts.append(head)
            close = head.close
            if length is None:
                yield from self._chunks()
            elif isinstance(length, str):
                self._where = _UNTIL_CLOSE
                while True:
                    if buffer:
                        self._parts.append(self._take(len(buffer)))
                    yield
            elif length:
                yield from self._body(length, "body of known length")
            self._parts.append(END)
        self._where = ""
        while not buffer:
            yield
        raise ProtocolError(f"bytes after the last response: {excerpt(bytes(buffer[:40]))}")

    def _until(self, end: bytes, where: str) -> Generator[None, None, bytes]:
        """Take the bytes before `end`, when they are there; no more than a head, or the line of a chunk, may have."""
        buffer, self._where, searched = self._buffer, where, 0
        limit = _MAX_LINE if where == "chunk size" else self._max_head
        while (found := buffer.find(end, searched)) < 0:
            if where == "head" and not b"HTTP/".startswith(bytes(buffer[:5])):
                raise ProtocolError(f"not an HTTP response: {excerpt(bytes(buffer[:80]))}")
            if len(buffer) > limit:
                break
            searched = max(0, len(buffer) - len(end) + 1)  # for linear time
            yield
        if not 0 <= found <= limit:
            if where == "chunk size":
                raise ProtocolError(f"not a chunk size: {excerpt(bytes(buffer[:40]))}")
            raise ProtocolError(f"the {where} of a response is longer than {limit} bytes")
        taken = self._take(found)
        del buffer[: len(end)]
        return taken

    def _body(self, left: int, where: str) -> Iterator[None]:
        self._where = where
        while left:
            if self._buffer:
                part = self._take(min(left, len(self._buffer)))
                self._parts.append(part)
                left -= len(part)
            else:
                yield

    def _chunks(self) -> Iterator[None]:
        buffer = self._buffer
        while True:
            line = yield from self._until(b"\r\n", "chunk size")
            digits = line.partition(b";")[0].strip(b" \t")
            if not 0 < len(digits) <= 16 or digits.translate(None, b"0123456789abcdefABCDEF"):
                raise ProtocolError(f"not a chunk size: {excerpt(line[:40])!r}")
            size = int(digits, 16)
            if not size:
                break
            yield from self._body(size, "chunk")
            self._where = "end of chunk"
            while len(buffer) < 2:
                yield
            if buffer[:2] != b"\r\n":
                raise ProtocolError(f"a chunk is longer than it says: {excerpt(bytes(buffer[:40]))}")
            del buffer[:2]
        while (yield from self._until(b"\r\n", "trailer")):
            pass

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class ResponseReader:
    """The responses of one connection, whole; a body of more than `max_body` bytes is an `error` too."""

    def __init__(self, *, max_body: int = MAX_BODY) -> None:
        self.error: ProtocolError | None = None
        self._parser = ResponseParser()
        self._max_body = max_body
        self._head = Head(0, "", ())
        self._body: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Response]:
        """Take bytes; give the responses that they complete, in order."""
        return self._collect(self._parser.feed(data))

    def eof(self) -> list[Response]:
        """Take it that the connection has ended; give the response that ended with it, if any."""
        return self._collect(self._parser.eof())

    def _collect(self, parts: list[Part]) -> list[Response]:
        responses: list[Response] = []
        for part in parts if self.error is None else ():
            if isinstance(part, Head):
                self._head, self._body, self._size = part, [], 0
            elif isinstance(part, bytes):
                self._size += len(part)
                if self._size > self._max_body:
                    self.error = ProtocolError(
                        f"the body of a response is longer than {self._max_body} bytes"
                    )
                    return responses
                self._body.append(part)
            else:
                head, body = self._head, b"".join(self._body)
                responses.append(Response(head.status, head.reason, head.headers, head.close, body))
        self.error = self.error or self._parser.error
        return responses


def parse_head(raw: bytes) -> Head:
    """Read a status line and headers as RFC 9112 has them, without the empty line that ends them."""
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


_Framing = tuple[Head, int | str | None]
_UNTIL_CLOSE = "body until the connection closes"


def _framing(head: Head) -> _Framing:
    """How the end of the body is found (RFC 9112, 6.3): a length; `_UNTIL_CLOSE`; None for chunks."""
    if head.status in _NO_BODY or 100 <= head.status < 200:
        return head, 0
    codings = [value.strip().lower() for name, value in head.headers if name == "transfer-encoding"]
    if codings:
        if codings != ["chunked"]:
            raise ProtocolError(f"a transfer coding that was not asked for: {', '.join(codings)}")
        return head, None
    lengths = {value for name, value in head.headers if name == "content-length"}
    if not lengths:
        return replace(head, close=True), _UNTIL_CLOSE
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise ProtocolError(f"not a Content-Length: {excerpt(length.encode('latin-1'))}")
    return head, int(length)


class RequestWriter:
    """Writes requests to one endpoint; what all of them share, headers and credentials, is put together once.

    ValueError names a header that cannot be sent (a line break in it), and not its value.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        headers: Headers = (),
        credentials: Credentials | BearerToken | None = None,
    ) -> None:
        if credentials is not None:
            headers = (("Authorization", credentials.header()), *headers)
        self._target = endpoint.path
        self._shared = _lines((("Host", endpoint.authority), *headers))
        self._posts: dict[str, bytes] = {}

    def post(self, body: bytes, content_type: str) -> bytes:
        """A whole POST."""
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
        text = f"{method} {target} HTTP/1.1\r\n{self._shared}{_lines(headers)}Content-Length: "
        return text.encode("latin-1")


def _lines(headers: Headers) -> str:
    """As they are sent; what would end one early is refused (and latin-1 is all that a header can hold)."""
    for name, value in headers:
        try:
            value.encode("latin-1")
            name.encode("ascii")
        except UnicodeEncodeError:
            raise ValueError(f"the header {name!r} cannot be sent: characters outside of latin-1") from None
        if not name or any(char in "\r\n\0: " for char in name) or any(char in "\r\n\0" for char in value):
            raise ValueError(f"the header {name!r} cannot be sent: line breaks or colons in it")
    return "".join(f"{name}: {value}\r\n" for name, value in headers)
