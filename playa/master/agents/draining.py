"""Agents that their operator takes out of use: deactivated, or drained of what runs on them.

DEACTIVATE_AGENT stops the offers. DRAIN_AGENT also has the agent kill its tasks; it is drained when each of them, and each
operation, has ended and its end was acknowledged. Then it is marked gone, or waits for REACTIVATE_AGENT. The registry knows
both, so they outlast the master (Mesos documentation, "Operator HTTP API").
"""

from mesos_v1 import pb
from playa import messages
from playa.master.agents import liveness
from playa.master.records import Agent, new
from playa.master.state import MasterState
from playa.web import Refused


def drain(m: MasterState, asked: pb.master.Call.DrainAgent) -> None:
    """DRAIN_AGENT; again while it drains, perhaps in another way."""
    agent_id = asked.agent_id.value
    agent = m.agents.get(agent_id)
    if agent is not None and agent.machine in m.unavailability:
        where = f"{agent.machine.hostname} ({agent.machine.ip})"
        raise Refused(400, f"Agent {agent_id} is part of a maintenance schedule under Machine {where}")
    _require_known(m, agent_id)
    config: dict[str, object] = {"mark_gone": asked.mark_gone}
    if asked.HasField("max_grace_period"):
        config["max_grace_period"] = {"nanoseconds": asked.max_grace_period.ToNanoseconds()}
    m.draining[agent_id] = new(pb.mesos.DrainInfo, state="DRAINING", config=config)
    _deactivate(m, agent_id)
    if agent is not None:
        agent.drain_started = m.ports.now()
        _tell(m, agent)


def deactivate(m: MasterState, asked: pb.master.Call.DeactivateAgent) -> None:
    """DEACTIVATE_AGENT."""
    _require_known(m, asked.agent_id.value)
    _deactivate(m, asked.agent_id.value)


def _deactivate(m: MasterState, agent_id: str) -> None:
    m.deactivated.add(agent_id)
    m.ports.save()
    if agent_id in m.agents:
        liveness.deactivate(m, m.agents[agent_id])


def reactivate(m: MasterState, asked: pb.master.Call.ReactivateAgent) -> None:
    """REACTIVATE_AGENT, unless it still drains."""
    agent_id = asked.agent_id.value
    if agent_id not in m.deactivated:
        raise Refused(400, "Agent is not deactivated")
    if agent_id in m.draining and m.draining[agent_id].state == pb.mesos.DRAINING:
        raise Refused(400, "Agent is still in the DRAINING state")
    m.draining.pop(agent_id, None)
    m.deactivated.discard(agent_id)
    m.ports.save()
    agent = m.agents.get(agent_id)
    if agent is None:
        raise Refused(409, "Agent removed while processing the call")
    agent.drain_started = None
    agent.active = agent.connected


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
        liveness.mark_gone(m, agent.id)
    else:
        m.draining[agent.id] = new(pb.mesos.DrainInfo, state="DRAINED", config=info.config)
        m.ports.save()


def _require_known(m: MasterState, agent_id: str) -> None:
    if not any(agent_id in known for known in (m.agents, m.recovered_agents, m.unreachable_agents)):
        raise Refused(400, "Unknown agent")


def _tell(m: MasterState, agent: Agent) -> None:
    m.to_agent(agent, messages.DrainAgent(m.draining[agent.id].config.SerializeToString()))
    check(m, agent)
