"""What a scheduler tells its executors at their start: one message, packed into `ExecutorInfo.data`.

Both sides import it from here, because the scheduler side and the executor side never import each other.
What belongs here: the facts an executor cannot find in its environment. Not here: what Mesos itself tells an
executor (ids, sandbox, agent endpoint: `MESOS_*` variables), and the payloads of tasks.
"""

from __future__ import annotations

from actors.runtime import message, secret


@message
class ExecutorBoot:
    """The start-up letter of an executor.

    Attributes:
        server_url: base address of the framework's server as agents reach it, without a trailing slash
            (`http://host:port`); empty when the framework serves nothing.
        token: bearer token for uploads and traces; it is a secret of this framework's run.
        settings: the executor's settings, packed by the codec (`pack_value`); empty for defaults.
        executor_class: where the author's class is, as `module:Class`.
        trace: whether the executor writes a trace and sends it to the server.
        modules: modules to import before the first message is decoded (they declare the payloads' types).
        shutdown_grace_period: seconds that running tasks get after SHUTDOWN.
    """

    server_url: str
    token: str = secret()
    settings: bytes = secret()
    executor_class: str
    trace: bool = False
    modules: tuple[str, ...] = ()
    shutdown_grace_period: float = 5.0
