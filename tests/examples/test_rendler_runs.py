"""RENDLER as its users run it: real processes, real HTTP, and a real browser where there is one."""

import asyncio
import contextlib
import re
import shlex
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import psutil
import pytest

from actors.runtime import read_trace
from examples.rendler.render_executor import ChromiumMissingError, find_chromium
from tests.support.raw_server import raw_server

PNG = b"\x89PNG\r\n\x1a\n"


def chromium_is_there():
    try:
        return bool(find_chromium())
    except ChromiumMissingError:
        return False


class Anchors(HTMLParser):
    """A plain reading of links, independent of RENDLER's own."""

    def __init__(self):
        super().__init__()
        self.hrefs = []

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.hrefs += [value for name, value in attributes if name == "href" and value]


def breadth_first(folder: Path, seed: str) -> list[str]:
    """The HTML pages that a plain walk of the files reaches, as paths."""
    found, queue = {seed}, [seed]
    for path in queue:
        parser = Anchors()
        parser.feed((folder / path).read_text(encoding="utf-8", errors="replace"))
        for href in parser.hrefs:
            url = urlsplit(urldefrag(urljoin(f"http://host/{path}", href))[0])
            target = url.path.lstrip("/")
            if (
                url.netloc == "host"
                and target.endswith(".html")
                and target not in found
                and (folder / target).is_file()
            ):
                found.add(target)
                queue.append(target)
    return queue


def first_running(trace: Path) -> float:
    """When the first task ran, in seconds since 1970."""
    for record in read_trace(trace):
        if record.type.endswith(":Update") and record.payload and b"TASK_RUNNING" in record.payload:
            return record.time
    raise AssertionError("no task ran")


@pytest.mark.slow
async def test_python_s_documentation_is_crawled_to_the_end_and_fast(rendler, python_docs, tmp_path):
    wanted = {python_docs.url + path for path in breadth_first(python_docs.folder, "index.html")}
    assert len(wanted) > 500
    rates, starts = [], []
    for _ in range(3):  # the machine may be busy with something else: the best of three counts
        run = await rendler(
            "--trace",
            tmp_path / "t",
            scheduler__seed=python_docs.url + "index.html",
            scheduler__render="false",
        )
        assert run.exit_code == 0, run.text
        crawled = [page["url"] for page in run.pages]
        assert len(crawled) == len(set(crawled)), "each page once"
        assert wanted <= set(crawled), "every page that a plain walk reaches"
        assert all(page["status"] == 200 and page["title"] for page in run.pages if page["url"] in wanted)
        assert run.peak_bytes < 200_000_000
        starts.append(first_running(tmp_path / "t") - run.started)
        rates.append(run.rate)
        if run.rate >= 100 and starts[-1] < 3.0:
            break
    assert max(rates) >= 100, f"pages a second: {rates}"
    assert min(starts) < 3.0, f"seconds to the first running task: {starts}"


def executors_of(pid, name):
    """The processes of an executor below a process."""
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if name in " ".join(process.cmdline()):
                yield process


@pytest.mark.slow
async def test_executors_that_are_killed_in_the_middle_lose_no_page(rendler, python_docs):
    killed: list[int] = []

    async def kill_executors(pid):
        while len(killed) < 3:
            at = sum(python_docs.visits.values())
            while sum(python_docs.visits.values()) < at + 40:
                await asyncio.sleep(0.02)
            for process in executors_of(pid, "crawl_executor:CrawlExecutor"):
                with contextlib.suppress(psutil.Error):
                    process.kill()
                    killed.append(process.pid)

    wanted = {python_docs.url + path for path in breadth_first(python_docs.folder, "index.html")}
    run = await rendler(
        meanwhile=kill_executors,
        scheduler__seed=python_docs.url + "index.html",
        scheduler__render="false",
        scheduler__crawl_retry__backoff="0.1s",
    )
    assert run.exit_code == 0, run.text
    assert len(killed) >= 3
    crawled = [page["url"] for page in run.pages if page["state"] == "crawled"]
    assert len(crawled) == len(set(crawled))
    assert wanted <= set(crawled)


