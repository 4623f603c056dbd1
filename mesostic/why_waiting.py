"""Says why tasks wait, when they do for long: nothing is as hard to tell from work as waiting in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.messages import PendingGroup, PendingReport, WhyPending
from actors.runtime import ActorDeadError, ActorSystem

_LOOK_AGAIN = 5.0
_RARELY = 60.0
_AGENTS_SHOWN = 3


async def say_why_tasks_wait(system: ActorSystem, tell: Callable[[str], None]) -> None:
    """Ask the broker now and then; tell of tasks that were first in their queue at two looks in a row. Never returns."""
    waiting: set[str] = set()
    pause = _LOOK_AGAIN
    while True:
        await asyncio.sleep(pause)
        broker = system.find("offers")
        if broker is None:
            continue
        try:
            report = await broker.ask(WhyPending(), block=False)
        except ActorDeadError:
            continue
        groups = report.groups if isinstance(report, PendingReport) else ()
        stuck = [group for group in groups if group.first_task in waiting]
        waiting = {str(group.first_task) for group in groups}
        for group in stuck:
            tell(explain(group))
        pause = _RARELY if stuck else _LOOK_AGAIN


def explain(group: PendingGroup) -> str:
    """One group of tasks that wait for the same, in a paragraph."""
    tasks = (
        f"{group.first_task} waits"
        if group.tasks == 1
        else f"{group.tasks:,} tasks wait, {group.first_task} first"
    )
    text = f"{tasks} for {group.wanted}"
    if group.executor:
        text += f" (executor {group.executor})"
    looked = []
    for verdict in group.verdicts[:_AGENTS_SHOWN]:
        lacks = ", ".join(f"{s.resource} {s.wanted} wanted, {s.available} there" for s in verdict.shortfalls)
        looked.append(f"{verdict.hostname} offers {verdict.offered}: {lacks}")
    if group.agents_looked_at > len(looked) > 0:
        looked.append(f"and {group.agents_looked_at - len(looked)} more agents")
    return f"{text}; {group.remark}{'. ' if looked else ''}{'; '.join(looked)}."
