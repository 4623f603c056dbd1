"""What the scheduler side can be told: plain frozen values, one class per concern.

The configuration file maps to these one to one. What belongs here: settings of the framework, of its executors and of
retries. Settings of one built-in actor stand beside that actor; reading TOML is the product's business, not ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from actors.runtime import Actor, Backoff, setting
from actors.temporary import TemporaryFolder
from mesos_http import Credentials, TlsSettings
from mesos_v1.errors import ResourceError
from mesos_v1.resource import to_millis

seconds = partial(setting, unit="seconds")
WEEK = 7 * 24 * 3600.0
LEASE = 10.0  # seconds
# What an executor process needs of ours; a one-file framework imports the scheduler's classes in the executor, too.
OWN_PACKAGES = ("mesos_v1", "mesos_http", "wire", "actors", "executor", "mesostic")
BUILT_IN_NAMES = (
    "scheduler",
    "connection",
    "offers",
    "reconciler",
    "messages",
    "failures",
    "store",
    "server",
)
TASK = "task"  # the name, in a composition, of what is not one actor but the class of every task's
MOST_TIMED = 1000  # failures and losses of a task whose times are stored
GPUS = "GPU_RESOURCES"  # the capability without which a framework is offered no agent with GPUs


def check_amount(name: str, value: float) -> None:
    """Refuse an amount that a resource cannot have (ResourceError), or that would round to nothing (ValueError)."""
    if not to_millis(value) and value:
        raise ValueError(
            f"{name} must be at least 0.0005, or 0: Mesos counts in thousandths, and {value} rounds to 0"
        )


@dataclass(frozen=True, slots=True)
class FrameworkSettings:
    """Who the framework is and where its master lives."""

    name: str = setting("mesostic", help="The framework's name, as the master shows it.")
    master: str | tuple[str, ...] = setting(
        "", help="Where the master is: a URL, a list of URLs tried in turn, or zk://host:port,host:port/path."
    )
    user: str = setting("", help="Operating-system user that tasks run as; empty: the user who runs this.")
    roles: tuple[str, ...] = setting(("*",), help="Roles whose resources the framework is offered.")
    principal: str = setting("", help="Principal to authenticate as (HTTP Basic); empty: no authentication.")
    secret: str = setting("", help="The principal's secret.", secret=True)
    failover_timeout: float | None = seconds(
        None,
        help="How long the master keeps the tasks of a scheduler that has gone away; if left out, a week where a store "
        "remembers the framework, and 0 where nothing could take it over.",
    )
    checkpoint: bool = setting(
        True, help="Whether agents checkpoint, so that tasks survive an agent's restart."
    )
    content_type: str = setting("protobuf", help='How calls and events travel: "protobuf" or "json".')
    webui_url: str = setting("", help="Address of the framework's own web page, shown by the master.")
    hostname: str = setting("", help="Host name of the scheduler, shown by the master; empty: this host's.")
    capabilities: tuple[str, ...] = setting(
        ("MULTI_ROLE", "PARTITION_AWARE"), help="FrameworkInfo.Capability types to subscribe with."
    )
    labels: tuple[tuple[str, str], ...] = setting((), help="Labels of the framework.")
    offer_constraints: str = setting(
        "", help="OfferConstraints as Mesos's JSON, sent with SUBSCRIBE; empty: none."
    )
    on_maintenance: str = setting(
        "move",
        help="What happens to tasks on an agent that the operator has announced maintenance for: "
        '"move" runs them elsewhere before it begins, "stay" declines.',
    )
    maintenance_lead: float = seconds(
        60.0, help="How long before an agent's maintenance its tasks are moved away."
    )
    given_up_most: int = setting(
        1000,
        help="Most tasks that failed for good which are remembered, with when and why (`given_up()`).",
    )
    given_up_for: float = seconds(WEEK, help="How long such a task is remembered.")
    leaked: str = setting(
        "report",
        help="What happens to reservations and volumes that bear the framework's name and belong to nothing of it: "
        '"report" names them once, "free" destroys and unreserves them.',
    )
    ca: str = setting(
        "", help="File of the certificate authorities to trust; empty: the system's.", unit="path"
    )
    cert: str = setting("", help="File of the client certificate.", unit="path")
    key: str = setting("", help="File of the client certificate's private key.", unit="path")
    verify_hostname: bool = setting(True, help="Whether the master's certificate must name its host.")
    standby: bool = setting(
        False,
        help="Whether a process that finds another one leading the framework waits, and takes over from it; false: it ends. "
        "Needs a store that several machines share.",
    )

    def __post_init__(self) -> None:
        if self.content_type not in {"protobuf", "json"}:
            raise ValueError(f'content_type must be "protobuf" or "json", not "{self.content_type}"')
        if not self.roles:
            raise ValueError("roles must name at least one role")
        if self.failover_timeout is not None and self.failover_timeout < 0:
            raise ValueError("failover_timeout must not be negative")
        if self.on_maintenance not in {"move", "stay"}:
            raise ValueError(f'on_maintenance must be "move" or "stay", not "{self.on_maintenance}"')
        if self.leaked not in {"report", "free"}:
            raise ValueError(f'leaked must be "report" or "free", not "{self.leaked}"')
        if self.secret and not self.principal:
            raise ValueError("a secret needs a principal")

    def masters(self) -> tuple[str, ...]:
        """Return the master addresses in the order in which they are tried."""
        return (self.master,) if isinstance(self.master, str) else self.master

    @property
    def tls(self) -> TlsSettings:
        return TlsSettings(self.ca or None, self.cert or None, self.key or None, self.verify_hostname)

    @property
    def credentials(self) -> Credentials | None:
        return Credentials(self.principal, self.secret) if self.secret else None


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """One executor of the framework: the author's class, and what it runs in."""

    name: str = setting("", help="The name that tasks refer to it by.")
    cls: str = setting("", help='The author\'s class, as "module:Class".')
    cpus: float = setting(0.1, help="CPUs of the executor itself, beside its tasks'.")
    mem: float = setting(64.0, help="Memory of the executor itself, beside its tasks'.", unit="MB")
    disk: float = setting(0.0, help="Disk of the executor itself, beside its tasks'.", unit="MB")
    python: str = setting("", help="The Python that agents start it with; empty: this process's own.")
    environment: tuple[tuple[str, str], ...] = setting((), help="Environment variables of the executor.")
    uris: tuple[str, ...] = setting((), help="URIs that the agent fetches into the sandbox beside the code.")
    packages: tuple[str, ...] = setting(
        (), help="Packages shipped to the agents: paths of package folders or .py files, or import names."
    )
    settings: bytes = setting(b"", help="The executor's own settings, packed by the codec.")
    shutdown_grace_period: float = seconds(
        5.0, help="How long running tasks get when the executor is shut down, in seconds."
    )

    def __post_init__(self) -> None:
        for name in ("cpus", "mem", "disk"):
            try:
                check_amount(name, getattr(self, name))
            except ResourceError as error:
                raise ValueError(f"{name}: {error}") from None


