"""`FrameworkInfo` and the body of SUBSCRIBE, from the settings."""

from __future__ import annotations

import getpass
import socket

from actors.settings import FrameworkSettings
from mesos_v1 import calls, pb
from mesos_v1.content import ContentType, parse
from mesos_v1.values import FrameworkId


def framework_info(
    settings: FrameworkSettings, framework_id: FrameworkId | None = None
) -> pb.mesos.FrameworkInfo:
    """Build the description of the framework that the master keeps.

    Raises:
        ValueError: A capability that this version of the API does not know.
    """
    info = pb.mesos.FrameworkInfo(
        name=settings.name,
        user=settings.user or getpass.getuser(),
        roles=settings.roles,
        failover_timeout=settings.failover_timeout or 0.0,
        checkpoint=settings.checkpoint,
        hostname=settings.hostname or socket.gethostname(),
    )
    if framework_id:
        info.id.value = framework_id
    if settings.principal:
        info.principal = settings.principal
    if settings.webui_url:
        info.webui_url = settings.webui_url
    for name in settings.capabilities:
        try:
            kind = pb.mesos.FrameworkInfo.Capability.Type.Value(name)
        except ValueError:
            known = ", ".join(pb.mesos.FrameworkInfo.Capability.Type.keys())
            raise ValueError(f"no such capability of a framework: {name} (known: {known})") from None
        info.capabilities.add(type=kind)
    for key, value in settings.labels:
        info.labels.labels.add(key=key, value=value)
    return info


def subscribe_call(
    settings: FrameworkSettings, framework_id: FrameworkId | None, suppressed_roles: tuple[str, ...] = ()
) -> pb.scheduler.Call:
    """Build SUBSCRIBE; with an id, the framework takes its place again (Mesos: "Scheduler HTTP API", SUBSCRIBE)."""
    constraints = None
    if settings.offer_constraints:
        body = settings.offer_constraints.encode()
        constraints = parse(pb.scheduler.OfferConstraints, body, ContentType.JSON)
    info = framework_info(settings, framework_id)
    call = calls.subscribe(info, suppressed_roles, constraints)
    return calls.with_framework_id(call, framework_id) if framework_id else call
