"""Tasks and executors: adding, updating, forwarding, acknowledging, killing, reconciling.

Mesos documentation, "Task State Reasons", "Scheduler HTTP API" (UPDATE, ACKNOWLEDGE, KILL, RECONCILE), "Task
Reconciliation". The resources of a task are free again when its newest state is terminal, which may be before
the scheduler has seen that state; the task is forgotten when the scheduler has acknowledged it.
"""

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa import messages
from playa.master.operator_api import events as operator_events
from playa.master.records import (
    TERMINAL_TASK_STATES,
    Agent,
    ExecutorRecord,
    Framework,
    TaskRecord,
)
from playa.master.scheduler_api import events
from playa.master.state import MasterState

_States = pb.mesos.TaskState
_CHECK_REASONS = (
    pb.mesos.TaskStatus.REASON_TASK_CHECK_STATUS_UPDATED,
    pb.mesos.TaskStatus.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED,
)


# --- bookkeeping ----------------------------------------------------------------------------------------------


def add_task(m: MasterState, framework: Framework, agent: Agent, info: pb.mesos.TaskInfo) -> TaskRecord:
    """A task is about to be sent to its agent."""
    proto = pb.mesos.Task(name=info.name, state=pb.mesos.TASK_STAGING)
    proto.task_id.CopyFrom(info.task_id)
    proto.framework_id.value = framework.id
    proto.agent_id.CopyFrom(info.agent_id)
    proto.resources.extend(info.resources)
    if info.HasField("executor"):
        proto.executor_id.CopyFrom(info.executor.executor_id)
    for name in ("labels", "discovery", "container", "health_check", "kill_policy"):
        if info.HasField(name):
            getattr(proto, name).CopyFrom(getattr(info, name))
    for resource, limit in info.limits.items():
        proto.limits[resource].CopyFrom(limit)
    user = info.command.user or info.executor.command.user
    if user:
        proto.user = user
    task = TaskRecord(proto, Resources.from_proto(info.resources))
    index_task(agent, framework, task)
    m.publish(lambda: operator_events.task_added(proto))
    return task


def index_task(agent: Agent, framework: Framework | None, task: TaskRecord) -> None:
    """Make a task findable by its agent and its framework."""
    agent.tasks[task.framework_id, task.id] = task
    if framework is not None:
        framework.tasks[task.id] = task


def add_executor(framework: Framework | None, agent: Agent, info: pb.mesos.ExecutorInfo) -> ExecutorRecord:
    """An executor starts on an agent."""
    record = ExecutorRecord(info, agent.id, Resources.from_proto(info.resources))
    agent.executors[info.framework_id.value, info.executor_id.value] = record
    if framework is not None:
        framework.executors[agent.id, info.executor_id.value] = record
    return record


def remove_executor(m: MasterState, agent: Agent, framework_id: str, executor_id: str) -> None:
    """An executor is gone: its resources are free."""
    record = agent.executors.pop((framework_id, executor_id))
    framework = m.framework(framework_id)
    if framework is not None:
        framework.executors.pop((agent.id, executor_id), None)
    m.allocator.recover(framework_id, agent.id, record.resources)


def remove_task(m: MasterState, task: TaskRecord, *, unreachable: bool = False) -> None:
    """Forget a task, but for the list of those that ended or are unreachable."""
    agent = m.agents[task.agent_id]
    if not task.is_terminal and task.proto.state != pb.mesos.TASK_UNREACHABLE:
        m.allocator.recover(task.framework_id, agent.id, task.resources)
    if unreachable:
        by_framework = m.unreachable_tasks.setdefault(agent.id, {})
        by_framework.setdefault(task.framework_id, []).append(task.id)
    framework = m.framework(task.framework_id)
    if framework is not None:
        framework.tasks.pop(task.id, None)
        if unreachable:
            framework.unreachable_tasks[task.id] = task
            _shorten(framework.unreachable_tasks, m.settings.max_unreachable_tasks_per_framework)
        else:
            remember_completed(m, framework, task)
    agent.tasks.pop((task.framework_id, task.id), None)


def remember_completed(m: MasterState, framework: Framework, task: TaskRecord) -> None:
    """Put a task on the list of those that ended."""
    framework.completed_tasks.append(task)
    while len(framework.completed_tasks) > m.settings.max_completed_tasks_per_framework:
        framework.completed_tasks.popleft()


