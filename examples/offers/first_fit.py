"""Offers in hand: shell commands, packed into offers by first fit. The classical callbacks, and no broker.

    mesostic run examples/offers/offers.toml --set 'scheduler.commands=["echo one", "sleep 1", "exit 3"]'

What `SchedulerActor` does for its authors is done by hand here: choosing among offers, declining what it cannot use, trying again
what failed, asking about tasks after a new subscription, suppressing offers when there is nothing to do. Updates are
still acknowledged when `status_update` has returned, and sent again if it raised.
"""

from collections import deque
from dataclasses import dataclass, replace

from mesostic import (
    LowLevelScheduler,
    Offer,
    Registered,
    Resources,
    TaskId,
    TaskState,
    TaskStatus,
    is_terminal,
    setting,
    task_infos,
)

LONG = 3_600.0
"""Seconds for which a declined offer stays away; `revive` takes that back."""


@dataclass(frozen=True, slots=True)
class FirstFitSettings:
    """`[scheduler]`."""

    commands: tuple[str, ...] = setting((), help="Shell commands, one task each.")
    cpus: float = setting(0.5, help="CPUs of each.")
    mem: float = setting(32.0, help="Memory of each.", unit="MB")
    attempts: int = setting(2, help="How often a command is tried.")


@dataclass(frozen=True, slots=True)
class Job:
    """A command, and how often it was started."""

    number: int
    command: str
    attempts: int = 0


class FirstFitScheduler(LowLevelScheduler):
    """Keeps a queue of jobs, and fills each offer with as many as fit."""

    Settings = FirstFitSettings
    settings: FirstFitSettings

    def registered(self, event: Registered) -> None:
        self._queue = deque(Job(number, command) for number, command in enumerate(self.settings.commands, 1))
        self._running: dict[TaskId, Job] = {}
        self._failed = 0
        self._end_if_done()

    def reregistered(self, event: Registered) -> None:
        """Offers from before are void, and updates may have been missed: ask."""
        self.reconcile([(task_id, None) for task_id in self._running])

    def resource_offers(self, offers: tuple[Offer, ...]) -> None:
        """First fit: each offer takes jobs from the front of the queue until the next one does not fit."""
        wanted = Resources.of(cpus=self.settings.cpus, mem=self.settings.mem)
        for offer in offers:
            left, tasks = offer.resources, []
            while self._queue and (taken := left.take(wanted)) is not None:
                left = left - taken
                job = self._queue.popleft()
                job = replace(job, attempts=job.attempts + 1)
                task_id = TaskId(f"job-{job.number}.{job.attempts}")
                self._running[task_id] = job
                command = task_infos.command_info(job.command)
                tasks.append(task_infos.task_info(task_id, offer.agent_id, taken, command=command))
            if tasks:
                self.launch_tasks([offer.id], tasks)
            else:
                self.decline([offer.id], refuse_seconds=LONG)

    def status_update(self, status: TaskStatus) -> None:
        """A task has changed; one that has ended makes room, or goes back into the queue."""
        if not is_terminal(status.state):
            return
        job = self._running.pop(status.task_id, None)
        if job is None:
            return  # told already: updates may come twice
        good = status.state is TaskState.TASK_FINISHED
        print(f"{'done' if good else 'failed'}: {job.command} ({status.message or status.state.value})")
        if not good and job.attempts < self.settings.attempts:
            self._queue.append(job)
            self.revive()
        else:
            self._failed += not good
        self._end_if_done()

    def _end_if_done(self) -> None:
        if not self._queue and not self._running:
            print(f"{len(self.settings.commands)} commands, {self._failed} failed")
            self.finish(1 if self._failed else 0, "some commands failed" if self._failed else "finished")
