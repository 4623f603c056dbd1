"""The allocator with the records that the master would keep for it, made of plain values."""

from collections.abc import Iterable
from typing import Any

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa.master.allocation import allocator
from playa.master.records import Agent, Framework


class Allocator(allocator.Allocator):
    """Frameworks and agents come by id."""

    def __init__(self, weights: dict[str, float] | None = None, **options: Any) -> None:
        self.frameworks: dict[str, Framework] = {}
        self.agents: dict[str, Agent] = {}
        super().__init__(self.frameworks, self.agents, weights or {}, **options)

    def add_framework(self, framework_id: str, roles: Iterable[str], **more: Any) -> None:
        info = pb.mesos.FrameworkInfo(name="f", user="u", id=pb.mesos.FrameworkID(value=framework_id))
        more = {"capabilities": frozenset(), "active": True, **more, "roles": tuple(roles)}
        more["suppressed"] = set(more.get("suppressed", ()))
        self.frameworks[framework_id] = Framework(info=info, **more)

    def remove_framework(self, framework_id: str) -> None:
        del self.frameworks[framework_id]
        super().remove_framework(framework_id)

    def new_agent(self, agent_id: str, info: pb.mesos.AgentInfo, total: Resources, **used: Resources) -> None:
        known = pb.mesos.AgentInfo()
        known.CopyFrom(info)
        known.id.value = agent_id
        agent = Agent("", "slave(1)@127.0.0.1:1", known, total, registered_time=0.0)
        self.agents[agent_id] = agent
        self.add_agent(agent, used)

    def lose_agent(self, agent_id: str) -> None:
        self.remove_agent(self.agents.pop(agent_id))
