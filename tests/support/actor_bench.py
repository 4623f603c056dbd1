"""A bench for one actor in virtual time: everybody else that it talks to is a probe that writes down what it is told."""

from collections.abc import Coroutine
from typing import Any

from actors.runtime import Actor, ActorSystem
from actors.runtime.testing import ManualIds, run_virtual


class Probe(Actor):
    """Writes down what it is told; an `answer` may be given for some types."""

    def __init__(self, heard: list[Any], answers: dict[type, Any]) -> None:
        super().__init__()
        self.heard = heard
        self.answers = answers

    def on_receive(self, message: Any) -> Any:
        self.heard.append(message)
        answer = self.answers.get(type(message))
        if answer is None:
            return None
        reply = answer(message)
        if reply is not None and self.sender is not None:
            self.tell(self.sender, reply)
        return None


class Say:
    """Told to a probe: tell that to that actor, in the probe's name."""

    def __init__(self, to: str, message: Any) -> None:
        self.to, self.message = to, message


class Speaker(Probe):
    """A probe that can be made to speak."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Say):
            self.tell(message.to, message.message)
            return None
        return super().on_receive(message)


class ActorBench:
    """A system with probes by name."""

    def __init__(self, system: ActorSystem, *names: str) -> None:
        self.system = system
        self.heard: dict[str, list[Any]] = {}
        self.answers: dict[str, dict[type, Any]] = {}
        for name in names:
            self.heard[name] = []
            self.answers[name] = {}
            system.spawn(Speaker, self.heard[name], self.answers[name], name=name)

    async def settle(self, seconds: float = 0.0) -> None:
        """Let everything happen that can within that virtual time (and a moment, for none)."""
        import asyncio

        await asyncio.sleep(seconds + 1e-6)
        for _ in range(5):
            await asyncio.sleep(0)

    def say(self, speaker: str, to: str, message: Any) -> None:
        self.system.get(speaker).tell(Say(to, message))

    def of(self, name: str, kind: type) -> list[Any]:
        return [message for message in self.heard[name] if isinstance(message, kind)]

    def take(self, name: str, kind: type | None = None) -> list[Any]:
        """What a probe has heard since it was last taken."""
        taken = [message for message in self.heard[name] if kind is None or isinstance(message, kind)]
        self.heard[name].clear()
        return taken


def virtually(work: Coroutine[Any, Any, Any]) -> Any:
    return run_virtual(work)


def system() -> ActorSystem:
    return ActorSystem(ids=ManualIds(1))
