"""An agent's HTTP site: the executor API, the operator API's reading calls, `/state` and friends, sandbox files.

What a call means is decided by the agent actor, which the handlers ask. Each path also exists under `/slave(N)`, as on a Mesos agent.

The path of a file (Mesos documentation, endpoints `/files/*`) is a sandbox's own, as MESOS_SANDBOX and `/state` name it, or virtual:
`/frameworks/<F>/executors/<E>/runs/latest/…`. Nothing outside the agent's sandboxes and persistent volumes can be reached, whatever
links a task makes.
"""

import grp
import itertools
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web
from aiohttp.helpers import content_disposition_header
from google.protobuf.message import Message

from actors.runtime import ActorDeadError, ActorRef
from mesos_v1 import pb
from mesos_v1.content import serialize, to_json
from mesos_v1.values import NANOS
from playa import web as http
from playa.agent.executors import tokens
from playa.agent.executors.calls import refusal
from playa.agent.executors.tokens import Claims
from playa.agent.messages import CallAnswer, ExecutorCalled, OperatorCalled, QueryState
from playa.agent.views import BUILD
from playa.settings import AgentSettings

PAGE: Final = 1 << 20
MAX_BODY = 64 * 1024 * 1024
MAX_BACKLOG = 256 * 1024 * 1024

Call = pb.executor.Call
AgentCall = pb.agent.Call
Response = pb.agent.Response
M = TypeVar("M", bound=Message)


