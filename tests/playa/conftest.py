"""A master's logic without an actor, a clock or a network: the world is a list of what it was told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa import ClusterSettings, messages
from playa.faults import FaultPlan
from playa.master.agents import admission
from playa.master.agents.registry import Registry
from playa.master.allocation import offers
from playa.master.http_site import SiteAnswer
from playa.master.ports import Due, Ports
from playa.master.records import Agent, Framework
from playa.master.scheduler_api import calls, frameworks
from playa.master.state import MasterState
from tests.support.answers import answered


@dataclass
class World(Ports):
    """Ports that remember, with a clock that is set by hand."""

    time: float = 1000.0
    sent: list[tuple[str, Any]] = field(default_factory=list)
    told: list[tuple[str, Any]] = field(default_factory=list)
    timers: list[tuple[float, Any]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    published: list[pb.master.Event] = field(default_factory=list)
    saves: int = 0
    uuids: int = 0
    plan: FaultPlan = field(default_factory=FaultPlan)

    def now(self) -> float:
        return self.time

    def uuid_bytes(self) -> bytes:
        self.uuids += 1
        return self.uuids.to_bytes(16, "big")

    def later(self, seconds: float, what: str, *arguments: str | float | bytes) -> None:
        self.timers.append((self.time + seconds, Due(what, arguments)))

    def forget_stream(self, stream_id: str) -> None:
        pass

    def to_agent(self, actor: str, message: object) -> None:
        self.told.append((actor, message))

    def to_stream(self, stream_id: str, event: pb.scheduler.Event) -> None:
        copy = pb.scheduler.Event()
        copy.CopyFrom(event)
        self.sent.append((stream_id, copy))

    def close_stream(self, stream_id: str) -> None:
        self.closed.append(stream_id)

    def to_operators(self, event: pb.master.Event) -> None:
        self.published.append(event)

    def operator_count(self) -> int:
        return 1

    def save(self) -> None:
        self.saves += 1


@dataclass
class Bench:
    """A master's state with its world, and the few things that every test does."""

    state: MasterState
    world: World

    def subscribe(
        self, name: str = "f", *, roles: tuple[str, ...] = ("*",), stream: str = "", **info: Any
    ) -> Framework:
        capabilities = info.pop("capabilities", ("MULTI_ROLE", "PARTITION_AWARE"))
        call = pb.scheduler.Call.Subscribe()
        call.framework_info.name, call.framework_info.user = name, "root"
        framework_id = info.pop("id", "")
        if framework_id:
            call.framework_info.id.value = framework_id
        call.framework_info.roles.extend(roles)
        call.suppressed_roles.extend(info.pop("suppressed", ()))
        for key, value in info.items():
            setattr(call.framework_info, key, value)
        kinds = pb.mesos.FrameworkInfo.Capability
        for capability in capabilities:
            call.framework_info.capabilities.add(type=kinds.Type.Value(capability))
        stream = stream or f"stream-{name}"
        frameworks.subscribe(self.state, call, stream, None)
        return next(f for f in self.state.frameworks.values() if f.stream_id == stream)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """What a new master has to know is saved if it changes."""
        before, saves = admission.current_registry(self.state), self.world.saves
        yield
        assert self.world.saves > saves or admission.current_registry(self.state) == before

    def add_agent(self, number: int = 1, resources: str = "cpus:4;mem:4096") -> Agent:
        info = pb.mesos.AgentInfo(hostname="127.0.0.1", port=5050 + number)
        info.resources.extend(Resources.parse(resources).to_proto())
        actor = f"agent:{number}"
        pid = f"slave(1)@127.0.0.1:{5050 + number}"
        with self.saving():
            admission.register(self.state, messages.RegisterAgent(actor, info.SerializeToString(), pid))
        return next(a for a in self.state.agents.values() if a.actor == actor)

    def call(self, framework: Framework, **fields: Any) -> SiteAnswer:
        """Make a call of plain values."""
        from mesos_v1 import content

        call = content.from_json(pb.scheduler.Call, {"framework_id": {"value": framework.id}, **fields})
        return answered(calls.carry_out, self.state, call, framework.stream_id, None)

    def events(self, framework: Framework, kind: str) -> list[Any]:
        """The events of a kind that a framework was sent, newest last."""
        stream, wanted = framework.stream_id, pb.scheduler.Event.Type.Value(kind)
        return [event for to, event in self.world.sent if to == stream and event.type == wanted]

    def offers(self, framework: Framework) -> list[pb.mesos.Offer]:
        """All offers that a framework was ever sent."""
        return [offer for event in self.events(framework, "OFFERS") for offer in event.offers.offers]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a batch allocation each second."""
        end = self.world.time + seconds
        while self.world.time + 1 <= end:
            self.world.time += 1
            offers.allocate(self.state)
        self.world.time = end

    def launch(self, framework: Framework, task_id: str = "t", **task: Any) -> SiteAnswer:
        """Launch a task on the newest offer."""
        offer = self.offers(framework)[-1]
        info = {
            "name": task_id,
            "task_id": {"value": task_id},
            "agent_id": {"value": offer.agent_id.value},
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}},
            ],
            **({} if "executor" in task else {"command": {"value": "true"}}),
            **task,
        }
        operation = {"type": "LAUNCH", "launch": {"task_infos": [info]}}
        accept = {"offer_ids": [{"value": offer.id.value}], "operations": [operation]}
        return self.call(framework, type="ACCEPT", accept=accept)

    def told(self, kind: type[Any]) -> list[Any]:
        """What agents were told of a kind."""
        return [message for _, message in self.world.told if type(message) is kind]

    def update(self, agent: Agent, framework: Framework, task_id: str, state: str, latest: str = "") -> bytes:
        """An agent's status update."""
        from playa.master.scheduler_api import tasks

        status = pb.mesos.TaskStatus(state=pb.mesos.TaskState.Value(state), uuid=self.world.uuid_bytes())
        status.task_id.value, status.agent_id.value = task_id, agent.id
        message = messages.AgentUpdate(
            agent.id, framework.id, "", status.SerializeToString(), latest or state
        )
        tasks.status_update(self.state, message)
        return status.uuid


@pytest.fixture
def new_bench() -> Any:
    """Makes benches: `new_bench(offer_timeout=5.0)`, with the cluster's settings."""

    def make(
        registry: Registry | None = None, weights: dict[str, float] | None = None, **settings: Any
    ) -> Bench:
        world = World()
        chosen = ClusterSettings(agents=(), weights=tuple((weights or {}).items()), **settings)
        info = pb.mesos.MasterInfo(id="m", ip=0, port=5050)
        state = MasterState(
            settings=chosen,
            ports=world,
            id="m",
            info=info,
            registry=registry or Registry(),
            start_time=world.time,
        )
        return Bench(state, world)

    return make


@pytest.fixture
def bench(new_bench: Any) -> Bench:
    """A bench with usual settings and no agent."""
    result: Bench = new_bench()
    return result
