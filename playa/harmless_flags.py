"""Flags of `mesos-master` and `mesos-agent` that change nothing here: they are taken, with one line that says so.

Names, and which of them have a `--no-` form, are those of Mesos 1.12's `--help`. A flag that would protect something, or that a
client could tell, is not among them, unless with the value that the embedded cluster has anyway.
"""

from collections.abc import Sequence

_ANY = (
    "agent_removal_rate_limit", "allocator_agent_recovery_factor", "allocator_recovery_timeout",
    "authenticatee", "authentication_backoff_factor", "authentication_timeout_max",
    "authentication_timeout_min", "authentication_v0_timeout", "authenticators", "cgroups_destroy_timeout",
    "cgroups_hierarchy", "cgroups_root", "cluster", "container_disk_watch_interval", "disk_watch_interval",
    "docker", "docker_config", "docker_mesos_image", "docker_registry", "docker_remove_delay",
    "docker_socket", "docker_stop_timeout", "docker_store_dir", "docker_volume_checkpoint_dir",
    "executor_reregistration_retry_interval", "external_log_file", "fetcher_cache_dir",
    "fetcher_cache_size", "fetcher_stall_timeout", "frameworks_home", "gc_disk_headroom", "hadoop_home",
    "launcher_dir", "log_dir", "logbufsecs", "logging_level", "offer_constraints_re2_max_mem",
    "offer_constraints_re2_max_program_size", "oversubscribed_resources_interval", "perf_duration",
    "perf_events", "perf_interval", "qos_correction_interval_min", "quorum", "reconfiguration_policy",
    "recovery_agent_removal_limit", "registry", "registry_fetch_timeout", "registry_gc_interval",
    "registry_max_agent_age", "registry_max_agent_count", "registry_store_timeout",
    "systemd_runtime_directory", "webui_dir", "zk_session_timeout",
)  # fmt: skip
_ANY_SWITCH = (
    "authenticate_agents", "authenticate_frameworks", "docker_ignore_runtime", "docker_kill_orphans",
    "docker_volume_chown", "gc_non_executor_container_sandboxes", "hostname_lookup",
    "initialize_driver_logging", "log_auto_initialize", "memory_profiling", "quiet", "registry_strict",
    "revocable_cpu_low_priority", "strict", "systemd_enable_support",
)  # fmt: skip
_ONLY = {
    "allocator": ("hierarchical", "HierarchicalDRF"),
    "authorizers": ("local",),
    "containerizers": ("mesos",),
    "framework_sorter": ("drf",),
    "http_authenticators": ("basic",),
    "http_framework_authenticators": ("basic",),
    "launcher": ("posix",),
    "recover": ("reconnect",),
    "role_sorter": ("drf",),
}
_ONLY_SWITCH = {
    "enforce_container_disk_quota": False,
    "filter_gpu_resources": True,
    "http_command_executor": False,
    "publish_per_framework_metrics": True,
    "require_agent_domain": False,
    "root_submissions": True,
    "switch_user": True,
}
_SWITCHES = {*_ANY_SWITCH, *_ONLY_SWITCH}
NAMES = frozenset({*_ANY, *_ANY_SWITCH, *_ONLY, *_ONLY_SWITCH})


class OtherValueError(ValueError):
    """A flag has a value that the embedded cluster cannot have; the text says which it has."""


def take(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments without the flags that change nothing, and the names of those.

    Raises:
        OtherValueError: One has a value that would change something.
    """
    rest: list[str] = []
    taken: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        written, equals, value = argument.partition("=")
        name = written.removeprefix("--").replace("-", "_")
        switched_off = name.startswith("no_") and name.removeprefix("no_") in _SWITCHES
        name = name.removeprefix("no_") if switched_off else name
        if not argument.startswith("--") or name not in NAMES:
            rest.append(argument)
            continue
        if name in _SWITCHES:
            value = "false" if switched_off else value if equals else "true"
        elif not equals and waiting and not waiting[0].startswith("--"):
            value = waiting.pop(0)
        _check(name, value)
        taken.append(f"--{name}")
    return rest, taken


def _check(name: str, value: str) -> None:
    if name in _ONLY_SWITCH:
        has: tuple[str, ...] = (str(_ONLY_SWITCH[name]).lower(),)
    else:
        has = _ONLY.get(name, (value,))
    if value not in has:
        raise OtherValueError(f"--{name}={value}: the embedded cluster has {has[0]} and nothing else")


def warning(taken: Sequence[str]) -> str:
    """The one line about flags that were taken."""
    return f"no effect on the embedded cluster: {', '.join(dict.fromkeys(taken))}"
