"""Starts the process of a built-in executor's task, or takes up one that runs already."""

from contextlib import suppress
from pathlib import Path

from playa.agent.built_in.runs import Run
from playa.agent.containers.processes import PROCESSES, command_of
from playa.agent.containers.sandbox import open_output
from playa.agent.executors.environment import nested_environment, task_environment
from playa.agent.messages import BuiltInSpec, RecoveredRun


def start(run: Run, spec: BuiltInSpec) -> None:
    """Start a task's process; a program that is not there "ran" and exited with 1, as from Mesos's launcher."""
    task, c = run.task, spec.container
    if run.container_id:
        sandbox = str(run.sandbox)
        environment = nested_environment(task, sandbox=sandbox, ip=spec.ip, agent_wide=spec.agent_wide)
    else:
        environment = task_environment(dict(c.environment), task)
    command = command_of(task.command, environment, run.sandbox, task.command.user or c.user)
    try:
        run.child = PROCESSES.spawn(
            command,
            owner=c.owner,
            survives=c.outlives,
            remember=c.checkpoint,
            status_file=status_file(run, spec),
        )
    except OSError as error:
        run.exec_failed = True
        with suppress(OSError), open_output(run.sandbox, "stderr") as err:
            err.write(f"Failed to execute command: {error.strerror or error}\n".encode())


def take_up(run: Run, spec: BuiltInSpec, recovered: RecoveredRun) -> None:
    """Follow a task's process that an agent before this one started; without a child if nothing is known of it."""
    run.child = PROCESSES.adopt(
        recovered.pid, recovered.started, owner=spec.container.owner, status_file=status_file(run, spec)
    )


def status_file(run: Run, spec: BuiltInSpec) -> Path | None:
    """Where the wait status of a process is kept that may outlive the cluster."""
    c = spec.container
    if not c.outlives:
        return None
    folder = Path(c.owner) / "meta" / "statuses"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (run.container_id or c.container_id)