@pytest.mark.slow
@pytest.mark.chromium
@pytest.mark.skipif(not chromium_is_there(), reason="there is no Chromium on this machine")
async def test_ten_pages_of_it_are_rendered(rendler, python_docs):
    run = await rendler(
        scheduler__seed=python_docs.url,
        scheduler__max_pages=30,
        scheduler__max_pictures=10,
        scheduler__render="true",
    )
    assert run.exit_code == 0, run.text
    pictures = [run.output / "images" / page["picture"] for page in run.pages if page["picture"]]
    assert len(pictures) == 10, run.text
    assert all(path.read_bytes().startswith(PNG) for path in pictures)
    html = (run.output / "index.html").read_text()
    assert html.count("data:image/jpeg;base64,") >= 10


@pytest.mark.slow
async def test_the_demo_site_is_crawled_with_everything_that_is_wrong_with_it(rendler, site, tmp_path):
    run = await rendler(
        "--trace", tmp_path / "t", config="demo.toml", scheduler__seed=site.url, scheduler__render="false"
    )
    assert run.exit_code == 0, run.text
    pages = {urlsplit(page["url"]).path: page for page in run.pages}
    assert len({page["url"] for page in run.pages}) == len(run.pages), "each page once"
    assert all(page["url"].startswith(site.url) for page in run.pages), "it stays on the site"

    def told(path):
        return pages[path]["state"], pages[path]["status"], pages[path]["attempts"]

    assert told("/gone-with-the-tide.html") == ("failed", 404, 1)
    assert told("/never-lands.html") == ("failed", None, 5)
    assert told("/harbour-log.html") == ("crawled", 200, 3)
    assert told("/slow-boat.html") == ("crawled", 200, 1)
    assert told("/old-timetable") == ("redirect", 301, 1)
    assert told("/ferry/round-and-round") == ("redirect", 302, 1)
    assert told("/ferry/and-round-again") == ("redirect", 302, 1)
    assert told("/charts/sea-chart.pdf") == ("skipped", 200, 1)
    assert told("/charts/every-rock.html") == ("skipped", 200, 1)
    assert told("/keepers-only/rota.html") == ("skipped", None, 1)
    assert site.visits["/keepers-only/rota.html"] == 0
    assert "no answer within 1.5 s" in pages["/never-lands.html"]["error"]
    assert sum(page["state"] == "crawled" for page in run.pages) > 35
    for name in ("index.html", "result.dot", "pages.jsonl"):
        assert name in run.text
        assert (run.output / name).stat().st_size > 0
    assert list(read_trace(tmp_path / "t"))


async def test_a_seed_that_is_no_url_is_told_before_anything_starts(rendler):
    run = await rendler(scheduler__seed="nonsense")
    assert run.exit_code == 2
    assert "'nonsense'" in run.text
    assert "Traceback" not in run.text
    assert run.seconds < 20


async def test_a_seed_that_nobody_serves_fails_the_crawl_with_a_reason(rendler):
    run = await rendler(
        scheduler__seed="http://127.0.0.1:9/",
        scheduler__render="false",
        scheduler__crawl_retry__backoff="0.05s",
    )
    assert run.exit_code == 1
    assert "not even the seed could be crawled" in run.text
    assert "5 attempts" in run.text
    assert "Traceback" not in run.text


async def test_an_executor_that_crashes_at_start_fails_the_crawl_and_hangs_nothing(rendler, site):
    run = await rendler(
        scheduler__seed=site.url,
        scheduler__render="false",
        scheduler__crawl_retry__backoff="0.05s",
        executors__crawl__python="/bin/false",
    )
    assert run.exit_code == 1
    assert "not even the seed could be crawled" in run.text
    assert "Traceback" not in run.text


async def test_where_there_is_no_chromium_the_crawl_goes_on_without_pictures(rendler, site):
    run = await rendler(
        scheduler__seed=site.url,
        scheduler__max_pages=5,
        scheduler__render="true",
        executors__render__settings__chromium="no-such-browser",
    )
    assert run.exit_code == 0, run.text
    assert len(run.pages) == 5
    assert (
        len(re.findall("continuing without pictures.*apt install chromium.*scheduler.render=false", run.text))
        == 1
    )


