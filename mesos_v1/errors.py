"""Every error of this package, and what a Mesos answer means: one table from HTTP status to its consequences.

Code that reconnects, retries or gives up asks an `ApiError` (`.retryable`, `.subscription_lost`, `.unauthorized`,
`.not_leader`) and never compares status numbers itself.
"""

from dataclasses import dataclass

_BODY_SHOWN = 300


class MesosError(Exception):
    """Base of all errors that come from talking the Mesos V1 API."""


class RecordIOError(MesosError):
    """The RecordIO stream is broken; nothing after this point can be read."""


class MalformedLength(RecordIOError):  # noqa: N818
    """Where a record's length was expected, there is something else."""


class RecordTooLong(RecordIOError):  # noqa: N818
    """A record announces a length above the limit."""


class TruncatedRecord(RecordIOError):  # noqa: N818
    """The stream ended inside a record, or inside the length of one."""


class ContentError(MesosError):
    """A body or record cannot be read as the message that was expected.

    Attributes:
        reason: What is wrong, in a form that can be shown to its sender.
        where: The path of the field (`offers.offers[0].hostname`), or an empty string for the whole.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason = reason
        self.where = where


class BadEvent(MesosError):  # noqa: N818
    """An event came in that lacks what its type promises."""


class ResourceError(MesosError, ValueError):
    """A resource cannot be: no such text, a negative amount, a range that ends before it begins."""


class OperationError(MesosError):
    """An offer operation cannot be applied to the resources at hand."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an HTTP status of the master or agent means for its client."""

    text: str  # the meaning in words
    retryable: bool = False  # the same request may succeed later, unchanged
    subscription_lost: bool = False  # the subscription that the call belongs to is gone: subscribe again
    unauthorized: bool = False  # credentials are missing, wrong or not sufficient, now and later
    not_leader: bool = False  # another master (or another path) answers this; see the `Location` header


MEANINGS: dict[int, Meaning] = {
    307: Meaning("another master leads", retryable=True, not_leader=True),
    308: Meaning("another master leads", retryable=True, not_leader=True),
    400: Meaning("the request is invalid"),
    401: Meaning("credentials are missing or wrong", unauthorized=True),
    403: Meaning("the principal may not do this", unauthorized=True),
    404: Meaning("no such endpoint"),
    405: Meaning("the endpoint does not take this method"),
    406: Meaning("no acceptable content type"),
    409: Meaning("in conflict with what is there already"),
    410: Meaning("gone"),
    411: Meaning("the request has no length"),
    413: Meaning("the request is too large"),
    415: Meaning("the content type is not supported"),
    429: Meaning("too many requests", retryable=True),
    500: Meaning("an internal error of the server", retryable=True),
    501: Meaning("not supported by this Mesos"),
    502: Meaning("a proxy could not reach the server", retryable=True),
    503: Meaning("not ready: no leader yet, or still recovering", retryable=True),
    504: Meaning("a proxy gave up waiting for the server", retryable=True),
}
"""Status → meaning, for the statuses that Mesos (or a proxy before it) is known to answer."""

LOST_SUBSCRIPTION = ("stream ID", "Framework cannot be found", "Executor cannot be found", "not subscribed")
"""Words in the body of a 400 or 403 which say that the sender's subscription is not the current one: the stream id ties a
call to its subscription (Mesos: Scheduler HTTP API, "Calls")."""

MISSING_STREAM_ID = "should include the 'Mesos-Stream-Id' header"


def classify(status: int, body: str = "") -> Meaning:
    """Return what an answer means; an unforeseen status is retryable when it is a server's fault (5xx)."""
    if (
        status in {400, 403}
        and MISSING_STREAM_ID not in body
        and any(words in body for words in LOST_SUBSCRIPTION)
    ):
        return Meaning("the subscription is not the current one", subscription_lost=True)
    families = {3: "an unexpected redirect", 4: "the request is refused", 5: "the server failed"}
    unforeseen = families.get(status // 100, "an unexpected status")
    return MEANINGS.get(status) or Meaning(unforeseen, retryable=status // 100 == 5)


class ApiError(MesosError):
    """The master or agent answered a request with something else than success.

    Attributes:
        body: The body as text; Mesos explains itself in plain words there.
        meaning: What follows from the status, by `classify`; what it holds is here, too.
        location: The `Location` header of a redirect, if there was one: who answers instead.
    """

    def __init__(self, status: int, body: str = "", *, location: str | None = None) -> None:
        self.status = status
        self.body = body
        self.location = location
        self.meaning = meaning = classify(status, body)
        self.retryable, self.subscription_lost = meaning.retryable, meaning.subscription_lost
        self.unauthorized, self.not_leader = meaning.unauthorized, meaning.not_leader
        shown = body if len(body) <= _BODY_SHOWN else body[:_BODY_SHOWN] + "…"
        super().__init__(f"HTTP {status}, {meaning.text}" + (f": {shown}" if shown else ""))