@dataclass(frozen=True, slots=True)
class Volume:
    """A persistent volume for one task: made before its first attempt, and the same for each further one.

    It is on one agent, so the task goes back there. When the task has ended, it is destroyed with what is on it.
    """

    size: float = setting(0.0, help="How large it is.", unit="MB")
    path: str = setting("data", help="Where the task finds it in its sandbox: one name.")
    keep: bool = setting(False, help="Whether it stays when the task has ended; `destroy_volume` ends it.")
    replace_after: float | None = seconds(
        None,
        help="How long the task waits for an agent that has gone with the volume, before it gets a new, empty one "
        "elsewhere, in seconds; None: for ever.",
    )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a task is tried, and how long is waited between two attempts.

    The wait before attempt n+1 is `backoff * factor**(n-1)`, at most `cap`, of which the share `jitter` is drawn at
    random, so that tasks that failed together do not come back together.
    """

    attempts: int = setting(5, help="Attempts in all; 1 means no retry.")
    backoff: float = seconds(1.0, help="Seconds before the second attempt.")
    factor: float = setting(2.0, help="What each further wait is multiplied by.")
    cap: float = seconds(60.0, help="The longest wait.")
    jitter: float = setting(0.5, help="Share of the wait that is drawn at random, from 0 to 1.")
    losses: int = setting(
        20,
        help="Attempts that the cluster itself may lose (agent gone, launch dropped) before the task fails.",
    )
    within: float | None = seconds(
        None,
        help="Failures and losses count for so long, also over restarts: only those of the last so many seconds are compared with "
        "`attempts` and `losses`, and make waits longer. If left out, all count.",
    )

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("attempts must be at least 1")
        if self.losses < 0 or self.backoff < 0 or self.cap < 0 or self.factor < 1:
            raise ValueError("losses, backoff and cap must not be negative, and factor must be at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter must lie between 0 and 1")
        if self.within is None:
            return
        if not self.within > 0:
            raise ValueError("within must be more than 0 seconds, or None")
        if max(self.attempts, self.losses) > MOST_TIMED:
            raise ValueError(
                f"with within, attempts and losses must be at most {MOST_TIMED:,}: the time of each is stored"
            )

    def delay(self, failures: int, draw: float) -> float:
        """Return the seconds to wait after that many failures (1 or more); `draw` is uniform in 0..1."""
        full = Backoff(self.backoff, self.factor, self.cap).delay(failures)
        return full * (1 - self.jitter) + full * self.jitter * draw


@dataclass(frozen=True, slots=True)
class ActorSpec:
    """One actor of a composition: constructed as `cls(composition, settings)` under that name."""

    name: str
    cls: type[Actor]
    settings: object


@dataclass(slots=True)
class Kept:
    """What outlives a restart of an actor without being on disk: made for each run, and only for the actors named here."""

    records: dict[tuple[str, str], bytes] = field(default_factory=dict)  # of a store in memory
    unwritten: list[Any] = field(default_factory=list)  # what the store has accepted, in order
    uploads: TemporaryFolder | None = None

    def remove(self) -> None:
        """The run is over."""
        if self.uploads is not None:
            self.uploads.remove()
            self.uploads = None


@dataclass(frozen=True, slots=True)
class Leadership:
    """That this process leads its framework: what all that it writes is conditional on.

    Attributes:
        version: of the coordinator's key `LEADER`, while this process leads.
        until: clock time before which the lease certainly holds, as of the election; later ones are told (`Leading`).
    """

    version: int
    until: float


@dataclass(frozen=True, slots=True)
class Composition:
    """A framework as a whole: who it is, the actors that make it, the executors that it launches.

    Attributes:
        trace_file: where the trace goes; executors' traces are kept beside it. Empty: no trace.
        token: what executors show to write to the framework's server; made by `run`.
        kept: what outlives a restart of an actor; made by `run`.
        coordinate: makes a connection to the servers of a shared store, not open yet; None where the store is this
            process's own; made by `run`.
        leadership: what the election has given; None where the store is this process's own.
    """

    framework: FrameworkSettings
    actors: tuple[ActorSpec, ...] = ()
    executors: tuple[ExecutorSettings, ...] = ()
    trace_file: str = ""
    token: str = field(default="", repr=False)
    kept: Kept = field(default_factory=Kept, repr=False, compare=False)
    coordinate: Callable[[], Any] | None = field(default=None, repr=False, compare=False)
    leadership: Leadership | None = None

    def spec(self, name: str) -> ActorSpec | None:
        """Return the actor of that name, if the composition says anything of it."""
        return next((spec for spec in self.actors if spec.name == name), None)

    @property
    def store_path(self) -> str:
        """The file that the store keeps its records in; "" where it is on servers, or in memory."""
        store = self.spec("store")
        return getattr(store.settings, "path", "") if store is not None else ""

    @property
    def store_files(self) -> str:
        """What the names of files that belong to the store begin with; "" where it does not outlive the process."""
        store = self.spec("store")
        address = getattr(store.settings, "address", None) if store is not None else None
        return self.store_path if address is None else address.name

    def executor(self, name: str) -> ExecutorSettings | None:
        """Return the executor of that name."""
        return next((executor for executor in self.executors if executor.name == name), None)
