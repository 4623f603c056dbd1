"""What the scheduler does about maintenance: answers inverse offers, and moves tasks away from an agent that goes down.

An accepted inverse offer is a promise to be gone when the window begins (Mesos: "Maintenance Primitives"), so it is accepted
only where nothing of ours runs, or where it will be moved in time: `maintenance_lead` before the window begins, the tasks
that are still on that agent are ended and run elsewhere, which costs them no attempt, and then their executors. Whoever
knows better overrides `on_inverse_offer`.

The master asks again every few seconds while a window is scheduled; a window that it has not asked for lately was called off. It also asks
when the window is over, as long as the operator has not taken it out of the schedule: then nothing is moved.
"""

from __future__ import annotations

import logging
import math
from typing import Any, NamedTuple

from actors import messages as m
from actors.runtime import message, receive
from actors.scheduler.hooks import SchedulerHooks
from actors.scheduler.task_book import TaskEntry
from actors.scheduler.task_commands import TaskCommands
from actors.settings import Composition
from mesos_v1 import events
from mesos_v1.values import AgentId, ExecutorId, InverseOffer

logger = logging.getLogger("actors.scheduler")

DECLINED_FOR = 60.0
"""Seconds until the master asks again about a window that we declined."""
CALLED_OFF_AFTER = 120.0
"""Seconds without a question after which a window is no longer believed in."""
EXECUTORS_AFTER = 10.0
"""Seconds that moved tasks have before their executors are ended, too."""


@message
class MaintenanceNear:
    """The window of an agent begins soon."""

    agent_id: AgentId
    start: float


@message
class ExecutorsToEnd:
    """The tasks of an agent that goes down are gone, or have had their time."""

    agent_id: AgentId


class Window(NamedTuple):
    """When an agent goes down and is back, and when the master last said so (in seconds of the world's clock)."""

    start: float
    end: float
    heard: float


class MaintenanceDuty(SchedulerHooks, TaskCommands):
    """The part of a scheduler that answers for maintenance; see the head of this module."""

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__(composition, settings)
        self._executors: set[tuple[AgentId, ExecutorId]] = set()
        self._windows: dict[AgentId, Window] = {}

    @receive
    async def handle_inverse_offers(self, arrived: events.InverseOffers) -> None:
        """Let the author decide, else the policy; if the hook raises, the operator is not promised anything."""
        for offer in arrived.offers:
            before = self.hook_failures
            said = await self._called(self.on_inverse_offer, offer)
            if self.hook_failures > before:
                self._decline_inverse(offer, "on_inverse_offer raised")
            elif said is None:
                self._answer_by_policy(offer)
            elif said:
                self.tell("connection", m.AcceptInverseOffers((offer.id,)))
            else:
                self._decline_inverse(offer, "on_inverse_offer says so")

    @receive
    def handle_rescind_inverse_offer(self, _rescinded: events.RescindInverseOffer) -> None:
        """The master withdraws its question; if it was about a window that is called off, it does not come again."""

    @receive
    def handle_maintenance_near(self, due: MaintenanceNear) -> None:
        """Move what is still there, if the window is still believed in."""
        window = self._windows.get(due.agent_id)
        if window is None or window.start != due.start:
            return
        if self.clock.time() - window.heard > CALLED_OFF_AFTER:
            del self._windows[due.agent_id]
            return
        here = self._tasks_on(due.agent_id)
        logger.warning(
            "agent %s goes down for maintenance: %d tasks are moved to other agents", due.agent_id, len(here)
        )
        for entry in here:
            if entry.ref is not None:
                self.tell(entry.ref, m.MoveTask(due.agent_id, "its agent goes down for maintenance"))
        self.timers.after(EXECUTORS_AFTER, ExecutorsToEnd(due.agent_id))

    @receive
    def handle_executors_to_end(self, due: ExecutorsToEnd) -> None:
        """End the executors that stayed without tasks; but what runs there after the window is new."""
        window = self._windows.get(due.agent_id)
        if window is not None and window.end <= self.clock.time():
            return
        for agent_id, executor_id in sorted(self._executors):
            if agent_id == due.agent_id:
                self.tell("connection", m.ShutdownExecutor(executor_id, agent_id))

    def _answer_by_policy(self, offer: InverseOffer) -> None:
        agent_id, start, now = offer.agent_id, offer.unavailability.start, self.clock.time()
        if agent_id is None:
            self._decline_inverse(offer, "it names no agent")
            return
        here = self._tasks_on(agent_id)
        end = math.inf if offer.unavailability.duration is None else start + offer.unavailability.duration
        if here and end <= now:  # the broker places tasks there again
            self._decline_inverse(
                offer, f"{len(here)} tasks run there, and by its own words it is over; is it still scheduled?"
            )
            return
        moves = self.framework.on_maintenance == "move"
        if here and not moves:
            self._decline_inverse(offer, f'{len(here)} tasks run there, and on_maintenance is "stay"')
            return
        if moves:
            known = self._windows.get(agent_id)
            self._windows[agent_id] = Window(start, end, now)
            if known is None or known.start != start or (here and start <= now):
                wait = max(0.0, start - self.framework.maintenance_lead - now)
                self.timers.after(wait, MaintenanceNear(agent_id, start))
        if here and start <= now:
            self._decline_inverse(offer, f"{len(here)} tasks run there, and it has begun; they are moved now")
        else:
            self.tell("connection", m.AcceptInverseOffers((offer.id,)))

    def _decline_inverse(self, offer: InverseOffer, why: str) -> None:
        logger.warning("declined the maintenance of agent %s: %s", offer.agent_id, why)
        self.tell("connection", m.DeclineInverseOffers((offer.id,), DECLINED_FOR))

    def _tasks_on(self, agent_id: AgentId) -> list[TaskEntry]:
        return [entry for entry in self._tasks if entry.agent_id == agent_id and entry.phase in m.ON_CLUSTER]
