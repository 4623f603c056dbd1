"""An agent that drains: its tasks are killed, new ones are refused, and what ends says why.

A task has its own time to end, or what the operator allows at most if that is less. The configuration is checkpointed:
an agent that starts again continues to drain, until nothing of any framework and no operation is left.
"""

import logging

from actors.runtime import receive
from mesos_v1 import pb
from playa.agent.checkpoint import Entry
from playa.agent.context import AgentContext
from playa.agent.executors.life import Executors
from playa.agent.executors.states import TaskPhase
from playa.agent.operations import Operations
from playa.messages import DrainAgent, KillTask

log = logging.getLogger(__name__)


class Draining:
    """The part of an agent that drains it."""

    def __init__(self, context: AgentContext, executors: Executors, operations: Operations) -> None:
        self._context = context
        self._executors = executors
        self._operations = operations

    @receive
    def handle_drain_agent(self, message: DrainAgent) -> None:
        self._start(pb.mesos.DrainConfig.FromString(message.config))

    def _start(self, config: pb.mesos.DrainConfig) -> None:
        """Kill everything that runs; nothing happens if there is nothing."""
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
            self._executors.handle_kill_task(
                KillTask(framework_id, task.task_id, _policy(config, task.info.kill_policy))
            )

    def resume(self) -> None:
        """After a restart of the agent: kill what is there still."""
        if self._context.drain is not None:
            self._start(self._context.drain)
            self.check()

    def check(self) -> None:
        """See whether nothing is left."""
        context = self._context
        if context.drain is not None and self._is_empty():
            log.info("drained")
            context.drain = context.drain_started = None
            context.ledger.write(Entry.DRAIN, b"")

    def _is_empty(self) -> bool:
        return not self._context.frameworks and not self._operations.operations


def _policy(config: pb.mesos.DrainConfig, own: pb.mesos.KillPolicy) -> bytes | None:
    """The kill policy that overrides a task's own; None where its own may stay."""
    if not config.HasField("max_grace_period"):
        return None
    most = config.max_grace_period
    if own.HasField("grace_period") and own.grace_period.nanoseconds <= most.nanoseconds:
        return None
    return pb.mesos.KillPolicy(grace_period=most).SerializeToString()
