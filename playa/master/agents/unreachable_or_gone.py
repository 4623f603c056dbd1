"""Agents that do not come back: unreachable, gone, unregistered, or replaced; and the fate of what runs on them.

Tasks become TASK_UNREACHABLE (or TASK_GONE_BY_OPERATOR) for frameworks that are partition aware, else TASK_LOST. Mesos
documentation, "Designing Highly Available Mesos Frameworks", "Task State Reasons".
"""

from playa import messages
from playa.master.allocation import offers
from playa.master.records import Agent, TaskRecord
from playa.master.scheduler_api import operations, tasks
from playa.master.state import MasterState

_GONE = ("TASK_GONE_BY_OPERATOR", "REASON_AGENT_REMOVED_BY_OPERATOR")
_LOST = ("TASK_LOST", "REASON_AGENT_REMOVED")


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
    if agent is not None:
        m.gone_agents[agent_id] = m.ports.now()
        m.to_agent(agent, messages.ShutdownAgent(text))
        operations.tell_all(m, agent, "OPERATION_GONE_BY_OPERATOR", text)
        _leave(m, agent, text, _GONE)
        return True
    known = m.recovered_agents.pop(agent_id, None) is not None
    if m.unreachable_agents.pop(agent_id, None) is not None:
        known = True
        m.draining.pop(agent_id, None)
        m.deactivated.discard(agent_id)
    if known:
        m.gone_agents[agent_id] = m.ports.now()
        _unreachable_tasks_are_gone(m, agent_id, text)
        m.ports.save()
    return known or agent_id in m.gone_agents


def _unreachable_tasks_are_gone(m: MasterState, agent_id: str, text: str) -> None:
    for framework_id, task_ids in m.unreachable_tasks.pop(agent_id, {}).items():
        framework = m.frameworks.get(framework_id)
        for task_id in task_ids if framework is not None else ():
            task = framework.unreachable_tasks.pop(task_id, None)  # type: ignore[union-attr]
            if task is not None and framework is not None:
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
