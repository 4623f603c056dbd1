"""An agent's HTTP site: the executor API, the operator API's reading calls, `/state` and friends, sandbox files.

The site holds sockets and streams and nothing else: what a call means is decided by the agent actor, which the handlers
ask. Each path also exists under `/slave(N)`, as on a Mesos agent.
"""

import itertools
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.helpers import content_disposition_header

from actors.runtime import ActorDeadError, ActorRef
from mesos_v1 import pb
from mesos_v1.content import ContentType, to_json
from playa.agent.containers.proc import usage
from playa.agent.executors import tokens
from playa.agent.executors.calls import refusal
from playa.agent.messages import AgentPicture, CallAnswer, ExecutorCalled, QueryState
from playa.agent.operator_api import picture as pictures
from playa.agent.operator_api.files import PAGE, Files
from playa.agent.operator_api.state_json import state
from playa.settings import AgentSettings
from playa.web import (
    Access,
    Handler,
    RecordStream,
    Refused,
    Site,
    accepted,
    accepted_type,
    json_answer,
    message_answer,
    method_not_allowed,
    new_application,
    plain,
    principal_of,
    read_message,
)

MAX_BODY = 64 * 1024 * 1024
MAX_BACKLOG = 256 * 1024 * 1024

READONLY_REALM = "mesos-agent-readonly"
READWRITE_REALM = "mesos-agent-readwrite"
EXECUTOR_REALM = "mesos-agent-executor"

Call = pb.executor.Call
Claims = tuple[tuple[str, str], ...]


