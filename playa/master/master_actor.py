"""The actor named "master": turns messages, timers and HTTP requests into calls of the master's logic.

Rules of this file: no rule of Mesos is in it. A handler reads a message, calls one function of the logic, and answers. The
actor owns its HTTP site; the site's handlers ask this actor and touch nothing of the state themselves.
"""

import logging
from pathlib import Path

from actors.runtime import Actor, ActorRef, Terminated, message, receive
from mesos_v1 import pb
from playa import faults, messages
from playa.master.allocation import amounts, offering
from playa.master.allocation.allocator import Allocator
from playa.master.operations import operating
from playa.master.operator_api import api as operator_api
from playa.master.operator_api import reading
from playa.master.ports import ActorPorts, DelayedEvent, SaveDue
from playa.master.registration import liveness, registering, registry, removing
from playa.master.scheduler_api import call_validation, calls, events, subscribing, tasks
from playa.master.scheduler_api.streams import Streams
from playa.master.site import (
    GetEndpoint,
    MasterSite,
    OperatorRequest,
    SchedulerRequest,
    SiteAnswer,
    StreamClosed,
    StreamOpened,
)
from playa.master.state import VERSION, MasterState
from playa.settings import ClusterSettings
from playa.web import Refused, chosen_type, parse_message

log = logging.getLogger(__name__)

REGISTRY_FILE = "registry.json"
TAKE_SECONDS = 10.0
_Call = pb.scheduler.Call


@message
class AllocationDue:
    """It is time for a batch allocation."""


@message
class StreamDue:
    """By now the connection of a subscription must have been given to its stream, or its client is gone."""

    stream_id: str


@message
class Listen:
    """Start to listen. Answered with the port; an OSError when it cannot be had, a RegistryError for a bad registry."""


@message
class CountAgents:
    """Answered with the number of agents that are registered and connected."""


