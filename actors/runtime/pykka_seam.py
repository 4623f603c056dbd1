"""The one module that touches pykka's internals.

pykka's public names are re-exported here, and its underscored seam for new runtimes (seen in pykka 4.5) is implemented once, so
that a new release has to be read against this file alone. pyproject.toml pins the range.
"""

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pykka import Actor as PykkaActor
from pykka import ActorDeadError, ActorProxy, CallableProxy, Future, ThreadingActor, Timeout, traversable
from pykka import ActorRef as PykkaRef
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

__all__ = [
    "A",
    "ActorDeadError",
    "ActorProxy",
    "CallableProxy",
    "Future",
    "ProxyCall",
    "ProxyGetAttr",
    "ProxySetAttr",
    "PykkaActor",
    "PykkaRef",
    "PykkaStop",
    "SeamActor",
    "ThreadingActor",
    "Timeout",
    "traversable",
]

PykkaStop = _ActorStop
"""pykka's stop message. Falsy and equal to `()`: compare it by type only."""

if TYPE_CHECKING:

    class SeamActor:
        """What type checkers see below our `Actor`: no hook of pykka's, so that ours may be `async`."""

        _handlers: ClassVar[Any]

else:

    class SeamActor(PykkaActor):
        """pykka's abstract actor with the thread-shaped parts closed off.

        pykka's loop, inbox and registry are never used: the dispatcher drives actors, `ActorRef` holds the mailbox, and
        each system has its own registry.
        """

        _create_actor_inbox = _create_future = _start_actor_loop = None


A = TypeVar("A", bound=SeamActor)
