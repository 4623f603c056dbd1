"""What it costs to make, pack and unpack messages.

Run: python benchmarks/codec.py [--json] [seconds]

`make` is the constructor; `pack` and `unpack` are with the envelope, as between scheduler and executors; `store` and `load` are
without, as in records. The best of several runs counts. Nanoseconds.

On a machine of two busy cores, before messages were msgspec Structs, and now (where the parts of `Nested` and `Needs` are known from
the first time on, as they are where tasks of one kind share them):

| | make | pack | unpack | store | load |
|---|---|---|---|---|---|
| Fields | 330, 60 | 2,050, 340 | 3,450, 680 | 3,450, 400 | 4,600, 340 |
| Rows | 1,870, 280 | 6,100, 800 | 7,400, 1,260 | 7,450, 830 | 8,550, 860 |
| Nested | 210, 90 | 4,950, 930 | 10,850, 1,700 | 6,400, 970 | 12,250, 1,260 |
| Needs | 200, 50 | 5,450, 450 | 13,050, 1,200 | 6,900, 490 | 14,250, 760 |
"""

from __future__ import annotations

import json
import sys
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

from actors.framework_settings import RetryPolicy
from actors.runtime import message, pack, pack_value, unpack, unpack_value
from mesos_v1.resources import Resources


@message
class Fields:
    """A small message."""

    task_id: str
    number: int
    share: float
    final: bool
    note: str | None = None


@message
class Rows:
    """A message with what is frozen when it is made."""

    name: str
    rows: tuple[tuple[str, int], ...] = ()
    data: bytes = b""


@message
class Nested:
    """A message with a frozen dataclass and other messages in it."""

    retry: RetryPolicy
    fields: tuple[Fields, ...]


@message
class Needs:
    """A message with a dataclass that computes when it is made."""

    name: str
    resources: Resources


FIELDS = Fields("task-1.1", 3, 1.5, True, "fine")
SAMPLES = (
    FIELDS,
    Rows("rows", tuple((f"host-{n}", n) for n in range(5)), b"\x00" * 50),
    Nested(RetryPolicy(), (FIELDS,) * 3),
    Needs("needs", Resources.of(cpus=1, mem=64)),
)


def measure(seconds: float) -> dict[str, dict[str, int]]:
    """Nanoseconds by sample and action."""
    found = {}
    for sample in SAMPLES:
        cls: Any = type(sample)
        values = [getattr(sample, name) for name in cls.__match_args__]
        packed, stored = pack(sample, id="a:12", cause="a:11"), pack_value(sample)
        actions: dict[str, Callable[[], Any]] = {
            "make": partial(cls, *values),
            "pack": partial(pack, sample, id="a:12", cause="a:11"),
            "unpack": partial(unpack, packed),
            "store": partial(pack_value, sample),
            "load": partial(unpack_value, cls, stored),
        }
        found[cls.__name__] = {name: best(action, seconds) for name, action in actions.items()}
    return found


def best(action: Callable[[], Any], seconds: float) -> int:
    """Nanoseconds of one run, in the best of many rounds."""
    rounds, count = 20, 200
    while timeit.timeit(action, number=count) < seconds / rounds / 2:
        count *= 2
    return round(min(timeit.repeat(action, number=count, repeat=rounds)) / count * 1e9)


def main() -> None:
    """Measure, and print."""
    numbers = [float(argument) for argument in sys.argv[1:] if argument != "--json"]
    found = measure(*numbers or [0.2])
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    for name, times in found.items():
        print(f"{name:8}", *(f"{action} {taken:6}" for action, taken in times.items()))


if __name__ == "__main__":
    main()
