"""What `launch` takes: each argument has its check in one table, so that a mistake is one sentence that names the argument.

A check returns the argument as it is kept: mappings become pairs, lists tuples. It never shows the values of an environment,
which may be secret. Limits are Mesos's (`master/validation.cpp`, `common/validation.cpp`) unless they say why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from actors.records.tasks import check_task_id
from actors.runtime import Secret
from actors.settings import RetryPolicy
from mesos_v1.resource import to_millis
from mesos_v1.resources import Resources

MAX_PORTS = 65_536
MAX_SECONDS = 100 * 365 * 24 * 3600.0
"""A hundred years; Mesos keeps durations as nanoseconds in 64 bits."""
LEAST_LAUNCH_TIMEOUT = 1.0
"""After each such time of silence the master is asked about the launch, so it must not be next to nothing."""

Check = Callable[[str, Any], Any]


def checked(arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as they are kept; what was left out need not be checked.

    Raises:
        ValueError: One of them cannot be; says which, and why.
    """
    return {
        name: value if value is defaults[name] else CHECKS[name](name, value)
        for name, value in arguments.items()
    }


def text(name: str, value: Any) -> str:
    """Check a text that goes into protobuf."""
    if not isinstance(value, str):
        raise _wrong_kind(name, "a text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character (a surrogate), which cannot be sent") from None
    return value


def check_texts(call: Any) -> None:
    """Check the ids, and whatever else is text, of a message that becomes a call.

    Raises:
        ValueError: One cannot be sent; says which.
    """
    for field in fields(call):
        rest = [getattr(call, field.name)]
        while rest:
            value = rest.pop()
            if isinstance(value, tuple):
                rest.extend(value)
            elif isinstance(value, str):
                text(field.name, value)


def task_id(name: str, value: Any) -> str:
    """Check an id of the author's own."""
    check_task_id(text(name, value))
    return str(value)


def amount(name: str, value: Any) -> float:
    """Check how much of a resource is asked for."""
    number = _number(name, value)
    if number < 0:
        raise ValueError(f"{name} must not be negative: {value}")
    try:
        millis = to_millis(number)
    except ValueError:
        raise ValueError(f"{name} is more than a resource can have: {value}") from None
    if number and not millis:
        raise ValueError(
            f"{name} must be at least 0.0005, or 0: Mesos counts in thousandths, and {value} rounds to 0"
        )
    return number


def whole_amount(name: str, value: Any) -> float:
    """Check how much of a resource that cannot be divided is asked for."""
    number = amount(name, value)
    if number != int(number):
        raise ValueError(f"{name} must be a whole number: {value}")
    return number


def ports(name: str, value: Any) -> int:
    """Check how many ports are asked for."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_kind(name, "how many ports are wanted, a whole number", value)
    if not 0 <= value <= MAX_PORTS:
        raise ValueError(f"{name} must be between 0 and {MAX_PORTS}: {value}")
    return value


def resources(name: str, value: Any) -> Resources:
    """Check resources that are asked for as a whole."""
    if not isinstance(value, Resources):
        raise _wrong_kind(name, "a `Resources` (`Resources.parse` reads a text)", value)
    whole_amount("gpus", value.gpus)
    return value


def retry_policy(name: str, value: Any) -> RetryPolicy:
    """Check a policy, which has checked itself."""
    if not isinstance(value, RetryPolicy):
        raise _wrong_kind(name, "a `RetryPolicy`", value)
    return value


def seconds(least: float, *, above: bool = False) -> Check:
    """Return the check of a duration that must be at least, or above, so long."""

    def check(name: str, value: Any) -> float:
        number = _number(name, value)
        if number < least or (above and number == least) or number > MAX_SECONDS:
            bound = f"more than {least:g} seconds" if above else f"at least {least:g} seconds"
            raise ValueError(f"{name} must be {bound} and at most {MAX_SECONDS:g}: {value}")
        return number

    return check


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Check several texts."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _wrong_kind(name, "a list of texts", value)
    return tuple(text(f"{name}[{at}]", each) for at, each in enumerate(value))


def pairs(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Check names with their values: a mapping, or pairs."""
    items = value.items() if isinstance(value, Mapping) else value
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise _wrong_kind(name, "a mapping of texts, or a list of pairs of them", value)
    found = []
    for at, item in enumerate(items):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise _wrong_kind(f"{name}[{at}]", "a pair of a name and its value", item)
        key = text(f"the name of {name}[{at}]", item[0])
        if not key:
            raise ValueError(f"the name of {name}[{at}] is empty")
        found.append((key, text(f"{name}[{key!r}]", item[1])))
    return tuple(found)


def environment(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Check variables, as an operating system takes them; values may be `Secret`s."""
    items = value.items() if isinstance(value, Mapping) else value
    if isinstance(items, Iterable) and not isinstance(items, str | bytes):
        items = [_revealed(item) for item in items]
    found = pairs(name, items)
    for key, held in found:
        if "=" in key or "\0" in key or "\0" in held:
            raise ValueError(
                f"{name}[{key!r}] cannot be set: a name must not contain '=' or a zero byte, nor a value a zero byte"
            )
    return found


CHECKS: Mapping[str, Check] = {
    "command": text,
    "task_id": task_id,
    "name": text,
    "role": text,
    "executor": text,
    "cpus": amount,
    "mem": amount,
    "disk": amount,
    "gpus": whole_amount,
    "ports": ports,
    "resources": resources,
    "retry": retry_policy,
    "labels": pairs,
    "timeout": seconds(0.0, above=True),
    "hosts": texts,
    "attributes": pairs,
    "environment": environment,
    "uris": texts,
    "kill_grace": seconds(0.0),
    "launch_timeout": seconds(LEAST_LAUNCH_TIMEOUT),
    "unreachable_timeout": seconds(0.0),
    "grace": seconds(0.0),  # of `kill`
}


def _revealed(item: Any) -> Any:
    if isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[1], Secret):
        return item[0], item[1].reveal()
    return item


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_kind(name, "a number", value)
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, not {value}")
    return number


def _wrong_kind(name: str, wanted: str, value: Any) -> ValueError:
    found = "None" if value is None else f"of type {type(value).__name__}"
    return ValueError(f"{name} must be {wanted}, not {found}")
