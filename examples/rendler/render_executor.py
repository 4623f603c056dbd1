"""The render executor: takes pictures of pages with one warm Chromium, and uploads them to the framework's server."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from examples.rendler.chromium import BrowserDiedError, Chromium, ChromiumMissingError, find_chromium
from examples.rendler.messages import Render, Rendered
from mesostic import Executor, TaskContext, TaskFailed, setting, task

NO_CHROMIUM = "no Chromium: "
"""How the message of a task begins that failed for want of a browser; the scheduler then stops asking for pictures."""


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
            started_at_all = chromium.starts > 0
            what = "" if started_at_all else "the browser does not start: "
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
            settings = self.settings
            try:
                program = find_chromium(settings.chromium)
            except ChromiumMissingError as error:
                raise TaskFailed(f"{NO_CHROMIUM}{error}", retry=False) from None
            self._chromium = Chromium(
                program,
                width=settings.width,
                height=settings.height,
                thumbnail_width=settings.thumbnail_width,
                user_agent=settings.user_agent,
            )
        return self._chromium


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:300]