@pytest.mark.chromium
@pytest.mark.skipif(not chromium_is_there(), reason="there is no Chromium on this machine")
async def test_a_picture_of_a_page_that_never_finishes_stops_nothing(rendler, site):
    run = await rendler(
        config="demo.toml",
        scheduler__seed=site.url + "tide-camera.html",
        scheduler__max_depth=0,
        scheduler__render="true",
        executors__render__settings__timeout="2s",
    )
    assert run.exit_code == 0, run.text
    (page,) = run.pages
    assert page["picture"]
    assert "still loading" in page["picture_error"]


async def test_ctrl_c_ends_the_crawl_in_order_and_keeps_what_is_there(rendler, site):
    settings = {
        "scheduler__seed": site.url + "about.html",
        "scheduler__render": "false",
        "scheduler__ending_timeout": "0.5s",
    }
    enough = r": [3-9]\d crawled"  # never-lands.html is still under way
    run = await rendler(config="rendler.toml", interrupt_when=enough, **settings)
    assert run.exit_code == 0, run.text
    assert "ended early" in run.text
    assert "Traceback" not in run.text
    known = sum(page["state"] != "failed" for page in run.pages)
    assert known > 30
    before = run.pages
    run = await rendler("--set", "scheduler.resume=true", interrupt_when=" s: ", **settings)
    assert f"continuing after {known}" in run.text, run.text
    assert {page["url"] for page in run.pages} >= {page["url"] for page in before}


async def test_a_reader_who_goes_away_ends_nothing(rendler, site, tmp_path):
    config = Path(__file__).parents[2] / "examples" / "rendler" / "demo.toml"
    command = (
        f"{shlex.quote(sys.executable)} -m mesostic run {shlex.quote(str(config))} --set scheduler.max_pages=30 "
        f"--set scheduler.render=false --set scheduler.seed={site.url}journal/index.html "
        f"--set scheduler.output={shlex.quote(str(tmp_path))} 2>{shlex.quote(str(tmp_path / 'errors'))} | head -n 1"
    )
    process = await asyncio.create_subprocess_exec(
        "bash", "-o", "pipefail", "-c", command, stdout=asyncio.subprocess.PIPE
    )
    text, _ = await process.communicate()
    assert process.returncode == 0
    assert text.startswith(b"RENDLER crawls")
    assert (tmp_path / "index.html").is_file()
    assert "Traceback" not in (tmp_path / "errors").read_text()


ODD_SITE = {
    "/": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
    "/reason": b"HTTP/1.1 503 caf\xe9\r\n",
    "/refusal": b"HTTP/1.1 404 \xff\xfe\r\n",
    "/type": b"HTTP/1.1 200 OK\r\nContent-Type: caf\xe9/\xff\r\n",
    "/charset": b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=caf\xe9\r\n",
    "/moved": b"HTTP/1.1 301 Moved\r\nLocation: /caf\xe9\r\n",
    "/nowhere": b"HTTP/1.1 301 Moved\r\nLocation: mailto:\xff\r\n",
    "/caf%E9": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
}


async def test_a_server_whose_headers_are_not_text_hangs_no_crawl(rendler):
    links = "".join(f'<a href="{path}">x</a>' for path in ODD_SITE if path != "/caf%E9").encode()

    async def server(request, writer):
        head = ODD_SITE.get(request.path, b"HTTP/1.1 404 Not Found\r\n")
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(links) + links)

    async with raw_server(server) as odd:
        run = await rendler(
            scheduler__seed=odd.endpoint.with_path("/").url,
            scheduler__render="false",
            scheduler__crawl_retry__backoff="0.05s",
        )
    assert run.exit_code == 0, run.text
    pages = {urlsplit(page["url"]).path: page for page in run.pages}
    assert set(pages) == set(ODD_SITE)
    assert (pages["/reason"]["state"], pages["/reason"]["attempts"]) == ("failed", 5)
    assert "HTTP 503 café" in pages["/reason"]["error"]
    assert pages["/refusal"]["status"] == 404
    assert pages["/type"]["error"] == "not HTML: café/ÿ"
    assert pages["/charset"]["state"] == "crawled"
    assert pages["/moved"]["state"] == "redirect"
    assert pages["/caf%E9"]["state"] == "crawled"
    assert "not a web page" in pages["/nowhere"]["error"]
