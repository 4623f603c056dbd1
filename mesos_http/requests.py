"""HTTP/1.1 requests as bytes, sans-I/O."""

from __future__ import annotations

from mesos_http.endpoint import Endpoint
from mesos_http.security import BearerToken, Credentials

Headers = tuple[tuple[str, str], ...]


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

    def __repr__(self) -> str:
        return f"RequestWriter({self._target!r})"

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
