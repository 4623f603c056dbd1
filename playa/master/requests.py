"""What the HTTP site asks the master's actor, and what that answers."""

from actors.runtime import message


@message
class ApiRequest:
    """A request to one of the paths of `operator_api.endpoints`. Answered with `SiteAnswer` or `StreamOpened`.

    Attributes:
        route: The path, as that table has it.
        query: With what the route matches of the path.
        principal: Who asks, if somebody had to say so.
    """

    route: str
    method: str
    query: tuple[tuple[str, str], ...]
    body: bytes
    content_type: str | None
    accept: str | None
    stream_id: str | None
    principal: str | None


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
