"""The framework's own HTTP server: code for agents to fetch, a place for executors to upload to.

Agents fetch `GET /artifacts/<name>` without credentials (their fetcher has none; the names are hashes). Everything that
writes needs the bearer token that executors get with their start-up letter. A file counts as uploaded when all of it is
there: it is written aside and moved into place, and only then the scheduler hears of it.

| request | answer |
|---|---|
| `GET /health` | 200, JSON |
| `GET /artifacts/<name>` | 200, the archive |
| `PUT /uploads/<name>` | 201, JSON `{"name", "url", "size"}`; 413 when too large |
| `GET /uploads/<name>` | 200, with the token |
| `PUT /traces/<executor>?offset=N` | 204; 409 with `{"offset": M}` when N is beyond what is there |
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import re
import socket
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from actors import messages as m
from actors.artifacts import Artifact, ArtifactError, build_artifact
from actors.runtime import Actor, receive, setting
from actors.settings import Composition
from mesos_v1 import origins
from mesos_v1.values import TaskId

logger = logging.getLogger("actors.server")

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=@+-]{0,199}")
_CHUNK = 256 * 1024
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and what it takes."""

    host: str = setting(
        "",
        help="Address to listen on; empty: loopback when the master is on this machine, else all addresses.",
    )
    port: int = setting(0, help="Port to listen on; 0: any that is free.")
    advertise: str = setting(
        "", help="Host name or address that agents reach this server under; empty: found out."
    )
    upload_dir: str = setting("", help="Folder for uploads; empty: a temporary one.", unit="path")
    max_upload: int = setting(64 * 1024 * 1024, help="Largest upload, in bytes.", unit="bytes")


class ServerError(Exception):
    """The server cannot serve; one sentence for the user."""


