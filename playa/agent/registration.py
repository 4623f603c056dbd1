"""How an agent and its master find each other: register, re-register, pings, and silence on demand.

An agent without an id registers; with one it re-registers, and says all that it has. It tries again with a growing random
pause until it is answered. When the master's pings stop, or say that the master takes it for lost, it re-registers
(Mesos: agent to master health checking).
"""

import logging

from actors.runtime import Timer, receive
from playa import messages as m
from playa.agent.checkpoint import Entry
from playa.agent.executors.states import ExecutorState
from playa.agent.messages import PingOverdue, RegistrationDue, SilenceOver
from playa.agent.operations import Operations
from playa.agent.records import AgentContext
from playa.agent.status_updates import StatusUpdates

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
MOST_TRIES = 100  # no longer counted: the pause is the longest long since


class Registration:
    """The part of an agent that keeps it known to the master."""

    def __init__(self, context: AgentContext, updates: StatusUpdates, operations: Operations) -> None:
        self._context = context
        self._updates = updates
        self._operations = operations
        self._series = 0
        self._ping_timeout = 0.0
        self._watch: Timer | None = None

    def begin(self) -> None:
        """Look for the master, from now on until it answers."""
        context = self._context
        if context.connected:
            context.connected = False
            self._updates.streams.pause()
            self._operations.streams.pause()
        self._series += 1
        self.handle_registration_due(RegistrationDue(self._series, 0))

    @receive
    def handle_registration_due(self, message: RegistrationDue) -> None:
        context = self._context
        if context.connected or context.terminating or message.series != self._series:
            return
        register = m.RegisterAgent(context.actor.name, context.info.SerializeToString(), context.pid)
        context.to_master(self._reregister() if context.agent_id else register)
        longest = min(context.settings.registration_backoff_factor * 2**message.tries, LONGEST_PAUSE)
        pause = context.actor.ids.uniform(longest / 2, longest)
        context.after(pause, RegistrationDue(message.series, min(message.tries + 1, MOST_TRIES)))

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
            self.begin()

    @receive
    def handle_ping_overdue(self, message: PingOverdue) -> None:
        rang = self._watch is not None and not self._watch.active
        if rang and self._context.connected:  # a ping that came just now has set it again
            log.info("no ping for %.0f s: re-registering", self._ping_timeout)
            self.begin()

    @receive
    def handle_silence(self, message: m.Silence) -> None:
        self._context.silent = True
        if message.seconds is not None:
            self._context.after(message.seconds, SilenceOver())

    @receive
    def handle_silence_over(self, message: SilenceOver) -> None:  # lost updates are sent again in their time
        self._context.silent = False
        if not self._context.connected:
            self.begin()

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
            self._watch = self._context.after(self._ping_timeout, PingOverdue())

    def _reregister(self) -> m.ReregisterAgent:
        context, everyone = self._context, list(self._context.executors())
        return m.ReregisterAgent(
            agent=context.actor.name,
            agent_info=context.info.SerializeToString(),
            pid=context.pid,
            total_resources=self._operations.total_protos(),
            frameworks=tuple(f.info.SerializeToString() for f in context.frameworks.values()),
            executors=tuple(
                executor.info.SerializeToString()
                for executor in everyone
                if not executor.for_command_task and executor.state is not ExecutorState.TERMINATED
            ),
            tasks=tuple(
                context.task_proto(executor, task).SerializeToString()
                for executor in everyone
                for task in executor.tasks.values()
            ),
            operations=tuple(o.SerializeToString() for o in self._operations.operations.values()),
        )