class AgentSite:
    """The site of one agent."""

    def __init__(
        self, agent: ActorRef[Any], settings: AgentSettings, files: Files, port: int, key: bytes = b""
    ) -> None:
        self._agent = agent
        self._key = key
        self._settings = settings
        self.files = files
        self.streams: dict[int, RecordStream] = {}
        self._keys = itertools.count(1)
        self._access = Access(
            dict(settings.http_credentials),
            readonly=bool(settings.authenticate_http_readonly),
            readwrite=bool(settings.authenticate_http_readwrite),
        )
        app = new_application(max_body=MAX_BODY, names=(settings.hostname, settings.ip))
        self._route(app)
        self._site = Site(app, settings.ip, port)
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is in use, or may not be used.
        """
        self.port = await self._site.start()

    async def listen_unix(self, path: str) -> None:
        """Be there for executors on a domain socket too.

        Raises:
            OSError: The path is too long, or no socket can be made there.
        """
        _make_room(Path(path))
        try:
            await self._site.listen_unix(path)
        except OSError as error:
            raise OSError(
                error.errno, f"no domain socket can be made: {error.strerror or error}", path
            ) from error

    async def stop(self) -> None:
        """Cut all connections, as a machine that dies."""
        for stream in self.streams.values():
            stream.abort()
        await self._site.stop(abort=True)

    def abandon(self) -> None:
        """The same, for an agent that has failed."""
        for stream in self.streams.values():
            stream.abort()
        self._site.abandon()

    def _route(self, app: web.Application) -> None:
        both = ("", r"/{agent:slave\(\d+\)}")
        for prefix in both:
            app.router.add_route("*", f"{prefix}/api/v1/executor", self._executor)
            app.router.add_route("*", f"{prefix}/api/v1/executor/", self._executor)
            app.router.add_route("*", f"{prefix}/api/v1", self._operator)
            app.router.add_route("*", f"{prefix}/api/v1/", self._operator)
            for name, handler in (("health", self._health), ("version", self._version)):
                app.router.add_get(f"{prefix}/{name}", handler)
                app.router.add_get(f"{prefix}/{name}.json", handler)
            for name, handler in (
                ("state", self._state),
                ("flags", self._flags),
                ("metrics/snapshot", self._metrics),
                ("containers", self._containers),
                ("files/browse", self._browse),
                ("files/read", self._read),
                ("files/download", self._download),
            ):
                app.router.add_route("*", f"{prefix}/{name}", self._reader(handler))
                app.router.add_route("*", f"{prefix}/{name}.json", self._reader(handler))

    def _reader(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            principal_of(request, self._access.credentials, READONLY_REALM, required=self._access.readonly)
            if request.method not in {"GET", "HEAD"}:
                raise method_not_allowed(request.method, ["GET"])
            return await handler(request)

        return handle

    # --- Executors --------------------------------------------------------------------------------------------

    async def _executor(self, request: web.Request) -> web.StreamResponse:
        claims = self._claims(request)
        if request.method != "POST":
            raise method_not_allowed(request.method, ["POST"])
        call = await read_message(request, Call)
        why = refusal(call)
        if why is not None:
            raise Refused(400, why)
        if call.type == Call.HEARTBEAT:
            return accepted()
        if call.type == Call.SUBSCRIBE:
            return await self._subscribe(request, call, accepted_type(request), claims)
        answer = await self._ask(ExecutorCalled(call.SerializeToString(), claims=claims))
        return plain(answer.status, answer.text)

    def _claims(self, request: web.Request) -> Claims | None:
        """Who calls, by the bearer token; None where nobody is asked.

        Raises:
            Refused: 401, for a request without a token that this agent has signed.
        """
        if not self._key:
            return None
        challenge = f'Bearer realm="{EXECUTOR_REALM}"'
        header = request.headers.get("Authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            claims = tokens.claims_of(self._key, token) if scheme.lower() == "bearer" else None
            if claims is not None:
                return tuple(claims.items())
            challenge += ', error="invalid_token", error_description="No token that this agent has signed"'
        raise Refused(401, "401 Unauthorized.", {"WWW-Authenticate": challenge})

    async def _subscribe(
        self, request: web.Request, call: Call, content_type: ContentType, claims: Claims | None
    ) -> web.StreamResponse:
        key = next(self._keys)
        stream = self.streams[key] = RecordStream(content_type, max_backlog=MAX_BACKLOG)
        try:
            answer = await self._ask(ExecutorCalled(call.SerializeToString(), key, claims))
            if answer.status != 200:
                return plain(answer.status, answer.text)
            return await stream.run(request, {})
        finally:
            del self.streams[key]

    async def _ask(self, question: Any) -> CallAnswer:
        try:
            answer: CallAnswer = await self._agent.ask(question, block=False)
        except ActorDeadError:
            raise Refused(503, "Agent is terminating") from None
        return answer

    # --- Operators --------------------------------------------------------------------------------------------

    async def _operator(self, request: web.Request) -> web.StreamResponse:
        principal_of(request, self._access.credentials, READWRITE_REALM, required=self._access.readwrite)
        if request.method != "POST":
            raise method_not_allowed(request.method, ["POST"])
        call = await read_message(request, pb.agent.Call)
        if not call.HasField("type") or call.type == pb.agent.Call.UNKNOWN:
            raise Refused(400, "Failed to validate agent::Call: Expecting 'type' to be present")
        content_type = accepted_type(request)
        if call.type in {pb.agent.Call.LIST_FILES, pb.agent.Call.READ_FILE}:
            return message_answer(self._files_call(call), content_type)
        response = pictures.answer(call, await self._picture(), self._flag_values())
        if response is not None and call.type == pb.agent.Call.GET_CONTAINERS:
            _measure(response)
        if response is None:
            name = pb.agent.Call.Type.Name(call.type)
            raise Refused(501, f"{name} is not implemented by the embedded cluster's agents")
        return message_answer(response, content_type)

    def _files_call(self, call: pb.agent.Call) -> pb.agent.Response:
        response = pb.agent.Response()
        if call.type == pb.agent.Call.LIST_FILES:
            response.type = pb.agent.Response.LIST_FILES
            response.list_files.file_infos.extend(self.files.file_infos(call.list_files.path))
        else:
            ask = call.read_file
            length = ask.length if ask.HasField("length") else None
            data, size = self.files.read(ask.path, ask.offset, length)
            response.type = pb.agent.Response.READ_FILE
            response.read_file.size, response.read_file.data = size, data
        return response

    async def _picture(self) -> AgentPicture:
        try:
            picture: AgentPicture = await self._agent.ask(QueryState(), block=False)
        except ActorDeadError:
            raise Refused(503, "Agent is terminating") from None
        return picture

    def _flag_values(self) -> dict[str, str]:
        s = self._settings
        return {
            "attributes": s.attributes,
            "resources": s.resources,
            "hostname": s.hostname,
            "ip": s.ip,
            "port": str(self.port),
            "default_role": s.default_role,
            "executor_registration_timeout": f"{s.executor_registration_timeout:g}secs",
            "executor_shutdown_grace_period": f"{s.executor_shutdown_grace_period:g}secs",
            "launcher": "posix",
            "isolation": "posix/cpu,posix/mem",
            "containerizers": "mesos",
            "switch_user": "true",
        }

    async def _state(self, request: web.Request) -> web.StreamResponse:
        document = state(await self._picture(), self._flag_values())
        return json_answer(document)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return plain(200)

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return json_answer(
            {
                "build_date": pictures.BUILD_DATE,
                "build_time": pictures.BUILD_TIME,
                "build_user": "",
                "version": pictures.VERSION,
            }
        )

    async def _flags(self, request: web.Request) -> web.StreamResponse:
        return json_answer({"flags": self._flag_values()})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return json_answer(pictures.metrics(await self._picture()))

    async def _containers(self, request: web.Request) -> web.StreamResponse:
        call = pb.agent.Call(type=pb.agent.Call.GET_CONTAINERS)
        response = pictures.answer(call, await self._picture(), {})
        entries = []
        if response is not None:
            _measure(response)
            entries = to_json(response.get_containers).get("containers", [])
        return json_answer(entries)

    # --- Files ------------------------------------------------------------------------------------------------

    async def _browse(self, request: web.Request) -> web.StreamResponse:
        entries = self.files.browse(request.query.get("path", ""))
        for entry in entries:
            entry.pop("bits")
        return json_answer(entries)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        offset = _number(request, "offset", -1)
        length = _number(request, "length", -1)
        path = request.query.get("path", "")
        data, size = self.files.read(path, offset, length if length >= 0 else None)
        shown = size if offset < 0 else offset
        return json_answer({"data": data.decode("utf-8", "replace"), "offset": shown})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file = self.files.resolve(request.query.get("path", ""))
        if file.is_dir():
            raise Refused(400, "Cannot download a directory.\n")
        if not file.is_file():
            raise Refused(404)  # a pipe would keep everybody waiting
        name = file.name.encode("utf-8", "replace").decode()
        headers = {"Content-Disposition": content_disposition_header("attachment", filename=name)}
        return web.FileResponse(file, headers=headers, chunk_size=PAGE)


def _make_room(path: Path) -> None:
    """Remove the socket of an agent before this one; make the folder for a new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _measure(response: pb.agent.Response) -> None:
    """Add what the containers have used to what they may use."""
    for container in response.get_containers.containers:
        if container.container_status.executor_pid:
            used = usage(container.container_status.executor_pid)
            statistics = container.resource_statistics
            statistics.cpus_user_time_secs, statistics.cpus_system_time_secs = used.user, used.system
            statistics.mem_rss_bytes = used.resident


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise Refused(400, f"Failed to parse {name}: '{text}' is not a number.\n") from None
