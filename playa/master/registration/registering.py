"""Agents that come: new ones, those of an old master, and those that were away.

Mesos documentation, "Agent Recovery", "Designing Highly Available Mesos Frameworks". Tasks of an agent that was given up come
back with it, and frameworks are told (REASON_AGENT_REREGISTERED).
"""

from dataclasses import replace

from actors.runtime import message
from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa import messages
from playa.master.allocation import offering
from playa.master.operator_api import events as operator_events
from playa.master.operator_api import quota_calls, reading
from playa.master.records import Agent, Machine, OperationRecord, TaskRecord
from playa.master.registration import draining, liveness, maintenance, removing
from playa.master.registration.registry import Registry
from playa.master.scheduler_api import events, subscribing, tasks
from playa.master.state import MasterState


@message
class RecoveryTimedOut:
    """The time that the old master's agents had to come back to this one is over."""


# --- registering ----------------------------------------------------------------------------------------------


def register(m: MasterState, message: messages.RegisterAgent) -> None:
    """An agent without an id."""
    m.counts["messages_register_slave"] += 1
    known = next((a for a in m.agents.values() if a.actor == message.agent), None)
    if known is not None and known.connected and known.pid == message.pid:
        m.to_agent(known, messages.AgentRegistered(known.id, m.settings.total_ping_timeout))
        return
    if known is not None:
        m.counts["slave_removals/reason_registered"] += 1
        removing.remove_for_good(m, known, "a new agent registered at the same address")
    info = pb.mesos.AgentInfo.FromString(message.agent_info)
    machine = Machine(info.hostname, _ip_of(message.pid))
    if machine in m.down_machines:
        reason = "Machine is in DOWN mode"
        m.ports.to_agent(message.agent, messages.ShutdownAgent(reason))
        return
    info.id.value = m.new_agent_id()
    m.counts["slave_registrations"] += 1
    agent = _new_agent(m, message.agent, message.pid, info, Resources.from_proto(info.resources))
    _add(m, agent, {})
    m.to_agent(agent, messages.AgentRegistered(agent.id, m.settings.total_ping_timeout))
    m.ports.save()


def _new_agent(m: MasterState, actor: str, pid: str, info: pb.mesos.AgentInfo, total: Resources) -> Agent:
    name, _, address = pid.partition("@")
    return Agent(
        id=info.id.value,
        actor=actor,
        pid=pid,
        info=info,
        machine=Machine(info.hostname, _ip_of(pid)),
        port=int(address.rpartition(":")[2]),
        path=f"/{name}",
        total=total,
        registered_time=m.ports.now(),
    )


def _ip_of(pid: str) -> str:
    return pid.partition("@")[2].rpartition(":")[0]


def _add(m: MasterState, agent: Agent, used: dict[str, Resources]) -> None:
    m.agents[agent.id] = agent
    m.removed_agents.pop(agent.id, None)
    m.allocator.add_agent(agent.id, agent.info, agent.total, used)
    m.allocator.set_agent_active(agent.id, agent.active)
    m.allocator.set_unavailable(agent.id, agent.machine in m.unavailability)
    m.publish(lambda: operator_events.agent_added(reading.agent(m, agent)))
    liveness.ping(m, agent)
    offering.allocate(m, [agent.id])


def reregister(m: MasterState, message: messages.ReregisterAgent) -> None:
    """An agent with an id: known, of the old master, or one that was given up."""
    m.counts["messages_reregister_slave"] += 1
    info = pb.mesos.AgentInfo.FromString(message.agent_info)
    agent_id = info.id.value
    if agent_id in m.gone_agents:
        m.ports.to_agent(message.agent, messages.ShutdownAgent("Agent has been marked gone"))
        return
    if Machine(info.hostname, _ip_of(message.pid)) in m.down_machines:
        m.ports.to_agent(message.agent, messages.ShutdownAgent("Machine is in DOWN mode"))
        return
    for framework_info in _infos(message.frameworks):
        if framework_info.id.value not in m.frameworks | m.completed_frameworks:
            subscribing.recover_framework(m, framework_info)
    known = m.agents.get(agent_id)
    if known is not None:
        _came_back(m, known, message, info)
    else:
        _readmit(m, message, info)
    if agent_id in m.agents:
        _shut_down_completed(m, m.agents[agent_id], message)


def _infos(frameworks: tuple[bytes, ...]) -> list[pb.mesos.FrameworkInfo]:
    return [pb.mesos.FrameworkInfo.FromString(info) for info in frameworks]


def _shut_down_completed(m: MasterState, agent: Agent, message: messages.ReregisterAgent) -> None:
    for info in _infos(message.frameworks):
        if info.id.value in m.completed_frameworks:
            m.to_agent(agent, messages.ShutdownFramework(info.id.value))


def _came_back(
    m: MasterState, agent: Agent, message: messages.ReregisterAgent, info: pb.mesos.AgentInfo
) -> None:
    """An agent that this master still has: what they know of each other is put in line."""
    agent.actor, agent.pid, agent.info = message.agent, message.pid, info
    agent.port = int(message.pid.rpartition(":")[2])
    agent.connected = True
    agent.active = agent.id not in m.deactivated
    agent.reregistered_time = m.ports.now()
    agent.missed_pings, agent.disconnected_since = 0, None
    m.counts["slave_reregistrations"] += 1
    reported = {
        (t.framework_id.value, t.task_id.value): t
        for t in (pb.mesos.Task.FromString(task) for task in message.tasks)
    }
    for key, proto in reported.items():
        framework = m.framework(key[0])
        if key not in agent.tasks and key[0] not in m.completed_frameworks:
            record = TaskRecord(proto, Resources.from_proto(proto.resources))
            tasks.index_task(agent, framework, record)
            if not record.is_terminal:
                m.allocator.take(key[0], agent.id, record.resources)
    executors = {
        (e.framework_id.value, e.executor_id.value)
        for e in (pb.mesos.ExecutorInfo.FromString(executor) for executor in message.executors)
    }
    missing = tuple(messages.TaskToReconcile(*key) for key in agent.tasks if key not in reported)
    m.to_agent(agent, messages.AgentReregistered(agent.id, m.settings.total_ping_timeout, missing))
    for framework_id, executor_id in list(agent.executors):
        if (framework_id, executor_id) not in executors:
            tasks.remove_executor(m, agent, framework_id, executor_id)
    for (framework_id, task_id), policy in agent.pending_kills.items():
        m.to_agent(agent, messages.KillTask(framework_id, task_id, policy))
    agent.pending_kills.clear()
    m.allocator.set_agent_active(agent.id, agent.active)
    draining.came_back(m, agent)
    if agent.id in m.agents:  # not marked gone because it has drained
        offering.allocate(m, [agent.id])


