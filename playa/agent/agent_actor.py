"""The agent actor: the parts of an agent in one mailbox. They share one `AgentContext`, and their handlers are the actor's.

What it does itself: start and recover, register, drain and end. An agent without an id registers; with one it re-registers, and
says all that it has. It tries again with a growing random pause until it is answered. When the master's pings stop, or say that
the master takes it for lost, it re-registers (Mesos: agent to master health checking).

Stopping this actor is the agent's sudden death: what checkpoints lives on, all else is killed; the next actor with the same
work directory recovers. An orderly end is `ShutdownAgent`.
"""

import errno
import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from actors.runtime import Actor, Timer, receive
from mesos_v1 import pb
from mesos_v1.resource_text import parse_attributes
from mesos_v1.resources import Resources
from playa import messages as m
from playa.agent import checkpoint
from playa.agent import messages as own
from playa.agent.checkpoint import Entry
from playa.agent.containers.processes import PROCESSES
from playa.agent.executors import tokens
from playa.agent.executors.launching import Launching
from playa.agent.executors.life import Executors
from playa.agent.executors.states import ExecutorState, TaskPhase
from playa.agent.http_site import AgentSite, Files
from playa.agent.operations import Operations, packed
from playa.agent.records import AgentContext
from playa.agent.simulated_tasks import SimulatedTasks
from playa.agent.status_updates import StatusUpdates
from playa.agent.views import AgentView
from playa.settings import AgentSettings

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
MOST_TRIES = 100  # no longer counted: the pause is the longest long since

Call = pb.executor.Call
A = TypeVar("A", bound=type[Actor])


def made_of(**parts: type) -> Callable[[A], A]:
    """Give an actor class the handlers of its parts: each passes its message on to the part that the actor has by that name."""

    def passing(part: str, handler: Any) -> Any:
        return functools.wraps(handler)(lambda actor, message: handler(getattr(actor, part), message))

    def decorate(cls: A) -> A:
        for part, kind in parts.items():
            for name, member in vars(kind).items():
                if hasattr(member, "__receives__"):
                    setattr(cls, name, passing(part, member))
        return cls

    return decorate


