"""Opening a connection to an endpoint: TCP, TLS or domain socket, who we are and whom we trust. Nothing here prints a secret."""

import asyncio
import base64
import logging
import os
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mesos_http.endpoint import Endpoint
from mesos_http.errors import BadTlsSettings, ConnectFailed, TransportError

_MAX_SOCKET_PATH = 107  # bytes of sockaddr_un.sun_path, without its final zero (unix(7))

logger = logging.getLogger("mesos_http")
ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)
T = TypeVar("T")
_tasks: set[asyncio.Task[Any]] = set()


@dataclass(frozen=True, slots=True)
class Credentials:
    """A principal and its secret, sent as HTTP Basic (Mesos documentation, Authentication)."""

    principal: str
    secret: str = field(repr=False)

    def header(self) -> str:
        """The value of the Authorization header (RFC 7617)."""
        pair = f"{self.principal}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token as an agent gives it to its executors (MESOS_EXECUTOR_AUTHENTICATION_TOKEN)."""

    token: str = field(repr=False)

    def header(self) -> str:
        """The value of the Authorization header (RFC 6750)."""
        return f"Bearer {self.token}"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to speak TLS. Certificates are always verified; files are PEM."""

    ca: str | None = None  # the authorities to trust; None for the system's
    cert: str | None = None  # our own certificate (and its chain), if the server asks for one
    key: str | None = None  # the certificate's key; None when it is in `cert`
    verify_hostname: bool = True  # False only where certificates name no hosts

    def context(self) -> ssl.SSLContext:
        """Make the context; BadTlsSettings names a file that is missing or not PEM."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise BadTlsSettings(f"the CA file {self.ca} cannot be used: {error}") from error
        context.check_hostname = self.verify_hostname
        if self.cert:
            try:
                context.load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as error:
                files = " with ".join(name for name in (self.cert, self.key) if name)
                raise BadTlsSettings(f"the certificate {files} cannot be used: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds."""

    connect: float = 5.0  # for a connection (name resolution and TLS included)
    response: float = 15.0  # for the answer to a request, from when it could be answered


async def connect(
    factory: Callable[[], ProtocolT],
    endpoint: Endpoint,
    *,
    tls: TlsSettings | None = None,
    seconds: float,
) -> tuple[asyncio.Transport, ProtocolT]:
    """Open a connection and give its transport and protocol; ConnectFailed says to where it could not be, and why."""
    loop = asyncio.get_running_loop()
    where = endpoint.socket_path or endpoint.authority
    try:
        async with asyncio.timeout(seconds):
            if endpoint.socket_path:
                return await loop.create_unix_connection(factory, usable_socket_path(endpoint.socket_path))
            context = (tls or TlsSettings()).context() if endpoint.scheme == "https" else None
            made = await loop.create_connection(factory, endpoint.host, endpoint.port, ssl=context)
            _keep_alive(made[0])
            return made
    except TimeoutError:
        raise ConnectFailed(f"no connection to {where} within {seconds:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(f"the certificate of {where} is not accepted: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise ConnectFailed(f"TLS with {where} failed: {error.reason or error}") from error
    except OSError as error:
        raise ConnectFailed(f"no connection to {where}: {error.strerror or error}") from error


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    """Let the kernel notice a peer that vanished without a word: an executor's stream may be silent for half an hour."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


def usable_socket_path(path: str) -> str:
    """The path, or its relative form if it is too long for a socket's address, as Mesos's executor library does."""
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        return path
    relative = os.path.relpath(path)
    if len(os.fsencode(relative)) <= _MAX_SOCKET_PATH:
        return relative
    raise ConnectFailed(f"the path of the domain socket is longer than {_MAX_SOCKET_PATH} bytes: {path}")


def start_task(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task of no actor's (a pipeline that reconnects): it is kept until it ends, and does not fail silently."""
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _tasks.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    error = None if task.cancelled() else task.exception()
    if not isinstance(error, TransportError | OSError | None):  # the awaiting code handles those
        logger.error("the task %s failed: %s", task.get_name(), error, exc_info=error)
