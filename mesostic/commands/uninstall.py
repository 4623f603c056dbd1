"""`mesostic uninstall`: nothing of a framework stays on its cluster, nor in its store."""

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mesos_v1.quantities import format_duration
from mesostic.commands.options import duration, log_level_option, say, set_up_logging, sets_option
from mesostic.errors import ClusterError, ConfigError, one_paragraph

if TYPE_CHECKING:
    from actors.composition import Composition, Outcome

GRACE = 45.0  # seconds beside the search: to be elected, to subscribe, to end the framework that there is, and to say good-bye


@click.command("uninstall")
@click.argument("config", type=click.Path())
@sets_option
@click.option(
    "--timeout",
    callback=duration,
    metavar="DURATION",
    default="60s",
    show_default=True,
    help="How long to wait for agents to offer what the framework is known to have.",
)
@log_level_option
def command(config: str, sets: tuple[str, ...], timeout: float, log_level: str) -> int:
    """Take the framework that CONFIG describes off its cluster, for good.

    Ends the framework and its tasks, destroys its volumes, gives its reservations back, and clears its store. Says what it has
    freed, and what it could not; then the exit code is 1, and it may be called again. Stop the framework's processes first.
    """
    from actors.runtime import hide_secrets_in_logs
    from mesostic.config.compose import load_configuration

    set_up_logging(log_level)
    hide_secrets_in_logs()
    logging.getLogger("actors.scheduler").setLevel("ERROR" if log_level == "warning" else log_level.upper())
    composition = load_configuration(config, sets).composition
    if composition.framework.master == "embedded":
        raise ConfigError(
            'framework.master is "embedded": that cluster ends with each run, and so does all that is on it. '
            "Name the master that the framework is to be taken from, with --set framework.master=URL."
        )
    outcome = asyncio.run(_run(_uninstalling(composition, timeout), timeout))
    say(one_paragraph(outcome.reason))
    return outcome.exit_code


def _uninstalling(composition: "Composition", timeout: float) -> "Composition":
    """The framework without what its author has written; offers come back soon, as more may be in them then."""
    from actors.composition import ActorSpec
    from actors.framework_settings import BUILT_IN_NAMES
    from actors.offer_actor import OfferActor, OfferSettings
    from actors.uninstaller_actor import UninstallerActor, UninstallSettings

    changed = {
        "scheduler": ActorSpec("scheduler", UninstallerActor, UninstallSettings(timeout)),
        "offers": ActorSpec(
            "offers",
            OfferActor,
            OfferSettings(refuse_seconds=0.5, idle_refuse_seconds=0.5, suppress_after=10 * (timeout + GRACE)),
        ),
    }
    kept = (each for each in composition.actors if each.name in BUILT_IN_NAMES and each.name not in changed)
    framework = replace(composition.framework, leaked="free", standby=False)
    return replace(
        composition, framework=framework, actors=(*changed.values(), *kept), executors=(), trace_file=""
    )


async def _run(composition: "Composition", patience: float) -> "Outcome":
    from actors.composition import run
    from mesostic.why_waiting import wait_for_master

    framework = composition.framework
    await wait_for_master(framework.masters(), patience, say, tls=framework.tls)
    try:
        async with asyncio.timeout(patience + GRACE):
            return await run(composition)
    except TimeoutError:
        raise ClusterError(
            f"The framework could not be taken off its cluster within {format_duration(patience + GRACE)}: the master did "
            "not take it, or another of its processes leads it. Stop those, see --log-level info, and try again."
        ) from None
