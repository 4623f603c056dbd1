"""What an agent tells an executor through its environment, read once and checked.

Source: Mesos documentation, Executor HTTP API, "Executor Environment Variables"; src/slave/slave.cpp (executorEnvironment) for
what is set when; src/executor/executor.cpp for what a library must make of it.
"""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mesos_http import BearerToken, Endpoint, TlsSettings
from mesos_v1.content import ContentType
from mesos_v1.quantities import parse_mesos_duration
from mesos_v1.values import ExecutorId, FrameworkId

TOKEN_VARIABLE = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"  # noqa: S105 - a name, not a token

_PID = re.compile(r"(?P<id>[^@\s]+)@(?P<address>\S+:[0-9]+)")


class BadEnvironment(Exception):  # noqa: N818 - the name of what is wrong
    """The environment is not that of an executor; the message is one sentence for its user."""


@dataclass(frozen=True, slots=True)
class AgentEnvironment:
    """An executor's environment; times are in seconds."""

    framework_id: FrameworkId
    executor_id: ExecutorId
    endpoint: Endpoint  # the agent's executor API, over TCP or on a domain socket
    checkpoint: bool  # the framework checkpoints: a lost agent is waited for
    recovery_timeout: float  # how long to wait for a lost agent
    backoff_max: float  # the most between two attempts to subscribe
    shutdown_grace_period: float  # from SHUTDOWN until the agent kills what is left
    token: BearerToken | None = field(repr=False)  # what authenticates the executor, if the agent asks for it
    tls: TlsSettings | None  # how to speak to an agent that serves TLS
    sandbox: Path  # the working directory that the agent keeps for this executor
    content_type: ContentType = ContentType.PROTOBUF  # how to speak with the agent

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables; BadEnvironment says which one is missing or makes no sense."""
        token = environ.get(TOKEN_VARIABLE, "")
        secure = environ.get("LIBPROCESS_SSL_ENABLED", "").lower() in {"1", "true"}
        tls = TlsSettings(
            ca=environ.get("LIBPROCESS_SSL_CA_FILE") or None,
            cert=environ.get("LIBPROCESS_SSL_CERT_FILE") or None,
            key=environ.get("LIBPROCESS_SSL_KEY_FILE") or None,
            verify_hostname=environ.get("LIBPROCESS_SSL_HOSTNAME_VALIDATION_SCHEME", "") != "none",
        )
        json = environ.get("MESOSTIC_CONTENT_TYPE", "").lower() == "json"
        return cls(
            framework_id=FrameworkId(_required(environ, "MESOS_FRAMEWORK_ID")),
            executor_id=ExecutorId(_required(environ, "MESOS_EXECUTOR_ID")),
            endpoint=_endpoint(environ, secure),
            # "0" is what an agent sets where there is no checkpointing: it must not count as true
            checkpoint=environ.get("MESOS_CHECKPOINT", "") in {"1", "true"},
            recovery_timeout=_duration(environ, "MESOS_RECOVERY_TIMEOUT", "15mins"),
            backoff_max=_duration(environ, "MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            shutdown_grace_period=_duration(environ, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            token=BearerToken(token) if token else None,
            tls=tls if secure else None,
            sandbox=Path(environ.get("MESOS_SANDBOX") or environ.get("MESOS_DIRECTORY") or "."),
            content_type=ContentType.JSON if json else ContentType.PROTOBUF,
        )


def take_secrets(environ: MutableMapping[str, str]) -> None:
    """Remove the token, so that no child process finds it (as executor.cpp does)."""
    environ.pop(TOKEN_VARIABLE, None)


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise BadEnvironment(f"{name} is not set: an executor is started by a Mesos agent, which sets it")
    return value


def _duration(environ: Mapping[str, str], name: str, default: str) -> float:
    try:
        return parse_mesos_duration(environ.get(name) or default)
    except ValueError as error:
        raise BadEnvironment(f"{name}: {error}") from None


def _endpoint(environ: Mapping[str, str], secure: bool) -> Endpoint:
    """Where the agent serves the executor API.

    The path begins with the agent's process ("slave(1)"), as executor.cpp has it: several agents may share one port.
    """
    pid = environ.get("MESOS_SLAVE_PID", "")
    match = _PID.fullmatch(pid)
    if pid and match is None:
        raise BadEnvironment(f"MESOS_SLAVE_PID: {pid!r} is not of the form name@address:port")
    path = f"/{match['id']}/api/v1/executor" if match else "/api/v1/executor"
    if socket_path := environ.get("MESOS_DOMAIN_SOCKET"):
        return Endpoint.unix(socket_path, path)
    address = environ.get("MESOS_AGENT_ENDPOINT") or (match and match["address"])
    address = address or _required(environ, "MESOS_AGENT_ENDPOINT")
    try:
        return Endpoint.parse(f"{'https' if secure else 'http'}://{address}{path}")
    except ValueError as error:
        raise BadEnvironment(f"MESOS_AGENT_ENDPOINT: {error}") from None
