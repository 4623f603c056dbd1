"""`ExecutorInfo` for an author's executor: code from our server, a start-up letter, a command that starts it."""

from __future__ import annotations

import shlex
import sys

from actors.messages import ExecutorTemplate, ServerReady
from actors.runtime import pack
from actors.settings import Composition, ExecutorSettings
from mesos_v1 import pb
from mesos_v1.resources import Resources
from wire.start_letter import ExecutorBoot


def executor_template(
    executor: ExecutorSettings, composition: Composition, server: ServerReady
) -> ExecutorTemplate:
    """Describe an executor to the broker; its id and resources come with the agent that it is launched on.

    Its code is an archive that the agent's fetcher unpacks into the sandbox, which is put first on PYTHONPATH.
    """
    info = pb.mesos.ExecutorInfo(name=executor.name, type=pb.mesos.ExecutorInfo.CUSTOM)
    info.executor_id.value = executor.name
    boot = ExecutorBoot(
        server_url=server.url,
        token="",  # see `actors.server.tokens`
        settings=executor.settings,
        executor_class=executor.cls,
        trace=bool(composition.trace_file),
        modules=(executor.cls.partition(":")[0],),
        shutdown_grace_period=executor.shutdown_grace_period,
    )
    info.data = pack(boot)
    info.shutdown_grace_period.nanoseconds = int(executor.shutdown_grace_period * 1e9)
    command = info.command
    command.shell = True
    python = shlex.quote(executor.python or sys.executable)
    command.value = (
        'PYTHONPATH="$MESOS_SANDBOX${PYTHONPATH:+:$PYTHONPATH}" '
        f"exec {python} -m executor {shlex.quote(executor.cls)}"
    )
    for name, url in server.artifacts:
        if name == executor.name:
            command.uris.add(value=url, extract=True, executable=False)
    for uri in executor.uris:
        command.uris.add(value=uri)
    for name, value in executor.environment:
        command.environment.variables.add(name=name, value=value)
    own = Resources.of(cpus=executor.cpus, mem=executor.mem, disk=executor.disk)
    return ExecutorTemplate(executor.name, own, info.SerializeToString())
