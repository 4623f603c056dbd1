"""Options and small habits that several commands share."""

import logging

import click

from mesos_v1.quantities import parse_duration
from mesostic.errors import presentable

sets_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key of the configuration, e.g. scheduler.limit=10 (TOML; a bare string needs no quotes).",
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    default="warning",
    show_default=True,
    help="What is logged to standard error.",
)


def duration(context: click.Context, option: click.Parameter, text: str) -> float:
    """Read the value of an option such as `30s`, in seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        told = f"{error}; expected something like 30s or 5min."
        raise click.BadParameter(told, context, option) from None


def set_up_logging(level: str) -> None:
    """Log to standard error, one line per record; asyncio and aiohttp only when it matters."""
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(format=form, datefmt="%H:%M:%S", level=level.upper())
    if level != "debug":
        for name in ("asyncio", "aiohttp.access"):
            logging.getLogger(name).setLevel(logging.WARNING)


def say(text: str) -> None:
    """Tell the user on standard error what is happening."""
    click.echo(click.style(presentable(f"mesostic: {text}"), dim=True), err=True)
