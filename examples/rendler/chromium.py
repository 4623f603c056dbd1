"""Finding a Chromium, starting it, and starting it again when it has died. Pictures are taken over its own protocol."""

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

from examples.rendler.public_only import Gate

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Playwright, ProxySettings

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


class ChromiumMissingError(Exception):
    """There is nothing to take pictures with; the text says how to get it."""


class BrowserDiedError(Exception):
    """The browser ended under the page; the next picture starts another one."""


def find_chromium(path: str = "") -> str:
    """The Chromium to use: `path` if given, else the first of `PROGRAMS` on the PATH.

    Raises:
        ChromiumMissingError: With what to do about it.
    """
    if importlib.util.find_spec("playwright") is None:
        raise ChromiumMissingError(_HOW_TO_GET_PLAYWRIGHT)
    if path:
        found = shutil.which(path)
        if found is None:
            raise ChromiumMissingError(
                f"the setting chromium names {path!r}, which is not a program here; {HOW_TO_GET_ONE}"
            )
        return found
    for program in PROGRAMS:
        found = shutil.which(program)
        if found is not None:
            return found
    raise ChromiumMissingError(HOW_TO_GET_ONE)


@dataclass(frozen=True, slots=True)
class Shot:
    """A page's picture as PNG, its small version as JPEG, and what was odd about it."""

    picture: bytes
    thumbnail: bytes
    note: str


class Chromium:
    """One warm browser. Each picture gets a context of its own: no cookies, no cache, nothing shared between pages."""

    def __init__(
        self, program: str, *, width: int, height: int, thumbnail_width: int, user_agent: str
    ) -> None:
        self._program = program
        self._width, self._height = width, height
        self._thumbnail_scale = min(1.0, thumbnail_width / width)
        self._user_agent = user_agent
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

    async def _proxy(self, *, public_only: bool) -> ProxySettings | None:
        """What the traffic of a page goes through."""
        if not public_only:
            return None
        if self._gate is None:
            self._gate = Gate()
            await self._gate.start()
        return {"server": self._gate.url, "bypass": "<-loopback>"}

    async def picture(self, url: str, *, limit: float, public_only: bool = False) -> Shot:
        """Opens a page and takes its picture once it has loaded, or as it is when the time is up: after `limit` seconds.

        Raises:
            TimeoutError: Nothing had come of the page when the time was up.
            BrowserDiedError: The browser, or the page's process, ended.
            playwright's Error: The page cannot be opened.
        """
        from playwright.async_api import Error

        browser = await self.start()
        try:
            context = await browser.new_context(
                viewport={"width": self._width, "height": self._height},
                user_agent=self._user_agent,
                accept_downloads=False,
                service_workers="block",
                ignore_https_errors=False,
                proxy=await self._proxy(public_only=public_only),
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
            picture = await session.send("Page.captureScreenshot", {"format": "png"})
            clip: dict[str, Any] = {"x": 0, "y": 0, "width": self._width, "height": self._height}
            clip["scale"] = self._thumbnail_scale
            small = {"format": "jpeg", "quality": 72, "clip": clip}
            thumbnail = await session.send("Page.captureScreenshot", small)
        return Shot(base64.b64decode(picture["data"]), base64.b64decode(thumbnail["data"]), note)
