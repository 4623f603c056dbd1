"""The proxy: an actor's methods and attributes as if they were local.

Two differences to pykka's: attributes are looked at when they are used, not all of them when the proxy is made; and setting one
on a thread that runs an event loop is a WouldBlockError, not a dead-lock: `await set_attribute(proxy, name, value)` instead.
"""

from typing import Any, Generic, cast

from actors.runtime.errors import ActorDeadError
from actors.runtime.pykka_seam import A, ActorProxy, CallableProxy, ProxyGetAttr, ProxySetAttr, PykkaRef
from actors.runtime.reply import Reply

_ABSENT = object()


class Proxy(ActorProxy[A], Generic[A]):  # type: ignore[type-var]  # our actors are pykka actors, see the seam
    """A stand-in for an actor; get one from `ref.proxy()`. Names that begin with an underscore stay private."""

    def __init__(self, *, actor_ref: PykkaRef[Any], attr_path: tuple[str, ...] | None = None) -> None:
        if not actor_ref.is_alive() or actor_ref._actor_weakref() is None:
            raise ActorDeadError(f"{actor_ref} not found")
        self.actor_ref = actor_ref
        self._attr_path = attr_path or ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Proxy):
            return False
        return self.actor_ref == other.actor_ref and self._attr_path == other._attr_path

    def __hash__(self) -> int:
        return hash((self.actor_ref, self._attr_path))

    def __repr__(self) -> str:
        ref = self.actor_ref
        return f"<ActorProxy for {ref.actor_class.__name__} ({ref.actor_urn}), attr_path={self._attr_path!r}>"

    def __dir__(self) -> list[str]:
        own = object.__dir__(self)
        return sorted({*own, *(name for name in dir(self._target()) if not name.startswith("_"))})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no attribute {name!r} for other actors: it is private")
        path = (*self._attr_path, name)
        try:
            found = _static_attribute(self._target(), name)
        except ActorDeadError:
            found = getattr(self.actor_ref.actor_class, name, _ABSENT)
            if self._attr_path or not callable(found):
                raise  # a call says it in its reply, as an ask does
        if found is _ABSENT:
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        if callable(found):
            return CallableProxy(actor_ref=self.actor_ref, attr_path=path)
        if any(getattr(found, mark, False) is True for mark in ("_pykka_traversable", "pykka_traversable")):
            return Proxy(actor_ref=self.actor_ref, attr_path=path)
        return self.actor_ref.ask(ProxyGetAttr(attr_path=path), block=False)

    def _target(self) -> Any:
        target: Any = self.actor_ref._actor_weakref()
        if target is None:
            raise ActorDeadError(f"{self.actor_ref} not found")
        for name in self._attr_path:
            target = getattr(target, name)
        return target


def set_attribute(proxy: Proxy[Any], name: str, value: Any) -> Reply[None]:
    """Set an actor's attribute without blocking; await the reply to learn of an error."""
    message = ProxySetAttr(attr_path=(*proxy._attr_path, name), value=value)
    return cast("Reply[None]", proxy.actor_ref.ask(message, block=False))


def _static_attribute(target: Any, name: str) -> Any:
    """The attribute as it is stored, so that looking at a property does not run it in the wrong place."""
    places = (target, *type(target).__mro__)
    found = (vars(place)[name] for place in places if name in getattr(place, "__dict__", ()))
    return next(found, _ABSENT)
