"""The agent actor: takes the master's messages, executors' calls and timers, and hands each to the part that knows.

Theory of operation: the parts (`registration`, `launching`, `executors` with `updating` and `simulation`, `operations`)
share one `AgentContext` and run only here, one message at a time. Processes, checks and downloads are awaited by child actors.
Stopping this actor is the agent's sudden death: what checkpoints lives on, all else is killed; the next actor with the same
work directory recovers. An orderly end is `ShutdownAgent`.
"""

import errno
import functools
import json
import logging
import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from actors.runtime import Actor, ChildFailed, receive
from mesos_v1 import pb
from mesos_v1.resource_text import parse_attributes
from mesos_v1.resources import Resources
from playa import messages as m
from playa.agent import checkpoint
from playa.agent import messages as own
from playa.agent.containers.processes import PROCESSES
from playa.agent.context import AgentContext
from playa.agent.draining import Draining
from playa.agent.executors import tokens
from playa.agent.executors.launching import Launching
from playa.agent.executors.life import Executors
from playa.agent.executors.states import ExecutorState
from playa.agent.http_site import AgentSite
from playa.agent.operations import Operations
from playa.agent.operator_api.files import Files
from playa.agent.operator_api.views import AgentView
from playa.agent.registration import Registration
from playa.agent.simulated_tasks import SimulatedTasks
from playa.agent.status_updates import StatusUpdates
from playa.settings import AgentSettings

log = logging.getLogger(__name__)

Call = pb.executor.Call
M = TypeVar("M")


def passed_to(part: str, method: Callable[[Any, M], None]) -> Callable[["AgentActor", M], None]:
    """A handler of the message that a part of the agent takes, which does nothing but pass it on."""
    part_of = attrgetter(part)

    @functools.wraps(method)
    def handle(actor: "AgentActor", message: M) -> None:
        method(part_of(actor), message)

    return receive(handle)


