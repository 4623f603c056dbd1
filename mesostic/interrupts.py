"""Ctrl-C, SIGTERM and SIGHUP: the first asks the framework to end, the second ends everything at once.

The second does so even while a handler of the framework blocks; see `actors.runtime.signals`.
"""

import asyncio
import os
import signal
from collections.abc import Callable

from actors.runtime.signals import PATIENCE, Signals
from actors.temporary import remove_all_in_use
from mesostic.errors import INTERRUPTED


class Interrupts:
    """Listens from its creation on, on the running loop.

    `on_first` is what the first signal does, given its name; while it is None, there is nothing to ask, and the first signal is
    final. An end in order may take `patience` seconds after a second signal; then `clean_up` ends and removes what must not
    outlive us.
    """

    def __init__(self, clean_up: Callable[[], None] = lambda: None, *, patience: float = PATIENCE) -> None:
        self.on_first: Callable[[str], None] | None = None
        self._clean_up = clean_up
        self.final = asyncio.Event()
        self.signals = Signals(
            (signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            on_first=self._first,
            on_second=self.final.set,
            last_resort=self._last_resort,
            patience=patience,
        )

    def _first(self, number: signal.Signals) -> None:
        if self.on_first is None:
            self.final.set()
        else:
            self.on_first("Ctrl-C" if number == signal.SIGINT else number.name)

    def _last_resort(self) -> None:
        """The loop is blocked, or does not end. Whatever thread this is, nothing is waited for."""
        try:
            self._clean_up()
            remove_all_in_use()
            os.write(2, b"mesostic: ended at once, in the middle of a handler that blocked\n")
        finally:
            os._exit(INTERRUPTED)
