"""The events of the operator API: what those who subscribed to the master see of tasks, frameworks and agents."""

from mesos_v1 import pb
from playa.master.records import TaskRecord

_Event = pb.master.Event

HEARTBEAT = _Event(type=_Event.HEARTBEAT)


def subscribed(state: pb.master.Response.GetState, heartbeat: float) -> pb.master.Event:
    """SUBSCRIBED: the whole state, once."""
    event = _Event(type=_Event.SUBSCRIBED)
    event.subscribed.get_state.CopyFrom(state)
    event.subscribed.heartbeat_interval_seconds = heartbeat
    return event


def task_added(task: pb.mesos.Task) -> pb.master.Event:
    """TASK_ADDED."""
    event = _Event(type=_Event.TASK_ADDED)
    event.task_added.task.CopyFrom(task)
    return event


def task_updated(task: TaskRecord, status: pb.mesos.TaskStatus) -> pb.master.Event:
    """TASK_UPDATED."""
    event = _Event(type=_Event.TASK_UPDATED)
    event.task_updated.framework_id.value = task.framework_id
    event.task_updated.status.CopyFrom(status)
    event.task_updated.state = task.proto.state
    return event


def framework_added(framework: pb.master.Response.GetFrameworks.Framework) -> pb.master.Event:
    """FRAMEWORK_ADDED."""
    event = _Event(type=_Event.FRAMEWORK_ADDED)
    event.framework_added.framework.CopyFrom(framework)
    return event


def framework_updated(framework: pb.master.Response.GetFrameworks.Framework) -> pb.master.Event:
    """FRAMEWORK_UPDATED."""
    event = _Event(type=_Event.FRAMEWORK_UPDATED)
    event.framework_updated.framework.CopyFrom(framework)
    return event


def framework_removed(info: pb.mesos.FrameworkInfo) -> pb.master.Event:
    """FRAMEWORK_REMOVED."""
    event = _Event(type=_Event.FRAMEWORK_REMOVED)
    event.framework_removed.framework_info.CopyFrom(info)
    return event


def agent_added(agent: pb.master.Response.GetAgents.Agent) -> pb.master.Event:
    """AGENT_ADDED."""
    event = _Event(type=_Event.AGENT_ADDED)
    event.agent_added.agent.CopyFrom(agent)
    return event


def agent_removed(agent_id: str) -> pb.master.Event:
    """AGENT_REMOVED."""
    event = _Event(type=_Event.AGENT_REMOVED)
    event.agent_removed.agent_id.value = agent_id
    return event