def _readmit(m: MasterState, message: messages.ReregisterAgent, info: pb.mesos.AgentInfo) -> None:
    """An agent that this master does not have (any more): it is added with all that runs on it."""
    total = Resources.from_proto(_resources(message.total_resources)) or Resources.from_proto(info.resources)
    agent = _new_agent(m, message.agent, message.pid, info, total)
    agent.reregistered_time = m.ports.now()
    m.counts["slave_reregistrations"] += 1
    used: dict[str, Resources] = {}
    was_recovered = m.recovered_agents.pop(agent.id, None) is not None
    was_unreachable = m.unreachable_agents.pop(agent.id, None) is not None
    for task in (pb.mesos.Task.FromString(task) for task in message.tasks):
        framework_id = task.framework_id.value
        if framework_id in m.completed_frameworks:
            continue
        record = TaskRecord(task, Resources.from_proto(task.resources))
        if not was_recovered:
            _tell_task_is_back(m, record, was_unreachable=was_unreachable)
        tasks.index_task(agent, m.framework(framework_id), record)
        if not record.is_terminal:
            used[framework_id] = used.get(framework_id, Resources()) + record.resources
    for executor in (pb.mesos.ExecutorInfo.FromString(executor) for executor in message.executors):
        framework_id = executor.framework_id.value
        if framework_id not in m.completed_frameworks:
            executor_record = tasks.add_executor(m.framework(framework_id), agent, executor)
            used[framework_id] = used.get(framework_id, Resources()) + executor_record.resources
    for framework_id, task_ids in m.unreachable_tasks.pop(agent.id, {}).items():
        framework = m.framework(framework_id)
        for task_id in task_ids if framework is not None else ():
            framework.unreachable_tasks.pop(task_id, None)  # type: ignore[union-attr]
    _add_operations(m, agent, message)
    m.to_agent(agent, messages.AgentReregistered(agent.id, m.settings.total_ping_timeout, ()))
    agent.active = agent.id not in m.deactivated
    _add(m, agent, used)
    draining.came_back(m, agent)
    m.ports.save()


def _resources(protos: tuple[bytes, ...]) -> list[pb.mesos.Resource]:
    return [pb.mesos.Resource.FromString(proto) for proto in protos]


def _add_operations(m: MasterState, agent: Agent, message: messages.ReregisterAgent) -> None:
    for proto in (pb.mesos.Operation.FromString(operation) for operation in message.operations):
        record = OperationRecord(proto, agent.id, Resources(), is_speculative=True)
        agent.operations[record.uuid] = record
        framework = m.framework(proto.framework_id.value)
        if framework is not None:
            framework.operations[record.uuid] = record


def _tell_task_is_back(m: MasterState, task: TaskRecord, *, was_unreachable: bool) -> None:
    framework = m.framework(task.framework_id)
    if framework is None:
        return
    framework.unreachable_tasks.pop(task.id, None)
    # The double "re" is Mesos's own.
    text = "Unreachable agent re-reregistered" if was_unreachable else "Unknown agent reregistered"
    status = events.latest_status(task, now=m.ports.now(), text=text, reason="REASON_AGENT_REREGISTERED")
    status.state = task.proto.state
    tasks.forward(m, framework, status)


def current_registry(m: MasterState) -> Registry:
    """What a new master has to know of things as they are now."""
    infos = (*(agent.info for agent in m.agents.values()), *m.recovered_agents.values())
    return replace(
        m.registry,
        agents=tuple(info.SerializeToString() for info in infos),
        unreachable=tuple(m.unreachable_agents.items()),
        gone=tuple(m.gone_agents.items()),
        draining=tuple((i, d.SerializeToString()) for i, d in m.draining.items() if i not in m.gone_agents),
        deactivated=tuple(sorted(m.deactivated - m.gone_agents.keys())),
    )


def recover(m: MasterState) -> None:
    """Start with what the registry of the old master knows."""
    for info in m.registry.agent_infos():
        m.recovered_agents[info.id.value] = info
    m.unreachable_agents.update(m.registry.unreachable)
    m.gone_agents.update(m.registry.gone)
    m.draining.update(m.registry.drain_infos())
    m.deactivated.update(m.registry.deactivated)
    maintenance.recover(m)
    quota_calls.recover(m)
    if m.recovered_agents:
        m.ports.later(m.settings.agent_reregister_timeout, RecoveryTimedOut())


def recovery_timed_out(m: MasterState) -> None:
    """Agents of the old master that did not come back to this one are unreachable."""
    for agent_id in list(m.recovered_agents):
        del m.recovered_agents[agent_id]
        m.unreachable_agents[agent_id] = m.ports.now()
        m.counts["recovery_slave_removals"] += 1
        removing.tell_all_of_loss(m, agent_id)
    m.ports.save()
