"""A message of Mesos without what must not be read in a log or trace: environments, credentials, secrets."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

HIDDEN = "***"

_SECRETS = frozenset(
    {"mesos.v1.Environment.Variable.value", "mesos.v1.Credential.secret", "mesos.v1.Secret.Value.data"}
)


def hidden(kind: type[Message], data: bytes, redact: Callable[[bytes], bytes]) -> bytes:
    """A serialized message of a kind without the values of environment variables, credentials and secrets.

    What is not such a message is given back as its size. Every other bytes field (a task's data, say) becomes what `redact` makes of it.
    """
    message = kind()
    try:
        message.MergeFromString(data)
    except DecodeError:
        return b"(%d bytes)" % len(data)
    _hide(message, redact)
    return message.SerializePartialToString()


def _hide(message: Any, redact: Callable[[bytes], bytes]) -> None:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            parts = value.values() if isinstance(value, Mapping) else value
            for part in (value,) if isinstance(value, Message) else parts:
                if isinstance(part, Message):  # a map may also hold plain values
                    _hide(part, redact)
        elif field.full_name in _SECRETS:
            setattr(message, field.name, HIDDEN.encode())
        elif field.type == FieldDescriptor.TYPE_BYTES and isinstance(value, bytes):
            setattr(message, field.name, redact(value))
