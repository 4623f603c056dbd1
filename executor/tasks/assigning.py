"""From a TaskInfo to what its actor needs: the payload decoded, the author's method found, or a reason why not. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.runtime import DecodeError, unpack
from executor.author import TaskMethod
from executor.context import TaskContext
from executor.messages import RefuseTask
from executor.process.loading import LoadedExecutor
from mesos_v1 import pb
from mesos_v1.values import NANOS, TaskId

DEFAULT_KILL_GRACE = 3.0
"""Seconds that a killed task gets when nobody says otherwise (DEFAULT_KILL_POLICY_GRACE_PERIOD of Mesos)."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a task actor is made for.

    Attributes:
        function: Makes the call that runs the task, given its context; None if nothing can run it.
        in_thread: The function is a plain one.
        raw: The scheduler does not speak our envelope: bytes travel as they are.
        grace: Seconds that it gets to end when it is killed, unless the KILL says otherwise.
        cause: Id of the message that launched the task.
        ports: Those among its resources.
    """

    task_id: TaskId
    name: str
    labels: tuple[tuple[str, str], ...]
    function: Callable[[TaskContext], Callable[[], Any]] | None
    in_thread: bool
    raw: bool
    grace: float
    cause: str = ""
    ports: tuple[int, ...] = ()


def assign(
    info: pb.mesos.TaskInfo, loaded: LoadedExecutor | None, *, foreign: bool
) -> tuple[Assignment, RefuseTask | None]:
    """Say what a task is, and why it cannot be run, if it cannot.

    Args:
        loaded: The author's executor; None when it could not be made (its tasks are refused elsewhere).
        foreign: The scheduler is not one of ours.
    """
    payload, cause, raw, refusal = _payload(info, loaded, foreign=foreign)
    method: TaskMethod | None = None
    if loaded is not None and refusal is None:
        method = loaded.method_for(payload)
        if method is None:
            refusal = RefuseTask(_nobody_takes(payload, loaded), retry=False)
    function: Callable[[TaskContext], Callable[[], Any]] | None = None
    if loaded is not None and method is not None:
        bind, instance = method.bind, loaded.instance

        def function(context: TaskContext) -> Callable[[], Any]:
            return bind(instance, payload, context)

    assignment = Assignment(
        task_id=TaskId(info.task_id.value),
        name=info.name,
        labels=tuple((label.key, label.value) for label in info.labels.labels),
        function=function,
        in_thread=method is not None and method.in_thread,
        raw=raw,
        grace=_kill_grace(info),
        cause=cause,
        ports=_ports(info),
    )
    return assignment, refusal


def _payload(
    info: pb.mesos.TaskInfo, loaded: LoadedExecutor | None, *, foreign: bool
) -> tuple[object, str, bool, RefuseTask | None]:
    """The payload, the id of the message that it came in, whether it is bytes as they are, and what is wrong with it."""
    if not info.data:
        return None, "", foreign, None
    try:
        envelope = unpack(info.data)
    except DecodeError as error:
        if loaded is not None and bytes in loaded.methods:
            return info.data, "", True, None
        return None, "", foreign, RefuseTask(f"the task's data cannot be read: {error}", retry=False)
    return envelope.message, envelope.id, foreign, None


def _nobody_takes(payload: object, loaded: LoadedExecutor) -> str:
    what = "no payload" if payload is None else f"a payload of type {type(payload).__name__}"
    known = ", ".join(sorted("none" if kind is type(None) else kind.__name__ for kind in loaded.methods))
    return f"{type(loaded.instance).__name__} has no @task method for {what} (it has: {known})"


def _ports(info: pb.mesos.TaskInfo) -> tuple[int, ...]:
    ranges = (
        each for resource in info.resources if resource.name == "ports" for each in resource.ranges.range
    )
    return tuple(sorted({port for each in ranges for port in range(each.begin, each.end + 1)}))


def _kill_grace(info: pb.mesos.TaskInfo) -> float:
    if info.HasField("kill_policy") and info.kill_policy.HasField("grace_period"):
        return info.kill_policy.grace_period.nanoseconds / NANOS
    return DEFAULT_KILL_GRACE
