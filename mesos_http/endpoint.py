"""Where an API is served: an immutable address that can be parsed, printed and redirected.

``http+unix://%2Fpath%2Fof%2Fsocket/path`` is one on a domain socket. Credentials are not part of it: it is printed in logs.
"""

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlsplit

from mesos_http.errors import RedirectFailed

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of one API endpoint."""

    scheme: str  # `http`, `https` or `http+unix`
    host: str  # name or address (an IPv6 address without its brackets); "localhost" for a domain socket
    port: int  # 0 for a domain socket
    path: str = "/"  # absolute, with its query, as it goes on the request line
    socket_path: str = ""  # file of the domain socket, if it is one

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read an address such as ``http://10.0.0.1:5050/api/v1/scheduler``.

        ValueError says what is wrong with it, and never repeats a user name or password found in the address.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"not an address: {error}") from None
        if "@" in parts.netloc:
            raise ValueError("an address must not contain a user name or password; set credentials instead")
        if any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
            raise ValueError("an address must not contain spaces or control characters")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        path = quote(path, safe="/?&=%()!$'*+,;:@~-._")
        if parts.scheme == "http+unix":
            if not parts.netloc:
                raise ValueError(f"{url!r} names no socket (expected http+unix://%2Fpath%2Fof%2Fsocket/path)")
            return cls.unix(unquote(parts.netloc), path)
        if parts.scheme not in DEFAULT_PORTS:
            raise ValueError(f"{url!r} does not start with http://, https:// or http+unix://")
        if not parts.hostname:
            raise ValueError(f"{url!r} names no host")
        return cls(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], path)

    @classmethod
    def unix(cls, socket_path: str, path: str) -> "Endpoint":
        """Make the address of ``path`` on a domain socket."""
        return cls("http+unix", "localhost", 0, path, socket_path)

    @property
    def authority(self) -> str:
        """Host and port as they stand in an address and in the Host header."""
        if self.socket_path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as text; `parse` reads it back."""
        if self.socket_path:
            return f"http+unix://{quote(self.socket_path, safe='')}{self.path}"
        return f"{self.scheme}://{self.authority}{self.path}"

    def __str__(self) -> str:
        return self.url

    def with_path(self, path: str) -> "Endpoint":
        """The same server, another path."""
        return replace(self, path=path)

    def redirected(self, location: str) -> "Endpoint":
        """Resolve the Location of a redirect against this address; RedirectFailed if it is no use, or leaves https.

        Mesos sends ``//host:port/path`` (Master::Http::redirect); absolute addresses and paths do as well (RFC 9110, 10.2.2).
        """
        if location.startswith("//"):
            location = f"{'http' if self.socket_path else self.scheme}:{location}"
        elif location.startswith("/"):
            return self.with_path(location)
        try:
            target = Endpoint.parse(location)
        except ValueError as error:
            raise RedirectFailed(f"{self} redirects to an unusable address: {error}") from None
        if self.scheme == "https" and target.scheme != "https":
            raise RedirectFailed(f"{self} redirects to {target}, which is not https; not followed")
        if target.path == "/":  # some proxies name only the host
            target = target.with_path(self.path)
        return target
