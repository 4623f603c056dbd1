"""`mesostic cluster`: the embedded cluster alone. Its flags are made from its settings, named as Mesos names them.

A flag's value is read as a configuration's value is, so it is checked and explained in the same way; `--offer-timeout` and
`--offer_timeout` (as Mesos spells it) are the same flag.
"""

import asyncio
import os
import pwd
from collections import Counter
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from actors.runtime import hide_secrets_in_logs
from mesos_v1.origins import is_loopback
from mesos_v1.quantities import format_duration
from mesostic.commands.options import log_level_option, say, set_up_logging
from mesostic.config.cluster import build_cluster
from mesostic.config.document import Override, load_document, parse_document
from mesostic.config.settings import FieldInfo, settings_fields
from mesostic.config.toml import value_or_text
from mesostic.errors import ClusterError, ConfigError, reason_of
from playa.flags import HARMLESS, OtherValueError, read_credentials, take_harmless, warning
from playa.settings import AgentSettings, ClusterSettings, SettingsError

if TYPE_CHECKING:
    from playa import Cluster

_STOP_TIMEOUT = 15.0  # seconds for its agents and their executors
_TEXT_FORMS = {
    "agents": "N",
    "roles": "ROLE,…",
    "weights": "ROLE=WEIGHT,…",
    "credentials": "FILE",
    "http_credentials": "FILE",
    "environment": "NAME=VALUE,…",
    "executor_environment": "NAME=VALUE,…",
}
"""Flags whose text is not a TOML value, with its placeholder in the help."""


def _options() -> list[click.Option]:
    of_master, of_agents = settings_fields(ClusterSettings), settings_fields(AgentSettings)
    # what both have is the master's here; agents take theirs from --config
    only_agents = [info for name, info in of_agents.items() if name not in of_master]
    return [*map(_option, of_master.values()), *(_option(info, "Each agent: ") for info in only_agents)]


def _option(info: FieldInfo, whose: str = "") -> click.Option:
    kinds = {info.type, *get_args(info.type)}
    metavar = _TEXT_FORMS.get(info.name, "N" if int in kinds else "TEXT")
    default: Any = len(info.default) if info.name == "agents" else info.default
    bare: dict[str, Any] = {}  # others need a value
    if bool in kinds:
        metavar, default, bare = (
            "BOOL",
            "" if default is None else str(default).lower(),
            {"is_flag": False, "flag_value": "true"},
        )
    elif info.unit == "seconds":
        metavar, default = "DURATION", None if default is None else format_duration(default)
    shown = "" if info.secret or default in {None, "", ()} else f"  [default: {default}]"
    flag = f"--{info.name.replace('_', '-')}"
    return click.Option([flag, info.name], metavar=metavar, help=f"{whose}{info.help}{shown}", **bare)


class _Command(click.Command):
    """Takes flags of Mesos's programs that change nothing here, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            args, harmless = take_harmless(args)
        except OtherValueError as error:
            raise click.UsageError(str(error), ctx) from None
        if harmless:
            say(warning(harmless))
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            own = [name for parameter in self.params for name in parameter.opts]
            known = [*own, *(f"--{name.replace('_', '-')}" for name in HARMLESS)]
            near = get_close_matches(error.option_name.replace("_", "-"), known, n=1)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from None


@click.command(
    "cluster",
    cls=_Command,
    params=_options(),
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.option("--config", type=click.Path(), help="Use the table [cluster] of this file; flags override it.")
@log_level_option
def command(config: str | None, log_level: str, **flags: str | None) -> int:
    """Start a master and agents on this machine, and serve frameworks until Ctrl-C.

    The flags have the names and meanings of those of mesos-master and mesos-agent. Frameworks of any library connect to the URL
    that is printed.
    """
    set_up_logging(log_level)
    hide_secrets_in_logs()
    settings = settings_from_flags({name: text for name, text in flags.items() if text is not None}, config)
    return asyncio.run(_serve(settings))


def settings_from_flags(flags: dict[str, str], config: str | None = None) -> ClusterSettings:
    """The cluster's settings from texts of flags over a file's `[cluster]`; ConfigError with every problem."""
    if config is None:
        document = parse_document("", file="mesostic cluster", folder=Path.cwd())
    else:
        document = load_document(config)
    table = document.table.setdefault("cluster", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{document.file}: cluster: expected a table.")
    for name, text in flags.items():
        flag = f"--{name.replace('_', '-')}"
        try:
            value = _value(name, text)
        except SettingsError as error:
            raise ConfigError(f"{flag}: {error}.") from None
        table[name] = value
        document.overrides["cluster", name] = Override(flag, value, text, is_flag=True)
    cluster, _ = build_cluster(document)
    document.fail_on_problems()
    assert cluster is not None
    return cluster


def _value(name: str, text: str) -> Any:
    if name == "roles":
        return [role for role in text.split(",") if role]
    if name in {"weights", "environment", "executor_environment"}:
        pairs = [item.partition("=") for item in text.split(",") if item]
        if not all(equals for _, equals, _ in pairs):
            raise SettingsError(f"expected {_TEXT_FORMS[name]}, found {text!r}")
        return {key: value_or_text(value) if name == "weights" else value for key, _, value in pairs}
    if name in {"credentials", "http_credentials"}:
        return dict(read_credentials(text))
    return value_or_text(text)


async def _serve(settings: ClusterSettings) -> int:
    from mesostic.embedded import working_folder
    from mesostic.interrupts import Interrupts
    from playa import Cluster
    from playa.master.agents.registry import RegistryError

    interrupts = Interrupts(patience=_STOP_TIMEOUT)
    folder = None
    if not settings.work_dir:
        folder = working_folder()
        settings = replace(settings, work_dir=str(folder.path))
    try:
        async with Cluster(settings) as cluster:
            _announce(settings, cluster)
            await interrupts.final.wait()
            say("stopping the cluster")
    except SettingsError as error:
        raise ConfigError(f"The cluster is not started: {error}.") from None
    except RegistryError as error:
        raise ClusterError(f"The cluster could not be started: {error}.") from None
    except OSError as error:
        where = f" on port {settings.port}" if settings.port else ""
        raise ClusterError(f"The cluster could not be started{where}: {reason_of(error)}.") from None
    finally:
        if folder is not None:
            folder.remove()
    return 0


def _announce(settings: ClusterSettings, cluster: "Cluster") -> None:
    click.echo(f"master: {cluster.url}")
    kinds = Counter((agent.resources, agent.attributes) for agent in settings.agents)
    for (resources, attributes), count in kinds.items():
        click.echo(f"agents: {count} x {resources}{f' [{attributes}]' if attributes else ''}")
    click.echo(f"status page: {cluster.url}/")
    click.echo(f"who can use it: {_who_gets_in(settings)}")
    click.echo(f"for a framework of Mesostic: --set framework.master={cluster.url}")
    click.echo("Ctrl-C stops the cluster.")


def _who_gets_in(settings: ClusterSettings) -> str:
    flags = (
        settings.authenticate_http_frameworks,
        settings.authenticate_http_readonly,
        settings.authenticate_http_readwrite,
    )
    if settings.credentials and all(settings.asks(flag) for flag in flags):
        return "everyone with one of its credentials"
    local = is_loopback(settings.ip)
    everyone = "every user of this machine" if local else f"everyone who can reach {settings.ip}"
    if settings.credentials:
        return f"{everyone}, for what the --authenticate-http flags leave open; the rest with one of its credentials"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = f"user {os.geteuid()}"
    return f"{everyone}, to run any command as {user} (--credentials FILE requires credentials)"
