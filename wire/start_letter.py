"""What a scheduler tells its executors at their start: one message, packed into `ExecutorInfo.data`.

It holds what an executor cannot find in its environment (ids, sandbox and the agent's endpoint are `MESOS_*` variables).
"""

import logging
from dataclasses import dataclass, field

from actors.runtime import DecodeError, message, secret, unpack

logger = logging.getLogger(__name__)


@message
class ExecutorBoot:
    """The start-up letter of an executor."""

    server_url: str | None  # of the framework's server as agents reach it; None when it serves nothing
    token: str = secret()  # for uploads and traces, of this run of the framework
    settings: bytes = secret()  # the executor's, packed by the codec (`pack_value`); empty for defaults
    executor_class: str  # the author's, as `module:Class`
    trace: bool = False  # whether the executor writes a trace and sends it to the server
    modules: tuple[str, ...] = ()  # to be imported before the first message is decoded: they declare payloads
    shutdown_grace_period: float = 5.0  # seconds that running tasks get after SHUTDOWN
    reliable: bool = False  # whether the scheduler acknowledges reliable messages


@dataclass
class BootSecret:
    """The start-up letter on its way past the mailboxes: messages are logged and traced, and it holds a token."""

    data: bytes = field(default=b"", repr=False)  # `ExecutorInfo.data`; empty until there was a SUBSCRIBED

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
