"""A pytest plugin: pykka's own test suite meets our actors instead of pykka's threads. See `tests/runtime/test_pykkas_own_suite.py`."""

from __future__ import annotations

import threading
import time
from typing import Any

import pykka

from actors.runtime import Actor, ActorDeadError, ActorSystem, Reply
from actors.runtime.proxy import Proxy

SYSTEM: Any = ActorSystem.in_thread("pykka").start()


class LoopActor(Actor):
    """Started as pykka's are: by the class, from any thread."""

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> Any:
        """Make one in the suite's system."""
        return SYSTEM.spawn(cls, *args, **kwargs)


class Registry:
    """pykka's registry, answered by the system."""

    get_all = staticmethod(lambda: list(SYSTEM.actors()))
    get_by_urn = SYSTEM.find_by_urn
    get_by_class = SYSTEM.find_by_class
    get_by_class_name = SYSTEM.find_by_class_name
    broadcast = staticmethod(lambda message, target_class=None: SYSTEM.broadcast(message, to=target_class))

    @staticmethod
    def stop_all(block: bool = True, timeout: float | None = None) -> list[Any]:
        """The newest first."""
        return [ref.stop(block=block, timeout=timeout) for ref in reversed(SYSTEM.actors())]


pykka.ActorRegistry = Registry  # type: ignore[misc,assignment]
pykka.ActorProxy = Proxy  # type: ignore[misc,assignment]

RUNTIME = {
    "name": "loop",
    "actor_class": LoopActor,
    "event_class": threading.Event,
    "future_class": Reply,
    "sleep_func": time.sleep,
}
assert ActorDeadError is pykka.ActorDeadError
