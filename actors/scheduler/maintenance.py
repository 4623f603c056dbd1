"""What is answered to the operator who wants an agent back, and when its tasks are moved away.

An accepted inverse offer is a promise to be gone when the window begins (Mesos: "Maintenance Primitives"), so it is accepted
only where nothing of ours runs, or where it will be moved in time: `maintenance_lead` before the window begins, the tasks
that are still on that agent are ended and run elsewhere, which costs them no attempt, and then their executors. An author
who knows better overrides `on_inverse_offer`.

The master asks again every few seconds while a window is scheduled; a window that it has not asked for lately was called off.
It also asks when the window is over, as long as the operator has not taken it out of the schedule: then nothing is moved.
"""

import math
from typing import NamedTuple

from actors.framework_settings import FrameworkSettings
from mesos_v1.values import AgentId, InverseOffer

DECLINED_FOR = 60.0  # seconds until the master asks again about a window that we declined
CALLED_OFF_AFTER = 120.0  # seconds without a question after which a window is no longer believed in
EXECUTORS_AFTER = 10.0  # seconds that moved tasks have before their executors are ended, too


class Window(NamedTuple):
    """When an agent goes down and is back, and when the master last said so (in seconds of the world's clock)."""

    start: float
    end: float
    heard: float


class Answer(NamedTuple):
    """What is said to an inverse offer."""

    declined: str | None  # why it is declined; None where it is accepted
    # seconds after which the agent's tasks are to be moved; None where that need not be arranged now
    move_in: float | None = None


class MaintenancePlan:
    """The windows that agents go down in, as far as the master has told of them. Plain data; the actor keeps time."""

    def __init__(self, framework: FrameworkSettings) -> None:
        self._moves = framework.on_maintenance == "move"
        self._lead = framework.maintenance_lead
        self._windows: dict[AgentId, Window] = {}

    def answer(self, offer: InverseOffer, tasks_here: int, now: float) -> Answer:
        """Decide by the framework's policy, and remember the window if tasks are moved."""
        if offer.agent_id is None:
            return Answer("it names no agent")
        start, duration = offer.unavailability.start, offer.unavailability.duration
        end = math.inf if duration is None else start + duration
        declined = f"{tasks_here} tasks run there, and " if tasks_here else None
        if declined and end <= now:  # the broker places tasks there again
            return Answer(declined + "by its own words it is over; is it still scheduled?")
        if not self._moves:
            return Answer(declined and declined + 'on_maintenance is "stay"')
        known = self._windows.get(offer.agent_id)
        self._windows[offer.agent_id] = Window(start, end, now)
        move_in = max(0.0, start - self._lead - now)
        if declined and start <= now:
            return Answer(declined + "it has begun; they are moved now", move_in)
        return Answer(None, move_in if known is None or known.start != start else None)

    def is_near(self, agent_id: AgentId, start: float, now: float) -> bool:
        """Whether the window that begins then is still believed in."""
        window = self._windows.get(agent_id)
        if window is None or window.start != start:
            return False
        if called_off := now - window.heard > CALLED_OFF_AFTER:
            del self._windows[agent_id]
        return not called_off

    def is_over(self, agent_id: AgentId, now: float) -> bool:
        """Whether the agent is back by plan, so that what runs there is new."""
        window = self._windows.get(agent_id)
        return window is not None and window.end <= now

    def forget(self, agent_id: AgentId) -> None:
        """The agent is gone."""
        self._windows.pop(agent_id, None)
