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

M = TypeVar("M", bound=Message)


class RegistryError(ValueError):
    """The file is there, but is not a registry; the text says why."""


@dataclass(slots=True)
class Registry:
    """What a new master starts with.

    Attributes:
        agents: Each admitted agent, with its id.
        unreachable: Agent ids, and since when (unix time).
        gone: Agent ids, and since when.
        schedule: When which machines are maintained.
        down_machines: Host name and IP of machines that are down for maintenance.
        weights: Weight by role.
        draining: Agent ids, and how each drains.
        deactivated: Agent ids.
        quotas: As configured, by role.
    """

    agents: list[pb.mesos.AgentInfo] = field(default_factory=list)
    unreachable: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    schedule: pb.maintenance.Schedule = field(default_factory=pb.maintenance.Schedule)
    down_machines: list[tuple[str, str]] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    draining: dict[str, pb.mesos.DrainInfo] = field(default_factory=dict)
    deactivated: list[str] = field(default_factory=list)
    quotas: list[pb.quota.QuotaConfig] = field(default_factory=list)


def _each(cls: type[M]) -> Callable[[Any], list[M]]:
    return lambda value: [content.from_json(cls, each) for each in value]


def _numbers(value: Any) -> dict[str, float]:
    return {str(key): float(number) for key, number in value.items()}


_READ: dict[str, Callable[[Any], Any]] = {
    "agents": _each(pb.mesos.AgentInfo),
    "unreachable": _numbers,
    "gone": _numbers,
    "schedule": lambda value: content.from_json(pb.maintenance.Schedule, value),
    "down_machines": lambda value: [(str(host), str(ip)) for host, ip in value],
    "weights": _numbers,
    "draining": lambda value: {k: content.from_json(pb.mesos.DrainInfo, v) for k, v in value.items()},
    "deactivated": list,
    "quotas": _each(pb.quota.QuotaConfig),
}
_SINCE_LATER: dict[str, Any] = {"draining": {}, "deactivated": (), "quotas": ()}  # not in older files


def save(registry: Registry, path: Path) -> None:
    """Write a registry so that a reader sees the old one or the new one, nothing between."""
    value = {name: getattr(registry, name) for name in _READ}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(value, default=content.to_json))
    os.replace(temporary, path)  # noqa: PTH105 - pathlib's replace is the same


def load(path: Path) -> Registry:
    """Read a registry; an empty one if there is none.

    Raises:
        RegistryError: The file is not one.
    """
    try:
        value = {**_SINCE_LATER, **json.loads(path.read_text())}
        return Registry(**{name: read(value[name]) for name, read in _READ.items()})
    except FileNotFoundError:
        return Registry()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{path} is not a registry of the embedded cluster: {error}") from error
