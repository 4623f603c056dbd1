"""Requests that a browser sends for a web page from elsewhere: told by their headers, and refused.

A server on loopback is out of the network's reach, but not out of the reach of the pages that its user looks at: a browser
sends requests for any page, and with a name that the page's owner points to 127.0.0.1 (DNS rebinding) the page may even read
the answers. What gives such requests away are the headers that no page can set: `Host` is the name that the page knows,
`Origin` is the page's own, and `Sec-Fetch-Site` says how the two are related (Fetch Standard and Fetch Metadata).
"""

import ipaddress
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

_OWN: Final = frozenset({"same-origin", "none"})


def refusal(
    *,
    hosts: Sequence[str],
    origins: Sequence[str],
    fetch_sites: Sequence[str],
    names: Collection[str],
    address: str = "",
) -> str | None:
    """Why a request is refused, in one sentence; None for one that no foreign page can have sent.

    Args:
        hosts: the values of its `Host` headers (as the next two of theirs).
        names: the server's own names besides those of loopback, in lower case.
        address: the address at which the request arrived.
    """
    name = host_name(hosts[0]) if len(hosts) == 1 else None
    if name is None:
        return "The request does not say which host it is for: it needs one Host header."
    if name not in names and name != address and not is_loopback(name):
        return (
            f"This server is not called {name!r}: use its address, or name it in the settings (hostname of a "
            "cluster, advertise of a framework's server)."
        )
    for origin in origins:
        if origin.partition("://")[2].lower() != hosts[0].strip().lower():
            return "Pages from elsewhere may not use this server: the Origin header names another one."
    if any(site.strip().lower() not in _OWN for site in fetch_sites):
        return "Pages from elsewhere may not use this server: open its address in the browser yourself."
    return None


@lru_cache(256)  # a client asks for the same name with every request
def host_name(host: str) -> str | None:
    """The name or address in a `Host` header, without the port and in lower case; None if it has none."""
    host = host.strip().lower()
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        return name if name and bracket and _is_port(rest) else None
    name, colon, port = host.partition(":")
    return name.rstrip(".") or None if _is_port(colon + port) else None


@lru_cache(256)
def is_loopback(name: str) -> bool:
    """Whether a name or address means this machine and nothing else."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and (text[1:].isdigit() or text == ":"))
