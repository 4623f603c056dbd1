"""`Secret`: a text that is never shown by accident. Traces, logs, reprs and errors have `***` in its place.

A field that is one, or is marked with `secret()` or `carrier()`, is left out of traces and reprs; and what else is written (an
exception that quotes a password, say) is searched for the secrets that this process knows. The codec packs a `Secret` as what it
is: the other side needs it.
"""

import hmac
import logging
from dataclasses import fields
from typing import NoReturn

from actors.runtime.errors import refuse_change
from actors.runtime.terminal import harmless

HIDDEN = "***"
"""What is shown in the place of a secret."""

SHORTEST = 4
"""Shorter texts are not searched for: they occur by chance, and a trace full of stars tells nothing."""

MOST = 256
"""So many secrets are searched for in all that is written. Those of the configuration come first."""

_known: dict[str, bytes] = {}


class Secret:
    """A password, a token, a key: `reveal()` gives it, nothing else does.

    Equal to a Secret with the same text. It can stand in messages and settings, and crosses to executors like any value.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: "str | Secret") -> None:
        """Keep `value`, and see that it is overwritten wherever this process writes traces and logs."""
        text = value._value if isinstance(value, Secret) else value
        if not isinstance(text, str):
            raise TypeError(f"a Secret holds text, not a {type(text).__qualname__}")
        object.__setattr__(self, "_value", str.__str__(text))
        conceal(text)

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._value.encode(errors="surrogatepass"), other._value.encode(errors="surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    __setattr__ = __delattr__ = refuse_change

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is packed by the message codec, not pickled")


def conceal(text: str) -> None:
    """Overwrite `text` from now on wherever this process writes traces and logs."""
    if len(text) >= SHORTEST and text not in _known and len(_known) < MOST:
        _known[text] = text.encode(errors="surrogatepass")


def conceal_marked(values: object) -> None:
    """Conceal the texts in the fields of a dataclass that are marked secret."""
    for field in fields(values):  # type: ignore[arg-type]
        text = getattr(values, field.name)
        if field.metadata.get("secret") and isinstance(text, str):
            conceal(text)


def masked(text: str) -> str:
    """`text` with `***` for each secret that this process knows."""
    for known in _known:
        if known in text:
            text = text.replace(known, HIDDEN)
    return text


def masked_bytes(data: bytes) -> bytes:
    """`data` with each secret that this process knows overwritten by as many stars: whatever it is packed in stays whole."""
    for known in _known.values():
        if known in data:
            data = data.replace(known, b"*" * len(known))
    return data


class _Masking(logging.Formatter):
    """Formats as another formatter does, without secrets and without what a terminal would obey."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return harmless(masked(self._inner.format(record)))


def hide_secrets_in_logs() -> None:
    """Let everything that is logged through the root logger's present handlers pass `masked` and `harmless`."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, _Masking):
            handler.setFormatter(_Masking(handler.formatter or logging.Formatter()))
