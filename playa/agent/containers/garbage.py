"""Sandboxes of executors that ended: kept for a while to be looked at, then removed (the agent's flag `gc_delay`)."""

from collections import deque
from pathlib import Path

from playa.agent.containers.sandbox import remove
from playa.agent.context import AgentContext
from playa.agent.messages import CollectGarbage


class Garbage:
    """The sandboxes to be removed, oldest first; one timer for all."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._waiting: deque[tuple[float, str]] = deque()

    def add(self, sandbox: str) -> None:
        """Have a sandbox removed when its time has come."""
        delay = self._context.settings.gc_delay
        self._waiting.append((self._context.now() + delay, sandbox))
        if len(self._waiting) == 1:
            self._context.after(delay, CollectGarbage())

    def collect(self) -> None:
        """Remove what was kept long enough."""
        now = self._context.now()
        while self._waiting and self._waiting[0][0] <= now:
            remove(Path(self._waiting.popleft()[1]))
        if self._waiting:
            self._context.after(self._waiting[0][0] - now, CollectGarbage())
