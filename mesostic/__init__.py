"""Mesostic: write Apache Mesos frameworks as actors that exchange immutable messages.

The public names, in one place. Each is imported when it is first used, so that an executor on an agent, which needs
few of them, starts as fast as those few allow. What tests of frameworks need is in `mesostic.testing`.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "actors.low_level_scheduler_actor": "LowLevelScheduler",
    "actors.messages": (
        "Deposed Elected GivenUp Holding MessageSource OperationFailure OperationFinished PendingReport Registered"
        " ShutdownRequested TaskChanged TaskFailure TaskFinished Uploaded WhyPending"
    ),
    "actors.runtime": (
        "Actor ActorDeadError ActorRef ActorSystem Backoff ChildFailed DecodeError FrozenDict Immutable NoSettings Secret"
        " Supervision Terminated TraceWriter UnhandledMessageError current_message_id message pack read_trace receive secret"
        " setting unpack"
    ),
    "actors.scheduler_actor": "SchedulerActor",
    "actors.framework_settings": "Composition ExecutorSettings FrameworkSettings RetryPolicy Volume",
    "executor.author": "Executor Registration TaskContext TaskFailed task",
    "mesos_v1": "offer_operations pb task_infos",
    "mesos_v1.resources": "Resources",
    "mesos_v1.states": "TERMINAL_STATES TaskState is_terminal",
    "mesos_v1.values": "AgentId ExecutorId Offer OfferId TaskId TaskStatus",
    "mesostic.config.compose": "load_configuration",
    "mesostic.errors": "ConfigError MesosticError",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605 - type checkers read __init__.pyi


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"mesostic has no public name {name!r}")
    home = importlib.import_module(_HOME[name])
    value = getattr(home, name, None) or importlib.import_module(f"{_HOME[name]}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
