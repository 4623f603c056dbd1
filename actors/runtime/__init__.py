"""The actor machinery: actors on one asyncio event loop, with pykka's surface.

Here belong the actor and its system, supervision, timers, the message codec and the trace. What actors say to each other, and
anything that knows of Mesos, does not. The only room that touches pykka; it imports nothing else of the project. Names
listed here are public, the modules are not (but for `testing`).

Modules are imported from leaf to root: codec and messages, handlers, replies, refs, dispatcher, system, actor. Refs, dispatcher and
system are one mechanism in three files, and name each other's types upwards too, under TYPE_CHECKING only: a ref says in which
system it is, and a system makes refs.
"""

from actors.runtime.actor import Actor, BlockingActor, function_in_thread
from actors.runtime.codec import shapes
from actors.runtime.codec.envelope import (
    Envelope,
    check_size,
    pack,
    pack_message,
    pack_value,
    redacted,
    unpack,
    unpack_message,
    unpack_payload,
    unpack_value,
)
from actors.runtime.codec.packing import registered_messages
from actors.runtime.codec.secrets import (
    HIDDEN,
    Secret,
    conceal,
    conceal_marked,
    hide_secrets_in_logs,
    masked,
)
from actors.runtime.codec.shapes import FrozenDict, Immutable
from actors.runtime.errors import (
    ActorDeadError,
    CodecError,
    DecodeError,
    EncodeError,
    NameTakenError,
    NoSystemError,
    Timeout,
    TraceError,
    UnhandledMessageError,
    WouldBlockError,
)
from actors.runtime.handlers import receive, understood_types
from actors.runtime.messages import (
    ChildFailed,
    NoSettings,
    Terminated,
    carrier,
    message,
    register,
    secret,
    setting,
)
from actors.runtime.proxy import set_attribute
from actors.runtime.pykka_seam import traversable
from actors.runtime.ref import ActorRef, NamedRef, Timer, current_message_id
from actors.runtime.reply import Reply, get_all
from actors.runtime.states import RESTART, STOP, Backoff, Supervision
from actors.runtime.system import ActorSystem
from actors.runtime.trace import TraceRecord, TraceWriter, older_files, read_trace

__all__ = [
    "HIDDEN",
    "RESTART",
    "STOP",
    "Actor",
    "ActorDeadError",
    "ActorRef",
    "ActorSystem",
    "Backoff",
    "BlockingActor",
    "ChildFailed",
    "CodecError",
    "DecodeError",
    "EncodeError",
    "Envelope",
    "FrozenDict",
    "Immutable",
    "NameTakenError",
    "NamedRef",
    "NoSettings",
    "NoSystemError",
    "Reply",
    "Secret",
    "Supervision",
    "Terminated",
    "Timeout",
    "Timer",
    "TraceError",
    "TraceRecord",
    "TraceWriter",
    "UnhandledMessageError",
    "WouldBlockError",
    "carrier",
    "check_size",
    "conceal",
    "conceal_marked",
    "current_message_id",
    "function_in_thread",
    "get_all",
    "hide_secrets_in_logs",
    "masked",
    "message",
    "older_files",
    "pack",
    "pack_message",
    "pack_value",
    "read_trace",
    "receive",
    "redacted",
    "register",
    "registered_messages",
    "secret",
    "set_attribute",
    "setting",
    "shapes",
    "traversable",
    "understood_types",
    "unpack",
    "unpack_message",
    "unpack_payload",
    "unpack_value",
]
