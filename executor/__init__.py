"""The executor side: a process on an agent that runs an author's tasks, made of actors.

Here belong the agent connection, the executor, one actor for each running task, and the class that authors subclass.
Here does not belong anything of the scheduler side (never imported), nor what runs an executor for Mesos (the agent).

The public names are loaded when they are first used, so that importing one costs no more than it needs.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.author import BadExecutor, Executor, TaskContext, TaskFailed, Upload, task

__all__ = ["BadExecutor", "Executor", "TaskContext", "TaskFailed", "Upload", "task"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("executor.author"), name)
