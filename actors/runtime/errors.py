"""Every error the runtime raises on purpose, in one place.

What a caller can do about each is in its docstring. `ActorDeadError` and `Timeout` are pykka's own, so that code
written for pykka catches what it always caught.
"""

import queue
from dataclasses import FrozenInstanceError
from typing import NoReturn

from actors.runtime import pykka_seam

ActorDeadError = pykka_seam.ActorDeadError
Timeout = pykka_seam.Timeout


class WouldBlockError(RuntimeError):
    """A blocking wait on the event loop that has to produce the answer: it could only deadlock.

    Await the reply instead (`await ref.ask(message, block=False)`), or block in another thread.
    """


class NameTakenError(ValueError):
    """A living actor of the system has this name already."""


class NoSystemError(RuntimeError):
    """An actor, or a name, is used outside of a running actor system."""


class RuntimeStateError(RuntimeError):
    """The runtime's own bookkeeping is wrong: a step that the lifecycle table does not know. Always a bug."""


class UnhandledMessageError(TypeError):
    """The answer to an ask whose message the actor has no handler for."""


class AlreadyAnsweredError(RuntimeError, queue.Full):
    """A reply was set twice, or has a hook that makes its value. pykka's futures raise `queue.Full` then: it is one, too."""


class CodecError(ValueError):
    """Something is wrong between a message and its bytes."""


class EncodeError(CodecError):
    """A value cannot be packed: the error is on this side."""


class DecodeError(CodecError):
    """Bytes are not what they should be: the error is on the other side. Says what, and where."""


class TraceError(ValueError):
    """A file is not a trace, or is broken in its middle. Says where."""


def refuse_change(self: object, name: str, *_: object) -> NoReturn:
    """The `__setattr__` and `__delattr__` of what cannot change."""
    raise FrozenInstanceError(f"cannot change field {name!r} of a {type(self).__qualname__}")