class ServerActor(Actor):
    """Serves artifacts and takes uploads; see the head of this module."""

    Settings = ServerSettings

    def __init__(self, composition: Composition, settings: ServerSettings) -> None:
        super().__init__()
        self.composition = composition
        self.settings = settings
        self.url = ""
        self._token = composition.token
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._artifacts: dict[str, Artifact] = {}
        self._upload_dir = Path()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def on_start(self) -> None:
        """Say that a server is there (again); the scheduler answers with `OpenServer`."""
        self.tell("scheduler", m.ActorStarted("server"))

    async def on_stop(self) -> None:
        """Stop serving; a temporary upload folder goes with it."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._temporary is not None:
            self._temporary.cleanup()

    @receive
    async def open(self, asked: m.OpenServer) -> m.ServerReady:
        """Pack the executors' code and listen.

        Raises:
            ServerError: The port is taken, or a package cannot be shipped.
        """
        try:
            artifacts = await self.in_thread(self._build_artifacts)
        except (ArtifactError, OSError) as error:
            raise ServerError(str(error)) from error
        if self._runner is None:
            await self._listen(asked.port)
        return m.ServerReady(
            self.url,
            str(self._upload_dir),
            tuple((name, f"{self.url}/artifacts/{artifact.name}") for name, artifact in artifacts),
            self._port,
        )

    def _build_artifacts(self) -> list[tuple[str, Artifact]]:
        built: dict[tuple[str, ...], Artifact] = {}
        artifacts = []
        for executor in self.composition.executors:
            artifact = built.get(executor.packages) or build_artifact(executor.packages)
            built[executor.packages] = self._artifacts[artifact.name] = artifact
            artifacts.append((executor.name, artifact))
        return artifacts

    async def _listen(self, earlier_port: int) -> None:
        if self.settings.upload_dir:
            self._upload_dir = Path(self.settings.upload_dir)
            self._upload_dir.mkdir(parents=True, exist_ok=True)
        else:
            self._temporary = tempfile.TemporaryDirectory(prefix="uploads-")
            self._upload_dir = Path(self._temporary.name)
        app = web.Application(client_max_size=self.settings.max_upload, middlewares=[self._own_pages_only])
        app.router.add_get("/health", self._health)
        app.router.add_get("/artifacts/{name}", self._get_artifact)
        app.router.add_put("/uploads/{name:.+}", self._put_upload)
        app.router.add_get("/uploads/{name:.+}", self._get_upload)
        app.router.add_put("/traces/{executor}", self._put_trace)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        local = master_is_local(self.composition.framework.masters()[0])
        host = self.settings.host or ("127.0.0.1" if local else "0.0.0.0")
        port = await _bind(runner, host, self.settings.port, earlier_port)
        self._runner, self._port = runner, port
        name = self.settings.advertise or await self.in_thread(self._reachable_as, host)
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def _reachable_as(self, host: str) -> str:
        """Return this machine's address as the master's network sees it; nothing is sent to find out."""
        if host not in {"", "0.0.0.0", "::"}:
            return host
        master = master_host(self.composition.framework.masters()[0])
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((master or "192.0.2.1", 9))
                return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()

    @web.middleware
    async def _own_pages_only(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse what a web page from elsewhere may have sent through a browser on this machine."""
        local = request.transport.get_extra_info("sockname") if request.transport is not None else None
        why = origins.refusal(
            hosts=request.headers.getall("Host", []),
            origins=request.headers.getall("Origin", []),
            fetch_sites=request.headers.getall("Sec-Fetch-Site", []),
            names={
                self.settings.host.lower(),
                urlsplit(self.url).hostname or "",
                socket.gethostname().lower(),
            },
            address=str(local[0]) if isinstance(local, tuple) else "",
        )
        if why is not None:
            raise web.HTTPForbidden(text=why)
        return await handler(request)

    # --- requests; they run beside the actor and tell the scheduler only what is done -------------------------

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "framework": self.composition.framework.name})

    async def _get_artifact(self, request: web.Request) -> web.Response:
        artifact = self._artifacts.get(request.match_info["name"])
        if artifact is None:
            raise web.HTTPNotFound(text="no such artifact")
        return web.Response(body=artifact.data, content_type="application/gzip")

    async def _put_upload(self, request: web.Request) -> web.Response:
        self._check_token(request)
        name = _checked_name(request.match_info["name"])
        path = self._upload_dir / name
        size = await self._take(request, path)
        task = request.headers.get("Mesostic-Task", "")
        uploaded = m.Uploaded(
            name,
            str(path),
            size,
            request.content_type,
            f"{self.url}/uploads/{name}",
            TaskId(task) if task else None,
        )
        self.tell("scheduler", uploaded)
        return web.json_response({"name": name, "url": uploaded.url, "size": size}, status=201)

    async def _take(self, request: web.Request, path: Path) -> int:
        limit = self.settings.max_upload
        if request.content_length is not None and request.content_length > limit:
            raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=request.content_length)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=".upload-", dir=self._upload_dir)
        size = 0
        try:
            with os.fdopen(handle, "wb") as file:
                async for chunk in request.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=size)
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(Path(aside).replace, path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)  # noqa: ASYNC240 - also when the request was cancelled
            raise
        return size

    async def _get_upload(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        path = self._upload_dir / _checked_name(request.match_info["name"])
        if not path.is_file():
            raise web.HTTPNotFound(text="no such upload")
        return web.FileResponse(path)

    async def _put_trace(self, request: web.Request) -> web.Response:
        self._check_token(request)
        if not self.composition.trace_file:
            raise web.HTTPNotFound(text="this framework writes no trace")
        name = _checked_name(request.match_info["executor"])
        try:
            offset = int(request.query.get("offset", "0"))
        except ValueError:
            raise web.HTTPBadRequest(text="offset must be a number") from None
        data = await request.read()
        path = Path(f"{self.composition.trace_file}.executors") / f"{name}.trace"
        path.parent.mkdir(parents=True, exist_ok=True)
        there = path.stat().st_size if path.exists() else 0
        if not 0 <= offset <= there:
            return web.json_response({"offset": there}, status=409)
        with path.open("r+b" if there else "wb") as file:
            file.seek(offset)
            file.write(data)
        return web.Response(status=204)

    def _check_token(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized(text="a valid token is needed", headers={"WWW-Authenticate": "Bearer"})


def _checked_name(name: str) -> str:
    if len(name) > 500 or not all(_SEGMENT.fullmatch(segment) for segment in name.split("/")):
        raise web.HTTPBadRequest(text="not a name for a file here")
    return name


async def _bind(runner: web.AppRunner, host: str, port: int, earlier_port: int) -> int:
    """Listen on the port asked for; on the one of an earlier run if any will do and it is free; else on any."""
    wanted = (port,) if port else tuple(dict.fromkeys((earlier_port, 0)))
    for candidate in wanted:
        try:
            await web.TCPSite(runner, host, candidate, reuse_address=True).start()
        except OSError as error:
            if candidate == wanted[-1]:
                reason = error.strerror or error
                raise ServerError(
                    f"the framework's server cannot listen on {host}:{candidate}: {reason} "
                    "(set another [server] port, or 0 for any that is free)"
                ) from error
        else:
            return int(runner.addresses[-1][1])
    raise AssertionError


def master_host(master: str) -> str:
    """Return the host of a master's address (of the first ZooKeeper server, for `zk://`)."""
    rest = master.partition("://")[2] or master
    authority = rest.partition("/")[0].rpartition("@")[2].partition(",")[0]
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def master_is_local(master: str) -> bool:
    """Return whether the master is on this machine's loopback, so that agents surely are, too."""
    host = master_host(master)
    return host in LOOPBACK or host.startswith("127.")
