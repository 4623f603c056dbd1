"""Keeps pages of the open web from sending the crawler and the browser to addresses of this machine and its network.

A page chooses what is fetched next: by links, redirects, images, scripts, and host names that lead to whatever address their owner
likes. So the address itself is checked at the moment of connecting to it: by `public_socket` for the crawler, and for the browser
by `Gate`, a proxy through which all of its traffic has to go.
"""

import asyncio
import contextlib
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_MAX_HEAD = 64 * 1024
_PATIENCE = 15.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that IPv6 has given out to the open web
_OF_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")


class PrivateAddressError(OSError):
    """An address outside the open web: of this machine, its network, or unassigned."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open web, also where it is an IPv4 address wrapped in IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return is_public(str(inner))
        if ip.teredo is not None or ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and ip not in _OF_PROTOCOLS


def leads_to_private(url: str) -> bool:
    """Whether the host of a URL has an address that is not public; looked up, so this may take a moment."""
    name = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(not is_public(str(sockaddr[0])) for *_, sockaddr in found)


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket for a connection to a public address (the factory of aiohttp's connector)."""
    family, kind, protocol, _, sockaddr = info
    check(str(sockaddr[0]))
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


def check(address: str) -> None:
    """Let only public addresses pass: any other is a PrivateAddressError."""
    if not is_public(address):
        raise PrivateAddressError(
            f"{address} is an address of this machine or its network, where pages of the open web may not lead "
            "(scheduler.private_addresses=true allows it)"
        )


class Gate:
    """An HTTP proxy on loopback for the browser; it connects to public addresses only, and says 403 of others."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self.url = ""
        self.refused = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_HEAD)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                host, port, onward = _target(head)
                answers, there = await self._connect(host, port)
            if onward:
                there.write(onward)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            async with asyncio.TaskGroup() as both:
                both.create_task(_pipe(reader, there))
                both.create_task(_pipe(answers, writer))
        except PrivateAddressError as error:
            self.refused += 1
            _answer(writer, b"403 Forbidden", str(error).encode())
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _answer(writer, b"502 Bad Gateway", b"")
        finally:
            for one in (writer, there):
                if one is not None:
                    one.close()

    @staticmethod
    async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to one of the host's addresses: the very one that was checked."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure = OSError(f"{host} has no address")
        for *_, sockaddr in found:
            try:
                check(str(sockaddr[0]))
                return await asyncio.open_connection(str(sockaddr[0]), port)
            except OSError as error:
                failure = error
        raise failure


def _answer(writer: asyncio.StreamWriter, status: bytes, body: bytes) -> None:
    with contextlib.suppress(OSError):
        head = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        writer.write(head + body)


def _target(head: bytes) -> tuple[str, int, bytes]:
    """Where a request goes, and what to send there first: nothing for CONNECT."""
    line, _, rest = head.decode("latin-1").partition("\r\n")
    method, target, _ = line.split(" ", 2)
    if method == "CONNECT":
        parts = urlsplit(f"//{target}")
        return parts.hostname or "", parts.port or 443, b""
    parts = urlsplit(target)
    hop_by_hop = ("proxy-", "connection:")
    fields = [each for each in rest.split("\r\n") if each and not each.lower().startswith(hop_by_hop)]
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    onward = "\r\n".join([f"{method} {path} HTTP/1.1", *fields, "Connection: close", "", ""])
    return parts.hostname or "", parts.port or 80, onward.encode("latin-1")


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
