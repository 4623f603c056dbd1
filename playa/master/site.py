"""The master's HTTP server: routes, authentication, and faults of the transport. It knows no rule of the API.

A handler reads a request, asks the master's actor, and writes what it answers; for a subscription it then stays and pumps
the stream. Paths with and without `/master` before them are the same (Mesos documentation, "HTTP Endpoints").
"""

import asyncio
from typing import Any

from aiohttp import web

from actors.runtime import ActorRef, message
from actors.runtime.errors import ActorDeadError
from playa.faults import FaultPlan
from playa.faults import api as fault_api
from playa.master.scheduler_api.streams import Streams
from playa.settings import ClusterSettings
from playa.web import (
    STREAM_ID_HEADER,
    Access,
    Refused,
    Site,
    method_not_allowed,
    new_application,
    plain,
    principal_of,
)


@message
class SchedulerRequest:
    """A POST to the scheduler API. Answered with `SiteAnswer` or `StreamOpened`."""

    body: bytes
    content_type: str | None
    accept: str | None
    stream_id: str | None
    principal: str | None


@message
class OperatorRequest:
    """A POST to the operator API. Answered like `SchedulerRequest`."""

    body: bytes
    content_type: str | None
    accept: str | None
    principal: str | None


@message
class GetEndpoint:
    """A request to an endpoint outside the V1 API, by its path without `/master`. Answered with `SiteAnswer`."""

    path: str
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


SCHEDULER_REALM = "mesos-master-scheduler"
READONLY_REALM = "mesos-master-readonly"
READWRITE_REALM = "mesos-master-readwrite"

# Endpoints outside the V1 API, and whether they ask for credentials when reading ones do.
_ENDPOINTS = {
    "/health": False,
    "/version": False,
    "/redirect": False,
    "/": True,
    "/state": True,
    "/state.json": True,
    "/state-summary": True,
    "/slaves": True,
    "/frameworks": True,
    "/tasks": True,
    "/roles": True,
    "/flags": True,
    "/weights": True,
    "/maintenance/schedule": True,
    "/maintenance/status": True,
}
_WRITING = ("/machine/down", "/machine/up", "/quota", "/quota/{role:.+}", "/teardown")


class MasterSite:
    """The master's server."""

    def __init__(self, settings: ClusterSettings, master: "ActorRef[Any]", streams: Streams) -> None:
        self._settings = settings
        self._master = master
        self._streams = streams
        self._access = Access(
            dict(settings.credentials),
            readonly=settings.asks(settings.authenticate_http_readonly),
            readwrite=settings.asks(settings.authenticate_http_readwrite),
        )
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
                app.router.add_route("*", f"{base}/api/v1/scheduler{slash}", self._scheduler)
                app.router.add_route("*", f"{base}/api/v1{slash}", self._operator)
            for path, asks in _ENDPOINTS.items():
                app.router.add_route(
                    "*", base + path if path != "/" else base or "/", self._reader(path, asks)
                )
            for path in _WRITING:
                app.router.add_route("*", base + path, self._writer(path))
        app.router.add_route("*", "/metrics/snapshot", self._reader("/metrics/snapshot", True))
        if self._settings.faults:
            fault_api.add_routes(app, self._master, self._check_readwrite)
        return app

    def _check_readwrite(self, request: web.Request) -> str | None:
        return principal_of(
            request, self._access.credentials, READWRITE_REALM, required=self._access.readwrite
        )

    # --- the scheduler API --------------------------------------------------------------------------------------

    async def _scheduler(self, request: web.Request) -> web.StreamResponse:
        principal = principal_of(
            request,
            self._access.credentials,
            SCHEDULER_REALM,
            required=self._settings.asks(self._settings.authenticate_http_frameworks),
        )
        await self._misbehave(self._streams.plan, request)
        if request.method != "POST":
            raise method_not_allowed(request.method, ("POST",))
        asked = SchedulerRequest(
            body=await request.read(),
            content_type=request.headers.get("Content-Type"),
            accept=request.headers.get("Accept"),
            stream_id=request.headers.get(STREAM_ID_HEADER),
            principal=principal,
        )
        return await self._answer(request, asked)

    async def _misbehave(self, plan: FaultPlan, request: web.Request) -> None:
        if plan.half_open:
            await request.read()
            await asyncio.Event().wait()  # until the client gives up
        if plan.redirect_to:
            host = plan.redirect_to.partition("//")[2].rstrip("/")
            raise Refused(307, "", {"Location": f"//{host}{request.path}"})
        if plan.answer_status:
            raise Refused(plan.answer_status, plan.answer_text)

    async def _operator(self, request: web.Request) -> web.StreamResponse:
        principal = self._check_readwrite(request)
        if request.method != "POST":
            raise method_not_allowed(request.method, ("POST",))
        asked = OperatorRequest(
            body=await request.read(),
            content_type=request.headers.get("Content-Type"),
            accept=request.headers.get("Accept"),
            principal=principal,
        )
        return await self._answer(request, asked)

    # --- other endpoints ----------------------------------------------------------------------------------------

    def _reader(self, path: str, asks: bool) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            required = asks and self._access.readonly
            principal_of(request, self._access.credentials, READONLY_REALM, required=required)
            return await self._endpoint(request, path)

        return handle

    def _writer(self, path: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._check_readwrite(request)
            return await self._endpoint(
                request, path.replace("{role:.+}", request.match_info.get("role", ""))
            )

        return handle

    async def _endpoint(self, request: web.Request, path: str) -> web.StreamResponse:
        query = tuple((name, str(value)) for name, value in request.query.items())
        return await self._answer(request, GetEndpoint(path, request.method, query, await request.read()))

    # --- answers ------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request, asked: object) -> web.StreamResponse:
        try:
            answer = await self._master.ask(asked, block=False)
        except ActorDeadError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the master died") from None
        if isinstance(answer, StreamOpened):
            return await self._stream(request, answer.stream_id, isinstance(asked, SchedulerRequest))
        return _response(answer)

    async def _stream(self, request: web.Request, stream_id: str, is_scheduler: bool) -> web.StreamResponse:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise ConnectionResetError("the stream is closed already")
        try:
            return await stream.run(request, {STREAM_ID_HEADER: stream_id} if is_scheduler else {})
        finally:
            if self._master.is_alive():
                self._master.tell(StreamClosed(stream_id))


def _response(answer: SiteAnswer) -> web.Response:
    headers = dict(answer.headers)
    if not answer.content_type:
        return plain(answer.status, answer.text, headers)
    headers["Content-Type"] = answer.content_type
    return web.Response(status=answer.status, body=answer.body, headers=headers)