class AgentSite:
    """The site of one agent."""

    def __init__(self, agent: ActorRef[Any], settings: AgentSettings, files: "Files", key: bytes) -> None:
        self._agent = agent
        self._key = key
        self._files = files
        self.streams: dict[int, http.RecordStream] = {}
        self._keys = itertools.count(1)
        self._settings = settings
        self._site: http.Site | None = None

    async def start(self, port: int) -> int:
        """Listen; gives the port. Raises OSError when that is in use, or may not be used."""
        app = http.new_application(max_body=MAX_BODY, names=(self._settings.hostname, self._settings.ip))
        self._route(app)
        self._site = http.Site(app, self._settings.ip, port)
        return await self._site.start()

    async def listen_unix(self, path: str) -> None:
        """Be there for executors on a domain socket too, in place of that of an agent before this one."""
        _make_room(Path(path))
        try:
            if self._site is not None:
                await self._site.listen_unix(path)
        except OSError as error:
            why = f"no domain socket can be made: {error.strerror or error}"
            raise OSError(error.errno, why, path) from error

    async def stop(self) -> None:
        """Cut all connections, as a machine that dies."""
        if self._site is not None:
            await self._site.stop(abort=True)

    def abandon(self) -> None:
        """The same, for an agent that has failed."""
        if self._site is not None:
            self._site.abandon()

    def _route(self, app: web.Application) -> None:
        readers = {
            "state": self._state,
            "flags": self._flags,
            "metrics/snapshot": self._metrics,
            "containers": self._containers,
            "files/browse": self._browse,
            "files/read": self._read,
            "files/download": self._download,
        }
        for prefix in ("", r"/{agent:slave\(\d+\)}"):
            for end in ("", "/"):
                app.router.add_route("*", f"{prefix}/api/v1/executor{end}", self._executor)
                app.router.add_route("*", f"{prefix}/api/v1{end}", self._operator)
            for end in ("", ".json"):
                app.router.add_get(f"{prefix}/health{end}", self._health)
                app.router.add_get(f"{prefix}/version{end}", self._version)
                for name, handler in readers.items():
                    app.router.add_route("*", f"{prefix}/{name}{end}", self._reader(handler))

    def _reader(self, handler: http.Handler) -> http.Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._let_in(request, "readonly")
            if request.method not in {"GET", "HEAD"}:
                raise http.method_not_allowed(request.method, ["GET"])
            return await handler(request)

        return handle

    def _let_in(self, request: web.Request, realm: str) -> None:
        """Ask for credentials, if the setting of the realm says so."""
        credentials = dict(self._settings.http_credentials)
        required = bool(getattr(self._settings, f"authenticate_http_{realm}"))
        http.principal_of(request, credentials, f"mesos-agent-{realm}", required=required)

    async def _executor(self, request: web.Request) -> web.StreamResponse:
        claims = self._claims(request)
        call = await _posted(request, Call)
        http.refuse(refusal(call))
        if call.type == Call.HEARTBEAT:
            return http.plain(202)
        key, stream = next(self._keys), None
        if call.type == Call.SUBSCRIBE:
            content_type = http.chosen_type(request.headers.get("Accept"))
            stream = self.streams[key] = http.RecordStream(content_type, max_backlog=MAX_BACKLOG)
        try:
            answer: CallAnswer = await self._ask(ExecutorCalled(call.SerializeToString(), key, claims))
            if stream is None or answer.status != 200:
                return http.plain(answer.status, answer.text)
            return await stream.run(request, {})
        finally:
            self.streams.pop(key, None)

    def _claims(self, request: web.Request) -> Claims | None:
        """Who calls, by a bearer token that this agent has signed; None where nobody is asked."""
        if not self._key:
            return None
        challenge = 'Bearer realm="mesos-agent-executor"'
        header = request.headers.get("Authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            claims = tokens.claims_of(self._key, token) if scheme.lower() == "bearer" else None
            if claims is not None:
                return claims
            challenge += ', error="invalid_token", error_description="No token that this agent has signed"'
        raise http.Refused(401, "401 Unauthorized.", {"WWW-Authenticate": challenge})

    async def _ask(self, question: Any) -> Any:
        try:
            return await self._agent.ask(question, block=False)
        except ActorDeadError:
            raise http.Refused(503, "Agent is terminating") from None

    async def _operator(self, request: web.Request) -> web.StreamResponse:
        self._let_in(request, "readwrite")
        call = await _posted(request, AgentCall)
        if not call.HasField("type") or call.type == AgentCall.UNKNOWN:
            raise http.Refused(400, "Failed to validate agent::Call: Expecting 'type' to be present")
        content_type = http.chosen_type(request.headers.get("Accept"))
        if call.type == AgentCall.LIST_FILES:
            listed = Response.ListFiles(file_infos=self._files.file_infos(call.list_files.path))
            response = Response(type=Response.LIST_FILES, list_files=listed)
        elif call.type == AgentCall.READ_FILE:
            ask = call.read_file
            data, size = self._files.read(
                ask.path, ask.offset, ask.length if ask.HasField("length") else None
            )
            response = Response(type=Response.READ_FILE, read_file=Response.ReadFile(size=size, data=data))
        else:
            response = await self._view(call.type)
        headers = {"Content-Type": content_type.value}
        return web.Response(body=serialize(response, content_type), headers=headers)

    async def _view(self, kind: "AgentCall.Type.ValueType") -> Response:
        response: bytes | None = await self._ask(OperatorCalled(kind))
        if response is None:
            name = AgentCall.Type.Name(kind)
            raise http.Refused(501, f"{name} is not implemented by the embedded cluster's agents")
        return Response.FromString(response)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return http.plain(200)

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return http.json_answer(BUILD)

    async def _state(self, request: web.Request) -> web.StreamResponse:
        text: str = await self._ask(QueryState())
        return web.Response(body=text.encode(), headers={"Content-Type": "application/json"})

    async def _flags(self, request: web.Request) -> web.StreamResponse:
        flags = (await self._view(AgentCall.GET_FLAGS)).get_flags.flags
        return http.json_answer({"flags": {flag.name: flag.value for flag in flags}})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        metrics = (await self._view(AgentCall.GET_METRICS)).get_metrics.metrics
        return http.json_answer({metric.name: metric.value for metric in metrics})

    async def _containers(self, request: web.Request) -> web.StreamResponse:
        containers = (await self._view(AgentCall.GET_CONTAINERS)).get_containers
        return http.json_answer(to_json(containers).get("containers", []))

    async def _browse(self, request: web.Request) -> web.StreamResponse:
        return http.json_answer(self._files.browse(request.query.get("path", "")))

    async def _read(self, request: web.Request) -> web.StreamResponse:
        offset, length = _number(request, "offset"), _number(request, "length")
        path = request.query.get("path", "")
        data, size = self._files.read(path, offset, length if length >= 0 else None)
        shown = size if offset < 0 else offset
        return http.json_answer({"data": data.decode("utf-8", "replace"), "offset": shown})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file = self._files.file(request.query.get("path", ""), "download")
        name = file.name.encode("utf-8", "replace").decode()
        headers = {"Content-Disposition": content_disposition_header("attachment", filename=name)}
        return web.FileResponse(file, headers=headers, chunk_size=PAGE)


async def _posted(request: web.Request, cls: type[M]) -> M:
    if request.method != "POST":
        raise http.method_not_allowed(request.method, ["POST"])
    return http.parse_message(await request.read(), request.headers.get("Content-Type"), cls)


def _make_room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "-1")
    try:
        return int(text)
    except ValueError:
        raise http.Refused(400, f"Failed to parse {name}: '{text}' is not a number.\n") from None


