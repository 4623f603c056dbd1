"""`mesostic run`: everything from a file to the end of the framework: cluster, actors, signals, and the end of all three.

The order matters for the time to the first task: the file is read (milliseconds), the cluster's process is started, and while
it imports, so do we. Nothing runs before the whole configuration has been checked: the cluster's process waits for its
settings until then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from actors.runtime.collector import spare_the_collector
from mesostic.commands.options import duration, log_level_option, say, set_up_logging, sets_option
from mesostic.config.document import load_document
from mesostic.credential import closed, logged_in
from mesostic.embedded import EmbeddedCluster
from mesostic.errors import INTERRUPTED, OK, ClusterError, ConfigError, one_paragraph
from mesostic.interrupts import Interrupts
from mesostic.waiting import first_of

if TYPE_CHECKING:
    from actors.composition import Outcome
    from actors.runtime import TraceWriter
    from mesostic.config.compose import Configuration, TraceSettings


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose end does not wait for the functions in its thread pool."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - its name in the base
        """Leave them to `mesostic.cli.leave`; `close` tells the pool that nothing more will come."""


@click.command("run")
@click.argument("config", type=click.Path())
@sets_option
@click.option(
    "--trace", type=click.Path(), help="Write every message to this file (as trace.file in CONFIG)."
)
@click.option(
    "--master-timeout",
    callback=duration,
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="How long to wait for a master that cannot be reached before giving up; 0: forever.",
)
@log_level_option
def command(
    config: str, sets: tuple[str, ...], trace: str | None, master_timeout: float, log_level: str
) -> int:
    """Run the framework that CONFIG describes, until it ends.

    With master = "embedded" a cluster is started for it and stopped after it. Ctrl-C asks the framework to
    end and waits for it; a second one ends everything at once.
    """
    set_up_logging(log_level)
    if trace is not None:
        sets = (*sets, f"trace.file={Path(trace).absolute()}")
    document = load_document(config, sets)
    framework = document.table.get("framework")
    master = framework.get("master", "embedded") if isinstance(framework, dict) else "embedded"
    cluster = EmbeddedCluster.launch() if master == "embedded" else None
    kept = True
    told = _Told()
    logging.getLogger("actors.failures").addHandler(told)
    try:
        from actors.runtime import hide_secrets_in_logs
        from mesostic.config.compose import compose

        hide_secrets_in_logs()
        configuration = compose(document)
        if trace_file := configuration.trace.file:
            try:
                Path(trace_file).open("ab").close()
            except OSError as error:
                text = f"The trace cannot be written to {trace_file}: {error.strerror}. Name a file that you may write, in a folder that exists."
                raise ConfigError(text) from None
        with asyncio.Runner(loop_factory=_Loop) as runner:
            exit_code = runner.run(_run(configuration, cluster, master_timeout, log_level))
        kept = _is_kept(configuration, exit_code)
        return exit_code
    except (ConfigError, ClusterError):
        kept = cluster is not None and bool(cluster.url)  # a cluster that never started: the error says all
        raise
    except KeyboardInterrupt:
        kept = False
        return INTERRUPTED
    finally:
        logging.getLogger("actors.failures").removeHandler(told)
        if cluster is not None:
            cluster.abandon(keep=kept)
            if kept:
                for words in cluster.last_words(told.has):
                    say(words)
                say(f"the cluster's folder (logs, sandboxes) is kept: {cluster.work_dir}")


class _Told(logging.Handler):
    """The latest reports of failures, so that nothing is reported twice."""

    def __init__(self) -> None:
        super().__init__()
        self._reports: deque[str] = deque(maxlen=100)

    def emit(self, record: logging.LogRecord) -> None:
        self._reports.append(record.getMessage())

    def has(self, executor: str, line: str) -> bool:
        """Whether a report quotes what the executor wrote, or this line of it."""
        from actors.failure_actor import heading_of_lines

        quotes = heading_of_lines(f"executor {executor}"), f"    {line}"
        return any(quote in report.splitlines() for report in self._reports for quote in quotes)


def _is_kept(configuration: Configuration, exit_code: int) -> bool:
    keep = configuration.embedded.keep_work_dir
    return keep == "always" or (keep == "on-failure" and exit_code not in {OK, INTERRUPTED})


async def _run(
    configuration: Configuration, cluster: EmbeddedCluster | None, master_timeout: float, log_level: str
) -> int:
    def clean_up() -> None:
        if cluster is not None:
            cluster.abandon(keep=_is_kept(configuration, INTERRUPTED))

    interrupts = Interrupts(clean_up)
    at_once = True
    try:
        if cluster is not None:
            running = _run_on(cluster, configuration, interrupts, log_level)
        else:
            running = _run_on_a_master(configuration, interrupts, master_timeout)
        outcome = await first_of(running, interrupts.final.wait())
        if at_once := outcome is None:
            say("ended at once")
    finally:
        if cluster is not None:
            await cluster.stop(at_once=at_once)
        interrupts.signals.close()
    if outcome is None:
        return INTERRUPTED
    if outcome.exit_code != 0 and outcome.reason:
        say(one_paragraph(outcome.reason))
    return outcome.exit_code


async def _run_on_a_master(
    configuration: Configuration, interrupts: Interrupts, master_timeout: float
) -> Outcome:
    from mesostic.why_waiting import wait_for_master

    asked = configuration.composition.framework
    await wait_for_master(asked.masters(), master_timeout, say, tls=asked.tls)
    return await _run_actors(configuration, interrupts)


async def _run_on(
    cluster: EmbeddedCluster, configuration: Configuration, interrupts: Interrupts, log_level: str
) -> Outcome:
    """From the cluster's start to the framework's end."""
    embedded, composition = configuration.embedded, configuration.composition
    if embedded.keep_work_dir == "always":
        cluster.folder.keep()
    assert configuration.cluster is not None
    settings = closed(configuration.cluster, composition.framework)
    level = "debug" if log_level == "debug" else "info"
    url = await cluster.start(settings, patience=embedded.start_timeout, log_level=level)
    say(f"the embedded cluster is at {url}")
    framework = logged_in(replace(composition.framework, master=url), settings)
    configuration = replace(configuration, composition=replace(composition, framework=framework))
    outcome = await first_of(
        _run_actors(configuration, interrupts),
        cluster.wait(lambda text: say(f"the embedded cluster: {one_paragraph(text)}")),
    )
    if outcome is None:
        raise ClusterError(f"The embedded cluster ended while the framework ran.{cluster.log_tail()}")
    return outcome


async def _run_actors(configuration: Configuration, interrupts: Interrupts) -> Outcome:
    from actors.composition import run
    from actors.messages import ShutdownRequested
    from actors.runtime import ActorSystem
    from mesostic.why_waiting import say_why_tasks_wait

    name = configuration.composition.framework.name
    async with ActorSystem(name, trace=_open_trace(configuration.trace, name)) as system:

        def ask_to_end(signal_name: str) -> None:
            say(f"{signal_name}: the framework is asked to end (Ctrl-C again ends everything at once)")
            system.tell("framework", ShutdownRequested(signal_name))

        async def stopped() -> None:
            await system.join()

        interrupts.on_first = ask_to_end
        spare_the_collector()
        running = run(configuration.composition, system=system)
        outcome = await first_of(running, stopped(), say_why_tasks_wait(system, say))
        if outcome is None:
            raise system.failure or RuntimeError("the actor system stopped before the framework ended")
        return outcome


def _open_trace(asked: TraceSettings, name: str) -> TraceWriter | None:
    from actors.runtime import TraceWriter

    if not asked.file:
        return None
    for old in Path(f"{asked.file}.executors").glob("*.trace"):
        old.unlink(missing_ok=True)  # of an earlier run: `trace show` would tell its story with this one's
    limits = {"max_size": asked.max_size, "keep": asked.keep, "buffer": asked.buffer}
    return TraceWriter(asked.file, name, asked.payloads, **limits)
