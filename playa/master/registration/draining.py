"""Agents that their operator takes out of use: deactivated, or drained of what runs on them.

DEACTIVATE_AGENT stops the offers. DRAIN_AGENT also has the agent kill its tasks; it is drained when each of them, and each
operation, has ended and its end was acknowledged. Then it is marked gone, or waits for REACTIVATE_AGENT. The registry knows
both, so they outlast the master (Mesos documentation, "Operator HTTP API").
"""

from mesos_v1 import pb
from playa import messages
from playa.master.records import Agent
from playa.master.registration import liveness, removing
from playa.master.site import SiteAnswer
from playa.master.state import MasterState

_Call = pb.master.Call


def drain(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    """DRAIN_AGENT; again while it drains, perhaps in another way."""
    asked = call.drain_agent
    agent_id = asked.agent_id.value
    agent = m.agents.get(agent_id)
    if agent is not None and agent.machine in m.unavailability:
        where = f"{agent.machine.hostname} ({agent.machine.ip})"
        text = f"Agent {agent_id} is part of a maintenance schedule under Machine {where}"
        return SiteAnswer(400, text)
    if not _knows(m, agent_id):
        return SiteAnswer(400, "Unknown agent")
    info = m.draining[agent_id] = pb.mesos.DrainInfo(state=pb.mesos.DRAINING)
    info.config.mark_gone = asked.mark_gone
    if asked.HasField("max_grace_period"):
        info.config.max_grace_period.nanoseconds = asked.max_grace_period.ToNanoseconds()
    m.deactivated.add(agent_id)
    m.ports.save()
    if agent is not None:
        liveness.deactivate(m, agent)
        agent.drain_started = m.ports.now()
        _tell(m, agent)
        check(m, agent)
    return SiteAnswer(200)


def deactivate(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    """DEACTIVATE_AGENT."""
    agent_id = call.deactivate_agent.agent_id.value
    if not _knows(m, agent_id):
        return SiteAnswer(400, "Unknown agent")
    m.deactivated.add(agent_id)
    m.ports.save()
    if agent_id in m.agents:
        liveness.deactivate(m, m.agents[agent_id])
    return SiteAnswer(200)


def reactivate(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    """REACTIVATE_AGENT, unless it still drains."""
    agent_id = call.reactivate_agent.agent_id.value
    if agent_id not in m.deactivated:
        return SiteAnswer(400, "Agent is not deactivated")
    if agent_id in m.draining and m.draining[agent_id].state == pb.mesos.DRAINING:
        return SiteAnswer(400, "Agent is still in the DRAINING state")
    m.draining.pop(agent_id, None)
    m.deactivated.discard(agent_id)
    m.ports.save()
    agent = m.agents.get(agent_id)
    if agent is None:
        return SiteAnswer(409, "Agent removed while processing the call")
    agent.drain_started = None
    agent.active = agent.connected
    m.allocator.set_agent_active(agent.id, agent.active)
    return SiteAnswer(200)


def came_back(m: MasterState, agent: Agent) -> None:
    """An agent registered again: it is still deactivated, and told again to drain."""
    if agent.id in m.deactivated:
        liveness.deactivate(m, agent)
    if agent.id in m.draining:
        _tell(m, agent)
        check(m, agent)


def check(m: MasterState, agent: Agent) -> None:
    """See whether a draining agent has drained."""
    info = m.draining.get(agent.id)
    if info is None or info.state != pb.mesos.DRAINING or agent.tasks or agent.operations:
        return
    if info.config.mark_gone:
        removing.mark_gone(m, agent.id)
    else:
        info.state = pb.mesos.DRAINED
        m.ports.save()


def _knows(m: MasterState, agent_id: str) -> bool:
    return agent_id in m.agents or agent_id in m.recovered_agents or agent_id in m.unreachable_agents


def _tell(m: MasterState, agent: Agent) -> None:
    m.to_agent(agent, messages.DrainAgent(m.draining[agent.id].config.SerializeToString()))
