"""Lives as tables: (state, event) → the state that follows and the actions on the way, decided for every pair.

A table is written down once, as rows, pairs that are ignored and pairs that cannot happen, the latter two each with a reason.
A pair that is in none of the three, or in two, is refused when the module is imported. `Machine` is what has a state; it is
the only place where one is set. `tools/generate_reference.py` draws the documentation's diagrams from the tables.
"""

import itertools
from collections.abc import Collection, Iterable
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from actors.runtime.errors import RuntimeStateError

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)
A = TypeVar("A")


class Step(NamedTuple, Generic[S, A]):
    """What an event leads to; `ignored` says why it changes nothing, if so."""

    state: S
    actions: tuple[A, ...] = ()
    ignored: str | None = None


class Table(dict[tuple[S, E], Step[S, A]], Generic[S, E, A]):
    """The step of each (state, event), in the life of `what` ("a task").

    Args:
        rows: (states, events, next state or None to stay, actions…); one state or event, or several.
        ignored: (states, events, reason).
        impossible: (states, events, reason): happening anyway, they raise.
        ends: the states that are left only for another one of them.
    """

    def __init__(
        self,
        what: str,
        start: S,
        events: type[E],
        rows: Iterable[tuple[S | Iterable[S], E | Iterable[E], S | None, *tuple[A, ...]]],
        *,
        ignored: Iterable[tuple[S | Iterable[S], E | Iterable[E], str]] = (),
        impossible: Iterable[tuple[S | Iterable[S], E | Iterable[E], str]] = (),
        ends: Collection[S] = (),
    ) -> None:
        self.what, self.start, self.events, self.ends = what, start, events, frozenset(ends)
        self.states = type(start)
        self.impossible: dict[tuple[S, E], str] = {}
        decided: list[tuple[S, E]] = []
        for states, events_, following, *actions in rows:
            for pair in _pairs(states, events_, decided):
                self[pair] = Step(pair[0] if following is None else following, tuple(actions))
        for states, events_, why in ignored:
            for pair in _pairs(states, events_, decided):
                self[pair] = Step(pair[0], (), why)
        for states, events_, why in impossible:
            for pair in _pairs(states, events_, decided):
                self.impossible[pair] = why
        for state, event in itertools.product(self.states, events):
            if (times := decided.count((state, event))) != 1:
                raise RuntimeStateError(
                    f"the table of {what} must say once what {event!r} means in {state!r}, and says it {times} times: "
                    "give it one row, or one reason why it is ignored or impossible"
                )
        for (state, event), step in self.items():
            if state in self.ends and step.state not in self.ends:
                raise RuntimeStateError(f"the table of {what} leaves its end {state!r} on {event!r}")

    def __missing__(self, pair: tuple[S, E]) -> Step[S, A]:
        state, event = pair
        raise RuntimeStateError(
            f"{self.what} that is {state.value} cannot be: {event.value} ({self.impossible[pair]})"
        )


class Machine(Generic[S, E, A]):
    """Something that has a state, by its table."""

    __slots__ = ("_table", "state")

    def __init__(self, table: Table[S, E, A], state: S | None = None) -> None:
        self._table = table
        self.state = table.start if state is None else state

    def on(self, event: E) -> Step[S, A]:
        """Take the step that the event leads to; RuntimeStateError if by the table it cannot happen now."""
        step = self._table[self.state, event]
        self.state = step.state
        return step


def _pairs(
    states: S | Iterable[S], events: E | Iterable[E], decided: list[tuple[S, E]]
) -> Iterable[tuple[S, E]]:
    """Each of the states with each of the events; notes them as decided."""
    one = (states,) if isinstance(states, Enum) else states
    other = (events,) if isinstance(events, Enum) else events
    pairs = list(itertools.product(one, other))
    decided += pairs
    return pairs
