"""The registry: what survives the master, as in Mesos's registrar (agents, maintenance, weights; no frameworks).

A value; the master makes a new one for each change and saves it. Kept as protobuf JSON, so that people can read it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mesos_v1 import content, pb


class RegistryError(ValueError):
    """The file is there, but is not a registry; the text says why."""


@dataclass(frozen=True, slots=True)
class Registry:
    """What a new master starts with.

    Attributes:
        agents: `mesos.v1.AgentInfo` with id, each of an admitted agent.
        unreachable: Agent ids, and since when (unix time).
        gone: Agent ids, and since when.
        schedule: `mesos.v1.maintenance.Schedule`.
        down_machines: Host name and IP of machines that are down for maintenance.
        weights: Weight by role.
        draining: Agent ids, and `mesos.v1.DrainInfo` of each.
        deactivated: Agent ids.
        quotas: `mesos.v1.quota.QuotaConfig` each.
    """

    agents: tuple[bytes, ...] = ()
    unreachable: tuple[tuple[str, float], ...] = ()
    gone: tuple[tuple[str, float], ...] = ()
    schedule: bytes = b""
    down_machines: tuple[tuple[str, str], ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    draining: tuple[tuple[str, bytes], ...] = ()
    deactivated: tuple[str, ...] = ()
    quotas: tuple[bytes, ...] = ()

    def agent_infos(self) -> list[pb.mesos.AgentInfo]:
        """The admitted agents, read."""
        return [pb.mesos.AgentInfo.FromString(agent) for agent in self.agents]

    def drain_infos(self) -> dict[str, pb.mesos.DrainInfo]:
        """How agents drain, read."""
        return {agent_id: pb.mesos.DrainInfo.FromString(info) for agent_id, info in self.draining}

    def maintenance_schedule(self) -> pb.maintenance.Schedule:
        """The maintenance schedule, read."""
        return pb.maintenance.Schedule.FromString(self.schedule)


def save(registry: Registry, path: Path) -> None:
    """Write a registry so that a reader sees the old one or the new one, nothing between."""
    value = {
        "agents": [content.to_json(info) for info in registry.agent_infos()],
        "unreachable": dict(registry.unreachable),
        "gone": dict(registry.gone),
        "schedule": content.to_json(registry.maintenance_schedule()),
        "down_machines": [list(machine) for machine in registry.down_machines],
        "weights": dict(registry.weights),
        "draining": {agent_id: content.to_json(info) for agent_id, info in registry.drain_infos().items()},
        "deactivated": list(registry.deactivated),
        "quotas": [content.to_json(pb.quota.QuotaConfig.FromString(quota)) for quota in registry.quotas],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(value))
    os.replace(temporary, path)  # noqa: PTH105 - pathlib's replace is the same


def load(path: Path) -> Registry:
    """Read a registry; an empty one if there is none.

    Raises:
        RegistryError: The file is not one.
    """
    try:
        value = json.loads(path.read_text())
        schedule = content.from_json(pb.maintenance.Schedule, value["schedule"])
        return Registry(
            agents=tuple(
                content.from_json(pb.mesos.AgentInfo, agent).SerializeToString() for agent in value["agents"]
            ),
            unreachable=tuple((str(k), float(v)) for k, v in value["unreachable"].items()),
            gone=tuple((str(k), float(v)) for k, v in value["gone"].items()),
            schedule=schedule.SerializeToString(),
            down_machines=tuple((str(host), str(ip)) for host, ip in value["down_machines"]),
            weights=tuple((str(k), float(v)) for k, v in value["weights"].items()),
            draining=tuple(
                (agent_id, content.from_json(pb.mesos.DrainInfo, info).SerializeToString())
                for agent_id, info in value.get("draining", {}).items()
            ),
            deactivated=tuple(value.get("deactivated", ())),
            quotas=tuple(
                content.from_json(pb.quota.QuotaConfig, quota).SerializeToString()
                for quota in value.get("quotas", ())
            ),
        )
    except FileNotFoundError:
        return Registry()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{path} is not a registry of the embedded cluster: {error}") from error