@made_of(
    _executors=Executors,
    _launching=Launching,
    _operations=Operations,
    _simulation=SimulatedTasks,
    _updates=StatusUpdates,
    _view=AgentView,
)
class AgentActor(Actor):
    """One agent of the embedded cluster."""

    def __init__(self, settings: AgentSettings, index: int, cluster_dir: str) -> None:
        self._settings = settings
        self._index = index
        self._work_dir = Path(settings.work_dir or f"{cluster_dir}/agents/{index}").absolute()
        self._site: AgentSite | None = None
        self._series = 0
        self._ping_timeout = 0.0
        self._watch: Timer | None = None

    async def on_start(self) -> None:
        """Begin; what a user can get wrong about an agent's port or folder is told to the cluster, in a sentence."""
        try:
            await self._start()
        except OSError as error:
            why = f"agent {self._index}: {_explain(error, self._settings)}"
            log.error("%s", why)
            self.tell("cluster", own.AgentCannotStart(self.name, why))
            self.actor_ref.stop(block=False)

    async def _start(self) -> None:
        settings = self._settings
        total = Resources.parse(settings.resources, role=settings.default_role)
        info = pb.mesos.AgentInfo(hostname=settings.hostname, port=settings.port or 5051)
        info.resources.extend(total.to_proto())
        info.attributes.extend(parse_attributes(settings.attributes))
        self._context = context = AgentContext(self, settings, self._work_dir, info)
        self._operations = Operations(context, total)
        self._view = AgentView(context, self._operations)
        self._executors = Executors(context)
        self._updates, self._simulation = self._executors.updates, self._executors.simulation
        self._launching = Launching(context, self._executors, self._operations)
        context.less_is_here = self._less_is_here
        self._work_dir.mkdir(parents=True, exist_ok=True)
        recovered = checkpoint.read(context.ledger.read())
        if not settings.simulate:
            PROCESSES.prepare()
            if settings.authenticate_http_executors:
                context.key = tokens.key_of(self._work_dir / "meta")
            await self._open_site(recovered.agent_info)
            self.timers.every(settings.executor_heartbeat_interval, own.HeartbeatExecutors())
        self._recover(recovered)

    async def _open_site(self, known: bytes | None) -> None:
        """Listen; an agent that comes back listens where its executors look for it."""
        settings = self._settings
        context, port = self._context, settings.port
        if not port and known is not None:
            port = pb.mesos.AgentInfo.FromString(known).port
        files = Files(self._work_dir, lambda: context.agent_id)
        self._site = site = AgentSite(self.actor_ref, settings, files, context.key)
        try:
            context.port = await site.start(port)
        except OSError:
            if port == settings.port:
                raise
            log.warning("port %d is taken: surviving executors will not find this agent", port)
            context.port = await site.start(settings.port)
        context.info.port = context.port
        if settings.http_executor_domain_sockets:
            folder = settings.runtime_dir or str(self._work_dir)
            context.domain_socket = settings.domain_socket_location or f"{folder}/agent.sock"
            await site.listen_unix(context.domain_socket)

    def _recover(self, recovered: checkpoint.Recovered) -> None:
        context = self._context
        if recovered.agent_info is not None:
            context.info.id.CopyFrom(pb.mesos.AgentInfo.FromString(recovered.agent_info).id)
            recovered.agent_info = context.info.SerializeToString()
            context.ledger.rewrite(checkpoint.records(recovered))
        self._operations.recover(recovered)
        if recovered.drain:
            context.drain = pb.mesos.DrainConfig.FromString(recovered.drain)
            context.drain_started = context.time()
        waiting = [self._launching.recover(framework) for framework in recovered.frameworks.values()]
        if any(waiting):
            context.recovering = True
            context.after(self._settings.executor_reregistration_timeout, own.RecoveryOver())
        else:
            self._begin()

    def _begin(self) -> None:
        """All that can come back is there."""
        self._context.recovering = False
        if self._context.drain is not None:
            self._drain(self._context.drain)
            self._less_is_here()
        self._register()

    async def on_stop(self) -> None:
        """Die: connections are cut, the checkpoint stays."""
        self._context.ledger.close()
        if self._site is not None:
            await self._site.stop()

    def on_failure(self, *_: object) -> None:
        """Die; executors look for the next agent at the same port."""
        self._context.ledger.close()
        if self._site is not None:
            self._site.abandon()

    def _register(self) -> None:
        """Look for the master, from now on until it answers."""
        context = self._context
        if context.connected:
            context.connected = False
            self._updates.streams.pause()
            self._operations.streams.pause()
        self._series += 1
        self.handle_registration_due(own.RegistrationDue(self._series, 0))

    @receive
    def handle_registration_due(self, message: own.RegistrationDue) -> None:
        context = self._context
        if context.connected or context.terminating or message.series != self._series:
            return
        register = m.RegisterAgent(self.name, context.info.SerializeToString(), context.pid)
        context.to_master(self._reregister() if context.agent_id else register)
        longest = min(self._settings.registration_backoff_factor * 2**message.tries, LONGEST_PAUSE)
        pause = self.ids.uniform(longest / 2, longest)
        context.after(pause, own.RegistrationDue(message.series, min(message.tries + 1, MOST_TRIES)))

    @receive
    def handle_agent_registered(self, message: m.AgentRegistered) -> None:
        context = self._context
        if not context.agent_id:
            context.info.id.value = message.agent_id
            context.ledger.write(Entry.AGENT, context.info.SerializeToString())
            log.info("registered as agent %s", message.agent_id)
        if context.agent_id == message.agent_id:
            self._connected(message.total_ping_timeout)

    @receive
    def handle_agent_reregistered(self, message: m.AgentReregistered) -> None:
        context = self._context
        if context.agent_id != message.agent_id or context.terminating:
            return
        self._connected(message.total_ping_timeout)
        for framework_id, task_id in message.reconcile:
            if context.executor_of(framework_id, task_id) is None:
                self._updates.unknown_task(framework_id, task_id)

    @receive
    def handle_ping(self, message: m.Ping) -> None:
        context = self._context
        self._wait_for_ping()
        context.to_master(m.Pong(context.agent_id))
        if not message.connected and context.connected:
            log.info("the master takes this agent for lost: re-registering")
            self._register()

    @receive
    def handle_ping_overdue(self, message: own.PingOverdue) -> None:
        rang = self._watch is not None and not self._watch.active
        if rang and self._context.connected:  # a ping that came just now has set it again
            log.info("no ping for %.0f s: re-registering", self._ping_timeout)
            self._register()

    @receive
    def handle_silence(self, message: m.Silence) -> None:
        self._context.silent = True
        if message.seconds is not None:
            self._context.after(message.seconds, own.SilenceOver())

    @receive
    def handle_silence_over(self, message: own.SilenceOver) -> None:
        self._context.silent = False
        if not self._context.connected:
            self._register()

    def _connected(self, ping_timeout: float) -> None:
        context = self._context
        self._ping_timeout = ping_timeout
        if not context.connected:
            context.connected = True
            self._updates.streams.resume()
            self._operations.streams.resume()
        self._wait_for_ping()

    def _wait_for_ping(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._ping_timeout > 0:
            self._watch = self._context.after(self._ping_timeout, own.PingOverdue())

    def _reregister(self) -> m.ReregisterAgent:
        context, everyone = self._context, list(self._context.executors())
        return m.ReregisterAgent(
            agent=self.name,
            agent_info=context.info.SerializeToString(),
            pid=context.pid,
            total_resources=self._operations.total_protos(),
            frameworks=packed(f.info for f in context.frameworks.values()),
            executors=packed(
                executor.info
                for executor in everyone
                if not executor.for_command_task and executor.state is not ExecutorState.TERMINATED
            ),
            tasks=packed(context.task_proto(e, task) for e in everyone for task in e.tasks.values()),
            operations=packed(self._operations.operations.values()),
        )

    @receive
    def handle_drain_agent(self, message: m.DrainAgent) -> None:
        self._drain(pb.mesos.DrainConfig.FromString(message.config))

    def _drain(self, config: pb.mesos.DrainConfig) -> None:
        """Kill everything that runs, and refuse what comes, until nothing is left; that is checkpointed, for the next agent."""
        context = self._context
        if self._is_empty():
            return
        log.info("draining")
        context.drain, context.drain_started = config, context.time()
        context.ledger.write(Entry.DRAIN, config.SerializeToString())
        running = [
            (framework.framework_id, task)
            for framework in context.frameworks.values()
            for phase in (TaskPhase.LAUNCHED, TaskPhase.QUEUED)
            for executor in framework.executors.values()
            for task in executor.in_phase(phase)
        ]
        for framework_id, task in running:
            policy = drain_policy(config, task.info.kill_policy)
            self._executors.handle_kill_task(m.KillTask(framework_id, task.task_id, policy))

    def _is_empty(self) -> bool:
        return not self._context.frameworks and not self._operations.operations

    def _less_is_here(self) -> None:
        """A framework or an operation has gone: the agent may have drained, or be free to end."""
        context = self._context
        if context.drain is not None and self._is_empty():
            log.info("drained")
            context.drain = context.drain_started = None
            context.ledger.write(Entry.DRAIN, b"")
        if context.terminating and not context.frameworks:
            self.actor_ref.stop(block=False)

    @receive
    def handle_shutdown_agent(self, message: m.ShutdownAgent) -> None:
        context = self._context
        if context.terminating:
            return
        log.info("shutting down: %s", message.reason)
        context.terminating = True
        context.to_master(m.UnregisterAgent(context.agent_id))
        context.ledger.forget()
        for framework_id in list(context.frameworks):
            self._executors.handle_shutdown_framework(m.ShutdownFramework(framework_id))
        self._less_is_here()

    @receive
    def handle_executor_called(self, message: own.ExecutorCalled) -> own.CallAnswer:
        call = Call.FromString(message.call)
        if not self._context.agent_id:
            return own.CallAnswer(503, "Agent has not finished recovery")
        framework = self._context.frameworks.get(call.framework_id.value)
        if framework is None:
            return own.CallAnswer(400, "Framework cannot be found")
        executor = framework.executors.get(call.executor_id.value)
        if executor is None:
            return own.CallAnswer(400, "Executor cannot be found")
        if message.claims is not None:
            why = tokens.why_not(message.claims, executor.run)
            if why is not None:
                return own.CallAnswer(403, why)
        if call.type == Call.SUBSCRIBE:
            stream = self._site.streams.get(message.stream) if self._site is not None else None
            self._executors.subscribe(executor, stream, call.subscribe)
            states = {executor.state for executor in self._context.executors()}
            if self._context.recovering and ExecutorState.REGISTERING not in states:
                self._begin()
            return own.CallAnswer(200)
        if self._context.recovering:
            return own.CallAnswer(503, "Agent has not finished recovery")
        if executor.state is ExecutorState.REGISTERING:
            return own.CallAnswer(403, "Executor is not subscribed")
        if call.type == Call.UPDATE:
            self._updates.from_executor(framework, call.update.status, executor.pid or None)
        elif call.type == Call.MESSAGE and self._context.connected and not framework.terminating:
            ids = (self._context.agent_id, executor.run.framework_id, executor.run.executor_id)
            self._context.to_master(m.ExecutorMessage(*ids, call.message.data))
        return own.CallAnswer(202)

    @receive
    def handle_resend_due(self, message: own.ResendDue) -> None:
        part = self._operations if message.operation else self._updates
        part.streams.due(message)

    @receive
    def handle_recovery_over(self, message: own.RecoveryOver) -> None:
        if self._context.recovering:
            self._executors.reregistration_overdue()
            self._begin()


def drain_policy(config: pb.mesos.DrainConfig, own: pb.mesos.KillPolicy) -> bytes | None:
    """The kill policy that overrides a task's own: the operator's, where that allows less time; None where its own may stay."""
    if not config.HasField("max_grace_period"):
        return None
    most = config.max_grace_period
    if own.HasField("grace_period") and own.grace_period.nanoseconds <= most.nanoseconds:
        return None
    return pb.mesos.KillPolicy(grace_period=most).SerializeToString()


def _explain(error: OSError, settings: AgentSettings) -> str:
    """What is wrong, and which setting it is about."""
    if error.errno in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL} and error.filename is None:
        where = f"{settings.ip}:{settings.port} (settings ip, port)"
        return f"cannot listen on {where}: {os.strerror(error.errno)}"
    return f"cannot work in its folder (setting work_dir): {error}"
