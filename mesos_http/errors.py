"""What can go wrong between us and a Mesos endpoint, as far as the network and HTTP are concerned.

An answer of Mesos that is not the hoped-for one is `mesos_v1.errors.ApiError`. No text made here ever holds a credential.
"""

EXCERPT = 120


def excerpt(data: bytes) -> str:
    """Give the beginning of ``data`` as printable text, for an error message."""
    text = data[:EXCERPT].decode("latin-1").encode("unicode_escape").decode("ascii")
    return f"{text}…" if len(data) > EXCERPT else text


class TransportError(Exception):
    """Base of everything that this package raises about a connection."""


class ConnectFailed(TransportError):  # noqa: N818 - the names of what happened
    """No connection could be had: refused, unreachable, timed out, or TLS did not agree."""


class NotSent(ConnectFailed):
    """It was no longer to be sent when it could have been (`may_write`)."""


class RedirectFailed(ConnectFailed):
    """A redirect that cannot be followed: a loop, too many, no Location, or from https to http."""


class BadTlsSettings(ConnectFailed):
    """A certificate, key or CA file of our own settings cannot be used."""


class ProtocolError(TransportError):
    """The other side sent something that is not HTTP/1.1 as RFC 9112 has it, or more than we take."""


class ConnectionLost(TransportError):  # noqa: N818 - the names of what happened
    """The connection broke before the answer was there; whether the call took effect is not known."""


class StreamBroken(TransportError):  # noqa: N818 - the names of what happened
    """A subscription's stream ended; `reason` says how: its end, a record cut in the middle, not RecordIO, reset."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
