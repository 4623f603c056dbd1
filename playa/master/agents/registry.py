"""The registry: what survives the master, as in Mesos's registrar (agents, maintenance, weights, quota; no frameworks).

Kept as protobuf JSON, so that people can read it.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from mesos_v1 import content, pb
from playa.master.records import Machine

M = TypeVar("M", bound=Message)


class RegistryError(ValueError):
    """The file is there, but is not a registry; the text says why."""


@dataclass(slots=True)
class Registry:
    """What a new master starts with; the master keeps all but the agents and quotas up to date in it."""

    agents: list[pb.mesos.AgentInfo] = field(default_factory=list)  # each admitted one, with its id
    unreachable: dict[str, float] = field(default_factory=dict)  # agent ids, and since when (unix time)
    gone: dict[str, float] = field(default_factory=dict)  # likewise
    schedule: pb.maintenance.Schedule = field(default_factory=pb.maintenance.Schedule)
    down_machines: set[Machine] = field(default_factory=set)
    weights: dict[str, float] = field(default_factory=dict)  # by role
    draining: dict[str, pb.mesos.DrainInfo] = field(default_factory=dict)  # by agent id
    deactivated: set[str] = field(default_factory=set)  # agent ids
    quotas: list[pb.quota.QuotaConfig] = field(default_factory=list)  # as configured


def _each(cls: type[M]) -> Callable[[Any], list[M]]:
    return lambda value: [content.from_json(cls, each) for each in value]


def _numbers(value: Any) -> dict[str, float]:
    return {str(key): float(number) for key, number in value.items()}


_READ: dict[str, Callable[[Any], Any]] = {
    "agents": _each(pb.mesos.AgentInfo),
    "unreachable": _numbers,
    "gone": _numbers,
    "schedule": lambda value: content.from_json(pb.maintenance.Schedule, value),
    "down_machines": lambda value: {Machine(str(host), str(ip)) for host, ip in value},
    "weights": _numbers,
    "draining": lambda value: {k: content.from_json(pb.mesos.DrainInfo, v) for k, v in value.items()},
    "deactivated": set,
    "quotas": _each(pb.quota.QuotaConfig),
}


def _plain(part: Any) -> Any:
    return sorted(part) if isinstance(part, set) else content.to_json(part)


def save(registry: Registry, path: Path) -> None:
    """Write a registry so that a reader sees the old one or the new one, nothing between."""
    value = {name: getattr(registry, name) for name in _READ}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(value, default=_plain))
    os.replace(temporary, path)  # noqa: PTH105 - pathlib's replace is the same


def load(path: Path) -> Registry:
    """Read a registry; an empty one if there is none, a RegistryError if the file is not one."""
    try:
        not_in_older_files: dict[str, Any] = {"draining": {}, "deactivated": (), "quotas": ()}
        value = {**not_in_older_files, **json.loads(path.read_text())}
        return Registry(**{name: read(value[name]) for name, read in _READ.items()})
    except FileNotFoundError:
        return Registry()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{path} is not a registry of the embedded cluster: {error}") from error
