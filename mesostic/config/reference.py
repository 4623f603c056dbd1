"""The reference of the configuration: every table and key with its default, as TOML, made from the settings classes.

`tools/generate_reference.py` puts it into docs/configuration.md.
"""

import textwrap
from collections.abc import Collection
from typing import Any, Literal, get_origin

from actors.composition import BUILT_IN
from actors.framework_settings import ExecutorSettings, FrameworkSettings
from actors.runtime import NoSettings
from mesos_v1.quantities import format_duration
from mesostic.config.cluster import EmbeddedSettings
from mesostic.config.compose import TraceSettings
from mesostic.config.settings import FieldInfo, settings_fields, show_literal
from playa.settings import AgentSettings, ClusterSettings

_REFERENCE = """\
[framework]
{framework}
[scheduler]
# Your scheduler: a subclass of mesostic.SchedulerActor. The other keys are those of its Settings.
class = "module:Class"

# Further actors of yours: subclasses of mesostic.Actor, one table each, with the keys of their Settings.
[actors.NAME]
class = "module:Class"

# One table for each executor.
[executors.NAME]
# A subclass of mesostic.Executor.
class = "module:Class"
{executor}
# The keys of the Settings of the executor's class.
[executors.NAME.settings]

[trace]
{trace}{built_in}
# The embedded cluster; only used when framework.master is "embedded".
[cluster]
# How many agents; or a list of tables, [[cluster.agents]], with their settings.
agents = 1
{cluster}
# Settings of agents: here for all of them, or in [[cluster.agents]] for one (there also ip, port,
# hostname and work_dir).
{agents}"""
_BUILT_IN = """
[{name}]
# What to use instead of the built-in actor: a subclass of {cls}.
# class = "module:Class"
{keys}"""


def reference() -> str:
    """The whole reference, without the fence."""
    built_in = [
        _BUILT_IN.format(name=name, cls=cls.__name__, keys=_keys(getattr(cls, "Settings", NoSettings)))
        for name, cls in BUILT_IN.items()
        if name != "scheduler"
    ]
    return _REFERENCE.format(
        framework=_keys(FrameworkSettings, given={"master": "embedded"}),
        executor=_keys(ExecutorSettings, skip=("name", "cls", "settings")),
        trace=_keys(TraceSettings),
        built_in="".join(built_in),
        cluster=_keys(EmbeddedSettings) + _keys(ClusterSettings, skip=("agents",)),
        agents=_keys(AgentSettings, skip=settings_fields(ClusterSettings)),
    )


def _keys(cls: type, skip: Collection[str] = (), given: dict[str, Any] | None = None) -> str:
    """A line per key, its help above it."""
    lines: list[str] = []
    for name, info in settings_fields(cls).items():
        if name not in skip:
            help_ = info.help.replace("``", "`")
            if get_origin(info.type) is Literal:
                help_ += f" {info.expected.capitalize()}."
            lines += (f"# {line}" for line in textwrap.wrap(help_, 98))
            lines.append(_key(name, (given or {}).get(name, info.default), info))
    return "".join(f"{line}\n" for line in lines)


def _key(name: str, value: Any, info: FieldInfo) -> str:
    if value is None or info.required:
        return f"# {name} =                # {info.expected}; not set"
    if info.unit == "seconds":
        return f'{name} = "{format_duration(value)}"'
    if isinstance(value, tuple) and "table" in info.expected:
        return f"{name} = {{{', '.join(f'{key} = {show_literal(item)}' for key, item in value)}}}"
    return f"{name} = {show_literal(value)}"
