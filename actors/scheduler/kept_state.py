"""The state that an author's scheduler keeps: one immutable value, declared with its first value in the class.

It is one record of the store. The scheduler stores what a hook assigns in one transaction with the fact that the hook was called;
here stands what a state may be, and how it is written and read back.
"""

from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import Any

from actors import messages as m
from actors.runtime import DecodeError, EncodeError, pack, unpack

STATE = "author-state"
"""Kind and key of its only record. No task has such an id: what is dropped with a damaged task is not dropped here."""
KEY = "the author's state"
MAX_STATE_BYTES = 256 * 1024
"""Largest state, packed: it is written again with each outcome that changes it."""


def state_record(value: object, first: object) -> m.Record:
    """Return what stores a state (TypeError: it is not of the declared type, or no message; ValueError: it is too large)."""
    is_value = is_dataclass(value) and not isinstance(value, type)
    if type(value) is not type(first) or not is_value:
        found = "None" if value is None else f"a {type(value).__name__}"
        found = f"the class {value.__name__} itself" if isinstance(value, type) else found
        wanted = "an instance of a @message class" if value is first else f"a {type(first).__name__}"
        raise TypeError(
            f"self.state must be {wanted}, not {found}: it is what the store keeps for this scheduler; give an attribute that "
            "is not to be stored another name"
        )
    try:
        packed = pack(value)
    except EncodeError as error:
        raise TypeError(f"self.state cannot be stored: {error}") from None
    if len(packed) > MAX_STATE_BYTES:
        raise ValueError(
            f"self.state has {len(packed):,} bytes, and {MAX_STATE_BYTES:,} is the most, as it is stored with every outcome that "
            "changes it: put what grows into a file or database of your own"
        )
    return m.Record(STATE, KEY, packed)


def stored_state(records: Iterable[m.Record], first: Any) -> Any:
    """Return the state that is stored, or the first one (DecodeError: it cannot be read, or is of another type)."""
    found = next((record.value for record in records if record.kind == STATE), None)
    if found is None or first is None:
        return first
    try:
        state = unpack(found).message
        if type(state) is not type(first):
            raise DecodeError(
                f"it is a {type(state).__name__}, and the class declares a {type(first).__name__}"
            )
    except DecodeError as error:
        raise DecodeError(
            f"the scheduler's state in the store cannot be read: {error}. Run the version that wrote it, or give this framework "
            "another [store] path"
        ) from None
    return state
