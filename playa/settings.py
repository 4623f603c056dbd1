"""What a cluster and its agents can be told: frozen values, checked when they are made.

Names are those of the flags of `mesos-master` and `mesos-agent` (Mesos documentation, "Configuration"), so that a
reader who knows Mesos knows these. Durations are seconds. What has no flag in Mesos (simulated agents, limits that
protect the cluster itself) says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mesos_v1.errors import ResourceError
from mesos_v1.origins import is_loopback
from mesos_v1.resource_text import parse_attributes
from mesos_v1.resources import Resources


class SettingsError(ValueError):
    """A setting whose value cannot be right; the text names the setting and says what is expected."""


def _readable(name: str, text: str, read: Callable[[str], object]) -> None:
    try:
        read(text)
    except ResourceError as error:
        raise SettingsError(f"{name}: {error}") from None


def _check_numbers(settings: object) -> None:
    """No number may be negative, and some must not be 0 either."""
    for name in type(settings).__slots__:  # type: ignore[attr-defined]
        value = getattr(settings, name)
        if isinstance(value, int | float):
            if name in _POSITIVE and not value > 0:
                raise SettingsError(f"{name} must be greater than 0, but is {value!r}")
            if not value >= 0:
                raise SettingsError(f"{name} must not be negative, but is {value!r}")


_POSITIVE = [
    "agent_ping_timeout",
    "agent_reregister_timeout",
    "allocation_interval",
    "executor_heartbeat_interval",
    "executor_registration_timeout",
    "heartbeat_interval",
    "max_agent_ping_timeouts",
    "max_request_body",
    "max_stream_backlog",
    "offer_timeout",
    "registration_backoff_factor",
    "status_update_retry_interval_max",
    "status_update_retry_interval_min",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """One agent of the embedded cluster.

    Attributes:
        resources: As `--resources` of an agent: `name:value` pairs with `;` between them, or JSON.
        attributes: As `--attributes`: `name:value` pairs with `;` between them.
        hostname: What offers call the machine.
        ip: Where the agent's own HTTP server listens.
        port: Its port; 0 takes a free one.
        default_role: The role of resources that name none.
        work_dir: Where sandboxes and checkpoints are kept; empty: a folder in the cluster's own.
        runtime_dir: As `--runtime_dir`; empty: a folder in `work_dir`.
        checkpoint: Whether the agent lets frameworks checkpoint (a framework still has to ask for it).
        executor_registration_timeout: How long an executor may take to subscribe before it is killed.
        executor_reregistration_timeout: How long surviving executors have to come back after the agent restarted.
        executor_shutdown_grace_period: How long an executor may take to end when told to.
        recovery_timeout: How long executors wait for their agent to come back before they end themselves.
        registration_backoff_factor: The first pause between attempts to (re-)register with the master.
        status_update_retry_interval_min: How long an update waits for its acknowledgement before it is sent again.
        status_update_retry_interval_max: The longest such pause; it doubles each time until then.
        executor_heartbeat_interval: Between two HEARTBEAT events on the stream of an executor.
        gc_delay: How long the sandbox of an executor that ended stays.
        max_completed_executors_per_framework: How many ended executors the agent remembers.
        executor_environment: Variables for every executor, in place of the agent's own environment.
        environment: Variables that every executor and task gets besides those of Mesos (not a flag of Mesos).
        http_credentials: Principals and secrets for the agent's own server; empty: the cluster's.
        authenticate_http_readonly: Whether what reads from the agent asks for them; not set: as the master does.
        authenticate_http_readwrite: Whether what changes something there does; not set: as the master does.
        authenticate_http_executors: Whether executors must present the token they were started with; not set: if the cluster has
            credentials.
        http_executor_domain_sockets: Whether executors use a domain socket in place of the agent's port.
        domain_socket_location: Where that socket is; empty: `agent.sock` in `runtime_dir`, else in `work_dir`.
        cgroups_enable: Always False; there for the message that refuses True.
        simulate: Run tasks without processes, for tests of scale (not a flag of Mesos).
        simulated_task_duration: How long a simulated task runs unless its data says otherwise; 0: until it is killed.
    """

    resources: str = "cpus:4;mem:4096;disk:10000;ports:[31000-32000]"
    attributes: str = ""
    hostname: str = "127.0.0.1"
    ip: str = "127.0.0.1"
    port: int = 0
    default_role: str = "*"
    work_dir: str = ""
    runtime_dir: str = ""
    checkpoint: bool = True
    executor_registration_timeout: float = 60.0
    executor_reregistration_timeout: float = 2.0
    executor_shutdown_grace_period: float = 5.0
    recovery_timeout: float = 900.0
    registration_backoff_factor: float = 1.0
    status_update_retry_interval_min: float = 10.0
    status_update_retry_interval_max: float = 600.0
    executor_heartbeat_interval: float = 1800.0
    gc_delay: float = 604800.0
    max_completed_executors_per_framework: int = 150
    executor_environment: tuple[tuple[str, str], ...] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    http_credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    authenticate_http_readonly: bool | None = None
    authenticate_http_readwrite: bool | None = None
    authenticate_http_executors: bool | None = None
    http_executor_domain_sockets: bool = False
    domain_socket_location: str = ""
    cgroups_enable: bool = False
    simulate: bool = False
    simulated_task_duration: float = 0.0

    def __post_init__(self) -> None:
        """Check what a user can get wrong; a SettingsError names it."""
        _check_numbers(self)
        _readable("resources", self.resources, lambda text: Resources.parse(text, role=self.default_role))
        _readable("attributes", self.attributes, parse_attributes)
        if self.cgroups_enable:
            raise SettingsError("cgroups_enable: the embedded cluster does not limit what a task uses")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The embedded cluster: its master, and which agents it has.

    Attributes:
        agents: One entry per agent.
        ip: Where the master listens.
        port: The master's port; 0 takes a free one.
        hostname: What the master calls its machine; empty: the same as `ip`.
        work_dir: Where the registry, sandboxes and checkpoints are kept; empty: a temporary folder.
        heartbeat_interval: Between two HEARTBEAT events (15 s in Mesos, where it is not a flag).
        allocation_interval: Between two allocations of everything to everyone.
        offer_timeout: How long a framework may hold an offer before it is rescinded; None: forever.
        agent_ping_timeout: How long an agent may take to answer a ping.
        max_agent_ping_timeouts: How many pings in a row an agent may miss before it is unreachable.
        agent_reregister_timeout: How long agents have to come back after the master restarted.
        min_allocatable_resources: Less than this is not offered; alternatives with `|` between them.
        roles: If not empty, the only roles that frameworks may have (as `--roles`).
        weights: Weight by role; a role that is not listed weighs 1.
        credentials: Principals and secrets for HTTP Basic authentication; with them, master and agents ask everybody for them.
        authenticate_http_frameworks: Whether the scheduler API asks for credentials; not set: if there are any.
        authenticate_http_readonly: Whether the reading endpoints do; not set: if there are any.
        authenticate_http_readwrite: Whether the operator API and other writing endpoints do; not set: if there are any.
        max_completed_frameworks: How many frameworks that ended are remembered.
        max_completed_tasks_per_framework: How many ended tasks of each.
        max_unreachable_tasks_per_framework: How many unreachable tasks of each.
        max_operator_event_stream_subscribers: How many may follow the operator API's events; the oldest goes first.
        max_request_body: Longest body that is read, in bytes (protects the cluster; not a flag of Mesos).
        max_stream_backlog: Bytes that a subscriber may leave unread before its stream is closed (likewise).
        faults: Whether the HTTP API for misbehaviour on demand is there (not a flag of Mesos).
        insecure: Whether it may listen beyond this machine without asking anybody for credentials (not a flag of Mesos).
    """

    agents: tuple[AgentSettings, ...] = field(default_factory=lambda: (AgentSettings(),))
    ip: str = "127.0.0.1"
    port: int = 0
    hostname: str = ""
    work_dir: str = ""
    heartbeat_interval: float = 15.0
    allocation_interval: float = 1.0
    offer_timeout: float | None = None
    agent_ping_timeout: float = 15.0
    max_agent_ping_timeouts: int = 5
    agent_reregister_timeout: float = 600.0
    min_allocatable_resources: str = "cpus:0.01|mem:32"
    roles: tuple[str, ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    authenticate_http_frameworks: bool | None = None
    authenticate_http_readonly: bool | None = None
    authenticate_http_readwrite: bool | None = None
    max_completed_frameworks: int = 50
    max_completed_tasks_per_framework: int = 1000
    max_unreachable_tasks_per_framework: int = 1000
    max_operator_event_stream_subscribers: int = 1000
    max_request_body: int = 64 * 1024 * 1024
    max_stream_backlog: int = 256 * 1024 * 1024
    faults: bool = True
    insecure: bool = False

    def __post_init__(self) -> None:
        """Check what a user can get wrong; a SettingsError names it."""
        _check_numbers(self)
        for least in self.min_allocatable_resources.split("|"):
            _readable("min_allocatable_resources", least, Resources.parse)
        for role, weight in self.weights:
            if not weight > 0:
                raise SettingsError(f"weights: the weight of role {role!r} must be greater than 0")
        asks = (
            self.authenticate_http_frameworks,
            self.authenticate_http_readonly,
            self.authenticate_http_readwrite,
        )
        if any(asks) and not self.credentials:
            raise SettingsError("authentication is required, but there are no credentials")
        for agent in self.agents:
            asks_too = agent.authenticate_http_readonly or agent.authenticate_http_readwrite
            if asks_too and not (agent.http_credentials or self.credentials):
                raise SettingsError("an agent requires credentials, but there are none")

    def check_who_gets_in(self) -> None:
        """Refuse (SettingsError) to listen beyond this machine and let a whole network run commands here."""
        if self.insecure or self.credentials:
            return
        for ip in (self.ip, *(agent.ip for agent in self.agents if not agent.http_credentials)):
            if not is_loopback(ip):
                raise SettingsError(
                    f"on {ip} the cluster would run commands for everybody who can reach that address: give it credentials "
                    "(--credentials FILE), or use --insecure if that is intended"
                )

    def asks(self, flag: bool | None) -> bool:
        """Whether credentials are asked for by one of the `authenticate_…` flags: unless it says so, if there are any."""
        return bool(self.credentials) if flag is None else flag

    def agent(self, index: int) -> AgentSettings:
        """The settings of an agent, the first being number 1, with what it has from the cluster."""
        agent = self.agents[index - 1]
        credentials = agent.http_credentials or self.credentials

        asks: dict[str, Any] = {}
        for name in ("readonly", "readwrite", "executors"):
            flag = f"authenticate_http_{name}"
            said = [value for value in (getattr(agent, flag), getattr(self, flag, None)) if value is not None]
            asks[flag] = said[0] if said else bool(credentials)
        return replace(agent, http_credentials=credentials, **asks)

    @property
    def total_ping_timeout(self) -> float:
        """After how many silent seconds master and agent give each other up."""
        return self.agent_ping_timeout * self.max_agent_ping_timeouts
