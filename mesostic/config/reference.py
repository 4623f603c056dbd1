"""The reference of the configuration: every table and key with its default, as TOML, made from the settings classes.

`tools/generate_reference.py` puts it into docs/configuration.md.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_origin

from actors.composition import BUILT_IN
from actors.framework_settings import ExecutorSettings, FrameworkSettings
from actors.runtime import NoSettings
from mesos_v1.quantities import format_duration
from mesostic.config.fields import FieldInfo, settings_fields
from mesostic.config.run_settings import EmbeddedSettings, TraceSettings
from mesostic.config.values import describe, show_literal
from playa.settings import AgentSettings, ClusterSettings

_WIDTH = 100

_CLASS = '# What to use instead of the built-in actor: a subclass of {name}.\n# class = "module:Class"'


def reference() -> str:
    """The whole reference, without the fence."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _table("framework", FrameworkSettings, given={"master": "embedded"})
    yield ""
    yield "[scheduler]"
    yield "# Your scheduler: a subclass of mesostic.SchedulerActor. The other keys are those of its Settings."
    yield 'class = "module:Class"'
    yield ""
    yield "# Further actors of yours: subclasses of mesostic.Actor, one table each, with the keys of their Settings."
    yield "[actors.NAME]"
    yield 'class = "module:Class"'
    yield ""
    yield "# One table for each executor."
    yield "[executors.NAME]"
    yield "# A subclass of mesostic.Executor."
    yield 'class = "module:Class"'
    yield from _keys(ExecutorSettings, skip=("name", "cls", "settings"))
    yield ""
    yield "# The keys of the Settings of the executor's class."
    yield "[executors.NAME.settings]"
    yield ""
    yield from _table("trace", TraceSettings)
    for name, cls in BUILT_IN.items():
        if name != "scheduler":
            yield ""
            yield f"[{name}]"
            yield from _CLASS.format(name=cls.__name__).splitlines()
            yield from _keys(getattr(cls, "Settings", NoSettings))
    yield ""
    yield '# The embedded cluster; only used when framework.master is "embedded".'
    yield "[cluster]"
    yield "# How many agents; or a list of tables, [[cluster.agents]], with their settings."
    yield "agents = 1"
    yield from _keys(EmbeddedSettings)
    yield from _keys(ClusterSettings, skip=("agents",))
    yield ""
    yield "# Settings of agents: here for all of them, or in [[cluster.agents]] for one (there also ip, port,"
    yield "# hostname and work_dir)."
    yield from _keys(AgentSettings, skip=tuple(settings_fields(ClusterSettings)))


def _table(name: str, cls: type, given: dict[str, Any] | None = None) -> Iterator[str]:
    yield f"[{name}]"
    yield from _keys(cls, given=given)


def _keys(cls: type, skip: tuple[str, ...] = (), given: dict[str, Any] | None = None) -> Iterator[str]:
    for name, info in settings_fields(cls).items():
        if name in skip:
            continue
        text = _help(info)
        for line in textwrap.wrap(text, _WIDTH - 2):
            yield f"# {line}"
        yield _key(name, (given or {}).get(name, info.default), info)


def _help(info: FieldInfo) -> str:
    text = info.help.replace("``", "`")
    if get_origin(info.type) is Literal:
        text += f" {describe(info).capitalize()}."
    return text


def _key(name: str, value: Any, info: FieldInfo) -> str:
    if value is None or info.required:
        return f"# {name} =                # {describe(info)}; not set"
    if info.unit == "seconds":
        return f'{name} = "{format_duration(value)}"'
    if isinstance(value, tuple) and "table" in describe(info):
        return f"{name} = {{{', '.join(f'{key} = {show_literal(item)}' for key, item in value)}}}"
    return f"{name} = {show_literal(value)}"
