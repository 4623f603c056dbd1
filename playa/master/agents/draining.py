"""Agents that their operator takes out of use: deactivated, or drained of what runs on them.

DEACTIVATE_AGENT stops the offers. DRAIN_AGENT also has the agent kill its tasks; it is drained when each of them, and each
operation, has ended and its end was acknowledged. Then it is marked gone, or waits for REACTIVATE_AGENT. The registry knows
both, so they outlast the master (Mesos documentation, "Operator HTTP API").
"""

from mesos_v1 import pb
from playa import messages
from playa.master.agents import liveness, unreachable_or_gone
from playa.master.records import Agent, new
from playa.master.requests import SiteAnswer
from playa.master.state import MasterState

_UNKNOWN = SiteAnswer(400, "Unknown agent")


def drain(m: MasterState, asked: pb.master.Call.DrainAgent) -> SiteAnswer:
    """DRAIN_AGENT; again while it drains, perhaps in another way."""
    agent_id = asked.agent_id.value
    agent = m.agents.get(agent_id)
    if agent is not None and agent.machine in m.unavailability:
        where = f"{agent.machine.hostname} ({agent.machine.ip})"
        return SiteAnswer(400, f"Agent {agent_id} is part of a maintenance schedule under Machine {where}")
    if not _knows(m, agent_id):
        return _UNKNOWN
    config: dict[str, object] = {"mark_gone": asked.mark_gone}
    if asked.HasField("max_grace_period"):
        config["max_grace_period"] = {"nanoseconds": asked.max_grace_period.ToNanoseconds()}
    m.draining[agent_id] = new(pb.mesos.DrainInfo, state="DRAINING", config=config)
    _deactivate(m, agent_id)
    if agent is not None:
        agent.drain_started = m.ports.now()
        _tell(m, agent)
    return SiteAnswer(200)


def deactivate(m: MasterState, asked: pb.master.Call.DeactivateAgent) -> SiteAnswer:
    """DEACTIVATE_AGENT."""
    if not _knows(m, asked.agent_id.value):
        return _UNKNOWN
    _deactivate(m, asked.agent_id.value)
    return SiteAnswer(200)


def _deactivate(m: MasterState, agent_id: str) -> None:
    m.deactivated.add(agent_id)
    m.ports.save()
    if agent_id in m.agents:
        liveness.deactivate(m, m.agents[agent_id])


def reactivate(m: MasterState, asked: pb.master.Call.ReactivateAgent) -> SiteAnswer:
    """REACTIVATE_AGENT, unless it still drains."""
    agent_id = asked.agent_id.value
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
    return SiteAnswer(200)


def came_back(m: MasterState, agent: Agent) -> None:
    """An agent registered again: it is still deactivated, and told again to drain."""
    if agent.id in m.deactivated:
        liveness.deactivate(m, agent)
    if agent.id in m.draining:
        _tell(m, agent)


def check(m: MasterState, agent: Agent) -> None:
    """See whether a draining agent has drained."""
    info = m.draining.get(agent.id)
    if info is None or info.state != pb.mesos.DRAINING or agent.tasks or agent.operations:
        return
    if info.config.mark_gone:
        unreachable_or_gone.mark_gone(m, agent.id)
    else:
        m.draining[agent.id] = new(pb.mesos.DrainInfo, state="DRAINED", config=info.config)
        m.ports.save()


def _knows(m: MasterState, agent_id: str) -> bool:
    return agent_id in m.agents or agent_id in m.recovered_agents or agent_id in m.unreachable_agents


def _tell(m: MasterState, agent: Agent) -> None:
    m.to_agent(agent, messages.DrainAgent(m.draining[agent.id].config.SerializeToString()))
    check(m, agent)
