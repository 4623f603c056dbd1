"""The master's HTTP server: routes, authentication, and faults of the transport. It knows no rule of the API.

A handler reads a request, asks the master's actor (`ApiRequest`), and writes what it answers; for a subscription it then stays and pumps
the stream. Paths with and without `/master` before them are the same (Mesos documentation, "HTTP Endpoints").
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from actors.runtime import ActorRef, message
from actors.runtime.errors import ActorDeadError
from playa import faults
from playa.master.ports import Ports
from playa.settings import ClusterSettings
from playa.web import STREAM_ID_HEADER, Refused, Site, new_application, plain, principal_of


@message
class ApiRequest:
    """A request to one of the paths of the site. Answered with `SiteAnswer` or `StreamOpened`."""

    route: str  # the path, as `operator_api.endpoints` has it
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


class MasterSite(Site):
    """The master's server, of these routes; credentials are asked for by realm: scheduler, readonly, readwrite, or none."""

    def __init__(
        self,
        settings: ClusterSettings,
        master: "ActorRef[Any]",
        ports: Ports,
        port: int,
        realms: Mapping[str, str | None],
    ) -> None:
        self._settings = settings
        self._master = master
        self._ports = ports
        self._realms = realms
        super().__init__(self._application(), settings.ip, port)

    def _application(self) -> web.Application:
        names = (self._settings.hostname, self._settings.ip)
        app = new_application(max_body=self._settings.max_request_body, names=names)
        for base in ("", "/master"):
            for route in self._realms:
                if not (base and route == "/metrics/snapshot"):
                    path = base if base and route == "/" else base + route
                    for end in ("", "/") if route.startswith("/api/") else ("",):
                        app.router.add_route("*", path + end, partial(self._handle, route))
        if self._settings.faults:
            faults.add_routes(app, self._master, partial(self._principal, "readwrite"))
        return app

    def _principal(self, realm: str | None, request: web.Request) -> str | None:
        """Who sends a request, if the realm asks."""
        settings = self._settings
        of = "frameworks" if realm == "scheduler" else realm
        asks = realm is not None and settings.asks(getattr(settings, f"authenticate_http_{of}"))
        return principal_of(request, dict(settings.credentials), f"mesos-master-{realm}", required=asks)

    async def _handle(self, route: str, request: web.Request) -> web.StreamResponse:
        realm = self._realms[route]
        principal = self._principal(realm, request)
        if realm == "scheduler":
            await self._misbehave(request)
        query = (*request.query.items(), *request.match_info.items())
        content_type, accept, stream = map(request.headers.get, ("Content-Type", "Accept", STREAM_ID_HEADER))
        body = await request.read()
        asked = ApiRequest(route, request.method, query, body, content_type, accept, stream, principal)
        try:
            answer = await self._master.ask(asked, block=False)
        except ActorDeadError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the master died") from None
        if isinstance(answer, StreamOpened):
            return await self._pump(request, answer.stream_id, is_scheduler=realm == "scheduler")
        return _response(answer)

    async def _pump(self, request: web.Request, stream_id: str, *, is_scheduler: bool) -> web.StreamResponse:
        stream = self._ports.stream(stream_id)
        if stream is None:
            raise ConnectionResetError("the stream is closed already")
        try:
            return await stream.run(request, {STREAM_ID_HEADER: stream_id} if is_scheduler else {})
        finally:
            if self._master.is_alive():
                self._master.tell(StreamClosed(stream_id))

    async def _misbehave(self, request: web.Request) -> None:
        plan = self._ports.plan
        if plan.half_open:
            await request.read()
            await asyncio.Event().wait()  # until the client gives up
        if plan.redirect_to:
            host = plan.redirect_to.partition("//")[2].rstrip("/")
            raise Refused(307, "", {"Location": f"//{host}{request.path}"})
        if plan.answer_status:
            raise Refused(plan.answer_status, plan.answer_text)


def _response(answer: SiteAnswer) -> web.Response:
    headers = dict(answer.headers)
    if not answer.content_type:
        return plain(answer.status, answer.text, headers)
    headers["Content-Type"] = answer.content_type
    return web.Response(status=answer.status, body=answer.body, headers=headers)
