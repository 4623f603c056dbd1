"""Whether agents are there: pings, connections that break, and the time that agents have to come back.

Mesos documentation, "Agent Recovery", and the flags `agent_ping_timeout`, `max_agent_ping_timeouts`,
`agent_reregister_timeout`.
"""

from actors.runtime import message
from playa import messages
from playa.master.agents import unreachable_or_gone
from playa.master.allocation import offers
from playa.master.records import Agent
from playa.master.scheduler_api import tasks
from playa.master.state import MasterState


@message
class PingTimedOut:
    """The time that an agent had for its pong is over."""

    agent_id: str


@message
class AgentReregisterTimedOut:
    """The time that a disconnected agent had to come back is over."""

    agent_id: str
    disconnected_since: float


def ping(m: MasterState, agent: Agent) -> None:
    """Ask an agent whether it is there."""
    agent.pinged = True
    m.ports.to_agent(agent.actor, messages.Ping(agent.connected))
    m.ports.later(m.settings.agent_ping_timeout, PingTimedOut(agent.id))


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
        unreachable_or_gone.mark_unreachable(m, agent, "health check timed out")
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
        unreachable_or_gone.lose(m, task, "TASK_LOST", text, "REASON_AGENT_DISCONNECTED")
    for key in [key for key in agent.executors if key[0] in volatile]:
        tasks.remove_executor(m, agent, *key)
    agent.disconnected_since = m.ports.now()
    m.ports.later(
        m.settings.agent_reregister_timeout, AgentReregisterTimedOut(agent.id, agent.disconnected_since)
    )


def deactivate(m: MasterState, agent: Agent) -> None:
    """No more offers of an agent; those that are out are rescinded."""
    agent.active = False
    offers.end_all(m, agent, tell=True)


def reregister_timed_out(m: MasterState, agent_id: str, disconnected_since: float) -> None:
    """A disconnected agent did not come back in time."""
    agent = m.agents.get(agent_id)
    if agent is not None and not agent.connected and agent.disconnected_since == disconnected_since:
        limit = duration(m.settings.agent_reregister_timeout)
        text = f"agent did not reregister within {limit} after disconnecting"
        unreachable_or_gone.mark_unreachable(m, agent, text)


def duration(seconds: float) -> str:
    """A duration as Mesos prints it: in the largest unit that divides it."""
    for unit, size in (("weeks", 604800), ("days", 86400), ("hrs", 3600), ("mins", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}secs" if seconds >= 1 else f"{seconds * 1000:g}ms"
