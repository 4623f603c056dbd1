"""Checks a piece of a configuration, as pages of documentation show them: known tables, known keys, fitting values.

What a piece may leave out, a whole file may not; class paths are not imported, so settings of authors' classes are
taken as they are.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from actors.composition import BUILT_IN
from actors.framework_settings import ExecutorSettings, FrameworkSettings
from actors.runtime import NoSettings
from mesostic.config.cluster import build_cluster
from mesostic.config.compose import TABLES, TraceSettings, check_master, executor_table
from mesostic.config.document import Document, parse_document
from mesostic.config.settings import build
from mesostic.config.toml import Path


def check_fragment(text: str, name: str = "fragment") -> None:
    """Raise what is wrong with a piece of a configuration.

    Raises:
        ConfigError: with every problem that was found.
    """
    document = parse_document(text, file=name, folder=FilePath.cwd())
    for key, value in document.table.items():
        if key not in TABLES:
            document.unknown_key((key,), TABLES)
        elif not isinstance(value, dict):
            document.problem((key,), "expected a table")
        else:
            _check_table(key, value, document)
    document.problems = [problem for problem in document.problems if ": missing; expected" not in problem[1]]
    document.fail_on_problems()


def _check_table(key: str, table: dict[str, Any], document: Document) -> None:
    if key == "framework":
        framework = build(FrameworkSettings, table, (key,), document)
        if framework is not None and "master" in table:
            check_master(framework.master, (key, "master"), document)
    elif key == "trace":
        build(TraceSettings, table, (key,), document)
    elif key == "cluster":
        build_cluster(document)
    elif key == "executors":
        for name, executor in table.items():
            build(
                ExecutorSettings,
                executor_table(executor, (key, name), document),
                (key, name),
                document,
            )
    elif key == "actors":
        for name, actor in table.items():
            _check_actor(name, actor, (key, name), document)
    else:
        _check_actor(key, table, (key,), document)


def _check_actor(name: str, table: dict[str, Any], path: Path, document: Document) -> None:
    if "class" not in table and name in BUILT_IN and name != "scheduler":
        settings = getattr(BUILT_IN[name], "Settings", NoSettings)
        build(settings, table, path, document)
