"""Whether agents are there, and the fate of what runs on those that are not: disconnected, unreachable, gone, unregistered.

Mesos documentation, "Agent Recovery", "Designing Highly Available Mesos Frameworks", "Task State Reasons", and the flags
`agent_ping_timeout`, `max_agent_ping_timeouts`, `agent_reregister_timeout`. Tasks become TASK_UNREACHABLE (or
TASK_GONE_BY_OPERATOR) for frameworks that are partition aware, else TASK_LOST.
"""

from mesos_v1.quantities import mesos_duration
from playa import messages
from playa.master.allocation import offers
from playa.master.records import Agent, TaskRecord
from playa.master.scheduler_api import operations, tasks
from playa.master.state import MasterState

_GONE = ("TASK_GONE_BY_OPERATOR", "REASON_AGENT_REMOVED_BY_OPERATOR")
_LOST = ("TASK_LOST", "REASON_AGENT_REMOVED")


def ping(m: MasterState, agent: Agent) -> None:
    """Ask an agent whether it is there."""
    agent.pinged = True
    m.ports.to_agent(agent.actor, messages.Ping(agent.connected))
    m.ports.later(m.settings.agent_ping_timeout, "pong", agent.id)


def pong(m: MasterState, agent_id: str) -> None:
    """An agent answered."""
    if agent_id in m.agents:
        m.agents[agent_id].pinged = False
        m.agents[agent_id].missed_pings = 0


def ping_timed_out(m: MasterState, agent_id: str) -> None:
    """Count a missed ping, ping again; too many in a row: the agent is unreachable."""
    agent = m.agents.get(agent_id)
    if agent is None:
        return
    agent.missed_pings += agent.pinged
    if agent.missed_pings >= m.settings.max_agent_ping_timeouts:
        m.counts["slave_unreachable_scheduled"] += 1
        m.counts["slave_unreachable_completed"] += 1
        mark_unreachable(m, agent, "health check timed out")
    else:
        ping(m, agent)


def disconnected(m: MasterState, actor: str) -> None:
    """The connection to an agent broke: its offers go, and so do tasks of frameworks that do not checkpoint."""
    agent = next((a for a in m.agents.values() if a.actor == actor and a.connected), None)
    if agent is None:
        return
    agent.connected = False
    deactivate(m, agent)
    volatile = {f.id for f in m.frameworks.values() if not f.info.checkpoint}
    text = f"Agent {agent.info.hostname} disconnected"
    for task in [t for t in agent.tasks.values() if t.framework_id in volatile]:
        lose(m, task, "TASK_LOST", text, "REASON_AGENT_DISCONNECTED")
    for key in [key for key in agent.executors if key[0] in volatile]:
        tasks.remove_executor(m, agent, *key)
    agent.disconnected_since = m.ports.now()
    limit = m.settings.agent_reregister_timeout
    m.ports.later(limit, "reregistration", agent.id, agent.disconnected_since)


def deactivate(m: MasterState, agent: Agent) -> None:
    """No more offers of an agent; those that are out are rescinded."""
    agent.active = False
    offers.end_all(m, agent, tell=True)


def reregister_timed_out(m: MasterState, agent_id: str, disconnected_since: float) -> None:
    """A disconnected agent did not come back in time."""
    agent = m.agents.get(agent_id)
    if agent is not None and not agent.connected and agent.disconnected_since == disconnected_since:
        limit = mesos_duration(m.settings.agent_reregister_timeout)
        text = f"agent did not reregister within {limit} after disconnecting"
        mark_unreachable(m, agent, text)


def mark_unreachable(m: MasterState, agent: Agent, text: str) -> None:
    """Give an agent up; it may come back."""
    now = m.ports.now()
    m.counts["slave_removals"] += 1
    m.counts["slave_removals/reason_unhealthy"] += 1
    m.unreachable_agents[agent.id] = now
    operations.tell_all(m, agent, "OPERATION_UNREACHABLE", "Agent was marked unreachable")
    _leave(m, agent, text, ("TASK_UNREACHABLE", "REASON_AGENT_REMOVED"), since=now)


