"""What `docs/configuration.md` says of the built-in actors' keys is what their settings are, if nobody sets them."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from actors.connection_actor import ConnectionSettings
from actors.failure_actor import FailureSettings
from actors.framework_settings import ExecutorSettings, FrameworkSettings
from actors.offer_actor import OfferSettings
from actors.reconciler_actor import ReconcilerSettings
from actors.server_actor import ServerSettings
from actors.store_actor import StoreSettings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
TABLES: dict[str, Any] = {
    "framework": FrameworkSettings(),
    "connection": ConnectionSettings(),
    "offers": OfferSettings(),
    "reconciler": ReconcilerSettings(),
    "failures": FailureSettings(),
    "store": StoreSettings(),
    "server": ServerSettings(),
    "executors": ExecutorSettings(name="e", cls="x:Y"),
}
NOT_SETTINGS = {"framework": {"master"}, "executors": {"settings"}}
"""Keys whose value comes from elsewhere: a command fills it in, or it is a table of the author's."""


def documented(table: str) -> dict[str, Any]:
    _, _, text = PAGE.read_text().partition("made by tools/generate_reference.py -->")
    (block, *_) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    found: dict[str, Any] = tomllib.loads(block)[table]
    of_one: dict[str, Any] = found["NAME"] if table == "executors" else found
    return of_one


def plain(value: Any, like: Any) -> Any:
    """A documented value as the settings have it."""
    match like:
        case float() if isinstance(value, str):
            number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", value).groups()  # type: ignore[union-attr]
            return float(number) * UNITS[unit]
        case tuple() if isinstance(value, dict):
            return tuple(value.items())
        case tuple():
            return tuple(value)
        case Path():
            return Path(value)
        case _:
            return value


@pytest.mark.parametrize("table", TABLES)
def test_every_documented_default_is_the_default(table):
    settings, page = TABLES[table], documented(table)
    known = {field.name for field in fields(settings)} & page.keys() - NOT_SETTINGS.get(table, set())
    assert known
    told = {name: plain(page[name], getattr(settings, name)) for name in known}
    assert told == {name: getattr(settings, name) for name in known}