class Files:
    """What may be looked into."""

    def __init__(self, work_dir: Path, agent_id: Callable[[], str]) -> None:
        self._work_dir = work_dir
        self._agent_id = agent_id

    def resolve(self, path: str) -> Path:
        """A path of a client as one on the disk; 404 for what is not there or not to be seen."""
        if not path:
            raise http.Refused(400, "Expecting 'path=value' in query.\n")
        root = Path(os.path.realpath(self._work_dir))
        wanted = Path(path)
        if path.startswith(("/frameworks/", "frameworks/")):
            wanted = root / "slaves" / self._agent_id() / path.lstrip("/")
        try:
            real = Path(os.path.realpath(wanted))
            seen = any(real.is_relative_to(root / part) for part in ("slaves", "volumes")) and real.exists()
        except (OSError, ValueError):  # a name that is too long, or that no file can have
            seen = False
        if not seen:
            raise http.Refused(404)
        return real

    def file(self, path: str, wanted: str) -> Path:
        """A file that a client wants to read or download; 400 for a folder."""
        file = self.resolve(path)
        if file.is_dir():
            raise http.Refused(400, f"Cannot {wanted} a directory.\n")
        if not file.is_file():
            raise http.Refused(404)  # a pipe would keep everybody waiting
        return file

    def file_infos(self, path: str) -> list[pb.mesos.FileInfo]:
        """The entries of a folder, by name, for LIST_FILES."""
        folder = self.resolve(path)
        if not folder.is_dir():
            raise http.Refused(404)
        with _gone_is_404():
            return [_info(item, path) for item in sorted(folder.iterdir())]

    def browse(self, path: str) -> list[dict[str, Any]]:
        """The same as the JSON of `/files/browse`."""
        return [
            to_json(info) | {"mtime": info.mtime.nanoseconds / NANOS, "mode": stat.filemode(info.mode)}
            for info in self.file_infos(path)
        ]

    def read(self, path: str, offset: int, length: int | None) -> tuple[bytes, int]:
        """A piece of a file, up to a page, and the file's size; an offset of -1 asks only for that."""
        file = self.file(path, "read")
        with _gone_is_404(), file.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            if not 0 <= offset < size:
                return b"", size
            source.seek(offset)
            return source.read(PAGE if length is None else min(length, PAGE)), size


@contextmanager
def _gone_is_404() -> Iterator[None]:
    """What a task removes, or takes its rights from, while it is looked at."""
    try:
        yield
    except OSError:
        raise http.Refused(404) from None


def _info(item: Path, shown: str) -> pb.mesos.FileInfo:
    found = item.lstat()
    try:
        followed = item.stat()
    except OSError:
        followed = found
    return pb.mesos.FileInfo(
        path=f"{shown.rstrip('/')}/{item.name}",
        nlink=found.st_nlink,
        size=followed.st_size,
        mtime=pb.mesos.TimeInfo(nanoseconds=followed.st_mtime_ns),
        mode=followed.st_mode,
        uid=_name(lambda: pwd.getpwuid(found.st_uid).pw_name, found.st_uid),
        gid=_name(lambda: grp.getgrgid(found.st_gid).gr_name, found.st_gid),
    )


def _name(look_up: Any, number: int) -> str:
    try:
        return str(look_up())
    except KeyError:
        return str(number)
