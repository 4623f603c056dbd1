"""The sandbox of a task of a group: inside its executor's, with a link by the task's id, and with the volumes in it."""

import os
from pathlib import Path

from playa.agent.built_in.runs import Run
from playa.agent.containers.processes import user_to_switch_to
from playa.agent.executors.calls import unsupported


def furnish_nested(executor_sandbox: Path, run: Run, user: str) -> str | None:
    """Make the sandbox of a task of a group; gives why that failed, None if it did not."""
    if run.task.HasField("container"):
        why = unsupported(run.task.container)
        if why is not None:
            return why or "Only containers of type MESOS can be nested"
    try:
        run.sandbox.mkdir(parents=True)
        run.sandbox.chmod(0o700)
        other = user_to_switch_to(run.task.command.user or user)
        if other is not None:
            os.chown(run.sandbox, other.pw_uid, other.pw_gid)
            if executor_sandbox.stat().st_uid != other.pw_uid:
                executor_sandbox.chmod(0o711)  # to be passed through, not looked into
        links = executor_sandbox / "tasks"
        links.mkdir(exist_ok=True)
        link = links / run.task_id
        link.unlink(missing_ok=True)
        link.symlink_to(run.sandbox)
        for resource in run.task.resources:
            path = resource.disk.volume.container_path
            if resource.disk.HasField("persistence") and "/" not in path:
                (run.sandbox / path).symlink_to(executor_sandbox / path)
    except OSError as error:
        return f"Failed to create nested sandbox: {error.strerror or error}"
    return None
