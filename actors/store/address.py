"""Where a store is that several machines can reach: the address, taken apart."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from mesos_http import TlsSettings

PORTS = {"etcd": 2379, "etcds": 2379, "zk": 2181, "zks": 2181}
"""The schemes, and the port of each; with an s at the end, for TLS."""
EXPECTED = "etcd://host:2379,host:2379/prefix or zk://host:2181,host:2181/path (etcds:// and zks:// for TLS)"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Servers, and how to get in.

    Attributes:
        url: as it was given; without credentials, for sentences.
        hosts: names and ports, in the order in which they are tried.
        prefix: what all keys begin with; without a slash at either end.
    """

    url: str
    hosts: tuple[tuple[str, int], ...]
    prefix: str
    tls: TlsSettings | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """What files are called that belong to this store, on the machine of whoever leads."""
        return PurePosixPath(self.prefix).name


def store_address(url: str, tls: TlsSettings, user: str, password: str) -> StoreAddress:
    """Take `[store] url` apart (ValueError: one sentence, which repeats no credentials)."""
    scheme, separator, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    if "@" in rest:  # wherever a password may have put its slash
        raise ValueError("url holds credentials; they belong in user and password")
    prefix = path.strip("/")
    if scheme not in PORTS or not separator or not authority or not prefix or set("?#") & set(path):
        raise ValueError(f'url must be {EXPECTED}, not "{url}"')
    if any(part in {"", ".", ".."} for part in prefix.split("/")):
        raise ValueError(f'the path of url must not have empty parts, "." or "..": "{url}"')
    hosts = tuple(_host(each, PORTS[scheme], url) for each in authority.split(","))
    given = [name for name in ("ca", "cert", "key") if getattr(tls, name)]
    if given and not scheme.endswith("s"):
        raise ValueError(f'{given[0]} is for TLS, and url is without: begin it with "{scheme}s://"')
    if tls.key and not tls.cert:
        raise ValueError("key needs cert: the certificate that it belongs to")
    return StoreAddress(url, hosts, prefix, tls if scheme.endswith("s") else None, user, password)


def _host(given: str, port: int, url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{given}")
        if parts.hostname:
            return parts.hostname, parts.port or port
    except ValueError:
        pass
    raise ValueError(f'"{given}" is no host:port in "{url}"')
