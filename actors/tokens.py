"""The upload token: made once, kept beside a durable store, and put into executors' letters at the last moment.

A trace shows every message, so the token is in none: it reaches server and connection with the composition that they are
constructed with, and the connection writes it into the `ExecutorInfo`s of an ACCEPT when that is already on its way out.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from actors.runtime import DecodeError, pack, unpack
from actors.runtime.boot import ExecutorBoot
from mesos_v1 import pb


def token_for(store_path: str, draw: str) -> str:
    """Return the token: that of an earlier run with the same store, so that its executors go on, or the one drawn.

    Args:
        store_path: of a durable store, or "".
        draw: a new token, unguessable.

    Raises:
        OSError: The file beside the store can be neither read nor written.
    """
    if not store_path:
        return draw
    path = Path(f"{store_path}.token")
    if path.exists():
        return path.read_text(encoding="ascii").strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(draw)
    return draw


class TokenWriter:
    """Writes the token into the start-up letters of an ACCEPT's executors."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._filled: dict[bytes, bytes] = {}

    def fill(self, call: pb.scheduler.Call) -> None:
        """Fill the letters in; an executor without a letter of ours is left as it is."""
        for operation in call.accept.operations:
            for info in operation.launch.task_infos:
                if info.HasField("executor") and info.executor.data:
                    info.executor.data = self._letter(info.executor.data)

    def _letter(self, data: bytes) -> bytes:
        known = self._filled.get(data)
        if known is None:
            try:
                boot = unpack(data).message
            except DecodeError:
                boot = None
            known = pack(replace(boot, token=self._token)) if isinstance(boot, ExecutorBoot) else data
            self._filled[data] = known
        return known
