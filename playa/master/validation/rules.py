"""How validators are written, and rules that many share.

A validator is a generator of what is wrong, in Mesos's order; its first text is the answer, None if there is none. A row is
`yield condition and text`, or `yield` of another validator's answer.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import ParamSpec

Rows = Iterator[object]
_NOT_IN_A_PATH = re.compile(r"[\x00-\x1f\x7f/\\]")
P = ParamSpec("P")


def validator(rows: Callable[P, Rows]) -> Callable[P, str | None]:
    """Make a generator of rows a function that returns the first text, or None."""

    @wraps(rows)
    def first(*args: P.args, **kwargs: P.kwargs) -> str | None:
        for row in rows(*args, **kwargs):
            if row:
                return str(row)
        return None

    return first


def within(part: str, wrong: str | None) -> str | None:
    """What is wrong with a part, as what is wrong with the whole."""
    return wrong and f"{part}: {wrong}"


@validator
def role_name(role: str) -> Rows:
    """What is wrong with a role's name (Mesos documentation, "Roles", "Invalid role names")."""
    if role == "*":
        return
    yield role.startswith("/") and f"Role '{role}' cannot start with a slash"
    yield role.endswith("/") and f"Role '{role}' cannot end with a slash"
    yield "//" in role and f"Role '{role}' cannot contain two adjacent slashes"
    yield not role and "Role names cannot be the empty string"
    for component in role.split("/"):
        yield component in {".", "..", "*"} and f"Role '{role}' cannot include '{component}' as a component"
        start = f"Role component '{component}' is invalid because it"
        yield component.startswith("-") and f"{start} starts with a dash"
        yield any(c in "\t\n\v\f\r \x7f" for c in component) and f"{start} contains backspace or whitespace"


@validator
def identifier(value: str) -> Rows:
    """What is wrong with an id that becomes part of a path."""
    yield not value and "ID must not be empty"
    yield len(value) > 255 and "ID must not be greater than 255 characters"
    yield value in {".", ".."} and f"'{value}' is disallowed"
    yield _NOT_IN_A_PATH.search(value) and f"'{value}' contains invalid characters"


def as_set(items: Iterable[str]) -> str:
    """A set as Mesos prints it."""
    return "{ " + ", ".join(items) + " }"
