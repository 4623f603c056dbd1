"""The actor machinery: actors on one asyncio event loop, with pykka's surface.

Here belong the actor and its system, supervision, timers, the message codec and the trace. What actors say to each other, and
anything that knows of Mesos, does not. The only room that touches pykka; it imports nothing else of the project. Names
listed here are public, the modules are not (but for `testing`).

Modules are imported from leaf to root: codec and messages, handlers, replies, refs, dispatcher, system, actor. Refs, dispatcher and
system are one mechanism in three files, and name each other's types upwards too, under TYPE_CHECKING only.
"""

from actors.runtime.actor import Actor as Actor
from actors.runtime.actor import BlockingActor as BlockingActor
from actors.runtime.actor import function_in_thread as function_in_thread
from actors.runtime.codec import shapes as shapes
from actors.runtime.codec.envelope import Envelope as Envelope
from actors.runtime.codec.envelope import check_size as check_size
from actors.runtime.codec.envelope import pack as pack
from actors.runtime.codec.envelope import pack_message as pack_message
from actors.runtime.codec.envelope import pack_value as pack_value
from actors.runtime.codec.envelope import redacted as redacted
from actors.runtime.codec.envelope import unpack as unpack
from actors.runtime.codec.envelope import unpack_message as unpack_message
from actors.runtime.codec.envelope import unpack_payload as unpack_payload
from actors.runtime.codec.envelope import unpack_value as unpack_value
from actors.runtime.codec.packing import registered_messages as registered_messages
from actors.runtime.codec.secrets import HIDDEN as HIDDEN
from actors.runtime.codec.secrets import Secret as Secret
from actors.runtime.codec.secrets import conceal as conceal
from actors.runtime.codec.secrets import conceal_marked as conceal_marked
from actors.runtime.codec.secrets import hide_secrets_in_logs as hide_secrets_in_logs
from actors.runtime.codec.secrets import masked as masked
from actors.runtime.codec.shapes import FrozenDict as FrozenDict
from actors.runtime.codec.shapes import Immutable as Immutable
from actors.runtime.errors import ActorDeadError as ActorDeadError
from actors.runtime.errors import CodecError as CodecError
from actors.runtime.errors import DecodeError as DecodeError
from actors.runtime.errors import EncodeError as EncodeError
from actors.runtime.errors import NameTakenError as NameTakenError
from actors.runtime.errors import NoSystemError as NoSystemError
from actors.runtime.errors import Timeout as Timeout
from actors.runtime.errors import TraceError as TraceError
from actors.runtime.errors import UnhandledMessageError as UnhandledMessageError
from actors.runtime.errors import WouldBlockError as WouldBlockError
from actors.runtime.handlers import receive as receive
from actors.runtime.handlers import understood_types as understood_types
from actors.runtime.messages import ChildFailed as ChildFailed
from actors.runtime.messages import NoSettings as NoSettings
from actors.runtime.messages import Terminated as Terminated
from actors.runtime.messages import carrier as carrier
from actors.runtime.messages import documented_fields as documented_fields
from actors.runtime.messages import message as message
from actors.runtime.messages import register as register
from actors.runtime.messages import secret as secret
from actors.runtime.messages import setting as setting
from actors.runtime.proxy import set_attribute as set_attribute
from actors.runtime.pykka_seam import traversable as traversable
from actors.runtime.ref import ActorRef as ActorRef
from actors.runtime.ref import NamedRef as NamedRef
from actors.runtime.ref import Timer as Timer
from actors.runtime.ref import current_message_id as current_message_id
from actors.runtime.reply import Reply as Reply
from actors.runtime.reply import get_all as get_all
from actors.runtime.states import RESTART as RESTART
from actors.runtime.states import STOP as STOP
from actors.runtime.states import Backoff as Backoff
from actors.runtime.states import Supervision as Supervision
from actors.runtime.system import ActorSystem as ActorSystem
from actors.runtime.trace import TraceRecord as TraceRecord
from actors.runtime.trace import TraceWriter as TraceWriter
from actors.runtime.trace import older_files as older_files
from actors.runtime.trace import read_trace as read_trace
