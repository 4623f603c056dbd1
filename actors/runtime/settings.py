"""Settings of an actor: a frozen dataclass whose fields carry their own help text.

Reading them from TOML is not done here (that is the product's business): this module only fixes their shape, so that
whoever reads a configuration, prints a reference or starts an executor finds default and help in the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any

__all__ = ["NoSettings", "carrier", "secret", "setting"]


def secret(default: Any = MISSING) -> Any:
    """A field of a message or settings class that is a secret: left out of its `repr`, and of every trace."""
    return setting(default, secret=True)


def carrier(redact: Callable[[Any], Any], default: Any = MISSING) -> Any:
    """A field of a message that carries other messages packed, and with them perhaps secrets.

    Args:
        redact: makes the value that stands in traces: the same without the secrets. The field is left out of the `repr`.
        default: the value unless given.
    """
    return field(default=default, metadata={"redact": redact}, repr=False)


def setting(
    default: Any = MISSING,
    *,
    help: str = "",  # noqa: A002
    unit: str | None = None,
    secret: bool = False,
    default_factory: Callable[[], Any] | None = None,
) -> Any:
    """A field of a settings dataclass: its default (none means required) and what it means to a user.

    Args:
        default: the value when a configuration does not name the key.
        help: one sentence, printed in the reference of all settings.
        unit: "seconds", "bytes", "MB" or "path"; a configuration may then write 30s, 64MB, or a relative path.
        secret: never printed: left out of `repr`, and of every trace.
        default_factory: makes the default instead, for a nested settings class.
    """
    metadata: dict[str, Any] = {"help": help}
    if unit is not None:
        metadata["unit"] = unit
    if secret:
        metadata["secret"] = True
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of an actor that has none."""
