"""The framework's own HTTP server: code for agents to fetch, a place for executors to upload to.

Agents fetch `GET /artifacts/<name>` without credentials (their fetcher has none; the names are hashes). Everything that
writes needs the bearer token that executors get with their start-up letter. A file counts as uploaded when all of it is
there and the store knows of it: it is written aside, moved into place, stored, and only then told to the scheduler and
answered. With a durable store, files lie beside it, and what was answered 201 is told even if the scheduler is killed.
Where several processes share a store, a write is answered 503 from the time on before which the leader's lease certainly holds.

| request | answer |
|---|---|
| `GET /health` | to whatever name it was sent: 200, or 503 when not all is well; JSON `{"status", "framework", "subscribed", "store"}` |
| `GET /artifacts/<name>` | 200, the archive |
| `GET /given-up` | 200, with the token: JSON `{"given_up": [{"task_id", "name", "attempts", "state", "reason", "message", "executor", "agent_id", "when"}]}`, the tasks that failed for good lately, oldest first |
| `PUT /uploads/<name>` | 201, JSON `{"name", "url", "size"}`; 409 when there is a folder or file in its way; 413 when too large; 503 or 507 when it cannot be stored now |
| `GET /uploads/<name>` | 200, with the token |
| `PUT /traces/<executor>?offset=N` | 204; 409 with `{"offset": M}` when N is beyond what is there |
"""

import asyncio
import contextlib
import errno
import gzip
import hashlib
import hmac
import importlib.util
import io
import logging
import math
import os
import re
import socket
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from actors import messages as m
from actors.framework_settings import OWN_PACKAGES, Composition
from actors.records import UPLOAD, Writes
from actors.runtime import Actor, ActorDeadError, message, receive, setting
from actors.temporary import TemporaryFolder, remove_leftovers_aside, sync_folder
from mesos_v1 import origins
from mesos_v1.values import TaskId
from wire.framework_server import TASK_HEADER, TRACES, UPLOADS

logger = logging.getLogger("actors.server")
_protocol_logger = logging.getLogger("actors.server.http")
"""What aiohttp says of malformed requests: tracebacks, with which anyone on the network could fill a log."""
_protocol_logger.addFilter(lambda _record: logger.isEnabledFor(logging.DEBUG))

STORE_PATIENCE = 20.0  # seconds that an upload waits for the store, before its sender is asked to come again
HEALTH_PATIENCE = 2.0  # seconds in which a healthy actor answers
_ASIDE = ".upload-"
_TEMPORARY = "mesostic-uploads-"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_IN_THE_WAY = (FileExistsError, NotADirectoryError, IsADirectoryError)
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=@+-]{0,199}")
_CHUNK = 256 * 1024

