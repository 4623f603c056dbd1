"""``python -m executor module:Class``: a whole executor process, from environment to exit code.

Exit codes: 0 ended in order; 1 the author's executor could not be started, or the agent was lost; 2 wrongly called; 70 a bug
of ours. What goes wrong for a user's reason is one line on stderr, in the sandbox, without a traceback.

Besides the agent's variables: MESOSTIC_LOG_LEVEL (INFO), and MESOSTIC_CONTENT_TYPE=json to speak JSON with the agent.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from actors.runtime import ActorSystem, hide_secrets_in_logs
from actors.runtime.signals import Signals
from executor.environment import AgentEnvironment, BadEnvironment, take_secrets
from executor.executor_actor import BUG, SUPERVISION, ExecutorActor
from executor.messages import EXECUTOR, EndRequested
from executor.task_actor import MAX_THREADS
from wire.author_code import one_line, traceback_below

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an executor; gives the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m executor module:Class   (started by a Mesos agent)\n")
        return 0 if list(arguments) in (["-h"], ["--help"]) else 2
    try:
        log_format = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        level = os.environ.get("MESOSTIC_LOG_LEVEL", "INFO")
        logging.basicConfig(level=level, format=log_format, stream=sys.stderr)
    except ValueError as error:
        return _complain(f"MESOSTIC_LOG_LEVEL: {error}; use DEBUG, INFO, WARNING or ERROR", 2)
    hide_secrets_in_logs()
    try:
        environment = AgentEnvironment.read(os.environ)
    except BadEnvironment as error:
        return _complain(str(error), 2)
    take_secrets(os.environ)
    # the sandbox holds the code that the fetcher brought, and an author's own modules
    for folder in (str(Path.cwd()), str(environment.sandbox)):
        if folder not in sys.path:
            sys.path.append(folder)
    code, reason = _run(environment, arguments[0])
    return _complain(reason, code) if code else 0


def _run(environment: AgentEnvironment, class_name: str) -> tuple[int, str]:
    """Run the loop by hand: asyncio.run would wait for the threads of tasks that do not end."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="task"))
    asyncio.set_event_loop(loop)
    work = loop.create_task(execute(environment, class_name))
    while not work.done():
        try:
            loop.run_until_complete(work)
        except (SystemExit, KeyboardInterrupt) as error:
            # of an asyncio task of an author's: it has ended that one, and ends no other
            logger.error("something raised %s outside of its task%s", one_line(error), traceback_below(error))
    return work.result()


async def execute(environment: AgentEnvironment, class_name: str) -> tuple[int, str]:
    """Be an executor until the end; gives exit code and reason."""
    outcome: list[tuple[int, str]] = []

    def on_exit(code: int, reason: str) -> None:
        outcome.append((code, reason))
        system.stop()

    async with ActorSystem(system_name(environment)) as system:
        root = system.spawn(
            ExecutorActor, environment, class_name, on_exit, name=EXECUTOR, supervision=SUPERVISION
        )
        signals = Signals(
            (signal.SIGTERM, signal.SIGINT),
            on_first=lambda number: system.tell(root, EndRequested(f"{number.name} received")),
            on_second=system.stop,
            last_resort=_last_resort,
        )
        try:
            await system.join()
        finally:
            signals.close()
    why = one_line(system.failure) if system.failure else "the reason is not known"
    return outcome[0] if outcome else (BUG, f"the executor failed: {why}")


def system_name(environment: AgentEnvironment) -> str:
    """A name that no other run of this executor has, on whichever agent: ids in traces are made of it.

    The sandbox is called after the run's container, which has a random id (".../runs/<container id>").
    """
    run = environment.sandbox.resolve().name
    return f"{environment.executor_id}.{run[:8] if len(run) >= 8 else os.getpid()}"


def _last_resort() -> None:
    os.write(2, b"executor: ended at once, in the middle of a handler that blocked\n")
    os._exit(1)


def _complain(reason: str, code: int) -> int:
    print(f"executor: {reason}", file=sys.stderr)  # noqa: T201 - the line that a user looks for in the sandbox
    return code