class AgentActor(Actor):
    """One agent of the embedded cluster."""

    def __init__(self, settings: AgentSettings, index: int, cluster_dir: str) -> None:
        self._settings = settings
        self._index = index
        self._work_dir = Path(settings.work_dir or f"{cluster_dir}/agents/{index}").absolute()
        self._site: AgentSite | None = None

    async def on_start(self) -> None:
        """Open the site, recover what is to be recovered, look for the master.

        What a user can get wrong about an agent's port or folder is told to the cluster, in a sentence.
        """
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
        self._updates = self._executors.updates
        self._launching = Launching(context, self._executors, self._operations)
        self._draining = Draining(context, self._executors, self._operations)
        self._registration = Registration(context, self._updates, self._operations)
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
        port = settings.port
        if not port and known is not None:
            port = pb.mesos.AgentInfo.FromString(known).port
        files = Files(self._work_dir, lambda: self._context.agent_id)
        for attempt in (port, settings.port):
            self._site = AgentSite(self.actor_ref, settings, files, attempt, self._context.key)
            try:
                await self._site.start()
            except OSError:
                if attempt == settings.port:
                    raise
                log.warning("port %d is taken: surviving executors will not find this agent", attempt)
            else:
                break
        self._context.port = self._context.info.port = self._site.port if self._site is not None else 0
        if settings.http_executor_domain_sockets and self._site is not None:
            folder = settings.runtime_dir or str(self._work_dir)
            self._context.domain_socket = settings.domain_socket_location or f"{folder}/agent.sock"
            await self._site.listen_unix(self._context.domain_socket)

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
        self._draining.resume()
        self._registration.begin()

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

    # --- What a part does alone -------------------------------------------------------------------------------

    handle_kill_task = passed_to("_executors", Executors.kill)
    handle_framework_message = passed_to("_executors", Executors.message_to_executor)
    handle_container_started = passed_to("_executors", Executors.started)
    handle_registration_overdue = passed_to("_executors", Executors.registration_overdue)
    handle_shutdown_overdue = passed_to("_executors", Executors.shutdown_overdue)
    handle_heartbeat_executors = passed_to("_executors", Executors.heartbeat)
    handle_collect_garbage = passed_to("_executors", Executors.collect_garbage)
    handle_simulated_due = passed_to("_executors.simulation", SimulatedTasks.due)
    handle_apply_operation = passed_to("_operations", Operations.apply)
    handle_operation_acknowledged = passed_to("_operations", Operations.acknowledged)
    handle_reconcile_operations = passed_to("_operations", Operations.reconcile)
    handle_agent_registered = passed_to("_registration", Registration.registered)
    handle_agent_reregistered = passed_to("_registration", Registration.reregistered)
    handle_ping = passed_to("_registration", Registration.ping)
    handle_silence = passed_to("_registration", Registration.silence)
    handle_registration_due = passed_to("_registration", Registration.attempt)
    handle_ping_overdue = passed_to("_registration", Registration.ping_overdue)
    handle_silence_over = passed_to("_registration", Registration.silence_over)
    handle_update_acknowledged = passed_to("_updates", StatusUpdates.acknowledged)

    # --- The master -------------------------------------------------------------------------------------------

    @receive
    def handle_run_task(self, message: m.RunTask) -> None:
        framework = pb.mesos.FrameworkInfo.FromString(message.framework_info)
        self._launching.run(framework, [pb.mesos.TaskInfo.FromString(message.task)])

    @receive
    def handle_run_task_group(self, message: m.RunTaskGroup) -> None:
        framework = pb.mesos.FrameworkInfo.FromString(message.framework_info)
        group = pb.mesos.TaskGroupInfo.FromString(message.task_group)
        executor = pb.mesos.ExecutorInfo.FromString(message.executor)
        self._launching.run(framework, list(group.tasks), executor)

    @receive
    def handle_shutdown_executor(self, message: m.ShutdownExecutor) -> None:
        framework = self._context.frameworks.get(message.framework_id)
        executor = framework.executors.get(message.executor_id) if framework is not None else None
        if executor is not None and not executor.framework.terminating:
            self._executors.shut_down(executor)

    @receive
    def handle_shutdown_framework(self, message: m.ShutdownFramework) -> None:
        framework = self._context.frameworks.get(message.framework_id)
        if framework is not None:
            self._executors.shut_down_framework(framework)

    @receive
    def handle_update_framework(self, message: m.UpdateFramework) -> None:
        self._launching.update_framework(pb.mesos.FrameworkInfo.FromString(message.framework_info))

    @receive
    def handle_drain_agent(self, message: m.DrainAgent) -> None:
        self._draining.start(pb.mesos.DrainConfig.FromString(message.config))

    @receive
    def handle_shutdown_agent(self, message: m.ShutdownAgent) -> None:
        context = self._context
        if context.terminating:
            return
        log.info("shutting down: %s", message.reason)
        context.terminating = True
        context.to_master(m.UnregisterAgent(context.agent_id))
        context.ledger.forget()
        for framework in list(context.frameworks.values()):
            self._executors.shut_down_framework(framework)
        self._end_if_idle()

    # --- Executors --------------------------------------------------------------------------------------------

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
            why = tokens.why_not(dict(message.claims), executor.run)
            if why is not None:
                return own.CallAnswer(403, why)
        if call.type == Call.SUBSCRIBE:
            stream = self._site.streams.get(message.stream) if self._site is not None else None
            self._executors.subscribe(executor, stream, call.subscribe)
            self._end_recovery_early()
            return own.CallAnswer(200)
        if self._context.recovering:
            return own.CallAnswer(503, "Agent has not finished recovery")
        if executor.state is ExecutorState.REGISTERING:
            return own.CallAnswer(403, "Executor is not subscribed")
        if call.type == Call.UPDATE:
            self._updates.from_executor(framework, call.update.status, executor.pid or None)
        elif call.type == Call.MESSAGE:
            self._executors.message_to_framework(executor, call.message.data)
        return own.CallAnswer(202)

    @receive
    def handle_built_in_subscribed(self, message: own.BuiltInSubscribed) -> None:
        executor = self._context.executor(message.run)
        if executor is not None:
            self._executors.subscribe(executor)

    @receive
    def handle_built_in_update(self, message: own.BuiltInUpdate) -> None:
        framework = self._context.frameworks.get(message.run.framework_id)
        if framework is not None:
            status = pb.mesos.TaskStatus.FromString(message.status)
            self._updates.from_executor(framework, status, message.pid)

    @receive
    def handle_container_launch_failed(self, message: own.ContainerLaunchFailed) -> None:
        self._executors.launch_failed(message)
        self._end_if_idle()

    @receive
    def handle_container_exited(self, message: own.ContainerExited) -> None:
        self._executors.ended(message)
        self._end_if_idle()

    @receive
    def handle_child_failed(self, message: ChildFailed) -> None:
        log.error("%s failed: %s", message.name, message.error)
        for executor in self._context.executors():
            if executor.runner is not None and executor.runner.name == message.name:
                self._executors.crashed(executor, str(message.error))

    # --- Timers -----------------------------------------------------------------------------------------------

    @receive
    def handle_resend_due(self, message: own.ResendDue) -> None:
        part = self._operations if message.operation else self._updates
        part.streams.due()

    @receive
    def handle_recovery_over(self, message: own.RecoveryOver) -> None:
        if self._context.recovering:
            self._context.recovering = False
            self._executors.reregistration_overdue()
            self._begin()

    def _end_recovery_early(self) -> None:
        """All executors are back: no reason to wait."""
        if self._context.recovering and not any(
            executor.state is ExecutorState.REGISTERING for executor in self._context.executors()
        ):
            self._context.recovering = False
            self._begin()

    def _end_if_idle(self) -> None:
        if self._context.terminating and not self._context.frameworks:
            self.actor_ref.stop(block=False)

    # --- Operators --------------------------------------------------------------------------------------------

    @receive
    def handle_operator_called(self, message: own.OperatorCalled) -> bytes | None:
        response = self._view.answer(pb.agent.Call.Type.ValueType(message.kind))
        return None if response is None else response.SerializeToString()

    @receive
    def handle_query_state(self, message: own.QueryState) -> str:
        return json.dumps(self._view.state(), separators=(",", ":"))


def _explain(error: OSError, settings: AgentSettings) -> str:
    """What is wrong, and which setting it is about."""
    if error.errno in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL} and error.filename is None:
        return (
            f"cannot listen on {settings.ip}:{settings.port} (settings ip, port): {os.strerror(error.errno)}"
        )
    return f"cannot work in its folder (setting work_dir): {error}"
