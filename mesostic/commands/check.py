"""`mesostic check`: is the configuration right, and what does it compose?"""

from __future__ import annotations

import click

from mesostic.commands.options import sets_option
from mesostic.errors import presentable


@click.command("check")
@click.argument("config", type=click.Path())
@sets_option
@click.option("--all", "everything", is_flag=True, help="Also settings that have their default values.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing when all is well.")
def command(config: str, sets: tuple[str, ...], everything: bool, quiet: bool) -> None:
    """Check CONFIG as `run` would, and print what it composes: actors, classes, settings, who talks to whom.

    Classes are imported, and nothing is started.
    """
    from mesostic.config.compose import load_configuration
    from mesostic.config.describe import describe

    configuration = load_configuration(config, sets)
    if not quiet:
        click.echo(f"{config} is fine.\n")
        for line in describe(configuration, everything=everything):
            click.echo(presentable(line))
