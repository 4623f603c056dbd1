"""Pictures, with a real Chromium; and what is said where there is none."""

import asyncio
import contextlib
import os
import signal
from typing import Any

import psutil
import pytest
from playwright.async_api import Error

from examples.rendler.render_executor import (
    BrowserDiedError,
    Chromium,
    ChromiumMissingError,
    RenderSettings,
    _capture,
    find_chromium,
)

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"


def is_there():
    try:
        return bool(find_chromium())
    except ChromiumMissingError:
        return False


def browser_process():
    """The process of the browser itself, not one of its helpers."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in process.name() and "--type=" not in " ".join(process.cmdline()):
                return process.pid
    raise AssertionError("no browser runs")


pytestmark = [pytest.mark.chromium, pytest.mark.filterwarnings("default::ResourceWarning")]
needs_chromium = pytest.mark.skipif(not is_there(), reason="there is no Chromium on this machine")


@pytest.fixture
async def chromium():
    made = Chromium(
        find_chromium(), RenderSettings(width=800, height=600, thumbnail_width=200, user_agent="test")
    )
    yield made
    await made.close()


def test_where_there_is_none_it_is_said_how_to_get_one():
    with pytest.raises(
        ChromiumMissingError, match=r"(?s)'no-such-browser'.*apt install chromium.*scheduler\.render=false"
    ):
        find_chromium("no-such-browser")


@needs_chromium
async def test_a_page_becomes_a_picture_and_a_small_one(chromium, site):
    shot = await chromium.picture(site.url + "index.html", limit=20)
    assert shot.picture.startswith(PNG)
    assert shot.thumbnail.startswith(JPEG)
    assert len(shot.thumbnail) < len(shot.picture)
    assert shot.note == ""


@needs_chromium
async def test_the_browser_stays_warm(chromium, site):
    for page in ("islands/alder.html", "islands/corrin.html"):
        await chromium.picture(site.url + page, limit=20)
    assert chromium.starts == 1


@needs_chromium
async def test_a_page_that_never_finishes_is_pictured_as_it_is(chromium, site):
    await chromium.start()
    shot = await chromium.picture(site.url + "tide-camera.html", limit=3)
    assert "still loading after 3 s" in shot.note


@needs_chromium
async def test_a_page_that_never_comes_runs_out_of_time(chromium, site):
    await chromium.start()
    with pytest.raises(TimeoutError):
        await chromium.picture(site.url + "never-lands.html", limit=1)


@needs_chromium
async def test_a_browser_that_dies_is_replaced(chromium, site):
    async def kill_it_while_it_waits():
        while not site.visits["/never-lands.html"]:
            await asyncio.sleep(0.05)
        os.kill(browser_process(), signal.SIGKILL)

    await chromium.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(kill_it_while_it_waits())
        with pytest.raises(BrowserDiedError):
            await chromium.picture(site.url + "never-lands.html", limit=20)
    shot = await chromium.picture(site.url + "index.html", limit=20)
    assert shot.picture.startswith(PNG)
    assert chromium.starts == 2


class NoFrameYet:
    """A page's session whose browser has drawn nothing when it is asked first."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = list(reasons)

    async def send(self, method: str, how: dict[str, object]) -> dict[str, str]:
        if self._reasons:
            raise Error(f"Protocol error ({method}): {self._reasons.pop(0)}")
        return {"data": "cGljdHVyZQ=="}


async def test_a_browser_that_has_drawn_nothing_yet_is_asked_for_the_picture_again():
    session: Any = NoFrameYet("Unable to capture screenshot")
    assert await _capture(session, {}) == b"picture"


@pytest.mark.parametrize(
    "reasons", [["Target closed"], ["Unable to capture screenshot", "Unable to capture screenshot"]]
)
async def test_a_picture_that_cannot_be_taken_is_an_error(reasons):
    session: Any = NoFrameYet(*reasons)
    with pytest.raises(Error, match=reasons[-1]):
        await _capture(session, {})
