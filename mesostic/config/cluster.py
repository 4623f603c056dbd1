"""The `[cluster]` table: settings of the embedded cluster and of its agents.

`agents = 3` makes three equal agents, whose settings may be in `[cluster]` itself; `[[cluster.agents]]` makes
one for each table, with the settings in `[cluster]` as defaults for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesostic.config.document import Document
from mesostic.config.fields import settings_fields
from mesostic.config.run_settings import EmbeddedSettings
from mesostic.config.toml import Path
from mesostic.config.values import INVALID, build, build_field
from playa.settings import AgentSettings, ClusterSettings

_MOST_AGENTS = 100_000


def build_cluster(document: Document) -> tuple[ClusterSettings | None, EmbeddedSettings | None]:
    """Settings from `[cluster]`; None for what has problems (they are noted in the document)."""
    path: Path = ("cluster",)
    table = document.table.get("cluster", {})
    if not isinstance(table, dict):
        document.problem(path, "expected a table")
        return None, None
    for_cluster, for_agents, for_us = split_keys(table, document)
    agents = _agents(for_cluster.pop("agents", 1), for_agents, document)
    embedded = build(EmbeddedSettings, for_us, path, document)
    checked = build(ClusterSettings, for_cluster, path, document, given={"agents": agents or ()})
    return (checked if agents is not None else None), embedded


def split_keys(
    table: Mapping[str, Any], document: Document
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Which keys of the table are the cluster's, which all agents', which ours; unknown ones are noted."""
    cluster, agent, ours = (
        settings_fields(cls) for cls in (ClusterSettings, AgentSettings, EmbeddedSettings)
    )
    parts: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = ({}, {}, {})
    for key, value in table.items():
        for part, fields in zip(parts, (cluster, agent, ours), strict=True):
            if key in fields:
                part[key] = value
                break
        else:
            document.unknown_key(("cluster", key), {*cluster, *agent, *ours})
    return parts


def _agents(value: Any, defaults: dict[str, Any], document: Document) -> tuple[AgentSettings, ...] | None:
    path: Path = ("cluster", "agents")
    before = len(document.problems)
    fields = settings_fields(AgentSettings)
    shared: dict[str, Any] = {}
    for key, default in defaults.items():
        shared[key] = build_field(fields[key], default, ("cluster", key), document)
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
