"""Tasks and executors: adding, updating, forwarding, acknowledging, killing, reconciling.

Mesos documentation, "Task State Reasons", "Scheduler HTTP API" (UPDATE, ACKNOWLEDGE, KILL, RECONCILE), "Task
Reconciliation". The resources of a task are free again when its newest state is terminal, which may be before
the scheduler has seen that state; the task is forgotten when the scheduler has acknowledged it.
"""

from itertools import zip_longest

from mesos_v1 import pb
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS
from playa import messages
from playa.master.records import TERMINAL_TASK_STATES, Agent, ExecutorRecord, Framework, TaskRecord, new
from playa.master.state import MasterState

Call = pb.scheduler.Call
_States = pb.mesos.TaskState
_CHECK_REASONS = (
    pb.mesos.TaskStatus.REASON_TASK_CHECK_STATUS_UPDATED,
    pb.mesos.TaskStatus.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED,
)


def add_task(m: MasterState, framework: Framework, agent: Agent, info: pb.mesos.TaskInfo) -> TaskRecord:
    """A task is about to be sent to its agent."""
    alike = ("name", "task_id", "agent_id", "labels", "discovery", "container", "health_check", "kill_policy")
    proto = new(
        pb.mesos.Task,
        state="TASK_STAGING",
        framework_id={"value": framework.id},
        resources=info.resources,
        executor_id=info.executor.executor_id if info.HasField("executor") else None,
        user=info.command.user or info.executor.command.user or None,
        **{name: getattr(info, name) for name in alike if info.HasField(name)},  # type: ignore[arg-type]
    )
    for resource, limit in info.limits.items():
        proto.limits[resource].CopyFrom(limit)
    task = TaskRecord(proto, Resources.from_proto(info.resources))
    index_task(agent, framework, task)
    m.publish("task_added", lambda: {"task": proto})
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
    if framework_id in m.frameworks:
        m.frameworks[framework_id].executors.pop((agent.id, executor_id), None)
    m.allocator.recover(framework_id, agent.id, record.resources)


def remove_task(m: MasterState, task: TaskRecord, *, unreachable: bool = False) -> None:
    """Forget a task, but for the list of those that ended or are unreachable."""
    agent = m.agents[task.agent_id]
    if not _is_over(task.proto.state):
        m.allocator.recover(task.framework_id, agent.id, task.resources)
    if unreachable:
        by_framework = m.unreachable_tasks.setdefault(agent.id, {})
        by_framework.setdefault(task.framework_id, []).append(task.id)
    framework = m.frameworks.get(task.framework_id)
    if framework is not None:
        framework.tasks.pop(task.id, None)
        if unreachable:
            framework.unreachable_tasks[task.id] = task
            while len(framework.unreachable_tasks) > m.settings.max_unreachable_tasks_per_framework:
                framework.unreachable_tasks.popitem(last=False)
        else:
            framework.completed_tasks.append(task)
    agent.tasks.pop((task.framework_id, task.id), None)


def _is_over(state: int) -> bool:
    """Whether a task uses nothing any more, as far as the master knows."""
    return state in TERMINAL_TASK_STATES or state == pb.mesos.TASK_UNREACHABLE


def apply_status(
    m: MasterState, task: TaskRecord, status: pb.mesos.TaskStatus, latest_state: int | None = None
) -> None:
    """Bring a task to a new state; its resources are free when that is terminal or unreachable."""
    proto = task.proto
    new_state = status.state if latest_state is None else latest_state
    was_over = _is_over(proto.state)
    if not task.is_terminal:
        proto.state = new_state  # type: ignore[assignment]
    repeats = bool(proto.statuses) and proto.statuses[-1].state == status.state
    if repeats:
        del proto.statuses[-1]
    kept = proto.statuses.add()
    kept.CopyFrom(status)
    kept.ClearField("data")
    if not repeats or (status.HasField("reason") and status.reason in _CHECK_REASONS):
        update = {"framework_id": proto.framework_id, "status": kept, "state": proto.state}
        m.publish("task_updated", lambda: update)
    if _is_over(new_state) and not was_over:
        m.allocator.recover(task.framework_id, task.agent_id, task.resources)
        name = _States.Name(status.state).lower()
        m.counts[f"tasks_{name.removeprefix('task_')}"] += 1
        if task.framework_id in m.frameworks and status.state in TERMINAL_TASK_STATES:
            m.frameworks[task.framework_id].counts[f"tasks/terminal/{name}"] += 1


