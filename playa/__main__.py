"""`python -m playa`: the embedded cluster alone, for any framework. Flags are named as those of `mesos-master` and `-agent`.

Prints one line of JSON when it is ready (`{"url": …}`), and ends on SIGINT or SIGTERM, or (`--exit-with-parent`) when its
standard input ends.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import difflib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, get_args

from actors.runtime import documented_fields, hide_secrets_in_logs
from actors.runtime.collector import spare_the_collector
from mesos_v1.errors import ResourceError
from mesos_v1.quantities import parse_duration
from playa.cluster import Cluster
from playa.flags import HARMLESS, OtherValueError, read_credentials, take_harmless, warning
from playa.master.agents.registry import RegistryError
from playa.settings import AgentSettings, ClusterSettings, SettingsError


def explained(read: Callable[[str], object], expected: str = "") -> Callable[[str], object]:
    """As `read`, with an error that argparse shows: what the text is not, or what `read` says."""

    def convert(text: str) -> object:
        try:
            return read(text)
        except ValueError as error:
            why = f"{text!r} is not {expected}" if expected else str(error)
            raise argparse.ArgumentTypeError(why) from None

    return convert


def weights(text: str) -> tuple[tuple[str, float], ...]:
    """`role=weight,role=weight`."""
    pairs = [part.partition("=") for part in names(text)]
    return tuple((role, float(number)) for role, _, number in pairs)


def names(text: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


_FORMS: dict[object, dict[str, Any]] = {
    bool: {"action": "store_true"},
    int: {"type": int},
    float: {
        "type": explained(parse_duration, "a duration such as 15secs, 500ms, 2mins"),
        "metavar": "DURATION",
    },
    str: {},
    "roles": {"type": names},
    "weights": {"type": explained(weights, "role=weight")},
    "credentials": {"type": explained(read_credentials), "metavar": "FILE"},
}
"""How a flag is read: by its name, or by the type of its setting."""


def parser() -> argparse.ArgumentParser:
    """All flags; underscores and dashes in their names are the same."""
    p = argparse.ArgumentParser(
        prog="python -m playa",
        usage="%(prog)s [--FLAG VALUE …]   (--help explains every flag)",
        description="A Mesos cluster on this machine.",
    )
    p.add_argument("--agents", type=int, default=1, help="how many")
    both = (AgentSettings(), ClusterSettings())  # what both have is the master's here
    settings = {f.name: (f.type, getattr(part, f.name)) for part in both for f in dataclasses.fields(part)}
    explanations = documented_fields(AgentSettings) | documented_fields(ClusterSettings)
    for name, (kind, default) in settings.items():
        forms = [_FORMS[key] for key in (name, kind, *get_args(kind)) if key in _FORMS]
        if forms and default is not True:
            alias = ["--heartbeat"] if name == "heartbeat_interval" else []
            p.add_argument(f"--{name}", *alias, default=default, help=explanations[name], **forms[0])
    p.add_argument("--no_faults", action="store_true", help="without the HTTP API for misbehaviour on demand")
    p.add_argument("--exit_with_parent", action="store_true", help="end when standard input ends")
    p.add_argument("--verbose", action="store_true", help="log more to standard error")
    return p


def settings_of(options: argparse.Namespace) -> ClusterSettings:
    """Settings from flags: each goes to the master, to each agent, or to both, by its name; may raise SettingsError."""
    given = vars(options)
    if options.agents < 0:
        raise SettingsError("agents must not be negative")
    of_agent = {k: v for k, v in given.items() if k in AgentSettings.__slots__ and k not in _MASTER_ONLY}
    of_cluster = {k: v for k, v in given.items() if k in ClusterSettings.__slots__ and k != "agents"}
    one = AgentSettings(**of_agent)
    return ClusterSettings(**of_cluster, agents=(one,) * options.agents, faults=not options.no_faults)


_MASTER_ONLY = ("port", "work_dir", "hostname", "authenticate_http_readonly", "authenticate_http_readwrite")


def normalise(arguments: Sequence[str]) -> list[str]:
    """`--offer-timeout` → `--offer_timeout`: Mesos's flags have underscores, most others' have dashes."""
    result = []
    for argument in arguments:
        name, *value = argument.split("=", 1)
        if name.startswith("--"):
            name = "--" + name[2:].replace("-", "_")
        result.append("=".join((name, *value)))
    return result


async def run(
    settings: ClusterSettings, say_where: Callable[[str], object], *, exit_with_parent: bool
) -> None:
    """Run a cluster until it is asked to end; says its URL when it is ready."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, ended.set)
    if exit_with_parent:
        threading.Thread(target=_until_input_ends, args=(loop, ended), daemon=True).start()
    async with Cluster(settings) as cluster:
        say_where(cluster.url)
        await ended.wait()


def _print_where(url: str) -> None:
    spare_the_collector()
    print(json.dumps({"url": url}), flush=True)  # noqa: T201 - it is what this program says


def _until_input_ends(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Run in a thread of its own, as standard input may be anything, a file too."""
    while os.read(0, 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(ended.set)


def _read(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; an unknown flag ends the program, with the nearest known one."""
    flags = parser()
    try:
        arguments, harmless = take_harmless(arguments)
    except OtherValueError as error:
        flags.error(str(error))
    if harmless:
        print(f"playa: {warning(harmless)}", file=sys.stderr)  # noqa: T201
    options, unknown = flags.parse_known_args(arguments)
    if unknown:
        known = [f"--{name}" for name in (*vars(options), *HARMLESS)]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
        flags.error(f"there is no flag {unknown[0]}" + (f"; did you mean {near[0]}?" if near else ""))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, 2 when it was called wrongly, 3 when the agents do not start."""
    options = _read(normalise(sys.argv[1:] if arguments is None else arguments))
    level = logging.DEBUG if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    hide_secrets_in_logs()
    try:
        settings = settings_of(options)
        asyncio.run(run(settings, _print_where, exit_with_parent=options.exit_with_parent))
    except (SettingsError, ResourceError, RegistryError) as error:
        print(f"playa: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except TimeoutError:
        print("playa: the agents did not register in time", file=sys.stderr)  # noqa: T201
        return 3
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        print(f"playa: cannot listen on {options.ip}:{options.port}: {why}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
