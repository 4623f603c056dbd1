"""The master's HTTP server: routes, authentication, and faults of the transport. It knows no rule of the API.

A handler reads a request, asks the master's actor, and writes what it answers; for a subscription it then stays and pumps
the stream. Paths with and without `/master` before them are the same (Mesos documentation, "HTTP Endpoints").
"""

import asyncio
from functools import partial
from typing import Any

from aiohttp import web

from actors.runtime import ActorRef
from actors.runtime.errors import ActorDeadError
from playa.faults import api as fault_api
from playa.master.event_streams import Streams
from playa.master.operator_api.endpoints import ENDPOINTS
from playa.master.requests import ApiRequest, EndpointRequest, SiteAnswer, StreamClosed, StreamOpened
from playa.settings import ClusterSettings
from playa.web import (
    STREAM_ID_HEADER,
    Refused,
    Site,
    method_not_allowed,
    new_application,
    plain,
    principal_of,
)


class MasterSite:
    """The master's server."""

    def __init__(self, settings: ClusterSettings, master: "ActorRef[Any]", streams: Streams) -> None:
        self._settings = settings
        self._master = master
        self._streams = streams
        self._site: Site | None = None

    async def start(self, ip: str, port: int) -> int:
        """Listen; returns the port.

        Raises:
            OSError: The port is in use, or may not be used.
        """
        self._site = Site(self._application(), ip, port)
        return await self._site.start()

    async def stop(self) -> None:
        """Break all connections and close the port."""
        if self._site is not None:
            await self._site.stop(abort=True)

    def abandon(self) -> None:
        """The same, for a master that has failed."""
        if self._site is not None:
            self._site.abandon()

    def _application(self) -> web.Application:
        names = (self._settings.hostname, self._settings.ip)
        app = new_application(max_body=self._settings.max_request_body, names=names)
        for base in ("", "/master"):
            for slash in ("", "/"):
                app.router.add_route("*", f"{base}/api/v1/scheduler{slash}", partial(self._post, True))
                app.router.add_route("*", f"{base}/api/v1{slash}", partial(self._post, False))
            for route in ENDPOINTS:
                if not (base and route == "/metrics/snapshot"):
                    path = base if base and route == "/" else base + route
                    app.router.add_route("*", path, partial(self._endpoint, route))
        if self._settings.faults:
            fault_api.add_routes(app, self._master, partial(self._principal, "readwrite"))
        return app

    def _principal(self, realm: str, request: web.Request, *, asks: bool = True) -> str | None:
        """Who sends a request, if the realm asks: scheduler, readonly or readwrite."""
        settings = self._settings
        flag = {
            "scheduler": settings.authenticate_http_frameworks,
            "readonly": settings.authenticate_http_readonly,
            "readwrite": settings.authenticate_http_readwrite,
        }[realm]
        required = asks and settings.asks(flag)
        return principal_of(request, dict(settings.credentials), f"mesos-master-{realm}", required=required)

    async def _post(self, is_scheduler: bool, request: web.Request) -> web.StreamResponse:
        """A request to the scheduler API or the operator API."""
        principal = self._principal("scheduler" if is_scheduler else "readwrite", request)
        if is_scheduler:
            await self._misbehave(request)
        if request.method != "POST":
            raise method_not_allowed(request.method, ("POST",))
        headers = request.headers
        asked = ApiRequest(
            is_scheduler,
            await request.read(),
            content_type=headers.get("Content-Type"),
            accept=headers.get("Accept"),
            stream_id=headers.get(STREAM_ID_HEADER),
            principal=principal,
        )
        answer = await self._ask(request, asked)
        if not isinstance(answer, StreamOpened):
            return _response(answer)
        stream = self._streams.get(answer.stream_id)
        if stream is None:
            raise ConnectionResetError("the stream is closed already")
        try:
            return await stream.run(request, {STREAM_ID_HEADER: answer.stream_id} if is_scheduler else {})
        finally:
            if self._master.is_alive():
                self._master.tell(StreamClosed(answer.stream_id))

    async def _misbehave(self, request: web.Request) -> None:
        plan = self._streams.plan
        if plan.half_open:
            await request.read()
            await asyncio.Event().wait()  # until the client gives up
        if plan.redirect_to:
            host = plan.redirect_to.partition("//")[2].rstrip("/")
            raise Refused(307, "", {"Location": f"//{host}{request.path}"})
        if plan.answer_status:
            raise Refused(plan.answer_status, plan.answer_text)

    async def _endpoint(self, route: str, request: web.Request) -> web.StreamResponse:
        endpoint = ENDPOINTS[route]
        self._principal("readwrite" if endpoint.changes else "readonly", request, asks=endpoint.asks)
        query = tuple((k, str(v)) for k, v in (*request.query.items(), *request.match_info.items()))
        asked = EndpointRequest(route, request.method, query, await request.read())
        return _response(await self._ask(request, asked))

    async def _ask(self, request: web.Request, asked: object) -> Any:
        try:
            return await self._master.ask(asked, block=False)
        except ActorDeadError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the master died") from None


def _response(answer: SiteAnswer) -> web.Response:
    headers = dict(answer.headers)
    if not answer.content_type:
        return plain(answer.status, answer.text, headers)
    headers["Content-Type"] = answer.content_type
    return web.Response(status=answer.status, body=answer.body, headers=headers)
