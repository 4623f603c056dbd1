"""The render executor: takes pictures of pages with one warm Chromium, and uploads them to the framework's server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from examples.rendler.messages import Render, Rendered
from examples.rendler.public_only import Gate
from mesostic import Executor, TaskContext, TaskFailed, setting, task

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession, Page, Playwright, ProxySettings

NO_CHROMIUM = "no Chromium: "
"""How the message of a task begins that failed for want of a browser; the scheduler then stops asking for pictures."""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
HOW_TO_GET_ONE = (
    "there is no Chromium to take pictures with. Install one (Debian, Ubuntu: apt install chromium), "
    "or crawl without pictures: --set scheduler.render=false"
)
_HOW_TO_GET_PLAYWRIGHT = (
    "the Python package playwright is missing, which drives the browser. Install it (pip install 'mesostic[rendler]'), "
    "or crawl without pictures: --set scheduler.render=false"
)
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--hide-scrollbars",
    "--mute-audio",
)
_START_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """`[executors.render.settings]`."""

    timeout: float = setting(15.0, help="How long a page may take to load, in seconds.", unit="seconds")
    width: int = setting(1280, help="Width of the browser's window in pixels.")
    height: int = setting(800, help="Height of the browser's window in pixels.")
    thumbnail_width: int = setting(320, help="Width of the small picture in pixels.")
    chromium: str = setting("", help="Path of the Chromium to use; empty: the first one on the PATH.")
    user_agent: str = setting(
        "Mozilla/5.0 (X11; Linux x86_64) Chromium mesostic-rendler/0.1", help="Who asks, as servers see it."
    )
    parallel: int = setting(4, help="Pages open in the browser at the same time, at most.")


class ChromiumMissingError(Exception):
    """There is nothing to take pictures with; the text says how to get it."""


class BrowserDiedError(Exception):
    """The browser ended under the page; the next picture starts another one."""


def find_chromium(path: str = "") -> str:
    """The Chromium to use: `path`, or the first of `PROGRAMS` on the PATH; ChromiumMissingError says what to do."""
    if importlib.util.find_spec("playwright") is None:
        raise ChromiumMissingError(_HOW_TO_GET_PLAYWRIGHT)
    for program in (path,) if path else PROGRAMS:
        if found := shutil.which(program):
            return found
    named = f"the setting chromium names {path!r}, which is not a program here; " if path else ""
    raise ChromiumMissingError(named + HOW_TO_GET_ONE)


@dataclass(frozen=True, slots=True)
class Shot:
    """A page's picture as PNG, its small version as JPEG, and what was odd about it."""

    picture: bytes
    thumbnail: bytes
    note: str


