"""What the command lines of `mesostic cluster` and `python -m playa` have in common with those of Mesos's programs.

Flags of `mesos-master` and `mesos-agent` that change nothing here are taken, with one line that says so. Names, and which of them
have a `--no-` form, are those of Mesos 1.12's `--help`. A flag that would protect something, or that a client could tell, is not
among them, unless with the value that the embedded cluster has anyway.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from playa.settings import SettingsError

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
_ONLY_ON = ("filter_gpu_resources", "publish_per_framework_metrics", "root_submissions", "switch_user")
_ONLY_OFF = ("enforce_container_disk_quota", "http_command_executor", "require_agent_domain")
_ONLY: dict[str, tuple[str, ...]] = {
    "allocator": ("hierarchical", "HierarchicalDRF"),
    "authorizers": ("local",),
    "containerizers": ("mesos",),
    "framework_sorter": ("drf",),
    "http_authenticators": ("basic",),
    "http_framework_authenticators": ("basic",),
    "launcher": ("posix",),
    "recover": ("reconnect",),
    "role_sorter": ("drf",),
    **dict.fromkeys(_ONLY_ON, ("true",)),
    **dict.fromkeys(_ONLY_OFF, ("false",)),
}
_SWITCHES = {*_ANY_SWITCH, *_ONLY_ON, *_ONLY_OFF}
HARMLESS = frozenset({*_ANY, *_ONLY, *_SWITCHES})


class OtherValueError(ValueError):
    """A flag has a value that the embedded cluster cannot have; the text says which it has."""


def take_harmless(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without the flags that change nothing, and the names of those; OtherValueError if one would."""
    rest: list[str] = []
    taken: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        written, equals, value = argument.partition("=")
        name = written.removeprefix("--").replace("-", "_")
        switched_off = name.startswith("no_") and name.removeprefix("no_") in _SWITCHES
        name = name.removeprefix("no_") if switched_off else name
        if not argument.startswith("--") or name not in HARMLESS:
            rest.append(argument)
            continue
        if name in _SWITCHES:
            value = "false" if switched_off else value if equals else "true"
        elif not equals and waiting and not waiting[0].startswith("--"):
            value = waiting.pop(0)
        has = _ONLY.get(name, (value,))
        if value not in has:
            raise OtherValueError(f"--{name}={value}: the embedded cluster has {has[0]} and nothing else")
        taken.append(f"--{name}")
    return rest, taken


def warning(taken: Sequence[str]) -> str:
    """The one line about flags that were taken."""
    return f"no effect on the embedded cluster: {', '.join(dict.fromkeys(taken))}"


def read_credentials(file: str) -> tuple[tuple[str, str], ...]:
    """Principals and secrets from a file as Mesos reads it: JSON, or one "principal secret" pair per line.

    SettingsError if it cannot be read or has neither form; no error ever quotes what the file holds.
    """
    try:
        text = Path(file.removeprefix("file://")).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"the credentials cannot be read from {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the credentials {file} are not text") from None
    if text.lstrip().startswith("{"):
        try:
            found = {str(each["principal"]): str(each["secret"]) for each in json.loads(text)["credentials"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            form = '{"credentials": [{"principal": …, "secret": …}]}'
            raise SettingsError(f"the credentials {file} are not of the form {form}") from None
    else:
        found = {}
        for number, words in enumerate(map(str.split, text.splitlines()), start=1):
            if len(words) not in {0, 2}:
                raise SettingsError(f'{file}:{number}: expected "principal secret", found {len(words)} words')
            if words:
                found[words[0]] = words[1]
    if not found:
        raise SettingsError(f"the file {file} holds no credentials, so no one would have access")
    return tuple(found.items())
