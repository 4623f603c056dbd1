"""Ctrl-C, SIGTERM and SIGHUP: the first asks the framework to end, the second ends everything at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


class Interrupts:
    """Listens from its creation on, on the running loop.

    Attributes:
        on_first: what the first signal does, given its name; while it is None, there is nobody to ask, and the first
            signal is final.
    """

    def __init__(self) -> None:
        self.on_first: Callable[[str], None] | None = None
        self._asked = False
        self._final = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
                loop.add_signal_handler(number, self._arrived, number)

    async def wait_for_final(self) -> None:
        """Until there is nothing left to be polite about."""
        await self._final.wait()

    def _arrived(self, number: signal.Signals) -> None:
        if self._asked or self.on_first is None:
            self._final.set()
            return
        self._asked = True
        self.on_first("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
