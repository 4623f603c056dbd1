"""`@receive`: handlers declared by message type, and the table that the dispatcher looks them up in.

The type is read from the annotation of the handler's first argument: a class, or a union of classes. Looking up goes by
exact class first, then by base class; what was found is remembered, so that it is searched once per class.
"""

import enum
import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Handler = Callable[[Any, Any], Any]

_MARK = "__receives__"


class Control(enum.Enum):
    """The runtime's own messages, which the dispatcher hands to an actor's life. No actor class ever sees them."""

    START = "first in the mailbox of a new instance: run on_start"
    STOP = "stop; what is in the mailbox before it is handled first"

    def __repr__(self) -> str:
        return self.name.title()


START: Final = Control.START
STOP: Final = Control.STOP


def receive(method: F) -> F:
    """Mark a method as the handler of the type that its first argument is annotated with.

    A plain method is the fast path. An `async` one may wait; until it is done its actor handles nothing else. What it
    returns answers an ask.
    """
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise TypeError(
            f"@receive {method.__qualname__}: is a generator (it has a yield), so it would never run: "
            "write a plain method or an async one"
        )
    frame = sys._getframe(1)
    namespace = dict(frame.f_locals)
    outer = frame.f_back
    if outer is not None and outer.f_locals is not outer.f_globals:
        namespace = {**outer.f_locals, **namespace}
    try:
        setattr(method, _MARK, _types_of(method, namespace))
    except NameError:  # declared further down: read again when the first actor of the class is made
        setattr(method, _MARK, namespace)
    return method


def _received(method: Any) -> tuple[type, ...]:
    found = getattr(method, _MARK)
    if isinstance(found, dict):
        try:
            found = _types_of(method, found)
        except NameError as error:
            raise TypeError(f"@receive {method.__qualname__}: {error}") from None
        setattr(method, _MARK, found)
    return found  # type: ignore[no-any-return]


def _types_of(method: Callable[..., Any], namespace: dict[str, Any]) -> tuple[type, ...]:
    where = f"@receive {method.__qualname__}"
    parameters = list(inspect.signature(method).parameters.values())
    if len(parameters) < 2:
        raise TypeError(f"{where}: takes no message; write def {method.__name__}(self, message: SomeMessage)")
    annotation = parameters[1].annotation
    if annotation is inspect.Parameter.empty:
        raise TypeError(f"{where}: the message has no annotation, so it is not known what to call it for")
    if isinstance(annotation, str):
        declared_in = inspect.unwrap(method).__globals__
        annotation = eval(annotation, declared_in, namespace)  # noqa: S307 - as typing.get_type_hints does
    return tuple(_flatten(annotation, where))


def _flatten(annotation: Any, where: str) -> list[type]:
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [cls for part in typing.get_args(annotation) for cls in _flatten(part, where)]
    if isinstance(annotation, type) and annotation is not Any:
        return [annotation]
    if annotation is None:
        return [type(None)]
    raise TypeError(
        f"{where}: {annotation!r} is not a class; annotate the message with its class or a union of classes"
    )


class HandlerTable:
    """What one actor class understands: message class -> function.

    `by_type` is for the dispatcher's hot loop; `miss` finds what it does not hold yet, and puts it there.
    """

    def __init__(self, cls: type, built_in: dict[type, Handler], fallback: Handler | None) -> None:
        """Read the handlers of `cls`, which every actor's `built_in` ones join; `fallback` handles any other type."""
        self.declared = _declared(cls)
        self.by_type: dict[type, Handler] = {**built_in, **self.declared}
        self._fallback = fallback

    def understands(self, kind: type) -> bool:
        """Whether the class declares a handler for `kind` or a base of it."""
        return any(base in self.declared for base in kind.__mro__)

    def miss(self, kind: type) -> Handler | None:
        """The handler for a type that `by_type` does not hold: that of a base class, or the fallback.

        None for the runtime's own control messages.
        """
        if issubclass(kind, Control):
            return None
        found = (self.by_type[base] for base in kind.__mro__[1:] if base in self.by_type)
        handler = next(found, self._fallback)
        if handler is not None:
            self.by_type[kind] = handler
        return handler


def _declared(cls: type) -> dict[type, Handler]:
    found: dict[type, tuple[str, Handler]] = {}
    for base in reversed(cls.__mro__):
        seen: dict[type, str] = {}
        for name, member in vars(base).items():
            for kind in _received(member) if hasattr(member, _MARK) else ():
                if kind in seen:
                    raise TypeError(
                        f"{base.__qualname__} handles {kind.__qualname__} twice: {seen[kind]} and {name}"
                    )
                seen[kind] = name
                found[kind] = name, member
    # A subclass's handler for a type replaces its base's, whatever the two methods are called; and a base's handler
    # stays when a subclass has a handler of that name for another type.
    handlers = {}
    for kind, (name, member) in found.items():
        latest = getattr(cls, name)
        handlers[kind] = latest if kind in getattr(latest, _MARK, (kind,)) else member
    return handlers


def understood_types(cls: type) -> tuple[type, ...]:
    """The message types that an actor class declares handlers for, for tools that print who understands what."""
    return tuple(_declared(cls))
