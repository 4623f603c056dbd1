"""The embedded cluster: a Mesos master and its agents in one process, behind real HTTP on a real port.

What belongs here: what a client of Mesos can see (APIs, states, reasons, texts, delays), processes in sandboxes, and
misbehaviour on demand; nothing of the scheduler side, the executor library or the transport: this is the other end of the
wire. Start with `Cluster` (in this process) or `python -m playa` (a process of its own).
"""

from typing import TYPE_CHECKING, Any

from playa.settings import AgentSettings, ClusterSettings, SettingsError

if TYPE_CHECKING:
    from playa.cluster import Cluster

__all__ = ["AgentSettings", "Cluster", "ClusterSettings", "SettingsError"]


def __getattr__(name: str) -> Any:
    """`Cluster` is loaded when it is first used: settings alone need no HTTP server."""
    if name == "Cluster":
        from playa.cluster import Cluster

        return Cluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
