"""Serves the example's own small web site on loopback, with everything that is wrong with it on purpose.

Most pages are the files in `site/`; `_MISBEHAVIOUR` says how the others behave. `SiteServer` serves any other folder too
(without misbehaviour), which is how the tests crawl a large real site without a network.

    python -m examples.rendler.site_server [--port 8000] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from aiohttp import web

SITE = Path(__file__).parent / "site"

SLOW_SECONDS = 1.0
TOO_LARGE_BYTES = 12 * 1024 * 1024
REFUSALS_BEFORE_ANSWER = 2

_Handler = Callable[["SiteServer", web.Request], Awaitable[web.StreamResponse]]


async def _slow(server: SiteServer, request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(SLOW_SECONDS)
    return server.file_response(request.path)


async def _never(server: SiteServer, _request: web.Request) -> web.StreamResponse:
    await server.stopping.wait()
    return web.Response(status=503)


async def _at_the_third_knock(server: SiteServer, request: web.Request) -> web.StreamResponse:
    """Refuses twice, then answers: what a retry is for."""
    if server.visits[request.path] <= REFUSALS_BEFORE_ANSWER:
        return web.Response(status=503, text="Knock again.", headers={"Retry-After": "1"})
    return server.file_response(request.path)


def _redirect(status: int, to: str) -> _Handler:
    async def redirect(_server: SiteServer, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": to})

    return redirect


async def _too_large(_server: SiteServer, request: web.Request) -> web.StreamResponse:
    """An HTML page of many megabytes, sent without saying how long it is."""
    response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
    await response.prepare(request)
    await response.write(b"<!doctype html><title>Every rock</title><ol>")
    rocks = b"<li>A rock.</li>" * 4096
    with contextlib.suppress(ConnectionError):
        for _ in range(TOO_LARGE_BYTES // len(rocks)):
            await response.write(rocks)
    return response


async def _endless_picture(server: SiteServer, request: web.Request) -> web.StreamResponse:
    """A picture of which the beginning comes, and nothing after it: the page around it never finishes loading."""
    response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": "100000"})
    await response.prepare(request)
    await response.write((SITE / "images" / "sea-eider.png").read_bytes()[:1000])
    await server.stopping.wait()
    return response


_MISBEHAVIOUR: dict[str, _Handler] = {
    "/slow-boat.html": _slow,
    "/never-lands.html": _never,
    "/harbour-log.html": _at_the_third_knock,
    "/old-timetable": _redirect(301, "/routes/index.html"),
    "/ferry/round-and-round": _redirect(302, "/ferry/and-round-again"),
    "/ferry/and-round-again": _redirect(302, "/ferry/round-and-round"),
    "/charts/every-rock.html": _too_large,
    "/camera/live.png": _endless_picture,
}


class SiteServer:
    """An asynchronous context manager: `async with SiteServer() as server: server.url`."""

    def __init__(self, folder: Path = SITE, *, port: int = 0, misbehave: bool = True) -> None:
        self.folder = folder.resolve()
        self.visits: collections.Counter[str] = collections.Counter()
        self.stopping = asyncio.Event()
        self.url = ""
        self._port = port
        self._misbehaviour = _MISBEHAVIOUR if misbehave else {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.visits[request.path] += 1
        handler = self._misbehaviour.get(request.path)
        return self.file_response(request.path) if handler is None else await handler(self, request)

    def file_response(self, path: str) -> web.StreamResponse:
        """The file at a URL's path, or a 404; never anything outside the folder."""
        file = (self.folder / path.lstrip("/")).resolve()
        if file.is_dir():
            file /= "index.html"
        if not file.is_relative_to(self.folder) or not file.is_file():
            body = "<!doctype html><title>404</title><h1>Not here</h1><p><a href='/'>Back to the beginning</a></p>"
            return web.Response(status=404, text=body, content_type="text/html")
        content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        charset = "utf-8" if content_type.startswith("text/") else None
        return web.Response(body=file.read_bytes(), content_type=content_type, charset=charset)


async def _serve(folder: Path, port: int) -> None:
    async with SiteServer(folder, port=port, misbehave=folder == SITE) as server:
        print(f"serving {folder} on {server.url} (Ctrl-C ends it)", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve RENDLER's demo site, or any folder, on loopback.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--folder", type=Path, default=SITE)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.folder, arguments.port))


if __name__ == "__main__":
    main()
