"""The crawl executor against a real server on loopback: what is a result, and what is a failed task."""

import asyncio

import pytest

from examples.rendler import site_server
from examples.rendler.crawl_executor import CrawlExecutor, CrawlSettings
from examples.rendler.messages import Crawl
from mesostic import TaskFailed


@pytest.fixture
async def executor():
    made = CrawlExecutor()
    made.settings = CrawlSettings(timeout=5.0, max_bytes=1_000_000)
    await made.on_start()
    yield made
    await made.on_stop()


async def crawl(executor, site, path):
    return await executor.crawl(Crawl(site.url + path, 1))


async def test_a_page_is_read(executor, site):
    result = await crawl(executor, site, "islands/hollin.html")
    assert result.status == 200
    assert result.title.startswith("Hollin ")
    assert site.url + "index.html" in result.links
    assert (result.content_type, result.error, result.skipped) == ("text/html", "", False)
    assert result.bytes > 1000


async def test_a_missing_page_is_a_result(executor, site):
    result = await crawl(executor, site, "gone-with-the-tide.html")
    assert (result.status, result.error, result.skipped) == (404, "HTTP 404 Not Found", False)


async def test_a_pdf_is_skipped_and_not_read(executor, site):
    result = await crawl(executor, site, "charts/sea-chart.pdf")
    assert result.skipped
    assert result.error == "not HTML: application/pdf"
    assert result.bytes == 0


async def test_what_robots_txt_forbids_is_not_fetched(executor, site):
    result = await crawl(executor, site, "keepers-only/rota.html")
    assert result.skipped
    assert "robots.txt" in result.error
    assert site.visits["/keepers-only/rota.html"] == 0


async def test_robots_txt_is_fetched_once_however_many_pages_ask(executor, site):
    await asyncio.gather(
        *(crawl(executor, site, f"journal/{name}.html") for name in ("fog", "lamp", "the-door"))
    )
    assert site.visits["/robots.txt"] == 1


async def test_a_redirect_is_told_and_not_followed(executor, site):
    result = await crawl(executor, site, "old-timetable")
    assert (result.status, result.redirect) == (301, site.url + "routes/index.html")
    assert site.visits["/routes/index.html"] == 0


async def test_a_page_that_is_too_large_is_not_read_to_the_end(executor, site):
    result = await crawl(executor, site, "charts/every-rock.html")
    assert result.skipped
    assert "larger than" in result.error
    assert result.bytes == 1_000_000


async def test_a_server_that_refuses_for_now_fails_the_task_for_now(executor, site):
    for _ in range(site_server.REFUSALS_BEFORE_ANSWER):
        with pytest.raises(TaskFailed, match="HTTP 503") as failed:
            await crawl(executor, site, "harbour-log.html")
        assert failed.value.retry
    assert (await crawl(executor, site, "harbour-log.html")).status == 200


async def test_a_page_that_never_comes_fails_the_task(site):
    impatient = CrawlExecutor()
    impatient.settings = CrawlSettings(timeout=0.2)
    await impatient.on_start()
    with pytest.raises(TaskFailed, match=r"no answer within 0\.2 s") as failed:
        await crawl(impatient, site, "never-lands.html")
    assert failed.value.retry
    await impatient.on_stop()


async def test_a_server_that_is_not_there_fails_the_task(executor):
    with pytest.raises(TaskFailed) as failed:
        await executor.crawl(Crawl("http://127.0.0.1:9/", 0))
    assert failed.value.retry


async def test_pages_that_wait_for_the_same_robots_txt_all_learn_why_it_did_not_come(executor):
    pages = [executor.crawl(Crawl(f"http://127.0.0.1:9/{number}", 0)) for number in range(3)]
    errors = await asyncio.gather(*pages, return_exceptions=True)
    assert all(isinstance(error, TaskFailed) and error.retry for error in errors)
    assert [str(error).startswith("robots.txt was not read: Cannot connect") for error in errors] == [
        False,
        True,
        True,
    ]


async def test_requests_to_a_host_are_kept_apart(executor, site):
    loop = asyncio.get_running_loop()
    await crawl(executor, site, "index.html")
    started = loop.time()
    await asyncio.gather(
        *(
            executor.crawl(Crawl(f"{site.url}journal/{name}.html", 1, delay=0.1))
            for name in ("fog", "lamp", "the-door")
        )
    )
    assert loop.time() - started >= 0.2


async def test_the_site_gives_out_nothing_beside_its_folder(site):
    assert site.file_response("/../site_server.py").status == 404
    assert site.file_response("/%2e%2e/site_server.py").status == 404
    assert site.file_response("/").status == 200
