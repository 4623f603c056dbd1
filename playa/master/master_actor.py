"""The actor named "master": turns messages, timers and HTTP requests into calls of the master's logic.

Rules of this file: no rule of Mesos is in it. A handler reads a message, calls one function of the logic, and answers. The
actor owns its HTTP site; the site's handlers ask this actor and touch nothing of the state themselves.
"""

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from actors.runtime import Actor, ActorRef, Terminated, message, receive
from mesos_v1 import pb
from playa import faults, messages
from playa.master.agents import admission, liveness, registry
from playa.master.allocation import offers
from playa.master.http_site import ApiRequest, MasterSite, SiteAnswer, StreamClosed, StreamOpened
from playa.master.operator_api import calls as operator_calls
from playa.master.operator_api import endpoints, views
from playa.master.ports import Due, Ports, SaveDue
from playa.master.records import new
from playa.master.scheduler_api import frameworks, operations, tasks
from playa.master.state import VERSION, MasterState
from playa.settings import ClusterSettings
from playa.web import Refused

REGISTRY_FILE = "registry.json"


@message
class Listen:
    """Start to listen. Answered with the port; an OSError when it cannot be had, a RegistryError for a bad registry."""


@message
class CountAgents:
    """Answered with the number of agents that are registered and connected."""


class MasterActor(Actor):
    """A Mesos master; it keeps its registry in a directory, and misbehaves by a plan from the start."""

    def __init__(self, settings: ClusterSettings, directory: str, port: int, plan: faults.FaultPlan) -> None:
        self._settings = settings
        self._registry_path = Path(directory) / REGISTRY_FILE
        self._port = port
        self._ports = Ports(self, settings, plan)
        self._site: MasterSite | None = None
        self._watched: set[str] = set()
        self._state: MasterState

    @receive
    async def handle_listen(self, _message: Listen) -> int:
        """Start with what the registry of an earlier master knows; errors are the asker's."""
        known = registry.load(self._registry_path)
        realms = {route: endpoint.realm for route, endpoint in endpoints.ENDPOINTS.items()}
        self._site = MasterSite(self._settings, self.actor_ref, self._ports, self._port, realms)
        self._port = await self._site.start()
        ip, port, master_id = self._settings.ip, self._port, self.ids.uuid()
        address = {"hostname": self._settings.hostname or ip, "ip": ip, "port": port}
        info = new(
            pb.mesos.MasterInfo,
            id=master_id,
            ip=int.from_bytes(IPv4Address(ip).packed, "little"),
            port=port,
            pid=f"master@{ip}:{port}",
            hostname=address["hostname"],
            version=VERSION,
            address=address,
            capabilities=[{"type": name} for name in views.MASTER_CAPABILITIES],
        )
        self._state = MasterState(self._settings, self._ports, master_id, info, known, self.clock.time())
        admission.recover(self._state)
        self.timers.every(self._settings.allocation_interval, Due("allocation"))
        return self._port

    async def on_stop(self) -> None:
        """As when the process dies: connections break."""
        try:
            self._save_now()
        finally:
            self._ports.close_all(abort=True)
            if self._site is not None:
                await self._site.stop(abort=True)

    def on_failure(self, *_: object) -> None:
        """As when the process dies; the next master wants the port."""
        self._ports.close_all(abort=True)
        if self._site is not None:
            self._site.abandon()

    @receive
    def handle_save_due(self, _message: SaveDue) -> None:
        self._save_now()

    def _save_now(self) -> None:
        if self._ports.save_is_due:
            self._ports.save_is_due = False
            registry.save(admission.current_registry(self._state), self._registry_path)

    def on_receive(self, message: Any) -> Any:
        """Hand on to the logic what agents say, and what clients and faults do to streams and offers."""
        if isinstance(message, messages.RegisterAgent | messages.ReregisterAgent):
            self._watch_agent(message.agent)
        if type(message) not in _LOGIC:
            return super().on_receive(message)
        return _LOGIC[type(message)](self._state, message)

    def _watch_agent(self, actor: str) -> None:
        """Hear of it when the agent's process dies, as a broken connection would tell."""
        if actor not in self._watched:
            ref: ActorRef[Actor] | None = self.system.find(actor)
            if ref is not None:
                self._watched.add(actor)
                self.watch(ref)

    @receive
    def handle_terminated(self, message: Terminated) -> None:
        self._watched.discard(message.name)
        liveness.disconnected(self._state, message.name)


def _answer(m: MasterState, request: ApiRequest) -> SiteAnswer | StreamOpened:
    try:
        return endpoints.answer(m, request)
    except Refused as refused:
        return SiteAnswer(refused.status, refused.text, headers=tuple(refused.headers.items()))


def _remove_frameworks(m: MasterState, message: faults.RemoveFramework) -> int:
    chosen = [f for f in m.frameworks.values() if message.framework_id in {"", f.id}]
    for framework in chosen:
        m.send(framework, "error", message="Framework has been removed")
        frameworks.remove(m, framework)
    return len(chosen)


def _rescind_offers(m: MasterState, _: object) -> int:
    taken_back = list(m.offers.values())
    for offer in taken_back:
        offers.rescind(m, offer)
    return len(taken_back)


_WHEN_DUE: dict[str, Callable[..., None]] = {
    "allocation": offers.allocate,
    "heartbeat": frameworks.heartbeat,
    "operator heartbeat": operator_calls.heartbeat,
    "stream taken": frameworks.stream_taken,
    "event": lambda m, stream, event: m.ports.send(stream, pb.scheduler.Event.FromString(event)),
    "failover": frameworks.failover_timed_out,
    "offer answered": offers.offer_timed_out,
    "pong": liveness.ping_timed_out,
    "reregistration": liveness.reregister_timed_out,
    "recovery": admission.recovery_timed_out,
}
_LOGIC: dict[type, Callable[[MasterState, Any], object]] = {
    messages.RegisterAgent: admission.register,
    messages.ReregisterAgent: admission.reregister,
    messages.UnregisterAgent: lambda m, message: liveness.unregister(m, message.agent_id),
    messages.AgentUpdate: tasks.status_update,
    messages.ExitedExecutor: tasks.exited_executor,
    messages.ExecutorMessage: tasks.executor_message,
    messages.OperationUpdate: operations.operation_update,
    messages.Pong: lambda m, message: liveness.pong(m, message.agent_id),
    Due: lambda m, message: _WHEN_DUE[message.what](m, *message.arguments),
    ApiRequest: _answer,
    StreamClosed: lambda m, message: frameworks.stream_closed(m, message.stream_id),
    CountAgents: lambda m, _: sum(agent.connected for agent in m.agents.values()),
    faults.SetFaults: lambda m, message: m.ports.set_plan(message.plan),
    faults.GetFaults: lambda m, _: m.ports.plan,
    faults.RemoveFramework: _remove_frameworks,
    faults.RescindOffers: _rescind_offers,
    faults.CloseStreams: lambda m, message: m.ports.close_all(abort=message.abort),
    faults.SendRaw: lambda m, message: m.ports.send_raw(message.data),
}
