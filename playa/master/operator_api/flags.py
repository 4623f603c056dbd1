"""The master's flags as Mesos prints them: those that the embedded cluster has, with their values, and no others.

Durations as Mesos prints them (`15secs`, `10mins`). Credentials are not among them.
"""

from playa.master.registration.liveness import duration
from playa.settings import ClusterSettings


def flags(settings: ClusterSettings, port: int) -> dict[str, str]:
    """Every flag with its value as text, sorted by name."""
    values = {
        "agent_ping_timeout": duration(settings.agent_ping_timeout),
        "agent_reregister_timeout": duration(settings.agent_reregister_timeout),
        "allocation_interval": duration(settings.allocation_interval),
        "allocator": "hierarchical",
        "authenticate_agents": "false",
        "authenticate_frameworks": "false",
        "authenticate_http_frameworks": _boolean(settings.asks(settings.authenticate_http_frameworks)),
        "authenticate_http_readonly": _boolean(settings.asks(settings.authenticate_http_readonly)),
        "authenticate_http_readwrite": _boolean(settings.asks(settings.authenticate_http_readwrite)),
        "filter_gpu_resources": "true",
        "framework_sorter": "drf",
        "hostname": settings.hostname or settings.ip,
        "http_authenticators": "basic",
        "ip": settings.ip,
        "max_agent_ping_timeouts": str(settings.max_agent_ping_timeouts),
        "max_completed_frameworks": str(settings.max_completed_frameworks),
        "max_completed_tasks_per_framework": str(settings.max_completed_tasks_per_framework),
        "max_operator_event_stream_subscribers": str(settings.max_operator_event_stream_subscribers),
        "max_unreachable_tasks_per_framework": str(settings.max_unreachable_tasks_per_framework),
        "min_allocatable_resources": settings.min_allocatable_resources,
        "port": str(port),
        "role_sorter": "drf",
        "work_dir": settings.work_dir,
    }
    if settings.offer_timeout is not None:
        values["offer_timeout"] = duration(settings.offer_timeout)
    if settings.roles:
        values["roles"] = ",".join(settings.roles)
    if settings.weights:
        values["weights"] = ",".join(f"{role}={weight:g}" for role, weight in settings.weights)
    return dict(sorted(values.items()))


def _boolean(value: bool) -> str:
    return "true" if value else "false"