class MasterActor(Actor):
    """A Mesos master.

    Args:
        settings: The cluster's.
        directory: Where the registry is kept.
        port: Where to listen; 0 takes a free port.
        plan: How to misbehave from the start.
    """

    def __init__(
        self, settings: ClusterSettings, directory: str, port: int, plan: faults.FaultPlan | None = None
    ) -> None:
        self._settings = settings
        self._registry_path = Path(directory) / REGISTRY_FILE
        self._port = port
        self._streams = Streams(settings.max_stream_backlog, settings.max_operator_event_stream_subscribers)
        self._streams.set_plan(plan or faults.FaultPlan())
        self._ports = ActorPorts(self, self._streams)
        self._site: MasterSite | None = None
        self._watched: set[str] = set()
        self._state: MasterState

    # --- life -------------------------------------------------------------------------------------------------

    @receive
    async def handle_listen(self, _message: Listen) -> int:
        """Start with what the registry of an earlier master knows; errors are the asker's."""
        known = registry.load(self._registry_path)
        self._site = MasterSite(self._settings, self.actor_ref, self._streams)
        self._port = await self._site.start(self._settings.ip, self._port)
        master_id = self.ids.uuid()
        weights = dict(self._settings.weights) | dict(known.weights)
        self._state = MasterState(
            settings=self._settings,
            ports=self._ports,
            id=master_id,
            info=_master_info(self._settings, master_id, self._port),
            registry=known,
            start_time=self.clock.time(),
            allocator=Allocator(
                weights,
                amounts.parse_least(self._settings.min_allocatable_resources),
                self._settings.allocation_interval,
            ),
        )
        registering.recover(self._state)
        self.timers.every(self._settings.allocation_interval, AllocationDue())
        return self._port

    async def on_stop(self) -> None:
        """As when the process dies: connections break."""
        try:
            self._save_now()
        finally:
            self._streams.close_all(abort=True)
            if self._site is not None:
                await self._site.stop()

    def on_failure(self, *_: object) -> None:
        """As when the process dies; the next master wants the port."""
        self._streams.close_all(abort=True)
        if self._site is not None:
            self._site.abandon()

    @receive
    def handle_count_agents(self, _message: CountAgents) -> int:
        """Count the agents that are there."""
        return sum(agent.connected for agent in self._state.agents.values())

    def _save_now(self) -> None:
        if self._ports.save_is_due:
            self._ports.save_is_due = False
            registry.save(registering.current_registry(self._state), self._registry_path)

    # --- timers -----------------------------------------------------------------------------------------------

    @receive
    def handle_allocation_due(self, _message: AllocationDue) -> None:
        """Offer what is free to whom it is due."""
        offering.allocate(self._state)

    @receive
    def handle_save_due(self, _message: SaveDue) -> None:
        """Write the registry."""
        self._save_now()

    @receive
    def handle_delayed_event(self, message: DelayedEvent) -> None:
        """Send what a fault held back."""
        self._streams.send(message.stream_id, pb.scheduler.Event.FromString(message.event))

    @receive
    def handle_heartbeat_due(self, message: subscribing.HeartbeatDue) -> None:
        """Send a HEARTBEAT."""
        subscribing.heartbeat(self._state, message.framework_id, message.stream_id)

    @receive
    def handle_failover_timed_out(self, message: subscribing.FailoverTimedOut) -> None:
        """Remove a framework that did not come back."""
        subscribing.failover_timed_out(self._state, message.framework_id, message.reregistered_time)

    @receive
    def handle_offer_timed_out(self, message: offering.OfferTimedOut) -> None:
        """Rescind an offer that was held for too long."""
        offering.offer_timed_out(self._state, message.offer_id)

    @receive
    def handle_ping_timed_out(self, message: liveness.PingTimedOut) -> None:
        """Count a missed pong, or ping again."""
        liveness.ping_timed_out(self._state, message.agent_id)

    @receive
    def handle_agent_reregister_timed_out(self, message: liveness.AgentReregisterTimedOut) -> None:
        """Give up an agent that did not come back."""
        liveness.reregister_timed_out(self._state, message.agent_id, message.disconnected_since)

    @receive
    def handle_recovery_timed_out(self, _message: registering.RecoveryTimedOut) -> None:
        """Give up the old master's agents that did not come back."""
        registering.recovery_timed_out(self._state)

    @receive
    def handle_operator_heartbeat_due(self, message: operator_api.OperatorHeartbeatDue) -> None:
        """Send a HEARTBEAT on an operator's stream."""
        operator_api.heartbeat(self._state, self._streams, message.stream_id)

    # --- agents -----------------------------------------------------------------------------------------------

    @receive
    def handle_register_agent(self, message: messages.RegisterAgent) -> None:
        """Register an agent."""
        self._watch_agent(message.agent)
        registering.register(self._state, message)

    @receive
    def handle_reregister_agent(self, message: messages.ReregisterAgent) -> None:
        """Take an agent back."""
        self._watch_agent(message.agent)
        registering.reregister(self._state, message)

    def _watch_agent(self, actor: str) -> None:
        """Hear of it when the agent's process dies, as a broken connection would tell."""
        if actor not in self._watched:
            ref: ActorRef[Actor] | None = self.system.find(actor)
            if ref is not None:
                self._watched.add(actor)
                self.watch(ref)

    @receive
    def handle_terminated(self, message: Terminated) -> None:
        """An agent's process died: its connection is broken."""
        self._watched.discard(message.name)
        liveness.disconnected(self._state, message.name)

    @receive
    def handle_unregister_agent(self, message: messages.UnregisterAgent) -> None:
        """Remove an agent that ended in order."""
        removing.unregister(self._state, message.agent_id)

    @receive
    def handle_pong(self, message: messages.Pong) -> None:
        """Note that an agent is there."""
        liveness.pong(self._state, message.agent_id)

    @receive
    def handle_agent_update(self, message: messages.AgentUpdate) -> None:
        """Forward a status update."""
        tasks.status_update(self._state, message)

    @receive
    def handle_exited_executor(self, message: messages.ExitedExecutor) -> None:
        """Forward that an executor ended."""
        tasks.exited_executor(self._state, message)

    @receive
    def handle_executor_message(self, message: messages.ExecutorMessage) -> None:
        """Forward a framework message."""
        tasks.executor_message(self._state, message)

    @receive
    def handle_operation_update(self, message: messages.OperationUpdate) -> None:
        """Forward the status of an operation."""
        operating.operation_update(self._state, message)

    # --- HTTP -------------------------------------------------------------------------------------------------

    @receive
    def handle_scheduler_request(self, request: SchedulerRequest) -> SiteAnswer | StreamOpened:
        """Answer a request to the scheduler API."""
        try:
            call = parse_message(request.body, request.content_type, pb.scheduler.Call)
            wrong = call_validation.scheduler_call(call, request.principal)
            if wrong is not None:
                return SiteAnswer(400, f"Failed to validate scheduler::Call: {wrong}")
            if call.type == _Call.SUBSCRIBE:
                return self._subscribe(call, request)
            if call.type == _Call.RECONCILE_OPERATIONS:
                chosen_type(request.accept)
        except Refused as refused:
            return SiteAnswer(refused.status, refused.text)
        if call.type == _Call.ACCEPT and self._accept_goes_wrong(call):
            return SiteAnswer(202)
        answer = calls.handle(self._state, call, request.stream_id, request.principal)
        return SiteAnswer(answer.status, answer.text)

    def _subscribe(self, call: pb.scheduler.Call, request: SchedulerRequest) -> SiteAnswer | StreamOpened:
        content_type = chosen_type(request.accept)
        if request.stream_id is not None:
            return SiteAnswer(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        stream_id = self.ids.uuid()
        self._streams.open_scheduler(stream_id, content_type)
        self.timers.after(TAKE_SECONDS, StreamDue(stream_id))
        subscribing.subscribe(self._state, call.subscribe, stream_id, request.principal)
        return StreamOpened(stream_id)

    def _accept_goes_wrong(self, call: pb.scheduler.Call) -> bool:
        """Faults of an ACCEPT on its way; returns whether the call is lost."""
        if self._streams.count_down("lose_accepts"):
            return True
        if self._streams.count_down("rescind_accepts"):
            for offer_id in call.accept.offer_ids:
                offer = self._state.offers.get(offer_id.value)
                if offer is not None:
                    offering.rescind(self._state, offer)
        return False

    @receive
    def handle_operator_request(self, request: OperatorRequest) -> SiteAnswer | StreamOpened:
        """Answer a request to the operator API."""
        try:
            return operator_api.handle(self._state, self._streams, request, self.ids.uuid())
        except Refused as refused:
            return SiteAnswer(refused.status, refused.text)

    @receive
    def handle_get_endpoint(self, request: GetEndpoint) -> SiteAnswer:
        """Answer a request to another endpoint."""
        return operator_api.endpoint(self._state, self._streams, request)

    @receive
    def handle_stream_due(self, message: StreamDue) -> None:
        """Give up a subscription whose client went away before it was answered."""
        stream = self._streams.get(message.stream_id)
        if stream is not None and not stream.taken:
            self.handle_stream_closed(StreamClosed(message.stream_id))

    @receive
    def handle_stream_closed(self, message: StreamClosed) -> None:
        """Note that a subscriber is gone."""
        if self._streams.forget(message.stream_id):
            subscribing.stream_closed(self._state, message.stream_id)

    # --- faults -----------------------------------------------------------------------------------------------

    @receive
    def handle_set_faults(self, message: faults.SetFaults) -> faults.FaultPlan:
        """Misbehave like this."""
        self._streams.set_plan(message.plan)
        return self._streams.plan

    @receive
    def handle_get_faults(self, _message: faults.GetFaults) -> faults.FaultPlan:
        """Tell how it misbehaves."""
        return self._streams.plan

    @receive
    def handle_remove_framework(self, message: faults.RemoveFramework) -> int:
        """Fault: remove frameworks."""
        chosen = [f for f in self._state.frameworks.values() if message.framework_id in {"", f.id}]
        for framework in chosen:
            self._state.send(framework, events.error("Framework has been removed"))
            subscribing.remove(self._state, framework)
        return len(chosen)

    @receive
    def handle_rescind_offers(self, _message: faults.RescindOffers) -> int:
        """Fault: take all offers back."""
        offers = list(self._state.offers.values())
        for offer in offers:
            offering.rescind(self._state, offer)
        return len(offers)

    @receive
    def handle_close_streams(self, message: faults.CloseStreams) -> int:
        """Fault: close all subscriptions."""
        return self._streams.close_all(abort=message.abort)

    @receive
    def handle_send_raw(self, message: faults.SendRaw) -> int:
        """Fault: send bytes that are no record."""
        streams = self._streams.schedulers()
        for stream in streams:
            stream.send_raw(message.data)
        return len(streams)


def _master_info(settings: ClusterSettings, master_id: str, port: int) -> pb.mesos.MasterInfo:
    hostname = settings.hostname or settings.ip
    info = pb.mesos.MasterInfo(
        id=master_id,
        ip=int.from_bytes(bytes(int(part) for part in settings.ip.split(".")), "little"),
        port=port,
        pid=f"master@{settings.ip}:{port}",
        hostname=hostname,
        version=VERSION,
    )
    info.address.hostname = hostname
    info.address.ip = settings.ip
    info.address.port = port
    for name in reading.MASTER_CAPABILITIES:
        info.capabilities.add(type=pb.mesos.MasterInfo.Capability.Type.Value(name))
    return info
