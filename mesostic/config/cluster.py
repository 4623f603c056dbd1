"""The `[cluster]` table: settings of the embedded cluster and of its agents.

`agents = 3` makes three equal agents, whose settings may be in `[cluster]` itself; `[[cluster.agents]]` makes
one for each table, with the settings in `[cluster]` as defaults for all of them.
"""

from dataclasses import dataclass
from typing import Any, Literal

from actors.runtime import setting
from mesostic.config.document import Document
from mesostic.config.settings import INVALID, build, settings_fields
from mesostic.config.toml import Path
from playa.settings import AgentSettings, ClusterSettings

_MOST_AGENTS = 100_000


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """What only `master = "embedded"` has: these keys are in `[cluster]` with those of the cluster."""

    keep_work_dir: Literal["on-failure", "always", "never"] = setting(
        "on-failure",
        help="When the cluster's folder (sandboxes, logs) is kept after the framework has ended.",
    )
    start_timeout: float = setting(30.0, help="How long the cluster may take to start.", unit="seconds")


def build_cluster(document: Document) -> tuple[ClusterSettings | None, EmbeddedSettings | None]:
    """Settings from the table `[cluster]`; None for what has problems (they are noted in the document)."""
    path: Path = ("cluster",)
    classes = (ClusterSettings, AgentSettings, EmbeddedSettings)
    parts: tuple[dict[str, Any], ...] = ({}, {}, {})
    for key, value in document.table.get("cluster", {}).items():
        for part, cls in zip(parts, classes, strict=True):
            if key in settings_fields(cls):
                part[key] = value
                break
        else:
            known = {name for cls in classes for name in settings_fields(cls)}
            document.unknown_key((*path, key), known)
    for_cluster, for_agents, for_us = parts
    agents = _agents(for_cluster.pop("agents", 1), for_agents, document)
    embedded = build(EmbeddedSettings, for_us, path, document)
    checked = build(ClusterSettings, for_cluster, path, document, given={"agents": agents or ()})
    return (checked if agents is not None else None), embedded


def _agents(value: Any, defaults: dict[str, Any], document: Document) -> tuple[AgentSettings, ...] | None:
    path: Path = ("cluster", "agents")
    before = len(document.problems)
    fields = settings_fields(AgentSettings)
    shared = {key: fields[key].read(given, ("cluster", key), document) for key, given in defaults.items()}
    if INVALID in shared.values():
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= _MOST_AGENTS:
            document.problem(path, f"expected a number of agents from 0 to {_MOST_AGENTS}, found {value}")
            return None
        agent = build(AgentSettings, {}, ("cluster",), document, given=shared) if value else None
        return None if len(document.problems) > before else (agent,) * value if agent else ()
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        agents = [
            build(AgentSettings, item, (*path, index), document, given=shared)
            for index, item in enumerate(value)
        ]
        return None if None in agents else tuple(agent for agent in agents if agent is not None)
    document.problem(path, "expected a number of agents, or a list of tables ([[cluster.agents]])")
    return None
