"""Settings of the command itself: the trace, and when the embedded cluster's folder is kept.

Settings of actors, executors and the cluster are beside the classes that use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actors.runtime import setting


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """The trace log of the framework (docs/tracing.md)."""

    file: str = setting("", help="Where every message is written; empty: no trace.", unit="path")
    payloads: bool = setting(
        True, help="Whether messages' contents are written too, or only who sent what to whom."
    )
    max_size: int = setting(
        256 * 1024 * 1024,
        help="Size at which the file becomes FILE.1, FILE.1 becomes FILE.2, and so on; 0: never.",
        unit="bytes",
    )
    keep: int = setting(4, help="How many older files are kept.")

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning (ValueError)."""
        if self.max_size < 0 or self.keep < 0:
            raise ValueError("max_size and keep must not be negative")


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """What only `master = "embedded"` has: these keys are in `[cluster]` with those of the cluster."""

    keep_work_dir: Literal["on-failure", "always", "never"] = setting(
        "on-failure",
        help="When the cluster's folder (sandboxes, logs) is kept after the framework has ended.",
    )
    start_timeout: float = setting(30.0, help="How long the cluster may take to start.", unit="seconds")
