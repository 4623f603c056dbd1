"""What `[framework] master` may say: "embedded", URLs, or a ZooKeeper address. Syntax only; nothing is connected to."""

from __future__ import annotations

from urllib.parse import urlsplit

from mesostic.config.document import Document, suggestion
from mesostic.config.toml import Path

EMBEDDED = "embedded"

_EXPECTED = 'expected "embedded", "http://host:port", a list of such URLs, or "zk://host:port,host:port/path"'


def check_master(master: str | tuple[str, ...], path: Path, document: Document) -> None:
    """Note what is wrong with the address."""
    if isinstance(master, tuple):
        if not master:
            document.problem(path, f"{_EXPECTED}, found an empty list")
        for index, url in enumerate(master):
            if (wrong := _wrong_with_url(url)) is not None:
                document.problem((*path, index), wrong)
    elif master == EMBEDDED:
        return
    elif master.startswith("zk://"):
        hosts, slash, node = master.removeprefix("zk://").rpartition("@")[2].partition("/")
        if not hosts or not slash or not node:
            document.problem(path, f'expected "zk://host:port,host:port/path", found "{_shown(master)}"')
    elif (wrong := _wrong_with_url(master)) is not None:
        document.problem(path, wrong)


def _wrong_with_url(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
        _ = parts.port
    except ValueError as error:
        return f'{_EXPECTED}, found "{_shown(url)}" ({error})'
    if parts.scheme not in {"http", "https"} or not host:
        near = suggestion(url, [EMBEDDED])
        return f'{_EXPECTED}, found "{_shown(url)}"{near if "did you mean" in near else ""}'
    if user is not None:
        return (
            "the URL of the master holds credentials; they belong in framework.principal and framework.secret"
        )
    return None


def _shown(address: str) -> str:
    """The address without credentials."""
    scheme, separator, rest = address.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]