def mark_gone(m: MasterState, agent_id: str) -> bool:
    """MARK_AGENT_GONE: the operator knows that it will not come back. Returns whether there is such an agent."""
    text = "Agent has been marked gone"
    agent = m.agents.get(agent_id)
    if agent is not None or agent_id in m.recovered_agents or agent_id in m.unreachable_agents:
        m.gone_agents[agent_id] = m.ports.now()
        m.recovered_agents.pop(agent_id, None)
        if m.unreachable_agents.pop(agent_id, None) is not None:
            m.draining.pop(agent_id, None)
            m.deactivated.discard(agent_id)
        if agent is not None:
            m.to_agent(agent, messages.ShutdownAgent(text))
            operations.tell_all(m, agent, "OPERATION_GONE_BY_OPERATOR", text)
            _leave(m, agent, text, _GONE)
        else:
            _unreachable_tasks_are_gone(m, agent_id, text)
            m.ports.save()
    return agent_id in m.gone_agents


def _unreachable_tasks_are_gone(m: MasterState, agent_id: str, text: str) -> None:
    for framework_id, task_ids in m.unreachable_tasks.pop(agent_id, {}).items():
        framework = m.frameworks.get(framework_id)
        if framework is None:
            continue
        for task in filter(None, (framework.unreachable_tasks.pop(task_id, None) for task_id in task_ids)):
            state, reason = _GONE if framework.partition_aware else _LOST
            status = tasks.status_of(m, task, state, text, reason)
            tasks.apply_status(m, task, status)
            tasks.forward(m, framework, status)
            framework.completed_tasks.append(task)


def unregister(m: MasterState, agent_id: str) -> None:
    """An agent ends in order."""
    m.counts["messages_unregister_slave"] += 1
    if agent_id in m.agents:
        m.counts["slave_removals/reason_unregistered"] += 1
        remove_for_good(m, m.agents[agent_id], "the agent unregistered")


def remove_for_good(m: MasterState, agent: Agent, cause: str) -> None:
    """Forget an agent that will not come back with this id."""
    m.counts["slave_removals"] += 1
    m.draining.pop(agent.id, None)
    m.deactivated.discard(agent.id)
    _leave(m, agent, f"Agent {agent.info.hostname} removed: {cause}", _LOST)


def _leave(
    m: MasterState, agent: Agent, text: str, fate: tuple[str, str], *, since: float | None = None
) -> None:
    """Forget an agent with all that is on it, and tell frameworks and operators. `fate` is for who is partition aware."""
    for task in list(agent.tasks.values()):
        framework = m.frameworks.get(task.framework_id)
        state, reason = fate if framework is None or framework.partition_aware else _LOST
        lose(m, task, state, text, reason, since=since)
    for framework_id, executor_id in list(agent.executors):
        tasks.remove_executor(m, agent, framework_id, executor_id)
    offers.end_all(m, agent, tell=True)
    for operation in list(agent.operations.values()):
        operations.remove(m, operation)
    m.allocator.remove_agent(agent)
    del m.agents[agent.id]
    tell_all_of_loss(m, agent.id)
    m.publish("agent_removed", lambda: {"agent_id": {"value": agent.id}})
    m.ports.save()


def lose(
    m: MasterState, task: TaskRecord, state: str, text: str, reason: str, *, since: float | None = None
) -> None:
    """Bring a task of a lost agent to its state, and tell its framework."""
    framework = m.frameworks.get(task.framework_id)
    status = tasks.status_of(m, task, state, text, reason, since=since)
    if not task.is_terminal:
        tasks.apply_status(m, task, status)
    tasks.remove_task(m, task, unreachable=since is not None)
    if framework is not None:
        tasks.forward(m, framework, status)


def tell_all_of_loss(m: MasterState, agent_id: str) -> None:
    """FAILURE to every framework: an agent is lost."""
    for framework in m.frameworks.values():
        m.send(framework, "failure", agent_id={"value": agent_id})
