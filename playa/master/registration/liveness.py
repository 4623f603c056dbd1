"""Whether agents are there: pings, connections that break, and the time that agents have to come back.

Mesos documentation, "Agent Recovery", and the flags `agent_ping_timeout`, `max_agent_ping_timeouts`,
`agent_reregister_timeout`.
"""

from actors.runtime import message
from playa import messages
from playa.master.records import Agent
from playa.master.registration import removing
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


# --- pings ----------------------------------------------------------------------------------------------------


def ping(m: MasterState, agent: Agent) -> None:
    """Ask an agent whether it is there."""
    agent.pinged = True
    m.ports.to_agent(agent.actor, messages.Ping(agent.connected))
    m.ports.later(m.settings.agent_ping_timeout, PingTimedOut(agent.id))


def pong(m: MasterState, agent_id: str) -> None:
    """An agent answered."""
    agent = m.agents.get(agent_id)
    if agent is not None:
        agent.pinged = False
        agent.missed_pings = 0


def ping_timed_out(m: MasterState, agent_id: str) -> None:
    """Count a missed ping, ping again; too many in a row: the agent is unreachable."""
    agent = m.agents.get(agent_id)
    if agent is None:
        return
    if agent.pinged:
        agent.missed_pings += 1
        if agent.missed_pings >= m.settings.max_agent_ping_timeouts:
            m.counts["slave_unreachable_scheduled"] += 1
            m.counts["slave_unreachable_completed"] += 1
            removing.mark_unreachable(m, agent, "health check timed out")
            return
    ping(m, agent)


# --- connections ----------------------------------------------------------------------------------------------


def disconnected(m: MasterState, actor: str) -> None:
    """The connection to an agent broke: its offers go, and so do tasks of frameworks that do not checkpoint."""
    agent = next((a for a in m.agents.values() if a.actor == actor and a.connected), None)
    if agent is None:
        return
    agent.connected = False
    deactivate(m, agent)
    for framework_id in {key[0] for key in (*agent.tasks, *agent.executors)}:
        framework = m.framework(framework_id)
        if framework is None or framework.info.checkpoint:
            continue
        for task in [t for key, t in agent.tasks.items() if key[0] == framework_id]:
            text = f"Agent {agent.info.hostname} disconnected"
            removing.lose(m, agent, task, state="TASK_LOST", text=text, reason="REASON_AGENT_DISCONNECTED")
        for key in [key for key in agent.executors if key[0] == framework_id]:
            tasks.remove_executor(m, agent, *key)
    agent.disconnected_since = m.ports.now()
    m.ports.later(
        m.settings.agent_reregister_timeout, AgentReregisterTimedOut(agent.id, agent.disconnected_since)
    )


def deactivate(m: MasterState, agent: Agent) -> None:
    """No more offers of an agent; those that are out are rescinded."""
    agent.active = False
    m.allocator.set_agent_active(agent.id, False)
    removing.take_offers_back(m, agent)


def reregister_timed_out(m: MasterState, agent_id: str, disconnected_since: float) -> None:
    """A disconnected agent did not come back in time."""
    agent = m.agents.get(agent_id)
    if agent is not None and not agent.connected and agent.disconnected_since == disconnected_since:
        text = (
            "agent did not reregister within "
            f"{duration(m.settings.agent_reregister_timeout)} after disconnecting"
        )
        removing.mark_unreachable(m, agent, text)


def duration(seconds: float) -> str:
    """A duration as Mesos prints it: in the largest unit that divides it."""
    for unit, size in (("weeks", 604800), ("days", 86400), ("hrs", 3600), ("mins", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    if seconds >= 1:
        return f"{seconds:g}secs"
    return f"{seconds * 1000:g}ms"
