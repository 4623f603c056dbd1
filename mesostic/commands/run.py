"""`mesostic run`: everything from a file to the end of the framework."""

from __future__ import annotations

from pathlib import Path

import click

from mesos_v1.quantities import parse_duration
from mesostic.commands.options import log_level_option, set_up_logging, sets_option


class Duration(click.ParamType[float]):
    """A duration as an option: "30s", "5min", or seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{error}; expected something like 30s or 5min.", param, ctx)


@click.command("run")
@click.argument("config", type=click.Path())
@sets_option
@click.option(
    "--trace", type=click.Path(), help="Write every message to this file (as trace.file in CONFIG)."
)
@click.option(
    "--master-timeout",
    type=Duration(),
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
    from mesostic.running import run_file

    if trace is not None:
        sets = (*sets, f"trace.file={Path(trace).absolute()}")
    return run_file(config, sets, master_timeout=master_timeout, log_level=log_level)
