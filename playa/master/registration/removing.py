"""Agents that do not come back: unreachable, gone, unregistered, or replaced; and what becomes of what runs on them.

Tasks become TASK_UNREACHABLE (or TASK_GONE_BY_OPERATOR) for frameworks that are partition aware, else TASK_LOST. Mesos
documentation, "Designing Highly Available Mesos Frameworks", "Task State Reasons".
"""

from playa import messages
from playa.master.allocation import offering
from playa.master.operations import operating
from playa.master.operator_api import events as operator_events
from playa.master.records import TERMINAL_TASK_STATES, Agent, TaskRecord
from playa.master.scheduler_api import events, tasks
from playa.master.state import MasterState


def mark_unreachable(m: MasterState, agent: Agent, text: str) -> None:
    """Give an agent up; it may come back."""
    now = m.ports.now()
    m.counts["slave_removals"] += 1
    m.counts["slave_removals/reason_unhealthy"] += 1
    m.unreachable_agents[agent.id] = now
    operating.tell_all(m, agent, "OPERATION_UNREACHABLE", "Agent was marked unreachable")
    for task in list(agent.tasks.values()):
        framework = m.framework(task.framework_id)
        aware = framework is None or framework.partition_aware
        state = "TASK_UNREACHABLE" if aware else "TASK_LOST"
        lose(m, agent, task, state=state, text=text, reason="REASON_AGENT_REMOVED", unreachable_time=now)
    _drop_agent(m, agent)
    m.ports.save()


def mark_gone(m: MasterState, agent_id: str) -> bool:
    """MARK_AGENT_GONE: the operator knows that it will not come back. Returns whether there is such an agent."""
    text = "Agent has been marked gone"
    now = m.ports.now()
    agent = m.agents.get(agent_id)
    if agent is None:
        known = m.recovered_agents.pop(agent_id, None) is not None
        if m.unreachable_agents.pop(agent_id, None) is not None:
            known = True
            m.draining.pop(agent_id, None)
            m.deactivated.discard(agent_id)
        if known:
            m.gone_agents[agent_id] = now
            _unreachable_tasks_are_gone(m, agent_id, text)
            m.ports.save()
        return known or agent_id in m.gone_agents
    m.gone_agents[agent_id] = now
    m.to_agent(agent, messages.ShutdownAgent(text))
    operating.tell_all(m, agent, "OPERATION_GONE_BY_OPERATOR", text)
    for task in list(agent.tasks.values()):
        framework = m.framework(task.framework_id)
        if framework is None or framework.partition_aware:
            lose(
                m,
                agent,
                task,
                state="TASK_GONE_BY_OPERATOR",
                text=text,
                reason="REASON_AGENT_REMOVED_BY_OPERATOR",
            )
        else:
            lose(m, agent, task, state="TASK_LOST", text=text, reason="REASON_AGENT_REMOVED")
    _drop_agent(m, agent)
    m.ports.save()
    return True


def _unreachable_tasks_are_gone(m: MasterState, agent_id: str, text: str) -> None:
    for framework_id, task_ids in m.unreachable_tasks.pop(agent_id, {}).items():
        framework = m.framework(framework_id)
        if framework is None:
            continue
        for task_id in task_ids:
            task = framework.unreachable_tasks.pop(task_id, None)
            if task is None:
                continue
            aware = framework.partition_aware
            status = events.task_status(
                task_id=task_id,
                state="TASK_GONE_BY_OPERATOR" if aware else "TASK_LOST",
                now=m.ports.now(),
                text=text,
                reason="REASON_AGENT_REMOVED_BY_OPERATOR" if aware else "REASON_AGENT_REMOVED",
                agent_id=agent_id,
                executor_id=task.executor_id,
            )
            tasks.apply_status(m, task, status)
            tasks.forward(m, framework, status)
            tasks.remember_completed(m, framework, task)


def unregister(m: MasterState, agent_id: str) -> None:
    """An agent ends in order."""
    m.counts["messages_unregister_slave"] += 1
    agent = m.agents.get(agent_id)
    if agent is not None:
        m.counts["slave_removals/reason_unregistered"] += 1
        remove_for_good(m, agent, "the agent unregistered")


def remove_for_good(m: MasterState, agent: Agent, cause: str) -> None:
    """Forget an agent that will not come back with this id."""
    m.counts["slave_removals"] += 1
    m.draining.pop(agent.id, None)
    m.deactivated.discard(agent.id)
    text = f"Agent {agent.info.hostname} removed: {cause}"
    for task in list(agent.tasks.values()):
        lose(m, agent, task, state="TASK_LOST", text=text, reason="REASON_AGENT_REMOVED")
    _drop_agent(m, agent)
    m.ports.save()


def lose(
    m: MasterState,
    agent: Agent,
    task: TaskRecord,
    *,
    state: str,
    text: str,
    reason: str,
    unreachable_time: float | None = None,
) -> None:
    """Bring a task of a lost agent to its state, and tell its framework."""
    framework = m.framework(task.framework_id)
    status = events.task_status(
        task_id=task.id,
        state=state,
        now=m.ports.now(),
        text=text,
        reason=reason,
        agent_id=agent.id,
        executor_id=task.executor_id,
        unreachable_time=unreachable_time,
    )
    if task.proto.state not in TERMINAL_TASK_STATES:
        tasks.apply_status(m, task, status)
    tasks.remove_task(m, task, unreachable=unreachable_time is not None)
    if framework is not None:
        tasks.forward(m, framework, status)


def _drop_agent(m: MasterState, agent: Agent) -> None:
    """Take an agent out of the books, with what is left on it, and tell frameworks and operators."""
    for framework_id, executor_id in list(agent.executors):
        tasks.remove_executor(m, agent, framework_id, executor_id)
    take_offers_back(m, agent)
    for operation in list(agent.operations.values()):
        operating.remove(m, operation)
    m.allocator.remove_agent(agent.id)
    del m.agents[agent.id]
    m.removed_agents[agent.id] = None
    while len(m.removed_agents) > 1000:
        m.removed_agents.popitem(last=False)
    tell_all_of_loss(m, agent.id)
    m.publish(lambda: operator_events.agent_removed(agent.id))


def tell_all_of_loss(m: MasterState, agent_id: str) -> None:
    """FAILURE to every framework: an agent is lost."""
    for framework in m.frameworks.values():
        m.send(framework, events.failure(agent_id))


def take_offers_back(m: MasterState, agent: Agent) -> None:
    """Rescind all offers and inverse offers of an agent."""
    for offer in list(agent.offers.values()):
        offering.rescind(m, offer)
    for inverse in list(agent.inverse_offers.values()):
        offering.remove_inverse_offer(m, inverse, tell=True)
