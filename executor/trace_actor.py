"""Ships the executor's trace to the framework's server: what is new each second and after each task, the rest at the end.

A trace is a help, not a duty: what fails is logged once, tried again with the next second, and never holds the executor up.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from actors.runtime import Actor, message, receive
from executor.framework_server import FrameworkServer
from executor.messages import FinishShipping, ShipSoon
from mesos_http import Timeouts, TransportError
from wire.framework_server import MAX_TRACE_PIECE, TRACES

INTERVAL = 1.0
SOON = 0.1

logger = logging.getLogger(__name__)


@message
class ShipDue:
    """It is time to ship what is new."""


class TraceActor(Actor):
    """Owns the shipping; `flush` writes to the file what the trace still has in memory."""

    stop_grace: ClassVar[float] = 0.2

    def __init__(
        self, path: Path, server: FrameworkServer, system_name: str, flush: Callable[[], None]
    ) -> None:
        self._path = path
        self._server = server
        self._target = f"{TRACES}/{quote(system_name, safe='')}"
        self._flush = flush
        self._offset = 0
        self._complained = self._soon = False

    def on_start(self) -> None:
        """Ship once a second."""
        self._due = self.timers.after(INTERVAL, ShipDue())

    @receive
    async def handle_ship_due(self, due: ShipDue) -> None:
        self._soon = False
        await self._ship()
        self._due.cancel()  # one that was set meanwhile: there is one timer, never two
        self._due = self.timers.after(INTERVAL, ShipDue())

    @receive
    def handle_ship_soon(self, soon: ShipSoon) -> None:
        """Ship earlier, together with what comes in the next moment."""
        if not self._soon:
            self._soon = True
            self._due.cancel()
            self._due = self.timers.after(SOON, ShipDue())

    @receive
    async def handle_finish_shipping(self, finish: FinishShipping) -> None:
        while await self._ship():
            pass

    async def _ship(self) -> bool:
        """Ship one piece; True if there may be more."""
        try:
            self._flush()
            piece = await self.in_thread(_read, self._path, self._offset)
        except OSError as error:  # a full disk, a file that somebody has deleted
            self._complain(str(error))
            return False
        if not piece:
            return False
        target = f"{self._target}?offset={self._offset}"
        try:
            response = await self._server.put(target, piece, Timeouts(connect=2.0, response=5.0))
        except TransportError as error:
            self._complain(str(error))
            return False
        if response.status == 409:
            return self._go_back(response.body)
        if not 200 <= response.status < 300:
            self._complain(f"HTTP {response.status} {response.text}")
            return False
        self._offset += len(piece)
        self._complained = False
        return len(piece) == MAX_TRACE_PIECE

    def _go_back(self, body: bytes) -> bool:
        try:
            offset = int(json.loads(body)["offset"])
        except (ValueError, KeyError, TypeError):
            self._complain("an answer 409 without an offset")
            return False
        if not 0 <= offset < self._offset:
            self._complain(f"the server has {offset} bytes, and {self._offset} were sent")
            return False
        self._offset = offset
        return True

    def _complain(self, reason: str) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("the trace cannot be shipped: %s", reason)


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(MAX_TRACE_PIECE)
