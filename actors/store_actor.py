"""Durable records for everybody, written together: many actors' writes of a moment are one transaction.

How it works: a write is put on the pile; when the pile is not being written yet, it is taken as a whole to the backend
in a thread, and while that runs the next pile grows. Whoever asked hears `Stored` only after its transaction; when one
fails nobody hears anything, the pile is tried again with growing waits, and the scheduler is told. So an update that is
acknowledged has been stored, always.

Records know nothing of tasks: (kind, key) → bytes. What they mean is their writers' business.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from actors import messages as m
from actors.runtime import Actor, message, receive, setting
from actors.settings import Composition
from actors.store_backends import Backend, MemoryBackend, SqliteBackend, StorageError

logger = logging.getLogger("actors.store")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the records are."""

    path: str = setting(
        "", help="File of the SQLite database; empty: in memory, gone with the process.", unit="path"
    )
    retry_after: float = setting(
        0.5, help="Wait after a failed transaction; doubles up to 30 s.", unit="seconds"
    )


@message
class Commit:
    """Write the pile; sent to oneself, so that all writes that are already in the mailbox come first."""


class StoreActor(Actor):
    """Keeps the records; see the head of this module."""

    Settings = StoreSettings

    def __init__(self, composition: Composition, settings: StoreSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backend: Backend = SqliteBackend(settings.path) if settings.path else MemoryBackend()
        self._pile: list[tuple[m.Write, str]] = []
        self._commit_due = False
        self._committing = False
        self._failures = 0
        self._unusable: StorageError | None = None

    async def on_start(self) -> None:
        """Open the database; where it cannot be used, whoever loads from it is told in one sentence."""
        try:
            await self.in_thread(self.backend.open)
        except StorageError as error:
            self._unusable = error

    async def on_stop(self) -> None:
        """Write what is still on the pile, then close."""
        pile, self._pile = self._pile, []
        try:
            if pile:
                await self.in_thread(self.backend.commit, tuple(write for write, _ in pile))
            await self.in_thread(self.backend.close)
        except StorageError as error:
            logger.error("the last records could not be stored: %s", error)

    @receive
    async def load(self, asked: m.Load) -> m.Loaded:
        """Answer with what there is; raises StorageError at the asker."""
        if self._unusable is not None:
            raise self._unusable
        return m.Loaded(await self.in_thread(self.backend.load, asked.key))

    @receive
    def write(self, write: m.Write) -> None:
        """Put a write on the pile."""
        sender = self.sender.name if self.sender is not None and write.reference else ""
        self._pile.append((write, sender))
        if not self._commit_due and not self._committing:
            self._commit_due = True
            self.tell(self.actor_ref, Commit())

    @receive
    async def clear(self, _asked: m.ClearStore) -> bool:
        """Forget everything; answers when it is done."""
        self._pile.clear()
        try:
            await self.in_thread(self.backend.clear)
        except StorageError as error:
            logger.error("the store could not be cleared: %s", error)
            return False
        return True

    @receive
    def commit(self, _due: Commit) -> None:
        """Take the pile to the backend, in the background."""
        self._commit_due = False
        if self._committing or not self._pile:
            return
        pile, self._pile = self._pile, []
        if not self.backend.blocking:
            self.backend.commit(tuple(write for write, _ in pile))
            self._confirm(pile)
            return
        self._committing = True
        self.run_in_background(self._commit(pile), name="commit")

    async def _commit(self, pile: list[tuple[m.Write, str]]) -> None:
        try:
            await self.in_thread(self.backend.commit, tuple(write for write, _ in pile))
        except StorageError as error:
            self._pile[:0] = pile
            wait = min(30.0, self.settings.retry_after * 2.0 ** min(self._failures, 16))
            self._failures += 1
            logger.error("%d records are not stored yet (%s); next attempt in %.1f s", len(pile), error, wait)
            self.tell("scheduler", m.StorageTrouble(str(error)))
            self.timers.after(wait, Commit())
            self._commit_due = True
        else:
            self._failures = 0
            self._confirm(pile)
        finally:
            self._committing = False
        if self._pile and not self._commit_due:
            self._commit_due = True
            self.tell(self.actor_ref, Commit())

    def _confirm(self, pile: list[tuple[m.Write, str]]) -> None:
        for write, sender in pile:
            if sender:
                self.tell(sender, m.Stored(write.reference))
