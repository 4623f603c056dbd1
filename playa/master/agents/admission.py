"""Agents that come: new ones, those of an old master, and those that were away.

Mesos documentation, "Agent Recovery", "Designing Highly Available Mesos Frameworks". Tasks of an agent that was given up come
back with it, and frameworks are told (REASON_AGENT_REREGISTERED).
"""

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa import messages
from playa.master.agents import draining, liveness, maintenance
from playa.master.agents.registry import Registry
from playa.master.allocation import offers
from playa.master.operator_api import quota_calls, views
from playa.master.records import Agent, OperationRecord, TaskRecord, machine_of
from playa.master.scheduler_api import frameworks, operations, tasks
from playa.master.state import MasterState


def register(m: MasterState, message: messages.RegisterAgent) -> None:
    """An agent without an id."""
    m.counts["messages_register_slave"] += 1
    known = next((a for a in m.agents.values() if a.actor == message.agent), None)
    if known is not None and known.connected and known.pid == message.pid:
        _confirm(m, known)
        return
    if known is not None:
        m.counts["slave_removals/reason_registered"] += 1
        liveness.remove_for_good(m, known, "a new agent registered at the same address")
    info = pb.mesos.AgentInfo.FromString(message.agent_info)
    if _refused(m, message, info):
        return
    info.id.value = m.new_id("S")
    m.counts["slave_registrations"] += 1
    agent = Agent(message.agent, message.pid, info, Resources.from_proto(info.resources), m.ports.now())
    _add(m, agent, {})
    _confirm(m, agent)
    m.ports.save()


def _confirm(m: MasterState, agent: Agent) -> None:
    m.to_agent(agent, messages.AgentRegistered(agent.id, m.settings.total_ping_timeout))


def _refused(
    m: MasterState, message: messages.RegisterAgent | messages.ReregisterAgent, info: pb.mesos.AgentInfo
) -> bool:
    """Send an agent away that must not come."""
    is_gone = info.id.value in m.gone_agents
    refused = is_gone or machine_of(message.pid, info) in m.down_machines
    if refused:
        reason = "Agent has been marked gone" if is_gone else "Machine is in DOWN mode"
        m.ports.to_agent(message.agent, messages.ShutdownAgent(reason))
    return refused


def _add(m: MasterState, agent: Agent, used: dict[str, Resources]) -> None:
    m.agents[agent.id] = agent
    m.allocator.add_agent(agent, used)
    m.publish("agent_added", lambda: {"agent": views.agent(m, agent)})
    liveness.ping(m, agent)
    offers.allocate(m, [agent.id])


def reregister(m: MasterState, message: messages.ReregisterAgent) -> None:
    """An agent with an id: known, of the old master, or one that was given up."""
    m.counts["messages_reregister_slave"] += 1
    info = pb.mesos.AgentInfo.FromString(message.agent_info)
    if _refused(m, message, info):
        return
    on_it = [pb.mesos.FrameworkInfo.FromString(framework) for framework in message.frameworks]
    for framework in on_it:
        if framework.id.value not in m.frameworks | m.completed_frameworks:
            frameworks.add_framework(m, framework).recovered = True  # it has still to subscribe
    m.counts["slave_reregistrations"] += 1
    if info.id.value in m.agents:
        _came_back(m, m.agents[info.id.value], message, info)
    else:
        _readmit(m, message, info)
    for framework in on_it:
        if framework.id.value in m.completed_frameworks:
            m.to_agent(info.id.value, messages.ShutdownFramework(framework.id.value))


def _tasks_on(m: MasterState, message: messages.ReregisterAgent) -> Iterable[TaskRecord]:
    """The tasks that an agent reports, but for those of frameworks that are completed."""
    for proto in map(pb.mesos.Task.FromString, message.tasks):
        if proto.framework_id.value not in m.completed_frameworks:
            yield TaskRecord(proto, Resources.from_proto(proto.resources))