def _shorten(tasks: "dict[str, TaskRecord]", limit: int) -> None:
    while len(tasks) > limit:
        del tasks[next(iter(tasks))]


def apply_status(
    m: MasterState, task: TaskRecord, status: pb.mesos.TaskStatus, latest_state: int | None = None
) -> None:
    """Bring a task to a new state; its resources are free when that is terminal or unreachable."""
    proto = task.proto
    new_state = latest_state if latest_state is not None else status.state
    was_over = task.is_terminal or proto.state == pb.mesos.TASK_UNREACHABLE
    is_over = new_state in TERMINAL_TASK_STATES or new_state == pb.mesos.TASK_UNREACHABLE
    if not task.is_terminal:
        proto.state = new_state  # type: ignore[assignment]
    tell = status.HasField("reason") and status.reason in _CHECK_REASONS
    if proto.statuses and proto.statuses[-1].state == status.state:
        del proto.statuses[-1]
    else:
        tell = True
    kept = proto.statuses.add()
    kept.CopyFrom(status)
    kept.ClearField("data")
    if tell:
        m.publish(lambda: operator_events.task_updated(task, kept))
    if is_over and not was_over:
        m.allocator.recover(task.framework_id, task.agent_id, task.resources)
        name = _States.Name(status.state).lower()
        m.counts[f"tasks_{name.removeprefix('task_')}"] += 1
        framework = m.framework(task.framework_id)
        if framework is not None and status.state in TERMINAL_TASK_STATES:
            framework.counts[f"tasks/terminal/{name}"] += 1


# --- updates --------------------------------------------------------------------------------------------------


def forward(m: MasterState, framework: Framework, status: pb.mesos.TaskStatus) -> None:
    """Send a status to the scheduler, and remember which one it was."""
    task = framework.tasks.get(status.task_id.value)
    if task is not None and status.HasField("uuid"):
        task.proto.status_update_state = status.state
        task.proto.status_update_uuid = status.uuid
    m.send(framework, events.update(status))


def status_update(m: MasterState, message: messages.AgentUpdate) -> None:
    """An agent sends a status update (perhaps again)."""
    m.counts["messages_status_update"] += 1
    agent = m.agents.get(message.agent_id)
    status = pb.mesos.TaskStatus.FromString(message.status)
    if agent is None or len(status.uuid) != 16:
        m.counts["invalid_status_updates"] += 1
        return
    framework = m.framework(message.framework_id)
    valid = framework is not None and framework.connected
    if framework is not None and valid:
        forward(m, framework, status)
    task = agent.tasks.get((message.framework_id, status.task_id.value))
    if task is None:
        m.counts["invalid_status_updates"] += 1
        return
    apply_status(m, task, status, _States.Value(message.latest_state))
    m.counts["valid_status_updates" if valid else "invalid_status_updates"] += 1


def acknowledge(m: MasterState, framework: Framework, call: pb.scheduler.Call.Acknowledge) -> None:
    """The scheduler has seen an update: its agent need not send it any more."""
    m.counts["messages_status_update_acknowledgement"] += 1
    agent = m.agents.get(call.agent_id.value)
    if agent is None or not agent.connected:
        m.counts["invalid_status_update_acknowledgements"] += 1
        return
    task = agent.tasks.get((framework.id, call.task_id.value))
    if task is not None:
        proto = task.proto
        if not proto.HasField("status_update_state"):
            m.counts["invalid_status_update_acknowledgements"] += 1
            return
        if proto.status_update_state in TERMINAL_TASK_STATES and proto.status_update_uuid == call.uuid:
            remove_task(m, task)
    m.to_agent(agent, messages.UpdateAcknowledged(framework.id, call.task_id.value, call.uuid))
    m.counts["valid_status_update_acknowledgements"] += 1


def exited_executor(m: MasterState, message: messages.ExitedExecutor) -> None:
    """An executor's process ended."""
    m.counts["messages_exited_executor"] += 1
    agent = m.agents.get(message.agent_id)
    if agent is None or (message.framework_id, message.executor_id) not in agent.executors:
        return
    remove_executor(m, agent, message.framework_id, message.executor_id)
    framework = m.framework(message.framework_id)
    if framework is not None:
        m.send(framework, events.failure(agent.id, message.executor_id, message.status))


