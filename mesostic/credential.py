"""The credential of the embedded cluster: made for each run, known only to the cluster and its framework.

A port of loopback is open to every user of the machine and, through their browsers, to web pages. So master and agents ask for
a credential, in the way that a real Mesos with `--credentials` does. The secret stands on no command line, in no log and in no
trace; it ends with the cluster.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.framework_settings import FrameworkSettings
    from playa.settings import ClusterSettings

PRINCIPAL = "mesostic"
"""Always the same: on Mesos a framework keeps its principal through failovers."""


_OF_MASTER = ("frameworks", "readonly", "readwrite")
_OF_AGENTS = ("executors", "readonly", "readwrite")


def draw() -> tuple[str, str]:
    """A fresh principal and secret."""
    return PRINCIPAL, secrets.token_urlsafe(32)


def closed(cluster: ClusterSettings, framework: FrameworkSettings) -> ClusterSettings:
    """The cluster's settings with a credential for the framework, beside theirs, asked for everywhere."""
    known = dict(cluster.credentials)
    principal, secret = draw()
    known.setdefault(framework.principal or principal, framework.secret or secret)
    asked: dict[str, Any] = dict.fromkeys((f"authenticate_http_{of}" for of in _OF_MASTER), True)
    as_master: dict[str, Any] = dict.fromkeys(f"authenticate_http_{of}" for of in _OF_AGENTS)
    agents = tuple(replace(agent, http_credentials=(), **as_master) for agent in cluster.agents)
    return replace(cluster, agents=agents, credentials=tuple(known.items()), **asked)


def logged_in(framework: FrameworkSettings, cluster: ClusterSettings) -> FrameworkSettings:
    """The framework's settings with a credential that the cluster knows: its own principal's, if that is known."""
    known = dict(cluster.credentials)
    if not known or (framework.principal and framework.secret):
        return framework
    principal = framework.principal if framework.principal in known else next(iter(known))
    return replace(framework, principal=principal, secret=known[principal])