def _came_back(
    m: MasterState, agent: Agent, message: messages.ReregisterAgent, info: pb.mesos.AgentInfo
) -> None:
    """An agent that this master still has: what they know of each other is put in line."""
    agent.actor, agent.pid, agent.info = message.agent, message.pid, info
    was_away, agent.connected = not agent.connected, True
    agent.active = agent.id not in m.deactivated
    agent.reregistered_time = m.ports.now()
    agent.missed_pings, agent.disconnected_since = 0, None
    reported = {(task.framework_id, task.id): task for task in _tasks_on(m, message)}
    for key, task in reported.items():
        if key not in agent.tasks:
            tasks.index_task(agent, m.frameworks.get(key[0]), task)
            if not task.is_terminal:
                m.allocator.take(key[0], agent.id, task.resources)
    missing = tuple(key for key in agent.tasks if key not in reported)
    m.to_agent(agent, messages.AgentReregistered(agent.id, m.settings.total_ping_timeout, missing))
    has = {pb.mesos.Operation.FromString(operation).uuid.value for operation in message.operations}
    if lost := tuple(uuid for uuid in agent.operations if uuid not in has):
        if was_away:  # so none is on its way: what they were to change is as it was
            m.allocator.correct(
                agent, Resources.from_proto(map(pb.mesos.Resource.FromString, message.total_resources))
            )
        m.to_agent(agent, messages.ReconcileOperations(lost))
    executors = map(pb.mesos.ExecutorInfo.FromString, message.executors)
    for key in agent.executors.keys() - {(e.framework_id.value, e.executor_id.value) for e in executors}:
        tasks.remove_executor(m, agent, *key)
    for (framework_id, task_id), policy in agent.pending_kills.items():
        m.to_agent(agent, messages.KillTask(framework_id, task_id, policy))
    agent.pending_kills.clear()
    draining.came_back(m, agent)
    if agent.id in m.agents:  # not marked gone because it has drained
        offers.allocate(m, [agent.id])


def _readmit(m: MasterState, message: messages.ReregisterAgent, info: pb.mesos.AgentInfo) -> None:
    """An agent that this master does not have (any more): it is added with all that runs on it."""
    total = Resources.from_proto(map(pb.mesos.Resource.FromString, message.total_resources))
    total, now = total or Resources.from_proto(info.resources), m.ports.now()
    agent = Agent(message.agent, message.pid, info, total, now, reregistered_time=now)
    used: defaultdict[str, Resources] = defaultdict(Resources)
    was_recovered = m.recovered_agents.pop(agent.id, None) is not None
    was_unreachable = m.unreachable_agents.pop(agent.id, None) is not None
    for task in _tasks_on(m, message):
        framework = m.frameworks.get(task.framework_id)
        if framework is not None and not was_recovered:
            framework.unreachable_tasks.pop(task.id, None)
            # The double "re" is Mesos's own.
            text = "Unreachable agent re-reregistered" if was_unreachable else "Unknown agent reregistered"
            status = tasks.latest_status(m, task, text, "REASON_AGENT_REREGISTERED")
            status.state = task.proto.state
            tasks.forward(m, framework, status)
        tasks.index_task(agent, framework, task)
        if not task.is_terminal:
            used[task.framework_id] += task.resources
    for executor in map(pb.mesos.ExecutorInfo.FromString, message.executors):
        owner = executor.framework_id.value
        if owner not in m.completed_frameworks:
            used[owner] += tasks.add_executor(m.frameworks.get(owner), agent, executor).resources
    for framework_id, task_ids in m.unreachable_tasks.pop(agent.id, {}).items():
        for task_id in task_ids if framework_id in m.frameworks else ():
            m.frameworks[framework_id].unreachable_tasks.pop(task_id, None)
    for operation in map(pb.mesos.Operation.FromString, message.operations):
        framework = m.frameworks.get(operation.framework_id.value)
        operations.index(agent, framework, OperationRecord(operation, agent.id))
    m.to_agent(agent, messages.AgentReregistered(agent.id, m.settings.total_ping_timeout, ()))
    agent.active = agent.id not in m.deactivated
    _add(m, agent, used)
    draining.came_back(m, agent)
    m.ports.save()


def current_registry(m: MasterState) -> Registry:
    """What a new master has to know of things as they are now."""
    agents = [*(agent.info for agent in m.agents.values()), *m.recovered_agents.values()]
    known = replace(deepcopy(m.registry), agents=agents)
    known.deactivated -= known.gone.keys()
    known.draining = {
        agent_id: info for agent_id, info in known.draining.items() if agent_id not in known.gone
    }
    return known


def recover(m: MasterState) -> None:
    """Start with what the registry of the old master knows."""
    m.recovered_agents.update((info.id.value, info) for info in m.registry.agents)
    m.registry.agents = []
    maintenance.recover(m)
    quota_calls.recover(m)
    if m.recovered_agents:
        m.ports.later(m.settings.agent_reregister_timeout, "recovery")


def recovery_timed_out(m: MasterState) -> None:
    """Agents of the old master that did not come back to this one are unreachable."""
    for agent_id in list(m.recovered_agents):
        del m.recovered_agents[agent_id]
        m.unreachable_agents[agent_id] = m.ports.now()
        m.counts["recovery_slave_removals"] += 1
        liveness.tell_all_of_loss(m, agent_id)
    m.ports.save()
