"""The generated protobuf modules under short names: `pb.mesos.TaskInfo`, `pb.scheduler.Call`.

The schema is the interface's own (proto2; see `mesos_v1/protos`), so what is read here keeps unknown fields. Protobuf
objects are mutable: they stay inside a function or travel as bytes, and never cross an actor's border.

A module is loaded when it is first used: an executor needs neither the scheduler's nor the operators' API.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesos_v1.generated import agent_pb2 as agent
    from mesos_v1.generated import allocator_pb2 as allocator
    from mesos_v1.generated import executor_pb2 as executor
    from mesos_v1.generated import maintenance_pb2 as maintenance
    from mesos_v1.generated import master_pb2 as master
    from mesos_v1.generated import mesos_pb2 as mesos
    from mesos_v1.generated import quota_pb2 as quota
    from mesos_v1.generated import resource_provider_pb2 as resource_provider
    from mesos_v1.generated import scheduler_pb2 as scheduler

__all__ = [
    "agent",
    "allocator",
    "executor",
    "maintenance",
    "master",
    "mesos",
    "quota",
    "resource_provider",
    "scheduler",
]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"mesos_v1.generated.{name}_pb2")
    globals()[name] = module
    return module
