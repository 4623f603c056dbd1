"""TOML as it is read here: `tomllib`, and no integer beyond the 64 bits that TOML promises.

Python can neither read nor print a number of thousands of digits, and nothing that is configured needs one.
"""

from __future__ import annotations

import tomllib
from typing import Any

_TOO_LARGE = "an integer must fit into 64 bits (19 digits)"


def loads(text: str) -> dict[str, Any]:
    """Read a TOML text.

    Raises:
        TOMLDecodeError: it is none (a ValueError).
        RecursionError: it is nested too deeply.
        ValueError: an integer in it is too large; says which key.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # of int(): too many digits even to be read
        raise ValueError(_TOO_LARGE) from None
    _check("", table)
    return table


def _check(where: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check(f"{where}.{key}" if where else key, item)
    elif isinstance(value, list):
        for item in value:
            _check(where, item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{where}: {_TOO_LARGE}")