def executor_message(m: MasterState, message: messages.ExecutorMessage) -> None:
    """A framework message goes to the scheduler, if it is connected."""
    m.counts["messages_executor_to_framework"] += 1
    framework = m.framework(message.framework_id)
    if message.agent_id not in m.agents or framework is None or not framework.connected:
        m.counts["invalid_executor_to_framework_messages"] += 1
        return
    m.counts["valid_executor_to_framework_messages"] += 1
    m.send(framework, events.message(message.agent_id, message.executor_id, message.data))


# --- calls ----------------------------------------------------------------------------------------------------


def send_message(m: MasterState, framework: Framework, call: pb.scheduler.Call.Message) -> None:
    """A framework message goes to an executor; best effort."""
    m.counts["messages_framework_to_executor"] += 1
    agent = m.agents.get(call.agent_id.value)
    if agent is None or not agent.connected:
        m.counts["invalid_framework_to_executor_messages"] += 1
        return
    m.counts["valid_framework_to_executor_messages"] += 1
    m.to_agent(agent, messages.FrameworkMessage(framework.id, call.executor_id.value, call.data))


def shutdown_executor(m: MasterState, framework: Framework, call: pb.scheduler.Call.Shutdown) -> None:
    """End an executor."""
    agent = m.agents.get(call.agent_id.value)
    if agent is not None:
        m.to_agent(agent, messages.ShutdownExecutor(framework.id, call.executor_id.value))


def kill(m: MasterState, framework: Framework, call: pb.scheduler.Call.Kill) -> None:
    """Kill a task; one that is unknown is reconciled instead."""
    m.counts["messages_kill_task"] += 1
    task = framework.tasks.get(call.task_id.value)
    if task is None:
        asked = pb.scheduler.Call.Reconcile()
        entry = asked.tasks.add()
        entry.task_id.CopyFrom(call.task_id)
        if call.HasField("agent_id"):
            entry.agent_id.CopyFrom(call.agent_id)
        reconcile(m, framework, asked)
        return
    if call.HasField("agent_id") and call.agent_id.value != task.agent_id:
        return
    agent = m.agents[task.agent_id]
    policy = call.kill_policy.SerializeToString() if call.HasField("kill_policy") else None
    if agent.connected:
        m.to_agent(agent, messages.KillTask(framework.id, task.id, policy))
    else:  # told when the agent is back
        agent.pending_kills[framework.id, task.id] = policy


def reconcile(m: MasterState, framework: Framework, call: pb.scheduler.Call.Reconcile) -> None:
    """Tell the scheduler how tasks are: those that it names, or (if it names none) all that the master knows."""
    m.counts["messages_reconcile_tasks"] += 1
    if not call.tasks:
        for task in list(framework.tasks.values()):
            m.send(framework, events.update(_latest(m, task)))
        return
    for entry in call.tasks:
        agent_id = entry.agent_id.value if entry.HasField("agent_id") else None
        status = _explicit(m, framework, entry.task_id.value, agent_id)
        if status is not None:
            m.send(framework, events.update(status))


def _latest(m: MasterState, task: TaskRecord) -> pb.mesos.TaskStatus:
    return events.latest_status(
        task, now=m.ports.now(), text="Reconciliation: Latest task state", reason="REASON_RECONCILIATION"
    )


def _explicit(
    m: MasterState, framework: Framework, task_id: str, agent_id: str | None
) -> pb.mesos.TaskStatus | None:
    task = framework.tasks.get(task_id)
    if task is not None:
        return _latest(m, task)
    waiting = m.recovered_agents
    if (agent_id in waiting) if agent_id is not None else bool(waiting):
        return None  # it may still come back with its agent
    unreachable_time = None
    if agent_id is not None and agent_id in m.agents:
        state, text = "TASK_GONE", "Reconciliation: Task is unknown to the agent"
    elif agent_id is not None and agent_id in m.unreachable_agents:
        state, text = "TASK_UNREACHABLE", "Reconciliation: Task is unreachable"
        unreachable_time = m.unreachable_agents[agent_id]
    elif agent_id is not None and agent_id in m.gone_agents:
        state, text = "TASK_GONE_BY_OPERATOR", "Reconciliation: Task is gone"
    else:
        state, text = "TASK_UNKNOWN", "Reconciliation: Task is unknown"
    return events.task_status(
        task_id=task_id,
        state=state if framework.partition_aware else "TASK_LOST",
        now=m.ports.now(),
        text=text,
        reason="REASON_RECONCILIATION",
        agent_id=agent_id,
        unreachable_time=unreachable_time,
    )
