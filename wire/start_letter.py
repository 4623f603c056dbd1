"""What a scheduler tells its executors at their start: one message, packed into `ExecutorInfo.data`.

It holds what an executor cannot find in its environment (ids, sandbox and the agent's endpoint are `MESOS_*` variables).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from actors.runtime import DecodeError, message, secret, unpack

logger = logging.getLogger(__name__)


@message
class ExecutorBoot:
    """The start-up letter of an executor.

    Attributes:
        server_url: base address of the framework's server as agents reach it, without a trailing slash
            (`http://host:port`); None when the framework serves nothing.
        token: bearer token for uploads and traces; it is a secret of this framework's run.
        settings: the executor's settings, packed by the codec (`pack_value`); empty for defaults.
        executor_class: where the author's class is, as `module:Class`.
        trace: whether the executor writes a trace and sends it to the server.
        modules: modules to import before the first message is decoded (they declare the payloads' types).
        shutdown_grace_period: seconds that running tasks get after SHUTDOWN.
    """

    server_url: str | None
    token: str = secret()
    settings: bytes = secret()
    executor_class: str
    trace: bool = False
    modules: tuple[str, ...] = ()
    shutdown_grace_period: float = 5.0


@dataclass
class BootSecret:
    """The start-up letter on its way past the mailboxes: messages are logged and traced, and it holds a token.

    Attributes:
        data: As it came in `ExecutorInfo.data`; empty until there was a SUBSCRIBED.
    """

    data: bytes = field(default=b"", repr=False)

    def open(self) -> ExecutorBoot | None:
        """Read it; None when there is none, so that the scheduler is not one of ours."""
        if not self.data:
            return None
        try:
            found = unpack(self.data).message
        except DecodeError as error:
            logger.warning("ExecutorInfo.data was not written by a Mesostic scheduler: %s", error)
            return None
        return found if isinstance(found, ExecutorBoot) else None
