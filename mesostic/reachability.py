"""Is there a master at that address? Asked once, before the framework starts: a typo must not look like patience.

Later the connection actor takes over: a framework that has run keeps trying forever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from mesos_http import ConnectFailed, Endpoint, Timeouts, TlsSettings, TransportError, exchange
from mesostic.errors import ClusterError

_CONNECT_TIMEOUT = 5.0
_PAUSE = 0.5
_NOT_FOUND = 404
_DEFAULT_PORTS = {"http": 80, "https": 443, "zk": 2181}


async def wait_for_master(
    masters: Sequence[str], patience: float, tell: Callable[[str], None], *, tls: TlsSettings | None = None
) -> None:
    """Return as soon as one of the addresses (URLs, or one zk:// address) answers as a master may.

    Tries for `patience` seconds (0: forever), and says so after the first failure. Then, or where an agent answers, ClusterError.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + patience if patience else None
    told = False
    while True:
        reasons = []
        for master in masters:
            for host, port in addresses_of(master):
                reason = await _try(host, port)
                if reason is None and not master.startswith("zk:"):
                    reason = await _ask(master, tls, tell)
                if reason is None:
                    return
                reasons.append(f"{host}:{port} ({reason})")
        text = f"No master can be reached at {', '.join(reasons)}."
        if deadline is not None and now() >= deadline:
            raise ClusterError(
                f"{text} Tried for {patience:g} s. Check framework.master and that the master runs; "
                "--set framework.master=embedded runs on the built-in cluster."
            )
        if not told:
            tell(f"{text} Trying again {f'for {patience:g} s' if patience else 'until it answers'}.")
            told = True
        await asyncio.sleep(_PAUSE)


def addresses_of(master: str) -> list[tuple[str, int]]:
    """Where to connect to: host and port of each server that the address names."""
    scheme, _, rest = master.partition("://")
    hosts = rest.partition("/")[0].rpartition("@")[2].split(",")
    servers = [urlsplit(f"//{host}") for host in hosts if host]
    return [(server.hostname or "", server.port or _DEFAULT_PORTS.get(scheme, 80)) for server in servers]


async def _try(host: str, port: int) -> str | None:
    """None when a connection was made, or why not."""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer in {_CONNECT_TIMEOUT:g} s"
    except OSError as error:
        text = error.strerror or str(error)
        return text[:1].lower() + text[1:] if "Connect call failed" not in text else "connection refused"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return None


async def _ask(master: str, tls: TlsSettings | None, tell: Callable[[str], None]) -> str | None:
    """None when the server there answers over HTTP, or why not; ClusterError where it is an agent."""
    endpoint = Endpoint.parse(master)
    timeouts = Timeouts(_CONNECT_TIMEOUT, _CONNECT_TIMEOUT)
    try:
        health = await exchange("GET", endpoint.with_path("/master/health"), tls=tls, timeouts=timeouts)
        if health.status != _NOT_FOUND:
            return None
        agent = await exchange("GET", endpoint.with_path("/slave(1)/health"), tls=tls, timeouts=timeouts)
    except ConnectFailed as error:
        text = str(error)
        if "certificate" in text:
            return f"{text}; framework.ca names the authorities to trust"
        return f"{text}; if it does not speak TLS, write http://" if endpoint.scheme == "https" else text
    except TransportError as error:
        text = f"it accepts the connection but does not answer HTTP: {error}"
        return text if endpoint.scheme == "https" else f"{text}; if it speaks TLS, write https://"
    if agent.status != _NOT_FOUND:
        raise ClusterError(
            f"{master} is an agent, not a master. Set framework.master to the master's address; its port is often 5050, "
            "an agent's 5051."
        )
    tell(
        f"{master} answers, but does not look like a Mesos master (it has no /master/health). Trying it anyway."
    )
    return None
