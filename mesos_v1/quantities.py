"""Durations and sizes as people and Mesos write them: "30s", "1.5min", "10secs", "64MB".

Mesos's own spellings ("secs", "mins", "hrs", "days", "weeks"; "B", "KB", "MB", "GB", "TB", powers of 1024; see
"Duration" and "Bytes" in its configuration page) are understood beside the common short ones.
"""

import re
from itertools import pairwise

_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)\s*")

_OF_MESOS = {
    "weeks": 604800.0, "days": 86400.0, "hrs": 3600.0, "mins": 60.0, "secs": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9,
}  # fmt: skip

_SECONDS = _OF_MESOS | {
    "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "d": 86400.0, "day": 86400.0,
    "w": 604800.0, "week": 604800.0,
}  # fmt: skip

_BYTES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}

DURATION_EXPECTED = 'a duration such as "30s", "5min" or "1h", or a number of seconds'
SIZE_EXPECTED = 'a size such as "64MB" or "2GB", or a number of bytes'
MEGABYTES_EXPECTED = 'a number of MB, or a size such as "512MB" or "2GB"'


def parse_duration(text: str) -> float:
    """Seconds in a duration; a bare number is seconds. Raises ValueError for what has no known unit."""
    number, unit = _split(text)
    if unit not in _SECONDS and unit:
        raise ValueError(f"{unit!r} is not a unit of time")
    return number * _SECONDS.get(unit, 1.0)


def parse_mesos_duration(text: str) -> float:
    """Seconds in a duration as Mesos writes it, and nothing else: a number and one of its own units, with no space between."""
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None or match[2] not in _OF_MESOS or " " in match[0]:
        raise ValueError(f"{text!r} is not a duration (a number and one of {', '.join(_OF_MESOS)})")
    return float(match[1]) * _OF_MESOS[match[2]]


def mesos_duration(seconds: float) -> str:
    """A duration as Mesos spells it: in the largest unit of which it has one, or in the next if only that fits (`90secs`)."""
    nanos = round(seconds * 1e9)
    units = [(name, round(unit * 1e9)) for name, unit in _OF_MESOS.items()]
    for (name, unit), (lower, smaller) in pairwise([*units, units[-1]]):
        if abs(nanos) >= unit:
            fits_lower = nanos % unit and not nanos % smaller
            return f"{nanos // smaller}{lower}" if fits_lower else f"{nanos / unit:.15g}{name}"
    return "0ns"


def parse_size(text: str, *, default_unit: str = "B") -> int:
    """Bytes in a size; a bare number counts in `default_unit`. Raises ValueError for what has no known unit."""
    number, unit = _split(text)
    unit = (unit or default_unit).lower()
    if unit not in _BYTES:
        raise ValueError(f"{unit!r} is not a unit of size")
    return round(number * _BYTES[unit])


def parse_megabytes(text: str) -> float:
    """MB (as Mesos counts `mem` and `disk`) in a size; a bare number is MB already."""
    return parse_size(text, default_unit="MB") / _BYTES["mb"]


def format_duration(seconds: float) -> str:
    """The shortest exact spelling: 0.25 → "250ms", 3600 → "1h", 90 → "90s"."""
    for unit in ("w", "d", "h", "min", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.15g}{unit}"
    return f"{seconds * 1000:.15g}ms" if 0 < seconds < 1 else f"{seconds:.15g}s"


def _split(text: str) -> tuple[float, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit")
    return float(match[1]), match[2] if match[2] in _SECONDS else match[2].lower()