class Chromium:
    """One warm browser. Each picture gets a context of its own: no cookies, no cache, nothing shared between pages."""

    def __init__(self, program: str, settings: RenderSettings) -> None:
        self._program = program
        self._settings = settings
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._starting = asyncio.Lock()
        self._gate: Gate | None = None
        self.starts = 0

    async def start(self) -> Browser:
        """The running browser; starts one if there is none, or if the last one died."""
        async with self._starting:
            if self._browser is not None and self._browser.is_connected():
                return self._browser
            from playwright.async_api import async_playwright  # takes a while to import

            if self._playwright is None:
                self._playwright = await async_playwright().start()
            as_root = hasattr(os, "geteuid") and os.geteuid() == 0
            self._browser = await self._playwright.chromium.launch(
                executable_path=self._program,
                headless=True,
                args=[*_FLAGS, *(["--no-sandbox"] if as_root else [])],
                timeout=_START_TIMEOUT * 1000,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
            self.starts += 1
            return self._browser

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                if self._browser is not None:
                    await self._browser.close()
                if self._playwright is not None:
                    await self._playwright.stop()
                if self._gate is not None:
                    await self._gate.stop()
        self._browser = self._playwright = None

    async def _proxy(self) -> ProxySettings:
        """What the traffic of a page goes through that may not lead to private addresses."""
        if self._gate is None:
            self._gate = Gate()
            await self._gate.start()
        return {"server": self._gate.url, "bypass": "<-loopback>"}

    async def picture(self, url: str, *, limit: float, public_only: bool = False) -> Shot:
        """Opens a page and takes its picture once it has loaded, or as it is after `limit` seconds.

        Raises TimeoutError if nothing came of the page, BrowserDiedError, or playwright's Error: it cannot be opened.
        """
        from playwright.async_api import Error

        browser = await self.start()
        try:
            context = await browser.new_context(
                viewport={"width": self._settings.width, "height": self._settings.height},
                user_agent=self._settings.user_agent,
                accept_downloads=False,
                service_workers="block",
                ignore_https_errors=False,
                proxy=await self._proxy() if public_only else None,
            )
        except Error as error:
            raise BrowserDiedError(str(error)) from error
        try:
            page = await context.new_page()
            return await self._take(page, url, limit)
        except Error as error:
            if not browser.is_connected() or "crash" in error.message.lower():
                raise BrowserDiedError("the browser ended while it had the page open") from error
            raise
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await context.close()

    async def _take(self, page: Page, url: str, limit: float) -> Shot:
        from playwright.async_api import TimeoutError as PageTimeout

        deadline = time.monotonic() + limit
        note = ""
        try:
            await page.goto(url, wait_until="commit", timeout=limit * 1000)
        except PageTimeout:
            raise TimeoutError from None
        try:
            await page.wait_for_load_state("load", timeout=max(1.0, (deadline - time.monotonic()) * 1000))
        except PageTimeout:
            note = f"still loading after {limit:g} s: pictured as it was"
        session = await page.context.new_cdp_session(page)
        # Not page.screenshot: that waits for fonts, which may never come.
        async with asyncio.timeout(limit):
            picture = await _capture(session, {"format": "png"})
            width, height = self._settings.width, self._settings.height
            scale = min(1.0, self._settings.thumbnail_width / width)
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
            thumbnail = await _capture(session, {"format": "jpeg", "quality": 72, "clip": clip})
        return Shot(picture, thumbnail, note)


async def _capture(session: CDPSession, how: dict[str, Any]) -> bytes:
    """A picture. A browser that has just started may be asked before its first frame, and is asked again."""
    from playwright.async_api import Error

    try:
        taken = await session.send("Page.captureScreenshot", how)
    except Error as error:
        if "Unable to capture" not in error.message:
            raise
        taken = await session.send("Page.captureScreenshot", how)
    return base64.b64decode(taken["data"])


class RenderExecutor(Executor):
    """Keeps one Chromium warm, and starts another when it dies."""

    Settings = RenderSettings
    settings: RenderSettings

    async def on_start(self) -> None:
        self._room = asyncio.Semaphore(self.settings.parallel)
        self._chromium: Chromium | None = None

    async def on_stop(self) -> None:
        if self._chromium is not None:
            await self._chromium.close()

    @task
    async def render(self, page: Render, context: TaskContext) -> Rendered:
        """Takes one picture, and its thumbnail; both are uploaded before the task ends."""
        chromium = self._browser()
        started = time.monotonic()
        timeout = self.settings.timeout
        try:
            async with self._room:
                shot = await chromium.picture(page.url, limit=timeout, public_only=page.public_only)
        except TimeoutError:
            raise TaskFailed(f"the page did not load within {timeout:g} s", retry=True) from None
        except BrowserDiedError as error:
            raise TaskFailed(str(error), retry=True) from None
        except Exception as error:
            what = "" if chromium.starts else "the browser does not start: "
            raise TaskFailed(what + _first_line(error), retry=True) from None
        picture, thumbnail = f"{page.name}.png", f"{page.name}.thumb.jpg"
        await context.upload(thumbnail, shot.thumbnail, "image/jpeg")
        await context.upload(picture, shot.picture, "image/png")
        seconds = time.monotonic() - started
        return Rendered(
            page.url, picture, thumbnail, bytes=len(shot.picture), note=shot.note, seconds=seconds
        )

    def _browser(self) -> Chromium:
        if self._chromium is None:
            try:
                program = find_chromium(self.settings.chromium)
            except ChromiumMissingError as error:
                raise TaskFailed(f"{NO_CHROMIUM}{error}", retry=False) from None
            self._chromium = Chromium(program, self.settings)
        return self._chromium


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
