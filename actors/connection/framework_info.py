"""`FrameworkInfo` and the body of SUBSCRIBE, from the settings."""

from __future__ import annotations

import getpass
import socket

from actors.framework_settings import FrameworkSettings
from actors.messages import UpdateFramework
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
    capability = pb.mesos.FrameworkInfo.Capability
    known = capability.Type.keys()
    unknown = [name for name in settings.capabilities if name not in known]
    if unknown:
        raise ValueError(f"no such capability of a framework: {unknown[0]} (known: {', '.join(known)})")
    info = pb.mesos.FrameworkInfo(
        id=pb.mesos.FrameworkID(value=framework_id) if framework_id else None,
        name=settings.name,
        user=settings.user or getpass.getuser(),
        roles=settings.roles,
        failover_timeout=settings.failover_timeout or 0.0,
        checkpoint=settings.checkpoint,
        hostname=settings.hostname or socket.gethostname(),
        principal=settings.principal or None,
        webui_url=settings.webui_url or None,
        capabilities=[capability(type=capability.Type.Value(name)) for name in settings.capabilities],
    )
    for key, value in settings.labels:
        info.labels.labels.add(key=key, value=value)
    return info


def offer_constraints(settings: FrameworkSettings) -> pb.scheduler.OfferConstraints | None:
    """Return the offer constraints of the settings, or None.

    Raises:
        ContentError: They are not Mesos's JSON of `OfferConstraints`.
    """
    if not settings.offer_constraints:
        return None
    return parse(pb.scheduler.OfferConstraints, settings.offer_constraints.encode(), ContentType.JSON)


def subscribe_call(
    settings: FrameworkSettings,
    framework_id: FrameworkId | None,
    suppressed_roles: tuple[str, ...] = (),
    updated: UpdateFramework | None = None,
) -> pb.scheduler.Call:
    """Build SUBSCRIBE; with an id, the framework takes its place again (Mesos: "Scheduler HTTP API", SUBSCRIBE).

    Args:
        updated: the last UPDATE_FRAMEWORK that the master took: SUBSCRIBE says the same, or it would undo it.
    """
    if updated is None:
        info, constraints = framework_info(settings, framework_id), offer_constraints(settings)
    else:
        info = pb.mesos.FrameworkInfo.FromString(updated.framework_info)
        constraints = pb.scheduler.OfferConstraints.FromString(updated.offer_constraints or b"")
    call = calls.subscribe(info, [role for role in suppressed_roles if role in info.roles], constraints)
    return calls.with_framework_id(call, framework_id) if framework_id else call
