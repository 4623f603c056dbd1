"""Demands, placements and why something waits: between tasks, broker and whoever asks."""

from __future__ import annotations

from actors.messages.redaction import without_secrets_in_executor, without_secrets_in_task
from actors.runtime import carrier, message
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, TaskId


@message
class Demand:
    """A task that waits for an offer.

    Attributes:
        order: first come, first served: the lowest number first.
        info: the serialized `TaskInfo` without agent, resources and executor.
        executor: name of the executor, or "" for a command task.
        hosts: host names to which the task is bound; none means anywhere.
        attributes: agent attributes that must be there with this text, as (name, value).
        most_together: the broker's own mark: with so many tasks in one ACCEPT at most, since the master has refused one
            with more; 0 means no such bound.
    """

    task_id: TaskId
    attempt_id: TaskId
    order: int
    role: str
    resources: Resources
    ports: int
    executor: str
    info: bytes = carrier(without_secrets_in_task)
    hosts: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    most_together: int = 0


@message
class Withdraw:
    """The attempt needs nothing any more; answered by `Withdrawn`, unless its ACCEPT has left."""

    attempt_id: TaskId


@message
class Withdrawn:
    """The broker has dropped the attempt's demand: no ACCEPT of it has left or will leave."""

    attempt_id: TaskId


@message
class Launched:
    """The attempt was matched with offers of this agent, its intent is stored, and the ACCEPT has left."""

    attempt_id: TaskId
    agent_id: AgentId
    executor_id: ExecutorId | None
    hostname: str


@message
class ResourcesFreed:
    """A task has ended: what it used can be offered again."""


@message
class NotLaunched:
    """The ACCEPT came to nothing, and the master knows nothing of the attempt."""

    attempt_id: TaskId
    reason: str


@message
class LaunchRefused:
    """The master refuses the ACCEPT of this attempt alone, for good: the attempt cannot be launched."""

    attempt_id: TaskId
    reason: str


@message
class LaunchUncertain:
    """The ACCEPT left, and it is not known whether it arrived."""

    attempt_id: TaskId
    reason: str


@message
class ExecutorTemplate:
    """An executor as the broker launches it: its own needs, and a serialized `ExecutorInfo` without resources."""

    name: str
    resources: Resources
    info: bytes = carrier(without_secrets_in_executor)


@message
class UseExecutors:
    """The executors of the framework, told to the broker before the first demand."""

    executors: tuple[ExecutorTemplate, ...]


@message
class StopLaunching:
    """Tell the broker that the framework ends: what waits, and what is tried again now, is launched no more."""


@message
class WhyPending:
    """Ask the broker why a task (or, without an id, everything) waits; answered with `PendingReport`."""

    task_id: TaskId | None = None


@message
class Shortfall:
    """What one agent's offers lacked: a resource with numbers, or a constraint in words."""

    resource: str
    wanted: str
    available: str


@message
class OfferVerdict:
    """One agent that was looked at, and everything that spoke against it."""

    agent_id: AgentId
    hostname: str
    offered: str
    shortfalls: tuple[Shortfall, ...]


@message
class PendingGroup:
    """Demands of one shape that wait, and what was said of each agent at the last look."""

    tasks: int
    first_task: TaskId
    role: str
    wanted: str
    executor: str
    agents_looked_at: int
    verdicts: tuple[OfferVerdict, ...]
    remark: str


@message
class PendingReport:
    """The broker's answer to `WhyPending`."""

    waiting: int
    suppressed_roles: tuple[str, ...]
    groups: tuple[PendingGroup, ...]
