"""Mesostic: write Apache Mesos frameworks as actors that exchange immutable messages.

The public names, in one place. Each is imported when it is first used, so that an executor on an agent, which needs
few of them, starts as fast as those few allow. What tests of frameworks need is in `mesostic.testing`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.low_level_scheduler_actor import LowLevelScheduler
    from actors.messages import PendingReport, ShutdownRequested, TaskChanged, Uploaded, WhyPending
    from actors.runtime import (
        Actor,
        ActorDeadError,
        ActorRef,
        ActorSystem,
        Backoff,
        ChildFailed,
        DecodeError,
        FrozenDict,
        Immutable,
        NoSettings,
        Secret,
        Supervision,
        Terminated,
        TraceWriter,
        UnhandledMessageError,
        current_message_id,
        message,
        pack,
        read_trace,
        receive,
        secret,
        setting,
        unpack,
    )
    from actors.scheduler.author_events import MessageSource, Registered, TaskFailure, TaskFinished
    from actors.scheduler_actor import SchedulerActor
    from actors.settings import Composition, ExecutorSettings, FrameworkSettings, RetryPolicy
    from executor.author import Executor, TaskContext, TaskFailed, task
    from mesos_v1 import offer_operations, pb, task_infos
    from mesos_v1.resources import Resources
    from mesos_v1.states import TERMINAL_STATES, TaskState, is_terminal
    from mesos_v1.values import AgentId, ExecutorId, Offer, OfferId, TaskId, TaskStatus
    from mesostic.config.compose import load_configuration
    from mesostic.errors import ConfigError, MesosticError

__version__ = "0.1.0"

_HOMES = {
    "actors.low_level_scheduler_actor": "LowLevelScheduler",
    "actors.messages": "PendingReport ShutdownRequested TaskChanged Uploaded WhyPending",
    "actors.runtime": "Actor ActorDeadError ActorRef ActorSystem Backoff ChildFailed DecodeError FrozenDict Immutable NoSettings Secret Supervision Terminated TraceWriter UnhandledMessageError current_message_id message pack read_trace receive secret setting unpack",
    "actors.scheduler.author_events": "MessageSource Registered TaskFailure TaskFinished",
    "actors.scheduler_actor": "SchedulerActor",
    "actors.settings": "Composition ExecutorSettings FrameworkSettings RetryPolicy",
    "executor.author": "Executor TaskContext TaskFailed task",
    "mesos_v1": "offer_operations pb task_infos",
    "mesos_v1.resources": "Resources",
    "mesos_v1.states": "TERMINAL_STATES TaskState is_terminal",
    "mesos_v1.values": "AgentId ExecutorId Offer OfferId TaskId TaskStatus",
    "mesostic.config.compose": "load_configuration",
    "mesostic.errors": "ConfigError MesosticError",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "TERMINAL_STATES",
    "Actor",
    "ActorDeadError",
    "ActorRef",
    "ActorSystem",
    "AgentId",
    "Backoff",
    "ChildFailed",
    "Composition",
    "ConfigError",
    "DecodeError",
    "Executor",
    "ExecutorId",
    "ExecutorSettings",
    "FrameworkSettings",
    "FrozenDict",
    "Immutable",
    "LowLevelScheduler",
    "MesosticError",
    "MessageSource",
    "NoSettings",
    "Offer",
    "OfferId",
    "PendingReport",
    "Registered",
    "Resources",
    "RetryPolicy",
    "SchedulerActor",
    "Secret",
    "ShutdownRequested",
    "Supervision",
    "TaskChanged",
    "TaskContext",
    "TaskFailed",
    "TaskFailure",
    "TaskFinished",
    "TaskId",
    "TaskState",
    "TaskStatus",
    "Terminated",
    "TraceWriter",
    "UnhandledMessageError",
    "Uploaded",
    "WhyPending",
    "current_message_id",
    "is_terminal",
    "load_configuration",
    "message",
    "offer_operations",
    "pack",
    "pb",
    "read_trace",
    "receive",
    "secret",
    "setting",
    "task",
    "task_infos",
    "unpack",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"mesostic has no public name {name!r}")
    import importlib

    home = importlib.import_module(_HOME[name])
    value = getattr(home, name, None) or importlib.import_module(f"{_HOME[name]}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
