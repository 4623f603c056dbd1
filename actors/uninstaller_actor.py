"""The scheduler that takes a framework off its cluster, in place of the author's: tasks, volumes, reservations, and the store.

First the framework that the store knows is ended, and its tasks with it. What is reserved stays for the role, whoever had it
reserved, so a new framework of the same name is offered it, and frees what bears its label; then it ends, and the store is cleared.
It is over when nothing was found for a while and all that the store knew of was, or when its time is over.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from actors import messages as m
from actors import records as r
from actors.framework_settings import seconds
from actors.runtime import message, receive
from actors.scheduler_actor import SchedulerActor

logger = logging.getLogger("actors.scheduler")

LOOK_AGAIN = 0.25  # seconds between two looks at whether all is done


@dataclass(frozen=True, slots=True)
class UninstallSettings:
    """How long is searched."""

    timeout: float = seconds(60.0, help="How long what is known to be there is waited for.")
    quiet: float = seconds(3.0, help="How long nothing more must have been found.")


@message
class LookWhetherDone:
    """Is there anything left to find, or to free?"""


class UninstallerActor(SchedulerActor):
    """Frees what a framework has; see the head of this module. How it ended is told as the reason of the framework's end."""

    Settings = UninstallSettings
    _ends_what_there_is: ClassVar[bool] = True

    def on_start(self) -> None:
        """Begin with nothing found."""
        self._stored: dict[str, m.Holding] = {}
        self._found: dict[str, tuple[str, m.Holding]] = {}  # what is being freed, and whose it was
        self._freed: list[str] = []
        self._failed: list[str] = []
        self._news_at = 0.0
        super().on_start()

    def _take_in(self, records: tuple[m.Record, ...]) -> Iterable[m.Record]:
        self._stored.update(r.HOLDING.read(records))
        return super()._take_in(records)

    def on_registered(self, event: m.Registered) -> None:
        """Offers will tell what there is."""
        self._until = self.clock.now() + self.settings.timeout
        self._news_at = self.clock.now()
        self.timers.after(LOOK_AGAIN, LookWhetherDone())

    @receive
    def handle_leaked(self, told: m.Leaked) -> None:
        self._news_at = self.clock.now()
        super().handle_leaked(told)
        new = (each for each in self.holdings if each.holding_id not in self._found)
        self._found.update({each.holding_id: (told.label, each) for each in new})

    def on_operation_finished(self, done: m.OperationFinished) -> None:
        """Something is free."""
        self._news_at = self.clock.now()
        label, freed = self._found[done.holding_id]
        self._freed.append(f"{freed.what} ({label}) on {done.hostname}")
        if (stored := self._stored.pop(label, None)) is not None:
            left = stored.resources - freed.resources
            if left:
                self._stored[label] = replace(stored, resources=left)

    def on_operation_failed(self, failed: m.OperationFailure) -> None:
        """Something cannot be freed."""
        self._news_at = self.clock.now()
        label, held = self._found[failed.holding_id]
        self._stored.pop(label, None)
        self._failed.append(f"{held.what} ({label}) on {failed.hostname}: {failed.message}")

    @receive
    def handle_look_whether_done(self, _due: LookWhetherDone) -> None:
        now = self.clock.now()
        busy = self.active_operations or self._stored or now - self._news_at < self.settings.quiet
        if busy and now < self._until:
            self.timers.after(LOOK_AGAIN, LookWhetherDone())
            return
        left = list(self._failed)
        for label, each in (*self._stored.items(), *(self._found[each.holding_id] for each in self.holdings)):
            left.append(f"{each.what} ({label}) on {each.hostname}: agent {each.agent_id} did not offer it")
        freed = f"freed {', '.join(self._freed)}" if self._freed else "nothing was reserved"
        if left:
            self.finish(
                1, f"{freed}; could not free {', '.join(dict.fromkeys(left))}: try again when it can be"
            )
        else:
            self.finish(0, freed)
