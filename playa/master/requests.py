"""What the HTTP site asks the master's actor, and what that answers."""

from actors.runtime import message


@message
class ApiRequest:
    """A POST to the scheduler API, or to the operator API. Answered with `SiteAnswer` or `StreamOpened`."""

    is_scheduler: bool
    body: bytes
    content_type: str | None
    accept: str | None
    stream_id: str | None
    principal: str | None


@message
class EndpointRequest:
    """A request to an endpoint outside the V1 API (`operator_api.endpoints`). Answered with `SiteAnswer`.

    Attributes:
        route: Which one; the query has what the route matches, too.
    """

    route: str
    method: str
    query: tuple[tuple[str, str], ...]
    body: bytes


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