_SKIPPED_SUFFIXES = frozenset({".pyc", ".pyo", ".proto", ".pyi"})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and what it takes."""

    host: str = setting(
        "",
        help="Address to listen on; empty: loopback when the master is on this machine, else all addresses.",
    )
    port: int = setting(0, help="Port to listen on; 0: any that is free.")
    advertise: str = setting(
        "", help="Host name or address under which agents reach this server; empty: detected."
    )
    upload_dir: str = setting(
        "",
        help="Folder for uploads; empty: beside a durable store (<store>.uploads), else a temporary one.",
        unit="path",
    )
    max_upload: int = setting(64 * 1024 * 1024, help="Largest upload, in bytes.", unit="bytes")


class ServerError(Exception):
    """The server cannot serve; one sentence for the user."""


class ArtifactError(Exception):
    """A package cannot be shipped; one sentence that names it."""


class Artifact(NamedTuple):
    """An archive ready to be served."""

    name: str
    data: bytes


def build_artifact(packages: Iterable[str]) -> Artifact:
    """Pack our own packages and these (ArtifactError: one of them is not there) as what executors run.

    Packages are named by import name (found as Python finds them) or by the path of a package folder or `.py` file. Times,
    owners and modes are fixed, so that a name made of the content's hash is the same on every run and agents' caches stay good.
    """
    files: dict[str, Path] = {}
    for package in (*OWN_PACKAGES, *packages):
        files.update(_files_of(package))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            data = files[name].read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 0
            archive.addfile(entry, io.BytesIO(data))
    packed = gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)
    return Artifact(f"code-{hashlib.sha256(packed).hexdigest()[:16]}.tar.gz", packed)


def _files_of(package: str) -> dict[str, Path]:
    path = Path(package) if "/" in package or package.endswith(".py") else _location(package)
    if path.is_file():
        return {path.name: path}
    if path.is_dir():
        files = {file.relative_to(path): file for file in sorted(path.rglob("*")) if file.is_file()}
        return {str(Path(path.name) / name): file for name, file in files.items() if _wanted(name)}
    raise ArtifactError(f"the package {package} to ship to executors is not there: {path} does not exist")


def _location(package: str) -> Path:
    top = package.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ArtifactError(f"the package {package} to ship to executors cannot be found")
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise ArtifactError(f"the package {package} to ship to executors is not made of Python files")
    return Path(spec.origin)


def _wanted(relative: Path) -> bool:
    hidden = any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
    return relative.suffix not in _SKIPPED_SUFFIXES and not hidden


@message
class Keep:
    """The bytes of an upload are there: store that, and tell it."""

    upload: m.Uploaded


class ServerActor(Actor):
    """Serves artifacts and takes uploads; see the head of this module."""

    Settings = ServerSettings

    def __init__(self, composition: Composition, settings: ServerSettings) -> None:
        self.composition = composition
        self.settings = settings
        self.url = ""
        self._token = composition.token
        self._leadership = composition.leadership
        self._leads_until = math.inf if self._leadership is None else self._leadership.until
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._artifacts: dict[str, Artifact] = {}
        self._upload_dir = Path()
        self._store_files = composition.store_files
        self._keeping: Writes[m.Uploaded] = Writes(self)
        self._waiting: dict[str, asyncio.Future[None]] = {}  # by the upload's key: who is to be answered

    def on_start(self) -> None:
        """Report to the scheduler, which answers with `OpenServer`."""
        self.tell("scheduler", m.ActorStarted("server"))

    async def on_stop(self) -> None:
        """Stop serving; a temporary upload folder goes with it."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self.composition.kept.uploads is not None:
            self.composition.kept.remove()
        elif self._store_files and not self.settings.upload_dir and self._upload_dir != Path():
            with contextlib.suppress(OSError):
                self._upload_dir.rmdir()  # if it is empty

    def on_failure(self, *_failure: object) -> None:
        """Free the port for the next instance, and hang up: clients that wait for an answer ask again, and reach that one."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None and self._runner.server is not None:
            for connection in self._runner.server.connections:
                connection.force_close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(TimeoutError())

    @receive
    async def handle_open_server(self, asked: m.OpenServer) -> m.ServerReady:
        """Pack the executors' code and listen (ServerError: the port is taken, or a package cannot be shipped)."""
        try:
            artifacts = await self.in_thread(self._build_artifacts)
        except (ArtifactError, OSError) as error:
            raise ServerError(str(error)) from error
        if self._runner is None:
            await self._listen(asked.port)
        urls = tuple((name, f"{self.url}/artifacts/{artifact.name}") for name, artifact in artifacts)
        return m.ServerReady(self.url, str(self._upload_dir), urls, self._port)

    def _build_artifacts(self) -> list[tuple[str, Artifact]]:
        built: dict[tuple[str, ...], Artifact] = {}
        artifacts = []
        for executor in self.composition.executors:
            artifact = built.get(executor.packages) or build_artifact(executor.packages)
            built[executor.packages] = self._artifacts[artifact.name] = artifact
            artifacts.append((executor.name, artifact))
        return artifacts

    @receive
    def handle_leading(self, leading: m.Leading) -> None:
        if self._leadership is not None and leading.epoch == self._leadership.version:
            self._leads_until = leading.until

    def _check_lead(self) -> None:
        if self.clock.now() >= self._leads_until:
            raise web.HTTPServiceUnavailable(text="this process does not lead its framework at the moment")

    @receive
    def handle_keep(self, asked: Keep) -> None:
        self._keeping.store(UPLOAD.record(asked.upload.key, asked.upload), then=asked.upload)

    @receive
    def handle_stored(self, stored: m.Stored) -> None:
        """An upload is durable: tell the scheduler, then answer. One that was given up meanwhile will come again."""
        upload = self._keeping.answered(stored)
        if upload is None:
            return  # asked for by an instance that failed; the next run tells it
        answer = self._waiting.get(upload.key)
        if answer is None or answer.done():
            self.tell("store", m.Write((), (UPLOAD.key(upload.key),)))
            return
        self.tell("scheduler", upload)
        answer.set_result(None)

    def _open_upload_dir(self) -> None:
        kept = self.composition.kept
        if self.settings.upload_dir or self._store_files:
            self._upload_dir = Path(self.settings.upload_dir or f"{self._store_files}.uploads").absolute()
        else:
            if kept.uploads is None:
                kept.uploads = TemporaryFolder(_TEMPORARY)
                remove_leftovers_aside(_TEMPORARY)
            self._upload_dir = kept.uploads.path / "uploads"
        self._upload_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._store_files and not self.settings.upload_dir:
            for leftover in self._upload_dir.glob(f"{_ASIDE}*"):  # a run that was killed
                leftover.unlink()

    async def _listen(self, earlier_port: int) -> None:
        try:
            self._open_upload_dir()
        except OSError as error:
            raise ServerError(
                f"the folder for uploads cannot be used: {error} (set another [server] upload_dir)"
            ) from error
        app = web.Application(
            client_max_size=self.settings.max_upload, middlewares=[_answered, self._own_pages_only]
        )
        app.router.add_get("/health", self._health)
        app.router.add_get("/artifacts/{name}", self._get_artifact)
        app.router.add_get("/given-up", self._get_given_up)
        app.router.add_put(f"{UPLOADS}/{{name:.+}}", self._put_upload)
        app.router.add_get(f"{UPLOADS}/{{name:.+}}", self._get_upload)
        app.router.add_put(f"{TRACES}/{{executor}}", self._put_trace)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, logger=_protocol_logger)
        await runner.setup()
        master = self.composition.framework.masters()[0]
        host = self.settings.host or ("127.0.0.1" if origins.is_loopback(master_host(master)) else "0.0.0.0")
        wanted = self.settings.port
        ports = (wanted,) if wanted and self._leadership is None else (wanted or earlier_port, 0)
        self._runner, self._listener = runner, await _bind(runner, host, ports)
        self._port = port = int(self._listener.sockets[-1].getsockname()[1])
        name = self.settings.advertise or await self.in_thread(reachable_as, host, master)
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{port}"

    @web.middleware
    async def _own_pages_only(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what a web page from elsewhere may have sent through a browser on this machine."""
        local = request.transport.get_extra_info("sockname") if request.transport is not None else None
        headers = request.headers
        names = {self.settings.host.lower(), urlsplit(self.url).hostname or "", socket.gethostname().lower()}
        if request.path == "/health":  # it says nothing secret, and load balancers ask by names of their own
            names.add(origins.host_name(headers.get("Host", "")) or "")
        why = origins.refusal(
            hosts=headers.getall("Host", []),
            origins=headers.getall("Origin", []),
            fetch_sites=headers.getall("Sec-Fetch-Site", []),
            names=names,
            address=str(local[0]) if isinstance(local, tuple) else "",
        )
        if why is not None:
            raise web.HTTPForbidden(text=why)
        return await handler(request)

    # --- requests; they run beside the actor and tell the scheduler only what is done -------------------------

    async def _health(self, _request: web.Request) -> web.Response:
        subscribed, store = await asyncio.gather(self._is_well("scheduler"), self._is_well("store"))
        well = subscribed and store
        said = {
            "status": "ok" if well else "unwell",
            "framework": self.composition.framework.name,
            "subscribed": subscribed,
            "store": store,
        }
        return web.json_response(said, status=200 if well else 503)

    async def _is_well(self, name: str) -> bool:
        try:
            async with asyncio.timeout(HEALTH_PATIENCE):
                health: m.Health = await self.ref(name).ask(m.AskHealth(), block=False)
        except (TimeoutError, ActorDeadError):
            return False
        return health.well

    async def _get_artifact(self, request: web.Request) -> web.Response:
        artifact = self._artifacts.get(request.match_info["name"])
        if artifact is None:
            raise web.HTTPNotFound(text="no such artifact")
        return web.Response(body=artifact.data, content_type="application/gzip")

    async def _get_given_up(self, request: web.Request) -> web.Response:
        self._check_token(request)
        try:
            async with asyncio.timeout(HEALTH_PATIENCE):
                known: m.GivenUpTasks = await self.ref("scheduler").ask(m.AskGivenUp(), block=False)
        except (TimeoutError, ActorDeadError):
            raise web.HTTPServiceUnavailable(text="the scheduler does not answer at the moment") from None
        told = [
            asdict(each) | {"when": datetime.fromtimestamp(each.when, UTC).isoformat(timespec="seconds")}
            for each in known.tasks
        ]
        return web.json_response({"given_up": told})

    async def _put_upload(self, request: web.Request) -> web.Response:
        self._check_token(request)
        name = _checked_name(request.match_info["name"])
        path = self._upload_dir / name
        try:
            size = await self._take(request, path)
        except _IN_THE_WAY:
            raise web.HTTPConflict(
                text=f"{name} cannot be uploaded: a file or a folder of an earlier upload is in its way"
            ) from None
        task = unquote(request.headers.get(TASK_HEADER, ""))
        url, kind = f"{self.url}{UPLOADS}/{name}", _printable(request.content_type)
        task_id = TaskId(_printable(task)) if task else None
        upload = m.Uploaded(name, str(path), size, kind, url, task_id, self.ids.uuid())
        answer = self._waiting[upload.key] = asyncio.get_running_loop().create_future()
        self.tell(self.actor_ref, Keep(upload))
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                await answer
        except TimeoutError:
            raise web.HTTPServiceUnavailable(
                text=f"{name} is not stored yet: the framework's store cannot write at the moment"
            ) from None
        finally:
            del self._waiting[upload.key]
        self._check_lead()
        return web.json_response({"name": name, "url": upload.url, "size": size}, status=201)

    async def _take(self, request: web.Request, path: Path) -> int:
        limit = self.settings.max_upload
        if request.content_length is not None and request.content_length > limit:
            raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=request.content_length)
        handle, aside = tempfile.mkstemp(prefix=_ASIDE, dir=self._upload_dir)  # readable by its user only
        size = 0
        try:
            with os.fdopen(handle, "wb") as file:
                async for chunk in request.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=size)
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(self._put_in_place, file, Path(aside), path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)  # noqa: ASYNC240 - also when the request was cancelled
            raise
        return size

    def _put_in_place(self, file: BufferedWriter, aside: Path, path: Path) -> None:
        """Move a file that is complete to where it belongs; with a durable store, it stays there."""
        file.flush()
        if self._store_files:
            os.fsync(file.fileno())
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside.replace(path)
        if self._store_files:
            for folder in path.parents:
                sync_folder(folder)
                if folder == self._upload_dir:
                    break

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
        asked = request.query.get("offset", "0")
        if not (asked.isascii() and asked.isdigit() and len(asked) <= 18):
            raise web.HTTPBadRequest(text="offset must be a number of bytes")
        offset = int(asked)
        data = await request.read()
        path = Path(f"{self.composition.trace_file}.executors") / f"{name}.trace"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = path.stat().st_size if path.exists() else 0
        if not 0 <= offset <= there:
            return web.json_response({"offset": there}, status=409)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.seek(offset)
            file.write(data)
        return web.Response(status=204)

    def _check_token(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized(text="a valid token is needed", headers={"WWW-Authenticate": "Bearer"})
        if request.method == "PUT":
            self._check_lead()


@web.middleware
async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever a request leads to, and say whose fault it is; no traceback for a client's mistake."""
    try:
        return await handler(request)
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise web.HTTPBadRequest(text="the request was cut off") from None
        reason = error.strerror or str(error)
        logger.error("%s %s failed: %s", request.method, request.rel_url.raw_path, error)
        if error.errno in _NO_ROOM:
            raise web.HTTPInsufficientStorage(text=f"the framework's server has no room: {reason}") from None
        raise web.HTTPServiceUnavailable(
            text=f"the framework's server cannot do this now: {reason}"
        ) from None
    except (ValueError, OverflowError, web.RequestPayloadError) as error:
        raise web.HTTPBadRequest(text=f"not a request that can be understood: {error}") from None
    except web.HTTPException:
        raise
    except Exception:
        logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
        raise


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _checked_name(name: str) -> str:
    if len(name) > 500 or not all(_SEGMENT.fullmatch(segment) for segment in name.split("/")):
        raise web.HTTPBadRequest(text="not a name for a file here")
    return name


async def _bind(runner: web.AppRunner, host: str, ports: Sequence[int]) -> asyncio.Server:
    """Listen on the first of these that is free: the one asked for, or that of an earlier run; 0 is any.

    That of an earlier run, or of a leader on the same machine that was frozen, may be taken.
    """
    for candidate in dict.fromkeys(ports):
        try:
            assert runner.server is not None
            return await asyncio.get_running_loop().create_server(
                runner.server, host, candidate, reuse_address=True, backlog=128
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            if candidate == ports[-1]:
                raise ServerError(
                    f"the framework's server cannot listen on {host}:{candidate}: {reason} "
                    "(set another [server] port, or 0 for any that is free)"
                ) from error
            logger.warning(
                "the framework's server cannot listen on %s:%d as before (%s): it takes another port, and executors that "
                "run already cannot upload",
                host,
                candidate,
                reason,
            )
    raise AssertionError


def master_host(master: str) -> str:
    """Return the host of a master's address (of the first ZooKeeper server, for `zk://`)."""
    return urlsplit((master if "://" in master else f"//{master}").partition(",")[0]).hostname or ""


def reachable_as(host: str, master: str) -> str:
    """Return this machine's address as the master's network sees it; nothing is sent to find out."""
    if host not in {"", "0.0.0.0", "::"}:
        return host
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((master_host(master) or "192.0.2.1", 9))
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
