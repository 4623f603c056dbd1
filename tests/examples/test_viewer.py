"""index.html in a real browser, from file:// and without a network: it draws, searches and selects, and makes no error."""

import pytest

from examples.rendler.drawings import to_html
from examples.rendler.messages import PageRecord, PageState
from examples.rendler.render_executor import ChromiumMissingError, find_chromium

SEED = "http://s.example/"


def program():
    try:
        return find_chromium()
    except ChromiumMissingError:
        return ""


pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(not program(), reason="there is no Chromium on this machine"),
    pytest.mark.filterwarnings("default::ResourceWarning"),
]


def a_site(count):
    """A seed, `count` pages found on it, and one of each kind of trouble."""
    names = [f"{SEED}{n}" for n in range(count)]
    troubles = [
        PageRecord(f"{SEED}gone", PageState.FAILED, 1, SEED, 404, error="HTTP 404 Not Found"),
        PageRecord(f"{SEED}old", PageState.REDIRECT, 1, SEED, 301, redirect=SEED),
        PageRecord(f"{SEED}pdf", PageState.SKIPPED, 1, SEED, 200, "application/pdf", error="not HTML"),
    ]
    pages = [PageRecord(SEED, PageState.CRAWLED, 0, "", 200, title="Seed", links=(*names, f"{SEED}gone"))]
    pages += [
        PageRecord(name, PageState.CRAWLED, 1, SEED, 200, title=f"Page {n}", links=(SEED,))
        for n, name in enumerate(names)
    ]
    return pages + troubles


@pytest.fixture
async def open_page(tmp_path):
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program(), args=["--no-sandbox", "--disable-gpu"]
        )
        errors = []

        async def opened(pages):
            html = to_html(pages, seed=SEED, ended="", when="today", seconds=1.0, images=tmp_path)
            (tmp_path / "index.html").write_text(html, encoding="utf-8")
            page = await browser.new_page(offline=True)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
            await page.goto((tmp_path / "index.html").as_uri())
            return page

        yield opened
        await browser.close()
    assert errors == []


@pytest.mark.parametrize("count", [0, 1, 200])
async def test_it_draws_the_graph(open_page, count):
    page = await open_page(a_site(count))
    drawn = await page.evaluate(
        "(draw(), [...ctx.getImageData(0, 0, canvas.width, canvas.height).data].some(v => v > 0))"
    )
    assert drawn
    assert await page.evaluate("nodes.every(node => Number.isFinite(node.x) && Number.isFinite(node.y))")


async def test_no_two_pages_lie_on_each_other(open_page):
    page = await open_page(a_site(60))
    overlaps = await page.evaluate(
        "nodes.flatMap((a, i) => nodes.slice(i + 1).filter(b => Math.abs(a.x - b.x) < 100 && Math.abs(a.y - b.y) < 46)).length"
    )
    assert overlaps == 0


async def test_the_table_lists_every_page_and_the_search_narrows_it(open_page):
    page = await open_page(a_site(30))
    await page.click("nav >> text=Pages")
    assert await page.locator("tbody tr").count() == 34
    await page.fill("#search", "404")
    assert await page.locator("tbody tr").count() == 1
    await page.click("tbody tr")
    assert "HTTP 404 Not Found" in await page.inner_text("#details")
    await page.keyboard.press("Escape")
    assert await page.locator("tbody tr").count() == 34
    assert await page.locator("#details").is_hidden()


async def test_a_page_of_the_graph_can_be_chosen_and_its_links_followed(open_page):
    page = await open_page(a_site(5))
    x, y = await page.evaluate(
        "toScreen(nodes[0].x, nodes[0].y).map((v, i) => v + canvas.getBoundingClientRect()[i ? 'y' : 'x'])"
    )
    await page.mouse.click(x, y)
    assert "Seed" in await page.inner_text("#details h2")
    await page.click("#details li button >> nth=1")
    assert "Page 1" in await page.inner_text("#details h2")


async def test_states_can_be_hidden(open_page):
    page = await open_page(a_site(5))
    await page.click("nav >> text=Pages")
    await page.click("#legend >> text=crawled")
    assert await page.locator("tbody tr").count() == 3


async def test_no_pages_at_all_make_an_empty_page(open_page):
    page = await open_page([])
    await page.click("nav >> text=Pictures")
    assert "No pictures were taken." in await page.inner_text("#list")
