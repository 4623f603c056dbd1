"""The events that an agent sends to an executor, as messages. Pure."""

from mesos_v1 import pb

Event = pb.executor.Event

SHUTDOWN = Event(type=Event.SHUTDOWN)
HEARTBEAT = Event(type=Event.HEARTBEAT)


def subscribed(
    executor: pb.mesos.ExecutorInfo,
    framework: pb.mesos.FrameworkInfo,
    agent: pb.mesos.AgentInfo,
    container_id: str,
) -> Event:
    """SUBSCRIBED: who and where the executor is."""
    event = Event(type=Event.SUBSCRIBED)
    event.subscribed.executor_info.CopyFrom(executor)
    event.subscribed.framework_info.CopyFrom(framework)
    event.subscribed.agent_info.CopyFrom(agent)
    event.subscribed.container_id.value = container_id
    return event


def launch(tasks: list[pb.mesos.TaskInfo], *, group: bool) -> Event:
    """LAUNCH with one task, or LAUNCH_GROUP with all of a group."""
    event = Event(type=Event.LAUNCH_GROUP if group else Event.LAUNCH)
    if group:
        event.launch_group.task_group.tasks.extend(tasks)
    else:
        event.launch.task.CopyFrom(tasks[0])
    return event


def kill(task_id: str, policy: pb.mesos.KillPolicy | None) -> Event:
    """KILL, with the policy of the call if it had one."""
    event = Event(type=Event.KILL)
    event.kill.task_id.value = task_id
    if policy is not None:
        event.kill.kill_policy.CopyFrom(policy)
    return event


def acknowledged(status: pb.mesos.TaskStatus) -> Event:
    """ACKNOWLEDGED: the agent has taken the update in."""
    event = Event(type=Event.ACKNOWLEDGED)
    event.acknowledged.task_id.CopyFrom(status.task_id)
    event.acknowledged.uuid = status.uuid
    return event


def message(data: bytes) -> Event:
    """MESSAGE from the scheduler."""
    event = Event(type=Event.MESSAGE)
    event.message.data = data
    return event
