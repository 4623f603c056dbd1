"""Compare what was recorded of a real Mesos with what was seen: everything but ids, times, addresses and paths.

Ids are matched as they come: the first time a recorded id stands where an actual one does, they are the same from then on, and
later requests and texts are translated (`Ids`).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(-[A-Z]?[0-9]+)?")
BASE64_UUID = re.compile(r"[A-Za-z0-9+/]{22}==")
# Values that are different each time; that they are there, and of what kind, is compared.
VARYING = {
    "timestamp", "uuid", "status_update_uuid", "executor_pid", "nanoseconds", "port", "pid", "ip", "build_date",
    "build_time", "start_time", "elected_time", "registered_time", "reregistered_time", "heartbeat_interval_seconds",
    "resource_statistics", "flags", "RECORD", "Location", "Mesos-Stream-Id", "Date", "Content-Length", "master/uptime_secs", "allocator/mesos/allocation_runs",
}  # fmt: skip
ADDRESS = re.compile(r"127\.0\.0\.1:\d+")
PATHS = re.compile(r"^/(var|tmp|opt|usr|work|root|home|private)\S*")


class Ids:
    """Which actual id stands for which recorded one."""

    def __init__(self) -> None:
        self.actual: dict[str, str] = {}

    def learn(self, recorded: str, actual: str) -> bool:
        """Whether the two may be the same id; remember that they are."""
        return self.actual.setdefault(recorded, actual) == actual

    def translate(self, value: Any) -> Any:
        """A recorded value with actual ids in it."""
        if isinstance(value, dict):
            return {self.translate(k): self.translate(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.translate(item) for item in value]
        if isinstance(value, str):
            if value in self.actual:
                return self.actual[value]
            return UUID.sub(self._known, value)
        return value

    def _known(self, match: re.Match[str]) -> str:
        whole = match[0]
        if whole in self.actual:
            return self.actual[whole]
        master = whole[:36]
        return self.actual.get(master, master) + whole[36:]


def differences(recorded: Any, actual: Any, ids: Ids, path: str = "") -> Iterator[str]:
    """What is different, each as `path: what`."""
    if isinstance(recorded, dict) and isinstance(actual, dict):
        yield from _of_objects(recorded, actual, ids, path)
    elif isinstance(recorded, list) and isinstance(actual, list):
        yield from _of_lists(recorded, actual, ids, path)
    elif _is_number(recorded) and _is_number(actual):
        if abs(recorded - actual) > 1e-9:
            yield f"{path}: {recorded} was recorded, {actual} came"
    elif isinstance(recorded, str) and isinstance(actual, str):
        yield from _of_texts(recorded, actual, ids, path)
    elif recorded != actual:
        yield f"{path}: {_short(recorded)} was recorded, {_short(actual)} came"


def _of_objects(recorded: dict[str, Any], actual: dict[str, Any], ids: Ids, path: str) -> Iterator[str]:
    recorded = {ids.translate(key): value for key, value in recorded.items()}
    for key in recorded.keys() - actual.keys():
        yield f"{path}.{key}: missing; {_short(recorded[key])} was recorded"
    for key in actual.keys() - recorded.keys():
        yield f"{path}.{key}: not recorded; {_short(actual[key])} came"
    for key in recorded.keys() & actual.keys():
        if key in VARYING:
            if not _same_kind(recorded[key], actual[key]):
                yield f"{path}.{key}: {_short(recorded[key])} was recorded, {_short(actual[key])} came"
            if isinstance(recorded[key], str) and isinstance(actual[key], str):
                ids.learn(recorded[key], actual[key])
            elif isinstance(recorded[key], dict) and "value" in recorded[key]:  # a protobuf UUID
                ids.learn(recorded[key]["value"], actual[key]["value"])
        else:
            yield from differences(recorded[key], actual[key], ids, f"{path}.{key}")


def _of_lists(recorded: list[Any], actual: list[Any], ids: Ids, path: str) -> Iterator[str]:
    if len(recorded) != len(actual):
        yield f"{path}: {len(recorded)} were recorded, {len(actual)} came: {_short(recorded)} / {_short(actual)}"
        return
    if "resources" in path.rpartition(".")[2]:
        recorded, actual = sorted(recorded, key=_resource_key), sorted(actual, key=_resource_key)
    for index, (one, other) in enumerate(zip(recorded, actual, strict=True)):
        yield from differences(one, other, ids, f"{path}[{index}]")


def _resource_key(resource: dict[str, Any]) -> str:
    return json.dumps(
        [resource.get(k) for k in ("name", "role", "reservations", "disk", "scalar")], sort_keys=True
    )


def _of_texts(recorded: str, actual: str, ids: Ids, path: str) -> Iterator[str]:
    if recorded == actual:
        return
    if PATHS.match(recorded) and actual.startswith("/"):  # wherever this clone and its Python are
        return
    if (UUID.fullmatch(recorded) and UUID.fullmatch(actual)) or (
        BASE64_UUID.fullmatch(recorded) and BASE64_UUID.fullmatch(actual)
    ):
        if not ids.learn(recorded, actual):
            yield f"{path}: {ids.actual[recorded]!r} stands for {recorded!r}, but {actual!r} came"
        return
    if ADDRESS.sub("", ids.translate(recorded)) != ADDRESS.sub("", actual):
        yield f"{path}: {ids.translate(recorded)!r} was recorded, {actual!r} came"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same_kind(one: object, other: object) -> bool:
    return type(one) is type(other) or (_is_number(one) and _is_number(other))


def _short(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) < 200 else text[:200] + "…"
