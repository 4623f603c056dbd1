"""The store, the server, and the framework as a whole: beginning, trouble, end."""

from __future__ import annotations

from actors.messages.redaction import without_content
from actors.runtime import carrier, message
from mesos_v1.values import FrameworkId, TaskId


@message
class Record:
    """One durable record; `kind` and `key` together are unique."""

    kind: str
    key: str
    value: bytes = carrier(without_content)


@message
class Write:
    """Store and delete in one transaction; answered by `Stored(reference)` unless the reference is 0."""

    records: tuple[Record, ...] = ()
    deletes: tuple[tuple[str, str], ...] = ()
    reference: int = 0


@message
class Stored:
    """The write with that reference is durable."""

    reference: int


@message
class WriteRefused:
    """The write with that reference will never be stored: a record of it is too large."""

    reference: int
    reason: str


@message
class Load:
    """Ask the store for everything it has, or for what it has of one key; the reply is `Loaded`."""

    key: str | None = None


@message
class Loaded:
    """What was asked for, in the order in which it was first written."""

    records: tuple[Record, ...]


@message
class ClearStore:
    """The framework has ended: forget everything."""


@message
class StorageTrouble:
    """A transaction failed and is being tried again, or a write was refused; nothing in it was acknowledged."""

    reason: str


@message
class OpenServer:
    """Ask the server to listen; the reply is `ServerReady`.

    Attributes:
        port: where an earlier run listened, taken again if it is free and no port is set; or 0.
    """

    port: int = 0


@message
class ServerReady:
    """The server listens.

    Attributes:
        url: as agents reach it, without a trailing slash.
        artifacts: (executor name, artifact URL).
    """

    url: str
    upload_dir: str
    artifacts: tuple[tuple[str, str], ...]
    port: int


@message
class Uploaded:
    """An executor has uploaded a file; it is complete and lies at `path`.

    Attributes:
        key: of its record in the store, until the author has been told.
    """

    name: str
    path: str
    size: int
    content_type: str
    url: str
    task_id: TaskId | None = None
    key: str = ""


@message
class Begin:
    """Start working; the root tells the scheduler once everything that the author wants is set up."""


@message
class Connect:
    """Subscribe, as the framework with that id where there is one; offers go to the actor named."""

    framework_id: FrameworkId | None = None
    offers_to: str = "offers"


@message
class ActorStarted:
    """A built-in actor is ready: for the first time, or again after a restart."""

    name: str


@message
class AskHealth:
    """Is all well? The reply is `Health`."""


@message
class Health:
    """Whether that actor does what it is there for: the scheduler is subscribed, the store can write."""

    well: bool


@message
class ShutdownRequested:
    """Somebody (a signal) asks the framework to end gracefully."""

    reason: str


@message
class FrameworkError:
    """The master ended the framework's subscription for good, or will never take it: there is no way on.

    Attributes:
        framework_gone: the master says that it has removed the framework.
        coming_back: it said so when we subscribed again, not to a scheduler that was there: its patience was over.
    """

    reason: str
    framework_gone: bool = False
    coming_back: bool = False


@message
class TeardownDone:
    """The framework is gone from the master; or, with a reason, the master could not be told of its end."""

    answered: bool = True
    reason: str = ""


@message
class HookFailed:
    """An author's callback raised; nothing else came of it."""

    hook: str
    error: str
    traceback: str


@message
class AskProgress:
    """Ask the scheduler how far it is; answered by `Progress`."""


@message
class Progress:
    """How far the framework is, for whoever tells its user.

    Attributes:
        subscribed: there is a subscription now.
        ending: its end has been asked for.
        phases: how many tasks there are in each phase; None where nobody counts them.
        offered: whether offers have come since the framework was subscribed, where they are the author's to accept; else None.
    """

    subscribed: bool
    ending: bool
    phases: tuple[tuple[str, int], ...] | None
    offered: bool | None = None


@message
class Outcome:
    """How the framework ended; `exit_code` is the process's."""

    exit_code: int
    reason: str