def task_status(
    m: MasterState, state: str, text: str, reason: str, *, since: float | None = None, **ids: str | None
) -> pb.mesos.TaskStatus:
    """A status that the master makes: without a uuid, as it needs no acknowledgement. `since`: unreachable."""
    return new(
        pb.mesos.TaskStatus,
        state=state,
        message=text,
        source="SOURCE_MASTER",
        reason=reason,
        timestamp=m.ports.now(),
        unreachable_time=since and {"nanoseconds": int(since * NANOS)},
        **{name: {"value": value} for name, value in ids.items() if value is not None},
    )


def status_of(
    m: MasterState, task: TaskRecord, state: str, text: str, reason: str, *, since: float | None = None
) -> pb.mesos.TaskStatus:
    """A status that the master makes of a task that it knows."""
    ids = {"agent_id": task.agent_id, "executor_id": task.executor_id}
    return task_status(m, state, text, reason, since=since, task_id=task.id, **ids)


def latest_status(m: MasterState, task: TaskRecord, text: str, reason: str) -> pb.mesos.TaskStatus:
    """A status that repeats how a task is, with its health, check and container, as reconciliation does."""
    proto = task.proto
    state = proto.status_update_state if proto.HasField("status_update_state") else proto.state
    status = status_of(m, task, _States.Name(state), text, reason)
    for last in proto.statuses[-1:]:
        alike = [n for n in ("healthy", "check_status", "container_status") if last.HasField(n)]
        status.MergeFrom(new(pb.mesos.TaskStatus, **{name: getattr(last, name) for name in alike}))
    return status


def forward(m: MasterState, framework: Framework, status: pb.mesos.TaskStatus) -> None:
    """Send a status to the scheduler, and remember which one it was."""
    task = framework.tasks.get(status.task_id.value)
    if task is not None and status.HasField("uuid"):
        task.proto.status_update_state = status.state
        task.proto.status_update_uuid = status.uuid
    m.send(framework, "update", status=status)


def status_update(m: MasterState, message: messages.AgentUpdate) -> None:
    """An agent sends a status update (perhaps again)."""
    m.counts["messages_status_update"] += 1
    agent = m.agents.get(message.agent_id)
    status = pb.mesos.TaskStatus.FromString(message.status)
    valid = False
    if agent is not None and len(status.uuid) == 16:
        framework = m.frameworks.get(message.framework_id)
        sent = framework is not None and framework.connected
        if framework is not None and sent:
            forward(m, framework, status)
        task = agent.tasks.get((message.framework_id, status.task_id.value))
        if task is not None:
            apply_status(m, task, status, _States.Value(message.latest_state))
            valid = sent
    m.count_valid("status_updates", valid)


def acknowledge(m: MasterState, framework: Framework, call: Call.Acknowledge) -> None:
    """The scheduler has seen an update: its agent need not send it any more."""
    agent = m.agents.get(call.agent_id.value)
    task = None if agent is None else agent.tasks.get((framework.id, call.task_id.value))
    told = task is None or task.proto.HasField("status_update_state")
    message = messages.UpdateAcknowledged(framework.id, call.task_id.value, call.uuid)
    valid = told and m.to_agent(call.agent_id.value, message)
    m.count_valid("status_update_acknowledgements", valid)
    seen = valid and task is not None and task.proto.status_update_uuid == call.uuid
    if task is not None and seen and task.proto.status_update_state in TERMINAL_TASK_STATES:
        remove_task(m, task)


