"""What the HTTP site asks the master's actor, and what that answers."""

from actors.runtime import message


@message
class ApiRequest:
    """A request to one of the paths of `operator_api.endpoints`. Answered with `SiteAnswer` or `StreamOpened`."""

    route: str  # the path, as that table has it
    method: str
    query: tuple[tuple[str, str], ...]  # with what the route matches of the path
    body: bytes
    content_type: str | None
    accept: str | None
    stream_id: str | None
    principal: str | None  # who asks, if that had to be said


@message
class SiteAnswer:
    """What to answer; text/plain unless a content type is given."""

    status: int
    text: str = ""
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@message
class StreamOpened:
    """The request became a subscription."""

    stream_id: str


@message
class StreamClosed:
    """The connection of a subscription is gone."""

    stream_id: str