def exited_executor(m: MasterState, message: messages.ExitedExecutor) -> None:
    """An executor's process ended."""
    m.counts["messages_exited_executor"] += 1
    agent = m.agents.get(message.agent_id)
    if agent is None or (message.framework_id, message.executor_id) not in agent.executors:
        return
    remove_executor(m, agent, message.framework_id, message.executor_id)
    if message.framework_id in m.frameworks:
        ids = {"agent_id": {"value": agent.id}, "executor_id": {"value": message.executor_id}}
        m.send(m.frameworks[message.framework_id], "failure", **ids, status=message.status)


def executor_message(m: MasterState, message: messages.ExecutorMessage) -> None:
    """A framework message goes to the scheduler, if it is connected."""
    m.counts["messages_executor_to_framework"] += 1
    framework = m.frameworks.get(message.framework_id) if message.agent_id in m.agents else None
    ids = {"agent_id": {"value": message.agent_id}, "executor_id": {"value": message.executor_id}}
    sent = False
    for _ in range(m.ports.times_of_message()):
        sent = framework is not None and m.send(framework, "message", **ids, data=message.data)
    m.count_valid("executor_to_framework_messages", sent)


def send_message(m: MasterState, framework: Framework, call: Call.Message) -> None:
    """A framework message goes to an executor; best effort."""
    message = messages.FrameworkMessage(framework.id, call.executor_id.value, call.data)
    sent = [m.to_agent(call.agent_id.value, message) for _ in range(m.ports.times_of_message())]
    m.count_valid("framework_to_executor_messages", any(sent))


def shutdown_executor(m: MasterState, framework: Framework, call: Call.Shutdown) -> None:
    """End an executor."""
    m.to_agent(call.agent_id.value, messages.ShutdownExecutor(framework.id, call.executor_id.value))


def kill(m: MasterState, framework: Framework, call: Call.Kill) -> None:
    """Kill a task; one that is unknown is reconciled instead."""
    task = framework.tasks.get(call.task_id.value)
    agent_id = call.agent_id if call.HasField("agent_id") else None
    if task is None:
        m.counts["messages_reconcile_tasks"] += 1
        asked = new(Call.Reconcile, tasks=[{"task_id": call.task_id, "agent_id": agent_id}])
        reconcile(m, framework, asked)
        return
    if agent_id is not None and agent_id.value != task.agent_id:
        return
    policy = call.kill_policy.SerializeToString() if call.HasField("kill_policy") else None
    if not m.to_agent(task.agent_id, messages.KillTask(framework.id, task.id, policy)):
        m.agents[task.agent_id].pending_kills[framework.id, task.id] = policy  # told when the agent is back


def reconcile(m: MasterState, framework: Framework, call: Call.Reconcile) -> None:
    """Tell the scheduler how tasks are: those that it names, or (if it names none) all that the master knows."""
    known = [framework.tasks.get(entry.task_id.value) for entry in call.tasks] or [*framework.tasks.values()]
    for task, entry in zip_longest(known, call.tasks):
        if task is not None:
            text = "Reconciliation: Latest task state"
            m.send(framework, "update", status=latest_status(m, task, text, "REASON_RECONCILIATION"))
            continue
        agent_id = entry.agent_id.value if entry.HasField("agent_id") else None
        if not (bool(m.recovered_agents) if agent_id is None else agent_id in m.recovered_agents):
            m.send(framework, "update", status=_unknown(m, framework, entry.task_id.value, agent_id))
        # else it may still come back with its agent


def _unknown(m: MasterState, framework: Framework, task_id: str, agent_id: str | None) -> pb.mesos.TaskStatus:
    if agent_id in m.agents:
        state, text = "TASK_GONE", "Task is unknown to the agent"
    elif agent_id in m.unreachable_agents:
        state, text = "TASK_UNREACHABLE", "Task is unreachable"
    elif agent_id in m.gone_agents:
        state, text = "TASK_GONE_BY_OPERATOR", "Task is gone"
    else:
        state, text = "TASK_UNKNOWN", "Task is unknown"
    state = state if framework.partition_aware else "TASK_LOST"
    since = m.unreachable_agents.get(agent_id or "")
    ids = {"task_id": task_id, "agent_id": agent_id}
    return task_status(m, state, f"Reconciliation: {text}", "REASON_RECONCILIATION", since=since, **ids)
